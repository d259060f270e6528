package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

const (
	// maxGrants bounds the grants of one command.
	maxGrants = 200
	// grantVersion is that of a grant which keeps, for good, who had the run.
	grantVersion = 2
	// lookAhead bounds the runs of a bucket that are looked at for one that may run.
	lookAhead = 1000
)

// choice is a run for an agent, on its way to be granted.
type choice struct {
	item  *item
	agent string
	to    *parked
}

// grant offers what may run to the agents that wait.
func (l *lead) grant(ctx context.Context) error {
	for {
		choices := l.choose()
		if len(choices) == 0 {
			return nil
		}
		g := &clusterv1.GrantLeases{}
		for _, c := range choices {
			g.Grants = append(g.Grants, &clusterv1.Grant{
				RunId: c.item.run.GetId(), Attempts: latest(c.item.run).GetNumber(), AgentId: c.agent, Session: c.to.session, Home: c.to.home,
				TeardownOnly: c.item.run.GetStatus() == apiv1.RunStatus_RUN_STATUS_FINISHING,
			})
		}
		if err := l.cfg.Fault.Point("dispatch.grant.before"); err != nil {
			return err
		}
		answer, err := l.propose(ctx, &clusterv1.Command{Version: grantVersion, Body: &clusterv1.Command_GrantLeases{GrantLeases: g}})
		if err = errors.Join(err, l.cfg.Fault.Point("dispatch.grant.after")); err != nil {
			return err
		}
		if err := l.offer(ctx, choices, answer.GetRuns()); err != nil {
			return err
		}
		if len(choices) < maxGrants {
			return nil
		}
	}
}

// choose takes runs out of the queue for the agents that wait, the most urgent first.
func (l *lead) choose() (choices []choice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.cfg.Now()
	taken := map[*parked]int{}
	held := l.heldLocks()
	busy := l.busy()
	for _, id := range slices.Sorted(maps.Keys(l.agents)) {
		a := l.agents[id]
		if a.waiting == nil || a.record == nil || l.unavailable(a) != "" {
			continue
		}
		for taken[a.waiting] < a.waiting.free && len(choices) < maxGrants {
			i := l.best(id, a, now, held, busy)
			if i == nil {
				break
			}
			taken[a.waiting]++
			busy[i.run.GetWorkspace()]++
			for _, name := range i.run.GetLocks() {
				held[lockKey(i.run.GetWorkspace(), name)] = i.run.GetId()
			}
			if b := l.batches[i.run.GetBatchId()]; b != nil {
				b.with++ // until the change that says so; see offer
				l.served++
				b.served = l.served
			}
			l.queue.given(i)
			choices = append(choices, choice{i, id, a.waiting})
		}
	}
	for _, c := range choices {
		if b := l.batches[c.item.run.GetBatchId()]; b != nil {
			b.with--
		}
	}
	return choices
}

// busy counts the runs of each workspace that agents have.
func (l *lead) busy() map[string]int {
	n := map[string]int{}
	for _, one := range l.leases {
		n[one.workspace]++
	}
	return n
}

func lockKey(workspace, name string) string { return workspace + "/" + name }

// heldLocks are the locks of runs that have started, by who has them.
func (l *lead) heldLocks() map[string]string {
	held := map[string]string{}
	for _, one := range l.leases {
		for _, name := range one.locks {
			held[lockKey(one.workspace, name)] = one.run
		}
	}
	return held
}

// unavailable says why an agent takes nothing at all.
func (l *lead) unavailable(a *agent) string {
	switch d := l.directive(a); {
	case a.record.GetState() == apiv1.AgentState_AGENT_STATE_REVOKED:
		return "revoked"
	case d.GetDrain():
		return "draining"
	case d.GetPaused():
		if a.record.GetNote() != "" {
			return "paused: " + a.record.GetNote()
		}
		return "paused"
	}
	return ""
}

// best is the run that an agent should have next: of the most urgent, one of the
// workspace that has the least, and there one of the batch that has the least, or had
// nothing for the longest time.
func (l *lead) best(id string, a *agent, now time.Time, held map[string]string, busy map[string]int) (found *item) {
	urgency := 0.0
	for _, key := range slices.Sorted(maps.Keys(l.queue.buckets)) {
		b := l.queue.buckets[key]
		if len(lacks(a.record, b)) > 0 {
			continue
		}
		i := l.ready(b, id, now, held)
		if i == nil {
			continue
		}
		u := i.urgency(now)
		better := found == nil || int(u) > int(urgency) || int(u) == int(urgency) &&
			cmp.Or(cmp.Compare(busy[b.workspace], busy[found.bucket.workspace]), l.fair(i, found), older(i, found)) < 0
		if better {
			found, urgency = i, u
		}
	}
	return found
}

// fair compares what the batches of two runs have.
func (l *lead) fair(a, b *item) int {
	x, y := l.batches[a.run.GetBatchId()], l.batches[b.run.GetBatchId()]
	if x == nil || y == nil || x == y {
		return 0
	}
	return cmp.Or(cmp.Compare(x.with, y.with), cmp.Compare(x.served, y.served))
}

