package engine

import (
	"fmt"
	"sync"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
)

// layer holds what steps gave: one for a flow, one more for each iteration and
// branch, so that what runs side by side does not see each other's values. A
// layer is folded into its parent when its iteration or branch has ended.
type layer struct {
	parent *layer
	names  map[string]any // loop names, failed_step, error; fixed when made

	mu      sync.RWMutex
	outputs map[string]*written
	steps   map[string]*record
}

// written is an output with what wrote it last. It never changes.
type written struct {
	value any
	by    *flow.Step // nil: another run, which origin names
	// origin is in words that people read; from makes those of a step when
	// somebody asks.
	origin string
}

func (w *written) from() string {
	if w.origin == "" && w.by != nil {
		return stepOrigin(w.by)
	}
	return w.origin
}

func stepOrigin(s *flow.Step) string { return fmt.Sprintf("step %s, line %d", s.ID, s.Pos.Line) }

// record is what a step gave, as later steps see it.
type record struct {
	step    *flow.Step
	status  event.Status
	outputs map[string]any
	result  result

	once   sync.Once
	merged any
}

// value is the step's name in an expression: its outputs, then the keys of its
// result. ok is false where it gave neither.
func (r *record) value() (v any, ok bool) {
	switch {
	case !r.result.has && len(r.outputs) == 0:
		return nil, false
	case len(r.outputs) == 0:
		return r.result.whole(), true
	}
	r.once.Do(func() {
		m, _ := r.result.whole().(map[string]any)
		out := make(map[string]any, len(m)+len(r.outputs))
		for k, v := range m {
			out[k] = v
		}
		for k, v := range r.outputs {
			out[k] = v
		}
		r.merged = out
	})
	return r.merged, true
}

// member is one of what value gives, or the result under a name that is none of
// its keys: `response`, and what a dialect calls it.
func (r *record) member(name string) (v any, ok bool) {
	if v, ok := r.outputs[name]; ok {
		return v, true
	}
	if v, ok := r.result.member(name); ok || r.step.Spec == nil || !r.result.has {
		return v, ok
	}
	return r.step.Spec.ResultName(r.result.whole(), name)
}

func (l *layer) child(names map[string]any) *layer { return &layer{parent: l, names: names} }

// put records a step and its outputs; no origin: the step itself.
func (l *layer) put(r *record, origin string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.steps == nil {
		l.steps = make(map[string]*record, 8)
	}
	l.steps[r.step.ID] = r
	if len(r.outputs) == 0 {
		return
	}
	if l.outputs == nil {
		l.outputs = make(map[string]*written, len(r.outputs))
	}
	all := make([]written, 0, len(r.outputs))
	for name, v := range r.outputs {
		all = append(all, written{v, r.step, origin})
		l.outputs[name] = &all[len(all)-1]
	}
}

// fold adds what an ended iteration or branch gave.
func (l *layer) fold(o *layer) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.steps == nil && len(o.steps) > 0 {
		l.steps = make(map[string]*record, len(o.steps))
	}
	for id, r := range o.steps {
		l.steps[id] = r
	}
	if l.outputs == nil && len(o.outputs) > 0 {
		l.outputs = make(map[string]*written, len(o.outputs))
	}
	for name, w := range o.outputs {
		l.outputs[name] = w
	}
}

// name finds a loop name, innermost first.
func (l *layer) name(name string) (any, bool) {
	for ; l != nil; l = l.parent {
		if v, ok := l.names[name]; ok {
			return v, true
		}
	}
	return nil, false
}

// output finds an output by name, the one last written.
func (l *layer) output(name string) (*written, bool) {
	for ; l != nil; l = l.parent {
		l.mu.RLock()
		w := l.outputs[name]
		l.mu.RUnlock()
		if w != nil {
			return w, true
		}
	}
	return nil, false
}

// step finds the record of a step.
func (l *layer) step(id string) *record {
	for ; l != nil; l = l.parent {
		l.mu.RLock()
		r := l.steps[id]
		l.mu.RUnlock()
		if r != nil {
			return r
		}
	}
	return nil
}

// all is every record that is seen from l, inner before outer.
func (l *layer) all() map[string]any {
	out := map[string]any{}
	for ; l != nil; l = l.parent {
		l.mu.RLock()
		for id, r := range l.steps {
			if _, taken := out[id]; taken {
				continue
			}
			if v, ok := r.value(); ok {
				out[id] = v
			}
		}
		l.mu.RUnlock()
	}
	return out
}

// own is what this layer's own steps gave, by id: an item of a loop.
func (l *layer) own() map[string]any {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make(map[string]any, len(l.steps))
	for id, r := range l.steps {
		if v, ok := r.value(); ok {
			out[id] = v
		}
	}
	return out
}

// setStatus keeps the status of a step that was skipped, for outcome().
func (l *layer) setStatus(s *flow.Step, status event.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.steps == nil {
		l.steps = make(map[string]*record, 8)
	}
	if l.steps[s.ID] == nil {
		l.steps[s.ID] = &record{step: s, status: status}
	}
}
