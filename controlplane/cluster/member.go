package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/proto/testmesh/cluster/v1/clusterv1connect"
)

// ErrNoMember says that there is no such node in the cluster.
var ErrNoMember = errors.New("the cluster has no such node")

// Client asks another node, by the address that it has in the cluster.
func (n *Node) Client(address string) (clusterv1connect.NodeServiceClient, error) {
	if n.links == nil {
		return nil, errors.New("this node is alone")
	}
	return n.links.client(address), nil
}

// LeaderAddress is where the leader is reached by other nodes; "": none is known.
func (n *Node) LeaderAddress() string {
	if !n.isStarted() {
		return ""
	}
	address, _ := n.raft.LeaderWithID()
	return string(address)
}

func (n *Node) status(ctx context.Context, address string) (*apiv1.Member, error) {
	res, err := n.links.client(address).Status(ctx, &clusterv1.StatusRequest{})
	return res.GetMember(), err
}

// Status is how this node is doing.
func (n *Node) Status() *apiv1.Member {
	m := &apiv1.Member{Id: n.cfg.ID, ClusterAddress: n.cfg.Address, AppliedIndex: n.cfg.State.Applied(), Reachable: true}
	if !n.isStarted() {
		return m
	}
	m.CommitIndex, m.Leader = n.raft.CommitIndex(), n.raft.State() == raft.Leader
	if at := n.raft.LastContact(); m.GetLeader() {
		m.LastContact = timestamppb.Now()
	} else if !at.IsZero() {
		m.LastContact = timestamppb.New(at)
	}
	for _, s := range n.raft.GetConfiguration().Configuration().Servers {
		if string(s.ID) == n.cfg.ID {
			m.Voter = s.Suffrage == raft.Voter
		}
	}
	return m
}

// Members are the nodes as the log has them, each as it is doing now; one that does
// not answer is not reachable.
func (n *Node) Members(ctx context.Context) []*apiv1.Member {
	if !n.isStarted() {
		return []*apiv1.Member{n.Status()}
	}
	leader, _ := n.Leader()
	servers := n.raft.GetConfiguration().Configuration().Servers
	list := make([]*apiv1.Member, len(servers))
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var all sync.WaitGroup
	for i, s := range servers {
		all.Go(func() {
			list[i] = n.ask(ctx, s)
			list[i].Leader = list[i].GetId() == leader
		})
	}
	all.Wait()
	return list
}

// answerWithin is how long a node may take to say how it is doing.
const answerWithin = 2 * time.Second

func (n *Node) ask(ctx context.Context, s raft.Server) *apiv1.Member {
	m := &apiv1.Member{Id: string(s.ID), ClusterAddress: string(s.Address)}
	if m.GetId() == n.cfg.ID {
		m = n.Status()
	} else if n.links != nil {
		if got, err := n.status(ctx, m.GetClusterAddress()); err == nil {
			m = got
		}
	}
	m.Voter = s.Suffrage == raft.Voter
	return m
}

// Join makes a node a member without a vote. It gets one once it has caught up. Only
// the leader can.
func (n *Node) Join(id, address string) error {
	if !n.isStarted() {
		return ErrNoLeader
	}
	if err := n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(address), 0, enqueue).Error(); err != nil {
		return refused("let node "+id+" in", err)
	}
	return nil
}

// SetAddress says where a member is reached from now on. Only the leader can.
func (n *Node) SetAddress(id, address string) error {
	if !n.isStarted() {
		return ErrNoLeader
	}
	for _, s := range n.raft.GetConfiguration().Configuration().Servers {
		if string(s.ID) != id || string(s.Address) == address {
			continue
		}
		change := n.raft.AddNonvoter
		if s.Suffrage == raft.Voter {
			change = n.raft.AddVoter
		}
		if err := change(s.ID, raft.ServerAddress(address), 0, enqueue).Error(); err != nil {
			return refused("change the address of node "+id, err)
		}
	}
	return nil
}

// Has says whether a node is a member, and where it is reached.
func (n *Node) Has(id string) (address string, ok bool) {
	if !n.isStarted() {
		return "", false
	}
	for _, s := range n.raft.GetConfiguration().Configuration().Servers {
		if string(s.ID) == id {
			return string(s.Address), true
		}
	}
	return "", false
}

// At is the member that has an address.
func (n *Node) At(address string) (id string, ok bool) {
	if !n.isStarted() {
		return "", false
	}
	for _, s := range n.raft.GetConfiguration().Configuration().Servers {
		if string(s.Address) == address {
			return string(s.ID), true
		}
	}
	return "", false
}

// Others are the addresses of the other members.
func (n *Node) Others() (list []string) {
	if !n.isStarted() {
		return nil
	}
	for _, s := range n.raft.GetConfiguration().Configuration().Servers {
		if string(s.ID) != n.cfg.ID {
			list = append(list, string(s.Address))
		}
	}
	return list
}

// Remove takes a node out, for good. Only the leader can.
func (n *Node) Remove(id string) error {
	if !n.isStarted() {
		return ErrNoLeader
	}
	if _, ok := n.Has(id); !ok {
		return fmt.Errorf("%w: %s", ErrNoMember, id)
	}
	if err := n.raft.RemoveServer(raft.ServerID(id), 0, enqueue).Error(); err != nil {
		return refused("take node "+id+" out", err)
	}
	return nil
}

// Transfer gives the lead to a node, or to the one that is furthest. Only the leader can.
func (n *Node) Transfer(id string) error {
	if !n.isStarted() {
		return ErrNoLeader
	}
	f := func() raft.Future { return n.raft.LeadershipTransfer() }
	if id != "" {
		address := ""
		for _, s := range n.raft.GetConfiguration().Configuration().Servers {
			if string(s.ID) == id {
				address = string(s.Address)
			}
		}
		if address == "" {
			return fmt.Errorf("%w: %s", ErrNoMember, id)
		}
		f = func() raft.Future {
			return n.raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(address))
		}
	}
	// Raft gives it one election's time, which is short on a busy machine.
	var err error
	for range transfers {
		if err = f().Error(); err == nil || errors.Is(err, raft.ErrNotLeader) {
			break
		}
		if n.raft.State() != raft.Leader {
			return nil // it has gone all the same
		}
	}
	if err != nil {
		return refused("give the lead away", err)
	}
	return nil
}

// transfers is how often a lead that does not go is given away.
const transfers = 3

// refused tells what the next leader may do from what nobody will.
func refused(what string, err error) error {
	for _, passes := range []error{raft.ErrNotLeader, raft.ErrLeadershipLost, raft.ErrLeadershipTransferInProgress, raft.ErrEnqueueTimeout, raft.ErrRaftShutdown} {
		if errors.Is(err, passes) {
			return fmt.Errorf("%w: %s: %w", ErrNoLeader, what, err)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}
