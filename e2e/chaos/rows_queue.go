package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

func queueRows() []row {
	return []row{
		{
			name: "R21", title: "two flood the queue, one has little, another one is in a hurry; caps and locks hold", full: 30 * time.Second, ci: 12 * time.Second,
			red: []string{"no_priority", "no_turns"}, run: fairness,
		},
		{
			name: "R22", title: "runs are cancelled at any moment, agents are drained, the node is killed meanwhile", full: 40 * time.Second, ci: 15 * time.Second,
			red: []string{"no_teardown", "no_drain"}, run: cancelAndDrain,
		},
		{
			name: "R23", title: "a run kills its agents; requests are sent three times at once while the node is killed", full: 20 * time.Second, ci: 10 * time.Second,
			red: []string{"no_quarantine", "no_idempotency"}, run: poison,
		},
	}
}

const (
	capped = 2
	// floodSlots are all that there are.
	floodSlots = 6
	// urgentRuns are of one batch: in turns with the floods they would let more than twice
	// as many pass.
	urgentRuns = 10
)

// flood is more than twice what the slots can do in the time.
func (t *trial) flood() int {
	if t.short {
		return 1000
	}
	return 3000
}

// fairness floods the slots with what is not urgent, twice: who comes second has as much
// of them as who came first. Somebody with a run now and then, as little urgent, waits for
// a turn and not for the floods, and what is urgent waits for nobody.
func fairness(ctx context.Context, t *trial) {
	w := t.witness
	s := newSite(ctx, t, plan{nodes: 1, agents: 2, slots: floodSlots / 2})
	one := func(name string, ms int, priority int32, keys, group string) *apiv1.Source {
		src := s.upload(ctx, flow{name: name, keys: keys, steps: []string{w.read(strings.ToLower(name), ms, group)}})
		src.Priority = priority
		return src
	}
	first, second, little := one("First", 100, 1, "", ""), one("Second", 100, 1, "", ""), one("Little", 20, 1, "", "")
	urgent, limited, locked := one("Urgent", 20, 4, "", ""), one("Limited", 60, 3, "", "&group=limited"), one("Locked", 60, 3, "locks: [only-one]", "&group=locked")
	floods := []string{s.queue(ctx, "first", repeated(first, t.flood()))}
	t.until(ctx, 30*time.Second, "the flood", func() error {
		if n := w.atWork(); n < floodSlots {
			return fmt.Errorf("%d are at work", n)
		}
		return nil
	})
	floods = append(floods, s.queue(ctx, "second", repeated(second, t.flood())))
	t.until(ctx, 30*time.Second, "the second flood", func() error {
		if w.steps("second") == 0 {
			return errors.New("it has none of the slots")
		}
		return nil
	})
	limited.Parallelism = capped
	s.queue(ctx, "limited", repeated(limited, 40))
	s.queue(ctx, "locked", repeated(locked, 20))
	firstBefore, secondBefore := w.steps("first"), w.steps("second")
	hurried, modest := map[string]bool{}, map[string]bool{}
	t.every(ctx, 500*time.Millisecond, 600*time.Millisecond, func(n int) {
		hurried[s.queue(ctx, fmt.Sprintf("urgent-%d", n), repeated(urgent, urgentRuns))] = true
		modest[s.queue(ctx, fmt.Sprintf("little-%d", n), little)] = true
	})
	ofFirst, ofSecond := w.steps("first")-firstBefore, w.steps("second")-secondBefore
	depth := s.depth(ctx)
	for _, batch := range floods {
		s.call(ctx, "cancel a flood", func(ctx context.Context, c *client.Client) error {
			_, err := c.Runs.Cancel(ctx, &apiv1.CancelRequest{BatchId: batch, Reason: "it has done its part"})
			return err
		})
	}
	byBatch, _ := s.settled(ctx, 60*time.Second, false)
	o := s.judge(byBatch, 0)
	t.observed(int(depth), t.flood(), "runs of the floods that still waited at the end")
	t.took(percentile(waited(byBatch, hurried), 99), time.Second, "what is urgent waits, p99,")
	t.within(s.overtaken(byBatch, hurried, floods), 2*floodSlots, "runs of the floods that began while a whole urgent batch waited, at the median,")
	t.took(percentile(waited(byBatch, modest), 99), 5*time.Second, "who has little waits, p99,")
	t.observed(min(ofFirst, ofSecond), 10, "runs of each flood beside the other at least")
	t.within(int64(max(ofFirst, ofSecond)-min(ofFirst, ofSecond)), int64((ofFirst+ofSecond)/10+floodSlots), fmt.Sprintf("%d and %d runs of the two floods; they differ by", ofFirst, ofSecond))
	t.within(int64(w.atOnce("limited")), capped, "runs at once of a batch with parallelism")
	t.within(int64(w.atOnce("locked")), 1, "runs at once under one lock")
	for _, r := range o.list {
		if !slices.Contains(floods, r.GetBatchId()) && r.GetStatus() != apiv1.RunStatus_RUN_STATUS_PASSED {
			t.failf("run %s of %s is %s", r.GetId(), r.GetSpec().GetFlow(), r.GetStatus())
		}
	}
	s.finish()
}

