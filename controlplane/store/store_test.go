package store

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// world is a store with the entries that made it.
type world struct {
	t     *testing.T
	s     *Store
	log   []Entry
	index uint64
	clock time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.s = open(t, t.TempDir())
	return w
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// command fills in what every command has.
func (w *world) command(c *clusterv1.Command) *clusterv1.Command {
	c.Version, c.Workspace, c.Actor, c.Time = CommandVersion, "default", "admin", timestamppb.New(w.clock)
	return c
}

func (w *world) apply(c *clusterv1.Command) *clusterv1.Answer {
	w.t.Helper()
	w.index++
	e := Entry{Index: w.index, Term: 1, Command: w.command(c)}
	w.log = append(w.log, e)
	return w.s.Apply([]Entry{e})[0]
}

// must applies what is not refused.
func (w *world) must(c *clusterv1.Command) *clusterv1.Answer {
	w.t.Helper()
	a := w.apply(c)
	if f := a.GetFault(); f != nil {
		w.t.Fatalf("%v was refused: %s", c.GetBody(), f.GetMessage())
	}
	return a
}

const bundle = "b0"

// batch makes a batch of some runs, named run-1 and so on.
func (w *world) batch(runs int, spec func(i int, s *apiv1.Spec)) {
	w.t.Helper()
	w.must(&clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: bundle}}})
	w.must(&clusterv1.Command{Body: &clusterv1.Command_CreateBatch{CreateBatch: &clusterv1.CreateBatch{Id: "batch", Source: &apiv1.Source{Bundle: bundle}}}})
	e := &clusterv1.ExpandBatch{BatchId: "batch", First: 1, Done: true}
	for i := range runs {
		s := &apiv1.Spec{Flow: fmt.Sprintf("flow-%d", i+1)}
		if spec != nil {
			spec(i, s)
		}
		e.Runs = append(e.Runs, &clusterv1.NewRun{Id: fmt.Sprintf("run-%d", i+1), Spec: s})
	}
	w.must(&clusterv1.Command{Body: &clusterv1.Command_ExpandBatch{ExpandBatch: e}})
}

func (w *world) agent(id string) {
	w.t.Helper()
	w.must(&clusterv1.Command{Body: &clusterv1.Command_CreateJoinToken{CreateJoinToken: &clusterv1.CreateJoinToken{
		Token: &apiv1.JoinToken{Id: "token-" + id, Uses: 1}, SecretSha256: []byte("secret-" + id),
	}}})
	w.must(&clusterv1.Command{Body: &clusterv1.Command_JoinAgent{JoinAgent: &clusterv1.JoinAgent{
		SecretSha256: []byte("secret-" + id), AgentId: id, Name: id, PublicKey: []byte("key-" + id),
	}}})
	w.must(&clusterv1.Command{Body: &clusterv1.Command_BeginSession{BeginSession: &clusterv1.BeginSession{AgentId: id, Session: "session-" + id, Slots: 4}}})
}

// grant offers a run to an agent and gives the lease; nil: it was not granted.
func (w *world) grant(run, agent string, teardown bool) *apiv1.Attempt {
	w.t.Helper()
	attempts := int32(0)
	if at := last(w.run(run)); at != nil {
		attempts = at.GetNumber()
	}
	a := w.must(&clusterv1.Command{Body: &clusterv1.Command_GrantLeases{GrantLeases: &clusterv1.GrantLeases{Grants: []*clusterv1.Grant{
		{RunId: run, Attempts: attempts, AgentId: agent, Session: "session-" + agent, TeardownOnly: teardown},
	}}}})
	if len(a.GetRuns()) == 0 {
		return nil
	}
	return last(a.GetRuns()[0])
}

