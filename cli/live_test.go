package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/text"
)

func batchStarted(runs int) *event.Event {
	return &event.Event{Type: event.TypeBatchStarted, Time: time.Now(), BatchStarted: &event.BatchStarted{Runs: runs}}
}

func batchFinished(code int) *event.Event {
	return &event.Event{Type: event.TypeBatchFinished, Time: time.Now(), BatchFinished: &event.BatchFinished{ExitCode: code}}
}

func runStarted(flow string) *event.Event {
	return &event.Event{Type: event.TypeRunStarted, RunID: flow, Flow: flow, RunStarted: &event.RunStarted{}}
}

func runFinished(flow string, status event.Status) *event.Event {
	return &event.Event{Type: event.TypeRunFinished, RunID: flow, Flow: flow, RunFinished: &event.RunFinished{
		Status: status, DurationMS: 1200, Steps: event.Counts{event.Passed: 1},
	}}
}

func stepStarted(flow, id, action string) *event.Event {
	return &event.Event{Type: event.TypeStepStarted, RunID: flow, Step: &event.Step{ID: id, Action: action, Path: []string{id}}}
}

func stepFinished(flow, id string, status event.Status, tries int) *event.Event {
	return &event.Event{
		Type: event.TypeStepFinished, RunID: flow, Step: &event.Step{ID: id, Path: []string{id}},
		StepFinished: &event.StepFinished{Status: status, Tries: tries},
	}
}

// onScreen is a live report over a screen of so many columns.
func onScreen(columns int, style text.Style) (*screen, *live, eventWriter) {
	s := &screen{columns: 2 * columns} // a report's own lines may wrap
	l := newLive(s, columns, style)
	return s, l, l.over(text.New(l, text.Options{Width: columns, Style: style}))
}

func send(t *testing.T, w eventWriter, events ...*event.Event) {
	t.Helper()
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLiveShowsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, w := onScreen(80, text.Style{Color: true})
		send(t, w, batchStarted(4), runStarted("auth/login"), stepStarted("auth/login", "login", "http.request"))
		pass(1500 * time.Millisecond)
		send(t, w,
			stepFinished("auth/login", "login", event.Passed, 1), runFinished("auth/login", event.Passed),
			runStarted("billing/refund"), stepStarted("billing/refund", "wait", "http.request"),
			runStarted("search"), stepStarted("search", "go", "http.request"), stepFinished("search", "go", event.Passed, 2), runFinished("search", event.Passed),
			runStarted("orders/cancel"), stepStarted("orders/cancel", "all", "parallel"), stepStarted("orders/cancel", "one", "kafka.expect"),
		)
		pass(11 * time.Second)
		synctest.Wait()
		want := ` ✓ auth/login                1 step       1.20s
 ↻ search                    1 step       1.20s  go passed on try 2
──────────────────────────────────────────────────────────────────────────────
 ⠋ billing/refund           0 done  wait  http.request            11.0s  SLOW > 10s
 ⠋ orders/cancel            0 done  one  kafka.expect             11.0s  SLOW > 10s
 2/4 done · 1 flaky · 0:12 · ^C stop
`
		if diff := cmp.Diff(squeeze(want), squeeze(spinless(s.shown()))); diff != "" {
			t.Errorf("screen (-want +got):\n%s", diff)
		}
		send(t, w, stepFinished("orders/cancel", "one", event.Failed, 1), stepFinished("orders/cancel", "all", event.Failed, 1),
			runFinished("orders/cancel", event.Failed), runFinished("billing/refund", event.Cancelled), batchFinished(1))
		l.close()
		l.close()
		got := s.shown()
		if strings.Contains(got, "───") || strings.Contains(got, "^C stop") || !strings.Contains(got, "FAIL  1 failed") {
			t.Errorf("what is left:\n%s", got)
		}
		if s.fault != "" {
			t.Error(s.fault)
		}
	})
}

// spinless puts the first frame in place of every other.
func spinless(s string) string {
	for _, frame := range []string{"⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"} {
		s = strings.ReplaceAll(s, " "+frame+" ", " ⠋ ")
	}
	return s
}

// squeeze makes any number of blanks one: the tests of width look at the rest.
func squeeze(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

func TestLiveNeverWraps(t *testing.T) {
	for _, columns := range []int{21, 30, 40, 57, 80, 200} {
		for _, ascii := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := &screen{columns: columns}
				l := newLive(s, columns, text.Style{Color: true, ASCII: ascii})
				w := l.over(nobody{})
				send(t, w, batchStarted(30))
				for i := range 12 {
					flow := fmt.Sprintf("深い紅茶 %d %s", i, strings.Repeat("name", 20))
					send(t, w, runStarted(flow), stepStarted(flow, strings.Repeat("step", 20), strings.Repeat("action", 10)))
				}
				pass(12 * time.Second)
				synctest.Wait()
				if n := strings.Count(s.shown(), "\n"); n != maxShown+3 {
					t.Errorf("%d columns: the footer has %d lines:\n%s", columns, n, s.shown())
				}
				l.close()
				if s.fault != "" || strings.TrimSpace(s.shown()) != "" {
					t.Errorf("%d columns: %s, left: %q", columns, s.fault, s.shown())
				}
			})
		}
	}
}

// nobody is a report that prints nothing.
type nobody struct{}

func (nobody) Write(*event.Event) error { return nil }
func (nobody) Wants() event.Wants       { return event.Wants{Exchanges: true} }

func TestLiveDrawsTenTimesASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{columns: 80}
		l := newLive(s, 80, text.Style{})
		defer l.close()
		w := l.over(nobody{})
		send(t, w, batchStarted(1), runStarted("a"))
		before := s.count()
		for range 1000 {
			send(t, w, stepStarted("a", "s", "log"), stepFinished("a", "s", event.Passed, 1))
			pass(10 * time.Millisecond)
		}
		if n := s.count() - before; n > 101 || n < 90 {
			t.Errorf("%d redraws in 10 s", n)
		}
		if !w.Wants().Exchanges {
			t.Error("what the report wants is lost")
		}
	})
}

func TestLiveKeepsUnfinishedLinesAndOtherStreamsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{columns: 80}
		l := newLive(s, 80, text.Style{})
		w := l.over(nobody{})
		send(t, w, batchStarted(1), runStarted("a"))
		pass(time.Second)
		fmt.Fprint(l, "half of ")
		pass(time.Second)
		fmt.Fprint(l, "a line\n")
		fmt.Fprintln(l.beside(s), "\nstopping")
		pass(time.Second)
		synctest.Wait()
		if got := s.shown(); !strings.HasPrefix(got, "half of a line\n\nstopping\n───") {
			t.Errorf("screen:\n%s", got)
		}
		l.close()
		fmt.Fprintln(l.beside(s), "later")
		if got := s.shown(); got != "half of a line\n\nstopping\nlater\n" || s.fault != "" {
			t.Errorf("at the end %q, %s", got, s.fault)
		}
	})
}

func TestLiveStopsWhereTheTerminalIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{columns: 80}
		l := newLive(s, 80, text.Style{})
		w := l.over(nobody{})
		send(t, w, batchStarted(1), runStarted("a"))
		pass(time.Second)
		gone := errors.New("gone")
		s.mu.Lock()
		s.fails = gone
		s.mu.Unlock()
		if _, err := l.Write([]byte("x\n")); !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
		before := s.count()
		pass(time.Second)
		if n := s.count(); n != before {
			t.Errorf("%d draws after the error", n-before)
		}
		l.close()
	})
}

func TestLiveThatNeverStartedCloses(t *testing.T) {
	var out bytes.Buffer
	l := newLive(&out, 80, text.Style{})
	l.close()
	if out.Len() > 0 {
		t.Errorf("it printed %q", out.String())
	}
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		h := newHeartbeat(&out, text.Style{})
		w := h.over(text.New(h, text.Options{Width: 80}))
		send(t, w, batchStarted(9), runStarted("checkout"))
		pass(11 * time.Second)
		send(t, w, runStarted("login"), runFinished("login", event.Passed))
		pass(29900 * time.Millisecond)
		if got := out.String(); strings.Contains(got, "running") {
			t.Errorf("too early: %q", got)
		}
		pass(200 * time.Millisecond)
		for i := range 6 {
			send(t, w, runStarted(fmt.Sprintf("more\x1b[2J %d", i)))
		}
		pass(30 * time.Second)
		fmt.Fprint(h, "..")
		pass(31 * time.Second)
		send(t, w, runFinished("checkout", event.Passed))
		h.close()
		h.close()
		pass(time.Minute)
		want := ` ✓ login                     1 step       1.20s
… 1 running: checkout (41s)
… 7 running: checkout (71s), more\x1b[2J 0 (30s), more\x1b[2J 1 (30s), more\x1b[2J 2 (30s), more\x1b[2J 3 (30s) and 2 more
..
… 7 running: checkout (101s), more\x1b[2J 0 (60s), more\x1b[2J 1 (60s), more\x1b[2J 2 (60s), more\x1b[2J 3 (60s) and 2 more
 ✓ checkout                  1 step       1.20s
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestHeartbeatIsSilentWhereNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		h := newHeartbeat(&out, text.Style{ASCII: true})
		send(t, h.over(nobody{}), batchStarted(1), runStarted("a"), runFinished("a", event.Passed))
		pass(time.Minute)
		h.close()
		if out.String() != "" {
			t.Errorf("it printed %q", out.String())
		}
	})
}

func TestRunningSteps(t *testing.T) {
	var r running
	now := time.Now()
	for _, e := range []*event.Event{
		batchStarted(1), runStarted("a"), stepStarted("a", "x", "log"), stepStarted("a", "y", "log"),
		stepFinished("a", "x", event.Passed, 1), stepFinished("a", "z", event.Skipped, 0), stepFinished("b", "x", event.Passed, 1),
	} {
		r.see(e, now)
	}
	f := r.find("a")
	if f == nil || f.steps != 1 || len(f.open) != 1 || f.open[0].step.ID != "y" {
		t.Errorf("got %+v", f)
	}
	for range 2 * maxOpenSteps {
		r.see(stepStarted("a", "n", "log"), now)
	}
	if len(f.open) != maxOpenSteps {
		t.Errorf("%d open steps are kept", len(f.open))
	}
	r.see(runFinished("a", event.Errored), now)
	r.see(runFinished("unknown", event.Passed), now)
	if r.done != 2 || len(r.runs) != 0 || r.counts[event.Errored] != 1 {
		t.Errorf("got %+v", r)
	}
}

func TestClock(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0:00", 9900 * time.Millisecond: "0:09", time.Minute: "1:00", 3723 * time.Second: "1:02:03"} {
		if got := clock(d); got != want {
			t.Errorf("clock(%s) = %q, want %q", d, got, want)
		}
	}
}

// pass lets the bubble's time go by.
func pass(d time.Duration) { <-time.After(d) }
