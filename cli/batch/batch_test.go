package batch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
)

// record is a sink that keeps what it was told.
type record struct {
	mu     sync.Mutex
	events []event.Event
	err    error
}

func (r *record) Emit(_ context.Context, e *event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, *e)
	return r.err
}

func (*record) Wants() event.Wants { return event.Wants{} }

// lines are the events in short: type, flow and status or reason.
func (r *record) lines() []string {
	var out []string
	for _, e := range r.events {
		line := string(e.Type)
		if e.Flow != "" {
			line += " " + e.Flow
		}
		if e.RunFinished != nil {
			line += " " + string(e.RunFinished.Status)
			if e.RunFinished.Reason != "" {
				line += " (" + e.RunFinished.Reason + ")"
			}
		}
		if e.BatchFinished != nil {
			line += fmt.Sprintf(" exit %d", e.BatchFinished.ExitCode)
		}
		out = append(out, line)
	}
	return out
}

// runner is a fake engine: each flow ends as the table says.
type runner struct {
	ends  map[string]event.Status
	takes time.Duration
	locks map[string][]string
	fails error // of Locks

	mu      sync.Mutex
	order   []string
	running int
	most    int
	vars    []map[string]any
}

func (r *runner) Locks(run engine.Run) ([]string, error) {
	return r.locks[run.Program.Name], r.fails
}

func (r *runner) Run(ctx context.Context, run engine.Run) engine.Outcome {
	r.mu.Lock()
	r.order = append(r.order, run.Program.Name)
	r.vars = append(r.vars, run.Variables)
	r.running++
	r.most = max(r.most, r.running)
	n := len(r.order)
	r.mu.Unlock()
	wait(ctx, r.takes)
	r.mu.Lock()
	r.running--
	r.mu.Unlock()
	status, ok := r.ends[run.Program.Name]
	if !ok {
		status = event.Passed
	}
	if ctx.Err() != nil {
		status = event.Cancelled
	}
	return engine.Outcome{Status: status, Variables: map[string]any{"n": int64(n)}}
}

func flowOf(name string, runs int, after ...string) Flow {
	f := Flow{Program: &flow.Program{Name: name, File: name + ".yaml", After: after}}
	for i := range runs {
		f.Runs = append(f.Runs, flow.RunSpec{Iteration: i + 1})
	}
	return f
}

func config(r *runner, s *record) Config {
	n := 0
	var mu sync.Mutex
	return Config{
		ID: "b", Runner: r, Sink: s, Now: time.Now, Parallel: 1,
		NewID: func() string {
			mu.Lock()
			defer mu.Unlock()
			n++
			return fmt.Sprintf("run-%d", n)
		},
	}
}

func TestTheExitCodeIsTheWorstVerdict(t *testing.T) {
	tests := map[string]struct {
		ends []event.Status
		want int
	}{
		"all passed":                  {[]event.Status{event.Passed, event.Passed}, ExitPassed},
		"one failed":                  {[]event.Status{event.Passed, event.Failed}, ExitFailed},
		"one errored":                 {[]event.Status{event.Passed, event.Errored}, ExitErrored},
		"failed outweighs errored":    {[]event.Status{event.Errored, event.Failed}, ExitFailed},
		"all skipped":                 {[]event.Status{event.Skipped, event.Skipped}, ExitNothing},
		"skipped beside passed":       {[]event.Status{event.Skipped, event.Passed}, ExitPassed},
		"no runs":                     {nil, ExitNothing},
		"cancelled is not green":      {[]event.Status{event.Cancelled, event.Passed}, ExitErrored},
		"no status at all is no pass": {[]event.Status{""}, ExitNothing},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := &runner{ends: map[string]event.Status{}}
			var flows []Flow
			for i, end := range tt.ends {
				id := fmt.Sprintf("f%d", i)
				r.ends[id] = end
				flows = append(flows, flowOf(id, 1))
			}
			got, err := Run(t.Context(), config(r, &record{}), flows)
			if err != nil {
				t.Fatal(err)
			}
			if got.ExitCode != tt.want {
				t.Errorf("got exit code %d, want %d", got.ExitCode, tt.want)
			}
		})
	}
}

func TestAfterWaitsForEveryRunAndSkipsWithTheReason(t *testing.T) {
	r, s := &runner{ends: map[string]event.Status{"seed": event.Passed, "bad": event.Failed}}, &record{}
	cfg := config(r, s)
	cfg.Parallel = 4
	flows := []Flow{flowOf("use", 1, "seed"), flowOf("lost", 1, "bad"), flowOf("alone", 1, "elsewhere"), flowOf("seed", 3), flowOf("bad", 1)}
	res, err := Run(t.Context(), cfg, flows)
	if err != nil {
		t.Fatal(err)
	}
	last := slices.Index(r.order, "use")
	if seeds := slices.Index(r.order, "seed"); last < 0 || seeds < 0 || last < seeds || slices.Contains(r.order[last:], "seed") {
		t.Errorf("use ran before seed had ended: %v", r.order)
	}
	want := event.Counts{event.Passed: 4, event.Failed: 1, event.Skipped: 2}
	if diff := cmp.Diff(want, res.Counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	all := strings.Join(s.lines(), "\n")
	for _, said := range []string{
		"run.finished lost skipped (after bad, which did not pass)",
		"run.finished alone skipped (after elsewhere, which is not in this batch)",
	} {
		if !strings.Contains(all, said) {
			t.Errorf("no event %q in\n%s", said, all)
		}
	}
}

func TestFailFastStartsNoMoreRuns(t *testing.T) {
	r, s := &runner{ends: map[string]event.Status{"b": event.Errored}}, &record{}
	cfg := config(r, s)
	cfg.FailFast = true
	res, err := Run(t.Context(), cfg, []Flow{flowOf("a", 1), flowOf("b", 1), flowOf("c", 1)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, r.order); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	if res.Counts[event.Skipped] != 1 || res.ExitCode != ExitErrored {
		t.Errorf("got %v exit %d, want one skipped and exit 3", res.Counts, res.ExitCode)
	}
}

func TestParallelIsTheMostRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runner{takes: time.Second}
		cfg := config(r, &record{})
		cfg.Parallel = 3
		start := time.Now()
		if _, err := Run(t.Context(), cfg, []Flow{flowOf("a", 9)}); err != nil {
			t.Fatal(err)
		}
		if r.most != 3 || time.Since(start) != 3*time.Second {
			t.Errorf("got %d at once in %s, want 3 in 3s", r.most, time.Since(start))
		}
	})
}

