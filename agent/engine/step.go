package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// stepRun is one execution of a step: its tries, its handlers, its verdict.
type stepRun struct {
	p       *place
	s       *flow.Step
	known   *facts // of s, once somebody asked
	began   time.Time
	ev      *event.Step // of the try that runs
	first   *event.Step // of the first try
	opening sync.Once
	started bool // step.started was reported
	tries   int
	kids    *tally // of children and handlers; nil: none yet

	scope scope
	own   ownResult
	rand  random
	env   *expr.Env
	// limit is the cause of a context that this step's own time ended.
	limit timeLimit
	// removes is the tracked resource that this step cleans up; nil elsewhere.
	removes *resource

	// What most steps need once, made with the step.
	environ  expr.Env
	firstTry try
	stream   stream
	request  plugin.Request
	opened   event.Event
	ended    event.Event
}

// timeLimit is the cause of a context that a step's own time ended; steps below
// it see that it is not theirs.
type timeLimit struct {
	what string // "timeout", "within"
	d    time.Duration
}

func (l *timeLimit) Error() string { return whyTimeout }

// try is one try of a step and what came of it.
type try struct {
	status     event.Status // "" while it is not judged
	reason     string
	err        *event.Error
	assertions []event.Assertion
	outputs    map[string]any // of the action itself (set, transform, run_flow), then of `output`
	result     result
	raw        []byte // the result's JSON, where a plugin sent it
	bytes      int    // about what the result prints as, where a plugin sent it
	limited    string // a body was cut: what was said
	answered   bool   // the system answered, whatever it said
	effect     string
	duration   time.Duration
	retryAfter time.Duration
	flow       map[string]any // of run_flow: the called flow's names
	items      []any          // of for_each
	data       any            // of assert: the scope of its claims
	hasData    bool
	stream     *stream
	cause      *failed // of a container: the first step in it that went wrong
}

func erroredTry(code source.Code, blame, message string) *try {
	return &try{status: event.Errored, err: &event.Error{Code: string(code), Message: message, Blame: blame}}
}

func failedTry(code source.Code, message string) *try {
	return &try{status: event.Failed, err: &event.Error{Code: string(code), Message: message, Blame: "system"}}
}

// eventStep names a step in an event.
func (p *place) eventStep(s *flow.Step, try int) *event.Step {
	path := make([]string, len(p.path)+1)
	copy(path, p.path)
	path[len(p.path)] = s.ID
	return newEventStep(s, p.nameOf(s), p.phase, path, try)
}

func newEventStep(s *flow.Step, name string, phase event.Phase, path []string, try int) *event.Step {
	return &event.Step{
		ID: s.ID, Name: name, Action: s.Action, Phase: phase, Path: path, File: s.Pos.File, Line: s.Pos.Line, Try: try,
	}
}

// staticName is the name of a step for people, where it has no placeholders.
func staticName(s *flow.Step) (string, bool) {
	if s.Name == nil {
		return "", true
	}
	v, ok := s.Name.Static()
	if !ok {
		return "", false
	}
	return value.Text(v), true
}

// nameOf is the name of a step for people. One that cannot be printed is shown
// as written: a name judges nothing.
func (p *place) nameOf(s *flow.Step) string {
	if name, ok := staticName(s); ok {
		return name
	}
	key := append(p.path[:len(p.path):len(p.path)], s.ID, "name")
	env := p.f.run.env(&scope{f: p.f, l: p.l}, &random{run: p.f.run, key: key}, s.Dir)
	if text, err := s.Name.Text(env); err == nil {
		return text
	}
	return s.Name.Source()
}

// prepare decides whether the step is executed, and starts it. over: it has
// ended already.
func (r *stepRun) prepare(ctx context.Context) (v stepVerdict, over bool) {
	r.introduce()
	r.scope = scope{f: r.p.f, l: r.p.l}
	r.rand = random{run: r.p.f.run, key: r.ev.Path}
	r.environ = r.p.f.run.envOf(&r.scope, &r.rand, r.s.Dir)
	r.env = &r.environ
	if r.removes != nil && !r.removes.restored {
		r.scope.tracked = &r.removes.own
	}
	if d := r.p.f.run.debug; d != nil {
		if v, over := d.before(ctx, r); over {
			return v, true
		}
	}
	if r.s.When != nil {
		holds, problem := r.holds(ctx)
		if problem != nil {
			r.start()
			r.tries = 1
			r.handle(ctx, problem)
			r.p.skipChildren(r.s, "needs "+r.s.ID)
			return r.finish(problem), true
		}
		if !holds {
			return r.p.skip(r.s, whyWhen, stepVerdict{benign: true}), true
		}
	}
	if !r.lazy() {
		r.start()
	}
	return stepVerdict{}, false
}

// lazy tells the containers that start with the first step in them.
func (r *stepRun) lazy() bool {
	switch r.s.Control.(type) {
	case *flow.Condition, *flow.ForEach, *flow.Parallel, *flow.WaitUntil, *flow.RunFlow:
		return true
	}
	return false
}

// start reports that the step has started, after all that it is in.
func (r *stepRun) start() {
	r.opening.Do(func() {
		if r.p.container != nil {
			r.p.container.start()
		}
		r.started = true
		r.opened = event.Event{Type: event.TypeStepStarted, Step: r.first}
		r.p.f.run.out.report(&r.opened)
		if d := r.p.f.run.debug; d != nil {
			d.report(r)
		}
	})
}

