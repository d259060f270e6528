package engine

import (
	"context"
	"runtime/debug"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
)

// place is where a list of steps runs: what its steps share.
type place struct {
	f       *frame
	l       *layer
	path    []string // of the containers above
	phase   event.Phase
	tally   *tally
	retry   *flow.Retry // default of plugin actions
	quiet   bool        // failures here do not count: handlers, rounds, tries
	matched bool        // a container above matches the step tags
	limit   int         // of steps at once
	// regardless runs each step although an earlier one failed, one after the
	// other: teardown, on_error, handlers, clean-up.
	regardless bool
	// container is the step that the list is in; nil at the top. It starts when
	// the first step in it does, since a skipped step has no start.
	container *stepRun
}

// in is p for a phase of its flow.
func (p *place) in(phase event.Phase) *place {
	q := *p
	q.phase = phase
	switch phase {
	case event.PhaseSteps:
		q.retry = p.f.prog.Config.Retry
	case event.PhaseOnError, event.PhaseTeardown:
		q.regardless = true
	}
	return &q
}

// below is p for the children of a step, below the given parts of a path.
func (p *place) below(parts ...string) *place {
	q := *p
	q.path = append(p.path[:len(p.path):len(p.path)], parts...)
	return &q
}

// verdicts of the steps of a list.
type stepVerdict struct {
	status  event.Status
	ignored bool   // its failure does not count
	benign  bool   // skipped, and what needs it may run
	root    string // the step because of which it was skipped
	stop    bool   // it failed, errored or was cancelled, and stops what needs it
	failure *failed
}

// summary is how the steps of a list ended; ignored ones count as passed.
type summary struct {
	passed, failed, errored, skipped, cancelled int
	// ranIgnored counts executed steps whose failure does not count.
	ranIgnored int
	stopped    bool    // one failed, errored or was cancelled whose policy is to stop
	first      *failed // the first that failed or errored, in the list's order
}

func (s *summary) add(v stepVerdict) {
	if s.first == nil {
		s.first = v.failure
	}
	s.stopped = s.stopped || v.stop
	switch {
	case v.ignored && (v.status == event.Failed || v.status == event.Errored):
		s.ranIgnored++
	case v.status == event.Passed:
		s.passed++
	case v.status == event.Failed:
		s.failed++
	case v.status == event.Errored:
		s.errored++
	case v.status == event.Cancelled:
		s.cancelled++
	default:
		s.skipped++
	}
}

func (s *summary) merge(o summary) {
	s.passed += o.passed
	s.failed += o.failed
	s.errored += o.errored
	s.skipped += o.skipped
	s.cancelled += o.cancelled
	s.ranIgnored += o.ranIgnored
	s.stopped = s.stopped || o.stopped
	if s.first == nil {
		s.first = o.first
	}
}

func (s summary) bad() bool { return s.failed+s.errored > 0 }

func (s summary) executed() int {
	return s.passed + s.failed + s.errored + s.cancelled + s.ranIgnored
}

// status is that of a container with these children.
func (s summary) status() event.Status {
	switch {
	case s.failed > 0:
		return event.Failed
	case s.errored > 0:
		return event.Errored
	case s.cancelled > 0:
		return event.Cancelled
	case s.passed+s.ranIgnored > 0:
		return event.Passed
	}
	return event.Skipped
}

// list runs the steps of one list by their needs. Every step is reported, also
// when a bug of ours ends the list early.
func (p *place) list(ctx context.Context, steps []*flow.Step) summary {
	if len(steps) == 0 {
		return summary{}
	}
	if p.regardless {
		return p.each(ctx, steps)
	}
	r := &listRun{p: p, steps: steps, ctx: ctx, done: make([]stepVerdict, len(steps))}
	if p.phase == event.PhaseSteps && len(p.path) == len(p.f.path) && p.f.caller == nil && (p.f.run.r.From != "" || p.f.run.r.To != "") {
		r.selected = p.f.run.selected(steps)
	}
	if linear(steps) {
		r.inOrder() // nothing runs beside a step that has to be cancelled
	} else {
		r.ctx, r.cancel = context.WithCancelCause(ctx)
		defer r.cancel(nil)
		r.byNeeds()
	}
	var s summary
	for _, v := range r.done {
		s.add(v)
	}
	return s
}

// linear tells whether each step needs just the one above.
func linear(steps []*flow.Step) bool {
	for i, s := range steps {
		if i == 0 && len(s.Needs) == 0 {
			continue
		}
		if len(s.Needs) != 1 || s.Needs[0] != i-1 {
			return false
		}
	}
	return true
}

// listRun is one execution of a list.
type listRun struct {
	p        *place
	steps    []*flow.Step
	ctx      context.Context
	cancel   context.CancelCauseFunc // nil in a list that goes in order
	failFast bool                    // a step failed: nothing more is started
	done     []stepVerdict           // zero: not yet
	selected func(int) bool
}

// finished keeps a verdict and says where nothing more is to start.
func (r *listRun) finished(i int, v stepVerdict) {
	r.done[i] = v
	if v.stop && v.status != event.Cancelled && r.ctx.Err() == nil {
		r.failFast = true
	}
}

