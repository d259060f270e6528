package lease

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

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
	m.hold(h)
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
		sent := m.cfg.Clock()
		started, err := m.cfg.Gateway.Start(ctx, &apiv1.StartRequest{Session: m.cfg.Session, Lease: o.GetLease(), Locks: locks})
		switch {
		case err == nil && started.GetLocked():
			return nil, nil, nil
		case err == nil:
			h.ttl = started.GetTtl().AsDuration()
			h.until = sent + h.ttl
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

// hold keeps a lease from now on.
func (m *Manager) hold(h *held) {
	m.held[h.lease.GetRunId()] = h
	m.keep()
	select {
	case m.taken <- struct{}{}:
	default:
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

// adoptedFor is how long a lease of an earlier process is taken to live until its first
// renewal: the least that a control plane gives.
const adoptedFor = 10 * time.Second

// Adopt keeps a lease that an earlier process of this agent had, and whose run has
// ended, until deliver has brought its end home. It is called before Run.
func (m *Manager) Adopt(l *apiv1.Lease, deliver func(ctx context.Context, lost <-chan struct{})) {
	ctx, end := context.WithCancelCause(context.Background())
	h := &held{lease: l, hurry: make(chan struct{}), lost: make(chan struct{}), cancel: func(error) {}, ttl: adoptedFor}
	h.until = m.cfg.Clock() + h.ttl
	m.mu.Lock()
	m.hold(h)
	m.mu.Unlock()
	m.work.Go(func() {
		deliver(ctx, h.lost)
		end(nil)
		m.release(h, false)
	})
}
