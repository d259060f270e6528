package engine

import (
	"context"
	"sync"

	"github.com/testmesh/testmesh/flow/event"
)

// Batch is what the runs of one batch share: the called flows that run once.
type Batch struct {
	mu   sync.Mutex
	once map[string]*onceCall
}

// onceCall is one called flow that runs once; ended is closed when it has.
type onceCall struct {
	ended chan struct{}
	kept  bool // it ended by itself, and its outcome stands
	call  called
}

// called is how a called flow ended, as its caller sees it.
type called struct {
	status  event.Status
	reason  string
	outputs map[string]any
	err     *event.Error // where no step of it is to blame
	cause   *failed      // the first step that went wrong
	// elsewhere: another agent's run executed it.
	elsewhere bool
}

// NewBatch makes the state of one batch.
func NewBatch() *Batch { return &Batch{} }

// do runs fn for the first who asks for key; the others wait for its outcome.
// One that was cancelled does not stand: the next who waits runs it again.
func (b *Batch) do(ctx context.Context, key string, fn func() called) (out called, shared bool, err error) {
	for {
		b.mu.Lock()
		c := b.once[key]
		if c == nil {
			c = &onceCall{ended: make(chan struct{})}
			if b.once == nil {
				b.once = map[string]*onceCall{}
			}
			b.once[key] = c
			b.mu.Unlock()
			return b.lead(c, key, fn), false, nil
		}
		b.mu.Unlock()
		select {
		case <-c.ended:
			if c.kept {
				return c.call, true, nil
			}
		case <-ctx.Done():
			return called{}, false, context.Cause(ctx)
		}
	}
}

func (b *Batch) lead(c *onceCall, key string, fn func() called) called {
	defer func() {
		if !c.kept {
			b.mu.Lock()
			delete(b.once, key)
			b.mu.Unlock()
		}
		close(c.ended)
	}()
	c.call = fn()
	c.kept = c.call.status != event.Cancelled
	return c.call
}
