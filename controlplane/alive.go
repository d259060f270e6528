package controlplane

import (
	"context"
	"fmt"
)

// Pulse gives what says whether the node is alive: an error where its state cannot be
// read, late where it hangs. A node that waits for the others of its cluster is alive. It
// is asked for before Run, and may be used for longer than that.
func (n *Node) Pulse() func(ctx context.Context) error {
	state := n.store
	return func(ctx context.Context) error {
		if _, err := state.Incarnation(ctx); err != nil {
			return fmt.Errorf("read the state: %w", err)
		}
		return nil
	}
}

// Doing is how the node is doing, in a line for people.
func (n *Node) Doing() string {
	leader, here := n.cluster.Leader()
	switch {
	case n.cfg.Cluster == nil:
		return "serves " + n.cfg.Advertise
	case here:
		return "serves " + n.cfg.Advertise + ", and leads the cluster"
	case leader != "":
		return "serves " + n.cfg.Advertise + ", and follows node " + leader
	}
	return "waits for the cluster to have a leader"
}
