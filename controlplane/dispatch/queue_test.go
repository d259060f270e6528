package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// plane is the state, with as much of its rules as the queue relies on.
type plane struct {
	mu      sync.Mutex
	runs    map[string]*apiv1.Run
	batches map[string]*apiv1.Batch
	agents  map[string]*apiv1.Agent
	index   uint64
	changes chan Change
	expired []string
}

func newPlane() *plane {
	return &plane{runs: map[string]*apiv1.Run{}, batches: map[string]*apiv1.Batch{}, agents: map[string]*apiv1.Agent{}, changes: make(chan Change, 1000)}
}

func (p *plane) LiveRuns(context.Context) (list []*apiv1.Run, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.runs {
		if !terminal(r) {
			list = append(list, proto.CloneOf(r))
		}
	}
	return list, nil
}

func (p *plane) RunsOfBatch(_ context.Context, batch string) (list []*apiv1.Run, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.runs {
		if r.GetBatchId() == batch {
			list = append(list, proto.CloneOf(r))
		}
	}
	return list, nil
}

func (p *plane) Run(_ context.Context, id string) (*apiv1.Run, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.runs[id]; r != nil {
		return proto.CloneOf(r), nil
	}
	return nil, errors.New("no such run")
}

func (p *plane) Batch(_ context.Context, id string) (*apiv1.Batch, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return proto.CloneOf(p.batches[id]), nil
}

func (p *plane) Agents(context.Context) (list []*apiv1.Agent, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.agents {
		list = append(list, proto.CloneOf(a))
	}
	return list, nil
}

func (p *plane) Agent(_ context.Context, id string) (*apiv1.Agent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return proto.CloneOf(p.agents[id]), nil
}

func (p *plane) AgentKey(context.Context, string) ([]byte, string, error) { return nil, "", nil }

func (p *plane) Unexpanded(context.Context) (map[string]int, error) { return nil, nil }

func (p *plane) Expand(context.Context, *apiv1.Batch) ([]*clusterv1.NewRun, error) { return nil, nil }

func (p *plane) Propose(_ context.Context, c *clusterv1.Command) (*clusterv1.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index++
	answer := &clusterv1.Answer{}
	for _, g := range c.GetGrantLeases().GetGrants() {
		r := p.runs[g.GetRunId()]
		r.Attempts = append(r.Attempts, &apiv1.Attempt{Number: int32(len(r.Attempts) + 1), AgentId: g.GetAgentId(), AgentName: g.GetAgentId(), Fence: p.index, TeardownOnly: g.GetTeardownOnly()})
		if !g.GetTeardownOnly() {
			r.Status = apiv1.RunStatus_RUN_STATUS_OFFERED
		}
		answer.Runs = append(answer.Runs, proto.CloneOf(r))
	}
	for _, e := range c.GetExpireLeases().GetExpiries() {
		r := p.runs[e.GetRunId()]
		latest(r).Outcome = "lost"
		r.Status = apiv1.RunStatus_RUN_STATUS_QUEUED
		p.expired = append(p.expired, e.GetRunId()+": "+e.GetReason())
		answer.Runs = append(answer.Runs, proto.CloneOf(r))
	}
	for _, e := range c.GetEndRuns().GetRuns() {
		r := p.runs[e.GetRunId()]
		r.Status, r.Reason = e.GetStatus(), e.GetReason()
		answer.Runs = append(answer.Runs, proto.CloneOf(r))
	}
	return answer, nil
}

// lost are the leases that were ended, with why.
func (p *plane) lost() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.expired, ",")
}

func (p *plane) run(id string) *apiv1.Run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return proto.CloneOf(p.runs[id])
}

// change edits a run and says so.
func (p *plane) change(id string, edit func(r *apiv1.Run)) {
	p.mu.Lock()
	edit(p.runs[id])
	p.mu.Unlock()
	p.changes <- Change{Runs: []string{id}}
}

