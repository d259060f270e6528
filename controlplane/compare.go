package controlplane

import (
	"bytes"
	"context"
	"fmt"
	"time"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// compareEvery is how often a leader looks whether there is a new hash to compare.
const compareEvery = time.Second

// compare has the states of all nodes held against each other for as long as this node
// leads: its hash goes into the log, and a node that has another one ends.
func (n *Node) compare(ctx context.Context) {
	tick := time.NewTicker(compareEvery)
	defer tick.Stop()
	last := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			at, err := n.compareOnce(ctx, last)
			if err != nil && ctx.Err() == nil {
				n.cfg.Logger.Warn("the states could not be compared", "error", err)
			}
			last = at
		}
	}
}

// compareOnce compares the newest hash, where it is newer than the last, and gives the
// entry that it is of.
func (n *Node) compareOnce(ctx context.Context, last uint64) (uint64, error) {
	index, hash, err := n.store.Hash(ctx)
	if err != nil || index == last {
		return last, err
	}
	if n.outvoted(ctx, index, hash) {
		n.cfg.Exit(fmt.Sprintf("the state at entry %d differs from that of most other nodes: this node, which leads, has diverged; "+
			"remove it from the cluster, move its data away and let it join anew", index))
		return last, nil
	}
	return index, n.decide(ctx, &clusterv1.Command{Body: &clusterv1.Command_CompareState{CompareState: &clusterv1.CompareState{Index: index, Hash: hash}}})
}

// outvoted says that most of the cluster has another hash than this node: it is the
// leader that has diverged then, and the others must not end for it.
func (n *Node) outvoted(ctx context.Context, index uint64, hash []byte) bool {
	others := n.cluster.Others()
	differ := map[string]int{}
	for _, address := range others {
		c, err := n.cluster.Client(address)
		if err != nil {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, askLeader)
		res, err := c.Status(asking, &clusterv1.StatusRequest{})
		cancel()
		if err == nil && res.GetHashIndex() == index && !bytes.Equal(res.GetHash(), hash) {
			differ[string(res.GetHash())]++
		}
	}
	for _, alike := range differ {
		if alike > (len(others)+1)/2 {
			return true
		}
	}
	return false
}
