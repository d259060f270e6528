package lease

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

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
	holding := newHold()
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
		hold := holding.length()
		polling, stop := context.WithTimeout(ctx, hold+overdue)
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
		asked := m.cfg.Clock()
		res, err := m.cfg.Gateway.Poll(polling, &apiv1.PollRequest{Session: m.cfg.Session, PollId: pollID, FreeSlots: int32(max(free, 0)), Hold: durationpb.New(hold)})
		interrupted := errors.Is(polling.Err(), context.Canceled) && ctx.Err() == nil
		stop()
		switch {
		case err == nil:
			wait, pollID = pause, uuid.NewString()
			holding.answered(m.cfg.Clock() - asked)
			m.take(ctx, res)
			continue
		case interrupted:
			pollID = uuid.NewString()
			continue
		case fatal(err):
			return err
		}
		holding.cut(m.cfg.Clock() - asked)
		m.cfg.Logger.Debug("the control plane cannot be asked", "error", err, "hold", holding.length())
		select {
		case <-time.After(jitter(wait)):
		case <-ctx.Done():
		}
		wait = min(2*wait, pauseMost)
	}
}

// jitter is between the half of a pause and the whole: agents that lost the same node do
// not all come back at once.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func (m *Manager) take(ctx context.Context, res *apiv1.PollResponse) {
	m.directive(res.GetDirective())
	m.mu.Lock()
	for _, n := range res.GetNews() {
		m.renewed(n, -1)
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
