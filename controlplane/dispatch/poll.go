package dispatch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// poll holds an agent's poll until there is work or news for it. A newer poll of an
// agent takes the place of an older one, which is answered empty.
func (l *lead) poll(ctx context.Context, id, home string, req *apiv1.PollRequest) (*apiv1.PollResponse, error) {
	hold := min(req.GetHold().AsDuration(), MaxHold)
	p := &parked{id: req.GetPollId(), session: req.GetSession(), home: home, free: int(req.GetFreeSlots()), answer: make(chan *apiv1.PollResponse, 1)}
	l.mu.Lock()
	a := l.agent(id)
	a.seen = time.Now()
	if a.lastPoll == p.id && len(a.lastOffers) > 0 { // its answer got lost
		res := &apiv1.PollResponse{Offers: l.alive(a.lastOffers), Directive: l.directive(a)}
		l.mu.Unlock()
		return res, nil
	}
	if a.waiting != nil {
		a.waiting.answer <- &apiv1.PollResponse{}
		a.waiting = nil
	}
	if owed := l.alive(a.owed); len(owed) > 0 {
		a.lastPoll, a.lastOffers, a.owed = p.id, owed, nil
		res := &apiv1.PollResponse{Offers: owed, Directive: l.directive(a)}
		l.mu.Unlock()
		return res, nil
	}
	a.waiting = p
	news := l.cancelled(a)
	directive := l.directive(a)
	p.paused = directive.GetPaused()
	if len(news) > 0 || directive.GetDrain() {
		l.answer(a, &apiv1.PollResponse{News: news, Directive: directive})
	}
	l.mu.Unlock()
	l.wake()
	timer := time.NewTimer(hold)
	defer timer.Stop()
	select {
	case res := <-p.answer:
		return res, nil
	case <-timer.C:
	case <-l.done:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.waiting == p {
		a.waiting = nil
	}
	select {
	case res := <-p.answer: // at the last moment
		return res, nil
	default:
	}
	select {
	case <-l.done:
		return nil, ErrNotLeading
	default:
		return &apiv1.PollResponse{Directive: l.directive(a)}, nil
	}
}

// alive are the offers that still are.
func (l *lead) alive(offers []*apiv1.Offer) (list []*apiv1.Offer) {
	for _, o := range offers {
		if n := l.leases[o.GetLease().GetRunId()]; n != nil && n.fence == o.GetLease().GetFence() && !n.started {
			list = append(list, o)
		}
	}
	return list
}

// cancelled are the leases of an agent that are to end, told once by poll; renewals
// tell it for as long as it is so.
func (l *lead) cancelled(a *agent) (list []*apiv1.Renewal) {
	for _, run := range slices.Sorted(maps.Keys(a.leases)) {
		if n := l.leases[run]; n != nil && !n.cancelled.IsZero() && n.started && time.Since(n.cancelled) < time.Second {
			list = append(list, l.renewal(n))
		}
	}
	return list
}

func (l *lead) renewal(n *lease) *apiv1.Renewal {
	r := &apiv1.Renewal{RunId: n.run, Attempt: n.attempt}
	if !n.cancelled.IsZero() {
		r.Cancel, r.Force = true, time.Since(n.cancelled) > l.cfg.Timing.CancelGrace
	}
	return r
}

// renew counts from now, when it was received; the agent counts from when it sent it.
func (l *lead) renew(ctx context.Context, id string, req *apiv1.RenewRequest) (*apiv1.RenewResponse, error) {
	res := &apiv1.RenewResponse{}
	var unknown []*apiv1.Lease
	l.mu.Lock()
	a := l.agent(id)
	a.seen = time.Now()
	for _, one := range req.GetLeases() {
		n := l.leases[one.GetRunId()]
		if n == nil || n.fence != one.GetFence() || n.attempt != one.GetAttempt() || n.agent != id {
			unknown = append(unknown, one)
			continue
		}
		if n.started {
			n.until = a.seen.Add(l.cfg.Timing.TTL + l.cfg.Timing.Grace)
		}
		res.Renewals = append(res.Renewals, l.renewal(n))
	}
	res.Directive = l.directive(a)
	l.mu.Unlock()
	for _, one := range unknown {
		// What was committed moments ago may not have been heard of here yet.
		run, err := l.cfg.State.Run(ctx, one.GetRunId())
		at := leased(run)
		if err != nil || at == nil || at.GetFence() != one.GetFence() || at.GetAgentId() != id {
			res.Renewals = append(res.Renewals, &apiv1.Renewal{RunId: one.GetRunId(), Attempt: one.GetAttempt(), Fenced: true})
			continue
		}
		l.mu.Lock()
		if err := l.take(ctx, run); err != nil {
			l.mu.Unlock()
			return nil, err
		}
		if n := l.leases[one.GetRunId()]; n != nil {
			res.Renewals = append(res.Renewals, l.renewal(n))
		}
		l.mu.Unlock()
	}
	return res, nil
}

// expire ends leases that were not renewed, and takes back offers that were not
// started.
func (l *lead) expire(ctx context.Context) error {
	now := time.Now()
	e := &clusterv1.ExpireLeases{}
	l.mu.Lock()
	for _, run := range slices.Sorted(maps.Keys(l.leases)) {
		n := l.leases[run]
		if now.Before(n.until) || len(e.GetExpiries()) == maxGrants {
			continue
		}
		reason := "its lease was not renewed"
		if !n.started {
			reason = "the offer was not started in time"
		}
		e.Expiries = append(e.Expiries, &clusterv1.Expiry{RunId: run, Attempt: n.attempt, Fence: n.fence, Reason: reason})
	}
	l.mu.Unlock()
	if len(e.GetExpiries()) == 0 {
		return nil
	}
	answer, err := l.propose(ctx, &clusterv1.Command{Body: &clusterv1.Command_ExpireLeases{ExpireLeases: e}})
	if err = errors.Join(err, l.cfg.Fault.Point("dispatch.expire.after")); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range answer.GetRuns() {
		if err := l.take(ctx, r); err != nil {
			return err
		}
	}
	l.wake()
	return nil
}

// Terms of a started lease, for the answer to Start.
func (t Timing) Terms() (ttl, renew *durationpb.Duration) {
	return durationpb.New(t.TTL), durationpb.New(t.Renew)
}
