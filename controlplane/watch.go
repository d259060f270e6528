package controlplane

import (
	"context"
	"sync"

	"github.com/testmesh/testmesh/controlplane/store"
)

// watch tells those who wait for a batch that it may have changed.
type watch struct {
	mu      sync.Mutex
	waiting map[string]chan struct{}
	ended   bool
}

func newWatch() *watch { return &watch{waiting: map[string]chan struct{}{}} }

// changed is closed with the next change of a batch or of one of its runs; of anything
// where the batch is empty.
func (w *watch) changed(batch string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.waiting[batch]
	if c == nil {
		c = make(chan struct{})
		if w.ended {
			close(c)
			return c
		}
		w.waiting[batch] = c
	}
	return c
}

// run follows the state until ctx ends.
func (w *watch) run(ctx context.Context, s *store.Store) {
	changes, stop := s.Changes()
	defer stop()
	defer w.end()
	for {
		select {
		case <-ctx.Done():
			return
		case c, open := <-changes:
			if !open {
				return
			}
			w.tell(ctx, s, c)
		}
	}
}

func (w *watch) tell(ctx context.Context, s *store.Store, c store.Change) {
	w.mu.Lock()
	nobody := len(w.waiting) == 0
	w.mu.Unlock()
	if nobody {
		return // who comes now reads what is there
	}
	batches := map[string]bool{}
	for _, id := range c.Batches {
		batches[id] = true
	}
	made := map[string]bool{}
	for _, m := range c.Made { // their batches are named
		for _, r := range m.Runs {
			made[r.GetId()] = true
		}
	}
	for _, id := range c.Runs {
		if made[id] {
			continue
		}
		if r, err := s.Run(ctx, id); err == nil {
			batches[r.GetBatchId()] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, waiting := range w.waiting {
		if c.Lost || batches[id] || id == "" {
			close(waiting)
			delete(w.waiting, id)
		}
	}
}

// end lets go of everybody.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for id, waiting := range w.waiting {
		close(waiting)
		delete(w.waiting, id)
	}
}
