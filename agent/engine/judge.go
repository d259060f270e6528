package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/assert"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/redact"
)

// look lets the step's own expressions see the try's result.
func (r *stepRun) look(t *try) {
	r.own = ownResult{spec: r.s.Spec, result: t.result, duration: milliseconds(t.duration), flow: t.flow}
	if r.s.Spec != nil {
		r.own.declared = r.facts().declared
	}
	if t.hasData {
		r.own.result = given(t.data)
	}
	r.scope.own = &r.own
	r.env.Answer, r.env.Cut, r.env.CutKey = nil, "", ""
	if r.own.result.has {
		r.env.Answer = &r.own
	}
	if r.s.Spec != nil && r.s.Spec.BodyKey != "" && t.limited != "" {
		r.env.Cut, r.env.CutKey = t.limited, r.s.Spec.BodyKey
	}
}

// judge gives a try that was completed its verdict: assertions, match or the
// action's own expectation, and output.
func (r *stepRun) judge(t *try) {
	s := r.s
	t.assertions = r.judgeAll()
	if more := len(s.AssertAny) + len(s.AssertNone); more > 0 || s.Match != nil {
		t.assertions = append(make([]event.Assertion, 0, len(t.assertions)+more+1), t.assertions...)
		t.assertions = append(t.assertions, r.any(s.AssertAny)...)
		for _, a := range s.AssertNone {
			t.assertions = append(t.assertions, r.none(a))
		}
		if s.Match != nil {
			t.assertions = append(t.assertions, assert.CheckMatch(s.Match, s.MatchPos, r.env))
		}
	}
	t.status = event.Passed
	for i := range t.assertions {
		switch a := &t.assertions[i]; {
		case a.Passed:
		case a.Errored:
			if t.status == event.Passed {
				t.status, t.err = event.Errored, r.unjudged(a)
			}
		default:
			t.status, t.err = event.Failed, nil
		}
		if t.status == event.Failed {
			break
		}
	}
	r.outputs(t)
}

// judgeAll judges the claims that all must hold. Where they do, every run of the
// step says the same.
func (r *stepRun) judgeAll() []event.Assertion {
	known := r.facts()
	var out []event.Assertion // of the first that does not hold, and all after it
	for i, a := range known.claims {
		judged := a.Check(r.env)
		switch {
		case out != nil:
			out = append(out, judged)
		case !judged.Passed:
			out = append(make([]event.Assertion, 0, len(known.claims)), known.held[:i]...)
			out = append(out, judged)
		}
	}
	if out == nil {
		return known.held
	}
	return out
}

// unjudged is why an assertion could not be judged.
func (r *stepRun) unjudged(a *event.Assertion) *event.Error {
	out := &event.Error{
		Code: string(source.CodeValue), Message: a.Expression + ": " + a.Message, Blame: "system",
		Line: a.Line, Column: a.Column, Width: a.Width,
	}
	if r.env.Cut != "" {
		out.Code = string(source.CodeBody)
	}
	var called *functionError
	if errors.As(r.env.CallError, &called) && strings.Contains(a.Message, called.Error()) {
		called.blame(out)
	}
	return out
}

// any judges assert_any. Where one holds, those that hold are listed; else all.
func (r *stepRun) any(list []*assert.Assertion) []event.Assertion {
	var all, held []event.Assertion
	for _, a := range list {
		checked := a.Check(r.env)
		all = append(all, checked)
		if checked.Passed {
			held = append(held, checked)
		}
	}
	if len(held) > 0 {
		return held
	}
	for i := range all {
		all[i].Message = fmt.Sprintf("none of %d holds: %s", len(all), all[i].Message)
	}
	return all
}

// none judges one claim of assert_none: it must be false. A claim that reads
// what the answer does not have fails like any other, since a typo would pass
// for ever; `exists` and `== nil` test for absence.
func (r *stepRun) none(a *assert.Assertion) event.Assertion {
	out := a.Check(r.env)
	out.Expression = "not: " + out.Expression
	if out.Passed {
		out.Passed = false
		out.Message = "holds, and must not"
		return out
	}
	if out.Errored || !isFalse(a, &out, r.env) {
		return out
	}
	out.Passed, out.Message = true, ""
	out.Operands, out.Diff, out.DiffMore = nil, nil, 0
	out.Actual, out.Expected, out.HasActual, out.HasExpected = nil, nil, false, false
	return out
}

// isFalse tells a claim that is false from one that has no value.
func isFalse(a *assert.Assertion, judged *event.Assertion, env *expr.Env) bool {
	claim := a.Claim()
	if claim == nil {
		return judged.HasActual // a schema that the value does not have
	}
	v, err := claim.Eval(env)
	return err == nil && v == false
}

// outputs evaluates the step's output, also after a failed assertion: what is
// secret in it has to be masked, and `continue` lets later steps read it.
func (r *stepRun) outputs(t *try) {
	if len(r.s.Output) == 0 {
		return
	}
	out := make(map[string]any, len(t.outputs)+len(r.s.Output))
	for k, v := range t.outputs {
		out[k] = v
	}
	for _, o := range r.s.Output {
		v, err := o.Value.Eval(r.env)
		if err == nil && o.Secret {
			err = r.p.f.run.hide(o.Name, v)
		}
		if err == nil {
			out[o.Name] = v
			continue
		}
		status, problem := evaluationError(err, "output "+o.Name, r.s.Pos.File, true)
		switch {
		case t.status == event.Passed, t.status == event.Errored && status == event.Failed:
			t.status, t.err = status, problem
		}
	}
	t.outputs = out
}

// hide registers a secret. Values that are no text are hidden as they print.
func (x *run) hide(name string, v any) error {
	if v == nil {
		return nil
	}
	if err := x.conceal(name, value.Text(v)); err != nil {
		return &secretError{name: name, err: err}
	}
	return nil
}

// secret is the value of secret.<name>, asked for once a run.
func (x *run) secret(name string) (any, bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if v, ok := x.secrets[name]; ok {
		return v.value, v.err == nil, v.err
	}
	var v secretValue
	if x.e.cfg.Secret == nil {
		v.err = &secretError{name: name, err: errors.New("there is no source of secrets")}
	} else if text, err := x.e.cfg.Secret(name); err != nil {
		v.err = &secretError{name: name, err: err}
	} else if err := x.conceal(name, text); err != nil {
		v.err = &secretError{name: name, err: err}
	} else {
		v.value = text
	}
	if x.secrets == nil {
		x.secrets = map[string]secretValue{}
	}
	x.secrets[name] = v
	return v.value, v.err == nil, v.err
}

// allSecrets are the secrets that a flow names, for `secret` as a whole.
func (x *run) allSecrets(prog *flow.Program) (any, bool, error) {
	out := make(map[string]any, len(prog.Secrets))
	for _, name := range prog.Secrets {
		v, ok, err := x.secret(name)
		if err != nil {
			return nil, false, err
		}
		if ok {
			out[name] = v
		}
	}
	return out, true, nil
}

// secretError is a secret that cannot be used.
type secretError struct {
	name string
	err  error
}

func (e *secretError) Error() string {
	var refused *redact.Refusal
	if errors.As(e.err, &refused) {
		return refused.Error()
	}
	text := e.err.Error()
	if strings.Contains(text, e.name) {
		return text
	}
	return fmt.Sprintf("secret %q: %s", e.name, text)
}

func (e *secretError) Unwrap() error { return e.err }