func (w *world) start(run string, at *apiv1.Attempt, locks ...string) *clusterv1.Answer {
	w.t.Helper()
	return w.apply(&clusterv1.Command{Body: &clusterv1.Command_StartRun{StartRun: &clusterv1.StartRun{
		RunId: run, Attempt: at.GetNumber(), Fence: at.GetFence(), Incarnation: at.GetIncarnation(), Locks: locks, TokenSha256: []byte("t" + run),
	}}})
}

func (w *world) dirty(run string, at *apiv1.Attempt) *clusterv1.Answer {
	w.t.Helper()
	return w.apply(&clusterv1.Command{Body: &clusterv1.Command_MarkDirty{MarkDirty: &clusterv1.MarkDirty{
		RunId: run, Attempt: at.GetNumber(), Fence: at.GetFence(), Incarnation: at.GetIncarnation(), StepId: "pay",
	}}})
}

func (w *world) checkpoint(run string, at *apiv1.Attempt, number int64, data string) *clusterv1.Answer {
	w.t.Helper()
	return w.apply(&clusterv1.Command{Body: &clusterv1.Command_PutCheckpoint{PutCheckpoint: &clusterv1.PutCheckpoint{
		RunId: run, Attempt: at.GetNumber(), Fence: at.GetFence(), Incarnation: at.GetIncarnation(), Number: number, Sealed: []byte(data),
	}}})
}

func (w *world) finish(run string, at *apiv1.Attempt, status apiv1.RunStatus) *clusterv1.Answer {
	w.t.Helper()
	return w.apply(&clusterv1.Command{Body: &clusterv1.Command_FinishRun{FinishRun: &clusterv1.FinishRun{
		RunId: run, Attempt: at.GetNumber(), Fence: at.GetFence(), Incarnation: at.GetIncarnation(), Status: status, Outputs: `{"id":1}`,
	}}})
}

func (w *world) expire(run string, at *apiv1.Attempt) {
	w.t.Helper()
	w.must(&clusterv1.Command{Body: &clusterv1.Command_ExpireLeases{ExpireLeases: &clusterv1.ExpireLeases{Expiries: []*clusterv1.Expiry{
		{RunId: run, Attempt: at.GetNumber(), Fence: at.GetFence(), Reason: "not renewed"},
	}}}})
}

func (w *world) giveBack(run string, at *apiv1.Attempt, drained bool) *clusterv1.Answer {
	w.t.Helper()
	return w.apply(&clusterv1.Command{Body: &clusterv1.Command_ReturnLease{ReturnLease: &clusterv1.ReturnLease{
		RunId: run, Attempt: at.GetNumber(), Fence: at.GetFence(), Drained: drained,
	}}})
}

func (w *world) cancel(run string) {
	w.t.Helper()
	w.must(&clusterv1.Command{Body: &clusterv1.Command_CancelRuns{CancelRuns: &clusterv1.CancelRuns{RunIds: []string{run}, Reason: "enough"}}})
}

