package engine

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Batch is what the runs of one batch share: the called flows that run once.
type Batch struct {
	mu   sync.Mutex
	once map[string]*onceCall
}

// onceCall is one called flow that runs once; ended is closed when it has.
type onceCall struct {
	ended chan struct{}
	kept  bool // it ended by itself, and its outcome stands
	call  called
}

// called is how a called flow ended, as its caller sees it.
type called struct {
	status  event.Status
	reason  string
	outputs map[string]any
	err     *event.Error // where no step of it is to blame
	cause   *failed      // the first step that went wrong
}

// NewBatch makes the state of one batch.
func NewBatch() *Batch { return &Batch{once: map[string]*onceCall{}} }

// do runs fn for the first who asks for key; the others wait for its outcome.
// One that was cancelled does not stand: the next who waits runs it again.
func (b *Batch) do(ctx context.Context, key string, fn func() called) (out called, shared bool, err error) {
	for {
		b.mu.Lock()
		c := b.once[key]
		if c == nil {
			c = &onceCall{ended: make(chan struct{})}
			b.once[key] = c
			b.mu.Unlock()
			return b.lead(c, key, fn), false, nil
		}
		b.mu.Unlock()
		select {
		case <-c.ended:
			if c.kept {
				return c.call, true, nil
			}
		case <-ctx.Done():
			return called{}, false, context.Cause(ctx)
		}
	}
}

func (b *Batch) lead(c *onceCall, key string, fn func() called) called {
	defer func() {
		if !c.kept {
			b.mu.Lock()
			delete(b.once, key)
			b.mu.Unlock()
		}
		close(c.ended)
	}()
	c.call = fn()
	c.kept = c.call.status != event.Cancelled
	return c.call
}

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
		b := r.p.f.run.once
		if c.Once == "batch" {
			b = r.p.f.run.batch
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
		result: map[string]any{"status": string(out.status), "output": output}, has: true, outputs: out.outputs,
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
	var known []string
	for candidate := range c.Candidates {
		known = append(known, candidate)
	}
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

// file reads a JSON or YAML file of the project.
func (r *stepRun) file(name *expr.Template) (any, *try) {
	text, err := name.Text(r.env)
	if err != nil {
		return nil, r.evaluationTry(err, "input_file")
	}
	bad := func(err error) (any, *try) {
		return nil, erroredTry(source.CodeFile, "definition", fmt.Sprintf("input_file %q: %s", text, err))
	}
	project := r.p.f.run.e.cfg.FS
	full := path.Join(r.s.Dir, text)
	if project == nil || path.IsAbs(text) || !fs.ValidPath(full) {
		return bad(fmt.Errorf("it leads out of the project"))
	}
	f, err := project.Open(full)
	if err != nil {
		return bad(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return bad(err)
	}
	if len(data) > maxFileBytes {
		return bad(fmt.Errorf("it is over %d MiB", maxFileBytes>>20))
	}
	v, err := decodeFile(full, data)
	if err != nil {
		return bad(err)
	}
	return v, nil
}

// decodeFile reads JSON, or YAML by its extension.
func decodeFile(name string, data []byte) (any, error) {
	if ext := path.Ext(name); ext != ".yaml" && ext != ".yml" {
		return value.Decode(data)
	}
	docs, problems := source.Load(name, data)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if len(docs) != 1 {
		return nil, fmt.Errorf("it holds %d documents, not one", len(docs))
	}
	return nodeValue(docs[0]), nil
}

// nodeValue is a YAML node as plain data.
func nodeValue(n *source.Node) any {
	switch n.Kind {
	case source.List:
		out := make([]any, len(n.Items))
		for i, item := range n.Items {
			out[i] = nodeValue(item)
		}
		return out
	case source.Map:
		out := make(map[string]any, len(n.Entries))
		for _, e := range n.Entries {
			out[e.Key.Text] = nodeValue(e.Value)
		}
		return out
	}
	return n.Value
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
