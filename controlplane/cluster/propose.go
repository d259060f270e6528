package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

var (
	// ErrNoLeader says that the cluster has no leader, or none that can be reached. Nothing was
	// done.
	ErrNoLeader = errors.New("the cluster has no leader at the moment")
	// ErrUnknown says that the command may have been applied, or may yet be. It is safe to propose
	// it again with the same request id.
	ErrUnknown = errors.New("the outcome is not known")
	// ErrTooLarge says that the command is over its limit.
	ErrTooLarge = errors.New("the command is too large")
)

const (
	// maxCommand bounds a command: raft suggests 512 KiB at most.
	maxCommand = 512 << 10
	// patience is how long a command is tried again while the cluster has no leader.
	patience = 15 * time.Second
	// enqueue is how long raft may take to accept a command.
	enqueue = 5 * time.Second
	// pause lies between two tries.
	pause = 50 * time.Millisecond
)

// Propose has a command applied, by the leader wherever it is, and gives its answer
// once the command is committed. It is tried again for as long as nothing was done,
// and where the outcome is not known only if the command has a request id.
func (n *Node) Propose(ctx context.Context, c *clusterv1.Command) (*clusterv1.Answer, error) {
	data, err := proto.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	if len(data) > maxCommand {
		return nil, fmt.Errorf("%w: %d bytes, and at most %d are possible", ErrTooLarge, len(data), maxCommand)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := n.started(ctx); err != nil {
		return nil, err
	}
	for {
		answer, err := n.propose(ctx, c, data)
		switch {
		case err == nil:
			return answer, nil
		case errors.Is(err, ErrUnknown) && c.GetRequestId() == "":
			return nil, err
		case !errors.Is(err, ErrNoLeader) && !errors.Is(err, ErrUnknown):
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (n *Node) propose(ctx context.Context, c *clusterv1.Command, data []byte) (*clusterv1.Answer, error) {
	if n.raft.State() == raft.Leader {
		return n.Apply(data)
	}
	address, id := n.raft.LeaderWithID()
	if address == "" || string(id) == n.cfg.ID || n.links == nil {
		return nil, ErrNoLeader
	}
	asking, done := n.Under(ctx, string(address))
	res, err := n.links.client(string(address)).Propose(asking, &clusterv1.ProposeRequest{Command: c})
	done()
	switch {
	case err == nil && res.GetNotLeader():
		return nil, ErrNoLeader
	case err == nil:
		// Who asked here reads here next.
		if err := n.Wait(ctx, res.GetAnswer().GetIndex()); err != nil {
			n.log.Warn("this node is behind what it was answered", "error", err)
		}
		return res.GetAnswer(), nil
	case notSent(err):
		return nil, fmt.Errorf("%w: %w", ErrNoLeader, err)
	case connect.CodeOf(err) == connect.CodeInvalidArgument:
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
}

// Apply has an encoded command applied here, which is an error where this node does
// not lead.
func (n *Node) Apply(data []byte) (*clusterv1.Answer, error) {
	f := n.raft.Apply(data, enqueue)
	switch err := f.Error(); {
	case err == nil:
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		return nil, fmt.Errorf("%w: %w", ErrNoLeader, err)
	default: // the lead was lost meanwhile, or the node ends
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if err := n.cfg.Fault.Point("cluster.applied"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	answer, ok := f.Response().(*clusterv1.Answer)
	if !ok || answer == nil {
		return nil, fmt.Errorf("%w: the state gave no answer", ErrUnknown)
	}
	return answer, nil
}

// Leader is the node that leads, "" where none is known, and whether it is this one.
func (n *Node) Leader() (id string, here bool) {
	if !n.isStarted() {
		return "", false
	}
	_, leader := n.raft.LeaderWithID()
	return string(leader), n.raft.State() == raft.Leader
}

// barrier is one entry that everybody who reads strongly at the moment waits for.
type barrier struct {
	done chan struct{}
	err  error
}

// Read returns once this node has all that was committed before the call.
func (n *Node) Read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := n.started(ctx); err != nil {
		return err
	}
	for {
		err := n.read(ctx)
		if err == nil || !errors.Is(err, ErrNoLeader) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func (n *Node) read(ctx context.Context) error {
	if n.cfg.Fault.Off("no_strong_read") {
		return nil
	}
	if n.raft.State() == raft.Leader {
		return n.Barrier(ctx)
	}
	address, _ := n.raft.LeaderWithID()
	if address == "" || n.links == nil {
		return ErrNoLeader
	}
	asking, done := n.Under(ctx, string(address))
	res, err := n.links.client(string(address)).ReadIndex(asking, &clusterv1.ReadIndexRequest{})
	done()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	return n.Wait(ctx, res.GetIndex())
}

// Wait returns once this node has an entry that is committed.
func (n *Node) Wait(ctx context.Context, index uint64) error {
	for {
		more := n.fsm.next()
		if n.cfg.State.Applied() >= index {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("%w, or this node is behind: it has entry %d and waits for %d: %w", ErrNoLeader, n.cfg.State.Applied(), index, ctx.Err())
		}
	}
}

// Barrier returns once the state of this node, which must lead, has everything that
// was committed before the call. An entry of its own goes through the log for it, so
// that a node that leads no longer is found out; calls at one time share one.
func (n *Node) Barrier(ctx context.Context) error {
	n.mu.Lock()
	b := n.barrier
	if b == nil {
		b = &barrier{done: make(chan struct{})}
		n.barrier = b
		go func() {
			n.mu.Lock()
			n.barrier = nil // who comes now was not there before it: the next is theirs
			n.mu.Unlock()
			if err := n.raft.Barrier(enqueue).Error(); err != nil {
				b.err = fmt.Errorf("%w: %w", ErrNoLeader, err)
			}
			close(b.done)
		}()
	}
	n.mu.Unlock()
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("%w: no barrier in time: %w", ErrNoLeader, ctx.Err())
	}
}
