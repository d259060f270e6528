package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

const (
	// aheadBytes bounds what is fetched before it is looked at.
	aheadBytes = 32 << 20
	// keptMessages and keptBytes bound what is kept of it: more than may be ahead, so
	// that nothing goes before it was looked at.
	keptMessages = 2 * aheadBytes / 200
	keptBytes    = 2 * aheadBytes
)

type consumeIn struct {
	connection
	Topic         texts           `json:"topic" doc:"The topic to read, or several." example:"orders.v1"`
	GroupID       string          `json:"group_id,omitempty" doc:"The consumer group to read as a member of: it goes on where the group stopped. Without it nothing is taken away."`
	Start         string          `json:"start" doc:"Where to begin, or where a group begins that has not read yet: latest, earliest, or a time in RFC 3339." default:"latest" example:"earliest"`
	FromBeginning bool            `json:"from_beginning,omitempty" doc:"The same as start: earliest."`
	Partition     *int32          `json:"partition" min:"0" doc:"The one partition to read; not with group_id."`
	Offset        *int64          `json:"offset" min:"0" doc:"The offset in that partition to begin at, in place of start."`
	Within        time.Duration   `json:"within" doc:"How long to wait." default:"10s"`
	Count         int             `json:"count" doc:"How many messages at least; fewer make the step fail." default:"1" min:"1" max:"100000"`
	MaxMessages   int             `json:"max_messages,omitempty" doc:"How many messages at most: the step goes on until it has them or its time is over. The same as count by default." min:"1" max:"100000"`
	Where         json.RawMessage `json:"where,omitempty" doc:"What a message must match, of topic, partition, offset, timestamp, key, value and headers; others are passed over." example:"{\"key\": \"o-1\"}"`
	Match         *matchIn        `json:"match" doc:"An older way to say where."`
	Filter        *filterIn       `json:"filter" doc:"An older way to say where."`
	Commit        bool            `json:"commit" doc:"Whether a group has read what the step looked at. A step that fails commits nothing." default:"true"`
	Isolation     string          `json:"isolation" doc:"Whether messages of transactions are seen once they are committed, or at once." enum:"read_committed|read_uncommitted" default:"read_committed"`
	decodingIn
}

type matchIn struct {
	Key      json.RawMessage                 `json:"key,omitempty" doc:"The key, or a pattern of it."`
	JSONPath plugin.Either[string, []string] `json:"json_path,omitempty" doc:"What must hold of the value: \"$.id exists\", \"$.status == 'created'\"."`
}

type filterIn struct {
	Key    json.RawMessage            `json:"key,omitempty" doc:"The key, or a pattern of it."`
	Header map[string]json.RawMessage `json:"header,omitempty" doc:"Headers, or patterns of them."`
}

type consumed struct {
	Messages []*message `json:"messages" doc:"The messages, in the order of their partitions."`
	Count    int        `json:"count" doc:"How many they are."`
	Seen     int        `json:"seen" doc:"How many were looked at."`
}

func consume(ctx context.Context, call *plugin.Call, in consumeIn) (consumed, error) {
	looked, err := in.conditions()
	if err != nil {
		return consumed{}, err
	}
	c, err := in.cluster(ctx, call)
	if err != nil {
		return consumed{}, err
	}
	if looked.decoding, err = in.decodingIn.open(ctx, call); err != nil {
		return consumed{}, err
	}
	s := newConsuming(c, &in, looked)
	defer s.end(ctx)
	began := time.Now()
	if err := s.begin(ctx); err != nil {
		return consumed{}, err
	}
	call.Progress("reading %s", naming(in.topics()))
	r, err := s.wait(ctx)
	if err != nil {
		return consumed{}, err
	}
	exchange(call, began, "consume "+strings.Join(in.topics(), ", "), fmt.Sprintf("%d of %d fit", len(r.Found), s.seen), in.shown(), found(r.Found))
	if len(r.Found) < in.Count {
		return consumed{}, in.explained(r.Fault(naming(in.topics()), (*received).describe), r.Seen, s)
	}
	if s.member != nil && in.Commit {
		s.halt() // it speaks to the group, too
		if err := s.member.commit(ctx, s.read); err != nil {
			return consumed{}, err
		}
	}
	out := consumed{Count: len(r.Found), Seen: s.seen}
	out.Messages, err = resultOf(ctx, call, r.Found, looked.decoding)
	return out, err
}

func (in *consumeIn) topics() []string { return listed(in.Topic) }

// shown is the config for people, without what connects.
func (in *consumeIn) shown() any {
	return map[string]any{"topics": in.topics(), "group_id": in.GroupID, "start": in.Start, "where": in.Where, "count": in.Count, "within": in.Within.String()}
}

