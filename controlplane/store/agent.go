package store

import (
	"crypto/sha256"
	"encoding/hex"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

func (a *applying) createJoinToken(c *clusterv1.CreateJoinToken) *clusterv1.Answer {
	t := proto.CloneOf(c.GetToken())
	t.Created = a.command.GetTime()
	a.exec("INSERT INTO join_tokens (id, secret_sha256, record) VALUES (?, ?, ?)", t.GetId(), c.GetSecretSha256(), a.packed(t))
	return &clusterv1.Answer{JoinToken: t}
}

func (a *applying) saveToken(t *apiv1.JoinToken) {
	a.exec("UPDATE join_tokens SET record = ? WHERE id = ?", a.packed(t), t.GetId())
}

func (a *applying) revokeJoinToken(c *clusterv1.RevokeJoinToken) *clusterv1.Answer {
	t := &apiv1.JoinToken{}
	if !a.record(t, "SELECT record FROM join_tokens WHERE id = ?", c.GetId()) {
		return notFound("join token", c.GetId())
	}
	t.Revoked = true
	a.saveToken(t)
	return &clusterv1.Answer{}
}

func (a *applying) joinAgent(c *clusterv1.JoinAgent) *clusterv1.Answer {
	known := &apiv1.Agent{}
	if a.record(known, "SELECT record FROM agents WHERE public_key = ?", c.GetPublicKey()) {
		// Its answer got lost, or it joins once more: the key is what proves it.
		if known.GetState() == apiv1.AgentState_AGENT_STATE_REVOKED {
			return fault(codes.PermissionDenied, "public_key", "revoked", "the agent %s was revoked: its key is worth nothing any more", known.GetName())
		}
		return &clusterv1.Answer{Agent: known}
	}
	t := &apiv1.JoinToken{}
	switch {
	case !a.record(t, "SELECT record FROM join_tokens WHERE secret_sha256 = ?", c.GetSecretSha256()):
		return fault(codes.Unauthenticated, "token", "no_token", "the join token is not known")
	case t.GetRevoked():
		return fault(codes.Unauthenticated, "token", "revoked", "the join token was revoked")
	case t.GetExpires() != nil && t.GetExpires().AsTime().Before(a.command.GetTime().AsTime()):
		return fault(codes.Unauthenticated, "token", "expired", "the join token ended at %s", t.GetExpires().AsTime().Format("2006-01-02 15:04:05 MST"))
	case t.GetUsed() >= t.GetUses():
		return fault(codes.Unauthenticated, "token", "used", "the join token was used %d times, as often as it may", t.GetUsed())
	}
	t.Used++
	a.saveToken(t)
	agent := &apiv1.Agent{
		Id: c.GetAgentId(), Name: c.GetName(), Pins: t.GetPins(), Reserved: t.GetReserved(), State: apiv1.AgentState_AGENT_STATE_OFFLINE,
		Joined: a.command.GetTime(), Version: c.GetVersion(),
	}
	a.exec("INSERT INTO agents (id, name, public_key, session, record) VALUES (?, ?, ?, '', ?)", agent.GetId(), agent.GetName(), c.GetPublicKey(), a.packed(agent))
	a.touched.agent(agent.GetId())
	return &clusterv1.Answer{Agent: agent}
}

func (a *applying) agent(id string) *apiv1.Agent {
	agent := &apiv1.Agent{}
	if !a.record(agent, "SELECT record FROM agents WHERE id = ?", id) {
		return nil
	}
	return agent
}

func (a *applying) saveAgent(agent *apiv1.Agent) {
	a.exec("UPDATE agents SET name = ?, record = ? WHERE id = ?", agent.GetName(), a.packed(agent), agent.GetId())
	a.touched.agent(agent.GetId())
}

// beginSession makes a session the agent's only one. What it still leased in an
// older session stays leased: the agent says in its Hello what of it is lost.
func (a *applying) beginSession(c *clusterv1.BeginSession) *clusterv1.Answer {
	agent := a.agent(c.GetAgentId())
	switch {
	case agent == nil:
		return notFound("agent", c.GetAgentId())
	case agent.GetState() == apiv1.AgentState_AGENT_STATE_REVOKED:
		return fault(codes.PermissionDenied, "", "revoked", "the agent %s was revoked", agent.GetName())
	}
	if agent.GetState() == apiv1.AgentState_AGENT_STATE_DRAINING || agent.GetState() == apiv1.AgentState_AGENT_STATE_OFFLINE {
		agent.State = apiv1.AgentState_AGENT_STATE_ONLINE // a drained agent that starts again takes work again
	}
	agent.Version, agent.Slots, agent.Facts, agent.Plugins = c.GetVersion(), c.GetSlots(), c.GetFacts(), c.GetDescriptors()
	agent.Seen = a.command.GetTime()
	agent.Cloned = agent.GetCloned() || c.GetCloned()
	a.exec("UPDATE agents SET session = ? WHERE id = ?", c.GetSession(), agent.GetId())
	a.saveAgent(agent)
	answer := &clusterv1.Answer{Agent: agent}
	for _, digest := range c.GetDescriptors() {
		if !a.has("SELECT 1 FROM descriptors WHERE digest = ?", digest) {
			answer.Missing = append(answer.Missing, digest)
		}
	}
	for _, id := range a.texts("SELECT id FROM runs WHERE agent = ? AND status < 5 ORDER BY id", agent.GetId()) {
		if s := a.load(id); s != nil {
			answer.Runs = append(answer.Runs, s.run)
		}
	}
	return answer
}

func (a *applying) setAgent(c *clusterv1.SetAgent) *clusterv1.Answer {
	agent := a.agent(c.GetAgentId())
	switch {
	case agent == nil:
		return notFound("agent", c.GetAgentId())
	case agent.GetState() == apiv1.AgentState_AGENT_STATE_REVOKED:
		return fault(codes.FailedPrecondition, "id", "revoked", "the agent %s was revoked, which is for good", agent.GetName())
	}
	if c.GetCloned() {
		agent.Cloned = true
		a.saveAgent(agent)
		return &clusterv1.Answer{Agent: agent}
	}
	if c.GetSetPins() {
		agent.Pins = c.GetPins()
	}
	if c.GetState() != apiv1.AgentState_AGENT_STATE_UNSPECIFIED {
		agent.State, agent.Note, agent.PausedUntil = c.GetState(), c.GetNote(), nil
		if d := c.GetDuration().AsDuration(); d > 0 && c.GetState() == apiv1.AgentState_AGENT_STATE_PAUSED {
			agent.PausedUntil = timestamppb.New(a.command.GetTime().AsTime().Add(d))
		}
	}
	if agent.GetState() == apiv1.AgentState_AGENT_STATE_REVOKED {
		a.exec("UPDATE agents SET session = '' WHERE id = ?", agent.GetId())
		for _, id := range a.texts("SELECT id FROM runs WHERE agent = ? AND status < 5 ORDER BY id", agent.GetId()) {
			if s := a.load(id); live(s.run) != nil {
				a.lose(s, live(s.run), "the agent was revoked")
			}
		}
	}
	a.saveAgent(agent)
	return &clusterv1.Answer{Agent: agent}
}

func (a *applying) putDescriptors(c *clusterv1.PutDescriptors) *clusterv1.Answer {
	for i, body := range c.GetDescriptors() {
		d := &testmeshv1.Descriptor{}
		if err := proto.Unmarshal(body, d); err != nil || d.GetName() == "" {
			return fault(codes.InvalidArgument, "descriptors", "no_descriptor", "descriptor %d is none", i)
		}
		sum := sha256.Sum256(body)
		a.exec("INSERT OR IGNORE INTO descriptors (digest, name, version, body) VALUES (?, ?, ?, ?)", hex.EncodeToString(sum[:]), d.GetName(), d.GetVersion(), body)
	}
	return &clusterv1.Answer{}
}
