package controlplane

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/proto/testmesh/cluster/v1/clusterv1connect"

	"github.com/testmesh/testmesh/controlplane/api"
	"github.com/testmesh/testmesh/controlplane/cluster"
)

// members is the node, as operators see the cluster.
type members struct{ *Node }

func (m members) Cluster(ctx context.Context) (*apiv1.GetClusterResponse, error) {
	list, err := m.members(ctx)
	if err != nil {
		return nil, err
	}
	res := &apiv1.GetClusterResponse{ClusterId: m.clusterID, Members: list, Index: m.store.Applied(), Version: m.cfg.Version}
	if res.Incarnation, err = m.store.Incarnation(ctx); err != nil {
		return nil, err
	}
	if at := m.cluster.Snapshotted(); !at.IsZero() {
		res.LastSnapshot = timestamppb.New(at)
	}
	return res, nil
}

// members are the nodes as they are doing; of one that does not answer, what it last
// said of itself.
func (n *Node) members(ctx context.Context) ([]*apiv1.Member, error) {
	known, err := n.store.Members(ctx)
	if err != nil {
		return nil, err
	}
	list := n.cluster.Members(ctx)
	for _, one := range list {
		if one.GetId() == n.id {
			n.describe(one)
		}
		for _, said := range known {
			if said.GetId() == one.GetId() && one.GetApiAddress() == "" {
				one.ApiAddress, one.Version = said.GetApiAddress(), said.GetVersion()
			}
		}
	}
	return list, nil
}

// describe adds to this node's status what the log does not know.
func (n *Node) describe(m *apiv1.Member) {
	m.ApiAddress, m.Version = n.cfg.Advertise, n.cfg.Version
}

func (m members) Snapshot(ctx context.Context, w io.Writer) error {
	snap, err := m.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Release()
	return snap.Write(ctx, w)
}

// Admit gives a node what it needs to take part; its token was accepted.
func (m members) Admit(ctx context.Context, req *apiv1.JoinNodeRequest) (res *apiv1.JoinNodeResponse, err error) {
	err = m.atLeader(ctx, func(ctx context.Context) error {
		res, err = m.admit(ctx, req)
		return err
	}, func(ctx context.Context, c clusterv1connect.NodeServiceClient) (bool, error) {
		a, err := c.Admit(ctx, &clusterv1.AdmitRequest{Join: req})
		res = a.GetAnswer()
		return !a.GetNotLeader(), err
	})
	return res, said(err)
}

// admit lets a node in, at the leader. The same node may ask again.
func (n *Node) admit(ctx context.Context, req *apiv1.JoinNodeRequest) (*apiv1.JoinNodeResponse, error) {
	if n.identity == nil {
		return nil, &api.Error{Kind: api.Conflict, Message: "this node was started alone, and no other can join it: start it again with --bootstrap and --cluster-addr"}
	}
	cert, err := n.identity.Sign([]byte(req.GetCertificateRequest()), req.GetNodeId())
	if err != nil {
		return nil, &api.Error{Kind: api.Invalid, Field: "certificate_request", Message: err.Error(), Cause: err}
	}
	authority, authorityKey, err := n.identity.Authority()
	if err != nil {
		return nil, err
	}
	if _, here := n.cluster.Leader(); !here {
		return nil, errElsewhere
	}
	if _, already := n.cluster.Has(req.GetNodeId()); !already {
		if other, taken := n.cluster.At(req.GetClusterAddress()); taken {
			return nil, &api.Error{Kind: api.Conflict, Field: "cluster_address", Message: fmt.Sprintf(
				"the address %s is that of node %s: where this is the same machine with an empty data directory, take the old node out first (testmesh cluster remove %s)", req.GetClusterAddress(), other, other)}
		}
		if err := n.cluster.Join(req.GetNodeId(), req.GetClusterAddress()); err != nil {
			return nil, err
		}
	}
	mine := &apiv1.Member{Id: req.GetNodeId(), ClusterAddress: req.GetClusterAddress(), ApiAddress: req.GetApiAddress(), Version: req.GetVersion()}
	if err := n.noteMember(ctx, mine); err != nil {
		return nil, err
	}
	list, err := n.store.Members(ctx)
	if err != nil {
		return nil, err
	}
	n.cfg.Logger.Info("a node joined", "node", req.GetNodeId(), "address", req.GetClusterAddress())
	return &apiv1.JoinNodeResponse{
		ClusterId: n.clusterID, Certificate: string(cert), Authority: string(authority), AuthorityKey: string(authorityKey),
		SealingKey: n.sealing, AdminSha256: n.admin, Members: list,
	}, nil
}

