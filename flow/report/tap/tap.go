// Package tap writes the Test Anything Protocol, version 14: a test point a run,
// as it ends, with a YAML block on why it did not pass. It is a view of the event
// stream and judges nothing.
package tap

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
	"github.com/testmesh/testmesh/flow/value"
)

// maxReason bounds what stands behind a directive, in bytes.
const maxReason = 500

// Writer writes while a batch runs; of a run it keeps what explains its end. It
// is used by many runs at a time.
type Writer struct {
	out io.Writer

	mu    sync.Mutex
	runs  map[string]*cause.Run
	want  int // runs that the batch announced
	done  int
	notOK int
	err   error
}

// New makes a Writer that writes to out, one Write a run.
func New(out io.Writer) *Writer { return &Writer{out: out, runs: map[string]*cause.Run{}} }

// Wants is nothing of what may be left out.
func (w *Writer) Wants() event.Wants { return event.Wants{} }

// Write takes one event.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[e.RunID]
	switch e.Type {
	case event.TypeBatchStarted:
		w.want = e.BatchStarted.Runs
		w.print("TAP version 14\n" + notes(e.BatchStarted.Notes))
	case event.TypeRunStarted:
		w.runs[e.RunID] = cause.New(e)
	case event.TypeRunFinished:
		if r != nil {
			delete(w.runs, e.RunID)
			w.point(r, e.RunFinished)
		}
	case event.TypeBatchFinished:
		w.finish(e.BatchFinished)
	default:
		if r != nil {
			r.See(e)
		}
	}
	return w.err
}

func (w *Writer) print(text string) {
	if w.err == nil {
		_, w.err = io.WriteString(w.out, text)
	}
}

func notes(list []string) string {
	var b strings.Builder
	for _, n := range list {
		fmt.Fprintf(&b, "# %s\n", plain.Line(n, maxReason))
	}
	return b.String()
}

// point writes a run. Failed and errored are both `not ok`, and told apart in the
// block; so is cancelled, since what was not executed did not pass.
func (w *Writer) point(r *cause.Run, end *event.RunFinished) {
	w.done++
	name := fmt.Sprintf("ok %d - %s", w.done, escape(plain.Name(r.Started)))
	switch end.Status {
	case event.Passed:
		w.print(name + "\n" + retried(r))
	case event.Skipped:
		w.print(strings.TrimRight(name+" # SKIP "+escape(plain.Line(end.Reason, maxReason)), " ") + "\n")
	default:
		w.notOK++
		w.print("not " + name + "\n" + block(r, end))
	}
}

// retried says that a run passed only because a step was repeated.
func retried(r *cause.Run) string {
	if r.Tries < 2 {
		return ""
	}
	return fmt.Sprintf("# flaky: %s passed on try %d\n", plain.Line(r.Retried, maxReason), r.Tries)
}

// escape keeps a # and a \ of a description from starting a directive.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `#`, `\#`).Replace(s)
}

// block is the YAML on a run that did not pass. Every text is a quoted one, so
// that nothing in it can end the block.
func block(r *cause.Run, end *event.RunFinished) string {
	var b strings.Builder
	b.WriteString("  ---\n")
	fmt.Fprintf(&b, "  status: %s\n  message: %s\n", quote(string(end.Status)), quote(plain.Why(r, end)))
	if f := r.First(); f != nil {
		if code := plain.Code(f.End); code != "" {
			fmt.Fprintf(&b, "  code: %s\n", quote(code))
		}
		line, column := plain.Place(f)
		at(&b, "  ", f.Step.File, line, column)
	} else {
		at(&b, "  ", r.Started.RunStarted.File, 0, 0)
	}
	fmt.Fprintf(&b, "  duration_ms: %s\n", value.Compact(max(end.DurationMS, 0)))
	failures(&b, r)
	if len(r.Orphans) > 0 {
		b.WriteString("  left_behind:\n")
		for _, o := range r.Orphans {
			fmt.Fprintf(&b, "    - %s\n", quote(o.Type+" "+o.ID+": "+o.Reason))
		}
		if r.Lost > 0 {
			fmt.Fprintf(&b, "    - %s\n", quote(fmt.Sprintf("%d more", r.Lost)))
		}
	}
	b.WriteString("  ...\n")
	return b.String()
}

func at(b *strings.Builder, indent, file string, line, column int) {
	if file == "" {
		return
	}
	fmt.Fprintf(b, "%sat:\n%s  file: %s\n", indent, indent, quote(file))
	if line > 0 {
		fmt.Fprintf(b, "%s  line: %d\n", indent, line)
	}
	if column > 0 {
		fmt.Fprintf(b, "%s  column: %d\n", indent, column)
	}
}

func failures(b *strings.Builder, r *cause.Run) {
	if len(r.Failures) == 0 {
		return
	}
	b.WriteString("  failures:\n")
	for _, f := range r.Failures {
		fmt.Fprintf(b, "    - step: %s\n      action: %s\n      status: %s\n", quote(plain.Path(f.Step)), quote(f.Step.Action), quote(string(f.End.Status)))
		if f.Ignored {
			b.WriteString("      ignored: true\n")
		}
		if f.Handler {
			b.WriteString("      handler: true\n")
		}
		b.WriteString("      text:\n")
		for line := range strings.Lines(plain.Explain(f)) {
			fmt.Fprintf(b, "        - %s\n", quote(strings.TrimRight(line, "\n")))
		}
	}
	if r.Dropped > 0 {
		fmt.Fprintf(b, "  more_failures: %d\n", r.Dropped)
	}
}

// quote is a text as YAML and JSON both read it, on one line.
func quote(s string) string {
	return string(value.AppendString(nil, strings.ReplaceAll(plain.Clean(s), "\n", " ")))
}

// finish writes the plan, last because runs may be fewer than announced: then the
// points that are missing make the whole not ok.
func (w *Writer) finish(end *event.BatchFinished) {
	n := max(w.want, w.done)
	if n == 0 {
		w.print("1..0 # SKIP no run\n")
	} else {
		w.print(fmt.Sprintf("1..%d\n", n))
	}
	if end.ExitCode != 0 && w.notOK == 0 {
		reason := plain.Line(end.Reason, maxReason)
		if reason == "" {
			reason = fmt.Sprintf("exit code %d", end.ExitCode)
		}
		w.print("Bail out! " + reason + "\n")
	}
}
