package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
)

// ending is how a flow ended.
type ending struct {
	status  event.Status
	reason  string
	err     *event.Error
	outputs map[string]any
	left    []string // of a teardown elsewhere: what it could not do
	began   bool     // setup was started, so that teardown and clean-up are due
}

// Why steps were not executed.
const (
	whyDisabled    = "disabled"
	whyWhen        = "when"
	whyStepTag     = "step_tag"
	whyFailFast    = "fail_fast"
	whyCancelled   = "cancelled"
	whySetup       = "setup"
	whyBranch      = "branch not taken"
	whyNoItems     = "no items"
	whyNoBranch    = "no branch to take"
	whyAllSkipped  = "all its steps were skipped"
	whyInterrupted = "interrupted"
	whyTimeout     = "timeout"
	whyOutside     = "outside --from and --to"
	whyEnded       = "the step ended before"
)

// phases runs setup, steps, on_error and teardown of a flow. Clean-up is the
// run's, since tracked resources go with the caller's.
func (x *run) phases(parent context.Context, f *frame, p *place, interrupt <-chan struct{}) ending {
	prog := f.prog
	cause := errRunTimeout
	if f.caller != nil {
		cause = errCallTimeout
	}
	var ctx context.Context
	var stop context.CancelFunc
	if prog.Config.Timeout > 0 {
		ctx, stop = x.limit(parent, prog.Config.Timeout, cause)
	} else {
		ctx, stop = context.WithCancel(parent)
	}
	defer stop()
	if f.caller == nil {
		x.stoppable(stop)
	}

	var setup, steps summary
	began := ctx.Err() == nil
	if len(prog.Setup) > 0 {
		x.protect("setup", func() { setup = p.in(event.PhaseSetup).list(ctx, prog.Setup) })
	}
	x.protect("steps", func() {
		if setup.bad() || setup.cancelled > 0 && ctx.Err() == nil {
			p.skipAll(prog.Steps, event.PhaseSteps, whySetup)
			return
		}
		steps = p.in(event.PhaseSteps).list(ctx, prog.Steps)
	})
	end := verdict(ctx, setup, steps)
	end.began = began
	if end.status == event.Passed || end.status == event.Skipped {
		x.protect("output", func() { x.flowOutput(f, &end) })
	} else {
		x.protect("output", func() { partial := end; x.flowOutput(f, &partial); end.outputs = partial.outputs })
	}
	if setup.bad() || steps.bad() {
		x.protect("on_error", func() {
			if context.Cause(ctx) != nil {
				p.skipAll(prog.OnError, event.PhaseOnError, stopReason(ctx))
				return
			}
			on := p.in(event.PhaseOnError)
			on.l, on.quiet = f.layer.child(f.failure().names()), true
			on.list(ctx, prog.OnError)
		})
	}
	f.settle(end.status)
	if !began {
		p.skipAll(prog.Teardown, event.PhaseTeardown, stopReason(ctx))
		return end
	}
	if len(prog.Teardown) == 0 {
		return end
	}
	var down summary
	x.protect("teardown", func() {
		last, done := x.lastContext(prog.Config.TeardownTimeout, interrupt)
		defer done()
		down = p.in(event.PhaseTeardown).list(last, prog.Teardown)
	})
	if down.bad() || down.cancelled > 0 {
		end.incomplete("teardown")
	}
	return end
}

// verdict is the rule for a run: failed if a step failed (in setup: errored),
// else errored if one errored, else cancelled, else skipped if no step of
// `steps` was executed, else passed.
func verdict(ctx context.Context, setup, steps summary) ending {
	cause := context.Cause(ctx)
	timedOut := cause != nil && (errors.Is(cause, errRunTimeout) || errors.Is(cause, errCallTimeout))
	reason := ""
	if timedOut {
		reason = errRunTimeout.Error()
	}
	switch {
	case steps.failed > 0:
		return ending{status: event.Failed, reason: reason}
	case setup.bad():
		if reason == "" {
			reason = whySetup
		}
		return ending{status: event.Errored, reason: reason}
	case steps.errored > 0 || timedOut:
		return ending{status: event.Errored, reason: reason}
	case cause != nil:
		return ending{status: event.Cancelled, reason: stopReason(ctx)}
	case setup.cancelled+steps.cancelled > 0:
		return ending{status: event.Cancelled, reason: whyCancelled}
	case steps.executed() == 0:
		return ending{status: event.Skipped, reason: "no step was executed"}
	}
	return ending{status: event.Passed}
}

