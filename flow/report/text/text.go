// Package text is the report that a person reads: one line a run while it goes,
// then every failure with its source, operands, values and the next command,
// then one verdict. It is a view of the event stream and judges nothing.
package text

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
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

// Options are how to print.
type Options struct {
	Format Format
	Style  Style
	Width  int // of the terminal; 0 is that of logs
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

	mu      sync.Mutex
	out     io.Writer
	err     error
	runs    map[string]*cause.Run
	files   map[string]int // place in the batch, for order
	total   int
	done    int
	started time.Time
	kept    kept
	column  int // of dots

	counts                   event.Counts
	steps, assertions, flaky int
	skips                    reasons
	covered                  map[string]*subject
}

// New makes a Writer that prints to out.
func New(out io.Writer, o Options) *Writer {
	if o.Style.Width == 0 {
		o.Style.Width = o.Width
	}
	if o.Format == "" {
		o.Format = List
	}
	return &Writer{options: o, out: out, runs: make(map[string]*cause.Run), counts: event.Counts{}}
}

// Wants exchanges where they are printed.
func (w *Writer) Wants() event.Wants { return event.Wants{Exchanges: w.options.Format == Verbose} }

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
	if w.options.Format == Verbose {
		w.verbose(e)
	}
	r := w.runs[e.RunID]
	switch e.Type {
	case event.TypeBatchStarted:
		w.batchStarted(e)
	case event.TypeRunStarted:
		w.runs[e.RunID] = cause.New(e)
	case event.TypeRunFinished:
		delete(w.runs, e.RunID)
		w.runFinished(r, e)
	case event.TypeBatchFinished:
		w.batchFinished(e)
	case event.TypeStepCoverage:
		w.cover(e.Coverage)
	default:
		if r != nil {
			r.See(e)
		}
	}
	return w.err
}

func (w *Writer) batchStarted(e *event.Event) {
	w.started, w.total = e.Time, e.BatchStarted.Runs
	w.files = make(map[string]int, len(e.BatchStarted.Files))
	for i, f := range e.BatchStarted.Files {
		if _, seen := w.files[f]; !seen {
			w.files[f] = i
		}
	}
	if w.options.Format == Quiet {
		return
	}
	for _, n := range e.BatchStarted.Notes {
		w.printf("%s\n", w.options.Style.paint(dim, "note: "+OneLine(n)))
	}
}

func (w *Writer) printf(format string, args ...any) {
	if w.err != nil {
		return
	}
	_, w.err = fmt.Fprintf(w.out, format, args...)
}

func (w *Writer) place(file string) string {
	if w.options.Place == nil {
		return file
	}
	return w.options.Place(file)
}

func (w *Writer) source(path string) string {
	if w.options.Source == nil || path == "" {
		return ""
	}
	return string(w.options.Source(path))
}

// runName is the flow's name with its row, and its iteration where it has
// several.
func runName(e *event.Event) string {
	name := OneLine(e.Flow)
	s := e.RunStarted
	switch {
	case s == nil:
	case s.Row != nil:
		name += fmt.Sprintf(" [row %d", s.Row.Index+1)
		if s.Row.Name != "" {
			name += " " + OneLine(s.Row.Name)
		}
		name += "]"
	case s.Iteration > 1:
		name += fmt.Sprintf(" [iteration %d]", s.Iteration)
	}
	return name
}

func plural(n int, word string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", word)
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func duration(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", ms)
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.2fs", d.Truncate(10*time.Millisecond).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

func size(bytes int64) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}
