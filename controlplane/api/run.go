package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"

	"github.com/testmesh/testmesh/flow/tag"
)

// Runs reads runs and batches, as this node has them.
type Runs interface {
	Run(ctx context.Context, id string) (*apiv1.Run, error)
	Runs(ctx context.Context, q RunQuery) (runs []*apiv1.Run, end Cursor, more bool, err error)
	RunsOfBatch(ctx context.Context, batch string) ([]*apiv1.Run, error)
	Batch(ctx context.Context, id string) (*apiv1.Batch, error)
	Batches(ctx context.Context, workspace string, before Cursor, limit int) ([]*apiv1.Batch, error)
	Quarantined(ctx context.Context, workspace string) ([]*apiv1.Run, error)
	// Changed is closed when a run or batch may have changed, or anything where the batch
	// is empty; it is asked for before
	// what it is about is read.
	Changed(batch string) <-chan struct{}
}

// RunQuery says which runs a list holds; what is zero is not looked at.
type RunQuery struct {
	Workspace    string
	Status       []apiv1.RunStatus
	Environment  string
	Flow         string
	Batch, Agent string
	Since, Until time.Time
	Tags         func(tags []string) bool
	Before       Cursor
	Limit        int
}

// Cursor is a place in a list of newest first.
type Cursor struct {
	Created int64
	ID      string
}

// Queue says what waits.
type Queue interface {
	Why(ctx context.Context, run string) (*apiv1.WhyResponse, error)
	// Match says which agents would take runs of all of these kinds.
	Match(ctx context.Context, specs []*apiv1.Spec) (*apiv1.MatchAgentsResponse, error)
	Stats(ctx context.Context, workspace, environment string) (*apiv1.QueueStatsResponse, error)
	Poll(ctx context.Context, agent string, req *apiv1.PollRequest) (*apiv1.PollResponse, error)
	Renew(ctx context.Context, agent string, req *apiv1.RenewRequest) (*apiv1.RenewResponse, error)
	Lost(ctx context.Context, agent string, leases []*apiv1.Lease) error
}

// defaultPage is the length of a page where none is asked for.
const defaultPage = 50

func page(size int32) int {
	if size == 0 {
		return defaultPage
	}
	return int(size)
}

func (c Cursor) token() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.Created, 10) + "/" + c.ID))
}

