// Package junit writes JUnit XML as CI systems read it: a suite a folder, a
// test case a run, steps as properties, failed as failure and errored as error.
// testdata/junit.xsd states the dialect. It is a view of the event stream and
// judges nothing.
package junit

import (
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
)

const (
	// maxText bounds one failure's text, and maxAllText those of a document:
	// GitLab refuses files over 30 MB, and a whole body helps nobody there.
	maxText    = 8 << 10
	maxAllText = 8 << 20
	// maxSteps bounds the steps listed of a run, maxAllSteps those of a document:
	// GitLab refuses more than 250,000 elements.
	maxSteps    = 200
	maxAllSteps = 150_000
)

// Options are what a report cannot know by itself.
type Options struct {
	// Attachment is where an artifact's file is, given its step.artifact; nil or
	// "": it is nowhere.
	Attachment func(e *event.Event) string
}

// Writer collects a batch and writes the document when it ends.
type Writer struct {
	out     io.Writer
	options Options

	mu      sync.Mutex
	started time.Time
	files   map[string]int // place in the batch, for order
	runs    map[string]*run
	suites  map[string]*suite
	text    int // bytes of all texts
	steps   int // properties of all steps
}

// run is a run that has not ended.
type run struct {
	*cause.Run
	steps       []property
	left        int // steps past the bounds
	attachments []string
}

// New makes a Writer that writes to out once the batch has ended.
func New(out io.Writer, o Options) *Writer {
	return &Writer{out: out, options: o, runs: map[string]*run{}, suites: map[string]*suite{}}
}

// Wants is nothing of what may be left out.
func (w *Writer) Wants() event.Wants { return event.Wants{} }

// Write takes one event; the document is written with batch.finished.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[e.RunID]
	switch e.Type {
	case event.TypeBatchStarted:
		w.started, w.files = e.Time, map[string]int{}
		for i, f := range e.BatchStarted.Files {
			w.files[f] = i
		}
	case event.TypeRunStarted:
		w.runs[e.RunID] = &run{Run: cause.New(e)}
	case event.TypeRunFinished:
		if r != nil {
			delete(w.runs, e.RunID)
			w.finished(r, e)
		}
	case event.TypeBatchFinished:
		return w.print(e)
	default:
		if r != nil {
			w.step(r, e)
		}
	}
	return nil
}

func (w *Writer) step(r *run, e *event.Event) {
	r.See(e)
	switch e.Type {
	case event.TypeStepFinished:
		if len(r.steps) >= maxSteps || w.steps >= maxAllSteps {
			r.left++
			return
		}
		w.steps++
		r.steps = append(r.steps, property{"step[" + string(e.StepFinished.Status) + "]", label(strings.Join(e.Step.Path, "/"))})
	case event.TypeStepArtifact:
		if w.options.Attachment != nil && len(r.attachments) < maxSteps {
			if file := w.options.Attachment(e); file != "" {
				r.attachments = append(r.attachments, label(file))
			}
		}
	}
}

// finished turns a run into a test case of its folder's suite.
func (w *Writer) finished(r *run, e *event.Event) {
	s, end := r.Started.RunStarted, e.RunFinished
	name := strings.TrimSuffix(strings.TrimSuffix(s.File, path.Ext(s.File)), ".testmesh")
	c := &testcase{
		Name: plain.Name(r.Started), Classname: label(strings.ReplaceAll(name, "/", ".")), File: label(s.File),
		Time: seconds(end.DurationMS / 1000), rank: w.rank(s), id: e.RunID,
	}
	if c.Classname == "" {
		c.Classname = "testmesh"
	}
	w.verdict(c, r, end)
	c.Properties = newProperties(r, end)
	c.Output = &cdata{plain.Clean(w.output(r))}
	if c.Output.Text == "" {
		c.Output = nil
	}
	folder := path.Dir(s.File)
	if s.File == "" {
		folder = "testmesh"
	}
	in, ok := w.suites[folder]
	if !ok {
		in = &suite{Name: label(folder), started: r.Started.Time}
		w.suites[folder] = in
	}
	if r.Started.Time.Before(in.started) {
		in.started = r.Started.Time
	}
	in.add(c, end.DurationMS/1000)
}