// conditions are what the config looks for, however it says so.
func (in *consumeIn) conditions() (*conditions, error) {
	switch {
	case len(in.topics()) == 0:
		return nil, plugin.Definitionf("topic", "names no topic")
	case in.GroupID != "" && (in.Partition != nil || in.Offset != nil):
		return nil, plugin.Definitionf("group_id", "is given beside partition or offset: a group deals its partitions out itself")
	case in.Offset != nil && in.Partition == nil:
		return nil, plugin.Definitionf("offset", "needs the partition that it is of")
	case in.Partition != nil && len(in.topics()) > 1:
		return nil, plugin.Definitionf("partition", "is of one topic, and there are several")
	}
	in.MaxMessages = max(in.MaxMessages, in.Count)
	out := new(conditions)
	if err := out.pattern("where", in.Where); err != nil {
		return nil, err
	}
	if in.Match != nil {
		if err := out.pattern("match.key", keyed(in.Match.Key, nil)); err != nil {
			return nil, err
		}
		for _, text := range claimsOf(in.Match.JSONPath) {
			one, err := newClaim(text)
			if err != nil {
				return nil, plugin.Definitionf("match.json_path", "%s", err).WithHint(`write it as "$.id exists" or "$.total > 5"`)
			}
			out.claims = append(out.claims, one)
		}
	}
	if in.Filter != nil {
		return out, out.pattern("filter", keyed(in.Filter.Key, in.Filter.Header))
	}
	return out, nil
}

func claimsOf(e plugin.Either[string, []string]) []string {
	if e.One != nil {
		return []string{*e.One}
	}
	if e.Other != nil {
		return *e.Other
	}
	return nil
}

// keyed is a pattern of a key and headers, empty where neither is given.
func keyed(key json.RawMessage, headers map[string]json.RawMessage) json.RawMessage {
	pattern := make(map[string]any)
	if len(key) > 0 {
		pattern["key"] = key
	}
	if len(headers) > 0 {
		pattern["headers"] = headers
	}
	if len(pattern) == 0 {
		return nil
	}
	return shownJSON(pattern)
}

// explained adds to a wait that ended too early what may be the reason.
func (in *consumeIn) explained(fault *plugin.Error, seen int, s *consuming) error {
	switch {
	case fault == nil || !fault.Failed || fault.Hint != "":
		return fault
	case s.member != nil && s.places() == 0:
		return fault.WithHint("other members of the group %s have all the partitions: stop them, or use a group_id of your own", in.GroupID)
	case seen == 0 && in.start() == "latest" && in.Offset == nil:
		return fault.WithHint("it read what came after it had begun: kafka.subscribe before the step that causes the message, or start: earliest")
	}
	return fault
}

func (in *consumeIn) start() string {
	if in.FromBeginning {
		return "earliest"
	}
	return in.Start
}

// startTime is the start as brokers are asked for it.
func (in *consumeIn) startTime() (int64, error) {
	switch start := in.start(); start {
	case "earliest":
		return earliest, nil
	case "latest":
		return latest, nil
	default:
		at, err := time.Parse(time.RFC3339, start)
		if err != nil {
			return 0, plugin.Definitionf("start", "is neither latest nor earliest nor a time: %q", start).WithHint("write a time as 2006-01-02T15:04:05Z")
		}
		return at.UnixMilli(), nil
	}
}

// gate holds a reader back that is too far ahead of who looks.
type gate struct {
	mu      sync.Mutex
	held    int
	changed chan struct{}
}