// holds evaluates `when`.
func (r *stepRun) holds(ctx context.Context) (bool, *try) {
	for r.s.When != nil {
		holds, problem := r.condition(r.s.When, "when")
		if problem == nil || !r.again(ctx, problem) {
			return holds, problem
		}
	}
	return true, nil
}

// condition evaluates a claim that decides what is executed; the try is set
// where it could not be decided.
func (r *stepRun) condition(e *expr.Expr, where string) (bool, *try) {
	v, err := e.Eval(r.env)
	if err != nil {
		return false, r.evaluationTry(err, where)
	}
	holds, ok := v.(bool)
	if !ok {
		return false, erroredTry(source.CodeValue, "definition",
			fmt.Sprintf("%s gives %s, not true or false", where, value.Describe(v, 80)))
	}
	return holds, nil
}

// evaluationTry is the try that an expression outside of assertions ended.
func (r *stepRun) evaluationTry(err error, where string) *try {
	t := &try{}
	t.status, t.err = evaluationError(err, where, r.s.Pos.File, false)
	return t
}

// children is where the steps inside this one run.
func (r *stepRun) children(parts ...string) *place {
	q := r.p.below(append([]string{r.s.ID}, parts...)...)
	q.tally, q.container = r.below(), r
	q.quiet = r.p.quiet || r.s.OnFailure == flow.Ignore || r.s.Retry != nil || r.s.Eventually != nil
	tags := r.p.f.run.r.StepTags
	q.matched = r.p.matched || tags == nil || r.p.phase != event.PhaseSteps || tags.Match(r.s.Tags)
	return q
}

// below is the tally of what runs inside this step.
func (r *stepRun) below() *tally {
	if r.kids == nil {
		r.kids = &tally{}
	}
	return r.kids
}

// handle runs on_timeout or error_steps after a try that failed or errored.
// They never heal the verdict, and their own failures are listed only.
func (r *stepRun) handle(ctx context.Context, t *try) {
	if t.status != event.Failed && t.status != event.Errored {
		return
	}
	steps := r.s.ErrorSteps
	if len(r.s.OnTimeout) > 0 && isTimeout(r.failure(t).err) {
		steps = r.s.OnTimeout
	}
	if len(steps) == 0 {
		return
	}
	names := r.failure(t).names()
	names["FLOW_STATUS"] = string(t.status)
	q := r.children()
	q.quiet, q.regardless = true, true
	q.l = r.p.l.child(names)
	q.list(ctx, steps)
	r.p.l.fold(q.l)
}

// isTimeout tells whether time is why a try did not pass: its own limit, or a
// wait that ended.
func isTimeout(err *event.Error) bool {
	return err != nil && (err.Code == string(source.CodeTimeout) || err.Code == string(source.CodeWait))
}

// failure is the step as handlers see it.
func (r *stepRun) failure(t *try) *failed {
	x := &failed{id: r.s.ID, name: r.ev.Name, status: t.status, err: t.err}
	if x.err == nil && t.cause != nil {
		x.err = t.cause.err
	}
	if x.err == nil {
		for i := range t.assertions {
			if a := &t.assertions[i]; !a.Passed {
				x.err = &event.Error{Code: string(source.CodeAssert), Message: a.Expression + ": " + a.Message}
				break
			}
		}
	}
	return x
}

// finish records and reports the verdict.
func (r *stepRun) finish(t *try) stepVerdict {
	s, run := r.s, r.p.f.run
	if r.ev == nil { // a bug of ours, before it had a name
		r.first = r.p.eventStep(s, 1)
		r.ev = r.first
	}
	if t.status == event.Skipped && r.started {
		t.status, t.reason = event.Passed, "" // something in it was executed
	}
	if t.status != event.Skipped {
		r.start()
	}
	bad := t.status == event.Failed || t.status == event.Errored
	v := stepVerdict{
		status: t.status, ignored: bad && s.OnFailure == flow.Ignore,
		benign: t.status == event.Skipped, root: s.ID,
	}
	v.stop = (bad || t.status == event.Cancelled) && s.OnFailure != flow.Continue && s.OnFailure != flow.Ignore &&
		!r.p.regardless
	r.p.l.put(&record{step: s, status: t.status, outputs: t.outputs, result: t.result}, "")
	if bad && !v.ignored {
		v.failure = r.failure(t)
		if !r.p.quiet {
			r.p.f.note(v.failure)
		}
	}
	tries := max(r.tries, 1)
	if t.status == event.Skipped {
		skipped := *r.ev
		skipped.Try, tries, r.ev = 0, 0, &skipped
	}
	done := &event.StepFinished{
		Status: t.status, Reason: t.reason, Tries: tries, Waited: s.Eventually != nil, Effect: t.effect, Ignored: v.ignored,
		DurationMS: milliseconds(run.since(r.began)), Assertions: t.assertions, Error: t.err,
	}
	if bad && t.cause == nil {
		done.Values = r.values()
	}
	r.attach(done, t)
	if r.kids != nil {
		r.p.tally.merge(r.kids, v.ignored)
	}
	if !v.ignored {
		r.p.tally.add(t.status, t.assertions)
	}
	ended := &r.ended
	if ended.Type != "" { // a bug of ours came after the first end
		ended = new(event.Event)
	}
	*ended = event.Event{Type: event.TypeStepFinished, Step: r.ev, StepFinished: done}
	run.out.report(ended)
	if run.needs != nil && r.p.l == run.top.layer {
		run.keepChanged() // also what was folded into it before this end
	}
	return v
}
