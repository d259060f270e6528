package engine

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// doRunFlow runs another flow inside the step.
func (r *stepRun) doRunFlow(ctx context.Context, c *flow.RunFlow) *try {
	prog, problem := r.target(c)
	if problem != nil {
		return problem
	}
	if r.p.f.depth >= maxCallDepth {
		return erroredTry(source.CodeLimit, "definition", fmt.Sprintf("run_flow is nested deeper than %d", maxCallDepth))
	}
	given, problem := r.flowInput(c)
	if problem != nil {
		return problem
	}
	input, wrong := r.p.f.run.takeInput(prog, given, nil)
	if wrong != nil {
		return &try{status: event.Errored, err: wrong}
	}
	call := func() called { return r.callFlow(ctx, c, prog, input) }
	var out called
	shared := false
	switch c.Once {
	case "run", "batch":
		b := &r.p.f.run.once
		if c.Once == "batch" {
			b = r.p.f.run.batch
			call = r.amongAgents(ctx, r.onceKey(prog, input), call)
		}
		var err error
		if out, shared, err = b.do(ctx, r.onceKey(prog, input), call); err != nil {
			return &try{status: event.Cancelled}
		}
	default:
		out = call()
	}
	return r.calledTry(prog, out, shared)
}

// calledTry is the step's try after the called flow.
func (r *stepRun) calledTry(prog *flow.Program, out called, shared bool) *try {
	output := out.outputs
	if output == nil {
		output = map[string]any{}
	}
	names := map[string]any{"name": prog.Name, "file": prog.File, "status": string(out.status), "output": output}
	t := &try{
		status: out.status, reason: out.reason, err: out.err, cause: out.cause, answered: out.status != event.Errored, flow: names,
		result: given(map[string]any{"status": string(out.status), "output": output}), outputs: out.outputs,
	}
	if shared || out.elsewhere {
		shared = true
		for _, o := range prog.Output { // another run's mask knows them
			if o.Secret {
				if err := r.p.f.run.hide(o.Name, out.outputs[o.Name]); err != nil {
					return erroredTry(source.CodeSecret, "definition", err.Error())
				}
			}
		}
	}
	if out.status == event.Passed {
		t.status = ""
		if shared {
			r.log("info", fmt.Sprintf("flow %q ran before: its outputs are taken", prog.Name), nil)
		}
	} else if shared {
		t.reason = "once"
		if t.err == nil {
			t.err = beforeError(prog, out)
		}
	}
	return t
}

// beforeError tells a caller that shares a failure what happened elsewhere.
func beforeError(prog *flow.Program, out called) *event.Error {
	err := &event.Error{Message: fmt.Sprintf("flow %q ran before, once, and was %s", prog.Name, out.status), Blame: "system"}
	if out.cause != nil {
		err.Message += ": step " + out.cause.id
		if out.cause.err != nil {
			err.Code, err.Blame = out.cause.err.Code, out.cause.err.Blame
			err.Message += ": " + out.cause.err.Message
		}
	}
	return err
}

// onceKey tells one execution from another: flow version, input, environment.
func (r *stepRun) onceKey(prog *flow.Program, input map[string]any) string {
	return strings.Join([]string{prog.Version, prog.File, prog.Name, r.p.f.run.r.Environment, value.Compact(input)}, "\x00")
}

// callFlow runs the phases of the called flow.
func (r *stepRun) callFlow(ctx context.Context, c *flow.RunFlow, prog *flow.Program, input map[string]any) called {
	run := r.p.f.run
	q := r.children()
	f := run.newFrame(prog, r.p.f, q.path)
	f.input = input
	if c.InheritEnv {
		f.env = newEnvValues(f, &r.p.f.env)
	}
	p := run.topPlace(f)
	p.tally, p.matched, p.container, p.quiet = q.tally, true, r, false
	// The caller's teardown runs under a time of its own already.
	end := run.phases(ctx, f, p, run.r.NoTeardown)
	return called{status: end.status, reason: end.reason, outputs: end.outputs, err: end.err, cause: f.failure()}
}

// target is the flow that the step calls.
func (r *stepRun) target(c *flow.RunFlow) (*flow.Program, *try) {
	if c.Flow != nil {
		return c.Flow, nil
	}
	name, err := c.Name.Text(r.env)
	if err != nil {
		return nil, r.evaluationTry(err, "flow")
	}
	prog := c.Candidates[name]
	if prog == nil {
		prog = c.Candidates[path.Join(r.s.Dir, name)]
	}
	if prog != nil {
		return prog, nil
	}
	t := erroredTry(source.CodeFile, "definition", fmt.Sprintf("flow: no flow %q among the files of this flow", name))
	known := slices.Sorted(maps.Keys(c.Candidates))
	if near := value.Closest(name, known); near != "" {
		t.err.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	return nil, t
}

// flowInput is what the caller gives: the file's values, then the written ones.
func (r *stepRun) flowInput(c *flow.RunFlow) (map[string]any, *try) {
	given := map[string]any{}
	if c.InputFile != nil {
		v, problem := r.file(c.InputFile)
		if problem != nil {
			return nil, problem
		}
		m, ok := v.(map[string]any)
		if !ok {
			return nil, erroredTry(source.CodeInput, "definition", fmt.Sprintf("input_file holds %s, not a map", value.Describe(v, 40)))
		}
		for k, e := range m {
			given[k] = e
		}
	}
	for _, in := range c.Input {
		v, err := in.Value.Eval(r.env)
		if err != nil {
			return nil, r.evaluationTry(err, "input."+in.Name)
		}
		given[in.Name] = v
	}
	return given, nil
}

// takeInput checks what is given to a flow: types, defaults, what is missing.
func (x *run) takeInput(prog *flow.Program, given map[string]any, row *flow.Row) (map[string]any, *event.Error) {
	merged := given
	if row != nil {
		merged = make(map[string]any, len(given)+len(prog.Inputs))
		for k, v := range given {
			merged[k] = v
		}
		for i := range prog.Inputs {
			if v, ok := row.Values[prog.Inputs[i].Name]; ok {
				merged[prog.Inputs[i].Name] = v
			}
		}
	}
	input, problems := prog.AcceptInput(merged)
	if len(problems) > 0 {
		p := problems[0]
		return input, &event.Error{Code: string(p.Code), Message: p.Message, Hint: p.Hint, Blame: "definition"}
	}
	for i := range prog.Inputs {
		if in := &prog.Inputs[i]; in.Secret {
			if err := x.hide("input."+in.Name, input[in.Name]); err != nil {
				return input, &event.Error{Code: string(source.CodeSecret), Message: err.Error(), Blame: "definition"}
			}
		}
	}
	return input, nil
}
