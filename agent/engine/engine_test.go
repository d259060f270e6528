package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.uber.org/goleak"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// flowOf makes a project of one flow with these steps.
func flowOf(t *testing.T, text string) *project {
	t.Helper()
	return newProject(t, []txtar.File{{Name: "flow.yaml", Data: []byte("flow:\n  name: Test\n" + text)}})
}

// runOnce runs the flow under an id of its own and checks the invariants.
func (p *project) runOnce(ctx context.Context, t *testing.T, id string) (Outcome, []*event.Event) {
	t.Helper()
	out := p.engine(t).Run(ctx, Run{Program: p.programs[0], RunID: id})
	events := p.sink.of(id)
	for _, broken := range invariants(events) {
		t.Error(broken)
	}
	return out, events
}

func finished(t *testing.T, events []*event.Event, id string) *event.StepFinished {
	t.Helper()
	for _, e := range events {
		if e.Type == event.TypeStepFinished && e.Step.ID == id {
			return e.StepFinished
		}
	}
	t.Fatalf("step %s did not finish", id)
	return nil
}

func TestNewNeedsAStepperAndASink(t *testing.T) {
	for claim, c := range map[string]Config{
		"no stepper": {Sink: &recorder{}},
		"no sink":    {Stepper: newSystem()},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), claim) {
			t.Errorf("%s: got %v", claim, err)
		}
	}
}

func TestPluginPanicIsThePluginsFault(t *testing.T) {
	p := flowOf(t, "  steps: [{id: a, action: sys.call, config: {panic: true}}]\n  teardown: [{id: z, action: sys.call}]\n")
	out, events := p.runOnce(t.Context(), t, "r")
	if out.Status != event.Errored {
		t.Errorf("status is %s", out.Status)
	}
	err := finished(t, events, "a").Error
	if err.Code != "E-PLUGIN" || err.Blame != "plugin" || !strings.Contains(err.Message, "the wheels came off") || len(err.Details) == 0 {
		t.Errorf("got %+v", err)
	}
	if got := finished(t, events, "z").Status; got != event.Passed {
		t.Errorf("teardown is %s", got)
	}
}

// brokenProber panics, as our own code might.
type brokenProber struct{}

func (brokenProber) Probe(context.Context, string) error { panic("nil map") }

func TestBugOfOursEndsTheRunErroredWithTeardownTried(t *testing.T) {
	p := flowOf(t, "  steps:\n    - {id: a, action: wait_for, config: {url: \"tcp://x:1\"}}\n    - {id: b, action: sys.call}\n  teardown: [{id: z, action: sys.call}]\n")
	e := p.engine(t)
	e.cfg.Prober = brokenProber{}
	out := e.Run(t.Context(), Run{Program: p.programs[0], RunID: "r"})
	events := p.sink.of("r")
	for _, broken := range invariants(events) {
		t.Error(broken)
	}
	if out.Status != event.Errored || out.Reason != "internal error" || out.Error == nil || out.Error.Code != "E-INTERNAL" {
		t.Errorf("got %s, %s, %+v", out.Status, out.Reason, out.Error)
	}
	if err := finished(t, events, "a").Error; err.Blame != "testmesh" || !strings.Contains(err.Message, "nil map") {
		t.Errorf("got %+v", err)
	}
	if got := finished(t, events, "b").Status; got != event.Skipped {
		t.Errorf("b is %s", got)
	}
	if got := finished(t, events, "z").Status; got != event.Passed {
		t.Errorf("teardown is %s", got)
	}
}

