// Package text is the report that a person reads: one line a run while it goes,
// then every failure with its source, operands, values and the next command,
// then one verdict. It is a view of the event stream and judges nothing.
package text

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

// Format is how much is shown while runs go.
type Format string

// The formats.
const (
	List    Format = "list"    // a line a run
	Line    Format = "line"    // a line a run that did not pass
	Dot     Format = "dot"     // a character a run
	Quiet   Format = "quiet"   // failures and the verdict
	Verbose Format = "verbose" // a line a step, with exchanges and logs
)

// maxFailures bounds how many failures are printed in full; the others are
// counted, and every other report has them.
const maxFailures = 50

// Options are how to print.
type Options struct {
	Format Format
	Style  Style
	Width  int // of the terminal; 0 is 80
	// Counter prints [17/124] before each line: for output that nobody watches.
	Counter bool
	// Place turns a file of the project into the path that the person types; nil
	// leaves it.
	Place func(file string) string
	// Source reads a flow file for excerpts; nil: none.
	Source func(path string) []byte
	// Next gives the commands to type after a failure; nil: none.
	Next func(run *event.Event, step *event.Step, end *event.StepFinished) []string
}

// Writer prints the events of one batch. It is used by many runs at a time.
type Writer struct {
	options Options

	mu       sync.Mutex
	out      io.Writer
	err      error
	runs     map[string]*run
	total    int
	done     int
	started  time.Time
	failures []*failure
	more     int // failures past maxFailures
	column   int // of dots

	counts                   event.Counts
	steps, assertions, flaky int
	sources                  map[string][]byte
}

// run is what is kept of a run until it ends.
type run struct {
	started  *event.Event
	failures []*failure
	ended    map[string]event.Status
	retried  map[string]int // tries of steps that passed late
	skipped  int
	steps    int // finished, not skipped
	lastFail *failure
	orphans  []event.Resource
	notes    []string
}

// New makes a Writer that prints to out.
func New(out io.Writer, o Options) *Writer {
	if o.Width <= 0 {
		o.Width = 80
	}
	if o.Format == "" {
		o.Format = List
	}
	return &Writer{options: o, out: out, runs: make(map[string]*run), counts: event.Counts{}, sources: make(map[string][]byte)}
}

// WantsExchanges tells whether step.exchange is printed.
func (w *Writer) WantsExchanges() bool { return w.options.Format == Verbose }

// Err is the first error of the output.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Write takes one event.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Type {
	case event.TypeBatchStarted:
		w.started, w.total = e.Time, e.BatchStarted.Runs
		for _, n := range e.BatchStarted.Notes {
			if w.options.Format != Quiet {
				w.printf("%s\n", w.options.Style.paint(dim, "note: "+oneLine(n)))
			}
		}
	case event.TypeRunStarted:
		w.runs[e.RunID] = &run{started: e, ended: map[string]event.Status{}, retried: map[string]int{}}
		if w.options.Format == Verbose {
			w.printf("%s\n", w.options.Style.paint(bold, w.runName(e)))
		}
	case event.TypeStepFinished:
		w.stepFinished(e)
	case event.TypeResourceOrphaned:
		if r := w.runs[e.RunID]; r != nil {
			r.orphans = append(r.orphans, *e.Resource)
		}
	case event.TypeRunFinished:
		w.runFinished(e)
	case event.TypeBatchFinished:
		w.batchFinished(e)
	default:
		if w.options.Format == Verbose {
			w.detail(e)
		}
	}
	return w.err
}

func (w *Writer) printf(format string, args ...any) {
	if w.err != nil {
		return
	}
	_, w.err = fmt.Fprintf(w.out, format, args...)
}

func (w *Writer) source(path string) []byte {
	if w.options.Source == nil || path == "" {
		return nil
	}
	if text, ok := w.sources[path]; ok {
		return text
	}
	text := w.options.Source(path)
	if len(w.sources) < 256 {
		w.sources[path] = text
	}
	return text
}

// runName is the flow's name with its row.
func (w *Writer) runName(e *event.Event) string {
	name := oneLine(e.Flow)
	if s := e.RunStarted; s != nil && s.Row != nil {
		name += fmt.Sprintf(" [row %d", s.Row.Index+1)
		if s.Row.Name != "" {
			name += " " + oneLine(s.Row.Name)
		}
		name += "]"
	}
	return name
}

func (w *Writer) stepFinished(e *event.Event) {
	r := w.runs[e.RunID]
	if r == nil {
		return
	}
	end := e.StepFinished
	if w.options.Format == Verbose {
		w.verboseStep(e)
	}
	switch end.Status {
	case event.Skipped:
		r.skipped++
		if r.lastFail != nil {
			r.lastFail.later++
		}
		return
	case event.Failed, event.Errored:
		// A container fails because a child did: the child's failure says why.
		if !explained(end) && len(r.failures) > 0 {
			break
		}
		f := &failure{run: r.started, step: e.Step, end: end}
		r.failures = append(r.failures, f)
		r.lastFail = f
	case event.Passed:
		if end.Tries > 1 {
			r.retried[strings.Join(e.Step.Path, "/")] = end.Tries
		}
	}
	r.steps++
}

