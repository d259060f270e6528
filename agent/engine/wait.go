package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// doWaitUntil repeats its steps until they pass and the condition holds. Only
// the last round counts; a failed child, and a path that is missing in the
// condition, mean "not yet".
func (r *stepRun) doWaitUntil(ctx context.Context, c *flow.WaitUntil) *try {
	limit := &timeLimit{what: "wait_until", d: c.Timeout}
	inner, stop := r.p.f.run.limit(ctx, c.Timeout, limit)
	defer stop()
	base := r.below() // of the rounds that count: the last
	why := ""         // the last whole round did not do
	for n := 0; ; n++ {
		round := r.round(inner, c, n)
		if why == "" || inner.Err() == nil {
			why = round.why
		}
		switch {
		case round.problem != nil:
			base.merge(round.tally, false)
			return round.problem
		case round.holds:
			base.merge(round.tally, false)
			r.p.l.fold(round.layer)
			if round.idle {
				return &try{status: event.Skipped, reason: whyAllSkipped}
			}
			return &try{answered: true}
		case ctx.Err() != nil:
			base.merge(round.tally, true)
			return &try{status: event.Cancelled}
		}
		if inner.Err() == nil && sleep(inner, c.Interval) {
			continue
		}
		base.merge(round.tally, false)
		r.p.l.fold(round.layer)
		if ctx.Err() != nil {
			return &try{status: event.Cancelled}
		}
		t := failedTry(source.CodeWait, fmt.Sprintf("not within %s, after %d rounds: %s", c.Timeout, n+1, why))
		t.answered = true
		return t
	}
}

// round is one round of a wait.
type round struct {
	layer   *layer
	tally   *tally
	holds   bool
	idle    bool   // every step in it was skipped
	why     string // it does not hold
	problem *try   // the wait can never end
}

func (r *stepRun) round(ctx context.Context, c *flow.WaitUntil, n int) round {
	q := *r.p
	q.path = append(r.p.path[:len(r.p.path):len(r.p.path)], fmt.Sprintf("%s[%d]", r.s.ID, n))
	q.matched = r.children().matched
	q.quiet, q.tally, q.l, q.container = true, &tally{}, r.p.l.child(nil), r
	out := round{layer: q.l, tally: q.tally}
	s := q.list(ctx, c.Steps)
	switch s.status() {
	case event.Failed:
		out.why = "a step in it failed"
		return out
	case event.Errored:
		out.why = "a step in it could not be judged"
		return out
	case event.Cancelled:
		out.why = "its last round was cut short"
		return out
	}
	if c.Condition == nil {
		out.holds = true
		out.idle = s.executed() == 0
		return out
	}
	r.start()
	r.scope.l = q.l
	v, err := c.Condition.Eval(r.env)
	r.scope.l = r.p.l
	var missing *expr.MissingError
	switch {
	case errors.As(err, &missing):
		out.why = "condition: " + err.Error()
	case err != nil:
		out.problem = r.evaluationTry(err, "condition")
	case v == true:
		out.holds = true
	case v == false:
		out.why = c.Condition.Text() + " is false"
	default:
		out.problem = erroredTry(source.CodeValue, "definition", fmt.Sprintf("condition gives %s, not true or false", value.Describe(v, 80)))
	}
	return out
}