func cursor(token string) (Cursor, error) {
	if token == "" {
		return Cursor{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	created, id, ok := strings.Cut(string(raw), "/")
	millis, err2 := strconv.ParseInt(created, 10, 64)
	if err != nil || err2 != nil || !ok || id == "" {
		return Cursor{}, invalid("page_token", "the page token is none of this server's")
	}
	return Cursor{millis, id}, nil
}

// CreateBatch queues runs. That they can be made is checked before it is acknowledged.
// A few are made with their batch, many afterwards.
func (s *server) CreateBatch(ctx context.Context, req *apiv1.CreateBatchRequest) (*apiv1.CreateBatchResponse, error) {
	source, err := s.selected(ctx, req.GetSource(), req.GetStored(), req.GetRows())
	if err != nil {
		return nil, err
	}
	files, err := beside(source, req.GetRows())
	if err != nil {
		return nil, err
	}
	runs, err := s.plan(ctx, source, files)
	if err != nil {
		return nil, err
	}
	if len(files) > 0 {
		if err := s.store(ctx, source, files); err != nil {
			return nil, err
		}
		for _, r := range runs { // they are of the bundle that has the rows too
			r.Spec.Bundle = source.GetBundle()
		}
	}
	return s.create(ctx, req.GetIdempotencyKey(), req, source, runs)
}

const (
	// few runs are made with their batch, in one entry of the log.
	few = 50
	// maxTogether bounds that entry, well below what the log takes.
	maxTogether = 128 << 10
)

func (s *server) create(ctx context.Context, key string, req proto.Message, source *apiv1.Source, runs []*clusterv1.NewRun) (*apiv1.CreateBatchResponse, error) {
	c, err := s.command(ctx, key, req)
	if err != nil {
		return nil, err
	}
	b := &clusterv1.CreateBatch{Id: s.NewID(), Source: source}
	if len(runs) <= few {
		b.Runs = runs
	}
	if proto.Size(b) > maxTogether {
		b.Runs = nil
	}
	c.Body = &clusterv1.Command_CreateBatch{CreateBatch: b}
	a, err := s.propose(ctx, c)
	if err != nil {
		return nil, err
	}
	return &apiv1.CreateBatchResponse{Batch: a.GetBatch(), Index: a.GetIndex()}, nil
}

// ListBatches gives the newest first.
func (s *server) ListBatches(ctx context.Context, req *apiv1.ListBatchesRequest) (*apiv1.ListBatchesResponse, error) {
	before, err := cursor(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	limit := page(req.GetPageSize())
	list, err := s.Runs.Batches(ctx, workspace, before, limit+1)
	if err != nil {
		return nil, err
	}
	res := &apiv1.ListBatchesResponse{Batches: list}
	if len(list) > limit {
		res.Batches = list[:limit]
		last := list[limit-1]
		res.NextPageToken = Cursor{last.GetCreated().AsTime().UnixMilli(), last.GetId()}.token()
	}
	return res, nil
}

// GetBatch gives a batch with its source.
func (s *server) GetBatch(ctx context.Context, req *apiv1.GetBatchRequest) (*apiv1.GetBatchResponse, error) {
	if err := s.fresh(ctx, req.GetRead()); err != nil {
		return nil, err
	}
	index := s.Proposer.Applied()
	b, err := s.Runs.Batch(ctx, req.GetId())
	return &apiv1.GetBatchResponse{Batch: b, Index: index}, of(err, "id", "batch", req.GetId())
}

// ListRuns gives the newest first.
func (s *server) ListRuns(ctx context.Context, req *apiv1.ListRunsRequest) (*apiv1.ListRunsResponse, error) {
	if err := s.fresh(ctx, req.GetRead()); err != nil {
		return nil, err
	}
	before, err := cursor(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	q := RunQuery{
		Workspace: workspace, Status: req.GetStatus(), Environment: req.GetEnvironment(), Flow: req.GetFlow(), Batch: req.GetBatchId(),
		Agent: req.GetAgentId(), Before: before, Limit: page(req.GetPageSize()),
	}
	if req.GetSince() != nil {
		q.Since = req.GetSince().AsTime()
	}
	if req.GetUntil() != nil {
		q.Until = req.GetUntil().AsTime()
	}
	if text := req.GetTags(); text != "" {
		expr, err := tag.Parse(text)
		if err != nil {
			return nil, invalid("tags", "%v", err)
		}
		q.Tags = expr.Match
	}
	index := s.Proposer.Applied()
	runs, end, more, err := s.Runs.Runs(ctx, q)
	if err != nil {
		return nil, err
	}
	res := &apiv1.ListRunsResponse{Runs: runs, Index: index}
	if more {
		res.NextPageToken = end.token()
	}
	return res, nil
}

// GetRun gives all of a run but its stream.
func (s *server) GetRun(ctx context.Context, req *apiv1.GetRunRequest) (*apiv1.GetRunResponse, error) {
	if err := s.fresh(ctx, req.GetRead()); err != nil {
		return nil, err
	}
	index := s.Proposer.Applied()
	r, err := s.Runs.Run(ctx, req.GetId())
	return &apiv1.GetRunResponse{Run: r, Index: index}, of(err, "id", "run", req.GetId())
}

// GetRunSource gives what a run was made of.
func (s *server) GetRunSource(ctx context.Context, req *apiv1.GetRunSourceRequest) (*apiv1.GetRunSourceResponse, error) {
	r, err := s.Runs.Run(ctx, req.GetId())
	if err != nil {
		return nil, of(err, "id", "run", req.GetId())
	}
	b, err := s.Runs.Batch(ctx, r.GetBatchId())
	if err != nil {
		return nil, of(err, "id", "batch of run", req.GetId())
	}
	spec := r.GetSpec()
	files, err := s.Flows.Bundle(ctx, spec.GetBundle())
	if err != nil {
		return nil, of(err, "id", "bundle of run", req.GetId())
	}
	text, err := s.content(ctx, files, spec.GetFile())
	if err != nil {
		return nil, err
	}
	queued := b.GetSource()
	queued.Flows = nil
	return &apiv1.GetRunSourceResponse{Text: string(text), File: spec.GetFile(), Files: files, Queued: queued}, nil
}

// Cancel asks runs to end.
func (s *server) Cancel(ctx context.Context, req *apiv1.CancelRequest) (*apiv1.CancelResponse, error) {
	if len(req.GetRunIds()) == 0 && req.GetBatchId() == "" {
		return nil, invalid("run_ids", "say which runs, or which batch")
	}
	if err := s.known(ctx, req.GetRunIds(), req.GetBatchId()); err != nil {
		return nil, err
	}
	c, err := s.command(ctx, req.GetIdempotencyKey(), req)
	if err != nil {
		return nil, err
	}
	c.Body = &clusterv1.Command_CancelRuns{CancelRuns: &clusterv1.CancelRuns{RunIds: req.GetRunIds(), BatchId: req.GetBatchId(), Reason: req.GetReason()}}
	a, err := s.propose(ctx, c)
	if err != nil {
		return nil, err
	}
	return &apiv1.CancelResponse{Cancelled: a.GetChanged()}, nil
}

// known makes sure that what is to be changed is there. This node may be behind the one
// that has made it, so it is looked at twice.
func (s *server) known(ctx context.Context, runs []string, batch string) error {
	var fresh bool
	look := func(read func() error) error {
		err := read()
		if err == nil || fresh {
			return err
		}
		if err := s.Proposer.Read(ctx); err != nil {
			return err
		}
		fresh = true
		return read()
	}
	for i, id := range runs {
		err := look(func() error { _, err := s.Runs.Run(ctx, id); return err })
		if err != nil {
			return of(err, fmt.Sprintf("run_ids[%d]", i), "run", id)
		}
	}
	if batch == "" {
		return nil
	}
	err := look(func() error { _, err := s.Runs.Batch(ctx, batch); return err })
	return of(err, "batch_id", "batch", batch)
}

// SetPriority changes what is next.
func (s *server) SetPriority(ctx context.Context, req *apiv1.SetPriorityRequest) (*apiv1.SetPriorityResponse, error) {
	if len(req.GetRunIds()) == 0 && req.GetBatchId() == "" {
		return nil, invalid("run_ids", "say which runs, or which batch")
	}
	if err := s.known(ctx, req.GetRunIds(), req.GetBatchId()); err != nil {
		return nil, err
	}
	c, err := s.command(ctx, req.GetIdempotencyKey(), req)
	if err != nil {
		return nil, err
	}
	c.Body = &clusterv1.Command_SetPriority{SetPriority: &clusterv1.SetPriority{RunIds: req.GetRunIds(), BatchId: req.GetBatchId(), Priority: req.GetPriority()}}
	a, err := s.propose(ctx, c)
	if err != nil {
		return nil, err
	}
	return &apiv1.SetPriorityResponse{Changed: a.GetChanged()}, nil
}

// Why says what a run waits for.
func (s *server) Why(ctx context.Context, req *apiv1.WhyRequest) (*apiv1.WhyResponse, error) {
	res, err := s.Queue.Why(ctx, req.GetRunId())
	return res, of(err, "run_id", "run", req.GetRunId())
}

// QueueStats are numbers of the queue.
func (s *server) QueueStats(ctx context.Context, req *apiv1.QueueStatsRequest) (*apiv1.QueueStatsResponse, error) {
	res, err := s.Queue.Stats(ctx, req.GetWorkspace(), req.GetEnvironment())
	if err != nil {
		return nil, err
	}
	held, err := s.Runs.Quarantined(ctx, workspace)
	res.Quarantined = int32(len(held))
	return res, err
}

// ListQuarantine are the runs that wait for somebody to release them.
func (s *server) ListQuarantine(ctx context.Context, _ *apiv1.ListQuarantineRequest) (*apiv1.ListQuarantineResponse, error) {
	runs, err := s.Runs.Quarantined(ctx, workspace)
	return &apiv1.ListQuarantineResponse{Runs: runs}, err
}

// Release queues one of them again.
func (s *server) Release(ctx context.Context, req *apiv1.ReleaseRequest) (*apiv1.ReleaseResponse, error) {
	c, err := s.command(ctx, req.GetIdempotencyKey(), req)
	if err != nil {
		return nil, err
	}
	c.Body = &clusterv1.Command_ReleaseRun{ReleaseRun: &clusterv1.ReleaseRun{RunId: req.GetRunId()}}
	_, err = s.propose(ctx, c)
	return &apiv1.ReleaseResponse{}, of(err, "run_id", "run", req.GetRunId())
}
