package agent

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/agent/lease"
	"github.com/testmesh/testmesh/agent/stream"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// undecided says whether a run ended because its lease was lost, or because this agent
// ends and is in a hurry: that says something about this agent and its network, and
// nothing about the system under test. What had passed or failed before that is a verdict
// all the same.
func undecided(ctx context.Context, hurried bool, out engine.Outcome) bool {
	why := context.Cause(ctx)
	left := errors.Is(why, lease.ErrLost) || errors.Is(why, lease.ErrStopped) && hurried
	return left && out.Status != event.Passed && out.Status != event.Failed
}

// interrupted says whether a run was cut off by the end of this agent, and torn down:
// nobody wanted that, and another agent may have it.
func interrupted(ctx context.Context, out engine.Outcome) bool {
	return errors.Is(context.Cause(ctx), lease.ErrStopped) && out.Status == event.Cancelled
}

// abandon sends what a run did whose lease was lost, or which there is no time to tear
// down, and says that it was, so that another agent has it at once. Where nobody hears it, the lease ends by its time.
func (w *work) abandon(ctx context.Context, spool *stream.Spool) {
	a, l := w.agent, w.offer.GetLease()
	defer a.forget(spool)
	spool.Complete()
	a.sender.Written()
	telling, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverWithin)
	defer cancel()
	if fenced, err := a.sender.Drained(telling, spool); err == nil && fenced {
		return
	}
	if err := a.hello(telling, []*apiv1.Lease{l}); err != nil {
		a.cfg.Logger.Warn("that the lease of a run was lost could not be told", "run", l.GetRunId(), "error", err)
	}
}

// handBack sends what a run did that this agent's end has cut off, once it was torn
// down, and gives the run to others. Where nobody hears it, the lease ends by its time.
func (w *work) handBack(ctx context.Context, spool *stream.Spool) {
	a, l := w.agent, w.offer.GetLease()
	defer a.forget(spool)
	length, sum, _ := spool.Complete()
	a.sender.Written()
	telling, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverWithin)
	defer cancel()
	fenced, err := a.sender.Sent(telling, spool)
	if fenced {
		return
	}
	if err == nil {
		_, err = a.gateway.Return(telling, &apiv1.ReturnRequest{
			Lease: l, Reason: "the agent was told to end", Drained: true, StreamBytes: length, StreamSha256: sum,
		})
	}
	if err != nil {
		a.cfg.Logger.Warn("a run could not be given back: others have it once its lease ends", "run", l.GetRunId(), "error", err)
	}
}

// report brings the stream and the verdict to the control plane; done: the spool is not
// needed any more.
func (w *work) report(ctx context.Context, spool *stream.Spool, s *sink, out engine.Outcome) (done bool) {
	a, l := w.agent, w.offer.GetLease()
	length, sum, dropped := spool.Complete()
	a.sender.Written()
	// Not the run's context: that one may be cancelled, and its end counts all the same.
	telling, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportWithin)
	defer cancel()
	req := &apiv1.FinishRequest{
		Lease: l, Status: statuses[out.Status], Reason: out.Reason, DurationMs: s.duration, Steps: counts(out.Steps), Assertions: counts(out.Assertions),
		StepSummaries: s.summaries, StepCount: int32(s.steps), Orphans: orphans(s.orphans, out.Left), StreamBytes: length, StreamSha256: sum, DroppedBytes: dropped,
		Outputs: printed(s.outputs), Variables: printed(out.Variables),
	}
	if out.Error != nil && req.GetReason() == "" {
		req.Reason = out.Error.Message
	}
	if statuses[out.Status] == 0 {
		req.Status = apiv1.RunStatus_RUN_STATUS_ERRORED // never green by default
	}
	if err := a.keepEnd(req); err != nil {
		a.cfg.Logger.Warn("the end of a run could not be written down: were this process to end now, it would be lost", "run", l.GetRunId(), "error", err)
	}
	a.health.ended(req.GetStatus())
	return a.tell(telling, spool, req)
}

// tell brings an end home once its whole stream is there; done: nothing of it is needed
// any more.
func (a *Agent) tell(telling context.Context, spool *stream.Spool, req *apiv1.FinishRequest) (done bool) {
	l := req.GetLease()
	for telling.Err() == nil {
		fenced, err := a.sender.Sent(telling, spool)
		if fenced {
			a.cfg.Logger.Warn("the run is another agent's by now: what this one did does not count", "run", l.GetRunId())
			return true
		}
		if err == nil {
			if err = a.cfg.Fault.Point("agent.finish.before"); err == nil {
				_, err = a.gateway.Finish(telling, req)
			}
			err = errors.Join(err, a.cfg.Fault.Point("agent.finish.after"))
		}
		code := connect.CodeOf(err)
		if err == nil || code == connect.CodeAborted || code == connect.CodeNotFound || code == connect.CodeInvalidArgument {
			if err != nil {
				a.cfg.Logger.Error("the end of a run was refused", "run", l.GetRunId(), "error", err)
			}
			return true
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-telling.Done():
		}
	}
	a.cfg.Logger.Error("the end of a run could not be told", "run", l.GetRunId())
	return false
}

// reportWithin is how long an agent tries to bring a verdict home: longer than any
// lease, and shorter than for ever.
const reportWithin = 30 * time.Minute

var statuses = map[event.Status]apiv1.RunStatus{
	event.Passed: apiv1.RunStatus_RUN_STATUS_PASSED, event.Failed: apiv1.RunStatus_RUN_STATUS_FAILED, event.Errored: apiv1.RunStatus_RUN_STATUS_ERRORED,
	event.Cancelled: apiv1.RunStatus_RUN_STATUS_CANCELLED, event.Skipped: apiv1.RunStatus_RUN_STATUS_SKIPPED,
}

func counts(c event.Counts) *apiv1.Counts {
	return &apiv1.Counts{
		Passed: int32(c[event.Passed]), Failed: int32(c[event.Failed]), Errored: int32(c[event.Errored]), Skipped: int32(c[event.Skipped]), Cancelled: int32(c[event.Cancelled]),
	}
}

// maxOutputs bounds outputs in the record of a run; the stream has them whole.
const maxOutputs = 32 << 10

func printed(v map[string]any) string {
	if len(v) == 0 {
		return ""
	}
	text := value.Compact(map[string]any(v))
	if len(text) > maxOutputs {
		return ""
	}
	return text
}

// maxOrphans bounds what the record of a run lists.
const maxOrphans = 1000

func orphans(tracked, left []string) []string {
	all := append(tracked[:len(tracked):len(tracked)], left...)
	return all[:min(len(all), maxOrphans)]
}
