package lease

import (
	"context"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// renewals renews in a loop of its own, and ends what could not be renewed in time.
func (m *Manager) renewals(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	var last time.Duration
	renewing := make(chan struct{}, 1)
	for {
		if len(m.Leases()) == 0 { // an idle agent sleeps
			select {
			case <-ctx.Done():
				return
			case <-m.taken:
				m.beat.Store(int64(m.cfg.Clock()))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			now := m.cfg.Clock()
			m.beat.Store(int64(now))
			m.mu.Lock()
			for _, h := range m.held {
				if now > h.until-h.ttl/margin && !m.cfg.Fault.Off("no_self_fence") {
					h.lose()
				}
			}
			due := len(m.held) > 0 && now-last >= m.renew
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
	sent := m.cfg.Clock()
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

// renewed takes in what is said of a lease; sent negative: it is no renewal.
func (m *Manager) renewed(r *apiv1.Renewal, sent time.Duration) {
	h := m.held[r.GetRunId()]
	if h == nil || h.lease.GetAttempt() != r.GetAttempt() {
		return
	}
	if r.GetFenced() {
		h.lose()
		return
	}
	if sent >= 0 {
		h.until = sent + h.ttl
	}
	if r.GetCancel() && !h.cancelled {
		h.cancelled = true
		h.cancel(ErrCancelled)
	}
	if r.GetForce() {
		h.force()
	}
}
