package controlplane

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/proto/testmesh/cluster/v1/clusterv1connect"

	"github.com/testmesh/testmesh/controlplane/dispatch"
)

// agents are the store's, with what the leader has heard of them.
type agents struct{ *Node }

func (a agents) Agents(ctx context.Context) ([]*apiv1.Agent, error) {
	list, err := a.store.Agents(ctx)
	if err != nil {
		return nil, err
	}
	heard := a.presences(ctx)
	for _, one := range list {
		a.present(one, heard)
	}
	return list, nil
}

func (a agents) Agent(ctx context.Context, id string) (one *apiv1.Agent, err error) {
	err = a.again(ctx, func() error {
		one, err = a.store.Agent(ctx, id)
		return err
	})
	if err != nil {
		return nil, said(err)
	}
	a.present(one, a.presences(ctx))
	return one, nil
}

// askLeader bounds the question how agents are doing: without an answer they are shown
// as the state has them.
const askLeader = 2 * time.Second

// presences are what the leader has heard of agents.
func (n *Node) presences(ctx context.Context) (heard map[string]dispatch.Presence) {
	ctx, cancel := context.WithTimeout(ctx, askLeader)
	defer cancel()
	err := n.tryLeader(ctx, func(context.Context) error {
		heard = n.dispatcher.Presences()
		return nil
	}, func(ctx context.Context, c clusterv1connect.NodeServiceClient) (bool, error) {
		res, err := c.Presences(ctx, &clusterv1.PresencesRequest{})
		heard = map[string]dispatch.Presence{}
		for _, p := range res.GetPresences() {
			heard[p.GetAgentId()] = dispatch.Presence{Seen: p.GetSeen().AsTime(), Parked: p.GetParked(), Leases: p.GetLeases()}
		}
		return !res.GetNotLeader(), err
	})
	if err != nil {
		n.cfg.Logger.Debug("the leader did not say how agents are doing", "error", err)
	}
	return heard
}

// present says how an agent is doing by when it was last heard of.
func (n *Node) present(one *apiv1.Agent, heard map[string]dispatch.Presence) {
	p, known := heard[one.GetId()]
	t := n.dispatcher.Timing()
	if known {
		one.Seen, one.Leases = timestamppb.New(p.Seen), p.Leases
	}
	if one.GetState() != apiv1.AgentState_AGENT_STATE_ONLINE && one.GetState() != apiv1.AgentState_AGENT_STATE_OFFLINE {
		return
	}
	silent := time.Since(one.GetSeen().AsTime())
	switch {
	case p.Parked, silent < t.TTL:
		one.State = apiv1.AgentState_AGENT_STATE_ONLINE
	case silent < t.TTL+t.Grace:
		one.State = apiv1.AgentState_AGENT_STATE_STALE
	default:
		one.State = apiv1.AgentState_AGENT_STATE_OFFLINE
	}
}

func (a agents) JoinTokens(ctx context.Context) ([]*apiv1.JoinToken, error) {
	return a.store.JoinTokens(ctx)
}

func (a agents) Plugins(ctx context.Context) ([]*apiv1.PluginInfo, error) {
	described, err := a.store.Descriptors(ctx)
	if err != nil {
		return nil, err
	}
	joined, err := a.store.Agents(ctx)
	if err != nil {
		return nil, err
	}
	have := map[string]int32{}
	for _, one := range joined {
		for _, digest := range one.GetPlugins() {
			have[digest]++
		}
	}
	var list []*apiv1.PluginInfo
	for _, d := range described {
		list = append(list, &apiv1.PluginInfo{Name: d.Name, Version: d.Version, Digest: d.Digest, DescriptorBytes: d.Body, Agents: have[d.Digest]})
	}
	return list, nil
}
