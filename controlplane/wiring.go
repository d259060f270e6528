package controlplane

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"

	"github.com/testmesh/testmesh/controlplane/api"
	"github.com/testmesh/testmesh/controlplane/auth"
	"github.com/testmesh/testmesh/controlplane/cluster"
	"github.com/testmesh/testmesh/controlplane/dispatch"
	"github.com/testmesh/testmesh/controlplane/store"
	"github.com/testmesh/testmesh/controlplane/stream"
)

// machine is the store as the cluster sees it.
type machine struct{ *store.Store }

func (m machine) Apply(entries []cluster.Entry) []*clusterv1.Answer {
	list := make([]store.Entry, len(entries))
	for i, e := range entries {
		list[i] = store.Entry{Index: e.Index, Term: e.Term, Command: e.Command}
	}
	return m.Store.Apply(list)
}

func (m machine) Snapshot(ctx context.Context) (cluster.Snapshot, error) {
	return m.Store.Snapshot(ctx)
}

// proposer is the cluster as the API sees it.
type proposer struct {
	*cluster.Node
	store *store.Store
}

func (p proposer) Applied() uint64 { return p.store.Applied() }

func (p proposer) Propose(ctx context.Context, c *clusterv1.Command) (*clusterv1.Answer, error) {
	a, err := p.Node.Propose(ctx, c)
	return a, said(err)
}

func (p proposer) Read(ctx context.Context) error { return said(p.Node.Read(ctx)) }

// said gives the errors of those behind the API their kind.
func said(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return &api.Error{Kind: api.NotFound, Message: "there is no such thing", Cause: err}
	case errors.Is(err, cluster.ErrNoLeader), errors.Is(err, cluster.ErrUnknown):
		return &api.Error{Kind: api.Unavailable, Message: "the control plane has no leader at the moment: try again", Cause: err}
	case errors.Is(err, cluster.ErrTooLarge):
		return &api.Error{Kind: api.Invalid, Message: "the request is too large", Cause: err}
	case errors.Is(err, dispatch.ErrNotLeading):
		return &api.Error{Kind: api.Unavailable, Message: "this node does not lead: try again", Cause: err}
	}
	return err
}

// runs are the store's, as the API reads them.
type runs struct {
	*store.Store
	watch *watch
}

func (r runs) Run(ctx context.Context, id string) (*apiv1.Run, error) {
	run, err := r.Store.Run(ctx, id)
	return run, said(err)
}

func (r runs) Batch(ctx context.Context, id string) (*apiv1.Batch, error) {
	b, err := r.Store.Batch(ctx, id)
	return b, said(err)
}

func (r runs) Runs(ctx context.Context, q api.RunQuery) ([]*apiv1.Run, api.Cursor, bool, error) {
	list, end, more, err := r.Store.Runs(ctx, store.RunFilter{
		Workspace: q.Workspace, Status: q.Status, Environment: q.Environment, Flow: q.Flow, Batch: q.Batch, Agent: q.Agent,
		Since: q.Since, Until: q.Until, Tags: q.Tags, Before: store.Cursor(q.Before), Limit: q.Limit,
	})
	return list, api.Cursor(end), more, err
}

func (r runs) Batches(ctx context.Context, workspace string, before api.Cursor, limit int) ([]*apiv1.Batch, error) {
	return r.Store.Batches(ctx, workspace, store.Cursor(before), limit)
}

func (r runs) Changed(batch string) <-chan struct{} { return r.watch.changed(batch) }

// flows are the store's, as the API reads them.
type flows struct{ *store.Store }

func (f flows) Bundle(ctx context.Context, digest string) ([]*apiv1.BundleFile, error) {
	b, err := f.Store.Bundle(ctx, digest)
	return b, said(err)
}

func (f flows) Environment(ctx context.Context, workspace, name string) (*apiv1.Environment, error) {
	e, err := f.Store.Environment(ctx, workspace, name)
	return e, said(err)
}

// agents are the store's, with what the leader has heard of them.
type agents struct {
	*store.Store
	dispatcher *dispatch.Dispatcher
}

func (a agents) Agents(ctx context.Context) ([]*apiv1.Agent, error) {
	list, err := a.Store.Agents(ctx)
	for _, one := range list {
		a.present(one)
	}
	return list, err
}

func (a agents) Agent(ctx context.Context, id string) (*apiv1.Agent, error) {
	one, err := a.Store.Agent(ctx, id)
	if err != nil {
		return nil, said(err)
	}
	a.present(one)
	return one, nil
}

// present says how an agent is doing by when it was last heard of.
func (a agents) present(one *apiv1.Agent) {
	p, known := a.dispatcher.Presences()[one.GetId()]
	t := a.dispatcher.Timing()
	if known {
		one.Seen, one.Leases = timestamppb.New(p.Seen), p.Leases
	}
	if one.GetState() != apiv1.AgentState_AGENT_STATE_ONLINE && one.GetState() != apiv1.AgentState_AGENT_STATE_OFFLINE {
		return
	}
	silent := time.Since(one.GetSeen().AsTime())
	switch {
	case p.Parked, silent < t.TTL:
		one.State = apiv1.AgentState_AGENT_STATE_ONLINE
	case silent < t.TTL+t.Grace:
		one.State = apiv1.AgentState_AGENT_STATE_STALE
	default:
		one.State = apiv1.AgentState_AGENT_STATE_OFFLINE
	}
}

