package store

import (
	"maps"
	"slices"
	"sync"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// waiting is how many changes a slow reader may be behind before it is told to read
// everything again.
const waiting = 1024

// Change is what one call of Apply touched.
type Change struct {
	// Index up to which entries are applied.
	Index uint64
	// Runs, Batches and Agents by id, in alphabetical order.
	Runs, Batches, Agents []string
	// Made are batches that came to be with all of their runs, and were not touched since:
	// whoever follows need not read them.
	Made []Made
	// Lost says that changes before this one were not delivered: read all anew.
	Lost bool
}

// Made is a batch with its source and all of its runs, in their order. Nobody changes
// them any more.
type Made struct {
	Batch *apiv1.Batch
	Runs  []*apiv1.Run
}

// madeMost bounds the runs that one change brings along, because a slow reader may have
// many changes before it.
const madeMost = 512

// touched collects what entries touch.
type touched struct {
	runs, batches, agents map[string]bool
	made                  map[string]Made   // by batch
	of                    map[string]string // of which of these a run is
}

func mark(set *map[string]bool, id string) {
	if *set == nil {
		*set = map[string]bool{}
	}
	(*set)[id] = true
}

func (t *touched) run(id string) {
	mark(&t.runs, id)
	delete(t.made, t.of[id])
}

func (t *touched) batch(id string) {
	mark(&t.batches, id)
	delete(t.made, id)
}

func (t *touched) agent(id string) { mark(&t.agents, id) }

// whole notes a batch that was just made with all of its runs.
func (t *touched) whole(b *apiv1.Batch, runs []*apiv1.Run) {
	if len(t.of)+len(runs) > madeMost {
		return
	}
	if t.made == nil {
		t.made, t.of = map[string]Made{}, map[string]string{}
	}
	t.made[b.GetId()] = Made{b, runs}
	for _, r := range runs {
		t.of[r.GetId()] = b.GetId()
	}
}

func (a *applying) change(index uint64) Change {
	list := func(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
	c := Change{Index: index, Runs: list(a.touched.runs), Batches: list(a.touched.batches), Agents: list(a.touched.agents)}
	for _, id := range slices.Sorted(maps.Keys(a.touched.made)) {
		c.Made = append(c.Made, a.touched.made[id])
	}
	return c
}

// feed hands changes to those who follow them, and never waits for one.
type feed struct {
	mu        sync.Mutex
	followers map[*follower]bool
	closed    bool
}

type follower struct {
	changes chan Change
	lost    bool
}

// Changes follows what Apply changes, from now on. The channel is closed by stop and
// when the store is closed.
func (s *Store) Changes() (changes <-chan Change, stop func()) {
	f := &follower{changes: make(chan Change, waiting)}
	s.changes.mu.Lock()
	defer s.changes.mu.Unlock()
	if s.changes.closed {
		close(f.changes)
		return f.changes, func() {}
	}
	if s.changes.followers == nil {
		s.changes.followers = map[*follower]bool{}
	}
	s.changes.followers[f] = true
	return f.changes, func() {
		s.changes.mu.Lock()
		defer s.changes.mu.Unlock()
		if s.changes.followers[f] {
			delete(s.changes.followers, f)
			close(f.changes)
		}
	}
}

func (f *feed) publish(c Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for one := range f.followers {
		mine := c
		mine.Lost = c.Lost || one.lost
		select {
		case one.changes <- mine:
			one.lost = false
		default:
			one.lost = true
		}
	}
}

func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for one := range f.followers {
		close(one.changes)
	}
	f.followers = nil
}
