package engine

import (
	"sync"

	"github.com/testmesh/testmesh/flow/event"
)

// tally counts steps and assertions by status. Containers whose children may
// not count (ignored ones, rounds of a wait, tries) have one of their own that
// is added to the parent's or dropped.
type tally struct {
	mu         sync.Mutex
	steps      [len(event.Statuses)]int
	assertions [len(event.Statuses)]int
}

func index(status event.Status) int {
	for i, s := range event.Statuses {
		if s == status {
			return i
		}
	}
	return 0
}

// add counts one step and its assertions.
func (t *tally) add(status event.Status, assertions []event.Assertion) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps[index(status)]++
	for i := range assertions {
		switch {
		case assertions[i].Passed:
			t.assertions[index(event.Passed)]++
		case assertions[i].Errored:
			t.assertions[index(event.Errored)]++
		default:
			t.assertions[index(event.Failed)]++
		}
	}
}

// merge adds what a container's children counted; of an ignored container
// neither failures nor errors count.
func (t *tally) merge(o *tally, ignored bool) {
	o.mu.Lock()
	steps, assertions := o.steps, o.assertions
	o.mu.Unlock()
	if ignored {
		for _, status := range [...]event.Status{event.Failed, event.Errored} {
			steps[index(status)], assertions[index(status)] = 0, 0
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range steps {
		t.steps[i] += steps[i]
		t.assertions[i] += assertions[i]
	}
}

func (t *tally) counts() (steps, assertions event.Counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return toCounts(t.steps), toCounts(t.assertions)
}

func toCounts(n [len(event.Statuses)]int) event.Counts {
	out := event.Counts{}
	for i, s := range event.Statuses {
		if n[i] > 0 {
			out[s] = n[i]
		}
	}
	return out
}
