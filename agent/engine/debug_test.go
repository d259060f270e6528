package engine

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
)

// byScript is a debugger whose answers are functions; nil ones proceed.
type byScript struct {
	before, after func(s *Stop) Decision

	mu    sync.Mutex
	asked []string
}

func (d *byScript) Before(_ context.Context, s *Stop) Decision { return d.ask("before", s, d.before) }

func (d *byScript) After(_ context.Context, s *Stop) Decision { return d.ask("after", s, d.after) }

func (d *byScript) ask(when string, s *Stop, answer func(*Stop) Decision) Decision {
	line := when + " " + strings.Join(s.At().Path, "/")
	if f := s.Finished(); f != nil {
		line += " " + string(f.Status)
	}
	d.mu.Lock()
	d.asked = append(d.asked, line)
	d.mu.Unlock()
	if answer == nil {
		return Proceed
	}
	return answer(s)
}

// debugged runs the flow's steps under a debugger and checks the invariants.
func debugged(t *testing.T, text string, d Debugger) (Outcome, []*event.Event) {
	t.Helper()
	p := flowOf(t, text)
	out := p.engine(t).Run(t.Context(), Run{Program: p.programs[0], RunID: "r", Debugger: d})
	events := p.sink.of("r")
	for _, broken := range invariants(events) {
		t.Error(broken)
	}
	return out, events
}

// on answers at one step, once.
func on(id string, answer func(s *Stop) Decision) func(*Stop) Decision {
	done := false
	return func(s *Stop) Decision {
		if s.Step().ID != id || done {
			return Proceed
		}
		done = true
		return answer(s)
	}
}

func set(t *testing.T, s *Stop, name, text string) Change {
	t.Helper()
	c, err := s.Set(name, text)
	if err != nil {
		t.Errorf("set %s: %v", name, err)
	}
	return c
}

func TestDebuggerIsAskedAboutEachStepThatIsExecuted(t *testing.T) {
	d := &byScript{}
	out, _ := debugged(t, `  setup: [{id: before, action: sys.call}]
  steps:
    - {id: each, action: for_each, config: {items: [1, 2], steps: [{id: in, action: sys.call}]}}
    - {id: never, when: "false", action: sys.call}
    - {id: off, disabled: true, action: sys.call}
    - {id: bad, action: sys.call, assert: ["status == 404"], error_steps: [{id: handler, action: sys.call}]}
    - {id: blocked, action: sys.call}
  teardown: [{id: down, action: sys.call}]
`, d)
	if out.Status != event.Failed || out.Reason != "" {
		t.Errorf("got %s, %q", out.Status, out.Reason)
	}
	want := []string{
		"before before", "after before passed",
		"before each", "before each[0]/in", "after each[0]/in passed", "before each[1]/in", "after each[1]/in passed", "after each passed",
		"before never", "before bad", "after bad failed", "before bad/handler", "after bad/handler passed",
		"before down", "after down passed",
	}
	if diff := cmp.Diff(want, d.asked); diff != "" {
		t.Error(diff)
	}
}

func TestStepSkippedByHandIsSkippedAndTheRunSaysSo(t *testing.T) {
	out, events := debugged(t, "  steps: [{id: a, action: sys.call}, {id: b, action: sys.call}]\n",
		&byScript{before: on("a", func(*Stop) Decision { return Skip })})
	if out.Status != event.Passed || out.Reason != "in the debugger: skipped a" {
		t.Errorf("got %s, %q", out.Status, out.Reason)
	}
	if a := finished(t, events, "a"); a.Status != event.Skipped || a.Reason != "skipped in the debugger" {
		t.Errorf("a is %s: %q", a.Status, a.Reason)
	}
	if b := finished(t, events, "b"); b.Status != event.Passed {
		t.Errorf("b is %s", b.Status)
	}
	if last := events[len(events)-1].RunFinished; last.Reason != out.Reason {
		t.Errorf("the last event says %q", last.Reason)
	}
}

