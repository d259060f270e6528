package text

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
)

// maxMarks bounds how many failed assertions of a step are shown in full.
const maxMarks = 8

// title names the step that failed, by way of what it is inside of.
func (f *failure) title(arrow string) string {
	title := runName(f.run)
	if f.Step == nil {
		return title
	}
	for _, at := range f.Step.Path {
		title += " " + arrow + " " + OneLine(at)
	}
	switch {
	case f.Handler && len(f.Step.Path) > 1:
		title += " (handler of " + OneLine(f.Step.Path[len(f.Step.Path)-2]) + ")"
	case f.Step.Phase != event.PhaseSteps && f.Step.Phase != "":
		title += " (" + OneLine(string(f.Step.Phase)) + ")"
	}
	return title
}

// block prints a failure: what, where, why, what was in play, what next.
func (w *Writer) block(b *bytes.Buffer, f *failure) {
	s := w.options.Style
	label, color, code := "FAIL", red, "E-ASSERT"
	if f.End.Status == event.Errored {
		label, color = "ERROR", yellow
	}
	if f.Ignored {
		label, color = "IGNORED", cyan
	}
	if f.End.Error != nil {
		code = OneLine(f.End.Error.Code)
	}
	if f.Step == nil {
		code = ""
	}
	s.heading(b, label, color, f.title(s.arrow()), code)
	if f.Step == nil {
		for _, line := range wrap(OneLine(f.End.Reason), s.width()-4) {
			fmt.Fprintf(b, "    %s\n", line)
		}
		b.WriteByte('\n')
		return
	}
	w.excerpt(b, f)
	w.facts(b, f)
	b.WriteByte('\n')
}

// excerpt shows the step with what was wrong in it. An error comes after what
// was observed: a wait that ended says so below the claims that never held.
func (w *Writer) excerpt(b *bytes.Buffer, f *failure) {
	at := excerpt{file: w.place(f.Step.File), source: w.source(f.Step.File), owner: f.Step.Line}
	bad := cause.Broken(f.End.Assertions)
	for i := range bad {
		if i == maxMarks {
			break
		}
		a := &bad[i]
		m := mark{a.Line, a.Column, a.Width, a.Message}
		if a.Implicit || a.Line == 0 {
			m = stepMark(at.source, f.Step.Line)
			m.message = fmt.Sprintf("%s expects %s: %s", f.Step.Action, a.Expression, a.Message)
		}
		if m.message == "" {
			m.message = "does not hold"
		}
		at.marks = append(at.marks, m)
	}
	if e := f.End.Error; e != nil && !repeats(e, bad) {
		m := mark{e.Line, e.Column, e.Width, e.Message}
		if e.Line == 0 {
			m = stepMark(at.source, f.Step.Line)
			m.message = e.Message
		}
		at.marks = append(at.marks, m)
	}
	if len(at.marks) == 0 {
		m := stepMark(at.source, f.Step.Line)
		m.message = cmp.Or(f.End.Reason, string(f.End.Status))
		at.marks = append(at.marks, m)
	}
	slices.SortStableFunc(at.marks, func(x, y mark) int { return cmp.Compare(x.line, y.line) })
	w.options.Style.excerpt(b, at)
}

// repeats tells whether an error says no more than an assertion that could not
// be judged.
func repeats(e *event.Error, bad []event.Assertion) bool {
	return slices.ContainsFunc(bad, func(a event.Assertion) bool {
		return e.Message == a.Message || e.Message == a.Expression+": "+a.Message
	})
}

// stepMark underlines the first entry of a step's first line.
func stepMark(source string, line int) mark {
	m := mark{line: line, column: 1, width: 1}
	lines := strings.Split(source, "\n")
	if line < 1 || line > len(lines) {
		return m
	}
	text := []rune(strings.TrimRight(lines[line-1], " \t\r"))
	at := 0
	for at < len(text) && (text[at] == ' ' || text[at] == '-' || text[at] == '\t') {
		at++
	}
	for _, end := range []string{" #", ","} {
		if before, _, found := strings.Cut(string(text[at:]), end); found {
			text = append(text[:at:at], []rune(strings.TrimRight(before, " "))...)
		}
	}
	m.column, m.width = at+1, max(1, len(text)-at)
	return m
}