func (w *world) run(id string) *apiv1.Run {
	w.t.Helper()
	r, err := w.s.Run(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// is wants a run at a status, with words in its reason.
func (w *world) is(id string, status apiv1.RunStatus, reason string) {
	w.t.Helper()
	r := w.run(id)
	if r.GetStatus() != status || !strings.Contains(r.GetReason(), reason) || reason == "" && r.GetReason() != "" {
		w.t.Errorf("%s is %s (%s), want %s (%s)", id, r.GetStatus(), r.GetReason(), status, reason)
	}
}

func (w *world) refused(a *clusterv1.Answer, reason string) {
	w.t.Helper()
	if got := a.GetFault().GetReason(); got != reason {
		w.t.Errorf("got fault %q (%s), want %q", got, a.GetFault().GetMessage(), reason)
	}
}

const (
	queued    = apiv1.RunStatus_RUN_STATUS_QUEUED
	offered   = apiv1.RunStatus_RUN_STATUS_OFFERED
	running   = apiv1.RunStatus_RUN_STATUS_RUNNING
	finishing = apiv1.RunStatus_RUN_STATUS_FINISHING
	passed    = apiv1.RunStatus_RUN_STATUS_PASSED
	failed    = apiv1.RunStatus_RUN_STATUS_FAILED
	errored   = apiv1.RunStatus_RUN_STATUS_ERRORED
	cancelled = apiv1.RunStatus_RUN_STATUS_CANCELLED
	skipped   = apiv1.RunStatus_RUN_STATUS_SKIPPED
)

func TestARunTravels(t *testing.T) {
	tests := map[string]func(w *world){
		"from the queue to its end": func(w *world) {
			w.is("run-1", queued, "")
			at := w.grant("run-1", "a", false)
			w.is("run-1", offered, "")
			w.start("run-1", at)
			w.is("run-1", running, "")
			w.finish("run-1", at, passed)
			w.is("run-1", passed, "")
			if got := w.run("run-1").GetOutputs(); got != `{"id":1}` {
				w.t.Errorf("got outputs %q", got)
			}
		},
		"the fence is the entry of the grant, and grows": func(w *world) {
			first := w.grant("run-1", "a", false)
			if first.GetFence() != w.index {
				w.t.Errorf("got fence %d, want the index %d", first.GetFence(), w.index)
			}
			w.giveBack("run-1", first, false)
			if second := w.grant("run-1", "a", false); second.GetFence() <= first.GetFence() || second.GetNumber() != 2 {
				w.t.Errorf("got %v after %v", second, first)
			}
		},
		"it has one lease at a time": func(w *world) {
			w.grant("run-1", "a", false)
			if at := w.grant("run-1", "b", false); at != nil {
				w.t.Errorf("it was granted twice: %v", at)
			}
		},
		"an answer that got lost is given again": func(w *world) {
			at := w.grant("run-1", "a", false)
			for range 2 {
				w.refused(w.start("run-1", at), "")
			}
			for range 2 {
				w.refused(w.finish("run-1", at, failed), "")
			}
			w.is("run-1", failed, "")
		},
		"a terminal run never changes": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.finish("run-1", at, failed)
			w.finish("run-1", at, passed)
			w.cancel("run-1")
			w.expire("run-1", at)
			w.is("run-1", failed, "")
		},
		"what did not start cannot finish": func(w *world) {
			w.refused(w.finish("run-1", w.grant("run-1", "a", false), passed), "fenced")
			w.is("run-1", offered, "")
		},
		"an older lease is refused everywhere": func(w *world) {
			old := w.grant("run-1", "a", false)
			w.giveBack("run-1", old, false)
			w.grant("run-1", "b", false)
			w.refused(w.start("run-1", old), "fenced")
			w.refused(w.dirty("run-1", old), "fenced")
			w.refused(w.checkpoint("run-1", old, 1, "x"), "fenced")
			w.refused(w.finish("run-1", old, passed), "fenced")
			w.refused(w.giveBack("run-1", old, false), "fenced")
		},
		"an agent's loss before a once step begins it anew": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.clock = w.clock.Add(time.Hour)
			w.expire("run-1", at)
			w.is("run-1", queued, "")
			if at := w.grant("run-1", "b", false); at.GetNumber() != 2 {
				w.t.Errorf("got attempt %v", at)
			}
		},
		"a verdict that comes late counts while nobody began anew": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.expire("run-1", at)
			w.refused(w.finish("run-1", at, failed), "")
			w.is("run-1", failed, "")
		},
		"a verdict that comes later does not": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.expire("run-1", at)
			w.grant("run-1", "b", false)
			w.refused(w.finish("run-1", at, failed), "fenced")
			w.is("run-1", offered, "")
		},
		"a loss after a once step is indeterminate": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.dirty("run-1", at)
			w.expire("run-1", at)
			w.is("run-1", errored, "indeterminate: agent a was lost after step pay began")
		},
		"its teardown runs on another agent first": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.dirty("run-1", at)
			w.checkpoint("run-1", at, 2, "new")
			w.checkpoint("run-1", at, 1, "old")
			w.expire("run-1", at)
			w.is("run-1", finishing, "")
			if got, err := w.s.Checkpoint(w.t.Context(), "run-1"); err != nil || string(got) != "new" {
				w.t.Errorf("got checkpoint %q (%v), want the newest", got, err)
			}
			down := w.grant("run-1", "b", true)
			w.start("run-1", down)
			w.refused(w.finish("run-1", at, passed), "fenced")
			w.finish("run-1", down, passed)
			w.is("run-1", errored, "indeterminate")
		},
		"a lost teardown is tried elsewhere, not for ever": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.dirty("run-1", at)
			w.checkpoint("run-1", at, 1, "x")
			w.expire("run-1", at)
			for range maxTeardowns {
				w.is("run-1", finishing, "")
				down := w.grant("run-1", "b", true)
				w.start("run-1", down)
				w.expire("run-1", down)
			}
			w.is("run-1", errored, "indeterminate")
			if got := w.run("run-1").GetOrphans(); len(got) != 1 {
				w.t.Errorf("got orphans %q, want one that says so", got)
			}
		},
		"cancelled in the queue it ends at once": func(w *world) {
			w.cancel("run-1")
			w.is("run-1", cancelled, "enough")
		},
		"cancelled while offered the agent is refused": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.cancel("run-1")
			w.refused(w.start("run-1", at), "fenced")
			w.is("run-1", cancelled, "enough")
		},
		"cancelled while it runs the agent says how it ended": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.cancel("run-1")
			if r := w.run("run-1"); !r.GetCancelling() || r.GetStatus() != running {
				w.t.Errorf("got %v", r)
			}
			w.finish("run-1", at, cancelled)
			w.is("run-1", cancelled, "")
		},
		"cancelled and lost it is cancelled": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.cancel("run-1")
			w.expire("run-1", at)
			w.is("run-1", cancelled, "lost before it confirmed")
		},
		"a drained agent gives it back": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.refused(w.giveBack("run-1", at, false), "started")
			w.refused(w.giveBack("run-1", at, true), "")
			w.is("run-1", queued, "")
		},
		"what kills agents is quarantined and can be released": func(w *world) {
			for _, agent := range []string{"a", "b"} {
				at := w.grant("run-1", agent, false)
				w.start("run-1", at)
				w.clock = w.clock.Add(time.Minute)
				w.expire("run-1", at)
			}
			w.is("run-1", queued, "quarantined")
			if at := w.grant("run-1", "a", false); at != nil {
				w.t.Errorf("it was granted in quarantine: %v", at)
			}
			w.must(&clusterv1.Command{Body: &clusterv1.Command_ReleaseRun{ReleaseRun: &clusterv1.ReleaseRun{RunId: "run-1"}}})
			if at := w.grant("run-1", "a", false); at == nil {
				w.t.Error("it was not granted after its release")
			}
		},
		"one agent lost twice is no poison": func(w *world) {
			for range 2 {
				at := w.grant("run-1", "a", false)
				w.start("run-1", at)
				w.expire("run-1", at)
			}
			w.is("run-1", queued, "")
		},
		"losses have an end": func(w *world) {
			for range maxLosses {
				at := w.grant("run-1", "a", false)
				w.start("run-1", at)
				w.clock = w.clock.Add(time.Hour)
				w.expire("run-1", at)
			}
			w.is("run-1", errored, "agent_lost")
		},
		"a restored state knows no lease": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.must(&clusterv1.Command{Body: &clusterv1.Command_RaiseIncarnation{RaiseIncarnation: &clusterv1.RaiseIncarnation{}}})
			w.is("run-1", queued, "")
			w.refused(w.finish("run-1", at, passed), "fenced")
			if next := w.grant("run-1", "a", false); next.GetIncarnation() != at.GetIncarnation()+1 {
				w.t.Errorf("got incarnation %d after %d", next.GetIncarnation(), at.GetIncarnation())
			}
		},
		"a revoked agent loses what it has": func(w *world) {
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			w.must(&clusterv1.Command{Body: &clusterv1.Command_SetAgent{SetAgent: &clusterv1.SetAgent{AgentId: "a", State: apiv1.AgentState_AGENT_STATE_REVOKED}}})
			w.is("run-1", queued, "")
			if at := w.grant("run-1", "a", false); at != nil {
				w.t.Errorf("a revoked agent was granted %v", at)
			}
		},
		"an older session gets nothing": func(w *world) {
			w.must(&clusterv1.Command{Body: &clusterv1.Command_BeginSession{BeginSession: &clusterv1.BeginSession{AgentId: "a", Session: "newer"}}})
			if at := w.grant("run-1", "a", false); at != nil {
				w.t.Errorf("an older session was granted %v", at)
			}
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.batch(1, nil)
			w.agent("a")
			w.agent("b")
			test(w)
			w.replays()
		})
	}
}