func TestWhatCannotBeRecordedDidNotHappen(t *testing.T) {
	const text = "  steps: [{id: a, action: sys.call}, {id: b, action: sys.call}, {id: c, action: sys.call}]\n  teardown: [{id: z, action: sys.call}]\n"
	for failAt := 1; failAt <= 10; failAt++ {
		t.Run(fmt.Sprintf("event %d", failAt), func(t *testing.T) {
			p := flowOf(t, text)
			p.sink.failAt = failAt
			out := p.engine(t).Run(t.Context(), Run{Program: p.programs[0], RunID: "r"})
			if out.Status != event.Errored || !strings.Contains(out.Reason, "could not be recorded") {
				t.Errorf("got %s, %q", out.Status, out.Reason)
			}
			if out.Error == nil || !strings.Contains(out.Error.Message, "the disk is full") {
				t.Errorf("got %+v", out.Error)
			}
			if n := len(p.sink.of("r")); n != failAt-1 {
				t.Errorf("%d events after the first that could not be recorded", n-failAt+1)
			}
			if calls, ok := map[int]int{1: 0, 2: 2, 3: 2}[failAt]; ok && len(p.system.seen) != calls { // a and teardown
				t.Errorf("%d calls, want %d: the run went on", len(p.system.seen), calls)
			}
			if failAt > 2 {
				last := p.system.seen[len(p.system.seen)-1]
				if last.StepID != "z" {
					t.Errorf("teardown was not tried, the last call is %s", last.StepID)
				}
			}
		})
	}
}

// panickySink panics.
type panickySink struct{ recorder }

func (*panickySink) Emit(context.Context, *event.Event) error { panic("sink") }

func TestSinkThatPanicsEndsTheRunErrored(t *testing.T) {
	p := flowOf(t, "  steps: [{id: a, action: sys.call}]\n")
	e := p.engine(t)
	e.cfg.Sink = &panickySink{}
	if out := e.Run(t.Context(), Run{Program: p.programs[0], RunID: "r"}); out.Status != event.Errored {
		t.Errorf("got %s", out.Status)
	}
}

func TestRequestHoldsAllThatAPluginMayAsk(t *testing.T) {
	p := flowOf(t, "  steps: [{id: a, action: sys_call, config: {body: {n: 12345678901234567890.5, b: 1.50}, headers: {x: \"${1 + 1}\"}}}]\n")
	_, _ = p.runOnce(t.Context(), t, "r")
	got := p.system.seen[0]
	if string(got.Config) != `{"body":{"b":1.5,"n":12345678901234567890.5},"headers":{"x":2}}` {
		t.Errorf("config is %s", got.Config)
	}
	if !strings.HasPrefix(got.TraceParent, "00-") || len(got.TraceParent) != 55 {
		t.Errorf("traceparent is %q", got.TraceParent)
	}
	want := &plugin.Request{Action: "sys.call", RunID: "r", Attempt: 1, StepID: "a", Try: 1, Root: "/project", Dir: ".", WantExchange: true, Effect: "once"}
	if got.Mask == nil || got.Mask("open") != "open" {
		t.Error("the plugin's host cannot mask its last words")
	}
	got.Config, got.TraceParent, got.Mask = nil, "", nil
	if got.Dir == "" {
		got.Dir = "."
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"r"}, p.system.ended); diff != "" {
		t.Errorf("ended runs (-want +got):\n%s", diff)
	}
}

func TestThousandRunsSideBySide(t *testing.T) {
	const n = 1000
	p := flowOf(t, `  env: {ID: "${random_string(12)}"}
  steps:
    - {id: a, action: sys.call, config: {body: {id: "${ID}", run: "${run.id}"}}, assert: [body.id == ID, body.run == RUN_ID]}
    - id: each
      action: for_each
      config: {items: "[1, 2]", parallel: 2, steps: [{id: b, action: sys.call, config: {body: {id: "${a.body.id}"}}, assert: [body.id == a.body.id]}]}
`)
	e := p.engine(t)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if out := e.Run(t.Context(), Run{Program: p.programs[0], RunID: fmt.Sprint("r", i), Seed: int64(i)}); out.Status != event.Passed {
				t.Errorf("run %d: %s %s", i, out.Status, out.Reason)
			}
		})
	}
	all.Wait()
	if got := len(p.system.ended); got != n {
		t.Errorf("%d runs ended", got)
	}
	byRun := map[string][]*event.Event{}
	for _, e := range p.sink.events {
		byRun[e.RunID] = append(byRun[e.RunID], e)
	}
	for id, events := range byRun {
		for _, broken := range invariants(events) {
			t.Errorf("%s: %s", id, broken)
		}
	}
}

