package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
)

// giver sends a frame of one subscription.
type giver func(liveFrame) error

// topic is something that a page can be kept informed of: what a method of the API
// answers, as it changes. Who may call the method may subscribe.
type topic struct {
	method string
	// open reads a request; what it gives runs until its context ends, or until there is
	// nothing more to say.
	open func(s *server, r liveRequest) (func(ctx context.Context, give giver) error, error)
}

// topics of the live socket, by name.
func topics() map[string]topic {
	return map[string]topic{
		"runs": list(apiv1connect.RunServiceListRunsProcedure, 0, (*server).ListRuns, func(res *apiv1.ListRunsResponse) shown {
			return shown{items: records(res.GetRuns(), (*apiv1.Run).GetId), index: res.GetIndex()}
		}),
		"batches": list(apiv1connect.RunServiceListBatchesProcedure, 0, (*server).ListBatches, func(res *apiv1.ListBatchesResponse) shown {
			return shown{items: records(res.GetBatches(), (*apiv1.Batch).GetId)}
		}),
		"run": list(apiv1connect.RunServiceGetRunProcedure, 0, (*server).GetRun, func(res *apiv1.GetRunResponse) shown {
			return shown{value: res.GetRun(), index: res.GetIndex()}
		}),
		"quarantine": list(apiv1connect.RunServiceListQuarantineProcedure, 0, (*server).ListQuarantine, func(res *apiv1.ListQuarantineResponse) shown {
			return shown{items: records(res.GetRuns(), (*apiv1.Run).GetId)}
		}),
		"agents": list(apiv1connect.AgentServiceListAgentsProcedure, outside, (*server).ListAgents, func(res *apiv1.ListAgentsResponse) shown {
			return shown{items: records(res.GetAgents(), (*apiv1.Agent).GetId)}
		}),
		"queue": list(apiv1connect.RunServiceQueueStatsProcedure, outside, (*server).QueueStats, func(res *apiv1.QueueStatsResponse) shown {
			return shown{value: res}
		}),
		"cluster": list(apiv1connect.ClusterServiceGetClusterProcedure, outside, (*server).GetCluster, func(res *apiv1.GetClusterResponse) shown {
			return shown{value: res, index: res.GetIndex()}
		}),
		"batch":  {apiv1connect.RunServiceWatchBatchProcedure, openBatch},
		"stream": {apiv1connect.RunServiceWatchProcedure, openStream},
	}
}

// outside is how often what is not only in the state is looked at.
const outside = 2 * time.Second

func topicNames() string { return strings.Join(slices.Sorted(maps.Keys(topics())), ", ") }

// request reads the request of a topic's method, and checks it as a call of it is.
func request(r liveRequest, into proto.Message) error {
	if len(r.Request) > 0 {
		if err := protojson.Unmarshal(r.Request, into); err != nil {
			return invalid("request", "this is no request of the topic %s: %s", r.Topic, strings.ReplaceAll(err.Error(), "\u00a0", " "))
		}
	}
	if err := protovalidate.Validate(into); err != nil {
		return invalid("request", "%v", err)
	}
	return nil
}

// shown is what a page shows of a topic.
type shown struct {
	items []item
	value proto.Message
	index uint64
}

// item is one record of a list.
type item struct {
	id  string
	rec proto.Message
	sum [sha256.Size]byte
}

func records[M proto.Message](list []M, id func(M) string) []item {
	items := make([]item, len(list))
	for i, m := range list {
		items[i] = item{id: id(m), rec: m, sum: digest(m)}
	}
	return items
}

func digest(m proto.Message) [sha256.Size]byte {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return [sha256.Size]byte{} // what cannot be encoded cannot be sent either, and says so there
	}
	return sha256.Sum256(raw)
}

