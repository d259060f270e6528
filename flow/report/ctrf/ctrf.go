// Package ctrf writes a report in the Common Test Report Format, specification
// 0.0.0: a test a run, written as it ends, and the summary last. It is a view of
// the event stream and judges nothing.
package ctrf

import (
	"io"
	"math"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// specVersion is that of the specification that documents keep.
	specVersion = "0.0.0"
	// maxSteps bounds the steps listed of a run, maxAttempts the tries of a step,
	// maxOpen the steps whose tries are remembered.
	maxSteps    = 500
	maxAttempts = 20
	maxOpen     = 1000
	// maxText bounds a name or a message of one line, in bytes.
	maxText = 500
	// maxPath bounds the path of an attachment: that of Linux.
	maxPath = 4096
)

// Options are what a report cannot know by itself.
type Options struct {
	// Version is that of the program, as the tool's.
	Version string
	// Attachment is where an artifact's file is, given its step.artifact; nil or
	// "": it is nowhere.
	Attachment func(e *event.Event) string
}

// Writer writes while a batch runs; it keeps only runs that have not ended. It is
// used by many runs at a time.
type Writer struct {
	out     io.Writer
	options Options

	mu      sync.Mutex
	started time.Time
	runs    map[string]*run
	counts  event.Counts
	flaky   int
	err     error
}

// run is a run that has not ended.
type run struct {
	*cause.Run
	steps       []any
	left        int // steps past the bound
	tries       map[string][]any
	attempts    []any // of the step that was repeated most
	retries     int
	attachments []any
}

// New makes a Writer that writes to out, one Write a run.
func New(out io.Writer, o Options) *Writer {
	return &Writer{out: out, options: o, runs: map[string]*run{}, counts: event.Counts{}}
}

// Wants is nothing of what may be left out.
func (w *Writer) Wants() event.Wants { return event.Wants{} }

// Write takes one event.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[e.RunID]
	switch e.Type {
	case event.TypeBatchStarted:
		w.start(e)
	case event.TypeRunStarted:
		w.runs[e.RunID] = &run{Run: cause.New(e), tries: map[string][]any{}}
	case event.TypeRunFinished:
		if r != nil {
			delete(w.runs, e.RunID)
			w.test(r, e)
		}
	case event.TypeBatchFinished:
		w.finish(e)
	default:
		if r != nil {
			r.see(e, w.options.Attachment)
		}
	}
	return w.err
}

func (w *Writer) print(text string) {
	if w.err == nil {
		_, w.err = io.WriteString(w.out, text)
	}
}

func (w *Writer) start(e *event.Event) {
	w.started = e.Time
	tool := map[string]any{"name": "testmesh"}
	if w.options.Version != "" {
		tool["version"] = w.options.Version
	}
	w.print(`{"reportFormat":"CTRF","specVersion":"` + specVersion + `","reportId":"` + plain.ID("batch", e.BatchID, e.Time.UTC().Format(time.RFC3339Nano)) +
		`","timestamp":"` + e.Time.UTC().Format(time.RFC3339) + `","generatedBy":"testmesh","results":{"tool":` + value.Compact(tool) + `,"tests":[`)
}

// status is the format's word: it has none for errored and cancelled, and what
// could not be judged must not look as if nothing was wrong.
func status(s event.Status) string {
	switch s {
	case event.Passed, event.Skipped:
		return string(s)
	}
	return string(event.Failed)
}