// explained tells whether a failed step says itself what was wrong.
func explained(end *event.StepFinished) bool {
	return end.Error != nil && end.Error.Code != "E-CHILD" || len(failedAssertions(end.Assertions)) > 0
}

func (w *Writer) runFinished(e *event.Event) {
	r := w.runs[e.RunID]
	if r == nil {
		r = &run{started: e}
	}
	delete(w.runs, e.RunID)
	end := e.RunFinished
	w.done++
	w.counts[end.Status]++
	w.steps += r.steps
	for status, n := range end.Assertions {
		if status != event.Skipped {
			w.assertions += n
		}
	}
	flaky := end.Status == event.Passed && len(r.retried) > 0
	if flaky {
		w.flaky++
	}
	counted := false
	for _, f := range r.failures {
		if len(w.failures) < maxFailures {
			w.failures = append(w.failures, f)
		} else {
			w.more++
		}
		counted = counted || !f.end.Ignored
	}
	w.runLine(r, e, flaky)
	for _, o := range r.orphans {
		w.printf("   %s\n", oneLine(fmt.Sprintf("orphan: %s %s was not removed: %s", o.Type, o.ID, o.Reason)))
	}
}

func (w *Writer) runLine(r *run, e *event.Event, flaky bool) {
	end := e.RunFinished
	s := w.options.Style
	status := string(end.Status)
	if flaky {
		status = "flaky"
	}
	switch w.options.Format {
	case Quiet:
		return
	case Dot:
		w.dot(status)
		return
	case Line:
		if end.Status == event.Passed {
			return
		}
	}
	name := w.runName(r.started)
	var about string
	switch {
	case end.Status == event.Skipped || end.Status == event.Cancelled:
		about = status
		if end.Reason != "" {
			about += ": " + oneLine(end.Reason)
		}
	default:
		ran := fmt.Sprintf("%d %s", r.steps, plural(r.steps, "step"))
		about = fmt.Sprintf("%s %s", pad(ran, 10), pad(duration(end.DurationMS), 8))
		switch {
		case flaky:
			about += "  " + retriedText(r.retried)
		case len(r.failures) > 0:
			about += "  " + why(r.failures[0])
		case end.Reason != "":
			about += "  " + oneLine(end.Reason)
		}
	}
	counter := ""
	if w.options.Counter && w.total > 1 {
		counter = fmt.Sprintf("[%d/%d] ", w.done, w.total)
	}
	w.printf(" %s%s %s  %s\n", s.paint(dim, counter), s.sign(status), pad(name, w.nameWidth()), strings.TrimRight(about, " "))
}

func (w *Writer) nameWidth() int { return min(44, max(24, w.options.Width-50)) }

func retriedText(retried map[string]int) string {
	most, tries := "", 0
	for path, n := range retried {
		if n > tries || n == tries && path < most {
			most, tries = path, n
		}
	}
	return oneLine(fmt.Sprintf("%s passed on try %d", most, tries))
}