func TestSameSeedGivesTheSameEvents(t *testing.T) {
	const text = `  env: {USER: "${FAKER.person.email}"}
  steps:
    - {id: a, action: set, config: {user: "${USER}", id: "${UUID}", n: "${RANDOM_INT}"}}
    - id: each
      action: for_each
      config: {items: "[1, 2, 3]", steps: [{id: b, action: set, config: {x: "${random_string(10)}"}}]}
`
	show := func(seed int64, iteration int) string {
		var shown string
		synctest.Test(t, func(t *testing.T) {
			p := flowOf(t, text)
			p.engine(t).Run(t.Context(), Run{Program: p.programs[0], RunID: "r", Seed: seed, Iteration: iteration})
			shown = string(lines(p.sink.of("r")[1:]))
		})
		return shown
	}
	if diff := cmp.Diff(show(1, 1), show(1, 1)); diff != "" {
		t.Errorf("two runs of one seed differ:\n%s", diff)
	}
	if show(1, 1) == show(2, 1) {
		t.Error("two seeds give the same events")
	}
	if show(1, 1) == show(1, 2) {
		t.Error("two iterations of one seed give the same events")
	}
}

func TestOnceBatchIsSharedByTheRunsOfABatch(t *testing.T) {
	files := []txtar.File{
		{Name: "login.yaml", Data: []byte("flow:\n  name: Login\n  steps: [{id: post, action: sys.call, config: {key: login, delay: 1s, body: {token: t1}}}]\n  output: {token: \"${post.body.token}\"}\n")},
		{Name: "flow.yaml", Data: []byte("flow:\n  name: Caller\n  steps:\n    - {id: login, action: run_flow, config: {flow: login.yaml, once: batch}}\n    - {id: use, action: assert, assert: ['login.token == \"t1\"']}\n")},
	}
	synctest.Test(t, func(t *testing.T) {
		p := newProject(t, files)
		e, batch := p.engine(t), NewBatch()
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				id := fmt.Sprint("r", i)
				if out := e.Run(t.Context(), Run{Program: p.programs[0], RunID: id, Batch: batch}); out.Status != event.Passed {
					t.Errorf("%s: %s %s", id, out.Status, out.Reason)
				}
			})
		}
		all.Wait()
		if n := len(p.system.seen); n != 1 {
			t.Errorf("the flow ran %d times", n)
		}
	})
}

