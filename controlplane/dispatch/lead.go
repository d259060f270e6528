package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// lead is what a leader keeps in memory for one term. All of it can be made anew from
// the state, but for when leases were renewed.
type lead struct {
	cfg  Config
	term uint64
	kick chan struct{} // something is to be looked at
	done chan struct{} // closed at the end of the term

	mu      sync.Mutex
	queue   *queue
	batches map[string]*batch
	leases  map[string]*lease // by run
	agents  map[string]*agent
	expand  map[string]bool // batches that runs are to be made of
	bound   map[string]bool // runs that may be skipped because of what others come to
	served  int64           // counts what was given to agents
}

// lease is a granted attempt.
type lease struct {
	run       string
	workspace string
	attempt   int32
	fence     uint64
	agent     string
	started   bool
	// until is when it ends unless it is renewed, or started.
	until time.Time
	locks []string
	// cancelled is when it was first seen to be cancelled.
	cancelled time.Time
	teardown  bool
}

// agent is an agent as the leader knows it.
type agent struct {
	record *apiv1.Agent
	// waiting is its parked poll; nil: it is busy, or gone.
	waiting *parked
	// seen is when it last polled or renewed.
	seen time.Time
	// last are the offers of its newest poll, given again for the same poll id.
	lastPoll   string
	lastOffers []*apiv1.Offer
	// owed are offers whose poll was answered by news at that very moment.
	owed []*apiv1.Offer
	// leases are the runs that it has.
	leases map[string]bool
}

// parked is a poll that is held.
type parked struct {
	id      string
	session string
	home    string
	free    int
	paused  bool                     // when it was parked
	answer  chan *apiv1.PollResponse // of one place
}

func newLead(cfg Config, term uint64) *lead {
	return &lead{
		cfg: cfg, term: term, kick: make(chan struct{}, 1), done: make(chan struct{}), queue: newQueue(),
		batches: map[string]*batch{}, leases: map[string]*lease{}, agents: map[string]*agent{}, expand: map[string]bool{}, bound: map[string]bool{},
	}
}

func (l *lead) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// rebuild reads everything that is alive.
func (l *lead) rebuild(ctx context.Context) error {
	runs, err := l.cfg.State.LiveRuns(ctx)
	if err != nil {
		return fmt.Errorf("read the queue: %w", err)
	}
	agents, err := l.cfg.State.Agents(ctx)
	if err != nil {
		return fmt.Errorf("read the agents: %w", err)
	}
	made, err := l.cfg.State.Unexpanded(ctx)
	if err != nil {
		return fmt.Errorf("read the batches: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue, l.batches, l.leases, l.bound = newQueue(), map[string]*batch{}, map[string]*lease{}, map[string]bool{}
	l.queue.inLine = l.cfg.Fault.Off("no_turns")
	for _, a := range agents {
		l.agent(a.GetId()).record = a
	}
	for _, a := range l.agents {
		clear(a.leases)
	}
	for id := range made {
		if !l.cfg.Fault.Off("no_resume") {
			l.expand[id] = true
		}
	}
	for _, r := range runs {
		if err := l.take(ctx, r); err != nil {
			return err
		}
	}
	l.wake()
	return nil
}

func (l *lead) agent(id string) *agent {
	a := l.agents[id]
	if a == nil {
		a = &agent{leases: map[string]bool{}, seen: time.Now()}
		l.agents[id] = a
	}
	return a
}

// end answers every poll that waits: another node decides from now on.
func (l *lead) end() {
	close(l.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.agents {
		a.waiting = nil
	}
}

// look is how often leases are looked at when nothing happens.
const look = 250 * time.Millisecond

// run decides until ctx ends.
func (l *lead) run(ctx context.Context, changes <-chan Change) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c, open := <-changes:
			if !open {
				return nil
			}
			if err := l.changed(ctx, c); err != nil {
				return err
			}
			continue // until there are none, so that many are one decision
		case <-l.kick:
		case <-tick.C:
			if err := l.expire(ctx); err != nil {
				return err
			}
		}
		if err := l.turn(ctx); err != nil {
			return err
		}
	}
}

// turn makes runs of batches, ends what cannot run, and grants what can.
func (l *lead) turn(ctx context.Context) error {
	if err := l.expandOne(ctx); err != nil {
		return err
	}
	if err := l.endHopeless(ctx); err != nil {
		return err
	}
	return l.grant(ctx)
}

