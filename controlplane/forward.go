package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/proto/testmesh/cluster/v1/clusterv1connect"

	"github.com/testmesh/testmesh/controlplane/api"
	"github.com/testmesh/testmesh/controlplane/cluster"
	"github.com/testmesh/testmesh/controlplane/dispatch"
)

const (
	// patience is how long what only a leader can do is tried while there is none: an
	// election takes a second or two.
	patience = 10 * time.Second
	// pause lies between two tries.
	pause = 50 * time.Millisecond
)

// errElsewhere says that nothing was done, because another node leads.
var errElsewhere = errors.New("this node does not lead")

// there asks the node that leads; led is false where it says that it does not.
type there func(ctx context.Context, c clusterv1connect.NodeServiceClient) (led bool, err error)

// atLeader does something where the leader is, and tries again while there is none.
// What it does may be done twice: the answer may have got lost.
func (n *Node) atLeader(ctx context.Context, here func(context.Context) error, ask there) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := n.tryLeader(ctx, here, ask)
		if !transient(err) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func (n *Node) tryLeader(ctx context.Context, here func(context.Context) error, ask there) error {
	if _, leads := n.cluster.Leader(); leads {
		return here(ctx)
	}
	address := n.cluster.LeaderAddress()
	if address == "" {
		return cluster.ErrNoLeader
	}
	c, err := n.cluster.Client(address)
	if err != nil {
		return fmt.Errorf("%w: %w", cluster.ErrNoLeader, err)
	}
	asking, done := n.cluster.Under(ctx, address)
	defer done()
	switch led, err := ask(asking, c); {
	case err != nil && (!connect.IsWireError(err) || connect.CodeOf(err) == connect.CodeUnavailable):
		return fmt.Errorf("%w: ask the leader: %w", cluster.ErrNoLeader, err) // it has gone, stands still, or is about to
	case err != nil:
		return heard(err)
	case !led:
		return errElsewhere
	}
	return nil
}

func transient(err error) bool {
	return errors.Is(err, cluster.ErrNoLeader) || errors.Is(err, errElsewhere) || errors.Is(err, dispatch.ErrNotLeading)
}

// kinds are what errors between nodes keep of what they are.
var kinds = [...]struct {
	kind api.Kind
	code connect.Code
}{
	{api.NotFound, connect.CodeNotFound},
	{api.Invalid, connect.CodeInvalidArgument},
	{api.Conflict, connect.CodeFailedPrecondition},
	{api.Unavailable, connect.CodeUnavailable},
	{api.Denied, connect.CodePermissionDenied},
}

// told is an error on its way to another node.
func told(err error) error {
	var known *api.Error
	if !errors.As(said(err), &known) {
		return err
	}
	for _, k := range kinds {
		if k.kind == known.Kind {
			return connect.NewError(k.code, errors.New(known.Message))
		}
	}
	return err
}

// heard is an error that another node told.
func heard(err error) error {
	var known *connect.Error
	if !errors.As(err, &known) {
		return err
	}
	for _, k := range kinds {
		if k.code == known.Code() {
			return &api.Error{Kind: k.kind, Message: known.Message(), Cause: err}
		}
	}
	return err
}

// queue is the dispatcher of the leader, wherever it is, as the API asks it.
type queue struct{ *Node }

func (q queue) Why(ctx context.Context, run string) (res *apiv1.WhyResponse, err error) {
	err = q.atLeader(ctx, func(ctx context.Context) error {
		res, err = q.dispatcher.Why(ctx, run)
		return err
	}, func(ctx context.Context, c clusterv1connect.NodeServiceClient) (bool, error) {
		a, err := c.Explain(ctx, &clusterv1.ExplainRequest{RunId: run})
		res = a.GetWhy()
		return !a.GetNotLeader(), err
	})
	return res, said(err)
}

func (q queue) Match(ctx context.Context, specs []*apiv1.Spec) (res *apiv1.MatchAgentsResponse, err error) {
	err = q.atLeader(ctx, func(ctx context.Context) error {
		res, err = q.dispatcher.Match(ctx, specs)
		return err
	}, func(ctx context.Context, c clusterv1connect.NodeServiceClient) (bool, error) {
		a, err := c.Match(ctx, &clusterv1.MatchRequest{Specs: specs})
		res = a.GetMatch()
		return !a.GetNotLeader(), err
	})
	return res, said(err)
}

func (q queue) Stats(ctx context.Context, workspace, environment string) (res *apiv1.QueueStatsResponse, err error) {
	err = q.atLeader(ctx, func(context.Context) error {
		res, err = q.dispatcher.Stats(workspace, environment)
		return err
	}, func(ctx context.Context, c clusterv1connect.NodeServiceClient) (bool, error) {
		a, err := c.Stats(ctx, &clusterv1.StatsRequest{Workspace: workspace, Environment: environment})
		res = a.GetStats()
		return !a.GetNotLeader(), err
	})
	return res, said(err)
}

// Poll holds an agent's poll, whoever leads meanwhile. Only where this node knows of no
// leader for longer than an election takes, the agent is told: it may know another node.
func (q queue) Poll(ctx context.Context, agent string, req *apiv1.PollRequest) (*apiv1.PollResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(q.stopping, cancel)() // a node that ends lets go of its agents
	end := time.Now().Add(min(req.GetHold().AsDuration(), dispatch.MaxHold))
	req = proto.CloneOf(req)
	alone := time.Now().Add(patience)
	for {
		req.Hold = durationpb.New(max(time.Until(end), 0))
		res, err := q.poll(ctx, agent, req)
		switch {
		case err == nil:
			return res, q.caughtUp(ctx, res.GetOffers())
		case !transient(err):
			return nil, said(err)
		case time.Now().After(alone):
			return &apiv1.PollResponse{Leaderless: true}, nil
		case time.Now().After(end), ctx.Err() != nil:
			return &apiv1.PollResponse{}, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (q queue) poll(ctx context.Context, agent string, req *apiv1.PollRequest) (res *apiv1.PollResponse, err error) {
	err = q.tryLeader(ctx, func(ctx context.Context) error {
		res, err = q.dispatcher.Poll(ctx, agent, q.id, req)
		return err
	}, func(ctx context.Context, c clusterv1connect.NodeServiceClient) (bool, error) {
		a, err := c.Poll(ctx, &clusterv1.NodeServicePollRequest{AgentId: agent, Poll: req, Home: q.id})
		res = a.GetAnswer()
		return !a.GetNotLeader(), err
	})
	return res, err
}

// caughtUp makes sure that this node has what was offered: the agent asks it next.
func (q queue) caughtUp(ctx context.Context, offers []*apiv1.Offer) error {
	newest := uint64(0)
	for _, o := range offers {
		newest = max(newest, o.GetLease().GetFence()) // the index of its entry
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := q.cluster.Wait(ctx, newest); err != nil {
		return &api.Error{Kind: api.Unavailable, Message: "this node is behind the others: try again", Cause: err}
	}
	return nil
}

func (q queue) Renew(ctx context.Context, agent string, req *apiv1.RenewRequest) (*apiv1.RenewResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	res, err := q.renewals.renew(ctx, &clusterv1.AgentRenewal{AgentId: agent, Renew: req})
	return res, said(err)
}

func (q queue) Lost(ctx context.Context, agent string, leases []*apiv1.Lease) error {
	return said(q.dispatcher.Lost(ctx, agent, leases))
}