func (p *plane) start(id string) {
	p.change(id, func(r *apiv1.Run) {
		r.Status = apiv1.RunStatus_RUN_STATUS_RUNNING
		latest(r).Started = timestamppb.Now()
	})
}

func (p *plane) end(id string, status apiv1.RunStatus) {
	p.change(id, func(r *apiv1.Run) {
		r.Status, r.Finished = status, timestamppb.Now()
		latest(r).Outcome = "finished"
	})
}

// desk is a dispatcher that leads, in a bubble.
type desk struct {
	*plane
	*Dispatcher
	t     *testing.T
	polls atomic.Int64
}

func leads(t *testing.T, test func(t *testing.T, d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPlane()
		n := 0
		d := New(Config{
			Node: "n", State: p, Proposer: p, Expander: p, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Changes: func() (<-chan Change, func()) { return p.changes, func() {} },
			NewID:   func() string { n++; return fmt.Sprint(n) },
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Lead(ctx, 1) }()
		synctest.Wait()
		test(t, &desk{plane: p, Dispatcher: d, t: t})
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (d *desk) agent(id string, pins map[string]string, reserved ...string) {
	d.plane.mu.Lock()
	d.agents[id] = &apiv1.Agent{Id: id, Name: id, Pins: pins, Reserved: reserved, Slots: 4, State: apiv1.AgentState_AGENT_STATE_ONLINE, Facts: map[string]string{"os": "linux"}}
	d.plane.mu.Unlock()
	d.changes <- Change{Agents: []string{id}}
}

// add queues a run of a batch of its own, unless it names one.
func (d *desk) add(id string, edit func(r *apiv1.Run)) {
	r := &apiv1.Run{Id: id, Workspace: "w", BatchId: "b-" + id, Number: 1, Priority: 2, Status: apiv1.RunStatus_RUN_STATUS_QUEUED, Created: timestamppb.Now(), Spec: &apiv1.Spec{Flow: id}}
	if edit != nil {
		edit(r)
	}
	d.plane.mu.Lock()
	d.runs[id] = r
	if d.batches[r.GetBatchId()] == nil {
		d.batches[r.GetBatchId()] = &apiv1.Batch{Id: r.GetBatchId(), Source: &apiv1.Source{}, Expanded: true}
	}
	d.plane.mu.Unlock()
	d.changes <- Change{Runs: []string{id}}
}

// poll asks once, and gives the runs that were offered, in order.
func (d *desk) poll(agent string, free int) string {
	d.t.Helper()
	res, err := d.Poll(d.t.Context(), agent, "n", &apiv1.PollRequest{PollId: fmt.Sprint("poll-", d.polls.Add(1)), FreeSlots: int32(free), Hold: durationpb.New(time.Second)})
	if err != nil {
		d.t.Fatal(err)
	}
	var list []string
	for _, o := range res.GetOffers() {
		list = append(list, o.GetRun().GetId())
	}
	return strings.Join(list, " ")
}

func (d *desk) offered(agent string, free int, want string) {
	d.t.Helper()
	got := d.poll(agent, free)
	synctest.Wait()
	if got != want {
		d.t.Errorf("agent %s was offered %q, want %q", agent, got, want)
	}
}

func target(label string, values ...string) *apiv1.Target {
	return &apiv1.Target{Match: map[string]*apiv1.Values{label: {Values: values}}}
}

func TestTheMostUrgentRunIsNext(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.add("usual", nil)
		d.add("urgent", func(r *apiv1.Run) { r.Priority = 3 })
		d.add("low", func(r *apiv1.Run) { r.Priority = 0 })
		synctest.Wait()
		d.offered("a", 3, "urgent usual low")
		d.offered("a", 3, "")
	})
}

func TestARunThatWaitsLongIsUrgent(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.add("old", func(r *apiv1.Run) { r.Priority = 0 })
		<-time.After(3 * aging)
		d.add("new", nil)
		synctest.Wait()
		d.offered("a", 1, "old")
		d.add("critical", func(r *apiv1.Run) { r.Priority = 4 })
		d.add("older", func(r *apiv1.Run) { r.Priority = 0; r.Created = timestamppb.New(time.Now().Add(-time.Hour)) })
		synctest.Wait()
		d.offered("a", 1, "critical") // which waiting alone never reaches
	})
}

