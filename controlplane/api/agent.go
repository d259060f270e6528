package api

import (
	"context"
	"crypto/sha256"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// Agents reads agents and what they can do, as this node has them.
type Agents interface {
	// Agents are all that joined, with how they are doing.
	Agents(ctx context.Context) ([]*apiv1.Agent, error)
	Agent(ctx context.Context, id string) (*apiv1.Agent, error)
	JoinTokens(ctx context.Context) ([]*apiv1.JoinToken, error)
	Plugins(ctx context.Context) ([]*apiv1.PluginInfo, error)
}

// defaultTokenTTL is how long a join token lives where nothing is said.
const defaultTokenTTL = time.Hour

// TokenPrefix begins a join token.
const TokenPrefix = "tmj_"

// CreateJoinToken makes a token; its secret is in this answer only.
func (s *server) CreateJoinToken(ctx context.Context, req *apiv1.CreateJoinTokenRequest) (*apiv1.CreateJoinTokenResponse, error) {
	c, err := s.command(ctx, req.GetIdempotencyKey(), req)
	if err != nil {
		return nil, err
	}
	ttl := req.GetTtl().AsDuration()
	if ttl <= 0 {
		ttl = defaultTokenTTL
	}
	secret := TokenPrefix + s.NewSecret()
	sum := sha256.Sum256([]byte(secret))
	t := &apiv1.JoinToken{
		Id: s.NewID(), Pins: req.GetPins(), Reserved: req.GetReserved(), Uses: max(req.GetUses(), 1),
		Expires: timestamppb.New(s.Now().Add(ttl)),
	}
	c.Body = &clusterv1.Command_CreateJoinToken{CreateJoinToken: &clusterv1.CreateJoinToken{Token: t, SecretSha256: sum[:]}}
	a, err := s.propose(ctx, c)
	if err != nil {
		return nil, err
	}
	if a.GetJoinToken().GetId() != t.GetId() { // an earlier call with this key made it
		return nil, &Error{Kind: Conflict, Field: "idempotency_key", Message: "this token was made before, and its secret was shown then: revoke it and make another"}
	}
	return &apiv1.CreateJoinTokenResponse{Token: a.GetJoinToken(), Secret: secret}, nil
}

// ListJoinTokens gives them without their secrets.
func (s *server) ListJoinTokens(ctx context.Context, _ *apiv1.ListJoinTokensRequest) (*apiv1.ListJoinTokensResponse, error) {
	list, err := s.Agents.JoinTokens(ctx)
	return &apiv1.ListJoinTokensResponse{Tokens: list}, err
}

// RevokeJoinToken ends a token; agents that joined with it stay.
func (s *server) RevokeJoinToken(ctx context.Context, req *apiv1.RevokeJoinTokenRequest) (*apiv1.RevokeJoinTokenResponse, error) {
	c, err := s.command(ctx, "", req)
	if err != nil {
		return nil, err
	}
	c.Body = &clusterv1.Command_RevokeJoinToken{RevokeJoinToken: &clusterv1.RevokeJoinToken{Id: req.GetId()}}
	_, err = s.propose(ctx, c)
	return &apiv1.RevokeJoinTokenResponse{}, of(err, "id", "join token", req.GetId())
}

// ListAgents gives those with some labels, by name.
func (s *server) ListAgents(ctx context.Context, req *apiv1.ListAgentsRequest) (*apiv1.ListAgentsResponse, error) {
	all, err := s.Agents.Agents(ctx)
	if err != nil {
		return nil, err
	}
	res := &apiv1.ListAgentsResponse{}
	for _, a := range all {
		if a.GetState() == apiv1.AgentState_AGENT_STATE_REVOKED && !req.GetRevoked() {
			continue
		}
		fits := true
		for key, value := range req.GetLabels() {
			has, pinned := a.GetPins()[key]
			if !pinned {
				has = a.GetFacts()[key]
			}
			fits = fits && has == value
		}
		if fits {
			res.Agents = append(res.Agents, a)
		}
	}
	return res, nil
}

// GetAgent gives one.
func (s *server) GetAgent(ctx context.Context, req *apiv1.GetAgentRequest) (*apiv1.GetAgentResponse, error) {
	a, err := s.Agents.Agent(ctx, req.GetId())
	return &apiv1.GetAgentResponse{Agent: a}, of(err, "id", "agent", req.GetId())
}

// SetAgent changes what an agent may do.
func (s *server) SetAgent(ctx context.Context, req *apiv1.SetAgentRequest) (*apiv1.SetAgentResponse, error) {
	c, err := s.command(ctx, req.GetIdempotencyKey(), req)
	if err != nil {
		return nil, err
	}
	set := &clusterv1.SetAgent{AgentId: req.GetId(), Note: req.GetNote(), Duration: req.GetDuration()}
	switch req.GetChange() {
	case apiv1.AgentChange_AGENT_CHANGE_PAUSE:
		set.State = apiv1.AgentState_AGENT_STATE_PAUSED
	case apiv1.AgentChange_AGENT_CHANGE_RESUME:
		set.State = apiv1.AgentState_AGENT_STATE_ONLINE
	case apiv1.AgentChange_AGENT_CHANGE_DRAIN:
		set.State = apiv1.AgentState_AGENT_STATE_DRAINING
	case apiv1.AgentChange_AGENT_CHANGE_REVOKE:
		set.State = apiv1.AgentState_AGENT_STATE_REVOKED
	case apiv1.AgentChange_AGENT_CHANGE_PINS:
		set.SetPins, set.Pins = true, req.GetPins()
	}
	c.Body = &clusterv1.Command_SetAgent{SetAgent: set}
	a, err := s.propose(ctx, c)
	if err != nil {
		return nil, of(err, "id", "agent", req.GetId())
	}
	return &apiv1.SetAgentResponse{Agent: a.GetAgent()}, nil
}

// ListPlugins gives what the agents can do.
func (s *server) ListPlugins(ctx context.Context, _ *apiv1.ListPluginsRequest) (*apiv1.ListPluginsResponse, error) {
	list, err := s.Agents.Plugins(ctx)
	return &apiv1.ListPluginsResponse{Plugins: list}, err
}
