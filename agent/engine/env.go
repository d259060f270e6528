package engine

import (
	"fmt"
	"sync"

	"github.com/testmesh/testmesh/flow"
)

// envValues are the values of `env`, each made when it is first read and then
// kept for the run.
type envValues struct {
	f      *frame
	vars   map[string]*flow.EnvVar
	outer  *envValues // of the caller, with inherit_env
	mu     sync.Mutex // held while a value is made, by the outermost of a chain
	values map[string]envValue
}

type envValue struct {
	value  any
	origin string
	err    error
}

// envChain is the values that are being made, innermost first: it tells a
// variable's own name, which means the next source, and who holds the lock.
type envChain struct {
	values *envValues
	name   string
	layer  int
	depth  int
	outer  *envChain
}

func newEnvValues(f *frame, outer *envValues) envValues {
	if len(f.prog.Env) == 0 {
		return envValues{f: f, outer: outer}
	}
	vars := make(map[string]*flow.EnvVar, len(f.prog.Env))
	for _, v := range f.prog.Env {
		vars[v.Name] = v
	}
	return envValues{f: f, vars: vars, outer: outer}
}

// known tells whether env has the name.
func (e *envValues) known(name string) bool {
	for ; e != nil; e = e.outer {
		if e.vars[name] != nil {
			return true
		}
	}
	return false
}

// get is the value of a name.
func (e *envValues) get(name string, chain *envChain) (any, bool, error) {
	v, ok := e.find(name, chain)
	return v.value, ok && v.err == nil, v.err
}

func (e *envValues) find(name string, chain *envChain) (envValue, bool) {
	variable := e.vars[name]
	if variable == nil {
		if e.outer != nil {
			return e.outer.find(name, chain)
		}
		return envValue{}, false
	}
	locked, first := false, 0
	for c := chain; c != nil; c = c.outer {
		if c.values != e {
			continue
		}
		locked = true
		if c.name == name && first == 0 {
			first = c.layer + 1
		}
	}
	if !locked {
		e.mu.Lock()
		defer e.mu.Unlock()
	}
	if first == 0 {
		if v, ok := e.values[name]; ok {
			return v, true
		}
	}
	v, ok := e.make(variable, first, chain)
	if first == 0 && ok {
		if e.values == nil {
			e.values = make(map[string]envValue, len(e.vars))
		}
		e.values[name] = v
	}
	return v, ok
}

// make evaluates the layer of a variable that counts.
func (e *envValues) make(variable *flow.EnvVar, first int, outer *envChain) (envValue, bool) {
	if first >= len(variable.Layers) {
		return envValue{}, false
	}
	depth := 0
	if outer != nil {
		depth = outer.depth + 1
	}
	if depth > maxEnvDepth {
		return envValue{err: fmt.Errorf("env.%s reads itself in a circle", variable.Name)}, true
	}
	source := &variable.Layers[first]
	v := envValue{origin: source.Origin}
	chain := &envChain{values: e, name: variable.Name, layer: first, depth: depth, outer: outer}
	v.value, v.err = source.Value.Eval(e.f.evaluate("env."+variable.Name, chain))
	if v.err != nil {
		v.err = &envError{name: variable.Name, origin: source.Origin, err: v.err}
	} else if source.Secret {
		v.err = e.f.run.hide("env."+variable.Name, v.value)
	}
	return v, true
}

// all is every value by name.
func (e *envValues) all(chain *envChain) (any, bool, error) {
	out := map[string]any{}
	for ; e != nil; e = e.outer {
		for name := range e.vars {
			if _, taken := out[name]; taken {
				continue
			}
			v, ok, err := e.get(name, chain)
			if err != nil {
				return nil, false, err
			}
			if ok {
				out[name] = v
			}
		}
	}
	return out, true, nil
}

// origin says where a value came from that was read before.
func (e *envValues) origin(name string) (any, string, bool) {
	for ; e != nil; e = e.outer {
		if e.vars[name] == nil {
			continue
		}
		e.mu.Lock()
		v, ok := e.values[name]
		e.mu.Unlock()
		if ok && v.err == nil {
			return v.value, v.origin, true
		}
		return nil, "", false
	}
	return nil, "", false
}

// envError is a value of env that could not be made.
type envError struct {
	name, origin string
	err          error
}

func (e *envError) Error() string {
	return fmt.Sprintf("env.%s (%s): %s", e.name, e.origin, e.err)
}

func (e *envError) Unwrap() error { return e.err }
