package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
)

// Debugger is asked before and after each step that is executed. It is called
// on the goroutine of the step, so at once for steps side by side, and may
// block: no clock of the run goes on meanwhile. It returns when ctx is done.
type Debugger interface {
	// Before is called before anything of the step is done, its `when` included.
	Before(ctx context.Context, s *Stop) Decision
	// After is called once a step has its verdict, before its handlers run and
	// before it is reported.
	After(ctx context.Context, s *Stop) Decision
}

// Decision is what becomes of a step.
type Decision int

// The decisions.
const (
	Proceed Decision = iota
	Skip             // of Before: the step is not executed, and reported as skipped
	Retry            // of After: the step is executed again
)

const (
	whySkippedByHand = "skipped in the debugger"
	// maxHand bounds what the end of a run tells of what was done by hand.
	maxHand = 50
)

// debugging is what a run keeps for its debugger. A run without one has none.
type debugging struct {
	by    Debugger
	clock clock

	mu      sync.Mutex
	loaded  []*flow.Program           // the run's own, then those that were read again
	swapped map[*flow.Step]*flow.Step // steps of earlier programs to those of the last
	hand    []string                  // what was done by hand, in order
	pending []string                  // of it, what no step has reported yet
}

func newDebugging(r *Run) *debugging {
	if r.Debugger == nil {
		return nil
	}
	return &debugging{by: r.Debugger, loaded: []*flow.Program{r.Program}}
}

// before asks about a step that is about to be executed. over: it is not.
func (d *debugging) before(ctx context.Context, r *stepRun) (v stepVerdict, over bool) {
	r.renew(d)
	decision := d.ask(func() Decision { return d.by.Before(ctx, &Stop{r: r}) })
	r.renew(d)
	switch {
	case ctx.Err() != nil:
		v = r.p.skip(r.s, stopReason(ctx), stepVerdict{root: r.s.ID})
		if r.p.regardless {
			v.status = event.Cancelled // teardown did not complete
		}
		return v, true
	case decision == Skip:
		d.did("skipped " + r.where())
		return r.p.skip(r.s, whySkippedByHand, stepVerdict{benign: true}), true
	}
	return stepVerdict{}, false
}

// renew makes the step that was read last the one that is executed.
func (r *stepRun) renew(d *debugging) {
	s := d.current(r.s)
	if s == r.s {
		return
	}
	r.s = s
	tries := r.tries
	r.introduce()
	if tries > 0 {
		ev := *r.first
		ev.Try = tries
		r.ev = &ev
	}
	r.env.Dir = s.Dir
}

// debugged is proceed with a debugger.
func (r *stepRun) debugged(ctx context.Context) stepVerdict {
	t := r.attempts(ctx)
	for r.again(ctx, t) {
		if r.started {
			r.pause(ctx, t, 0)
		}
		r.kids = nil // the children of a try that is repeated do not count
		t = r.attempts(ctx)
	}
	r.handle(ctx, t)
	return r.finish(t)
}

// again asks about a step that has its verdict: true where it is executed again.
func (r *stepRun) again(ctx context.Context, t *try) bool {
	d := r.p.f.run.debug
	if d == nil {
		return false
	}
	decision := d.ask(func() Decision { return d.by.After(ctx, &Stop{r: r, t: t}) })
	if decision != Retry || ctx.Err() != nil {
		return false
	}
	r.renew(d)
	r.byHand("retried " + r.where())
	return true
}

// ask calls the debugger while the clocks stand still.
func (d *debugging) ask(call func() Decision) Decision {
	d.clock.halt()
	defer d.clock.resume()
	return call()
}

// byHand keeps what was done by hand and reports it: at once where the step has
// started, else with the next one that starts.
func (r *stepRun) byHand(what string) {
	d := r.p.f.run.debug
	d.did(what)
	if r.started {
		r.log("warn", "in the debugger: "+what, nil)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.pending) < maxHand {
		d.pending = append(d.pending, what)
	}
}

func (d *debugging) did(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.hand) <= maxHand && !slices.Contains(d.hand, what) {
		d.hand = append(d.hand, what)
	}
}

// report says what was done by hand before r started.
func (d *debugging) report(r *stepRun) {
	d.mu.Lock()
	pending := d.pending
	d.pending = nil
	d.mu.Unlock()
	for _, what := range pending {
		r.p.f.run.out.emit(event.Event{
			Type: event.TypeStepLog, Step: r.first, Log: &event.Log{Level: "warn", Message: "in the debugger: " + what},
		})
	}
}

// reason is the reason of a run with what was done by hand: a verdict that a
// person had a hand in says so.
func (d *debugging) reason(had string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.hand) == 0 {
		return had
	}
	list := d.hand
	more := ""
	if len(list) > maxHand {
		list, more = list[:maxHand], ", and more"
	}
	text := "in the debugger: " + strings.Join(list, ", ") + more
	if had != "" {
		text = had + "; " + text
	}
	return text
}

// where is the step's path as people write it.
func (r *stepRun) where() string {
	return strings.Join(append(slices.Clone(r.p.path), r.s.ID), "/")
}

// Stop is a step at which a run stands still. It is used by the call that it is
// given to, and by one goroutine. What it tells is masked.
type Stop struct {
	r *stepRun
	t *try // of After
}

// Step is the step's definition.
func (s *Stop) Step() *flow.Step { return s.r.s }

// Flow is the flow that the step stands in: the run's own or one that it calls.
func (s *Stop) Flow() *flow.Program { return s.r.p.f.prog }

// At names the step as events do.
func (s *Stop) At() *event.Step {
	at := *s.r.ev
	at.Name = s.r.p.f.run.mask.String(at.Name)
	return &at
}

// Counts tells whether a failure here makes the run's verdict: not in rounds of
// a wait, in tries of a container, in handlers, or where it is ignored.
func (s *Stop) Counts() bool { return !s.r.p.quiet && s.r.s.OnFailure != flow.Ignore }

// Finished is what the step came to, as its last event will say it; nil before.
func (s *Stop) Finished() *event.StepFinished {
	if s.t == nil {
		return nil
	}
	r, t := s.r, s.t
	done := &event.StepFinished{
		Status: t.status, Reason: t.reason, Tries: max(r.tries, 1), Waited: r.s.Eventually != nil, Effect: t.effect,
		DurationMS: milliseconds(r.p.f.run.since(r.began)), Assertions: t.assertions, Outputs: boundedMap(t.outputs), Error: t.err,
	}
	if t.result.has && r.s.Spec != nil {
		done.Result, done.HasResult = t.result.whole(), true
	}
	if (t.status == event.Failed || t.status == event.Errored) && t.cause == nil {
		done.Values = r.values()
	}
	return maskFinished(r.p.f.run.mask, done)
}

// Cause is the step inside of a container because of which it went wrong, as
// "id: message"; empty where the step itself did.
func (s *Stop) Cause() string {
	if s.t == nil || s.t.cause == nil {
		return ""
	}
	text := s.t.cause.id
	if err := s.t.cause.err; err != nil {
		text = fmt.Sprintf("%s: %s", text, err.Message)
	}
	return s.r.p.f.run.mask.String(text)
}