func (g *gate) enter(ctx context.Context, n int) error {
	for {
		g.mu.Lock()
		if g.held == 0 || g.held+n <= aheadBytes {
			g.held += n
			g.mu.Unlock()
			return nil
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gate) leave(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held -= n
	close(g.changed)
	g.changed = make(chan struct{})
}

// consuming is one consume under way.
type consuming struct {
	in      *consumeIn
	cluster *cluster
	looked  *conditions
	member  *member // nil: without a group
	box     *inbox.Inbox[*received]
	gate    gate
	stop    context.CancelFunc
	done    chan struct{}

	mu        sync.Mutex
	reader    *reader // of the partitions that are ours now; nil: there are none
	rejoining bool

	seen, taken int
	read        map[place]int64 // up to where the messages were looked at
}

func newConsuming(c *cluster, in *consumeIn, looked *conditions) *consuming {
	s := &consuming{
		in: in, cluster: c, looked: looked, read: make(map[place]int64), gate: gate{changed: make(chan struct{})},
		box: inbox.New[*received](inbox.Limits{Messages: keptMessages, Bytes: keptBytes}),
	}
	if in.GroupID != "" {
		s.member = &member{cluster: c, group: in.GroupID, topics: in.topics()}
	}
	return s
}

// begin finds where to read from, and reads in the background.
func (s *consuming) begin(ctx context.Context) error {
	next, err := s.positions(ctx)
	if err != nil {
		return err
	}
	going, stop := context.WithCancel(ctx)
	s.stop, s.done = stop, make(chan struct{})
	s.reading(going, next)
	go func() {
		defer close(s.done)
		s.box.End(s.run(going))
	}()
	return nil
}

// positions are the partitions to read with their offsets.
func (s *consuming) positions(ctx context.Context) (map[place]int64, error) {
	at, err := s.in.startTime()
	if err != nil {
		return nil, err
	}
	level := isolationOf(s.in.Isolation)
	l, err := s.cluster.find(ctx, s.in.topics()...)
	if err != nil {
		return nil, err
	}
	if s.member != nil {
		places, err := s.member.join(ctx)
		if err != nil {
			return nil, err
		}
		return s.resumed(ctx, places, at)
	}
	places := l.places(s.in.topics())
	if s.in.Partition != nil {
		places = []place{{s.in.topics()[0], *s.in.Partition}}
	}
	if s.in.Offset != nil {
		_, err := l.leaders(places)
		return map[place]int64{places[0]: *s.in.Offset}, err
	}
	return s.cluster.offsets(ctx, places, at, level)
}

// resumed is where a group goes on: behind what it has read, else at the start. An
// offset that the partition no longer has counts as none.
func (s *consuming) resumed(ctx context.Context, places []place, at int64) (map[place]int64, error) {
	if len(places) == 0 {
		return nil, nil
	}
	level := isolationOf(s.in.Isolation)
	next, err := s.cluster.offsets(ctx, places, at, level)
	if err != nil {
		return nil, err
	}
	committed, err := s.member.committed(ctx, places)
	if err != nil || len(committed) == 0 {
		return next, err
	}
	first, err := s.cluster.offsets(ctx, places, earliest, level)
	if err != nil {
		return nil, err
	}
	last, err := s.cluster.offsets(ctx, places, latest, 0)
	for at, offset := range committed {
		if offset >= first[at] && offset <= last[at] {
			next[at] = offset
		}
	}
	return next, err
}

// reading makes a reader of partitions.
func (s *consuming) reading(ctx context.Context, next map[place]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reader, s.rejoining = nil, false
	if len(next) == 0 {
		return
	}
	s.reader = &reader{
		cluster: s.cluster, level: isolationOf(s.in.Isolation), next: next,
		whole: s.member == nil && s.in.Partition == nil,
		add: func(r record) error {
			if err := s.gate.enter(ctx, r.size()); err != nil {
				return err
			}
			s.box.Add(&received{record: r}, r.size())
			return nil
		},
	}
}

func (s *consuming) current() *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reader
}

// places is how many partitions are read.
func (s *consuming) places() int {
	if r := s.current(); r != nil {
		return len(r.places())
	}
	return 0
}

// run reads until ctx ends, as a member of the group too, which may give it other
// partitions on the way.
func (s *consuming) run(ctx context.Context) error {
	if s.member == nil {
		return s.current().run(ctx)
	}
	for {
		err := s.generation(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !rejoins(err) {
			return err
		}
		s.mu.Lock()
		s.rejoining = true
		s.mu.Unlock()
		next, err := s.positions(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		s.reading(ctx, next)
	}
}

// generation reads and shows that it lives until the group is divided anew, or
// something fails.
func (s *consuming) generation(ctx context.Context) error {
	going, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	if r := s.current(); r != nil {
		all.Go(func() {
			if err := r.run(going); err != nil {
				stop(err)
			}
		})
	}
	all.Go(func() { stop(s.beat(going)) })
	all.Wait()
	return context.Cause(going)
}

// beat shows that it lives until the group says something else.
func (s *consuming) beat(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	failing := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		err := s.member.beat(ctx)
		switch {
		case err == nil:
			failing = time.Time{}
			continue
		case rejoins(err) || !mayPass(err):
			return err
		case failing.IsZero():
			failing = time.Now()
		case time.Since(failing) > sessionTimeout:
			return err
		}
	}
}

// wait looks at messages until there are enough.
func (s *consuming) wait(ctx context.Context) (inbox.Report[*received], error) {
	return s.box.Wait(ctx, inbox.Query[*received]{
		Judge: func(m *received) (inbox.Judgement, error) { return s.judge(ctx, m) },
		Count: s.in.MaxMessages, Within: s.in.Within, Settle: s.settle,
	})
}

// settle makes sure that all that was there in time has been looked at.
func (s *consuming) settle(ctx context.Context) error {
	s.mu.Lock()
	r, rejoining := s.reader, s.rejoining
	s.mu.Unlock()
	switch {
	case s.taken >= s.in.Count:
		return nil
	case rejoining:
		return plugin.Errorf(plugin.CodeTimeout, "the group %s was dividing its partitions anew when the time was over", s.in.GroupID).WithHint("raise within, or use a group_id of your own")
	case r == nil:
		return nil // others have all the partitions
	}
	return r.settle(ctx)
}

// judge looks at one message, unless there are enough.
func (s *consuming) judge(ctx context.Context, m *received) (inbox.Judgement, error) {
	s.gate.leave(m.size())
	if s.taken >= s.in.MaxMessages {
		return inbox.Judgement{Differences: 2 * unreadableMiss}, nil
	}
	j, err := s.looked.judge(ctx, m)
	if err != nil {
		return j, err
	}
	s.seen++
	s.read[place{m.topic, m.partition}] = m.offset + 1
	if j.Fits {
		s.taken++
	}
	return j, nil
}

// halt stops reading.
func (s *consuming) halt() {
	if s.stop != nil {
		s.stop()
		<-s.done
	}
}

// end stops reading and leaves the group.
func (s *consuming) end(ctx context.Context) {
	s.halt()
	if s.member != nil {
		s.member.leave(ctx)
	}
}