func TestWorkspacesShareAgents(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		for n := range 6 {
			d.add(fmt.Sprint("big-", n), func(r *apiv1.Run) { r.Workspace = "big" })
		}
		<-time.After(time.Second)
		d.add("small-0", func(r *apiv1.Run) { r.Workspace = "small" })
		d.add("small-1", func(r *apiv1.Run) { r.Workspace = "small" })
		synctest.Wait()
		d.offered("a", 4, "big-0 small-0 big-1 small-1")
	})
}

func TestWhoMayTakeARun(t *testing.T) {
	tests := map[string]struct {
		pins     map[string]string
		reserved []string
		run      func(r *apiv1.Run)
		lacks    string
	}{
		"anybody":                        {},
		"a pin that is wanted":           {pins: map[string]string{"zone": "eu-1"}, run: func(r *apiv1.Run) { r.Spec.Target = target("zone", "eu-1", "eu-2") }},
		"a pin that begins as is wanted": {pins: map[string]string{"zone": "eu-1"}, run: func(r *apiv1.Run) { r.Spec.Target = target("zone", "eu-*") }},
		"another pin":                    {pins: map[string]string{"zone": "us"}, run: func(r *apiv1.Run) { r.Spec.Target = target("zone", "eu-1") }, lacks: "zone is us, wanted eu-1"},
		"a fact that is wanted":          {run: func(r *apiv1.Run) { r.Spec.Target = target("os", "linux") }},
		"a pin stands before a fact":     {pins: map[string]string{"os": "plan9"}, run: func(r *apiv1.Run) { r.Spec.Target = target("os", "linux") }, lacks: "os is plan9, wanted linux"},
		"no such label":                  {run: func(r *apiv1.Run) { r.Spec.Target = target("gpu", "yes") }, lacks: "it has no label gpu, wanted yes"},
		"a label that must not be": {run: func(r *apiv1.Run) {
			r.Spec.Target = &apiv1.Target{Not: map[string]*apiv1.Values{"os": {Values: []string{"linux"}}}}
		}, lacks: "os is linux, which the run does not want"},
		"reserved for those that name it":   {pins: map[string]string{"team": "pay"}, reserved: []string{"team"}, lacks: "it is reserved for runs that name team"},
		"reserved, and named":               {pins: map[string]string{"team": "pay"}, reserved: []string{"team"}, run: func(r *apiv1.Run) { r.Spec.Target = target("team", "pay") }},
		"an environment that it is not for": {pins: map[string]string{"env": "production"}, run: func(r *apiv1.Run) { r.Spec.Environment = "staging" }, lacks: "env is production, and the run is for the environment staging"},
		"the environment that it is for":    {pins: map[string]string{"env": "staging"}, reserved: []string{"env"}, run: func(r *apiv1.Run) { r.Spec.Environment = "staging" }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			leads(t, func(t *testing.T, d *desk) {
				d.agent("a", test.pins, test.reserved...)
				d.add("r", test.run)
				synctest.Wait()
				want := "r"
				if test.lacks != "" {
					want = ""
					why, err := d.Why(t.Context(), "r")
					if err != nil || why.GetReason() != "no agent fits" || !strings.HasPrefix(strings.Join(why.GetAgents()[0].GetLacks(), "; "), test.lacks) {
						t.Errorf("got why %v (%v), want %q", why, err, test.lacks)
					}
				}
				d.offered("a", 1, want)
			})
		})
	}
}

