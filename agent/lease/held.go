package lease

import (
	"context"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// held is one lease.
type held struct {
	lease *apiv1.Lease
	// until is when it ends by the manager's clock, counted from when the last renewal
	// that succeeded was sent.
	until     time.Duration
	ttl       time.Duration
	cancel    context.CancelCauseFunc
	hurry     chan struct{}
	lost      chan struct{}
	hurried   bool
	isLost    bool
	cancelled bool
}

func (h *held) force() {
	if !h.hurried {
		h.hurried = true
		close(h.hurry)
	}
}

// lose ends a lease that is no longer this agent's: at once, and nothing of it counts.
func (h *held) lose() {
	if !h.isLost {
		h.isLost = true
		close(h.lost)
		h.cancel(ErrLost)
		h.force()
	}
}
