package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

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
	case errors.Is(err, cluster.ErrNoMember):
		return &api.Error{Kind: api.NotFound, Field: "id", Message: err.Error(), Cause: err}
	case errors.Is(err, cluster.ErrNoLeader), errors.Is(err, cluster.ErrUnknown), errors.Is(err, errElsewhere):
		return &api.Error{Kind: api.Unavailable, Message: "the control plane has no leader at the moment: try again", Cause: err}
	case errors.Is(err, cluster.ErrTooLarge):
		return &api.Error{Kind: api.Invalid, Message: "the request is too large", Cause: err}
	case errors.Is(err, dispatch.ErrNotLeading):
		return &api.Error{Kind: api.Unavailable, Message: "this node does not lead: try again", Cause: err}
	}
	return err
}

// keys are the store's, for who signs requests. An agent that this node does not know,
// or of which it knows another session, may have come to it faster than the log.
type keys struct{ *Node }

func (k keys) AgentKey(ctx context.Context, id string) (key []byte, session string, err error) {
	err = k.known(ctx, func() error {
		key, session, err = k.store.AgentKey(ctx, id)
		return err
	})
	return key, session, err
}

func (k keys) RunOfToken(ctx context.Context, sum []byte) (run string, err error) {
	err = k.known(ctx, func() error {
		run, err = k.store.RunOfToken(ctx, sum)
		return err
	})
	return run, err
}

func (k keys) known(ctx context.Context, read func() error) error {
	err := k.again(ctx, read)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", auth.ErrBehind, err)
	}
	return err
}

// Fresh returns once this node has what was committed before.
func (k keys) Fresh(ctx context.Context) error { return k.cluster.Read(ctx) }

// again reads a second time what is not there, from a node that is up to date: what was
// made at another node is asked for here next.
func (n *Node) again(ctx context.Context, read func() error) error {
	err := read()
	if n.cfg.Cluster == nil || !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if _, leads := n.cluster.Leader(); leads {
		return err
	}
	if behind := n.cluster.Read(ctx); behind != nil {
		return behind
	}
	return read()
}

// runs are the store's, as the API reads them.
type runs struct{ *Node }

func (r runs) Run(ctx context.Context, id string) (run *apiv1.Run, err error) {
	err = r.again(ctx, func() error {
		if run, err = r.store.Run(ctx, id); errors.Is(err, store.ErrNotFound) {
			run, err = r.history.run(ctx, id)
		}
		return err
	})
	return run, said(err)
}

func (r runs) Batch(ctx context.Context, id string) (b *apiv1.Batch, err error) {
	err = r.again(ctx, func() error {
		b, err = r.store.Batch(ctx, id)
		return err
	})
	return b, said(err)
}

func (r runs) RunsOfBatch(ctx context.Context, batch string) ([]*apiv1.Run, error) {
	list, err := r.store.RunsOfBatch(ctx, batch)
	if err != nil {
		return nil, err
	}
	return r.history.whole(ctx, batch, list)
}

func (r runs) Quarantined(ctx context.Context, workspace string) ([]*apiv1.Run, error) {
	return r.store.Quarantined(ctx, workspace)
}

func (r runs) Runs(ctx context.Context, q api.RunQuery) ([]*apiv1.Run, api.Cursor, bool, error) {
	list, end, more, err := r.store.Runs(ctx, store.RunFilter{
		Workspace: q.Workspace, Status: q.Status, Environment: q.Environment, Flow: q.Flow, Batch: q.Batch, Agent: q.Agent,
		Since: q.Since, Until: q.Until, Tags: q.Tags, Before: store.Cursor(q.Before), Limit: q.Limit,
	})
	if err != nil {
		return nil, api.Cursor{}, false, err
	}
	p, err := r.history.list(ctx, q, page{list, api.Cursor(end), more})
	return p.runs, p.end, p.more, err
}

func (r runs) Batches(ctx context.Context, workspace string, before api.Cursor, limit int) ([]*apiv1.Batch, error) {
	return r.store.Batches(ctx, workspace, store.Cursor(before), limit)
}

func (r runs) Changed(batch string) <-chan struct{} { return r.watch.changed(batch) }

// flows are the store's, as the API reads them.
type flows struct{ *Node }

func (f flows) Bundle(ctx context.Context, digest string) (b []*apiv1.BundleFile, err error) {
	err = f.again(ctx, func() error {
		b, err = f.store.Bundle(ctx, digest)
		return err
	})
	return b, said(err)
}

func (f flows) Environment(ctx context.Context, workspace, name string) (e *apiv1.Environment, err error) {
	err = f.again(ctx, func() error {
		e, err = f.store.Environment(ctx, workspace, name)
		return err
	})
	return e, said(err)
}

func (f flows) Environments(ctx context.Context, workspace string) ([]*apiv1.Environment, error) {
	return f.store.Environments(ctx, workspace)
}

func (f flows) Flows(ctx context.Context, workspace string) (list []*apiv1.Flow, revision int64, bundle string, err error) {
	return f.store.Flows(ctx, workspace)
}

func (f flows) Revisions(ctx context.Context, workspace, file string, index int32, before int64, limit int) ([]*clusterv1.PushedFlow, error) {
	return f.store.Revisions(ctx, workspace, file, index, before, limit)
}

func (f flows) SealedSecrets(ctx context.Context, workspace, environment string) (map[string][]byte, error) {
	return f.store.SealedSecrets(ctx, workspace, environment)
}

// changes are the store's, as the dispatcher hears them.
func (n *Node) changes() (<-chan dispatch.Change, func()) {
	from, stop := n.store.Changes()
	to := make(chan dispatch.Change)
	done := make(chan struct{})
	go func() {
		defer close(to)
		for c := range from {
			made := make([]dispatch.Made, len(c.Made))
			for i, m := range c.Made {
				made[i] = dispatch.Made(m)
			}
			select {
			case to <- dispatch.Change{Runs: c.Runs, Batches: c.Batches, Agents: c.Agents, Made: made, Lost: c.Lost}:
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
				if at.GetNumber() != l.GetAttempt() || at.GetFence() != l.GetFence() || at.GetIncarnation() != l.GetIncarnation() || at.GetAgentId() != agent {
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

func (g *guard) Allow(ctx context.Context, procedure string) error {
	return g.rules.Check(ctx, procedure)
}

func (g *guard) Require(p apiv1.Permission, next http.HandlerFunc) http.HandlerFunc {
	return auth.Require(p, next)
}

func (g *guard) Who(ctx context.Context) (actor, id, session string) {
	who := auth.From(ctx)
	return who.String(), who.ID, who.Session
}