// incomplete makes the run errored, where it was not failed, since something
// was left behind.
func (e *ending) incomplete(what string) {
	if e.status == event.Failed || e.status == event.Errored {
		return
	}
	e.status, e.reason = event.Errored, what+" did not complete"
}

// lastContext is the context of teardown and of clean-up: a time of its own,
// ended by the second signal.
func (x *run) lastContext(limit time.Duration, interrupt <-chan struct{}) (context.Context, func()) {
	if limit <= 0 {
		limit = time.Minute
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(x.ctx))
	ctx, stop := x.limit(ctx, limit, errCleanTime)
	if interrupt == nil {
		return ctx, func() { stop(); cancel(nil) }
	}
	select {
	case <-interrupt:
		cancel(errNoTeardown)
		return ctx, stop
	default:
	}
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-interrupt:
			cancel(errNoTeardown)
		case <-ended:
		}
	}()
	return ctx, func() {
		close(ended)
		<-watched
		stop()
		cancel(nil)
	}
}

// flowOutput evaluates the flow's own output. A path that is missing fails the
// flow as it would fail a step.
func (x *run) flowOutput(f *frame, end *ending) {
	if len(f.prog.Output) == 0 || end.status == event.Skipped {
		return
	}
	env := f.evaluate("output", nil)
	out := make(map[string]any, len(f.prog.Output))
	for _, o := range f.prog.Output {
		v, err := o.Value.Eval(env)
		if err == nil && o.Secret {
			err = x.hide(o.Name, v)
		}
		if err != nil {
			status, problem := evaluationError(err, "output "+o.Name, f.prog.File, true)
			if end.status != event.Failed && end.status != event.Errored {
				end.status, end.reason, end.err = status, problem.Message, problem
			}
			continue
		}
		out[o.Name] = v
	}
	end.outputs = out
}

// topPlace is where the lists of a flow run.
func (x *run) topPlace(f *frame) *place {
	return &place{f: f, l: f.layer, path: f.path, tally: &x.tally, limit: f.prog.Config.MaxConcurrent}
}

// stopReason says why ctx ended, as a reason of events.
func stopReason(ctx context.Context) string {
	cause := context.Cause(ctx)
	var limit *timeLimit
	switch {
	case cause == nil:
		return ""
	case errors.Is(cause, errRunTimeout), errors.Is(cause, errCallTimeout):
		return errRunTimeout.Error()
	case errors.Is(cause, errFailFast):
		return whyFailFast
	case errors.Is(cause, errCleanTime):
		return errCleanTime.Error()
	case errors.Is(cause, errNoTeardown):
		return whyInterrupted
	case errors.As(cause, &limit):
		return whyTimeout
	case errors.Is(cause, context.Canceled), errors.Is(cause, context.DeadlineExceeded):
		return whyCancelled
	}
	return fmt.Sprintf("%s: %s", whyCancelled, cause)
}

// checkSelection refuses --from and --to that name no step.
func (x *run) checkSelection() *event.Error {
	for _, id := range [...]string{x.r.From, x.r.To} {
		if id == "" {
			continue
		}
		found := false
		for _, s := range x.r.Program.Steps {
			found = found || s.ID == id
		}
		if !found {
			return &event.Error{
				Code: "E-USAGE", Message: fmt.Sprintf("no step %q among the flow's steps", id), Blame: "definition",
			}
		}
	}
	return nil
}

// selected tells whether --from and --to let a top-level step run.
func (x *run) selected(steps []*flow.Step) func(i int) bool {
	from, to := 0, len(steps)-1
	for i, s := range steps {
		if s.ID == x.r.From && x.r.From != "" {
			from = i
		}
		if s.ID == x.r.To && x.r.To != "" {
			to = i
		}
	}
	return func(i int) bool { return i >= from && i <= to }
}