func TestWhatARunWaitsForInItsBatch(t *testing.T) {
	member := func(batch string, number int32, edit func(r *apiv1.Run)) func(r *apiv1.Run) {
		return func(r *apiv1.Run) {
			r.BatchId, r.Number = batch, number
			if edit != nil {
				edit(r)
			}
		}
	}
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.plane.mu.Lock()
		d.batches["b"] = &apiv1.Batch{Id: "b", Source: &apiv1.Source{Parallelism: 1}, Expanded: true}
		d.plane.mu.Unlock()
		d.add("one", member("b", 1, nil))
		d.add("two", member("b", 2, nil))
		synctest.Wait()
		d.offered("a", 4, "one")
		why, err := d.Why(t.Context(), "two")
		if err != nil || why.GetReason() != "1 runs of its batch are with agents, as many as may" {
			t.Errorf("got %v (%v)", why, err)
		}
		d.start("one")
		d.end("one", apiv1.RunStatus_RUN_STATUS_PASSED)
		synctest.Wait()
		d.offered("a", 4, "two")
	})
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.add("first", member("c", 1, nil))
		d.add("then", member("c", 2, func(r *apiv1.Run) { r.Spec.After = []string{"first"} }))
		synctest.Wait()
		d.offered("a", 4, "first")
		d.start("first")
		d.end("first", apiv1.RunStatus_RUN_STATUS_FAILED)
		synctest.Wait()
		if r := d.run("then"); r.GetStatus() != apiv1.RunStatus_RUN_STATUS_SKIPPED || r.GetReason() != "after first, which did not pass" {
			t.Errorf("got %v", r)
		}
	})
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.add("holds", nil)
		synctest.Wait()
		d.offered("a", 1, "holds")
		d.change("holds", func(r *apiv1.Run) {
			r.Status, r.Locks = apiv1.RunStatus_RUN_STATUS_RUNNING, []string{"db"}
			latest(r).Started = timestamppb.Now()
		})
		d.add("wants", func(r *apiv1.Run) { r.Locks = []string{"db"} })
		synctest.Wait()
		d.offered("a", 1, "")
		if why, err := d.Why(t.Context(), "wants"); err != nil || why.GetReason() != "lock db is held by run holds" {
			t.Errorf("got %v (%v)", why, err)
		}
	})
}

func TestLeasesAreKeptAndLost(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.add("r", nil)
		synctest.Wait()
		d.offered("a", 1, "r")
		d.start("r")
		renewal := func() *apiv1.Renewal {
			at := latest(d.run("r"))
			res, err := d.Renew(t.Context(), "a", &apiv1.RenewRequest{Leases: []*apiv1.Lease{{RunId: "r", Attempt: at.GetNumber(), Fence: at.GetFence()}}})
			if err != nil || len(res.GetRenewals()) != 1 {
				t.Fatalf("got %v (%v)", res, err)
			}
			return res.GetRenewals()[0]
		}
		for range 10 {
			<-time.After(d.Timing().TTL)
			if r := renewal(); r.GetFenced() || r.GetCancel() {
				t.Fatalf("got %v", r)
			}
		}
		d.change("r", func(r *apiv1.Run) { r.Cancelling = true })
		synctest.Wait()
		if r := renewal(); !r.GetCancel() || r.GetForce() {
			t.Errorf("got %v", r)
		}
		<-time.After(d.Timing().TTL + d.Timing().Grace - time.Second)
		if d.lost() != "" {
			t.Errorf("it was taken before its time: %q", d.lost())
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		if got := d.lost(); got != "r: its lease was not renewed" {
			t.Errorf("got %q", got)
		}
	})
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.add("r", nil)
		synctest.Wait()
		d.offered("a", 1, "r")
		<-time.After(d.Timing().StartWithin + time.Second)
		synctest.Wait()
		if got := d.lost(); got != "r: the offer was not started in time" {
			t.Errorf("got %q", got)
		}
		res, err := d.Renew(t.Context(), "a", &apiv1.RenewRequest{Leases: []*apiv1.Lease{{RunId: "r", Attempt: 1, Fence: 1}}})
		if err != nil || !res.GetRenewals()[0].GetFenced() {
			t.Errorf("an older lease was renewed: %v (%v)", res, err)
		}
	})
}