// noteMember keeps where a member is reached, at the leader.
func (n *Node) noteMember(ctx context.Context, m *apiv1.Member) error {
	if _, here := n.cluster.Leader(); !here {
		return errElsewhere
	}
	if _, ok := n.cluster.Has(m.GetId()); !ok {
		return &api.Error{Kind: api.NotFound, Message: fmt.Sprintf("node %s is not a member of this cluster: it was removed", m.GetId())}
	}
	if err := n.cluster.SetAddress(m.GetId(), m.GetClusterAddress()); err != nil {
		return err
	}
	known, err := n.store.Members(ctx)
	if err != nil {
		return err
	}
	m = &apiv1.Member{Id: m.GetId(), ClusterAddress: m.GetClusterAddress(), ApiAddress: m.GetApiAddress(), Version: m.GetVersion()}
	for _, one := range known {
		if proto.Equal(one, m) {
			return nil
		}
	}
	return n.decide(ctx, &clusterv1.Command{Body: &clusterv1.Command_PutMember{PutMember: &clusterv1.PutMember{Member: m}}})
}

// decide has a command of this node's own applied; what it is about may be done twice.
func (n *Node) decide(ctx context.Context, c *clusterv1.Command) error {
	id := "node/" + newID()
	sum := sha256.Sum256([]byte(id))
	c.Version, c.RequestId, c.RequestDigest, c.Actor, c.Workspace, c.Time = max(c.GetVersion(), 1), id, sum[:], "node "+n.id, "default", timestamppb.New(n.cfg.Now())
	a, err := n.cluster.Propose(ctx, c)
	if err != nil {
		return err
	}
	if f := a.GetFault(); f != nil {
		return &api.Refusal{Fault: f}
	}
	return nil
}

func (m members) Remove(ctx context.Context, id string) error {
	return said(m.atLeader(ctx, func(ctx context.Context) error { return m.remove(ctx, id) }, func(ctx context.Context, c clusterv1connect.NodeServiceClient) (bool, error) {
		a, err := c.Remove(ctx, &clusterv1.RemoveRequest{Id: id})
		return !a.GetNotLeader(), err
	}))
}

// remove takes a node out, at the leader. A leader does not remove itself: it hands the
// lead over first, and the next one does.
func (n *Node) remove(ctx context.Context, id string) error {
	if _, ok := n.cluster.Has(id); !ok {
		return fmt.Errorf("%w: %s", cluster.ErrNoMember, id)
	}
	if id == n.id {
		if len(n.cluster.Members(ctx)) == 1 {
			return &api.Error{Kind: api.Conflict, Message: "this is the only node of the cluster"}
		}
		if err := n.transfer(""); err != nil {
			return err
		}
		return errElsewhere
	}
	if err := n.cluster.Remove(id); err != nil {
		return err
	}
	n.cfg.Logger.Info("a node was removed", "node", id)
	err := n.decide(ctx, &clusterv1.Command{Body: &clusterv1.Command_RemoveMember{RemoveMember: &clusterv1.RemoveMember{Id: id}}})
	var refused *api.Refusal
	if errors.As(err, &refused) && refused.Fault.GetReason() == "not_found" {
		return nil // it never said where it is
	}
	return err
}

func (m members) Transfer(ctx context.Context, id string) error {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return said(m.atLeader(bounded, func(context.Context) error { return m.transfer(id) }, func(_ context.Context, c clusterv1connect.NodeServiceClient) (bool, error) {
		// Not under the leader's reign, whose end is what is asked for: the lead would be
		// given away a second time, perhaps back.
		a, err := c.Transfer(bounded, &clusterv1.TransferRequest{Id: id})
		return !a.GetNotLeader(), err
	}))
}

func (n *Node) transfer(id string) error {
	if id == n.id {
		return nil // it has it
	}
	err := n.cluster.Transfer(id)
	if err != nil && !transient(err) && !errors.Is(err, cluster.ErrNoMember) {
		return &api.Error{Kind: api.Conflict, Message: "the lead could not be given away: " + err.Error(), Cause: err}
	}
	return err
}

// announceEvery is how often a node that could not yet say where it is tries again.
const announceEvery = 200 * time.Millisecond

// announce tells the leader where this node is reached, once. It asks every node that
// it knows: a leader that has an old address of this one cannot speak with it.
func (n *Node) announce(ctx context.Context) {
	mine := &apiv1.Member{Id: n.id, ClusterAddress: n.cfg.Cluster.Address, ApiAddress: n.cfg.Advertise, Version: n.cfg.Version}
	for ctx.Err() == nil {
		if err := n.noteMember(ctx, mine); err == nil {
			return
		}
		for _, address := range n.cluster.Others() {
			c, err := n.cluster.Client(address)
			if err != nil {
				continue
			}
			asking, cancel := context.WithTimeout(ctx, 2*time.Second)
			res, err := c.Announce(asking, &clusterv1.AnnounceRequest{Member: mine})
			cancel()
			if err == nil && !res.GetNotLeader() {
				return
			}
		}
		select {
		case <-time.After(announceEvery):
		case <-ctx.Done():
		}
	}
}

// ErrRemoved ends a node that was taken out of its cluster.
var ErrRemoved = errors.New("this node was removed from its cluster: it ends, and its data directory is of no use any more")

// watchMembership returns ErrRemoved once this node is no member any more.
func (n *Node) watchMembership(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if n.cluster.Dismissed(ctx) {
				return ErrRemoved
			}
		}
	}
}
