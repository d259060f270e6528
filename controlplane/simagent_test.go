package controlplane

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/testmesh/testmesh/controlplane/dispatch"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// simAgent keeps leases by the rules of an agent, and runs nothing: what it does to the
// system under test it tells the world.
type simAgent struct {
	w   *world
	id  string
	rng *rand.Rand

	mu      sync.Mutex
	held    map[string]*simLease
	session string
	frozen  time.Time // until when it stands still
	kill    context.CancelFunc
	away    time.Duration // how long it is dead
}

// simLease is a run that an agent has.
type simLease struct {
	*apiv1.Lease
	until     time.Time
	lost      bool
	cancelled bool
}

const simSlots = 2

// live is one process after the other.
func (a *simAgent) live(ctx context.Context) {
	for ctx.Err() == nil {
		process, kill := context.WithCancel(ctx)
		a.mu.Lock()
		a.kill, a.session = kill, a.w.newID("session")
		var lost []*apiv1.Lease
		for _, run := range slices.Sorted(maps.Keys(a.held)) {
			lost = append(lost, a.held[run].Lease)
		}
		a.held = map[string]*simLease{}
		session := a.session
		a.mu.Unlock()
		_, err := a.w.propose(process, &clusterv1.Command{Body: &clusterv1.Command_BeginSession{BeginSession: &clusterv1.BeginSession{
			AgentId: a.id, Session: session, Slots: simSlots,
		}}})
		if err == nil {
			a.ask(func(d *dispatch.Dispatcher, _ string) error { return d.Lost(process, a.id, lost) })
			var all sync.WaitGroup
			all.Go(func() { a.renewals(process) })
			a.polls(process, session, &all)
			all.Wait()
		}
		kill()
		a.mu.Lock()
		away := a.away
		a.mu.Unlock()
		a.w.rest(ctx, away)
	}
}

// die ends the process, which starts again after a while.
func (a *simAgent) die(away time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
	if a.kill != nil {
		a.kill()
	}
}

// freeze stops everything of the process for a while; it does not know.
func (a *simAgent) freeze(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.frozen = time.Now().Add(d)
}

// rest lets time go by, and more of it while the process stands still.
func (a *simAgent) rest(ctx context.Context, d time.Duration) bool {
	if !a.w.rest(ctx, d) {
		return false
	}
	for {
		a.mu.Lock()
		still := time.Until(a.frozen)
		a.mu.Unlock()
		if still <= 0 {
			return ctx.Err() == nil
		}
		if !a.w.rest(ctx, still) {
			return false
		}
	}
}

// ask asks the node that leads, if there is one in reach.
func (a *simAgent) ask(f func(d *dispatch.Dispatcher, node string) error) bool {
	for _, n := range a.w.nodes {
		if _, d, err := n.reached(); err == nil && f(d, n.id) == nil {
			return true
		}
	}
	return false
}

func (a *simAgent) delay() time.Duration {
	return time.Duration(a.rng.Int64N(int64(150 * time.Millisecond)))
}

func (a *simAgent) polls(ctx context.Context, session string, all *sync.WaitGroup) {
	for ctx.Err() == nil {
		a.mu.Lock()
		free, pause := simSlots-len(a.held), a.delay()
		a.mu.Unlock()
		if !a.rest(ctx, pause) {
			return
		}
		if free <= 0 {
			continue
		}
		req := &apiv1.PollRequest{Session: session, PollId: a.w.newID("poll"), FreeSlots: int32(free), Hold: simHold}
		var offers []*apiv1.Offer
		a.ask(func(d *dispatch.Dispatcher, node string) error {
			res, err := d.Poll(ctx, a.id, node, req)
			offers = res.GetOffers()
			return err
		})
		if !a.rest(ctx, 0) { // the answer comes to a process that may be still or dead
			return
		}
		for _, o := range offers {
			l := &simLease{Lease: o.GetLease()}
			a.mu.Lock()
			a.held[l.GetRunId()] = l
			rng := rand.New(rand.NewPCG(a.rng.Uint64(), 1))
			a.mu.Unlock()
			all.Go(func() { a.run(ctx, l, rng) })
		}
	}
}

