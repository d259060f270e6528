package engine

import (
	"fmt"
	"sync"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
)

// frame is one execution of a flow: the run's own, or one that run_flow called.
// It holds the names that do not change while the flow runs.
type frame struct {
	run     *run
	prog    *flow.Program
	caller  *frame // of run_flow; nil for the run's own
	depth   int    // of run_flow
	path    []string
	layer   *layer
	env     envValues
	input   map[string]any
	columns map[string]any // of the row
	row     map[string]any // columns and index
	matrix  map[string]any

	mu     sync.Mutex
	status event.Status // the worst so far; "" while nothing went wrong
	done   bool         // its steps have ended: status may say passed
	first  *failed      // the first step that failed or errored
}

// failed is a step that went wrong, as handlers see it.
type failed struct {
	id, name string
	status   event.Status
	err      *event.Error
}

// names are what handlers see of it.
func (x *failed) names() map[string]any {
	code, message := "", ""
	if x.err != nil {
		code, message = x.err.Code, x.err.Message
	}
	return map[string]any{
		"failed_step": map[string]any{"id": x.id, "name": x.name, "status": string(x.status)},
		"error":       map[string]any{"code": code, "message": message},
	}
}

// note keeps a failure: the first one, and the worst status.
func (f *frame) note(x *failed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		f.first = x
	}
	if f.status != event.Failed {
		f.status = x.status
	}
}

// failure is the first step that went wrong, or nil.
func (f *frame) failure() *failed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first
}

// settle says how the steps ended, for teardown.
func (f *frame) settle(status event.Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status, f.done = status, true
}

// soFar is what FLOW_STATUS and flow.status show: never passed before the end.
func (f *frame) soFar() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status == "" {
		return "running"
	}
	return string(f.status)
}

// lookup gives the names that come after outputs and steps.
func (f *frame) lookup(name string, chain *envChain) (any, bool, error) {
	if v, ok := f.columns[name]; ok {
		return v, true, nil
	}
	if v, ok := f.matrix[name]; ok {
		return v, true, nil
	}
	if data := f.prog.Data; data != nil && data.As != "" && data.As == name {
		return data.Value, true, nil
	}
	if v, ok := f.input[name]; ok {
		return v, true, nil
	}
	if f.env.known(name) {
		v, ok, err := f.env.get(name, chain)
		if ok || err != nil {
			return v, ok, err
		}
	}
	return f.special(name, chain)
}

// special gives the names that are a name space of their own, and built-ins.
func (f *frame) special(name string, chain *envChain) (any, bool, error) {
	switch name {
	case "row":
		return f.row, f.row != nil, nil
	case "matrix":
		return f.matrix, f.matrix != nil, nil
	case "input":
		return f.input, true, nil
	case "env":
		return f.env.all(chain)
	case "secret":
		return f.run.allSecrets(f.prog)
	case "flow":
		return map[string]any{"name": f.prog.Name, "status": f.soFar(), "file": f.prog.File}, true, nil
	case "run":
		return map[string]any{
			"id": f.run.r.RunID, "attempt": int64(f.run.attempt), "environment": f.run.r.Environment,
		}, true, nil
	case "service":
		return f.services(chain)
	case "RUN_ID", "EXECUTION_ID":
		return f.run.r.RunID, true, nil
	case "FLOW_ID":
		return f.prog.File, true, nil
	case "FLOW_NAME":
		return f.prog.Name, true, nil
	case "FLOW_STATUS":
		return f.soFar(), true, nil
	}
	return nil, false, nil
}

// services are the addresses of the environment: those that the flow reads are
// evaluated, since they may hold placeholders.
func (f *frame) services(chain *envChain) (any, bool, error) {
	out := make(map[string]any, len(f.run.services)+len(f.prog.Services))
	for name, v := range f.run.services {
		out[name] = v
	}
	for _, s := range f.prog.Services {
		v, err := s.Value.Eval(f.evaluate("service."+s.Name, chain))
		if err != nil {
			return nil, false, fmt.Errorf("service.%s: %w", s.Name, err)
		}
		out[s.Name] = v
	}
	return out, true, nil
}

// evaluate makes what an expression of this flow needs, away from any step.
func (f *frame) evaluate(seed string, chain *envChain) *expr.Env {
	s := &scope{f: f, l: f.layer, env: chain}
	r := &random{run: f.run, key: []string{f.prog.File, seed}}
	return f.run.env(s, r, f.prog.Dir)
}