func TestRetriedStepCountsAsItsLastTry(t *testing.T) {
	d := &byScript{after: on("a", func(*Stop) Decision { return Retry })}
	out, events := debugged(t, "  steps:\n    - {id: a, action: sys.call, config: {script: [{status: 500}, {status: 201}]}, assert: [\"status == 201\"]}\n", d)
	a := finished(t, events, "a")
	if out.Status != event.Passed || a.Status != event.Passed || a.Tries != 2 {
		t.Errorf("run %s, a %s after %d tries", out.Status, a.Status, a.Tries)
	}
	if out.Reason != "in the debugger: retried a" || out.Steps[event.Passed] != 1 || out.Steps[event.Failed] != 0 {
		t.Errorf("got %q, %v", out.Reason, out.Steps)
	}
	var said []string
	for _, e := range events {
		if e.Type == event.TypeStepRetrying || e.Type == event.TypeStepLog {
			said = append(said, string(e.Type))
		}
	}
	if want := []string{"step.log", "step.retrying"}; !slices.Equal(said, want) {
		t.Errorf("events %q, want %q", said, want)
	}
}

func TestRetriedContainerCountsItsStepsOnce(t *testing.T) {
	out, _ := debugged(t, "  steps:\n    - {id: each, action: for_each, config: {items: [1, 2], steps: [{id: in, action: sys.call}]}}\n",
		&byScript{after: on("each", func(*Stop) Decision { return Retry })})
	if out.Status != event.Passed || out.Steps[event.Passed] != 3 {
		t.Errorf("got %s, %v", out.Status, out.Steps)
	}
}

func TestWhenThatCannotBeDecidedIsDecidedAgain(t *testing.T) {
	out, events := debugged(t, "  env: {limit: many}\n  steps: [{id: a, when: \"limit > 3\", action: sys.call}]\n",
		&byScript{after: on("a", func(s *Stop) Decision {
			set(t, s, "limit", "4")
			return Retry
		})})
	if out.Status != event.Passed || finished(t, events, "a").Status != event.Passed {
		t.Errorf("got %s: %s", out.Status, out.Reason)
	}
	if out.Reason != "in the debugger: set limit, retried a" {
		t.Errorf("the run says %q", out.Reason)
	}
}

func TestClocksStandStillWhileTheDebuggerIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(s *Stop) Decision {
			if s.Step().ID != "side" {
				<-time.After(time.Hour)
			}
			return Proceed
		}
		out, events := debugged(t, `  config: {timeout: 10s}
  steps:
    - id: box
      action: parallel
      timeout: 8s
      config:
        branches:
          - steps: [{id: side, action: sys.call, config: {delay: 3s}, timeout: 4s}]
          - steps: [{id: asked, action: sys.call, config: {delay: 2s}, timeout: 3s}]
    - {id: until, action: sys.call, config: {script: [{status: 500}, {status: 200}]}, eventually: {within: 3s, every: 1s}, assert: ["status == 200"]}
  teardown: [{id: down, action: sys.call, config: {delay: 1s}}]
`, &byScript{before: wait, after: wait})
		if out.Status != event.Passed {
			t.Fatalf("got %s: %s %+v", out.Status, out.Reason, out.Error)
		}
		if out.Duration > 10*time.Second {
			t.Errorf("the run took %s of its own time", out.Duration)
		}
		if ms := finished(t, events, "box").DurationMS; ms > 8000 {
			t.Errorf("the box took %v ms of its own time", ms)
		}
	})
}

func TestLimitsStillEndWhatTakesTooLongUnderADebugger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for claim, text := range map[string]string{
			"timeout":     "  steps: [{id: a, action: sys.call, config: {delay: 5s}, timeout: 2s}]\n",
			"run_timeout": "  config: {timeout: 2s}\n  steps: [{id: a, action: sys.call, config: {delay: 5s}}]\n",
		} {
			out, events := debugged(t, text, &byScript{before: func(*Stop) Decision { <-time.After(time.Minute); return Proceed }})
			if a := finished(t, events, "a"); out.Status != event.Errored || a.Reason != claim {
				t.Errorf("%s: run %s, a %s: %q", claim, out.Status, a.Status, a.Reason)
			}
		}
	})
}

func TestRunStoppedWhileItStandsStillTearsDown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := flowOf(t, "  steps: [{id: a, action: sys.call}, {id: b, action: sys.call}]\n  teardown: [{id: down, action: sys.call}]\n")
	d := &byScript{before: on("b", func(*Stop) Decision { cancel(); return Proceed })}
	out := p.engine(t).Run(ctx, Run{Program: p.programs[0], RunID: "r", Debugger: d})
	events := p.sink.of("r")
	for _, broken := range invariants(events) {
		t.Error(broken)
	}
	if out.Status != event.Cancelled || finished(t, events, "b").Status != event.Skipped || finished(t, events, "down").Status != event.Passed {
		t.Errorf("got %s, b %s, down %s", out.Status, finished(t, events, "b").Status, finished(t, events, "down").Status)
	}
}
