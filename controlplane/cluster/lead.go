package cluster

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
)

// Term is a time in which this node leads. It begins once the state has all that
// earlier leaders committed, and its context ends with the lead.
type Term struct {
	Number uint64
	Ctx    context.Context
}

// Terms gives each term in which this node leads, one after the other.
func (n *Node) Terms() <-chan Term { return n.terms }

// lead follows raft's word about the lead.
func (n *Node) lead(ctx context.Context) {
	end := context.CancelFunc(func() {})
	defer func() { end() }()
	for {
		select {
		case <-ctx.Done():
			return
		case leads := <-n.notify:
			end()
			end = func() {}
			if leads {
				end = n.begin(ctx)
			}
		}
	}
}

// begin opens a term; the returned function ends it.
func (n *Node) begin(ctx context.Context) context.CancelFunc {
	term, cancel := context.WithCancel(ctx)
	if err := n.raft.Barrier(n.cfg.Timing.Election * 10).Error(); err != nil {
		n.log.Warn("the lead was lost before it began", "error", err)
		return cancel
	}
	t := Term{Number: n.raft.CurrentTerm(), Ctx: term}
	n.log.Info("this node leads", "term", t.Number)
	n.ownAddress()
	select {
	case <-n.terms: // one that nobody took has ended by now
	default:
	}
	n.terms <- t
	go n.promote(term)
	return cancel
}

// ownAddress tells the others where this node is reached, where that has changed: a
// node that was alone had no address at all.
func (n *Node) ownAddress() {
	if n.links == nil {
		return
	}
	if err := n.SetAddress(n.cfg.ID, n.cfg.Address); err != nil {
		n.log.Warn("the address of this node could not be told", "error", err)
	}
}

// keepsUp is how many entries a node may be behind and still count as caught up.
const keepsUp = 500

// promote gives nodes without a vote one, once they have kept up for a while.
func (n *Node) promote(ctx context.Context) {
	steady := map[raft.ServerID]time.Time{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			n.promoteOnce(ctx, now, steady)
		}
	}
}

func (n *Node) promoteOnce(ctx context.Context, now time.Time, steady map[raft.ServerID]time.Time) {
	for _, s := range n.raft.GetConfiguration().Configuration().Servers {
		if s.Suffrage == raft.Voter {
			continue
		}
		if !n.caughtUp(ctx, s) {
			delete(steady, s.ID)
			continue
		}
		since, ok := steady[s.ID]
		if !ok {
			steady[s.ID], since = now, now
		}
		if now.Sub(since) < n.cfg.Timing.Steady {
			continue
		}
		if err := n.raft.AddVoter(s.ID, s.Address, 0, enqueue).Error(); err != nil {
			n.log.Warn("a node that has caught up got no vote", "node", string(s.ID), "error", err)
			continue
		}
		n.log.Info("a node votes from now on", "node", string(s.ID))
	}
}

func (n *Node) caughtUp(ctx context.Context, s raft.Server) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	status, err := n.status(ctx, string(s.Address))
	return err == nil && status.GetAppliedIndex()+keepsUp >= n.cfg.State.Applied()
}
