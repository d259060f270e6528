package github

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
)

// command is a line as the runner reads it.
type command struct {
	kind       string
	properties map[string]string
	message    string
}

var form = regexp.MustCompile(`^::(error|notice) ([a-z]+=[^:,\r\n]*(?:,[a-z]+=[^:,\r\n]*)*)::([^\r\n]*)$`)

// commands reads every line, and refuses one that is no command.
func commands(t *testing.T, text string) []command {
	t.Helper()
	var out []command
	for line := range strings.Lines(text) {
		m := form.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil || !strings.HasSuffix(line, "\n") {
			t.Errorf("not a command: %q", line)
			continue
		}
		c := command{m[1], map[string]string{}, unescape(t, m[3])}
		for _, pair := range strings.Split(m[2], ",") {
			key, value, _ := strings.Cut(pair, "=")
			c.properties[key] = unescape(t, value)
		}
		out = append(out, c)
	}
	return out
}

func unescape(t *testing.T, s string) string {
	t.Helper()
	for rest := s; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			break
		}
		if len(after) < 2 || !strings.Contains("25 0D 0A 3A 2C", after[:2]) {
			t.Errorf("a lone %% in %q", s)
		}
		rest = after
	}
	return strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%").Replace(s)
}

func write(t *testing.T, o Options, exit int, events ...*event.Event) []command {
	t.Helper()
	var out bytes.Buffer
	w := New(&out, o)
	for _, e := range append(events, &event.Event{Type: event.TypeBatchFinished, BatchFinished: &event.BatchFinished{ExitCode: exit, Reason: "because"}}) {
		if out.Len() > 0 {
			t.Error("something is written before the batch has ended")
		}
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.runs) != 0 {
		t.Errorf("%d runs are kept", len(w.runs))
	}
	return commands(t, out.String())
}

func started(id, flow string) *event.Event {
	return &event.Event{Type: event.TypeRunStarted, RunID: id, Flow: flow, RunStarted: &event.RunStarted{File: "a/f.yaml"}}
}

func finished(id string, status event.Status, reason string) *event.Event {
	return &event.Event{Type: event.TypeRunFinished, RunID: id, RunFinished: &event.RunFinished{Status: status, Reason: reason}}
}

func stepped(id, step string, end event.StepFinished) *event.Event {
	return &event.Event{Type: event.TypeStepFinished, RunID: id, StepFinished: &end, Step: &event.Step{
		ID: step, Path: []string{step}, Action: "http.request", Phase: event.PhaseSteps, File: "a/f.yaml", Line: 4,
	}}
}

func TestAFailureStandsAtItsLine(t *testing.T) {
	got := write(t, Options{Place: func(file string) string { return "tests, all/" + file }}, 1, started("r", "x: y"),
		stepped("r", "warm", event.StepFinished{Status: event.Failed, Ignored: true}),
		stepped("r", "s", event.StepFinished{Status: event.Failed, Assertions: []event.Assertion{{Expression: "a == 1", Message: "100%\nsure", Line: 9, Column: 3}}}),
		finished("r", event.Failed, ""))
	want := []command{{"error", map[string]string{"file": "tests, all/a/f.yaml", "line": "9", "col": "3", "title": "x: y › s failed"}, "a == 1\n  100%\nsure"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(command{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryRunThatDidNotPassIsSaid(t *testing.T) {
	for status, want := range map[event.Status]int{
		event.Passed: 0, event.Skipped: 0, event.Failed: 1, event.Errored: 1, event.Cancelled: 1, "": 1,
	} {
		got := write(t, Options{}, 0, started("r", "x"), finished("r", status, "why"))
		if len(got) != want || want == 1 && (got[0].message != "why" || got[0].properties["file"] != "a/f.yaml" || !strings.HasSuffix(got[0].properties["title"], strings.TrimSpace("x "+string(status)))) {
			t.Errorf("%q gives %+v", status, got)
		}
	}
	if got := write(t, Options{}, 2); len(got) != 1 || got[0].message != "exit code 2: because" {
		t.Errorf("a batch without runs gives %+v", got)
	}
}

func TestTenAreShownAndTheRestCounted(t *testing.T) {
	for n, notice := range map[int]string{
		10:     "",
		11:     "1 more failure; 11 runs did not pass. GitHub shows ten; the log has all of them.",
		10_000: "9990 more failures; 10000 runs did not pass. GitHub shows ten; the log has all of them.",
	} {
		var events []*event.Event
		long := strings.Repeat("x", 20_000)
		for i := range n {
			id := fmt.Sprint(i)
			events = append(events, started(id, "x"), stepped(id, "s", event.StepFinished{Status: event.Errored, Error: &event.Error{Message: long}}), finished(id, event.Errored, ""))
		}
		got := write(t, Options{}, 3, events...)
		if notice != "" {
			last := got[len(got)-1]
			got = got[:len(got)-1]
			if last.kind != "notice" || last.message != notice {
				t.Errorf("of %d: %+v", n, last)
			}
		}
		if len(got) != maxShown || got[9].kind != "error" || len(got[9].message) > maxMessage+100 {
			t.Errorf("of %d, %d are shown", n, len(got))
		}
	}
}

func TestFailuresPastTheBoundOfARunAreCounted(t *testing.T) {
	events := []*event.Event{started("r", "x")}
	for i := range 50 {
		events = append(events, stepped("r", fmt.Sprint("s", i), event.StepFinished{Status: event.Failed}))
	}
	got := write(t, Options{}, 1, append(events, finished("r", event.Failed, ""))...)
	if last := got[len(got)-1]; len(got) != maxShown+1 || !strings.HasPrefix(last.message, "40 more failures; ") {
		t.Errorf("%d commands, the last is %+v", len(got), last)
	}
}

func TestHostileTextStaysText(t *testing.T) {
	for _, text := range []string{
		"\n::error::x", "\r\n::add-mask::x", "::set-output name=a::b", "a,line=7:x", "%0A::stop-commands::x", "\x1b[2J\x00", "日本 🎉", "\xff\u2028::error::",
	} {
		got := write(t, Options{Place: func(string) string { return text }}, 1, started("r", text),
			stepped("r", text, event.StepFinished{Status: event.Failed, Assertions: []event.Assertion{{Expression: text, Message: text}}}),
			finished("r", event.Failed, text))
		if len(got) != 1 || got[0].properties["line"] != "4" || len(got[0].properties) != 3 {
			t.Errorf("%q gives %+v", text, got)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAFullDiskIsAnError(t *testing.T) {
	w := New(full{}, Options{})
	if err := w.Write(&event.Event{Type: event.TypeBatchFinished, BatchFinished: &event.BatchFinished{ExitCode: 1}}); err == nil {
		t.Error("no error")
	}
}