// replays holds a second store, given the same entries in pieces of other sizes, to
// the same hash.
func (w *world) replays() {
	w.t.Helper()
	ctx := w.t.Context()
	other := open(w.t, w.t.TempDir())
	for at := 0; at < len(w.log); at += 3 {
		other.Apply(w.log[at:min(at+3, len(w.log))])
	}
	index, want, err := w.s.Chain(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	if got, hash, err := other.Chain(ctx); err != nil || got != index || !bytes.Equal(hash, want) {
		w.t.Errorf("replayed: got entry %d with hash %x (%v), want %d with %x", got, hash, err, index, want)
	}
}

func TestLocksAreHeldAllOrNone(t *testing.T) {
	w := newWorld(t)
	w.batch(2, nil)
	w.agent("a")
	first, second := w.grant("run-1", "a", false), w.grant("run-2", "a", false)
	w.refused(w.start("run-1", first, "db", "cache"), "")
	if a := w.start("run-2", second, "queue", "db"); !a.GetLocked() {
		t.Fatalf("both hold db: %v", a)
	}
	w.is("run-2", queued, "")
	holders, err := w.s.LockHolders(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"db": "run-1", "cache": "run-1"}, holders); diff != "" {
		t.Errorf("locks (-want +got)\n%s", diff)
	}
	w.finish("run-1", first, passed)
	if a := w.start("run-2", w.grant("run-2", "a", false), "queue", "db"); a.GetLocked() || a.GetFault() != nil {
		t.Errorf("the locks were not let go: %v", a)
	}
}

