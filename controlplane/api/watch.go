package api

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// Watch gives the stream of a run, attempt after attempt where no one is asked for.
func (s *server) Watch(ctx context.Context, req *apiv1.WatchRequest, out *connect.ServerStream[apiv1.WatchResponse]) error {
	first := &apiv1.WatchResponse{Attempt: cmp.Or(req.GetAttempt(), req.GetReadAttempt()), Offset: req.GetOffset()}
	b := beating(ctx, out.Send, first, func(last *apiv1.WatchResponse) *apiv1.WatchResponse {
		return &apiv1.WatchResponse{Attempt: last.GetAttempt(), Offset: last.GetOffset() + int64(len(last.GetData()))}
	})
	defer b.end()
	return s.watch(ctx, req, b.give)
}

func (s *server) watch(ctx context.Context, req *apiv1.WatchRequest, send func(*apiv1.WatchResponse) error) error {
	attempt, offset := cmp.Or(req.GetAttempt(), req.GetReadAttempt()), req.GetOffset()
	for {
		r, err := s.Runs.Run(ctx, req.GetRunId())
		if err != nil {
			return of(err, "run_id", "run", req.GetRunId())
		}
		changed := s.Runs.Changed(r.GetBatchId())
		if r, err = s.Runs.Run(ctx, req.GetRunId()); err != nil { // what changed before that is in it
			return err
		}
		ended := r.GetStatus() >= apiv1.RunStatus_RUN_STATUS_PASSED
		newest := newestStream(r)
		if newest != nil && (attempt == 0 || req.GetAttempt() == 0 && newest.GetNumber() > attempt) {
			restarted := attempt != 0
			attempt = newest.GetNumber()
			if restarted {
				offset = 0
				if err := send(&apiv1.WatchResponse{Attempt: attempt, Restarted: true}); err != nil {
					return err
				}
			}
		}
		if attempt != 0 {
			over := ended || newest == nil || newest.GetNumber() != attempt || newest.GetOutcome() != ""
			if offset, err = s.follow(ctx, r.GetId(), attempt, offset, changed, over || req.GetNoFollow(), send); err != nil {
				return err
			}
		}
		if ended || req.GetNoFollow() {
			return send(&apiv1.WatchResponse{Attempt: attempt, Offset: offset, Run: r})
		}
		if err := s.change(ctx, changed); err != nil {
			return err
		}
	}
}

// change waits for one.
func (s *server) change(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-s.Stopping:
		return &Error{Kind: Unavailable, Message: "this node ends: ask another, or this one again soon"}
	default:
	}
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newestStream is the newest attempt that has a stream: one that has started.
func newestStream(r *apiv1.Run) *apiv1.Attempt {
	for i := len(r.GetAttempts()) - 1; i >= 0; i-- {
		if at := r.GetAttempts()[i]; at.GetStarted() != nil {
			return at
		}
	}
	return nil
}

// follow gives a stream until it ends, or until the run has changed.
func (s *server) follow(ctx context.Context, run string, attempt int32, offset int64, changed <-chan struct{}, over bool, send func(*apiv1.WatchResponse) error) (int64, error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	if !over {
		go func() {
			select {
			case <-changed:
				stop()
			case <-reading.Done():
			}
		}()
	}
	err := s.Streams.Read(reading, run, attempt, offset, !over, func(at int64, data []byte) error {
		offset = at + int64(len(data))
		return send(&apiv1.WatchResponse{Attempt: attempt, Offset: at, Data: data})
	})
	if reading.Err() != nil && ctx.Err() == nil {
		return offset, nil // the run has changed
	}
	return offset, err
}

// WatchBatch tells of every change of a batch until it has ended.
func (s *server) WatchBatch(ctx context.Context, req *apiv1.WatchBatchRequest, out *connect.ServerStream[apiv1.WatchBatchResponse]) error {
	b := beating(ctx, out.Send, &apiv1.WatchBatchResponse{}, func(last *apiv1.WatchBatchResponse) *apiv1.WatchBatchResponse {
		return &apiv1.WatchBatchResponse{Batch: last.GetBatch()}
	})
	defer b.end()
	return s.watchBatch(ctx, req, b.give)
}

// batchPace is the least time between two answers of one batch: what changes meanwhile
// is told together.
const batchPace = 100 * time.Millisecond

func (s *server) watchBatch(ctx context.Context, req *apiv1.WatchBatchRequest, send func(*apiv1.WatchBatchResponse) error) error {
	told := map[string]string{}
	for {
		changed := s.Runs.Changed(req.GetBatchId())
		b, err := s.Runs.Batch(ctx, req.GetBatchId())
		if err != nil {
			return of(err, "batch_id", "batch", req.GetBatchId())
		}
		runs, err := s.Runs.RunsOfBatch(ctx, req.GetBatchId())
		if err != nil {
			return err
		}
		b.Source = nil
		res := &apiv1.WatchBatchResponse{Batch: b}
		for _, r := range runs {
			state := fmt.Sprint(r.GetStatus(), len(r.GetAttempts()), r.GetCancelling(), r.GetQuarantined(), r.GetReason())
			if told[r.GetId()] != state {
				told[r.GetId()] = state
				res.Runs = append(res.Runs, r)
			}
		}
		if err := send(res); err != nil {
			return err
		}
		if b.GetStatus() != apiv1.BatchStatus_BATCH_STATUS_ACTIVE {
			return nil
		}
		if err := s.change(ctx, changed); err != nil {
			return err
		}
		select {
		case <-time.After(batchPace):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
