package text

import (
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
)

// runFinished counts a run, keeps its failures and prints its line.
func (w *Writer) runFinished(r *cause.Run, e *event.Event) {
	if r == nil {
		r = cause.New(e)
	}
	if r.Started.RunStarted == nil {
		started := *e
		started.RunStarted = &event.RunStarted{Row: e.RunFinished.Row}
		r.Started = &started
	}
	end := e.RunFinished
	w.done++
	w.counts[end.Status]++
	w.steps += ran(end.Steps)
	w.assertions += ran(end.Assertions)
	status := string(end.Status)
	if end.Status == event.Passed && r.Tries > 1 {
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
func (w *Writer) keep(r *cause.Run, end *event.RunFinished) {
	for i, f := range r.Failures {
		w.kept.add(&failure{Failure: f, run: r.Started, order: i})
	}
	w.kept.more += r.Dropped
	if (end.Status == event.Failed || end.Status == event.Errored) && r.First() == nil && len(r.Orphans) == 0 {
		reason := end.Reason
		if reason == "" {
			reason = "no step says why"
		}
		whole := &cause.Failure{End: &event.StepFinished{Status: end.Status, Reason: reason}}
		w.kept.add(&failure{Failure: whole, run: r.Started, order: len(r.Failures)})
	}
}

func (w *Writer) runLine(r *cause.Run, end *event.RunFinished, status string) {
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
	head := fmt.Sprintf(" %s%s %s", s.paint(dim, counter), sign, Pad(runName(r.Started), columns))
	about, more := w.about(r, end, status)
	room := s.width() - (len(counter) + Columns(Style{ASCII: s.ASCII}.sign(status)) + 2 + max(columns, Columns(runName(r.Started)))) - 2 - Columns(about)
	line := head + "  " + about
	if more != "" {
		line += "  " + s.Clip(more, max(room-2, 24))
	}
	w.printf("%s\n", strings.TrimRight(line, " "))
}

// about is what a run's line says behind its name: numbers, and the reason.
func (w *Writer) about(r *cause.Run, end *event.RunFinished, status string) (numbers, reason string) {
	reason = OneLine(end.Reason)
	if end.Status == event.Skipped || end.Status == event.Cancelled {
		if reason == "" || reason == status {
			return status, ""
		}
		return status + ": " + strings.TrimPrefix(reason, status+": "), ""
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
		reason = fmt.Sprintf("%s passed on try %d", OneLine(r.Retried), r.Tries)
	default:
		if f := r.First(); f != nil {
			return numbers, why(f.End)
		}
		if len(r.Failures) > 0 && end.Status == event.Passed {
			reason = plural(len(r.Failures), "failure") + " ignored"
		}
	}
	return numbers, reason
}

func (w *Writer) nameColumns() int { return min(44, max(20, w.options.Style.width()-56)) }

// why is a failure in a few words.
func why(end *event.StepFinished) string {
	if e := end.Error; e != nil {
		return OneLine(e.Message)
	}
	if bad := cause.Broken(end.Assertions); len(bad) > 0 {
		return OneLine(bad[0].Expression)
	}
	return OneLine(end.Reason)
}

func (w *Writer) orphans(r *cause.Run) {
	if w.options.Format == Dot && len(r.Orphans) > 0 && w.column > 0 {
		w.printf("\n")
		w.column = 0
	}
	s := w.options.Style
	for _, o := range r.Orphans {
		line := fmt.Sprintf("left behind in %s: %s %s", runName(r.Started), OneLine(o.Type), OneLine(o.ID))
		if o.Reason != "" {
			line += ": " + OneLine(o.Reason)
		}
		w.printf("   %s\n", s.paint(yellow, line))
	}
	if r.Lost > 0 {
		w.printf("   %s\n", s.paint(yellow, fmt.Sprintf("left behind in %s: %d more", runName(r.Started), r.Lost)))
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
