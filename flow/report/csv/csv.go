// Package csv writes a table (RFC 4180) for spreadsheets and data tools: a row a
// step as it ends, and a row a run. It is a view of the event stream and judges
// nothing; a text in it is never a formula.
package csv

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
)

// maxCell bounds a cell, in bytes: spreadsheets cut at 32,767 characters.
const maxCell = 2000

// header names the columns. They are only ever added to, at the end.
var header = [...]string{
	"kind", "run_id", "flow", "run", "file", "environment", "agent", "row", "iteration", "tags",
	"phase", "step", "name", "action", "line", "status", "reason", "tries", "duration_ms", "ended",
	"ignored", "assertions_passed", "assertions_failed", "code", "message",
}

// Writer writes while a batch runs; it keeps only what explains the end of runs
// that go on. It is used by many runs at a time.
type Writer struct {
	mu   sync.Mutex
	out  *csv.Writer
	runs map[string]*cause.Run
}

// New makes a Writer that writes to out, one Write an event.
func New(out io.Writer) *Writer {
	w := &Writer{out: csv.NewWriter(out), runs: map[string]*cause.Run{}}
	w.out.UseCRLF = true // RFC 4180 section 2
	return w
}

// Wants is nothing of what may be left out.
func (w *Writer) Wants() event.Wants { return event.Wants{} }

// Write takes one event.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[e.RunID]
	switch {
	case e.Type == event.TypeBatchStarted:
		return w.print(header[:])
	case e.Type == event.TypeRunStarted:
		w.runs[e.RunID] = cause.New(e)
	case r == nil:
	case e.Type == event.TypeRunFinished:
		delete(w.runs, e.RunID)
		return w.print(runRow(r, e))
	default:
		r.See(e)
		if e.Type == event.TypeStepFinished {
			return w.print(stepRow(r.Started, e))
		}
	}
	return nil
}

func (w *Writer) print(row []string) error {
	if err := w.out.Write(row); err != nil {
		return err
	}
	w.out.Flush()
	return w.out.Error()
}

// table is one row on its way, cell by cell.
type table []string

// text adds a text, which is never a formula.
func (t *table) text(s string) {
	*t = append(*t, plain.Cell(strings.TrimSpace(plain.Clean(plain.Cut(s, maxCell)))))
}

func (t *table) number(n int) { *t = append(*t, strconv.Itoa(n)) }

// positive adds a number, or nothing for none.
func (t *table) positive(n int) {
	if n <= 0 {
		*t = append(*t, "")
		return
	}
	t.number(n)
}

func (t *table) milliseconds(ms float64) {
	if math.IsNaN(ms) || ms < 0 || ms > 1e15 {
		ms = 0 // a clock that was set back
	}
	*t = append(*t, strconv.FormatFloat(ms, 'f', -1, 64))
}

// run adds the columns that all rows of a run share.
func (t *table) run(kind string, started *event.Event) {
	s := started.RunStarted
	t.text(kind)
	t.text(started.RunID)
	t.text(started.Flow)
	t.text(plain.Name(started))
	t.text(s.File)
	t.text(s.Environment)
	t.text(s.Agent)
	row := 0
	if s.Row != nil {
		row = s.Row.Index + 1
	}
	t.positive(row)
	t.positive(s.Iteration)
	t.text(strings.Join(s.Tags, " "))
}

func (t *table) ended(at time.Time) { t.text(at.UTC().Format(time.RFC3339Nano)) }

func stepRow(started, e *event.Event) []string {
	var t table
	end := e.StepFinished
	t.run("step", started)
	t.text(string(e.Step.Phase))
	t.text(strings.Join(e.Step.Path, "/"))
	t.text(e.Step.Name)
	t.text(e.Step.Action)
	t.positive(e.Step.Line)
	t.text(string(end.Status))
	t.text(end.Reason)
	t.positive(end.Tries)
	t.milliseconds(end.DurationMS)
	t.ended(e.Time)
	t.text(strconv.FormatBool(end.Ignored))
	broken := len(cause.Broken(end.Assertions))
	t.number(len(end.Assertions) - broken)
	t.number(broken)
	switch end.Status {
	case event.Passed, event.Skipped:
		t.text("")
		t.text("")
	default:
		t.text(plain.Code(end))
		t.text(plain.Message(end))
	}
	return t
}

func runRow(r *cause.Run, e *event.Event) []string {
	var t table
	end := e.RunFinished
	t.run("run", r.Started)
	for range 4 { // phase, step, name, action
		t.text("")
	}
	line, code := 0, ""
	if f := r.First(); f != nil && end.Status != event.Passed {
		line, _ = plain.Place(f)
		code = plain.Code(f.End)
	}
	t.positive(line)
	t.text(string(end.Status))
	t.text(end.Reason)
	t.text("")
	t.milliseconds(end.DurationMS)
	t.ended(e.Time)
	t.text("false")
	t.number(end.Assertions[event.Passed])
	t.number(end.Assertions[event.Failed] + end.Assertions[event.Errored])
	t.text(code)
	t.text(plain.Why(r, end))
	return t
}