func TestDelayAndKeptVariablesMakeRowsGoOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runner{}
		cfg := config(r, &record{})
		cfg.Parallel, cfg.Delay, cfg.KeepVariables = 8, 5*time.Second, true
		start := time.Now()
		if _, err := Run(t.Context(), cfg, []Flow{flowOf("a", 3)}); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 10*time.Second {
			t.Errorf("3 rows with a delay of 5s took %s, want 10s", got)
		}
		want := []map[string]any{nil, {"n": int64(1)}, {"n": int64(2)}}
		if diff := cmp.Diff(want, r.vars); diff != "" {
			t.Errorf("variables (-want +got):\n%s", diff)
		}
	})
}

func TestASignalAndADeadlineAreSaidInTheExitCode(t *testing.T) {
	for want, cause := range map[int]error{
		ExitInterrupted: &SignalError{ExitCode: ExitInterrupted},
		ExitTerminated:  &SignalError{ExitCode: ExitTerminated},
		ExitDeadline:    ErrDeadline,
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			r := &runner{takes: 10 * time.Second}
			res, err := Run(ctx, config(r, &record{}), []Flow{flowOf("a", 1), flowOf("b", 1)})
			if err != nil {
				t.Fatal(err)
			}
			if res.ExitCode != want || res.Counts[event.Cancelled] != 2 || len(r.order) != 1 {
				t.Errorf("%v: got exit %d, %v, ran %v; want exit %d, 2 cancelled, only a started", cause, res.ExitCode, res.Counts, r.order, want)
			}
		})
	}
}

func TestWhatCannotBeRecordedIsNotGreen(t *testing.T) {
	s := &record{err: errors.New("disk full")}
	if _, err := Run(t.Context(), config(&runner{}, s), []Flow{flowOf("a", 1)}); err == nil {
		t.Error("a batch whose events are lost ended without an error")
	}
}

func TestRunsWithOneLockNeverOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runner{takes: time.Second, locks: map[string][]string{"a": {"db", "mail"}, "b": {"mail"}, "c": {"other"}}}
		cfg := config(r, &record{})
		cfg.Parallel, cfg.Locker = 8, NewLocks(t.TempDir())
		start := time.Now()
		if _, err := Run(t.Context(), cfg, []Flow{flowOf("a", 2), flowOf("b", 2), flowOf("c", 1)}); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 4*time.Second {
			t.Errorf("four runs that share a lock took %s, want 4s", got)
		}
	})
}

func TestALockNameThatCannotBePrintedIsErrored(t *testing.T) {
	s := &record{}
	res, err := Run(t.Context(), config(&runner{fails: errors.New("lock ${x}: x is missing")}, s), []Flow{flowOf("a", 1)})
	if err != nil {
		t.Fatal(err)
	}
	if res.Counts[event.Errored] != 1 || res.ExitCode != ExitErrored {
		t.Errorf("got %v exit %d, want one errored", res.Counts, res.ExitCode)
	}
}

func TestEveryRunIsReportedOnce(t *testing.T) {
	r, s := &runner{ends: map[string]event.Status{"a": event.Failed}}, &record{}
	cfg := config(r, s)
	cfg.FailFast = true
	if _, err := Run(t.Context(), cfg, []Flow{flowOf("a", 1), flowOf("b", 2, "a")}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"batch.started",
		"run.started b", "run.finished b skipped (after a, which did not pass)",
		"run.started b", "run.finished b skipped (after a, which did not pass)",
		"batch.finished exit 1",
	}
	if diff := cmp.Diff(want, s.lines()); diff != "" {
		t.Errorf("events without those of the engine (-want +got):\n%s", diff)
	}
}

func TestLockFilesHoldAcrossLockers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "locks")
	first, second := NewLocks(dir), NewLocks(dir)
	release, err := first.Acquire(t.Context(), []string{"db", "db", "mail"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockPoll)
	defer cancel()
	if _, err := second.Acquire(ctx, []string{"mail"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("another process took a held lock: %v", err)
	}
	release()
	again, err := second.Acquire(t.Context(), []string{"mail", "db"})
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestALockFolderThatCannotBeMadeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewLocks(filepath.Join(file, "locks")).Acquire(t.Context(), []string{"db"}); err == nil {
		t.Error("locks without a folder were granted")
	}
}
