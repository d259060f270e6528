package engine

import (
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/value"
)

// values are the names that a step which went wrong read, with where each value
// came from. Nothing is evaluated for it: what was not read has no value.
func (r *stepRun) values() []event.Used {
	var out []event.Used
	seen := map[string]bool{}
	for _, ref := range refsOf(r.s) {
		name, v, origin, ok := r.origin(ref)
		if !ok || seen[name] {
			continue
		}
		if seen[name] = true; len(out) == maxValues {
			break
		}
		if size(v, maxUsedBytes) > maxUsedBytes {
			v = cutText(value.Text(r.p.f.run.mask.Value(v)), maxUsedBytes)
		}
		out = append(out, event.Used{Name: name, Value: v, Origin: origin})
	}
	return out
}

// controlRefs are the names that a control action's own config reads; those of
// the steps in it are theirs.
func controlRefs(control flow.Control) []expr.Ref {
	var refs []expr.Ref
	text := func(list ...*expr.Template) {
		for _, t := range list {
			if t != nil {
				refs = append(refs, t.Refs()...)
			}
		}
	}
	tree := func(list ...*expr.Tree) {
		for _, t := range list {
			if t != nil {
				refs = append(refs, t.Refs()...)
			}
		}
	}
	claim := func(e *expr.Expr) {
		if e != nil {
			refs = append(refs, e.Refs()...)
		}
	}
	switch c := control.(type) {
	case *flow.Assert:
		claim(c.Data)
	case *flow.Set:
		for _, v := range c.Values {
			tree(v.Value)
		}
	case *flow.Transform:
		tree(c.Input)
		text(c.InputFile)
	case *flow.Log:
		text(c.Message)
		tree(c.Data)
	case *flow.Delay:
		text(c.Duration)
	case *flow.Fail:
		text(c.Message)
	case *flow.Condition:
		claim(c.If)
	case *flow.ForEach:
		claim(c.Items)
		text(c.Glob)
		if c.Range != nil {
			tree(c.Range.Start, c.Range.End, c.Range.Step)
		}
	case *flow.WaitUntil:
		claim(c.Condition)
	case *flow.WaitFor:
		text(c.URL)
	case *flow.RunFlow:
		text(c.Name, c.InputFile)
		for _, v := range c.Input {
			tree(v.Value)
		}
	}
	return refs
}

// origin resolves a name as the scope does, and says where its value is from.
// The step's own result is in the event already.
func (r *stepRun) origin(ref expr.Ref) (name string, v any, origin string, ok bool) {
	if ref.Called {
		return "", nil, "", false
	}
	if r.scope.own != nil {
		if _, _, mine := r.own.lookup(ref.Name); mine {
			return "", nil, "", false
		}
	}
	path := ref.Path
	f, l := r.p.f, r.p.l
	name = ref.Name
	if loop, found := l.name(name); found {
		v, origin = loop, "loop"
	} else if w, found := l.output(name); found {
		v, origin = w.value, w.from()
	} else if rec, rest := r.stepOf(name, path); rec != nil {
		v, ok = rec.value()
		if !ok {
			return "", nil, "", false
		}
		if len(rest) < len(path) {
			name += "." + path[0]
		}
		path, origin = rest, stepOrigin(rec.step)
	} else if v, origin, name, path, ok = f.origin(name, path); !ok {
		return "", nil, "", false
	}
	for _, key := range path {
		m, isMap := v.(map[string]any)
		if !isMap {
			break
		}
		next, found := m[key]
		if !found {
			return "", nil, "", false // the error names what is missing
		}
		v = next
		name += "." + key
	}
	return name, v, origin, true
}

// stepOf finds the step that a bare id or steps.<id> means.
func (r *stepRun) stepOf(name string, path []string) (*record, []string) {
	if name == "steps" && len(path) > 0 {
		return r.p.l.step(path[0]), path[1:]
	}
	return r.p.l.step(name), path
}

// origin resolves the names of a flow.
func (f *frame) origin(name string, path []string) (v any, origin, full string, rest []string, ok bool) {
	row := "row"
	if r := f.run.r.Row; r != nil {
		row = fmt.Sprintf("row %d", r.Index+1) // as reports count them
		if f.prog.Data != nil && f.prog.Data.Path != "" {
			row += " of " + f.prog.Data.Path
		}
	}
	if v, ok := f.columns[name]; ok {
		return v, row, name, path, true
	}
	if v, ok := f.matrix[name]; ok {
		return v, "matrix", name, path, true
	}
	if v, ok := f.input[name]; ok {
		return v, "input", name, path, true
	}
	if v, origin, ok := f.env.origin(name); ok {
		return v, origin, name, path, true
	}
	if len(path) == 0 {
		return nil, "", "", nil, false
	}
	full = strings.Join([]string{name, path[0]}, ".")
	var found any
	switch name {
	case "env":
		found, origin, ok = f.env.origin(path[0])
	case "input":
		found, ok = f.input[path[0]]
		origin = "input"
	case "row":
		found, ok = f.row[path[0]]
		origin = row
	case "matrix":
		found, ok = f.matrix[path[0]]
		origin = "matrix"
	}
	return found, origin, full, path[1:], ok
}
