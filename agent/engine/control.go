package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// control makes one try of a control action.
func (r *stepRun) control(ctx context.Context) *try {
	switch c := r.s.Control.(type) {
	case *flow.Assert:
		return r.doAssert(c)
	case *flow.Set:
		return r.doSet(c)
	case *flow.Transform:
		return r.doTransform(c)
	case *flow.Log:
		return r.doLog(c)
	case *flow.Delay:
		return r.doDelay(ctx, c)
	case *flow.Fail:
		return r.doFail(c)
	case *flow.Condition:
		return r.doCondition(ctx, c)
	case *flow.ForEach:
		return r.doForEach(ctx, c)
	case *flow.Parallel:
		return r.doParallel(ctx, c)
	case *flow.WaitUntil:
		return r.doWaitUntil(ctx, c)
	case *flow.WaitFor:
		return r.doWaitFor(ctx, c)
	case *flow.RunFlow:
		return r.doRunFlow(ctx, c)
	}
	return erroredTry(source.CodeInternal, "testmesh", fmt.Sprintf("the engine does not know the action %s", r.s.Action))
}

// doAssert completes at once; the claims are judged as on any step.
func (r *stepRun) doAssert(c *flow.Assert) *try {
	if c.Data == nil {
		return &try{}
	}
	v, err := c.Data.Eval(r.env)
	if err != nil {
		return r.evaluationTry(err, "data")
	}
	return &try{data: v, hasData: true}
}

func (r *stepRun) doSet(c *flow.Set) *try {
	out := make(map[string]any, len(c.Values))
	for _, v := range c.Values {
		given, err := v.Value.Eval(r.env)
		if err != nil {
			return r.evaluationTry(err, v.Name)
		}
		out[v.Name] = given
	}
	return &try{outputs: out, result: given(out)}
}

func (r *stepRun) doLog(c *flow.Log) *try {
	message, data := "", any(nil)
	var err error
	if c.Message != nil {
		if message, err = c.Message.Text(r.env); err != nil {
			return r.evaluationTry(err, "message")
		}
	}
	if c.Data != nil {
		if data, err = c.Data.Eval(r.env); err != nil {
			return r.evaluationTry(err, "data")
		}
		if size(data, maxLogBytes) > maxLogBytes {
			data = cutText(value.Text(r.p.f.run.mask.Value(data)), previewBytes)
		}
	}
	r.log(c.Level, cutText(message, maxLogBytes), data)
	return &try{}
}

func (r *stepRun) doDelay(ctx context.Context, c *flow.Delay) *try {
	text, err := c.Duration.Text(r.env)
	if err != nil {
		return r.evaluationTry(err, "duration")
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return erroredTry(source.CodeConfig, "definition", fmt.Sprintf("duration: %q is not a duration such as 500ms or 5s", text))
	}
	if !sleep(ctx, d) {
		return &try{status: event.Cancelled}
	}
	return &try{}
}

func (r *stepRun) doFail(c *flow.Fail) *try {
	message := "the flow says so"
	if c.Message != nil {
		var err error
		if message, err = c.Message.Text(r.env); err != nil {
			return r.evaluationTry(err, "message")
		}
	}
	t := failedTry(source.CodeFail, message)
	t.answered = true
	return t
}

func (r *stepRun) doCondition(ctx context.Context, c *flow.Condition) *try {
	holds, problem := r.condition(c.If, "if")
	q := r.children()
	if problem != nil {
		r.start()
		q.skipEach(c.Then, "needs "+r.s.ID)
		q.skipEach(c.Else, "needs "+r.s.ID)
		return problem
	}
	taken, other := c.Then, c.Else
	if !holds {
		taken, other = c.Else, c.Then
	}
	q.skipEach(other, whyBranch)
	if len(taken) == 0 {
		return &try{status: event.Skipped, reason: whyNoBranch}
	}
	return r.container(q.list(ctx, taken))
}

// container is the try of an action whose steps have ended. Why it went wrong
// is told by its steps; handlers see the first of them.
func (r *stepRun) container(s summary) *try {
	t := &try{status: s.status(), answered: s.errored == 0, cause: s.first}
	switch t.status {
	case event.Passed:
		t.status = "" // its own assertions are still to be judged
	case event.Skipped:
		t.reason = whyAllSkipped
	}
	return t
}

// doParallel runs every branch on a goroutine of its own, max_concurrent at
// once. Branches do not see each other's values; later steps see all.
func (r *stepRun) doParallel(ctx context.Context, c *flow.Parallel) *try {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g := newGroup(c.MaxConcurrent)
	sums := make([]summary, len(c.Branches))
	layers := make([]*layer, len(c.Branches))
	for i := range c.Branches {
		b := &c.Branches[i]
		q := r.children(branchPath(*b)...)
		q.l = r.p.l.child(nil)
		layers[i] = q.l
		g.run(func() {
			sums[i] = q.list(ctx, b.Steps)
			if c.FailFast && sums[i].bad() {
				cancel(errFailFast)
			}
		})
	}
	g.wait()
	var total summary
	for i := range sums {
		total.merge(sums[i])
		r.p.l.fold(layers[i])
	}
	return r.container(total)
}

// doWaitFor asks until something answers.
func (r *stepRun) doWaitFor(ctx context.Context, c *flow.WaitFor) *try {
	url, err := c.URL.Text(r.env)
	if err != nil {
		return r.evaluationTry(err, "url")
	}
	prober := r.p.f.run.e.cfg.Prober
	if prober == nil {
		return erroredTry(source.CodeConfig, "agent", "wait_for is not available here")
	}
	limit := &timeLimit{what: "wait_for", d: c.Timeout}
	inner, stop := r.p.f.run.limit(ctx, c.Timeout, limit)
	defer stop()
	for n := 1; ; n++ {
		err := prober.Probe(inner, url)
		if err == nil {
			return &try{answered: true}
		}
		if never := (*plugin.Error)(nil); errors.As(err, &never) {
			return &try{status: event.Errored, err: pluginError(never)}
		}
		if inner.Err() == nil && sleep(inner, c.Interval) {
			continue
		}
		if ctx.Err() != nil {
			return &try{status: event.Cancelled}
		}
		t := failedTry(source.CodeWait, fmt.Sprintf("nothing answered at %s within %s, asked %d times: %s", url, c.Timeout, n, err))
		t.answered = true
		return t
	}
}