func (w *Writer) test(r *run, e *event.Event) {
	s, end := r.Started.RunStarted, e.RunFinished
	name := plain.Name(r.Started)
	w.counts[end.Status]++
	t := map[string]any{
		"id": plain.RunID(r.Started), "name": name, "status": status(end.Status), "rawStatus": string(end.Status),
		"duration": milliseconds(end.DurationMS), "start": instant(r.Started.Time), "stop": instant(e.Time), "type": "e2e",
	}
	if s.File != "" {
		t["filePath"] = plain.Line(s.File, maxText)
		t["suite"] = suite(s.File)
	}
	if len(s.Tags) > 0 {
		t["tags"] = texts(s.Tags)
	}
	if s.Row != nil {
		t["parameters"] = map[string]any{"row": int64(s.Row.Index) + 1, "name": plain.Line(s.Row.Name, maxText)}
	}
	if why := plain.Why(r.Run, end); why != "" {
		t["message"] = why
	}
	extra := map[string]any{"runId": plain.Line(e.RunID, maxText)}
	if f := r.First(); f != nil && end.Status != event.Passed {
		t["trace"] = plain.Explain(f)
		if line, _ := plain.Place(f); line > 0 {
			t["line"] = int64(line)
		}
		if code := plain.Code(f.End); code != "" {
			extra["code"] = code
		}
		if f.End.Error != nil && f.End.Error.Blame != "" {
			extra["blame"] = plain.Line(f.End.Error.Blame, maxText)
		}
	}
	w.repeated(t, r, end)
	if len(r.steps) > 0 {
		t["steps"] = r.steps
	}
	if len(r.attachments) > 0 {
		t["attachments"] = r.attachments
	}
	aside(extra, r)
	t["extra"] = map[string]any{"testmesh": extra}
	comma := ","
	if w.total() == 1 {
		comma = ""
	}
	w.print(comma + "\n" + value.Compact(t))
}

// repeated says that a step of the run was tried again. A run that passed only
// because of that is flaky; a wait repeats by design and does not count.
func (w *Writer) repeated(t map[string]any, r *run, end *event.RunFinished) {
	if r.retries > 0 {
		t["retries"], t["retryAttempts"] = int64(r.retries), r.attempts
	}
	if end.Status == event.Passed && r.Tries > 1 {
		t["flaky"] = true
		w.flaky++
	}
}

// aside adds what changed no verdict, and what is not listed.
func aside(extra map[string]any, r *run) {
	var ignored, orphans []any
	for _, f := range r.Failures {
		if f.Ignored || f.Handler {
			ignored = append(ignored, plain.Line(plain.Path(f.Step)+": "+plain.Message(f.End), maxText))
		}
	}
	for _, o := range r.Orphans {
		orphans = append(orphans, plain.Line(o.Type+" "+o.ID+": "+o.Reason, maxText))
	}
	for key, list := range map[string][]any{"ignoredFailures": ignored, "leftBehind": orphans} {
		if len(list) > 0 {
			extra[key] = list
		}
	}
	for key, n := range map[string]int{"stepsNotListed": r.left, "failuresNotListed": r.Dropped, "leftBehindNotListed": r.Lost} {
		if n > 0 {
			extra[key] = int64(n)
		}
	}
}

func (w *Writer) total() int {
	n := 0
	for _, c := range w.counts {
		n += c
	}
	return n
}

func (w *Writer) finish(e *event.Event) {
	passed, skipped, total := w.counts[event.Passed], w.counts[event.Skipped], w.total()
	extra := map[string]any{"exitCode": int64(e.BatchFinished.ExitCode), "errored": int64(w.counts[event.Errored]), "cancelled": int64(w.counts[event.Cancelled])}
	if e.BatchFinished.Reason != "" {
		extra["reason"] = plain.Line(e.BatchFinished.Reason, maxText)
	}
	summary := map[string]any{
		"tests": int64(total), "passed": int64(passed), "failed": int64(total - passed - skipped), "skipped": int64(skipped),
		"pending": int64(0), "other": int64(0), "flaky": int64(w.flaky),
		"start": instant(w.started), "stop": instant(e.Time), "extra": map[string]any{"testmesh": extra},
	}
	w.print("\n],\"summary\":" + value.Compact(summary) + "}}\n")
}

func suite(file string) []any {
	var out []any
	for part := range strings.SplitSeq(path.Dir(file), "/") {
		if part = plain.Line(part, maxText); part != "" && part != "." {
			out = append(out, part)
		}
	}
	name := strings.TrimSuffix(strings.TrimSuffix(path.Base(file), path.Ext(file)), ".testmesh")
	return append(out, plain.Line(name, maxText))
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = plain.Line(s, maxText)
	}
	return out
}

func instant(t time.Time) int64 { return t.UnixMilli() }

// milliseconds is a duration as the format has it, in whole ones; 0 for what a
// clock that was set back gives.
func milliseconds(ms float64) int64 {
	if math.IsNaN(ms) || ms < 0 || ms > 1e15 {
		return 0
	}
	return int64(math.Round(ms))
}
