package text

import (
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
)

// runFinished counts a run, keeps its failures and prints its line.
func (w *Writer) runFinished(r *run, e *event.Event) {
	if r == nil {
		r = &run{started: e}
	}
	if r.started.RunStarted == nil {
		started := *e
		started.RunStarted = &event.RunStarted{Row: e.RunFinished.Row}
		r.started = &started
	}
	end := e.RunFinished
	w.done++
	w.counts[end.Status]++
	w.steps += ran(end.Steps)
	w.assertions += ran(end.Assertions)
	status := string(end.Status)
	if end.Status == event.Passed && r.tries > 1 {
		status = "flaky"
		w.flaky++
	}
	if end.Status == event.Skipped {
		w.skips.add(OneLine(end.Reason))
	}
	w.keep(r, end)
	w.runLine(r, end, status)
	w.orphans(r)
}

// ran counts what was executed.
func ran(c event.Counts) (n int) {
	for status, k := range c {
		if status != event.Skipped {
			n += k
		}
	}
	return n
}

// keep takes the failures of a run over. A run that did not pass and has none
// is a failure of its own, so that every red verdict has a cause.
func (w *Writer) keep(r *run, end *event.RunFinished) {
	counted := false
	for i, f := range r.failures {
		f.order = i
		counted = counted || !f.ignored && !f.handler
		w.kept.add(f)
	}
	w.kept.more += r.dropped
	if (end.Status == event.Failed || end.Status == event.Errored) && !counted && len(r.orphans) == 0 {
		reason := end.Reason
		if reason == "" {
			reason = "no step says why"
		}
		w.kept.add(&failure{run: r.started, end: &event.StepFinished{Status: end.Status, Reason: reason}, order: len(r.failures)})
	}
}

func (w *Writer) runLine(r *run, end *event.RunFinished, status string) {
	s := w.options.Style
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
	counter := ""
	if w.options.Counter && w.total > 1 {
		counter = fmt.Sprintf("[%*d/%d] ", len(fmt.Sprint(w.total)), w.done, w.total)
	}
	sign, columns := s.sign(status), w.nameColumns()
	head := fmt.Sprintf(" %s%s %s", s.paint(dim, counter), sign, Pad(runName(r.started), columns))
	about, more := w.about(r, end, status)
	room := s.width() - (len(counter) + Columns(Style{ASCII: s.ASCII}.sign(status)) + 2 + max(columns, Columns(runName(r.started)))) - 2 - Columns(about)
	line := head + "  " + about
	if more != "" {
		line += "  " + s.Clip(more, max(room-2, 24))
	}
	w.printf("%s\n", strings.TrimRight(line, " "))
}

// about is what a run's line says behind its name: numbers, and the reason.
func (w *Writer) about(r *run, end *event.RunFinished, status string) (numbers, reason string) {
	reason = OneLine(end.Reason)
	if end.Status == event.Skipped || end.Status == event.Cancelled {
		if reason == "" || reason == status {
			return status, ""
		}
		return status + ": " + reason, ""
	}
	total, passed := 0, end.Steps[event.Passed]
	for _, n := range end.Steps {
		total += n
	}
	steps := plural(ran(end.Steps), "step")
	if end.Status != event.Passed {
		steps = fmt.Sprintf("%d/%s", passed, plural(total, "step"))
	}
	numbers = fmt.Sprintf("%s %7s", Pad(steps, 10), duration(end.DurationMS))
	switch {
	case status == "flaky":
		reason = fmt.Sprintf("%s passed on try %d", OneLine(r.retried), r.tries)
	default:
		for _, f := range r.failures {
			if !f.ignored && !f.handler {
				return numbers, f.why()
			}
		}
		if len(r.failures) > 0 && end.Status == event.Passed {
			reason = plural(len(r.failures), "failure") + " ignored"
		}
	}
	return numbers, reason
}

func (w *Writer) nameColumns() int { return min(44, max(20, w.options.Style.width()-56)) }

// why is a failure in a few words.
func (f *failure) why() string {
	if e := f.end.Error; e != nil {
		return OneLine(e.Message)
	}
	if bad := failedAssertions(f.end.Assertions); len(bad) > 0 {
		return OneLine(bad[0].Expression)
	}
	return OneLine(f.end.Reason)
}

func (w *Writer) orphans(r *run) {
	if w.options.Format == Dot && len(r.orphans) > 0 && w.column > 0 {
		w.printf("\n")
		w.column = 0
	}
	s := w.options.Style
	for _, o := range r.orphans {
		line := fmt.Sprintf("left behind in %s: %s %s", runName(r.started), OneLine(o.Type), OneLine(o.ID))
		if o.Reason != "" {
			line += ": " + OneLine(o.Reason)
		}
		w.printf("   %s\n", s.paint(yellow, line))
	}
	if r.lost > 0 {
		w.printf("   %s\n", s.paint(yellow, fmt.Sprintf("left behind in %s: %d more", runName(r.started), r.lost)))
	}
}

func (w *Writer) dot(status string) {
	const perLine = 80
	glyph, ascii := "°", "s"
	switch status {
	case "passed":
		glyph, ascii = "·", "."
	case "failed":
		glyph, ascii = "F", "F"
	case "errored":
		glyph, ascii = "E", "E"
	case "flaky":
		glyph, ascii = "±", "~"
	case "cancelled":
		glyph, ascii = "C", "C"
	}
	w.printf("%s", w.options.Style.choose(glyph, ascii))
	if w.column++; w.column%perLine == 0 {
		w.printf("\n")
		w.column = 0
	}
}
