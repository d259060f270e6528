package engine

import (
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
)

// tagged tells whether the step tags let a step run: it matches, something
// above it does, or something below it does.
func (p *place) tagged(s *flow.Step) bool {
	tags := p.f.run.r.StepTags
	if tags == nil || p.phase != event.PhaseSteps || p.matched {
		return true
	}
	if tags.Match(s.Tags) {
		return true
	}
	for _, list := range children(s) {
		for _, child := range list.steps {
			if p.tagged(child) {
				return true
			}
		}
	}
	return false
}

// skip reports a step that is not executed, and all steps below it.
func (p *place) skip(s *flow.Step, reason string, v stepVerdict) stepVerdict {
	v.status = event.Skipped
	p.skipChildren(s, reason)
	p.f.run.out.emit(event.Event{
		Type: event.TypeStepFinished, Step: p.eventStep(s, 0),
		StepFinished: &event.StepFinished{Status: event.Skipped, Reason: reason},
	})
	p.tally.add(event.Skipped, nil)
	p.l.setStatus(s, event.Skipped)
	return v
}

// skipChildren reports the steps inside a container that was never entered.
// Handlers are no children: they are reported where they were called for.
func (p *place) skipChildren(s *flow.Step, reason string) {
	for _, list := range children(s) {
		q := p.below(append([]string{s.ID}, list.parts...)...)
		for _, child := range list.steps {
			q.skip(child, reason, stepVerdict{})
		}
	}
}

// skipAll reports the steps of a list that was never entered.
func (p *place) skipAll(steps []*flow.Step, phase event.Phase, reason string) {
	q := p.in(phase)
	for _, s := range steps {
		q.skip(s, reason, stepVerdict{})
	}
}

// restore puts in what a step before --from gave in an earlier run.
func (p *place) restore(s *flow.Step) {
	if saved, ok := p.f.run.r.Saved[s.ID]; ok {
		p.l.put(&record{
			step: s, status: saved.Status, outputs: saved.Outputs, result: result{has: saved.HasResult, value: saved.Result},
		}, "an earlier run")
	}
}

// childList is one list of steps inside a control action.
type childList struct {
	parts []string // of the path, after the container's id
	steps []*flow.Step
}

// children are the lists inside a control action; of run_flow none, since the
// called flow's steps are its own.
func children(s *flow.Step) []childList {
	switch c := s.Control.(type) {
	case *flow.Condition:
		return []childList{{steps: c.Then}, {steps: c.Else}}
	case *flow.ForEach:
		return []childList{{steps: c.Steps}}
	case *flow.WaitUntil:
		return []childList{{steps: c.Steps}}
	case *flow.Parallel:
		var lists []childList
		for _, b := range c.Branches {
			lists = append(lists, childList{parts: branchPath(b), steps: b.Steps})
		}
		return lists
	}
	return nil
}

func branchPath(b flow.Branch) []string {
	if b.Name == "" {
		return nil
	}
	return []string{b.Name}
}

// skipEach reports the steps of a list that is not entered.
func (p *place) skipEach(steps []*flow.Step, reason string) {
	for _, s := range steps {
		p.skip(s, reason, stepVerdict{})
	}
}
