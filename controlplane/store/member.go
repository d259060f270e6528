package store

import (
	"bytes"
	"fmt"

	"google.golang.org/grpc/codes"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

func (a *applying) putMember(c *clusterv1.PutMember) *clusterv1.Answer {
	a.exec("INSERT OR REPLACE INTO members (id, record) VALUES (?, ?)", c.GetMember().GetId(), a.packed(c.GetMember()))
	return &clusterv1.Answer{}
}

func (a *applying) removeMember(c *clusterv1.RemoveMember) *clusterv1.Answer {
	if a.exec("DELETE FROM members WHERE id = ?", c.GetId()) == 0 {
		return notFound("member", c.GetId())
	}
	return &clusterv1.Answer{}
}

func (a *applying) createNodeToken(c *clusterv1.CreateNodeToken) *clusterv1.Answer {
	a.exec("INSERT INTO node_tokens (id, secret_sha256, expires, node) VALUES (?, ?, ?, '')", c.GetId(), c.GetSecretSha256(), c.GetExpires().AsTime().UnixMilli())
	return &clusterv1.Answer{}
}

// useNodeToken lets one node in; the same node may ask again.
func (a *applying) useNodeToken(c *clusterv1.UseNodeToken) *clusterv1.Answer {
	var node string
	var expires int64
	switch {
	case !a.one("SELECT node, expires FROM node_tokens WHERE secret_sha256 = ?", []any{c.GetSecretSha256()}, &node, &expires):
		return fault(codes.Unauthenticated, "token", "no_token", "the node token is not known")
	case expires < a.now():
		return fault(codes.Unauthenticated, "token", "expired", "the node token has ended")
	case node != "" && node != c.GetNodeId():
		return fault(codes.Unauthenticated, "token", "used", "the node token was used by another node")
	}
	a.exec("UPDATE node_tokens SET node = ? WHERE secret_sha256 = ?", c.GetNodeId(), c.GetSecretSha256())
	return &clusterv1.Answer{}
}

func (a *applying) incarnation() uint64 {
	var value []byte
	a.one("SELECT value FROM meta WHERE key = 'incarnation'", nil, &value)
	return toNumber(value) + 1
}

// raiseIncarnation ends every lease: what agents hold was granted by a state that
// is not this one's past.
func (a *applying) raiseIncarnation() *clusterv1.Answer {
	next := a.incarnation()
	a.exec("INSERT OR REPLACE INTO meta (key, value) VALUES ('incarnation', ?)", number(next))
	for _, id := range a.texts("SELECT id FROM runs WHERE status < 5 ORDER BY created, id") {
		s := a.load(id)
		at := live(s.run)
		if at == nil {
			continue
		}
		a.close(at, "fenced", "the control plane was restored or recovered")
		a.unclaim(id)
		switch {
		case at.GetTeardownOnly():
			a.save(s)
		case at.GetDirty() && !s.run.GetSpec().GetRerunOnLoss():
			a.end(s, apiv1.RunStatus_RUN_STATUS_ERRORED, fmt.Sprintf("indeterminate: the control plane was restored after step %s began", at.GetDirtyStep()), nil)
		case s.run.GetCancelling():
			a.end(s, apiv1.RunStatus_RUN_STATUS_CANCELLED, s.run.GetCancelReason(), nil)
		default:
			a.queue(s)
		}
	}
	return &clusterv1.Answer{Incarnation: next + 1}
}

// compare holds the hash that the leader had at an index against this node's.
func (a *applying) compare() error {
	c := a.command.GetCompareState()
	if c == nil {
		return nil
	}
	var own []byte
	if !a.one("SELECT hash FROM hashes WHERE position = ?", []any{int64(c.GetIndex())}, &own) || bytes.Equal(own, c.GetHash()) {
		return a.take()
	}
	return fmt.Errorf("the state at entry %d has the hash %x here and %x at the leader: this node has diverged; stop it, move its data away and let it join anew", c.GetIndex(), own[:8], c.GetHash()[:min(8, len(c.GetHash()))])
}

// maxPrune bounds what one command removes, so that it does not hold up others.
const maxPrune = 5000

func (a *applying) prune(c *clusterv1.Prune) *clusterv1.Answer {
	if before := c.GetAnswersBefore(); before != nil {
		a.exec("DELETE FROM answers WHERE request IN (SELECT request FROM answers WHERE time < ? ORDER BY time, request LIMIT ?)", before.AsTime().UnixMilli(), maxPrune)
	}
	answer := &clusterv1.Answer{}
	a.pruneOld(c, answer)
	if c.GetKeepRuns() <= 0 {
		return answer
	}
	old := a.texts("SELECT id FROM runs WHERE status >= 5 ORDER BY created DESC, id DESC LIMIT ? OFFSET ?", maxPrune, c.GetKeepRuns())
	for _, id := range old {
		a.remove(id)
		answer.Deleted++
	}
	return answer
}
