// Package lease takes work from the control plane and keeps it: it polls, starts,
// renews, cancels and gives back. It never runs a flow itself, and never goes on with
// one that may be somebody else's.
package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

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
	// hold is how long a poll may be held.
	hold = 30 * time.Second
	// pause lies between two polls after an error; it grows to pauseMost.
	pause     = 200 * time.Millisecond
	pauseMost = 10 * time.Second
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
	work     sync.WaitGroup
	renew    time.Duration
}

// held is one lease.
type held struct {
	lease *apiv1.Lease
	// until is when it ends, counted from when the last renewal that succeeded was sent.
	until     time.Time
	ttl       time.Duration
	cancel    context.CancelCauseFunc
	hurry     chan struct{}
	lost      chan struct{}
	hurried   bool
	isLost    bool
	cancelled bool
}

// New makes a manager.
func New(cfg Config) *Manager {
	return &Manager{cfg: cfg, held: map[string]*held{}, changed: make(chan struct{}), renew: 10 * time.Second}
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

func (h *held) force() {
	if !h.hurried {
		h.hurried = true
		close(h.hurry)
	}
}

// lose ends a lease that is no longer this agent's: at once, and nothing of it counts.
func (h *held) lose() {
	if !h.isLost {
		h.isLost = true
		close(h.lost)
		h.cancel(ErrLost)
		h.force()
	}
}

// fatal are errors with which it makes no sense to go on: the agent was revoked, or
// another process has its key.
func fatal(err error) bool {
	code := connect.CodeOf(err)
	return code == connect.CodeUnauthenticated || code == connect.CodePermissionDenied
}

// polls asks for work for as long as there is room.
func (m *Manager) polls(ctx context.Context) error {
	wait := pause
	pollID := uuid.NewString()
	for {
		m.mu.Lock()
		free := m.cfg.Slots - len(m.held) - m.starting
		if m.paused {
			free = 0
		}
		draining, idle, changed := m.draining, len(m.held)+m.starting == 0, m.changed
		m.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return nil
		case draining && idle:
			return nil
		case draining:
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		// A poll without room waits for news; it ends as soon as there is room. Every
		// poll ends when the agent is drained.
		polling, stop := context.WithCancel(ctx)
		go func() {
			for waiting := true; waiting; {
				select {
				case <-changed:
					m.mu.Lock()
					waiting = free > 0 && !m.draining
					changed = m.changed
					m.mu.Unlock()
				case <-polling.Done():
					return
				}
			}
			stop()
		}()
		res, err := m.cfg.Gateway.Poll(polling, &apiv1.PollRequest{Session: m.cfg.Session, PollId: pollID, FreeSlots: int32(max(free, 0)), Hold: durationpb.New(hold)})
		interrupted := polling.Err() != nil && ctx.Err() == nil
		stop()
		switch {
		case err == nil:
			wait, pollID = pause, uuid.NewString()
			m.take(ctx, res)
			continue
		case interrupted:
			pollID = uuid.NewString()
			continue
		case fatal(err):
			return err
		}
		m.cfg.Logger.Debug("the control plane cannot be asked", "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, pauseMost)
	}
}

func (m *Manager) take(ctx context.Context, res *apiv1.PollResponse) {
	m.directive(res.GetDirective())
	m.mu.Lock()
	for _, n := range res.GetNews() {
		m.renewed(n, time.Time{})
	}
	m.starting += len(res.GetOffers())
	m.mu.Unlock()
	for _, o := range res.GetOffers() {
		m.work.Go(func() { m.offered(ctx, o) })
	}
}

func (m *Manager) directive(d *apiv1.Directive) {
	if d == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.GetPaused() != m.paused || d.GetDrain() && !m.draining {
		m.cfg.Logger.Info("the control plane has a wish", "paused", d.GetPaused(), "drain", d.GetDrain(), "note", d.GetNote())
		m.paused, m.draining = d.GetPaused(), m.draining || d.GetDrain()
		m.tell()
	}
}

// offered prepares, starts and runs an offer.
func (m *Manager) offered(ctx context.Context, o *apiv1.Offer) {
	l := o.GetLease()
	h := &held{lease: l, hurry: make(chan struct{}), lost: make(chan struct{})}
	within, cancel := context.WithTimeout(ctx, o.GetStartWithin().AsDuration())
	work, started, err := m.start(within, o, h)
	cancel()
	if err == nil {
		err = m.cfg.Fault.Point("agent.started")
	}
	if err != nil || started == nil {
		m.release(h, true)
		if err != nil {
			m.giveBack(l, err)
		}
		return
	}
	running, end := context.WithCancelCause(context.WithoutCancel(ctx))
	m.mu.Lock()
	h.cancel = end
	m.starting--
	m.held[l.GetRunId()] = h
	m.keep()
	stopping := ctx.Err() != nil
	m.mu.Unlock()
	if stopping {
		end(ErrStopped)
	}
	work.Run(running, started, h.hurry, h.lost)
	end(nil)
	m.release(h, false)
}

// start accepts an offer; started nil without an error: it waits for locks.
func (m *Manager) start(ctx context.Context, o *apiv1.Offer, h *held) (Work, *apiv1.StartResponse, error) {
	if err := m.cfg.Fault.Point("agent.offered"); err != nil {
		return nil, nil, err
	}
	work, err := m.cfg.Preparer.Prepare(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	locks, err := work.Locks()
	if err != nil {
		return nil, nil, err
	}
	for {
		sent := time.Now()
		started, err := m.cfg.Gateway.Start(ctx, &apiv1.StartRequest{Session: m.cfg.Session, Lease: o.GetLease(), Locks: locks})
		switch {
		case err == nil && started.GetLocked():
			return nil, nil, nil
		case err == nil:
			h.ttl = started.GetTtl().AsDuration()
			h.until = sent.Add(h.ttl)
			m.mu.Lock()
			m.renew = started.GetRenewEvery().AsDuration()
			m.mu.Unlock()
			return work, started, nil
		case connect.CodeOf(err) == connect.CodeUnavailable && ctx.Err() == nil:
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		return nil, nil, fmt.Errorf("start: %w", err)
	}
}

func (m *Manager) giveBack(l *apiv1.Lease, why error) {
	m.cfg.Logger.Warn("an offer is given back", "run", l.GetRunId(), "error", why)
	ctx, cancel := context.WithTimeout(context.Background(), say)
	defer cancel()
	if _, err := m.cfg.Gateway.Return(ctx, &apiv1.ReturnRequest{Lease: l, Reason: why.Error()}); err != nil {
		m.cfg.Logger.Debug("an offer could not be given back: it ends by itself", "run", l.GetRunId(), "error", err)
	}
}

func (m *Manager) release(h *held, starting bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if starting {
		m.starting--
	} else {
		delete(m.held, h.lease.GetRunId())
		m.keep()
	}
	m.tell()
}

func (m *Manager) keep() {
	if m.cfg.Keep == nil {
		return
	}
	if err := m.cfg.Keep(m.leases()); err != nil {
		m.cfg.Logger.Warn("the list of leases could not be written: after a crash they end by their time", "error", err)
	}
}

// renewals renews in a loop of its own, and ends what could not be renewed in time.
func (m *Manager) renewals(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	var last time.Time
	renewing := make(chan struct{}, 1)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			m.mu.Lock()
			for _, h := range m.held {
				if now.After(h.until.Add(-h.ttl/margin)) && !m.cfg.Fault.Off("no_self_fence") {
					h.lose()
				}
			}
			due := len(m.held) > 0 && now.Sub(last) >= m.renew
			leases := m.leases()
			m.mu.Unlock()
			if !due {
				continue
			}
			select {
			case renewing <- struct{}{}:
			default:
				continue // the one before is still under way
			}
			last = now
			go func() {
				m.renewOnce(ctx, leases)
				<-renewing
			}()
		}
	}
}

func (m *Manager) renewOnce(ctx context.Context, leases []*apiv1.Lease) {
	sent := time.Now()
	m.mu.Lock()
	limit := m.renew
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	res, err := m.cfg.Gateway.Renew(ctx, &apiv1.RenewRequest{Session: m.cfg.Session, Leases: leases})
	if err != nil {
		m.cfg.Logger.Warn("leases could not be renewed", "error", err)
		return
	}
	m.directive(res.GetDirective())
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range res.GetRenewals() {
		m.renewed(r, sent)
	}
}

// renewed takes in what is said of a lease; sent zero: it is no renewal.
func (m *Manager) renewed(r *apiv1.Renewal, sent time.Time) {
	h := m.held[r.GetRunId()]
	if h == nil || h.lease.GetAttempt() != r.GetAttempt() {
		return
	}
	if r.GetFenced() {
		h.lose()
		return
	}
	if !sent.IsZero() {
		h.until = sent.Add(h.ttl)
	}
	if r.GetCancel() && !h.cancelled {
		h.cancelled = true
		h.cancel(ErrCancelled)
	}
	if r.GetForce() {
		h.force()
	}
}