// blocked gives the verdict of a step that cannot run. open tells that a step
// it needs has not ended yet.
func (r *listRun) blocked(i int) (v stepVerdict, open, skip bool) {
	s := r.steps[i]
	root := ""
	for _, n := range s.Needs {
		d := r.done[n]
		switch {
		case d.status == "":
			open = true
		case d.stop && root == "":
			root = r.steps[n].ID
		case d.status == event.Skipped && !d.benign && root == "":
			root = d.root
		}
	}
	switch {
	case root == "" && open:
		return stepVerdict{}, true, false
	case r.selected != nil && !r.selected(i):
		r.p.restore(s)
		return r.p.skip(s, whyOutside, stepVerdict{benign: true}), false, true
	case s.Disabled:
		return r.p.skip(s, whyDisabled, stepVerdict{benign: true}), false, true
	case !r.p.tagged(s):
		return r.p.skip(s, whyStepTag, stepVerdict{benign: true}), false, true
	case root != "":
		return r.p.skip(s, "needs "+root, stepVerdict{root: root}), false, true
	case r.failFast:
		return r.p.skip(s, whyFailFast, stepVerdict{root: s.ID}), false, true
	case r.ctx.Err() != nil:
		return r.p.skip(s, stopReason(r.ctx), stepVerdict{root: s.ID}), false, true
	}
	return stepVerdict{}, false, false
}

// inOrder is the fast path: one step after the other, on this goroutine.
func (r *listRun) inOrder() {
	for i, s := range r.steps {
		v, _, skip := r.blocked(i)
		if !skip {
			v = r.p.step(r.ctx, s)
		}
		r.finished(i, v)
	}
}

// byNeeds runs whatever can run, at most limit at once, in the list's order.
func (r *listRun) byNeeds() {
	type ended struct {
		i int
		v stepVerdict
	}
	limit := r.p.limit
	if limit <= 0 {
		limit = len(r.steps)
	}
	results := make(chan ended)
	started := make([]bool, len(r.steps))
	for running := 0; ; {
		ready := r.skipBlocked(started)
		if r.failFast {
			// After what was not started is skipped, so that the order of events does
			// not depend on how fast those that run hear of it.
			r.cancel(errFailFast)
		}
		if running == 0 && len(ready) == 0 {
			return
		}
		if running == 0 && len(ready) == 1 {
			i := ready[0]
			started[i] = true
			r.finished(i, r.p.step(r.ctx, r.steps[i]))
			continue
		}
		over := false
		for _, i := range ready {
			if running == limit || over {
				break
			}
			started[i] = true
			// A step starts here, so that starts are in the list's order.
			step := r.p.newStep(r.steps[i])
			var v stepVerdict
			if v, over = step.begin(r.ctx); over {
				r.finished(i, v)
				continue
			}
			running++
			go func() { results <- ended{i, step.proceed(r.ctx)} }()
		}
		if over {
			continue // something else may be ready now
		}
		e := <-results
		running--
		r.finished(e.i, e.v)
	}
}

// skipBlocked skips what cannot run any more and gives what can run now.
func (r *listRun) skipBlocked(started []bool) []int {
	var ready []int
	for again := true; again; {
		again, ready = false, ready[:0]
		for i := range r.steps {
			if started[i] {
				continue
			}
			v, open, skip := r.blocked(i)
			switch {
			case skip:
				started[i], again = true, true
				r.finished(i, v)
			case !open:
				ready = append(ready, i)
			}
		}
	}
	return ready
}

// each runs every step in the file's order, each although an earlier one failed,
// and without needs.
func (p *place) each(ctx context.Context, steps []*flow.Step) summary {
	var s summary
	for _, step := range steps {
		switch {
		case step.Disabled:
			s.add(p.skip(step, whyDisabled, stepVerdict{}))
		case ctx.Err() != nil:
			p.skip(step, stopReason(ctx), stepVerdict{})
			s.cancelled++
		default:
			s.add(p.step(ctx, step))
		}
	}
	return s
}

// step runs one step.
func (p *place) step(ctx context.Context, s *flow.Step) stepVerdict {
	r := p.newStep(s)
	if v, over := r.begin(ctx); over {
		return v
	}
	return r.proceed(ctx)
}

func (p *place) newStep(s *flow.Step) *stepRun {
	return &stepRun{p: p, s: s, began: p.f.run.e.cfg.Now()}
}

// begin and proceed are the two halves of a step: a bug of ours in them ends the
// step, not the run.
func (r *stepRun) begin(ctx context.Context) (v stepVerdict, over bool) {
	defer func() {
		if caught := recover(); caught != nil {
			v, over = r.crashed(caught), true
		}
	}()
	return r.prepare(ctx)
}

func (r *stepRun) proceed(ctx context.Context) (v stepVerdict) {
	defer func() {
		if caught := recover(); caught != nil {
			v = r.crashed(caught)
		}
	}()
	if r.p.f.run.debug != nil {
		return r.debugged(ctx)
	}
	t := r.attempts(ctx)
	r.handle(ctx, t)
	return r.finish(t)
}

func (r *stepRun) crashed(caught any) stepVerdict {
	err := r.p.f.run.bug("step "+r.s.ID, caught, debug.Stack())
	return r.finish(&try{status: event.Errored, err: err})
}