// why is a failure in a few words.
func why(f *failure) string {
	if bad := failedAssertions(f.end.Assertions); len(bad) > 0 {
		return oneLine(shorten(bad[0].Expression, 60))
	}
	if f.end.Error != nil {
		return oneLine(shorten(f.end.Error.Message, 60))
	}
	return oneLine(f.end.Reason)
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func (w *Writer) dot(status string) {
	const perLine = 80
	glyph := map[string]string{"passed": "·", "failed": "F", "errored": "E", "flaky": "±", "skipped": "°", "cancelled": "T"}[status]
	if w.options.Style.ASCII {
		glyph = map[string]string{"passed": ".", "failed": "F", "errored": "E", "flaky": "~", "skipped": "s", "cancelled": "T"}[status]
	}
	w.printf("%s", glyph)
	if w.column++; w.column%perLine == 0 {
		w.printf("\n")
	}
}

func duration(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", ms)
	case d < time.Second:
		return fmt.Sprintf("%.0fms", ms)
	case d < time.Minute:
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

func (w *Writer) batchFinished(e *event.Event) {
	s := w.options.Style
	if w.options.Format == Dot && w.column > 0 {
		w.printf("\n")
	}
	var b bytes.Buffer
	if len(w.failures) > 0 || w.options.Format != Quiet {
		b.WriteByte('\n')
	}
	for _, f := range w.failures {
		w.block(&b, f)
	}
	if w.more > 0 {
		fmt.Fprintf(&b, "%s %d more failures are not shown here; --report json or junit has them all\n\n", s.ellipsis(), w.more)
	}
	w.verdict(&b, e)
	w.printf("%s", b.String())
}

func (w *Writer) verdict(b *bytes.Buffer, e *event.Event) {
	s := w.options.Style
	end := e.BatchFinished
	word, color := "PASS", green
	switch {
	case w.counts[event.Failed] > 0:
		word, color = "FAIL", red
	case w.counts[event.Errored] > 0:
		word, color = "ERROR", yellow
	case end.ExitCode >= 130 || w.counts[event.Cancelled] > 0 || end.ExitCode == 5:
		word, color = "STOPPED", yellow
	case w.counts[event.Passed] == 0:
		word, color = "NOTHING", yellow
	}
	var parts []string
	for _, status := range []event.Status{event.Failed, event.Errored, event.Cancelled, event.Passed, event.Skipped} {
		if n := w.counts[status]; n > 0 {
			text := fmt.Sprintf("%d %s", n, status)
			if status == event.Passed && w.flaky > 0 {
				text += fmt.Sprintf(" (%d flaky)", w.flaky)
			}
			parts = append(parts, text)
		}
	}
	out := strings.Join(parts, ", ")
	if out == "" {
		out = "no runs"
	}
	rest := []string{
		fmt.Sprintf("%d %s", w.steps, plural(w.steps, "step")),
		fmt.Sprintf("%d %s", w.assertions, plural(w.assertions, "assertion")),
	}
	if !w.started.IsZero() {
		rest = append(rest, duration(float64(e.Time.Sub(w.started).Microseconds())/1000))
	}
	if end.ExitCode != 0 {
		rest = append(rest, fmt.Sprintf("exit %d", end.ExitCode))
	}
	if end.Reason != "" {
		rest = append(rest, oneLine(end.Reason))
	}
	fmt.Fprintf(b, "%s  %s %s %s\n", s.paint(bold+";"+color, word), out, s.dot(), strings.Join(rest, " "+s.dot()+" "))
}

// verboseStep prints a line a step, with what it judged.
func (w *Writer) verboseStep(e *event.Event) {
	s := w.options.Style
	end := e.StepFinished
	indent := strings.Repeat("  ", len(e.Step.Path))
	about := duration(end.DurationMS)
	if end.Status == event.Skipped {
		about = "skipped: " + end.Reason
	}
	phase := ""
	if e.Step.Phase != event.PhaseSteps {
		phase = s.paint(dim, string(e.Step.Phase)+" ")
	}
	w.printf("%s%s %s%s  %s  %s\n", indent, s.sign(string(end.Status)), phase, oneLine(e.Step.ID), s.paint(dim, e.Step.Action), oneLine(about))
	for _, a := range end.Assertions {
		status := "failed"
		if a.Passed {
			status = "passed"
		} else if a.Errored {
			status = "errored"
		}
		w.printf("%s    %s %s\n", indent, s.sign(status), oneLine(a.Expression))
	}
	for _, k := range value.Keys(end.Outputs) {
		w.printf("%s    %s\n", indent, s.paint(dim, oneLine(k+" = "+shorten(value.Compact(end.Outputs[k]), 120))))
	}
}

// detail prints what happens inside a step.
func (w *Writer) detail(e *event.Event) {
	s := w.options.Style
	if e.Step == nil {
		return
	}
	indent := strings.Repeat("  ", len(e.Step.Path)) + "  "
	switch e.Type {
	case event.TypeStepLog:
		line := e.Log.Message
		if e.Log.Data != nil {
			line += " " + value.Compact(e.Log.Data)
		}
		w.printf("%s%s %s\n", indent, s.paint(dim, e.Log.Level), oneLine(line))
	case event.TypeStepExchange:
		w.printf("%s%s\n", indent, s.paint(dim, oneLine(e.Exchange.Summary)))
		if e.Exchange.Curl != "" {
			w.printf("%s%s\n", indent, s.paint(dim, oneLine(shorten(e.Exchange.Curl, 400))))
		}
	case event.TypeStepRetrying:
		w.printf("%s%s\n", indent, s.paint(dim, fmt.Sprintf("try %d %s, again in %s", e.Step.Try, e.Retrying.Status, duration(float64(e.Retrying.NextInMS)))))
	case event.TypeStepArtifact:
		w.printf("%s%s\n", indent, s.paint(dim, oneLine(fmt.Sprintf("artifact %s (%s, %d B)", e.Artifact.Name, e.Artifact.MediaType, e.Artifact.Size))))
	case event.TypeResourceTracked, event.TypeResourceRemoved:
		w.printf("%s%s\n", indent, s.paint(dim, oneLine(fmt.Sprintf("%s %s %s", strings.TrimPrefix(string(e.Type), "resource."), e.Resource.Type, e.Resource.ID))))
	}
}