func TestATeardownGoesToAnAgentThatHasNotTriedIt(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.agent("b", nil)
		d.add("r", func(r *apiv1.Run) {
			r.Status, r.Cancelling = apiv1.RunStatus_RUN_STATUS_FINISHING, true
			r.Attempts = []*apiv1.Attempt{{Number: 1, AgentId: "x", Started: timestamppb.Now(), Outcome: "lost"}, {Number: 2, AgentId: "a", TeardownOnly: true, Outcome: "returned"}}
		})
		synctest.Wait()
		second := make(chan string, 1)
		go func() { second <- d.poll("b", 1) }()
		synctest.Wait()
		if got := <-second; got != "r" {
			t.Errorf("agent b was offered %q", got)
		}
	})
	leads(t, func(t *testing.T, d *desk) { // nobody else is there
		d.agent("a", nil)
		d.add("r", func(r *apiv1.Run) {
			r.Status = apiv1.RunStatus_RUN_STATUS_FINISHING
			r.Attempts = []*apiv1.Attempt{{Number: 1, AgentId: "x", Started: timestamppb.Now(), Outcome: "lost"}, {Number: 2, AgentId: "a", TeardownOnly: true, Outcome: "returned"}}
		})
		synctest.Wait()
		d.offered("a", 1, "r")
	})
}

func TestPollsAreAnsweredOnceAndAgain(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.add("r", nil)
		synctest.Wait()
		req := &apiv1.PollRequest{PollId: "p", FreeSlots: 1, Hold: durationpb.New(time.Second)}
		for range 2 { // its answer got lost
			res, err := d.Poll(t.Context(), "a", "n", req)
			if err != nil || len(res.GetOffers()) != 1 {
				t.Errorf("got %v (%v)", res, err)
			}
		}
		d.plane.mu.Lock()
		d.agents["a"].State, d.agents["a"].Note = apiv1.AgentState_AGENT_STATE_PAUSED, "a disk is changed"
		d.plane.mu.Unlock()
		d.changes <- Change{Agents: []string{"a"}}
		d.add("s", nil)
		synctest.Wait()
		res, err := d.Poll(t.Context(), "a", "n", &apiv1.PollRequest{PollId: "q", FreeSlots: 1, Hold: durationpb.New(time.Second)})
		if err != nil || len(res.GetOffers()) != 0 || !res.GetDirective().GetPaused() {
			t.Errorf("got %v (%v)", res, err)
		}
	})
	d := New(Config{})
	if _, err := d.Poll(t.Context(), "a", "n", &apiv1.PollRequest{}); !errors.Is(err, ErrNotLeading) {
		t.Errorf("got %v of who does not lead", err)
	}
}

func TestAPausedAgentHearsAtOnceThatItMayWork(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		synctest.Wait()
		state := func(s apiv1.AgentState) {
			d.plane.mu.Lock()
			d.agents["a"].State = s
			d.plane.mu.Unlock()
			d.changes <- Change{Agents: []string{"a"}}
		}
		began := time.Now()
		for i, change := range []struct {
			to     apiv1.AgentState
			free   int32
			paused bool
		}{
			{apiv1.AgentState_AGENT_STATE_PAUSED, 1, true},
			{apiv1.AgentState_AGENT_STATE_ONLINE, 0, false}, // it offers no room while it is paused
		} {
			answer := make(chan *apiv1.PollResponse, 1)
			go func() {
				res, err := d.Poll(t.Context(), "a", "n", &apiv1.PollRequest{PollId: fmt.Sprint(i), FreeSlots: change.free, Hold: durationpb.New(time.Minute)})
				if err != nil {
					t.Errorf("change %d: %v", i, err)
				}
				answer <- res
			}()
			synctest.Wait()
			state(change.to)
			if res := <-answer; res.GetDirective().GetPaused() != change.paused {
				t.Errorf("change %d: got %v", i, res)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("change %d was heard of after %s", i, took)
			}
		}
	})
}
