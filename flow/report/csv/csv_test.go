package csv

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
)

var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

func started(id, flow string, s event.RunStarted) *event.Event {
	return &event.Event{Type: event.TypeRunStarted, Time: noon, RunID: id, Flow: flow, RunStarted: &s}
}

func finished(id string, status event.Status, reason string) *event.Event {
	return &event.Event{Type: event.TypeRunFinished, Time: noon, RunID: id, RunFinished: &event.RunFinished{Status: status, Reason: reason, DurationMS: 12.5}}
}

func stepped(id, step string, end event.StepFinished) *event.Event {
	return &event.Event{Type: event.TypeStepFinished, Time: noon, RunID: id, StepFinished: &end, Step: &event.Step{
		ID: step, Name: step, Path: []string{"loop[1]", step}, Action: "http.request", Phase: event.PhaseSteps, File: "a/f.yaml", Line: 4,
	}}
}

// write gives the rows after the header, by column, and checks what RFC 4180
// asks: every line ends in CRLF, every row has the columns of the header.
func write(t *testing.T, events ...*event.Event) []map[string]string {
	t.Helper()
	var out bytes.Buffer
	w := New(&out)
	for _, e := range append([]*event.Event{{Type: event.TypeBatchStarted, BatchStarted: &event.BatchStarted{}}}, events...) {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.runs) != 0 {
		t.Errorf("%d runs are kept after their end", len(w.runs))
	}
	if n := strings.Count(out.String(), "\n"); n != strings.Count(out.String(), "\r\n") || strings.Count(out.String(), "\r") != n {
		t.Errorf("a line does not end in CRLF:\n%q", out.String())
	}
	r := csv.NewReader(&out)
	r.FieldsPerRecord = len(header)
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatalf("not CSV: %v", err)
	}
	if diff := cmp.Diff(header[:], rows[0]); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	var list []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, cell := range row {
			if cell != "" {
				m[header[i]] = cell
			}
		}
		list = append(list, m)
	}
	return list
}

func TestAStepAndARunAreARowEach(t *testing.T) {
	got := write(t, started("r", "x", event.RunStarted{File: "a/f.yaml", Row: &event.Row{Index: 0, Name: "ada"}, Iteration: 1, Environment: "staging", Agent: "eu", Tags: []string{"a", "b"}}),
		stepped("r", "pay", event.StepFinished{Status: event.Failed, Tries: 2, DurationMS: 1.25, Assertions: []event.Assertion{
			{Expression: "a == 1", Passed: true}, {Expression: "b == 2", Message: `got "3", not 2`, Line: 9},
		}}),
		finished("r", event.Failed, "a step failed"))
	shared := map[string]string{
		"run_id": "r", "flow": "x", "run": "x [row 1 ada] (staging, eu)", "file": "a/f.yaml", "environment": "staging", "agent": "eu", "row": "1",
		"iteration": "1", "tags": "a b", "status": "failed", "ended": "2031-02-03T12:00:00Z", "ignored": "false", "code": "E-ASSERT",
	}
	want := []map[string]string{
		{"kind": "step", "phase": "steps", "step": "loop[1]/pay", "name": "pay", "action": "http.request", "line": "4", "tries": "2", "duration_ms": "1.25", "assertions_passed": "1", "assertions_failed": "1", "message": `b == 2: got "3", not 2`},
		{"kind": "run", "line": "9", "reason": "a step failed", "duration_ms": "12.5", "assertions_passed": "0", "assertions_failed": "0", "message": `loop[1] › pay: b == 2: got "3", not 2`},
	}
	for _, row := range want {
		for key, cell := range shared {
			row[key] = cell
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestARunWithoutStepsIsNotLost(t *testing.T) {
	for _, status := range event.Statuses {
		got := write(t, started("r", "x", event.RunStarted{}), finished("r", status, "why"))
		if len(got) != 1 || got[0]["kind"] != "run" || got[0]["status"] != string(status) || got[0]["reason"] != "why" {
			t.Errorf("%s gives %v", status, got)
		}
	}
}

func TestNoTextIsAFormula(t *testing.T) {
	for _, text := range []string{
		"=1+1", "+1", "-1", "@SUM(A1)", "|calc", "\t=1+1", "\r=1+1", "\n=1", " =1", "\x00=1", "\x1b[0m=1", "\u202e=1", "＝1+1", `=HYPERLINK("http://x","y")`, "\u2028=1", "\u00a0=1",
	} {
		for _, row := range write(t, started(text, text, event.RunStarted{File: text, Environment: text, Agent: text, Tags: []string{text}, Row: &event.Row{Name: text}}),
			stepped(text, text, event.StepFinished{Status: event.Errored, Reason: text, Error: &event.Error{Code: text, Message: text}, DurationMS: -1}),
			finished(text, event.Errored, text)) {
			for column, cell := range row {
				if strings.ContainsAny(strings.TrimSpace(cell)[:1], "=+-@|\t\r") || strings.HasPrefix(cell, "＝") {
					t.Errorf("%q: the cell %s is %q", text, column, cell)
				}
			}
		}
	}
}

func TestCellsAreBoundedAndSayTheyAreCut(t *testing.T) {
	long := strings.Repeat("é", 50_000)
	got := write(t, started("r", long, event.RunStarted{File: "a,\"b\"\n日本"}), stepped("r", "s", event.StepFinished{Status: event.Failed, Reason: long, DurationMS: math.Inf(1)}), finished("r", event.Failed, ""))
	for column, cell := range got[0] {
		if len(cell) > maxCell+50 {
			t.Errorf("%s has %d bytes", column, len(cell))
		}
	}
	if !strings.HasSuffix(got[0]["reason"], "(cut: 100000 bytes)") || got[0]["file"] != "a,\"b\"\n日本" || got[0]["duration_ms"] != "0" {
		t.Errorf("got %.200v", got[0])
	}
}

// counter fails after a number of bytes, and counts what came.
type counter struct{ bytes, largest, limit int }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += len(p)
	c.largest = max(c.largest, len(p))
	if c.limit > 0 && c.bytes > c.limit {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestTenThousandRunsAreWrittenAsTheyEnd(t *testing.T) {
	out := &counter{}
	w := New(out)
	text := strings.Repeat("x", 20_000)
	for i := range 10_000 {
		id := fmt.Sprint("r", i)
		for _, e := range []*event.Event{started(id, "x", event.RunStarted{}), stepped(id, "s", event.StepFinished{Status: event.Failed, Error: &event.Error{Message: text}}), finished(id, event.Failed, "")} {
			if err := w.Write(e); err != nil {
				t.Fatal(err)
			}
		}
		if len(w.runs) != 0 {
			t.Fatalf("%d runs are kept after their end", len(w.runs))
		}
	}
	if out.largest > 10_000 || out.bytes < 10_000*100 {
		t.Errorf("%d bytes, of one row up to %d", out.bytes, out.largest)
	}
}

func TestAFullDiskIsAnError(t *testing.T) {
	w := New(&counter{limit: 10})
	if err := w.Write(&event.Event{Type: event.TypeBatchStarted, BatchStarted: &event.BatchStarted{}}); err == nil {
		t.Error("no error")
	}
}
