package controlplane

import (
	"context"
	"errors"
	"sync"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/proto/testmesh/cluster/v1/clusterv1connect"
)

const (
	// gather is how long a renewal waits for others to go with: nothing to a lease.
	gather = 20 * time.Millisecond
	// together bounds the renewals of one call between nodes.
	together = 256
)

// renewals takes the renewals of this node's agents to the leader, many in one call.
type renewals struct {
	node *Node

	mu    sync.Mutex
	group *group // that is being gathered; nil: none
}

// group are renewals that go together.
type group struct {
	list    []*clusterv1.AgentRenewal
	answers []*apiv1.RenewResponse
	err     error
	done    chan struct{}
	send    *time.Timer
}

// renew gives the leader's answer to the renewals of one agent.
func (r *renewals) renew(ctx context.Context, one *clusterv1.AgentRenewal) (*apiv1.RenewResponse, error) {
	if _, here := r.node.cluster.Leader(); here {
		// While the lead begins or ends it goes the long way, which waits.
		if res, err := r.node.dispatcher.Renew(ctx, one.GetAgentId(), one.GetRenew()); !transient(err) {
			return res, err
		}
	}
	r.mu.Lock()
	g := r.group
	if g == nil {
		g = &group{done: make(chan struct{})}
		g.send = time.AfterFunc(gather, func() { r.deliver(g) })
		r.group = g
	}
	at := len(g.list)
	g.list = append(g.list, one)
	if len(g.list) == together {
		r.group = nil
		g.send.Reset(0)
	}
	r.mu.Unlock()
	select {
	case <-g.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if g.err != nil {
		return nil, g.err
	}
	return g.answers[at], nil
}

func (r *renewals) deliver(g *group) {
	r.mu.Lock()
	if r.group == g {
		r.group = nil
	}
	r.mu.Unlock()
	defer close(g.done)
	g.err = r.node.atLeader(r.node.stopping, func(ctx context.Context) (err error) {
		g.answers, err = r.node.renewAll(ctx, g.list)
		return err
	}, func(ctx context.Context, c clusterv1connect.NodeServiceClient) (bool, error) {
		res, err := c.Renew(ctx, &clusterv1.NodeServiceRenewRequest{Renewals: g.list})
		g.answers = res.GetAnswers()
		return !res.GetNotLeader(), err
	})
	if g.err == nil && len(g.answers) != len(g.list) {
		g.err = errors.New("the leader answered some of the renewals only")
	}
}

// renewAll renews at this node, which leads.
func (n *Node) renewAll(ctx context.Context, list []*clusterv1.AgentRenewal) ([]*apiv1.RenewResponse, error) {
	answers := make([]*apiv1.RenewResponse, len(list))
	for i, one := range list {
		res, err := n.dispatcher.Renew(ctx, one.GetAgentId(), one.GetRenew())
		if err != nil {
			return nil, err
		}
		answers[i] = res
	}
	return answers, nil
}