func TestOnceThatWasCancelledIsRunAgainByTheNext(t *testing.T) {
	b := NewBatch()
	ctx := t.Context()
	first, _, err := b.do(ctx, "k", func() called { return called{status: event.Cancelled} })
	if err != nil || first.status != event.Cancelled {
		t.Fatalf("got %+v, %v", first, err)
	}
	ran := 0
	for range 2 {
		got, _, err := b.do(ctx, "k", func() called { ran++; return called{status: event.Failed} })
		if err != nil || got.status != event.Failed {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if ran != 1 {
		t.Errorf("ran %d times: a failure stands, a cancellation does not", ran)
	}
}

func TestOnceDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBatch()
		release := make(chan struct{})
		go func() {
			_, _, _ = b.do(t.Context(), "k", func() called { <-release; return called{status: event.Passed} })
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := b.do(ctx, "k", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(release)
	})
}

func TestOnePanicInOnceDoesNotBlockTheOthers(t *testing.T) {
	b := NewBatch()
	func() {
		defer func() { _ = recover() }()
		_, _, _ = b.do(t.Context(), "k", func() called { panic("bug") })
	}()
	if got, _, err := b.do(t.Context(), "k", func() called { return called{status: event.Passed} }); err != nil || got.status != event.Passed {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWorkersAreUsedAgain(t *testing.T) {
	p := flowOf(t, "  steps: [{id: a, action: sys.call}, {id: b, action: sys.call}, {id: c, action: sys.call}]\n")
	e := p.engine(t)
	release := e.Hold()
	for range 2 {
		e.Run(t.Context(), Run{Program: p.programs[0], RunID: "r"})
		if n := len(e.workers.idle); n != 1 {
			t.Errorf("%d workers for steps in a row", n)
		}
	}
	release()
	release()
	if n := len(e.workers.idle); n != 0 || e.workers.holds != 0 {
		t.Errorf("%d workers and %d holds after the last release", n, e.workers.holds)
	}
	e.Run(t.Context(), Run{Program: p.programs[0], RunID: "r"})
	if n := len(e.workers.idle); n != 0 {
		t.Errorf("%d workers outlive a run that nobody holds them for", n)
	}
}

func TestLateReportsOfAPluginAreDropped(t *testing.T) {
	p := flowOf(t, "  steps: [{id: a, action: sys.call}]\n")
	_, _ = p.runOnce(t.Context(), t, "r")
	x := p.engine(t).newRun(t.Context(), Run{Program: p.programs[0], RunID: "late"})
	r := &stepRun{p: x.topPlace(x.newFrame(p.programs[0], nil, nil)), s: p.programs[0].Steps[0]}
	s := &stream{r: r}
	s.close()
	s.Log("info", "late")
	s.Exchange(plugin.Exchange{Summary: "late"})
	s.Artifact("late", "text/plain", []byte("late"))
	s.release()
	if got := p.sink.of("late"); len(got) != 0 {
		t.Errorf("%d events of a try that has ended", len(got))
	}
}

func TestWhatATryReportsIsBounded(t *testing.T) {
	p := flowOf(t, "  steps: [{id: a, action: sys.call}]\n")
	x := p.engine(t).newRun(t.Context(), Run{Program: p.programs[0], RunID: "r"})
	f := x.newFrame(p.programs[0], nil, nil)
	r := &stepRun{p: x.topPlace(f), s: p.programs[0].Steps[0]}
	r.ev = r.p.eventStep(r.s, 1)
	s := &stream{r: r}
	for range maxTryLogs + 100 {
		s.Log("info", "line")
	}
	for range maxTryExchanges + 7 {
		s.Exchange(plugin.Exchange{Summary: "x"})
	}
	s.Log("info", strings.Repeat("x", 2*maxLogBytes))
	s.close()
	s.release()
	var logs, exchanges int
	var last string
	for _, e := range p.sink.of("r") {
		switch e.Type {
		case event.TypeStepLog:
			logs++
			last = e.Log.Message
		case event.TypeStepExchange:
			exchanges++
		}
	}
	if logs != maxTryLogs+2 || exchanges != maxTryExchanges {
		t.Errorf("%d log lines, %d exchanges", logs, exchanges)
	}
	if !strings.HasPrefix(last, "7 exchanges or artifacts are left out") {
		t.Errorf("last line is %q", last)
	}
}

// unread is a recorder of events that nobody wants more of than there must be.
type unread struct{ *recorder }

func (unread) Wants() event.Wants { return event.Wants{} }

func TestWhatNobodyReadsIsNotInTheEvents(t *testing.T) {
	p := flowOf(t, `  config: {fail_fast: false}
  steps:
    - {id: passed, action: sys.call, config: {body: {id: 7}, exchange: "GET /"}, output: {id: body.id}}
    - {id: failed, action: sys.call, needs: [], config: {status: 500, exchange: "GET /"}}
    - {id: large, action: sys.call, needs: [], config: {size: 100000}}
`)
	e, err := New(Config{Stepper: p.system, Sink: unread{p.sink}})
	if err != nil {
		t.Fatal(err)
	}
	e.Run(t.Context(), Run{Program: p.programs[0], RunID: "r"})
	events := p.sink.of("r")
	passed, failed, large := finished(t, events, "passed"), finished(t, events, "failed"), finished(t, events, "large")
	if passed.HasResult || passed.Result != nil || passed.Outputs["id"] != int64(7) {
		t.Errorf("got the result %v and outputs %v of a step that passed, want outputs alone", passed.Result, passed.Outputs)
	}
	if m, _ := failed.Result.(map[string]any); m["status"] != int64(500) || !failed.HasResult {
		t.Errorf("got the result %v of a step that failed, want all of it", failed.Result)
	}
	artifacts := 0
	for _, got := range events {
		if got.Type == event.TypeStepExchange {
			t.Errorf("an exchange that nobody wants: %s", got.Exchange.Summary)
		}
		if got.Type == event.TypeStepArtifact {
			artifacts++
		}
	}
	if artifacts != 1 || large.ResultPreview == "" {
		t.Errorf("got %d artifacts and the preview %.20q of a large result, want both", artifacts, large.ResultPreview)
	}
}
