package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

func crashRows() []row {
	return []row{{
		name: "R8", title: "processes crash in the middle of what they do, at each place in turn", full: 60 * time.Second, ci: 20 * time.Second,
		red: []string{"no_resume"}, run: crashes,
	}}
}

// places are where a process may crash, and with which hit: one that is in the middle
// of the work, not in its beginning. Those of a restored state are in R9.
func places() []string {
	return []string{
		"store.commit.before=crash@25", "store.commit.after=crash@25", "store.snapshot.copied=crash@1",
		"cluster.log.before=crash@20", "cluster.log.after=crash@20", "cluster.vote.before=crash@1", "cluster.vote.after=crash@1",
		"cluster.applied=crash@20",
		"dispatch.expand.before=crash@3", "dispatch.expand.after=crash@3", "dispatch.grant.before=crash@4", "dispatch.grant.after=crash@4",
		"api.start.committed=crash@5", "api.finish.durable=crash@5",
		"stream.segment.before=crash@4", "stream.segment.after=crash@4",
		"agent.offered=crash@3", "agent.started=crash@3", "agent.dirty.before=crash@3", "agent.dirty.after=crash@3", "agent.spool=crash@40",
		"agent.finish.before=crash@3", "agent.finish.after=crash@3",
		// Of a lease that is not renewed; the agents of the row are not the ones to crash.
		"dispatch.expire.after=crash@1",
	}
}

// snapshotOften makes a snapshot come within the time of the row.
const snapshotOften = "cluster.snapshot=100;cluster.snapshot_seconds=1;"

// side is how many places are tried at once: most of the time they wait.
const side = 3

// allPlaces is a time that is meant for all of them.
const allPlaces = time.Minute

// crashes tries as many places as the time allows, each on a site of its own; over the
// full time that is every one.
func crashes(ctx context.Context, t *trial) {
	list := places()
	t.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	end := time.Now().Add(t.long)
	var all sync.WaitGroup
	var mu sync.Mutex
	next, tried, worst := 0, 0, time.Duration(0)
	for range side {
		all.Go(func() {
			for {
				mu.Lock()
				if next == len(list) || ctx.Err() != nil || t.long < allPlaces && !t.red && time.Now().After(end) {
					mu.Unlock()
					return
				}
				place := list[next]
				next++
				mu.Unlock()
				took, ok := t.crashAt(ctx, place)
				mu.Lock()
				if worst = max(worst, took); ok {
					tried++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	t.observed(tried, max(next, 4), "places crashed at")
	t.took(worst, 5*time.Second, "the slowest start after a crash")
}

// crashAt is a trial of its own for one place.
func (t *trial) crashAt(ctx context.Context, place string) (restart time.Duration, crashed bool) {
	one := &trial{
		name: t.name, dir: t.dir, bin: t.bin, off: t.off, seed: t.seed, long: t.long, red: t.red,
		rng: rand.New(rand.NewPCG(t.seed, 2)), witness: newWitness(), ports: t.ports, short: t.short,
	}
	defer one.witness.Close()
	one.guarded(ctx, func(ctx context.Context, one *trial) { restart, crashed = crash(ctx, one, place) })
	t.mu.Lock()
	if one.untried != nil {
		t.untried = one.untried
	}
	t.sites = append(t.sites, one.sites...) // they have ended; what they worked counts
	t.mu.Unlock()
	for _, text := range one.broken {
		t.failf("%s: %s", place, text)
	}
	if len(one.broken) > 0 {
		for _, text := range one.figures {
			t.note("%s: %s", place, text)
		}
	}
	return restart, crashed
}

// expanded is more runs than are made with their batch.
const expanded = 51

// some queues so many batches, one after the other.
func (s *site) some(ctx context.Context, n int, src *apiv1.Source) (wait func()) {
	var all sync.WaitGroup
	all.Go(func() {
		for i := range n {
			if _, err := s.submit(ctx, fmt.Sprintf("some-%d", i), src); err != nil {
				s.t.failf("queue batch %d: %v", i, err)
			}
		}
	})
	return all.Wait
}

// crash has one process crash at a place, starts it again, and judges everything.
func crash(ctx context.Context, t *trial, place string) (restart time.Duration, ok bool) {
	point, _, _ := strings.Cut(place, "=")
	agents, votes := strings.HasPrefix(point, "agent."), strings.HasPrefix(point, "cluster.vote.")
	p := plan{nodes: 1, agents: 2, slots: 2}
	if !agents && !votes { // a vote is given once, at the start
		p.nodeFaults = snapshotOften + place
	}
	s := newSite(ctx, t, p)
	w := t.witness
	src := s.upload(ctx, flow{name: "Steady", steps: []string{w.read("one", 20, ""), w.pay("only", 5), w.read("two", 20, "")}})
	victim := s.nodes[0].process
	switch {
	case agents:
		s.agents[0].kill()
		s.startAgent(s.agents[0], place)
		victim = s.agents[0].process
	case votes:
		s.queue(ctx, "before", src)
		s.nodes[0].kill()
		s.startNode(s.nodes[0], place)
		victim = s.nodes[0].process
	}
	stop := func() {}
	switch {
	case strings.HasPrefix(point, "dispatch.expand."):
		stop = s.some(ctx, 4, repeated(s.upload(ctx, flow{name: "Short", steps: []string{w.pay("only", 1)}}), expanded))
	case !votes:
		stop = s.load(ctx, 60*time.Millisecond, src)
	}
	if point == "dispatch.expire.after" { // an agent that has something is gone for good
		batch := s.queue(ctx, "long", repeated(s.upload(ctx, flow{name: "Long", steps: []string{w.read("long", 2000, ""), w.read("longer", 2000, ""), w.read("longest", 2000, ""), w.read("end", 2000, "")}}), 4))
		if a := s.victim(ctx, batch, 1); a != nil {
			a.kill()
		}
	}
	select {
	case <-victim.done:
	case <-time.After(30 * time.Second):
		t.failf("nothing crashed")
	case <-ctx.Done():
	}
	ok = victim.said("fault "+point+" crash") > 0
	if !ok {
		t.failf("it did not crash there; the end of its log: %s", lastLines(victim.log))
	}
	began := time.Now()
	if !agents && !victim.alive() {
		s.startNode(s.nodes[0], "")
	}
	s.ready(ctx, s.nodes[0])
	restart = time.Since(began)
	for _, a := range s.agents {
		if !a.alive() {
			s.startAgent(a, "")
		}
	}
	stop()
	s.queue(ctx, "after", repeated(src, 5))
	byBatch, _ := s.settled(ctx, 60*time.Second, true)
	o := s.judge(byBatch, 0)
	t.unexplained(o.list)
	s.finish()
	return restart, ok
}