func (a agents) Plugins(ctx context.Context) ([]*apiv1.PluginInfo, error) {
	described, err := a.Store.Descriptors(ctx)
	if err != nil {
		return nil, err
	}
	joined, err := a.Store.Agents(ctx)
	if err != nil {
		return nil, err
	}
	have := map[string]int32{}
	for _, one := range joined {
		for _, digest := range one.GetPlugins() {
			have[digest]++
		}
	}
	var list []*apiv1.PluginInfo
	for _, d := range described {
		list = append(list, &apiv1.PluginInfo{Name: d.Name, Version: d.Version, Digest: d.Digest, DescriptorBytes: d.Body, Agents: have[d.Digest]})
	}
	return list, nil
}

// queue is the dispatcher, as the API asks it.
type queue struct {
	*dispatch.Dispatcher
	node string
}

func (q queue) Why(ctx context.Context, run string) (*apiv1.WhyResponse, error) {
	res, err := q.Dispatcher.Why(ctx, run)
	return res, said(err)
}

func (q queue) Stats(_ context.Context, workspace, environment string) (*apiv1.QueueStatsResponse, error) {
	res, err := q.Dispatcher.Stats(workspace, environment)
	return res, said(err)
}

func (q queue) Poll(ctx context.Context, agent string, req *apiv1.PollRequest) (*apiv1.PollResponse, error) {
	res, err := q.Dispatcher.Poll(ctx, agent, q.node, req)
	return res, said(err)
}

func (q queue) Renew(ctx context.Context, agent string, req *apiv1.RenewRequest) (*apiv1.RenewResponse, error) {
	res, err := q.Dispatcher.Renew(ctx, agent, req)
	return res, said(err)
}

// members is the node, as operators see the cluster.
type members struct{ *Node }

func (m members) Members(ctx context.Context) ([]*apiv1.Member, error) {
	list := m.cluster.Members(ctx)
	for _, one := range list {
		if one.GetId() == m.id {
			one.ApiAddress, one.Version = m.cfg.Listener.Addr().String(), m.cfg.Version
		}
	}
	return list, nil
}

func (m members) Admit(context.Context, *apiv1.JoinNodeRequest) (*apiv1.JoinNodeResponse, error) {
	return nil, &api.Error{Kind: api.Conflict, Message: "this node was started alone: no other node can join it"}
}

func (m members) Remove(_ context.Context, id string) error   { return said(m.cluster.Remove(id)) }
func (m members) Transfer(_ context.Context, id string) error { return said(m.cluster.Transfer(id)) }

func (m members) Snapshot(ctx context.Context, w io.Writer) error {
	snap, err := m.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Release()
	return snap.Write(ctx, w)
}

// changes are the store's, as the dispatcher hears them.
func (n *Node) changes() (<-chan dispatch.Change, func()) {
	from, stop := n.store.Changes()
	to := make(chan dispatch.Change)
	done := make(chan struct{})
	go func() {
		defer close(to)
		for c := range from {
			select {
			case to <- dispatch.Change{Runs: c.Runs, Batches: c.Batches, Agents: c.Agents, Lost: c.Lost}:
			case <-done:
				return
			}
		}
	}()
	return to, sync.OnceFunc(func() { close(done); stop() })
}

// holds says whether a lease may write: the run's newest attempt, of that agent.
func (n *Node) holds(ctx context.Context, agent string, l *apiv1.Lease) error {
	for try := 0; ; try++ {
		r, err := n.store.Run(ctx, l.GetRunId())
		if err == nil {
			for _, at := range r.GetAttempts() {
				if at.GetNumber() != l.GetAttempt() || at.GetFence() != l.GetFence() || at.GetAgentId() != agent {
					continue
				}
				// A lost attempt may still send the end of what it did, while none has begun anew.
				newest := r.GetAttempts()[len(r.GetAttempts())-1]
				if newest.GetNumber() == at.GetNumber() && (at.GetOutcome() == "" || at.GetOutcome() == "lost") {
					return nil
				}
				if n.cfg.Fault.Off("no_fence") {
					return nil
				}
				return stream.ErrFenced
			}
		}
		if try > 0 {
			return stream.ErrFenced
		}
		if err := n.cluster.Read(ctx); err != nil { // this node may be behind
			return err
		}
	}
}

// guard is auth, as the API asks it.
type guard struct {
	*auth.Guard
	rules auth.Rules
}

func newGuard(cfg auth.Config) (*guard, error) {
	rules, err := auth.ReadRules(apiv1.File_testmesh_api_v1_api_proto, apiv1.File_testmesh_api_v1_gateway_proto)
	if err != nil {
		return nil, err
	}
	return &guard{auth.New(cfg), rules}, nil
}

func (g *guard) Interceptor() connect.Interceptor { return g.rules.Interceptor() }

func (g *guard) Require(p apiv1.Permission, next http.HandlerFunc) http.HandlerFunc {
	return auth.Require(p, next)
}

func (g *guard) Who(ctx context.Context) (actor, id, session string) {
	who := auth.From(ctx)
	return who.String(), who.ID, who.Session
}