func TestABatchIsWhatItsRunsAre(t *testing.T) {
	tests := map[string]struct {
		ends []apiv1.RunStatus
		want apiv1.BatchStatus
	}{
		"all passed":                   {[]apiv1.RunStatus{passed, passed}, apiv1.BatchStatus_BATCH_STATUS_PASSED},
		"a failure outweighs an error": {[]apiv1.RunStatus{errored, failed}, apiv1.BatchStatus_BATCH_STATUS_FAILED},
		"an error is not green":        {[]apiv1.RunStatus{passed, errored}, apiv1.BatchStatus_BATCH_STATUS_ERRORED},
		"nothing but skipped":          {[]apiv1.RunStatus{skipped, skipped}, apiv1.BatchStatus_BATCH_STATUS_SKIPPED},
		"one is still to end":          {[]apiv1.RunStatus{passed}, apiv1.BatchStatus_BATCH_STATUS_ACTIVE},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.batch(2, nil)
			w.agent("a")
			for i, status := range test.ends {
				run := fmt.Sprintf("run-%d", i+1)
				at := w.grant(run, "a", false)
				w.start(run, at)
				w.finish(run, at, status)
			}
			b, err := w.s.Batch(t.Context(), "batch")
			if err != nil {
				t.Fatal(err)
			}
			if b.GetStatus() != test.want {
				t.Errorf("got %s, want %s", b.GetStatus(), test.want)
			}
			w.replays()
		})
	}
}