// version is the same for the same records in the same order, at every node.
func (v shown) version() string {
	h := sha256.New()
	for _, i := range v.items {
		_, _ = h.Write([]byte(i.id + "\x00")) // a hash does not fail
		_, _ = h.Write(i.sum[:])
	}
	if v.value != nil {
		sum := digest(v.value)
		_, _ = h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// list is a topic of a unary method: its answer first, then what changes in it.
func list[Q, P any, QM interface {
	*Q
	proto.Message
}](method string, every time.Duration, call func(*server, context.Context, QM) (*P, error), show func(*P) shown) topic {
	return topic{method, func(s *server, r liveRequest) (func(context.Context, giver) error, error) {
		req := QM(new(Q))
		if err := request(r, req); err != nil {
			return nil, err
		}
		read := func(ctx context.Context) (shown, error) {
			res, err := call(s, ctx, req)
			if err != nil {
				return shown{}, err
			}
			return show(res), nil
		}
		return func(ctx context.Context, give giver) error { return s.keep(ctx, r.Version, every, read, give) }, nil
	}}
}

// keep tells of a list as it is, and then of each change, not faster than livePace.
func (s *server) keep(ctx context.Context, known string, every time.Duration, read func(context.Context) (shown, error), give giver) error {
	var last *shown
	for {
		began := time.Now()
		changed := s.Runs.Changed("") // asked before it is read
		now, err := read(ctx)
		if err != nil {
			return err
		}
		if err := tell(last, &now, known, give); err != nil {
			return err
		}
		last = &now
		// What takes long to read is read less often.
		pace := time.NewTimer(max(livePace, 10*time.Since(began)))
		select {
		case <-pace.C:
		case <-ctx.Done():
			pace.Stop()
			return ctx.Err()
		}
		var tick <-chan time.Time
		if every > 0 {
			tick = time.After(every)
		}
		select {
		case <-changed:
		case <-tick:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tell sends what a page lacks.
func tell(last, now *shown, known string, give giver) error {
	version := now.version()
	switch {
	case last == nil && known == version:
		return give(liveFrame{Type: "same", Version: version, Index: now.index})
	case last == nil:
		f := liveFrame{Type: "snapshot", Version: version, Index: now.index}
		return send(f, now.items, now.value, give)
	case last.version() == version:
		return nil
	}
	f := liveFrame{Type: "delta", Version: version, Index: now.index}
	before := map[string][sha256.Size]byte{}
	for _, i := range last.items {
		before[i.id] = i.sum
	}
	var fresh []item
	for _, i := range now.items {
		if sum, was := before[i.id]; !was || sum != i.sum {
			fresh = append(fresh, i)
		}
		delete(before, i.id)
	}
	f.Gone = slices.Sorted(maps.Keys(before))
	ids := func(items []item) (list []string) {
		for _, i := range items {
			list = append(list, i.id)
		}
		return list
	}
	if order := ids(now.items); !slices.Equal(order, ids(last.items)) {
		f.Order = order
	}
	return send(f, fresh, now.value, give)
}

// send sends a frame with its records, in several where they are many.
func send(f liveFrame, items []item, value proto.Message, give giver) error {
	if value != nil {
		data, err := JSON(value)
		if err != nil {
			return err
		}
		f.Value = data
	}
	for {
		part := items[:min(len(items), liveItems)]
		items = items[len(part):]
		f.Items, f.More = nil, len(items) > 0
		for _, i := range part {
			data, err := JSON(i.rec)
			if err != nil {
				return err
			}
			f.Items = append(f.Items, data)
		}
		if err := give(f); err != nil || !f.More {
			return err
		}
		f = liveFrame{Type: f.Type, Version: f.Version, Index: f.Index}
	}
}

// openBatch is a batch with its runs, until it has ended.
func openBatch(s *server, r liveRequest) (func(context.Context, giver) error, error) {
	req := &apiv1.WatchBatchRequest{}
	if err := request(r, req); err != nil {
		return nil, err
	}
	return func(ctx context.Context, give giver) error {
		kind := "snapshot"
		err := s.watchBatch(ctx, req, func(res *apiv1.WatchBatchResponse) error {
			f := liveFrame{Type: kind}
			kind = "delta"
			return send(f, records(res.GetRuns(), (*apiv1.Run).GetId), res.GetBatch(), give)
		})
		if err != nil {
			return err
		}
		return give(liveFrame{Type: "end"})
	}, nil
}

// openStream is the event stream of a run, in whole lines, until the run has ended.
func openStream(s *server, r liveRequest) (func(context.Context, giver) error, error) {
	req := &apiv1.WatchRequest{}
	if err := request(r, req); err != nil {
		return nil, err
	}
	return func(ctx context.Context, give giver) error {
		l := &lines{give: give, attempt: req.GetAttempt(), at: req.GetOffset()}
		return s.watch(ctx, req, l.take)
	}, nil
}

// maxLinePart bounds what of a line is kept back until its end has come.
const maxLinePart = 1 << 20

// lines gives a stream in frames that end with a line, so that none cuts a character.
type lines struct {
	give    giver
	attempt int32
	at      int64 // where rest begins
	rest    []byte
}

func (l *lines) take(res *apiv1.WatchResponse) error {
	if res.GetRestarted() {
		if err := l.flush(len(l.rest)); err != nil {
			return err
		}
		l.attempt, l.at = res.GetAttempt(), 0
		return l.give(liveFrame{Type: "restarted", Attempt: res.GetAttempt()})
	}
	if data := res.GetData(); len(data) > 0 {
		if len(l.rest) == 0 {
			l.attempt, l.at = res.GetAttempt(), res.GetOffset()
		}
		l.rest = append(l.rest, data...)
		end := strings.LastIndexByte(string(l.rest), '\n') + 1
		if end == 0 && len(l.rest) > maxLinePart {
			end = len(l.rest)
		}
		if err := l.flush(end); err != nil {
			return err
		}
	}
	if res.GetRun() == nil {
		return nil
	}
	if err := l.flush(len(l.rest)); err != nil {
		return err
	}
	run, err := JSON(res.GetRun())
	if err != nil {
		return err
	}
	next := l.at
	return l.give(liveFrame{Type: "end", Attempt: l.attempt, Next: &next, Value: run})
}

func (l *lines) flush(end int) error {
	if end == 0 {
		return nil
	}
	offset, next := l.at, l.at+int64(end)
	f := liveFrame{Type: "stream", Attempt: l.attempt, Offset: &offset, Next: &next}
	if part := l.rest[:end]; utf8.Valid(part) {
		f.Text = string(part)
	} else {
		f.Base64 = part
	}
	err := l.give(f)
	l.at, l.rest = next, append([]byte(nil), l.rest[end:]...)
	return err
}
