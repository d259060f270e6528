package engine

import (
	"slices"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/assert"
	"github.com/testmesh/testmesh/flow/expr"
)

// needs are the names that steps read of what came before them, known before any of
// them runs.
type needs struct {
	// paths are, by top-level name, the members that are read; an empty one is the
	// whole value.
	paths map[string][][]string
	// outcomes tells that the status of steps is asked for, by names that only the
	// run knows.
	outcomes bool
}

// needsOf are those of a list of steps with all that is inside them.
func needsOf(steps ...*flow.Step) *needs {
	n := &needs{paths: map[string][][]string{}}
	for _, s := range steps {
		walkSteps(s, func(s *flow.Step) {
			for _, ref := range allRefs(s) {
				n.add(ref)
			}
		})
	}
	return n
}

func (n *needs) add(ref expr.Ref) {
	switch {
	case ref.Called:
		n.outcomes = n.outcomes || ref.Name == "outcome"
	case ref.Name == "steps" && len(ref.Path) == 0:
		n.paths["steps"] = [][]string{nil}
	case ref.Name == "steps":
		n.paths[ref.Path[0]] = append(n.paths[ref.Path[0]], ref.Path[1:])
	default:
		n.paths[ref.Name] = append(n.paths[ref.Name], ref.Path)
	}
}

// everything tells that any name may be read.
func (n *needs) everything() bool { return n.paths["steps"] != nil }

func (n *needs) of(name string) (paths [][]string, wanted bool) {
	if n.everything() {
		return [][]string{nil}, true
	}
	paths, wanted = n.paths[name]
	return paths, wanted
}

// pruned is what of a value its paths read. What cannot be followed is kept whole: a
// list, or a name that an action declares besides its keys.
func pruned(v any, paths [][]string) any {
	m, isMap := v.(map[string]any)
	if !isMap || slices.ContainsFunc(paths, func(p []string) bool { return len(p) == 0 }) {
		return v
	}
	below := map[string][][]string{}
	for _, p := range paths {
		if _, there := m[p[0]]; !there {
			return v
		}
		below[p[0]] = append(below[p[0]], p[1:])
	}
	out := make(map[string]any, len(below))
	for key, paths := range below {
		out[key] = pruned(m[key], paths)
	}
	return out
}

// allRefs are the names that a step's own fields read, also where it is tried again
// or tracks something.
func allRefs(s *flow.Step) []expr.Ref {
	refs := refsOf(s)
	claim := func(list ...*expr.Expr) {
		for _, e := range list {
			if e != nil {
				refs = append(refs, e.Refs()...)
			}
		}
	}
	text := func(list ...*expr.Template) {
		for _, t := range list {
			if t != nil {
				refs = append(refs, t.Refs()...)
			}
		}
	}
	text(s.Name, s.SaveTo)
	if s.Retry != nil {
		claim(s.Retry.RetryOn...)
		claim(s.Retry.RetryOnNot...)
	}
	if s.Expectation != nil {
		refs = append(refs, s.Expectation.Refs()...)
	}
	for _, t := range s.Track {
		text(t.ResourceType)
		if t.ResourceID != nil {
			refs = append(refs, t.ResourceID.Refs()...)
		}
	}
	switch c := s.Control.(type) {
	case *flow.ForEach:
		if c.List != nil {
			refs = append(refs, c.List.Refs()...)
		}
	case *flow.Transform:
		for _, o := range c.Transforms {
			claim(o.Value)
		}
		for _, o := range c.Operations {
			claim(o.Expr, o.Source)
			text(o.Sep, o.Format)
		}
	}
	return refs
}

// refsOf are the names in a step's own fields, in the order they are read.
func refsOf(s *flow.Step) []expr.Ref {
	var refs []expr.Ref
	if s.When != nil {
		refs = append(refs, s.When.Refs()...)
	}
	if s.Config != nil {
		refs = append(refs, s.Config.Refs()...)
	}
	refs = append(refs, controlRefs(s.Control)...)
	for _, list := range [...][]*assert.Assertion{s.Assert, s.AssertAny, s.AssertNone} {
		for _, a := range list {
			refs = append(refs, a.Refs()...)
		}
	}
	if s.Match != nil {
		refs = append(refs, s.Match.Refs()...)
	}
	for _, o := range s.Output {
		refs = append(refs, o.Value.Refs()...)
	}
	return refs
}

// walkSteps visits a step and all steps inside it, not those of flows that it calls.
func walkSteps(s *flow.Step, visit func(*flow.Step)) {
	visit(s)
	each := func(lists ...[]*flow.Step) {
		for _, list := range lists {
			for _, child := range list {
				walkSteps(child, visit)
			}
		}
	}
	each(s.ErrorSteps, s.OnTimeout)
	for _, t := range s.Track {
		if t.Cleanup != nil {
			walkSteps(t.Cleanup, visit)
		}
	}
	switch c := s.Control.(type) {
	case *flow.Condition:
		each(c.Then, c.Else)
	case *flow.ForEach:
		each(c.Steps)
	case *flow.Parallel:
		for _, b := range c.Branches {
			each(b.Steps)
		}
	case *flow.WaitUntil:
		each(c.Steps)
	}
}

// walkProgram visits every step of a flow and of those that it calls, once.
func walkProgram(prog *flow.Program, seen map[*flow.Program]bool, visit func(*flow.Step)) {
	if prog == nil || seen[prog] {
		return
	}
	seen[prog] = true
	for _, list := range [...][]*flow.Step{prog.Setup, prog.Steps, prog.OnError, prog.Teardown} {
		for _, s := range list {
			walkSteps(s, func(s *flow.Step) {
				visit(s)
				if c, ok := s.Control.(*flow.RunFlow); ok {
					walkProgram(c.Flow, seen, visit)
					for _, other := range c.Candidates {
						walkProgram(other, seen, visit)
					}
				}
			})
		}
	}
}