// overtaken is how many runs of some batches began between the acknowledgement of an
// urgent batch and the beginning of its last run: the median of the urgent batches.
func (s *site) overtaken(byBatch map[string][]*apiv1.Run, urgent map[string]bool, floods []string) int64 {
	var counts []int64
	for batch := range urgent {
		var last time.Time
		for _, r := range byBatch[batch] {
			if at := r.GetStarted().AsTime(); at.After(last) {
				last = at
			}
		}
		n := int64(0)
		for _, flood := range floods {
			for _, r := range byBatch[flood] {
				if at := r.GetStarted(); at != nil && at.AsTime().After(s.batch[batch].at) && at.AsTime().Before(last) {
					n++
				}
			}
		}
		counts = append(counts, n)
	}
	slices.Sort(counts)
	return counts[len(counts)/2]
}

// waited are the times from the queue to the start, of the runs of some batches.
func waited(byBatch map[string][]*apiv1.Run, batches map[string]bool) (list []time.Duration) {
	for batch := range batches {
		for _, r := range byBatch[batch] {
			list = append(list, r.GetStarted().AsTime().Sub(r.GetCreated().AsTime()))
		}
	}
	return list
}

// atOnce is how many of a group were at work at the same time.
func (w *witness) atOnce(group string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most[group]
}

func (s *site) depth(ctx context.Context) (n int32) {
	s.call(ctx, "ask for the queue", func(ctx context.Context, c *client.Client) error {
		res, err := c.Runs.QueueStats(ctx, &apiv1.QueueStatsRequest{})
		n = res.GetDepth()
		return err
	})
	return n
}

// cancelAndDrain cancels each run at a moment of its own; half of the agents are
// drained in the middle of it, and the node is killed twice.
func cancelAndDrain(ctx context.Context, t *trial) {
	w := t.witness
	s := newSite(ctx, t, plan{nodes: 1, agents: 6, slots: 4})
	src := s.upload(ctx, flow{
		name: "Making", steps: []string{w.read("before", 100, ""), w.made("thing"), w.read("middle", 1500, ""), w.read("after", 400, "")},
		down: []string{w.removed("thing")},
	})
	var mu sync.Mutex
	asked := map[string]time.Time{}
	var cancels sync.WaitGroup
	drained := map[string]time.Time{}
	half := t.long / 2
	began := time.Now()
	killed := 0
	t.every(ctx, 150*time.Millisecond, 250*time.Millisecond, func(n int) {
		batch := s.queue(ctx, fmt.Sprintf("cancel-%d", n), src)
		wait := time.Duration(t.rng.Int64N(int64(2500 * time.Millisecond)))
		cancels.Go(func() {
			pause(ctx, wait)
			err := s.try(ctx, func(ctx context.Context, c *client.Client) error {
				_, err := c.Runs.Cancel(ctx, &apiv1.CancelRequest{BatchId: batch, Reason: "chaos", IdempotencyKey: "cancel-" + batch})
				return err
			})
			if err != nil {
				t.failf("cancel batch %s: %v", batch, err)
			}
			mu.Lock()
			asked[batch] = time.Now()
			mu.Unlock()
		})
		since := time.Since(began)
		if killed < 2 && since > half*time.Duration(killed+1)/2 {
			s.nodes[0].kill()
			killed++
			s.startNode(s.nodes[0], "")
			s.ready(ctx, s.nodes[0])
		}
		if i := len(drained); i < 3 && since > half+time.Duration(i)*500*time.Millisecond {
			t.must(s.agents[i].signal(syscall.SIGTERM), "drain an agent")
			drained[s.agents[i].name] = time.Now()
		}
	})
	cancels.Wait()
	// Those that nobody cancels go to agents that are not drained.
	s.queue(ctx, "after", repeated(src, 10))
	byBatch, _ := s.settled(ctx, 60*time.Second, true)
	o := s.judge(byBatch, 0)
	t.observed(o.cancelled, len(asked)/4, "runs cancelled")
	t.observed(killed, 2, "nodes killed")
	t.observed(len(drained), 3, "agents drained")
	t.judgeResources(o)
	var took []time.Duration
	for batch, at := range asked {
		for _, r := range byBatch[batch] {
			one := max(0, r.GetFinished().AsTime().Sub(at))
			if took = append(took, one); one > 5*time.Second {
				t.note("run %s was cancelled in %s after %d attempts; %s; why: %s", r.GetId(), one.Round(time.Millisecond), len(r.GetAttempts()), lastAttempt(r), r.GetReason())
			}
		}
	}
	t.took(percentile(took, 99), 5*time.Second, "a cancel, with its teardown, p99,")
	t.none(s.grantedAfter(o.list, drained), "runs given to agents that drain")
	for i := range 3 {
		select {
		case <-s.agents[i].done:
			if s.agents[i].err != nil {
				t.failf("%s was drained and ended with %v", s.agents[i].name, s.agents[i].err)
			}
		case <-time.After(20 * time.Second):
			t.failf("%s was drained and goes on", s.agents[i].name)
		}
	}
	s.finish()
}