// changed takes in what commands did.
func (l *lead) changed(ctx context.Context, c Change) error {
	if c.Lost {
		return l.rebuild(ctx)
	}
	made := l.made(c.Made)
	for _, id := range c.Runs {
		if made[id] {
			continue
		}
		r, err := l.cfg.State.Run(ctx, id)
		if err != nil {
			return fmt.Errorf("read run %s: %w", id, err)
		}
		l.mu.Lock()
		err = l.take(ctx, r)
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
	for _, id := range c.Agents {
		a, err := l.cfg.State.Agent(ctx, id)
		if err != nil {
			return fmt.Errorf("read agent %s: %w", id, err)
		}
		l.mu.Lock()
		l.agent(id).record = a
		l.direct(id)
		l.mu.Unlock()
	}
	for _, id := range c.Batches {
		if made[id] {
			continue
		}
		b, err := l.cfg.State.Batch(ctx, id)
		if err != nil {
			return fmt.Errorf("read batch %s: %w", id, err)
		}
		l.mu.Lock()
		if !b.GetExpanded() {
			l.expand[id] = true
		}
		if known := l.batches[id]; known != nil {
			known.expanded = b.GetExpanded()
		}
		l.mu.Unlock()
	}
	l.wake()
	return nil
}

// take puts a run where it belongs now.
func (l *lead) take(ctx context.Context, r *apiv1.Run) error {
	b, err := l.batch(ctx, r)
	if err != nil {
		return err
	}
	b.note(r)
	old := l.leases[r.GetId()]
	at := leased(r)
	if old != nil && (at == nil || terminal(r) || at.GetFence() != old.fence) {
		delete(l.leases, r.GetId())
		delete(l.agent(old.agent).leases, r.GetId())
		old = nil
	}
	switch {
	case terminal(r):
		l.queue.remove(r.GetId())
		b.gone(r.GetId())
		if b.idle() {
			delete(l.batches, b.id)
		}
	case at != nil:
		l.queue.remove(r.GetId())
		l.lease(r, at, old)
	case r.GetQuarantined():
		l.queue.remove(r.GetId())
	default:
		l.wait(b, r)
	}
	return nil
}

func (l *lead) lease(r *apiv1.Run, at *apiv1.Attempt, old *lease) {
	n := old
	if n == nil {
		n = &lease{run: r.GetId(), workspace: r.GetWorkspace(), attempt: at.GetNumber(), fence: at.GetFence(), agent: at.GetAgentId(), teardown: at.GetTeardownOnly()}
		n.until = time.Now().Add(l.cfg.Timing.StartWithin)
		l.leases[r.GetId()] = n
		l.agent(n.agent).leases[r.GetId()] = true
	}
	n.locks = r.GetLocks()
	if at.GetStarted() != nil && !n.started {
		n.started, n.until = true, time.Now().Add(l.cfg.Timing.TTL+l.cfg.Timing.Grace)
	}
	// A teardown of what was cancelled is what the cancel wants.
	if r.GetCancelling() && n.cancelled.IsZero() && !n.teardown {
		n.cancelled = time.Now()
		l.news(n)
	}
}

// news wakes the agent of a lease that there is something new of.
func (l *lead) news(n *lease) {
	if a := l.agent(n.agent); a.waiting != nil {
		l.answer(a, &apiv1.PollResponse{News: []*apiv1.Renewal{l.renewal(n)}, Directive: l.directive(a)})
	}
}

// direct wakes an agent that is paused, resumed or drained: one that was paused waits
// without room until it hears that it may work again.
func (l *lead) direct(id string) {
	a := l.agent(id)
	if d := l.directive(a); a.waiting != nil && (d.GetPaused() != a.waiting.paused || d.GetDrain()) {
		l.answer(a, &apiv1.PollResponse{Directive: d})
	}
}

func (l *lead) answer(a *agent, res *apiv1.PollResponse) {
	p := a.waiting
	a.waiting = nil
	a.lastPoll, a.lastOffers = p.id, res.GetOffers()
	p.answer <- res
}

func (l *lead) directive(a *agent) *apiv1.Directive {
	r := a.record
	d := &apiv1.Directive{Note: r.GetNote()}
	switch r.GetState() {
	case apiv1.AgentState_AGENT_STATE_PAUSED:
		until := r.GetPausedUntil()
		d.Paused = until == nil || until.AsTime().After(l.cfg.Now())
	case apiv1.AgentState_AGENT_STATE_DRAINING:
		d.Drain = true
	}
	return d
}

// propose has a command of the leader applied. An outcome that is not known ends the
// term's memory: it is made anew from the state.
func (l *lead) propose(ctx context.Context, c *clusterv1.Command) (*clusterv1.Answer, error) {
	c.Term, c.Actor, c.RequestId = l.term, "leader", "leader-"+l.cfg.NewID()
	c.RequestDigest = []byte(c.GetRequestId())
	if c.GetWorkspace() == "" {
		c.Workspace = "default"
	}
	c.Time = timestamppb.New(l.cfg.Now())
	c.Version = max(c.GetVersion(), 1)
	answer, err := l.cfg.Proposer.Propose(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("propose: %w", err)
	}
	if f := answer.GetFault(); f != nil {
		return nil, errors.New(f.GetMessage())
	}
	return answer, nil
}
