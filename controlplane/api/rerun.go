package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

// Rerun makes a batch of the runs of one that was: the same flows, as they were then.
func (s *server) Rerun(ctx context.Context, req *apiv1.RerunRequest) (*apiv1.RerunResponse, error) {
	old, err := s.Runs.Batch(ctx, req.GetBatchId())
	if err != nil {
		return nil, of(err, "batch_id", "batch", req.GetBatchId())
	}
	runs, err := s.Runs.RunsOfBatch(ctx, req.GetBatchId())
	if err != nil {
		return nil, err
	}
	source := proto.CloneOf(old.GetSource())
	source.Only, source.Trigger = nil, "rerun of batch "+old.GetId()
	var again []*apiv1.Run
	for _, r := range runs {
		ended := r.GetStatus() >= apiv1.RunStatus_RUN_STATUS_PASSED
		if req.GetRunId() != "" && r.GetId() != req.GetRunId() || req.GetFailed() && (!ended || r.GetStatus() == apiv1.RunStatus_RUN_STATUS_PASSED) {
			continue
		}
		again = append(again, r)
		source.Only = append(source.Only, &apiv1.Repeat{File: r.GetSpec().GetFile(), Index: r.GetSpec().GetIndex(), Ordinal: r.GetSpec().GetOrdinal(), RunId: r.GetId()})
	}
	switch {
	case len(again) == 0 && req.GetRunId() != "" && !req.GetFailed():
		return nil, missing("run_id", "run", req.GetRunId()+" in this batch")
	case len(again) == 0:
		return nil, &Error{Kind: Conflict, Field: "failed", Message: "there is nothing to run again: no run of the batch has ended other than passed"}
	case req.GetFrom() != "":
		if err := s.from(ctx, req.GetFrom(), again, source); err != nil {
			return nil, err
		}
	}
	made, err := s.Catalog.Plan(ctx, workspace, source)
	if err != nil {
		return nil, err
	}
	res, err := s.create(ctx, req.GetIdempotencyKey(), req, source, made)
	if err != nil {
		return nil, err
	}
	return &apiv1.RerunResponse{Batch: res.GetBatch()}, nil
}

// from lets a source begin with a step, with what the steps gave in the run before.
func (s *server) from(ctx context.Context, step string, again []*apiv1.Run, source *apiv1.Source) error {
	if len(again) != 1 {
		return invalid("from", "a step to go on from is of one run: give its run_id")
	}
	r := again[0]
	at := newestStream(r)
	if at == nil {
		return &Error{Kind: Conflict, Field: "from", Message: fmt.Sprintf("run %s never began, so no step gave anything: run it again without from", r.GetId())}
	}
	steps, err := s.given(ctx, r, at)
	if err != nil {
		return err
	}
	// The form of --save-context, which agents read.
	text := value.Append(nil, map[string]any{"v": int64(event.Version), "flow": r.GetSpec().GetFlow(), "run_id": r.GetId(), "steps": steps})
	sum := sha256.Sum256(text)
	source.From, source.SavedContext = step, hex.EncodeToString(sum[:])
	if err := s.Blobs.Put(ctx, contentKey(source.GetSavedContext()), bytes.NewReader(text)); err != nil {
		return &Error{Kind: Unavailable, Message: "what the steps gave cannot be stored at the moment", Cause: err}
	}
	return nil
}

// given is what each step of a run gave, as its stream says: with secrets masked.
func (s *server) given(ctx context.Context, r *apiv1.Run, at *apiv1.Attempt) (map[string]any, error) {
	steps := map[string]any{}
	var rest []byte
	err := s.Streams.Read(ctx, r.GetId(), at.GetNumber(), 0, false, func(_ int64, data []byte) error {
		rest = append(rest, data...)
		for {
			line, more, whole := bytes.Cut(rest, []byte("\n"))
			if !whole {
				if len(rest) > maxContext {
					return errLong
				}
				return nil
			}
			rest = more
			if !bytes.Contains(line, []byte(`"step.finished"`)) {
				continue
			}
			e, err := event.Decode(line)
			if err != nil || e.Step.Phase != event.PhaseSteps || len(e.Step.Path) != 1 {
				continue // a step inside of another is not named from outside of it
			}
			one := map[string]any{"status": string(e.StepFinished.Status)}
			if len(e.StepFinished.Outputs) > 0 {
				one["outputs"] = e.StepFinished.Outputs
			}
			if e.StepFinished.HasResult {
				one["result"] = e.StepFinished.Result
			}
			steps[e.Step.ID] = one
		}
	})
	if errors.Is(err, errLong) {
		return nil, &Error{Kind: Conflict, Field: "from", Message: "the stream of the run cannot be read: it has a line that is too long"}
	}
	return steps, err
}

// maxContext bounds a line of a stream that a context is made of: results over 64 KiB
// are artifacts, and are not in it.
const maxContext = 4 << 20

var errLong = errors.New("a line is too long")
