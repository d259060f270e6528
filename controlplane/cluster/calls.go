package cluster

import (
	"context"
	"errors"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// Calls answers what other nodes ask a node about the log. The rest of NodeService is
// for who knows more than the log.
type Calls struct{ Node *Node }

// Propose applies a command of another node, where this one leads.
func (c Calls) Propose(_ context.Context, req *clusterv1.ProposeRequest) (*clusterv1.ProposeResponse, error) {
	data, err := proto.Marshal(req.GetCommand())
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	answer, err := c.Node.Apply(data)
	switch {
	case errors.Is(err, ErrNoLeader):
		return &clusterv1.ProposeResponse{NotLeader: true}, nil
	case err != nil:
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	return &clusterv1.ProposeResponse{Answer: answer}, nil
}

// ReadIndex says up to which entry another node must have read.
func (c Calls) ReadIndex(ctx context.Context, _ *clusterv1.ReadIndexRequest) (*clusterv1.ReadIndexResponse, error) {
	if _, here := c.Node.Leader(); !here {
		return nil, connect.NewError(connect.CodeUnavailable, ErrNoLeader)
	}
	if err := c.Node.Barrier(ctx); err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	return &clusterv1.ReadIndexResponse{Index: c.Node.cfg.State.Applied()}, nil
}

// Status says how this node is doing.
func (c Calls) Status(context.Context, *clusterv1.StatusRequest) (*clusterv1.StatusResponse, error) {
	return &clusterv1.StatusResponse{Member: c.Node.Status()}, nil
}