// renewals keeps what is started.
func (a *simAgent) renewals(ctx context.Context) {
	for a.rest(ctx, simTiming.Renew) {
		sent := time.Now()
		req := &apiv1.RenewRequest{}
		a.mu.Lock()
		for _, run := range slices.Sorted(maps.Keys(a.held)) {
			if l := a.held[run]; !l.until.IsZero() {
				req.Leases = append(req.Leases, l.Lease)
			}
		}
		pause := a.delay()
		a.mu.Unlock()
		if len(req.GetLeases()) == 0 || !a.rest(ctx, pause) {
			continue
		}
		a.ask(func(d *dispatch.Dispatcher, _ string) error {
			res, err := d.Renew(ctx, a.id, req)
			a.mu.Lock()
			defer a.mu.Unlock()
			for _, r := range res.GetRenewals() {
				l := a.held[r.GetRunId()]
				if l == nil || l.GetAttempt() != r.GetAttempt() {
					continue
				}
				l.lost, l.cancelled = l.lost || r.GetFenced(), l.cancelled || r.GetCancel()
				if !r.GetFenced() {
					l.until = sent.Add(simTiming.TTL) // counted from when it was sent
				}
			}
			return err
		})
	}
}

// run starts, works and finishes.
func (a *simAgent) run(ctx context.Context, l *simLease, rng *rand.Rand) {
	dropped := true
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if dropped && ctx.Err() == nil && a.held[l.GetRunId()] == l {
			delete(a.held, l.GetRunId())
		}
	}()
	sent := time.Now()
	res, err := a.w.propose(ctx, &clusterv1.Command{Body: &clusterv1.Command_StartRun{StartRun: &clusterv1.StartRun{
		RunId: l.GetRunId(), Attempt: l.GetAttempt(), Fence: l.GetFence(), Incarnation: l.GetIncarnation(), TokenSha256: []byte("token"),
	}}})
	if err != nil || res.GetFault() != nil {
		return
	}
	a.mu.Lock()
	l.until = sent.Add(simTiming.TTL)
	a.mu.Unlock()
	steps := 2 + rng.IntN(12)
	for i := range steps {
		if !a.rest(ctx, time.Duration(rng.Int64N(int64(500*time.Millisecond)))) {
			return
		}
		if pay := a.w.pays(l.GetRunId()) && i == steps/2; pay && !a.dirty(ctx, l) {
			return
		}
		ok, cancelled := a.may(l)
		if !ok {
			return
		}
		if cancelled {
			a.finish(ctx, l, apiv1.RunStatus_RUN_STATUS_CANCELLED)
			return
		}
		a.w.touch(l.GetRunId(), l.GetFence(), a.w.pays(l.GetRunId()) && i == steps/2)
	}
	a.finish(ctx, l, apiv1.RunStatus_RUN_STATUS_PASSED)
}

// may says whether a lease lasts, with the margin that agents keep.
func (a *simAgent) may(l *simLease) (ok, cancelled bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Now().After(l.until.Add(-simTiming.TTL / 5)) {
		l.lost = true
	}
	return !l.lost, l.cancelled
}

// dirty is committed before the step that must not be repeated.
func (a *simAgent) dirty(ctx context.Context, l *simLease) bool {
	res, err := a.w.propose(ctx, &clusterv1.Command{Body: &clusterv1.Command_MarkDirty{MarkDirty: &clusterv1.MarkDirty{
		RunId: l.GetRunId(), Attempt: l.GetAttempt(), Fence: l.GetFence(), Incarnation: l.GetIncarnation(), StepId: "pay",
	}}})
	return err == nil && res.GetFault() == nil && a.rest(ctx, 0)
}

func (a *simAgent) finish(ctx context.Context, l *simLease, status apiv1.RunStatus) {
	if status == apiv1.RunStatus_RUN_STATUS_PASSED {
		a.w.asks(l.Lease)
	}
	res, err := a.w.propose(ctx, &clusterv1.Command{Body: &clusterv1.Command_FinishRun{FinishRun: &clusterv1.FinishRun{
		RunId: l.GetRunId(), Attempt: l.GetAttempt(), Fence: l.GetFence(), Incarnation: l.GetIncarnation(), Status: status,
	}}})
	if err == nil && res.GetFault() == nil {
		a.w.counts(l.Lease, status)
	}
}
