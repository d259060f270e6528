package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
)

// Variable is a name that the stopped step can read.
type Variable struct {
	Group  string // loop, output, step, row, matrix, input, env, secret
	Name   string
	Value  any
	Origin string
	Unread bool // of env: nothing has asked for it, so that it has no value yet
}

// Change is a variable that was changed by hand.
type Change struct {
	Name     string
	Old, New any
	HadOld   bool
	// Known is false where nothing had the name: a typo, or what a step would
	// have given that was skipped.
	Known bool
	// Keeps is another spelling that still has the old value; empty: none.
	Keeps string
}

// Evaluate gives the value of an expression, or of a text with placeholders, in
// the step's place, with the value of every operand.
func (s *Stop) Evaluate(text string) (any, []event.Operand, error) {
	v, operands, err := s.evaluate(text)
	m := s.r.p.f.run.mask
	if err != nil {
		return nil, nil, maskedError{m.String(err.Error()), err}
	}
	for i := range operands {
		o := &operands[i]
		o.Text, o.Value, o.Missing, o.Error = m.String(o.Text), m.Value(o.Value), m.String(o.Missing), m.String(o.Error)
	}
	return m.Value(v), operands, nil
}

type maskedError struct {
	text string
	err  error
}

func (e maskedError) Error() string { return e.text }

func (e maskedError) Unwrap() error { return e.err }

func (s *Stop) evaluate(text string) (any, []event.Operand, error) {
	x, err := expr.Compile(text, s.options())
	if err != nil {
		if !strings.Contains(text, "${") && !strings.Contains(text, "{{") {
			return nil, nil, err
		}
		t, wrong := expr.CompileTemplate(text, s.options())
		if wrong != nil {
			return nil, nil, wrong
		}
		v, err := t.Eval(s.r.env)
		return v, nil, err
	}
	return x.Explain(s.r.env)
}

func (s *Stop) options() expr.Options {
	call := s.r.p.f.run.call
	return expr.Options{JSONPath: true, Function: func(string) bool { return call != nil }}
}

// Variables are the names that the step can read, nearest first.
func (s *Stop) Variables() []Variable {
	r, f := s.r, s.r.p.f
	var out []Variable
	seen := map[string]bool{}
	add := func(v Variable) {
		if key := v.Group + " " + v.Name; !seen[key] {
			seen[key] = true
			v.Value = f.run.mask.Value(v.Value)
			out = append(out, v)
		}
	}
	each := func(group string, values map[string]any) {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			add(Variable{Group: group, Name: name, Value: values[name]})
		}
	}
	for l := r.p.l; l != nil; l = l.parent {
		each("loop", l.names)
	}
	for l := r.p.l; l != nil; l = l.parent {
		l.mu.RLock()
		for _, name := range slices.Sorted(maps.Keys(l.outputs)) {
			w := l.outputs[name]
			add(Variable{Group: "output", Name: name, Value: w.value, Origin: w.from()})
		}
		l.mu.RUnlock()
	}
	each("step", r.p.l.all())
	each("row", f.columns)
	each("matrix", f.matrix)
	each("input", f.input)
	for e := &f.env; e != nil; e = e.outer {
		for _, name := range slices.Sorted(maps.Keys(e.vars)) {
			v, origin, ok := e.origin(name)
			add(Variable{Group: "env", Name: name, Value: v, Origin: origin, Unread: !ok})
		}
	}
	for _, name := range f.prog.Secrets {
		add(Variable{Group: "secret", Name: name, Value: "***"})
	}
	return out
}

// Set gives a variable the value of an expression for all that runs from here
// on, and reports that. target is a name, env.NAME, or STEP.NAME of a step that
// has ended.
func (s *Stop) Set(target, text string) (Change, error) {
	c := Change{Name: target}
	owner, name, qualified := strings.Cut(target, ".")
	if !qualified {
		name, owner = target, ""
	}
	if !isName(name) || qualified && !isName(owner) {
		return c, fmt.Errorf("%q is not a name that can be set: write NAME, env.NAME or STEP.NAME", target)
	}
	if err := s.settable(owner, name); err != nil {
		return c, err
	}
	v, _, err := s.evaluate(text)
	if err != nil {
		return c, maskedError{s.r.p.f.run.mask.String(err.Error()), err}
	}
	old, _, err := s.evaluate(target)
	c.HadOld = err == nil
	switch owner {
	case "":
		s.setName(name, v, &c)
	case "env":
		if s.setEnv(name, v) {
			s.r.p.l.reset(name, v)
			c.Known = true
		}
	default:
		s.r.p.l.setOutput(owner, name, v)
		c.Known = true
	}
	m := s.r.p.f.run.mask
	c.Old, c.New = m.Value(old), m.Value(v)
	s.r.byHand("set " + target)
	return c, nil
}