func TestAFewRunsAreMadeWithTheirBatch(t *testing.T) {
	w := newWorld(t)
	w.must(&clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: bundle}}})
	create := &clusterv1.CreateBatch{Id: "few", Source: &apiv1.Source{Bundle: bundle, Priority: 3}}
	for i := range 2 {
		create.Runs = append(create.Runs, &clusterv1.NewRun{Id: fmt.Sprintf("few-%d", i+1), Spec: &apiv1.Spec{Flow: "F"}, RerunOf: "before"})
	}
	b := w.must(&clusterv1.Command{Body: &clusterv1.Command_CreateBatch{CreateBatch: create}}).GetBatch()
	if !b.GetExpanded() || b.GetRuns() != 2 || b.GetStatus() != apiv1.BatchStatus_BATCH_STATUS_ACTIVE || b.GetSource().GetBundle() != bundle {
		t.Errorf("got batch %v", b)
	}
	for i := range 2 {
		r := w.run(fmt.Sprintf("few-%d", i+1))
		if r.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED || int(r.GetNumber()) != i+1 || r.GetPriority() != 3 || r.GetRerunOf() != "before" || r.GetBatchId() != "few" {
			t.Errorf("got run %v", r)
		}
	}
	// A leader that had it in its list adds nothing to it.
	again := &clusterv1.ExpandBatch{BatchId: "few", First: 1, Done: true, Runs: []*clusterv1.NewRun{{Id: "one-more", Spec: &apiv1.Spec{}}}}
	if b := w.must(&clusterv1.Command{Body: &clusterv1.Command_ExpandBatch{ExpandBatch: again}}).GetBatch(); b.GetRuns() != 2 {
		t.Errorf("it has %d runs", b.GetRuns())
	}
	create = &clusterv1.CreateBatch{Id: "many", Source: &apiv1.Source{Bundle: bundle}}
	if b := w.must(&clusterv1.Command{Body: &clusterv1.Command_CreateBatch{CreateBatch: create}}).GetBatch(); b.GetExpanded() || b.GetRuns() != 0 {
		t.Errorf("runs that come later: got batch %v", b)
	}
}

func TestARequestIsAppliedOnce(t *testing.T) {
	w := newWorld(t)
	w.batch(0, nil)
	request := func(id, digest string) *clusterv1.Command {
		return &clusterv1.Command{RequestId: "key", RequestDigest: []byte(digest), Body: &clusterv1.Command_CreateBatch{
			CreateBatch: &clusterv1.CreateBatch{Id: id, Source: &apiv1.Source{Bundle: bundle}},
		}}
	}
	first := w.must(request("one", "d1"))
	if again := w.must(request("two", "d1")); again.GetBatch().GetId() != "one" || again.GetIndex() != first.GetIndex() {
		t.Errorf("a repeated request gave %v", again)
	}
	w.refused(w.apply(request("three", "d2")), "idempotency_conflict")
	batches, err := w.s.Batches(t.Context(), "default", Cursor{}, 10)
	if err != nil || len(batches) != 2 {
		t.Errorf("got %d batches (%v), want the one and that of the world", len(batches), err)
	}
}

func TestEntriesAreAppliedOnce(t *testing.T) {
	w := newWorld(t)
	w.batch(1, nil)
	for _, answer := range w.s.Apply(w.log) {
		if answer != nil {
			t.Errorf("an entry that was applied gave %v", answer)
		}
	}
	again := open(t, filepath.Dir(w.s.dir+"/x"))
	if got := again.Applied(); got != w.index {
		t.Errorf("reopened: got entry %d, want %d", got, w.index)
	}
}

