package debug

import (
	"maps"
	"slices"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
)

// outline is every step that a flow and the flows that it calls have, in the
// order of the file.
type outline struct {
	steps []outlined
	ids   map[string]bool
	seen  map[*flow.Program]bool
}

type outlined struct {
	id, action string
	phase      event.Phase
	depth      int
	pos        source.Pos
}

func newOutline(p *flow.Program) *outline {
	o := &outline{ids: map[string]bool{}, seen: map[*flow.Program]bool{}}
	o.program(p, 0, "")
	return o
}

func (o *outline) sorted() []string { return slices.Sorted(maps.Keys(o.ids)) }

func (o *outline) program(p *flow.Program, depth int, within event.Phase) {
	if o.seen[p] {
		return
	}
	o.seen[p] = true
	for _, list := range []struct {
		phase event.Phase
		steps []*flow.Step
	}{
		{event.PhaseSetup, p.Setup}, {event.PhaseSteps, p.Steps}, {event.PhaseOnError, p.OnError}, {event.PhaseTeardown, p.Teardown},
	} {
		phase := list.phase
		if within != "" {
			phase = within
		}
		o.list(list.steps, depth, phase)
	}
}

func (o *outline) list(steps []*flow.Step, depth int, phase event.Phase) {
	for _, s := range steps {
		o.steps = append(o.steps, outlined{s.ID, s.Action, phase, depth, s.Pos})
		o.ids[s.ID] = true
		o.below(s, depth+1, phase)
		o.list(s.ErrorSteps, depth+1, phase)
		o.list(s.OnTimeout, depth+1, phase)
		for _, t := range s.Track {
			if t.Cleanup != nil {
				o.list([]*flow.Step{t.Cleanup}, depth+1, event.PhaseCleanup)
			}
		}
	}
}

func (o *outline) below(s *flow.Step, depth int, phase event.Phase) {
	switch c := s.Control.(type) {
	case *flow.Condition:
		o.list(c.Then, depth, phase)
		o.list(c.Else, depth, phase)
	case *flow.ForEach:
		o.list(c.Steps, depth, phase)
	case *flow.WaitUntil:
		o.list(c.Steps, depth, phase)
	case *flow.Parallel:
		for _, b := range c.Branches {
			o.list(b.Steps, depth, phase)
		}
	case *flow.RunFlow:
		if c.Flow != nil {
			o.program(c.Flow, depth, phase)
		}
		for _, name := range slices.Sorted(maps.Keys(c.Candidates)) {
			o.program(c.Candidates[name], depth, phase)
		}
	}
}