// judgeResources wants everything that was made to be gone.
func (t *trial) judgeResources(o outcome) {
	things, left := 0, 0
	for _, r := range o.list {
		_, _, made, removed := t.witness.of(r.GetId())
		things += made
		left += made - removed
	}
	t.observed(things, len(o.list)/4, "things made")
	t.none(left, "things that teardown did not remove")
}

// tolerance is for what was on its way when an agent was told to drain.
const tolerance = 500 * time.Millisecond

func (s *site) grantedAfter(list []*apiv1.Run, drained map[string]time.Time) (n int) {
	for _, r := range list {
		for _, at := range r.GetAttempts() {
			if from, ok := drained[at.GetAgentName()]; ok && at.GetStarted() != nil && at.GetStarted().AsTime().After(from.Add(tolerance)) {
				n++
			}
		}
	}
	return n
}

// poisonAgents is more than a poisonous run may take with it.
const poisonAgents = 4

// poison has a run that kills whatever runs it, and clients that send everything three
// times.
func poison(ctx context.Context, t *trial) {
	w := t.witness
	s := newSite(ctx, t, plan{nodes: 1, agents: poisonAgents, slots: 2})
	bad := s.upload(ctx, flow{name: "Poison", steps: []string{w.read("poison", 400, "")}})
	good := s.upload(ctx, flow{name: "Good", steps: []string{w.pay("good", 5)}})
	var victims atomic.Int64
	var healed atomic.Bool
	w.on("poison", func(a attempt) {
		if healed.Load() {
			return
		}
		if victim := s.runner(ctx, a); victim != nil {
			victims.Add(1)
			s.killAgent(victim)
		}
	})
	batch := s.queue(ctx, "poison", bad)
	t.until(ctx, 60*time.Second, "the quarantine", func() error {
		byBatch, err := s.runs(ctx)
		if err != nil {
			return err
		}
		if len(byBatch[batch]) == 0 {
			return errors.New("there is no run")
		}
		if r := byBatch[batch][0]; !r.GetQuarantined() {
			return fmt.Errorf("the run is %s after %d attempts: %s", r.GetStatus(), len(r.GetAttempts()), r.GetReason())
		}
		return nil
	})
	t.within(victims.Load(), 2, "agents that the run took with it")
	t.observed(int(victims.Load()), 2, "agents killed by the run that they ran")
	healed.Store(true)
	for _, a := range s.agents {
		if !a.alive() {
			s.startAgent(a, "")
		}
	}
	s.sentThrice(ctx, good)
	byBatch, released := s.settled(ctx, 60*time.Second, true)
	o := s.judge(byBatch, 0)
	t.observed(released, 1, "runs released from quarantine")
	t.unexplained(o.list)
	s.finish()
}

// runner is the agent that has an attempt.
func (s *site) runner(ctx context.Context, a attempt) *worker {
	res := new(apiv1.GetRunResponse)
	err := s.try(ctx, func(ctx context.Context, c *client.Client) (err error) {
		res, err = c.Runs.GetRun(ctx, &apiv1.GetRunRequest{Id: a.run})
		return err
	})
	if err != nil {
		return nil
	}
	for _, at := range res.GetRun().GetAttempts() {
		if at.GetFence() == a.fence {
			return s.named(at.GetAgentName())
		}
	}
	return nil
}

// sentThrice sends each request three times at once while the node is killed, and the
// same keys with other requests at last.
func (s *site) sentThrice(ctx context.Context, src *apiv1.Source) {
	t := s.t
	var all sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]map[string]bool{}
	killed, keys := 0, 0
	t.every(ctx, 40*time.Millisecond, 60*time.Millisecond, func(n int) {
		key := fmt.Sprintf("thrice-%d", n)
		keys++
		for range 3 {
			all.Go(func() {
				batch, err := s.submit(ctx, key, src)
				if err != nil {
					t.failf("queue %s: %v", key, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if ids[key] == nil {
					ids[key] = map[string]bool{}
				}
				ids[key][batch] = true
			})
		}
		if n%60 == 30 {
			s.nodes[0].kill()
			killed++
			s.startNode(s.nodes[0], "")
		}
	})
	all.Wait()
	s.ready(ctx, s.nodes[0])
	twice, agreed := 0, 0
	for key, batches := range ids {
		twice += len(batches) - 1
		err := s.try(ctx, func(ctx context.Context, c *client.Client) error {
			_, err := c.Runs.CreateBatch(ctx, &apiv1.CreateBatchRequest{Source: repeated(src, 2), IdempotencyKey: key})
			return err
		})
		if connect.CodeOf(err) != connect.CodeAlreadyExists {
			agreed++
		}
	}
	t.observed(killed, 1, "nodes killed")
	t.observed(len(ids), keys, "keys sent three times at once")
	t.none(twice, "batches made twice of one key")
	t.none(agreed, "keys that were accepted with another request")
}
