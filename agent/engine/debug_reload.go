package engine

import (
	"fmt"
	"slices"

	"github.com/testmesh/testmesh/flow"
)

// Reload takes the steps of a program that was compiled again: each step that
// has not begun is executed as the new one says, and the stopped one with its
// next try. It refuses a program whose steps are not the same ones in the same
// order: what has run would not be what the file says. Values of env, inputs and
// `config` stay those with which the run began.
func (s *Stop) Reload(p *flow.Program) error {
	d := s.r.p.f.run.debug
	d.mu.Lock()
	loaded := slices.Clone(d.loaded)
	d.mu.Unlock()
	swap := map[*flow.Step]*flow.Step{}
	for _, old := range loaded {
		if err := pairPrograms(swap, old, p); err != nil {
			return err
		}
	}
	d.mu.Lock()
	d.swapped, d.loaded = swap, append(loaded, p)
	d.mu.Unlock()
	s.r.byHand("read the flow again")
	return nil
}

// current is the step to execute instead of s.
func (d *debugging) current(s *flow.Step) *flow.Step {
	d.mu.Lock()
	defer d.mu.Unlock()
	if swapped := d.swapped[s]; swapped != nil {
		return swapped
	}
	return s
}

func pairPrograms(swap map[*flow.Step]*flow.Step, old, now *flow.Program) error {
	for _, lists := range [...][2][]*flow.Step{
		{old.Setup, now.Setup}, {old.Steps, now.Steps}, {old.OnError, now.OnError}, {old.Teardown, now.Teardown},
	} {
		if err := pairSteps(swap, lists[0], lists[1]); err != nil {
			return err
		}
	}
	return nil
}

func pairSteps(swap map[*flow.Step]*flow.Step, old, now []*flow.Step) error {
	if len(old) != len(now) {
		return errReordered
	}
	for i, a := range old {
		b := now[i]
		if a.ID != b.ID || !slices.Equal(a.Needs, b.Needs) {
			return fmt.Errorf("%w: where %s was is %s", errReordered, a.ID, b.ID)
		}
		if err := pairStep(swap, a, b); err != nil {
			return err
		}
	}
	return nil
}

func pairStep(swap map[*flow.Step]*flow.Step, a, b *flow.Step) error {
	if swap[a] != nil {
		return nil // a flow that is called twice
	}
	swap[a] = b
	inA, inB := children(a), children(b)
	if len(inA) != len(inB) {
		return fmt.Errorf("%w in %s", errReordered, a.ID)
	}
	for i := range inA {
		if !slices.Equal(inA[i].parts, inB[i].parts) {
			return fmt.Errorf("%w in %s", errReordered, a.ID)
		}
		if err := pairSteps(swap, inA[i].steps, inB[i].steps); err != nil {
			return err
		}
	}
	for _, lists := range [...][2][]*flow.Step{{a.ErrorSteps, b.ErrorSteps}, {a.OnTimeout, b.OnTimeout}} {
		if err := pairSteps(swap, lists[0], lists[1]); err != nil {
			return err
		}
	}
	callA, okA := a.Control.(*flow.RunFlow)
	callB, okB := b.Control.(*flow.RunFlow)
	if okA && okB && callA.Flow != nil && callB.Flow != nil && callA.Flow.File == callB.Flow.File {
		return pairPrograms(swap, callA.Flow, callB.Flow)
	}
	return nil
}