func TestACommandOfANewerProgramStopsTheNode(t *testing.T) {
	w := newWorld(t)
	defer func() {
		if _, ok := recover().(*Broken); !ok {
			t.Error("it went on")
		}
	}()
	w.s.Apply([]Entry{{Index: 1, Command: &clusterv1.Command{Version: CommandVersion + 1}}})
}

func TestASnapshotIsTheStateAsItWas(t *testing.T) {
	w := newWorld(t)
	w.batch(3, nil)
	snap, err := w.s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	index, want, err := w.s.Chain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.cancel("run-1") // after it was taken
	var file bytes.Buffer
	if err := snap.Write(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	other := newWorld(t)
	other.batch(1, nil)
	changes, stop := other.s.Changes()
	defer stop()
	if err := other.s.Restore(bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	if got, hash, err := other.s.Chain(t.Context()); err != nil || got != index || !bytes.Equal(hash, want) || other.s.Applied() != index {
		t.Errorf("restored: got entry %d with hash %x (%v), want %d with %x", got, hash, err, index, want)
	}
	other.is("run-1", queued, "")
	if c := <-changes; !c.Lost {
		t.Errorf("followers were told %v, want that they must read anew", c)
	}
	other.index = index
	other.cancel("run-2") // it goes on
	other.is("run-2", cancelled, "enough")
}

func TestADamagedSnapshotChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.batch(3, nil)
	snap, err := w.s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	var file bytes.Buffer
	if err := snap.Write(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	flip := func(at int) []byte {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 1
		return damaged
	}
	for name, damaged := range map[string][]byte{
		"nothing": nil, "half": whole[:len(whole)/2], "without its end": whole[:len(whole)-1], "another file": []byte(strings.Repeat("x", 100)),
		"another index": flip(len(magic) + 7), "another length": flip(len(magic) + 15), "a byte of the state": flip(len(whole) / 2), "another checksum": flip(len(whole) - 1),
	} {
		t.Run(name, func(t *testing.T) {
			if err := w.s.Restore(bytes.NewReader(damaged)); err == nil {
				t.Fatal("it was taken")
			}
			w.is("run-1", queued, "")
		})
	}
	w.cancel("run-1")
	w.is("run-1", cancelled, "enough")
}

func TestAFollowerThatIsSlowIsToldSo(t *testing.T) {
	w := newWorld(t)
	changes, stop := w.s.Changes()
	w.batch(1, nil)
	for range waiting + 1 {
		w.must(&clusterv1.Command{Body: &clusterv1.Command_SetPriority{SetPriority: &clusterv1.SetPriority{}}})
	}
	for range waiting {
		if c := <-changes; c.Lost {
			t.Fatalf("told too early: %v", c)
		}
	}
	w.cancel("run-1")
	if c := <-changes; !c.Lost || !cmp.Equal(c.Runs, []string{"run-1"}) {
		t.Errorf("got %v, want run-1 and that something was lost", c)
	}
	stop()
	if _, open := <-changes; open {
		t.Error("it goes on after stop")
	}
}

func TestPagesOfRunsHoldEachOnce(t *testing.T) {
	w := newWorld(t)
	w.batch(25, func(i int, s *apiv1.Spec) { s.Tags = []string{[]string{"even", "odd"}[i%2]} })
	for name, filter := range map[string]RunFilter{
		"all":     {},
		"by tags": {Tags: func(tags []string) bool { return tags[0] == "odd" }},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]int{}
			filter.Workspace, filter.Limit = "default", 4
			for {
				runs, end, more, err := w.s.Runs(context.Background(), filter)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range runs {
					seen[r.GetId()]++
				}
				if !more {
					break
				}
				filter.Before = end
			}
			want := map[bool]int{true: 25, false: 12}[filter.Tags == nil]
			if len(seen) != want {
				t.Errorf("got %d runs, want %d", len(seen), want)
			}
			for id, n := range seen {
				if n != 1 {
					t.Errorf("%s came %d times", id, n)
				}
			}
		})
	}
}
