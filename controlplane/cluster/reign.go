package cluster

import (
	"context"
	"sync"

	"github.com/hashicorp/raft"
)

// reign is the time of one leader, as this node has heard of it. What waits for that
// leader's answer waits no longer than it: a leader that stands still answers nobody,
// and says so to nobody.
type reign struct {
	mu      sync.Mutex
	address string
	ctx     context.Context
	end     context.CancelFunc
}

// begin takes in who leads from now on; "": nobody.
func (r *reign) begin(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx != nil && r.address == address {
		return
	}
	if r.end != nil {
		r.end()
	}
	r.address = address
	r.ctx, r.end = context.WithCancel(context.Background())
}

// watch follows raft's word about who leads until ctx ends.
func (r *reign) watch(ctx context.Context, of *raft.Raft) {
	heard := make(chan raft.Observation, 16)
	observer := raft.NewObserver(heard, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	of.RegisterObserver(observer)
	defer of.DeregisterObserver(observer)
	defer r.begin("")
	for {
		address, _ := of.LeaderWithID()
		r.begin(string(address))
		select {
		case <-heard:
		case <-ctx.Done():
			return
		}
	}
}

// Under gives a context that ends with ctx, and as soon as another node leads than the
// one at an address.
func (n *Node) Under(ctx context.Context, address string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	r := &n.reign
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.address != address {
		return ctx, cancel // it has just changed: the call says so itself
	}
	stop := context.AfterFunc(r.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}
