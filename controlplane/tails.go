package controlplane

import (
	"context"
	"errors"
	"slices"

	"connectrpc.com/connect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"

	"github.com/testmesh/testmesh/controlplane/api"
	"github.com/testmesh/testmesh/controlplane/stream"
)

// streams are this node's, as the API reads them.
type streams struct{ *stream.Streams }

func (s streams) Read(ctx context.Context, run string, attempt int32, offset int64, follow bool, give func(int64, []byte) error) error {
	err := s.Streams.Read(ctx, run, attempt, offset, follow, give)
	if errors.Is(err, stream.ErrClosed) {
		return &api.Error{Kind: api.Unavailable, Message: "this node ends: ask another, or this one again soon", Cause: err}
	}
	return err
}

// tails are the streams that come to other nodes.
type tails struct{ *Node }

// Homes are the nodes that may have a stream: the one that the run's row names, and the
// others, because an agent's socket need not be where it polls.
func (t tails) Homes(ctx context.Context, run string, attempt int32) []string {
	r, err := t.store.Run(ctx, run)
	if err != nil || r.GetStatus() >= apiv1.RunStatus_RUN_STATUS_PASSED {
		return nil // all of it is in the blob store
	}
	others := t.cluster.Others()
	for _, at := range r.GetAttempts() {
		if at.GetNumber() != attempt {
			continue
		}
		if address, ok := t.cluster.Has(at.GetHome()); ok && slices.Contains(others, address) {
			others = slices.DeleteFunc(others, func(a string) bool { return a == address })
			return append([]string{address}, others...)
		}
	}
	return others
}

// Tail gives what another node has.
func (t tails) Tail(ctx context.Context, node, run string, attempt int32, offset int64, follow bool, give func(int64, []byte) error) (ended bool, err error) {
	c, err := t.cluster.Client(node)
	if err != nil {
		return false, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	in, err := c.Tail(ctx, &clusterv1.TailRequest{RunId: run, Attempt: attempt, Offset: offset, Follow: follow})
	if err != nil {
		return false, asTail(err)
	}
	defer func() {
		stop()
		_ = in.Close() // it was stopped, or has ended
	}()
	for in.Receive() {
		m := in.Msg()
		if len(m.GetData()) > 0 {
			if err := give(m.GetOffset(), m.GetData()); err != nil {
				return false, err
			}
		}
		ended = ended || m.GetEnded()
	}
	return ended, asTail(in.Err())
}

// asTail tells a node that does not have a stream from one that does not answer.
func asTail(err error) error {
	if connect.CodeOf(err) == connect.CodeNotFound {
		return stream.ErrElsewhere
	}
	return err
}

// Tail gives what only this node has of a stream.
func (c calls) Tail(ctx context.Context, r *clusterv1.TailRequest, out *connect.ServerStream[clusterv1.TailResponse]) error {
	ended, err := c.streams.Tail(ctx, r.GetRunId(), r.GetAttempt(), r.GetOffset(), r.GetFollow(), func(offset int64, data []byte) error {
		return out.Send(&clusterv1.TailResponse{Offset: offset, Data: data})
	})
	switch {
	case errors.Is(err, stream.ErrElsewhere):
		return connect.NewError(connect.CodeNotFound, err)
	case errors.Is(err, stream.ErrClosed):
		return connect.NewError(connect.CodeUnavailable, err)
	case err != nil:
		return err
	}
	return out.Send(&clusterv1.TailResponse{Ended: ended})
}