// rank is a run's place in the document: that of its file, then its row.
func (w *Writer) rank(s *event.RunStarted) [3]int {
	at, ok := w.files[s.File]
	if !ok {
		at = len(w.files)
	}
	row := -1
	if s.Row != nil {
		row = s.Row.Index
	}
	return [3]int{at, row, s.Iteration}
}

// verdict sets the element that says how the run ended.
func (w *Writer) verdict(c *testcase, r *run, end *event.RunFinished) {
	what := &outcome{Message: label(end.Reason), Type: string(end.Status)}
	if f := r.First(); f != nil {
		what.Message, what.Type = message(f), kind(f.End)
		c.Line, _ = plain.Place(f)
	}
	switch end.Status {
	case event.Passed:
	case event.Failed:
		what.Text, c.Failure = w.cut(texts(r)), what
	case event.Skipped:
		c.Skipped = &skipped{what.Message}
	default: // errored and cancelled: it was not judged
		what.Text, c.Error = w.cut(texts(r)), what
	}
	if what.Message == "" {
		what.Message = "no step says why"
	}
}

// cut keeps a text within the bounds, and says where it did not.
func (w *Writer) cut(text string) string {
	limit, whole := min(maxText, max(maxAllText-w.text, 200)), len(text)
	text = plain.Clean(plain.Head(text, 4*limit)) // what is cleaned away may be long, too
	if len(text) > limit || whole > 4*limit {
		text = plain.Head(text, limit) + fmt.Sprintf("\n… (cut: %d bytes)", whole)
	}
	w.text += len(text)
	return text
}

func newProperties(r *run, end *event.RunFinished) *properties {
	var list []property
	for _, t := range r.Started.RunStarted.Tags {
		list = append(list, property{"tag", label(t)})
	}
	list = append(list, r.steps...)
	if r.left > 0 {
		list = append(list, property{"steps", fmt.Sprintf("%d more are not listed: CI systems refuse larger files", r.left)})
	}
	if end.Status == event.Passed && r.Tries > 1 {
		list = append(list, property{"flaky", "true"})
	}
	for _, file := range r.attachments {
		list = append(list, property{"attachment", file})
	}
	if len(list) == 0 {
		return nil
	}
	return &properties{list}
}

// output says what changed no verdict, what was left behind, and where the
// artifacts are as the attachments of Jenkins and GitLab want it.
func (w *Writer) output(r *run) string {
	var b strings.Builder
	for _, f := range r.Failures {
		if f.Ignored || f.Handler {
			word := "ignored"
			if f.Handler {
				word = "in a handler"
			}
			fmt.Fprintf(&b, "%s: %s\n", word, message(f))
		}
	}
	for _, o := range r.Orphans {
		fmt.Fprintf(&b, "left behind: %s %s: %s\n", o.Type, o.ID, o.Reason)
	}
	if r.Lost > 0 {
		fmt.Fprintf(&b, "left behind: %d more\n", r.Lost)
	}
	if r.Tries > 1 {
		fmt.Fprintf(&b, "%s passed on try %d\n", r.Retried, r.Tries)
	}
	text := w.cut(b.String())
	for _, file := range r.attachments {
		text += "[[ATTACHMENT|" + file + "]]\n"
	}
	return text
}

// print writes the document: suites by name, cases in the batch's order.
func (w *Writer) print(e *event.Event) error {
	doc := document{Name: "testmesh", Time: seconds(e.Time.Sub(w.started).Seconds())}
	for _, s := range w.suites {
		s.finish()
		doc.Tests += s.Tests
		doc.Failures += s.Failures
		doc.Errors += s.Errors
		doc.Skipped += s.Skipped
		doc.Suites = append(doc.Suites, s)
	}
	slices.SortFunc(doc.Suites, func(a, b *suite) int { return strings.Compare(a.Name, b.Name) })
	unique(doc.Suites)
	if _, err := io.WriteString(w.out, xml.Header); err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	enc := xml.NewEncoder(w.out)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	if _, err := io.WriteString(w.out, "\n"); err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	return nil
}
