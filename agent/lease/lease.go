// Package lease takes work from the control plane and keeps it: it polls, starts,
// renews, cancels and gives back. It never runs a flow itself, and never goes on with
// one that may be somebody else's.
package lease

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/fault"
)

// Gateway is the control plane. Its calls may be repeated.
type Gateway interface {
	Poll(ctx context.Context, req *apiv1.PollRequest) (*apiv1.PollResponse, error)
	Start(ctx context.Context, req *apiv1.StartRequest) (*apiv1.StartResponse, error)
	Renew(ctx context.Context, req *apiv1.RenewRequest) (*apiv1.RenewResponse, error)
	Return(ctx context.Context, req *apiv1.ReturnRequest) (*apiv1.ReturnResponse, error)
}

// Work is a run that is prepared: its bundle is here and compiled.
type Work interface {
	// Locks are the names of all the run's locks.
	Locks() ([]string, error)
	// Run runs it to its end, reports the end to the control plane, and returns. A
	// cancelled ctx ends its steps, teardown runs; hurry, once closed, ends teardown too.
	// Lost, once closed, says that the lease is: nothing of it counts any more.
	Run(ctx context.Context, started *apiv1.StartResponse, hurry, lost <-chan struct{})
}

// Preparer makes work of an offer.
type Preparer interface {
	Prepare(ctx context.Context, offer *apiv1.Offer) (Work, error)
}

// Config is what leases need.
type Config struct {
	Gateway  Gateway
	Preparer Preparer
	Session  string
	// Slots is how many runs go at once.
	Slots  int
	Logger *slog.Logger
	// Keep is told which leases there are whenever that changes, before any of them
	// starts: after a crash they are named as lost.
	Keep func(leases []*apiv1.Lease) error
	// Clock is the time since some moment, also while the machine slept; nil: the
	// system's. Leases are counted by it, never by the time of day, which jumps.
	Clock func() time.Duration
	// Fault is nil but in test builds.
	Fault *fault.Set
}

// Why a run is cancelled.
var (
	// ErrCancelled: somebody asked for it.
	ErrCancelled = errors.New("cancelled")
	// ErrLost: the lease could not be renewed, or is somebody else's.
	ErrLost = errors.New("the lease was lost")
	// ErrStopped: the agent ends.
	ErrStopped = errors.New("the agent ends")
)

const (
	// pause lies between two polls after an error; it grows to pauseMost.
	pause     = 200 * time.Millisecond
	pauseMost = 10 * time.Second
	// overdue is how much longer than it is held a poll may take: a machine that is gone
	// answers nothing at all, not even that it does not.
	overdue = 5 * time.Second
	// margin is the part of a lease's time before whose end the agent stops: no step
	// begins any more.
	margin = 5
	// tick is how often leases are looked at.
	tick = 100 * time.Millisecond
	// say bounds a call that gives something back.
	say = 10 * time.Second
)

// Manager keeps the leases of one session.
type Manager struct {
	cfg Config

	mu       sync.Mutex
	held     map[string]*held // by run
	starting int              // offers on their way
	draining bool
	paused   bool
	changed  chan struct{}
	taken    chan struct{} // of one place: there is a lease to keep
	work     sync.WaitGroup
	renew    time.Duration
	beat     atomic.Int64 // when leases were last looked at, by the clock
}

// New makes a manager.
func New(cfg Config) *Manager {
	if cfg.Clock == nil {
		cfg.Clock = sinceBoot
	}
	return &Manager{cfg: cfg, held: map[string]*held{}, changed: make(chan struct{}), taken: make(chan struct{}, 1), renew: 10 * time.Second}
}

// Run takes work until ctx ends or the agent has been drained. When ctx ends what runs
// is cancelled and torn down, and Run returns once it has ended.
func (m *Manager) Run(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	loops.Go(func() { m.renewals(running) })
	err := m.polls(ctx)
	if ctx.Err() != nil {
		m.mu.Lock()
		for _, h := range m.held {
			h.cancel(ErrStopped)
		}
		m.mu.Unlock()
	}
	m.work.Wait()
	stop()
	loops.Wait()
	return err
}

// Drain takes nothing new; Run returns once what runs has ended.
func (m *Manager) Drain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.draining = !m.cfg.Fault.Off("no_drain")
	m.tell()
}

// Hurry ends teardown too.
func (m *Manager) Hurry() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.held {
		h.cancel(ErrStopped)
		h.force()
	}
}

// stuckAfter is how long leases may go without being looked at, which is done each tick.
const stuckAfter = 20 * time.Second

// Stuck says whether leases are held that nobody looks after.
func (m *Manager) Stuck() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.held) > 0 && m.cfg.Clock()-time.Duration(m.beat.Load()) > stuckAfter
}

// Wishes are whether nothing new is taken, and whether the control plane wants none to
// be for now.
func (m *Manager) Wishes() (draining, paused bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.draining, m.paused
}

// Leases are those that are held now.
func (m *Manager) Leases() []*apiv1.Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leases()
}

func (m *Manager) leases() []*apiv1.Lease {
	list := make([]*apiv1.Lease, 0, len(m.held))
	for _, h := range m.held {
		list = append(list, h.lease)
	}
	return list
}

func (m *Manager) tell() {
	close(m.changed)
	m.changed = make(chan struct{})
}
