// Package dispatch gives queued runs to agents and keeps their leases. It decides
// only on the node that leads, from what the state holds and what agents say; what it
// decides is a command before anybody hears of it. It never judges a run.
package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/sdk/fault"
)

// State is what is committed, as this node has it.
type State interface {
	LiveRuns(ctx context.Context) ([]*apiv1.Run, error)
	RunsOfBatch(ctx context.Context, batch string) ([]*apiv1.Run, error)
	Run(ctx context.Context, id string) (*apiv1.Run, error)
	Batch(ctx context.Context, id string) (*apiv1.Batch, error)
	Agents(ctx context.Context) ([]*apiv1.Agent, error)
	Agent(ctx context.Context, id string) (*apiv1.Agent, error)
	// AgentKey gives the session that is an agent's only one.
	AgentKey(ctx context.Context, id string) (key []byte, session string, err error)
	Unexpanded(ctx context.Context) (made map[string]int, err error)
}

// Change is what commands touched; Lost: read all anew.
type Change struct {
	Runs, Batches, Agents []string
	// Made are batches that were made whole: they need not be read.
	Made []Made
	Lost bool
}

// Made is a batch with its source and all of its runs, none of which has begun.
type Made struct {
	Batch *apiv1.Batch
	Runs  []*apiv1.Run
}

// Proposer has commands applied, and gives their answers.
type Proposer interface {
	Propose(ctx context.Context, c *clusterv1.Command) (*clusterv1.Answer, error)
}

// Expander says which runs a batch consists of, all of them in order. It is called on
// the leader only, and gives the same list every time.
type Expander interface {
	Expand(ctx context.Context, b *apiv1.Batch) ([]*clusterv1.NewRun, error)
}

// Timing are the times of leases. The zero Timing is the usual one.
type Timing struct {
	// TTL is how long a lease lives after a renewal, as the agent counts it; Grace is
	// how much longer the leader waits.
	TTL, Grace time.Duration
	// Renew is how often agents are told to renew.
	Renew time.Duration
	// StartWithin is how long an offer waits for its start.
	StartWithin time.Duration
	// CancelGrace is how long a cancelled run may take before it is ended.
	CancelGrace time.Duration
}

func (t *Timing) fill() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&t.TTL, 30*time.Second)
	set(&t.Grace, 15*time.Second)
	set(&t.Renew, 10*time.Second)
	set(&t.StartWithin, 15*time.Second)
	set(&t.CancelGrace, 2*time.Minute)
}

// Config is what a dispatcher works with.
type Config struct {
	// Node is this node's id, the home of streams of agents that poll here.
	Node     string
	State    State
	Changes  func() (changes <-chan Change, stop func())
	Proposer Proposer
	Expander Expander
	Timing   Timing
	Logger   *slog.Logger
	// Fault is nil but in test builds.
	Fault *fault.Set
	NewID func() string
	// Now is the time of day, which what is stored is compared with; nil: the system's.
	// Leases and polls are not counted by it.
	Now func() time.Time
}

// ErrNotLeading says that another node decides.
var ErrNotLeading = errors.New("this node does not lead")

// MaxHold bounds how long a poll is held.
const MaxHold = 30 * time.Second

// Dispatcher is safe for concurrent use.
type Dispatcher struct {
	cfg Config

	mu   sync.Mutex
	lead *lead // nil: this node does not lead
}

// New makes a dispatcher; it does nothing before Lead.
func New(cfg Config) *Dispatcher {
	cfg.Timing.fill()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Dispatcher{cfg: cfg}
}

// Timing is that of the leases.
func (d *Dispatcher) Timing() Timing { return d.cfg.Timing }

// Lead decides for as long as ctx lives, which is a term of leadership: the state has
// everything that was committed before it. Every lease gets a whole term anew, because
// renewals are not part of the state.
func (d *Dispatcher) Lead(ctx context.Context, term uint64) error {
	changes, stop := d.cfg.Changes() // first, so that nothing is missed between
	defer stop()
	l := newLead(d.cfg, term)
	if err := l.rebuild(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	d.lead = l
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.lead = nil
		d.mu.Unlock()
		l.end()
	}()
	return l.run(ctx, changes)
}

func (d *Dispatcher) leading() (*lead, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lead == nil {
		return nil, ErrNotLeading
	}
	return d.lead, nil
}

// Poll waits for work for an agent, or for news of what it has. home is the node that
// the agent polls at.
func (d *Dispatcher) Poll(ctx context.Context, agent, home string, req *apiv1.PollRequest) (*apiv1.PollResponse, error) {
	l, err := d.leading()
	if err != nil {
		return nil, err
	}
	return l.poll(ctx, agent, home, req)
}

// Renew keeps leases alive, and says what is to be done with each.
func (d *Dispatcher) Renew(ctx context.Context, agent string, req *apiv1.RenewRequest) (*apiv1.RenewResponse, error) {
	l, err := d.leading()
	if err != nil {
		return nil, err
	}
	return l.renew(ctx, agent, req)
}

// Lost ends leases that their agent says it has no longer.
func (d *Dispatcher) Lost(ctx context.Context, agent string, leases []*apiv1.Lease) error {
	if len(leases) == 0 {
		return nil
	}
	e := &clusterv1.ExpireLeases{}
	for _, l := range leases {
		run, err := d.cfg.State.Run(ctx, l.GetRunId())
		if err != nil || latest(run).GetAgentId() != agent {
			continue
		}
		e.Expiries = append(e.Expiries, &clusterv1.Expiry{RunId: l.GetRunId(), Attempt: l.GetAttempt(), Fence: l.GetFence(), Reason: "the agent was started anew"})
	}
	if len(e.GetExpiries()) == 0 {
		return nil
	}
	_, err := d.cfg.Proposer.Propose(ctx, &clusterv1.Command{RequestId: "lost-" + d.cfg.NewID(), Actor: "agent " + agent, Body: &clusterv1.Command_ExpireLeases{ExpireLeases: e}})
	return err
}

// Why says what a run waits for.
func (d *Dispatcher) Why(ctx context.Context, run string) (*apiv1.WhyResponse, error) {
	l, err := d.leading()
	if err != nil {
		return nil, err
	}
	return l.why(ctx, run)
}

func latest(r *apiv1.Run) *apiv1.Attempt {
	if n := len(r.GetAttempts()); n > 0 {
		return r.GetAttempts()[n-1]
	}
	return nil
}

// leased is the lease that a run has, nil where it has none.
func leased(r *apiv1.Run) *apiv1.Attempt {
	if at := latest(r); at != nil && at.GetOutcome() == "" {
		return at
	}
	return nil
}

func terminal(r *apiv1.Run) bool { return r.GetStatus() >= apiv1.RunStatus_RUN_STATUS_PASSED }
