package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

func agentRows() []row {
	return []row{
		{
			name: "R16", title: "agents are killed while they run", full: 60 * time.Second, ci: 20 * time.Second,
			red: []string{"no_dirty"}, run: agentsKilled,
		},
		{
			name: "R17", title: "agents are cut off, or stand still, for longer than their leases", full: 40 * time.Second, ci: 15 * time.Second,
			red: []string{"no_self_fence", "no_fence"}, run: zombieAgents,
		},
	}
}

// agentsKilled kills agents at random. One that starts again says itself what it has
// lost; of one that stays away it shows with the end of the lease.
func agentsKilled(ctx context.Context, t *trial) {
	w := t.witness
	s := newSite(ctx, t, plan{nodes: 1, agents: 6, slots: 2})
	reads := s.upload(ctx, flow{name: "Reads", steps: []string{w.read("one", 200, ""), w.read("two", 600, ""), w.pay("last", 10)}})
	pays := s.upload(ctx, flow{name: "Pays", steps: []string{w.read("one", 100, ""), w.pay("first", 50), w.read("two", 600, ""), w.pay("second", 50)}})
	stopReads, stopPays := s.load(ctx, 400*time.Millisecond, reads), s.load(ctx, 400*time.Millisecond, pays)
	kills := 0
	t.every(ctx, 600*time.Millisecond, 1200*time.Millisecond, func(n int) {
		victim := s.agents[t.rng.IntN(len(s.agents))]
		if !victim.alive() {
			return
		}
		s.killAgent(victim)
		kills++
		away := 300 * time.Millisecond
		if n%3 == 0 { // longer than a lease: nobody says what it has lost
			away = leaseTime + graceTime + time.Second
		}
		time.AfterFunc(away, func() {
			if ctx.Err() == nil {
				s.startAgent(victim, "")
			}
		})
	})
	stopReads()
	stopPays()
	pause(ctx, leaseTime+graceTime+1500*time.Millisecond) // all that are to start again have
	byBatch, released := s.settled(ctx, 90*time.Second, true)
	o := s.judge(byBatch, 0)
	t.observed(kills, int(t.long/(3*time.Second)), "agents killed")
	t.observed(o.lostAttempts, 3, "attempts lost")
	t.note("%d runs went through quarantine, and were released", released)
	t.took(percentile(s.noticed(o.list), 95), leaseTime+graceTime+time.Second, "a loss is noticed, p95,")
	t.unexplained(o.list)
	s.finish()
}

// noticed are the times from the kill of an agent to the end of what it had.
func (s *site) noticed(list []*apiv1.Run) (took []time.Duration) {
	for _, r := range list {
		for _, at := range r.GetAttempts() {
			w := s.named(at.GetAgentName())
			if at.GetOutcome() != "lost" || w == nil {
				continue
			}
			ended := at.GetEnded().AsTime()
			for i := len(w.kills) - 1; i >= 0; i-- {
				if w.kills[i].Before(ended) {
					took = append(took, ended.Sub(w.kills[i]))
					break
				}
			}
		}
	}
	return took
}

// unexplained counts runs that ended errored without a loss, and cancelled although
// nobody asked for it, and says why they did.
func (t *trial) unexplained(list []*apiv1.Run) {
	errored, cancelled := 0, 0
	for _, r := range list {
		switch {
		case r.GetStatus() == apiv1.RunStatus_RUN_STATUS_ERRORED && !strings.Contains(r.GetReason(), "lost"):
			errored++
		case r.GetStatus() == apiv1.RunStatus_RUN_STATUS_CANCELLED:
			cancelled++
		default:
			continue
		}
		t.note("run %s is %s: %q; %s", r.GetId(), r.GetStatus(), r.GetReason(), lastAttempt(r))
	}
	t.none(errored, "runs errored for another reason than a loss")
	t.none(cancelled, "runs cancelled, which nobody asked for")
}

// zombieAgents cuts agents off, and freezes them, until others have their runs; then
// they come back and go on as if nothing had been.
func zombieAgents(ctx context.Context, t *trial) {
	w := t.witness
	proxies := map[int]*proxy{}
	s := newSite(ctx, t, plan{nodes: 1, agents: 4, slots: 2, through: func(agent int, address string) string {
		if proxies[agent] == nil {
			proxies[agent] = newProxy(t, strings.TrimPrefix(address, "http://"))
		}
		return proxies[agent].url()
	}})
	var steps []string
	for i := range 100 {
		steps = append(steps, w.read(fmt.Sprintf("s%d", i), 60, ""))
	}
	long := s.upload(ctx, flow{name: "Long", steps: steps})
	parted, frozen, windows := 0, 0, 0
	t.every(ctx, 200*time.Millisecond, 300*time.Millisecond, func(n int) {
		batch := s.queue(ctx, fmt.Sprintf("zombie-%d", n), repeated(long, 3))
		victim := s.victim(ctx, batch, 4)
		if victim == nil {
			return
		}
		away := leaseTime + graceTime + 1500*time.Millisecond
		windows++
		if n%2 == 0 {
			proxies[victim.number].part()
			parted++
			pause(ctx, away)
			proxies[victim.number].heal()
			return
		}
		t.must(victim.signal(syscall.SIGSTOP), "freeze an agent")
		frozen++
		pause(ctx, away)
		t.must(victim.signal(syscall.SIGCONT), "let an agent go on")
	})
	byBatch, _ := s.settled(ctx, 90*time.Second, true)
	// A frozen agent may have one request of each run on its way when it wakes up.
	o := s.judge(byBatch, frozen*2)
	t.observed(parted, 1, "agents cut off")
	t.observed(frozen, 1, "agents frozen")
	t.observed(o.lostAttempts, windows, "attempts lost")
	t.none(len(o.list)-o.passed, "runs that did not pass in the end")
	late := 0
	for _, r := range o.list {
		if n := len(r.GetAttempts()); n > 1 && r.GetAttempts()[n-1].GetOutcome() != "finished" {
			late++
		}
	}
	t.none(late, "runs that ended by an older attempt")
	s.finish()
}

// victim is an agent that runs something of a batch, and has made so many requests.
func (s *site) victim(ctx context.Context, batch string, requests int) (found *worker) {
	s.t.until(ctx, 30*time.Second, "a run of "+batch, func() error {
		byBatch, err := s.runs(ctx)
		if err != nil {
			return err
		}
		for _, r := range byBatch[batch] {
			if n := len(r.GetAttempts()); n > 0 && r.GetStatus() == apiv1.RunStatus_RUN_STATUS_RUNNING {
				if visits, _, _, _ := s.t.witness.of(r.GetId()); len(visits) >= requests {
					found = s.named(r.GetAttempts()[n-1].GetAgentName())
					return nil
				}
			}
		}
		return fmt.Errorf("none of its %d runs has begun", len(byBatch[batch]))
	})
	return found
}