// settable refuses what setting would not change for those who read it.
func (s *Stop) settable(owner, name string) error {
	if owner == "" {
		switch name {
		case "env", "secret", "steps", "input", "row", "matrix", "flow", "run", "service", "result", "response":
			return fmt.Errorf("%s cannot be changed as a whole", name)
		}
		if _, ok := s.r.p.l.name(name); ok {
			return fmt.Errorf("%s is given by what the step is in, and cannot be changed", name)
		}
		if _, ok := s.r.p.l.output(name); !ok && s.r.p.l.step(name) != nil {
			return fmt.Errorf("%s is a step: write set %s.NAME = VALUE for one of its outputs", name, name)
		}
		return nil
	}
	if owner == "env" {
		if !s.r.p.f.env.known(name) {
			return fmt.Errorf("the flow reads no env.%s", name)
		}
		return nil
	}
	if s.r.p.l.step(owner) == nil {
		return fmt.Errorf("no step %q has ended here: set %s itself, or skip the step first", owner, name)
	}
	return nil
}

// setName sets what a bare name means.
func (s *Stop) setName(name string, v any, c *Change) {
	f := s.r.p.f
	if w, ok := s.r.p.l.output(name); ok {
		c.Known = true
		if w.by != nil && s.r.p.l.setOutput(w.by.ID, name, v) {
			return
		}
	}
	if s.setEnv(name, v) {
		c.Known = true
	}
	for space, values := range map[string]map[string]any{"row": f.row, "matrix": f.matrix, "input": f.input} {
		if _, ok := values[name]; ok {
			c.Known, c.Keeps = true, space+"."+name
		}
	}
	s.r.p.l.reset(name, v)
}

// setEnv changes a value of env; false: there is none of the name.
func (s *Stop) setEnv(name string, v any) bool {
	for e := &s.r.p.f.env; e != nil; e = e.outer {
		variable := e.vars[name]
		if variable == nil {
			continue
		}
		for _, l := range variable.Layers {
			if l.Secret {
				// What is too short to be masked is refused where it is read.
				_ = e.f.run.hide("env."+name, v)
				break
			}
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.values == nil {
			e.values = make(map[string]envValue, len(e.vars))
		}
		e.values[name] = envValue{value: v, origin: byDebugger}
		return true
	}
	return false
}

const byDebugger = "set in the debugger"

// reset writes an output where it stands, or here.
func (l *layer) reset(name string, v any) {
	at := l
	for o := l; o != nil; o = o.parent {
		o.mu.RLock()
		_, ok := o.outputs[name]
		o.mu.RUnlock()
		if ok {
			at = o
			break
		}
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.outputs == nil {
		at.outputs = map[string]*written{}
	}
	at.outputs[name] = &written{value: v, origin: byDebugger}
}

// setOutput changes an output of a step that has ended; false: it has not.
func (l *layer) setOutput(step, name string, v any) bool {
	for ; l != nil; l = l.parent {
		l.mu.Lock()
		had := l.steps[step]
		if had == nil {
			l.mu.Unlock()
			continue
		}
		// Records are shared, and never change.
		outputs := map[string]any{}
		maps.Copy(outputs, had.outputs)
		outputs[name] = v
		l.steps[step] = &record{step: had.step, status: had.status, outputs: outputs, result: had.result}
		l.mu.Unlock()
		l.reset(name, v)
		return true
	}
	return false
}

func isName(s string) bool {
	for i, r := range s {
		switch {
		case r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
		case i > 0 && (r >= '0' && r <= '9' || r == '-'):
		default:
			return false
		}
	}
	return s != ""
}

// errReordered is a file that was read again and does not have the same steps.
var errReordered = errors.New("steps were added, removed or reordered")