// ready is the most urgent run of a bucket that nothing but an agent is missing to: of
// each priority the first, and of these the one that is most urgent by what it waited.
func (l *lead) ready(b *bucket, agent string, now time.Time, held map[string]string) (found *item) {
	known, priority := false, int32(0)
	for n, i := range b.items {
		if n == lookAhead {
			break
		}
		if known && i.run.GetPriority() == priority {
			continue // it is the turn of the one before it
		}
		if rests(i.run, agent, now) != "" || l.hindered(i, agent, now, held) != "" {
			continue
		}
		known, priority = true, i.run.GetPriority()
		if found == nil || int(i.urgency(now)) > int(found.urgency(now)) || int(i.urgency(now)) == int(found.urgency(now)) && older(i, found) < 0 {
			found = i // of a lower priority, and has waited for so long that it is worth as much
		}
	}
	return found
}

// hindered says what else than an agent a run waits for.
func (l *lead) hindered(i *item, agent string, now time.Time, held map[string]string) string {
	if i.run.GetStatus() == apiv1.RunStatus_RUN_STATUS_FINISHING {
		return l.hinderedTeardown(i, agent) // nothing else does
	}
	for _, name := range i.run.GetLocks() {
		if who := held[lockKey(i.run.GetWorkspace(), name)]; who != "" && who != i.run.GetId() {
			return fmt.Sprintf("lock %s is held by run %s", name, who)
		}
	}
	b := l.batches[i.run.GetBatchId()]
	if b == nil {
		return ""
	}
	if waits, hopeless := b.before(i.run); waits+hopeless != "" {
		return waits + hopeless
	}
	next, only, why := b.first(i.run, now)
	if !next {
		return why
	}
	if only != "" && agent != "" && only != agent {
		if l.agents[only] != nil && time.Since(l.agents[only].seen) < l.cfg.Timing.TTL+l.cfg.Timing.Grace {
			return "it stays on the agent of the row before it"
		}
	}
	return ""
}

// hinderedTeardown leaves a teardown that an agent did not complete to another one that
// waits and fits, where there is one.
func (l *lead) hinderedTeardown(i *item, agent string) string {
	tried := map[string]bool{}
	for _, at := range i.run.GetAttempts() {
		if at.GetTeardownOnly() {
			tried[at.GetAgentId()] = true
		}
	}
	if agent == "" || !tried[agent] {
		return ""
	}
	for id, a := range l.agents {
		if !tried[id] && a.waiting != nil && a.waiting.free > 0 && a.record != nil && l.unavailable(a) == "" && len(lacks(a.record, i.bucket)) == 0 {
			return "its teardown was tried by this agent, and another one can"
		}
	}
	return ""
}

// offer answers the polls of what was granted; what the state refused goes back.
func (l *lead) offer(ctx context.Context, choices []choice, granted []*apiv1.Run) error {
	runs := make(map[string]*apiv1.Run, len(granted))
	for _, r := range granted {
		runs[r.GetId()] = r
	}
	offers := map[*parked][]*apiv1.Offer{}
	for _, c := range choices {
		r := runs[c.item.run.GetId()]
		if r == nil {
			fresh, err := l.cfg.State.Run(ctx, c.item.run.GetId())
			if err != nil {
				return fmt.Errorf("read run %s: %w", c.item.run.GetId(), err)
			}
			r = fresh
		} else {
			at := latest(r)
			offers[c.to] = append(offers[c.to], &apiv1.Offer{
				Lease: &apiv1.Lease{RunId: r.GetId(), Attempt: at.GetNumber(), Fence: at.GetFence(), Incarnation: at.GetIncarnation()},
				Run:   r, StartWithin: durationpb.New(l.cfg.Timing.StartWithin), TeardownOnly: at.GetTeardownOnly(),
			})
		}
		l.mu.Lock()
		err := l.take(ctx, r)
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range choices {
		a := l.agent(c.agent)
		list := offers[c.to]
		delete(offers, c.to)
		switch {
		case len(list) == 0:
		case a.waiting == c.to:
			l.answer(a, &apiv1.PollResponse{Offers: list, Directive: l.directive(a)})
		default: // news came between: its next poll has them
			a.owed = append(a.owed, list...)
		}
	}
	return nil
}

// endHopeless ends what can never run: after a flow that did not pass, or in a batch
// that stops.
func (l *lead) endHopeless(ctx context.Context) error {
	l.mu.Lock()
	e := &clusterv1.EndRuns{}
	for _, id := range slices.Sorted(maps.Keys(l.bound)) {
		i := l.queue.items[id]
		if i == nil {
			delete(l.bound, id) // it waits no longer
			continue
		}
		r := i.run
		b := l.batches[r.GetBatchId()]
		if b == nil || r.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED {
			continue
		}
		if _, hopeless := b.before(r); hopeless != "" && len(e.GetRuns()) < maxGrants {
			e.Runs = append(e.Runs, &clusterv1.EndRun{RunId: id, Status: apiv1.RunStatus_RUN_STATUS_SKIPPED, Reason: hopeless})
		}
	}
	l.mu.Unlock()
	if len(e.GetRuns()) == 0 {
		return nil
	}
	answer, err := l.propose(ctx, &clusterv1.Command{Body: &clusterv1.Command_EndRuns{EndRuns: e}})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range answer.GetRuns() {
		if err := l.take(ctx, r); err != nil {
			return err
		}
	}
	l.wake() // what comes after these
	return nil
}
