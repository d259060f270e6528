package controlplane

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/proto/testmesh/cluster/v1/clusterv1connect"

	"github.com/testmesh/testmesh/controlplane/cluster"
)

// calls answers what other nodes ask this one: what is about the log, cluster does.
type calls struct {
	clusterv1connect.UnimplementedNodeServiceHandler
	*Node
	log cluster.Calls
}

func (c calls) Propose(ctx context.Context, r *clusterv1.ProposeRequest) (*clusterv1.ProposeResponse, error) {
	return c.log.Propose(ctx, r)
}

func (c calls) ReadIndex(ctx context.Context, r *clusterv1.ReadIndexRequest) (*clusterv1.ReadIndexResponse, error) {
	return c.log.ReadIndex(ctx, r)
}

// Status adds what the log does not know.
func (c calls) Status(ctx context.Context, r *clusterv1.StatusRequest) (*clusterv1.StatusResponse, error) {
	res, err := c.log.Status(ctx, r)
	if err != nil {
		return nil, err
	}
	c.Node.describe(res.GetMember())
	res.HashIndex, res.Hash, err = c.store.Hash(ctx)
	return res, err
}

// Poll holds a poll of another node's agent, where this node leads.
func (c calls) Poll(ctx context.Context, r *clusterv1.NodeServicePollRequest) (*clusterv1.NodeServicePollResponse, error) {
	res, err := c.dispatcher.Poll(ctx, r.GetAgentId(), r.GetHome(), r.GetPoll())
	if transient(err) {
		return &clusterv1.NodeServicePollResponse{NotLeader: true}, nil
	}
	return &clusterv1.NodeServicePollResponse{Answer: res}, told(err)
}

// Renew renews the leases of another node's agents.
func (c calls) Renew(ctx context.Context, r *clusterv1.NodeServiceRenewRequest) (*clusterv1.NodeServiceRenewResponse, error) {
	answers, err := c.renewAll(ctx, r.GetRenewals())
	if transient(err) {
		return &clusterv1.NodeServiceRenewResponse{NotLeader: true}, nil
	}
	return &clusterv1.NodeServiceRenewResponse{Answers: answers}, told(err)
}

// Explain says what a run waits for.
func (c calls) Explain(ctx context.Context, r *clusterv1.ExplainRequest) (*clusterv1.ExplainResponse, error) {
	why, err := c.dispatcher.Why(ctx, r.GetRunId())
	if transient(err) {
		return &clusterv1.ExplainResponse{NotLeader: true}, nil
	}
	return &clusterv1.ExplainResponse{Why: why}, told(err)
}

// Match says which agents would take runs.
func (c calls) Match(ctx context.Context, r *clusterv1.MatchRequest) (*clusterv1.MatchResponse, error) {
	match, err := c.dispatcher.Match(ctx, r.GetSpecs())
	if transient(err) {
		return &clusterv1.MatchResponse{NotLeader: true}, nil
	}
	return &clusterv1.MatchResponse{Match: match}, told(err)
}

// Stats are numbers of the queue.
func (c calls) Stats(_ context.Context, r *clusterv1.StatsRequest) (*clusterv1.StatsResponse, error) {
	stats, err := c.dispatcher.Stats(r.GetWorkspace(), r.GetEnvironment())
	if transient(err) {
		return &clusterv1.StatsResponse{NotLeader: true}, nil
	}
	return &clusterv1.StatsResponse{Stats: stats}, told(err)
}

// Presences are how this node, where it leads, last heard of agents.
func (c calls) Presences(context.Context, *clusterv1.PresencesRequest) (*clusterv1.PresencesResponse, error) {
	heard := c.dispatcher.Presences()
	if heard == nil {
		return &clusterv1.PresencesResponse{NotLeader: true}, nil
	}
	res := &clusterv1.PresencesResponse{}
	for id, p := range heard {
		res.Presences = append(res.Presences, &clusterv1.Presence{AgentId: id, Seen: timestamppb.New(p.Seen), Parked: p.Parked, Leases: p.Leases})
	}
	return res, nil
}

// Admit lets a node in.
func (c calls) Admit(ctx context.Context, r *clusterv1.AdmitRequest) (*clusterv1.AdmitResponse, error) {
	res, err := c.admit(ctx, r.GetJoin())
	if transient(err) {
		return &clusterv1.AdmitResponse{NotLeader: true}, nil
	}
	return &clusterv1.AdmitResponse{Answer: res}, told(err)
}

// Announce takes in where a member is reached.
func (c calls) Announce(ctx context.Context, r *clusterv1.AnnounceRequest) (*clusterv1.AnnounceResponse, error) {
	err := c.noteMember(ctx, r.GetMember())
	if transient(err) {
		return &clusterv1.AnnounceResponse{NotLeader: true}, nil
	}
	return &clusterv1.AnnounceResponse{}, told(err)
}

// Remove takes a member out.
func (c calls) Remove(ctx context.Context, r *clusterv1.RemoveRequest) (*clusterv1.RemoveResponse, error) {
	err := c.remove(ctx, r.GetId())
	if transient(err) {
		return &clusterv1.RemoveResponse{NotLeader: true}, nil
	}
	return &clusterv1.RemoveResponse{}, told(err)
}

// Transfer gives the lead away.
func (c calls) Transfer(_ context.Context, r *clusterv1.TransferRequest) (*clusterv1.TransferResponse, error) {
	err := c.transfer(r.GetId())
	if transient(err) {
		return &clusterv1.TransferResponse{NotLeader: true}, nil
	}
	return &clusterv1.TransferResponse{}, told(err)
}
