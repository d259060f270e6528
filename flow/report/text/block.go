package text

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxBody bounds a body in a failure.
	maxBody = 160
	// maxValues and maxOperands bound what is listed below a failure.
	maxValues   = 8
	maxOperands = 8
)

// failure is a step that did not pass.
type failure struct {
	run   *event.Event // its run.started
	step  *event.Step
	end   *event.StepFinished
	later int // steps skipped because of it
}

// block prints a failure: what, where, why, what was in play, what next.
func (w *Writer) block(b *bytes.Buffer, f *failure) {
	s := w.options.Style
	label, code, color := "FAIL ", "E-ASSERT", red
	if f.end.Status == event.Errored {
		label, color = "ERROR", yellow
	}
	if f.end.Error != nil {
		code = f.end.Error.Code
	}
	title := fmt.Sprintf("%s %s %s", w.runName(f.run), s.arrow(), strings.Join(f.step.Path, " "+s.arrow()+" "))
	title = oneLine(title)
	gap := max(2, w.options.Width-len([]rune(title))-6-len(code))
	fmt.Fprintf(b, "%s %s%s%s\n", s.paint(bold+";"+color, label), s.paint(bold, title), strings.Repeat(" ", gap), s.paint(dim, code))
	bad := failedAssertions(f.end.Assertions)
	w.excerpts(b, f, bad)
	w.facts(b, f, bad)
	b.WriteByte('\n')
}

func (w *Writer) place(file string) string {
	if w.options.Place == nil {
		return file
	}
	return w.options.Place(file)
}

func failedAssertions(all []event.Assertion) []event.Assertion {
	var out []event.Assertion
	for _, a := range all {
		if !a.Passed {
			out = append(out, a)
		}
	}
	return out
}

func (w *Writer) excerpts(b *bytes.Buffer, f *failure, bad []event.Assertion) {
	s := w.options.Style
	source := w.source(f.step.File)
	if f.end.Error != nil {
		e := f.end.Error
		at := Excerpt{File: w.place(f.step.File), Line: e.Line, Column: e.Column, Width: e.Width, Owner: f.step.Line, Message: e.Message}
		if at.Line == 0 {
			at.Line, at.Column, at.Width = f.step.Line, 1, 1
			at.Column, at.Width = firstWord(source, f.step.Line)
		}
		s.excerpt(b, at, source)
	}
	for i, a := range bad {
		if i == maxOperands {
			w.fact(b, "also", fmt.Sprintf("%d more assertions failed", len(bad)-i))
			break
		}
		at := Excerpt{File: w.place(f.step.File), Line: a.Line, Column: a.Column, Width: a.Width, Owner: f.step.Line, Message: a.Message}
		if a.Implicit || at.Line == 0 {
			at.Line = f.step.Line
			at.Column, at.Width = firstWord(source, f.step.Line)
			at.Message = fmt.Sprintf("%s expects %s: %s", f.step.Action, a.Expression, a.Message)
		}
		s.excerpt(b, at, source)
		w.operands(b, a)
		w.diff(b, a)
	}
}

// firstWord gives the column and width of a line's text.
func firstWord(source []byte, line int) (column, width int) {
	lines := strings.Split(string(source), "\n")
	if line < 1 || line > len(lines) {
		return 1, 1
	}
	text := []rune(strings.TrimRight(lines[line-1], " \r"))
	for column < len(text) && (text[column] == ' ' || text[column] == '-') {
		column++
	}
	return column + 1, max(1, len(text)-column)
}

func (w *Writer) fact(b *bytes.Buffer, name, text string) {
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		head := "    = " + pad(name, 9)
		if i > 0 {
			head = strings.Repeat(" ", 15)
		}
		fmt.Fprintf(b, "%s %s\n", w.options.Style.paint(dim, head), line)
	}
}

// operands lists the parts of a failed expression, unless the message has said
// them all.
func (w *Writer) operands(b *bytes.Buffer, a event.Assertion) {
	var lines []string
	for i, o := range a.Operands {
		if i == maxOperands {
			lines = append(lines, fmt.Sprintf("%s %d more", w.options.Style.ellipsis(), len(a.Operands)-i))
			break
		}
		switch {
		case o.Text == a.Expression:
			continue
		case o.Missing != "":
			lines = append(lines, fmt.Sprintf("%s is missing: %s", o.Text, o.Missing))
		case o.Error != "":
			lines = append(lines, fmt.Sprintf("%s: %s", o.Text, o.Error))
		default:
			lines = append(lines, fmt.Sprintf("%s = %s", o.Text, value.Describe(o.Value, maxBody)))
		}
	}
	if len(lines) > 1 || len(lines) == 1 && !a.HasActual {
		w.fact(b, "where", clean(strings.Join(lines, "\n")))
	}
}

// diff prints the differences, path first.
func (w *Writer) diff(b *bytes.Buffer, a event.Assertion) {
	if len(a.Diff) == 0 {
		return
	}
	s := w.options.Style
	lines := []string{fmt.Sprintf("(- expected, + actual, %d differ)", len(a.Diff)+a.DiffMore)}
	show := func(v any, missing bool) string {
		if missing {
			return "<missing>"
		}
		if text, ok := v.(string); ok && strings.HasPrefix(text, "#") {
			return text // a marker reads as it was written
		}
		text := value.Compact(v)
		if len(text) > maxBody {
			text = string([]rune(text)[:min(maxBody, len([]rune(text)))]) + s.ellipsis()
		}
		return text
	}
	for _, c := range a.Diff {
		lines = append(lines, "  "+c.Path,
			s.paint(red, "    - "+oneLine(show(c.Expected, c.ExpectedMissing))),
			s.paint(green, "    + "+oneLine(show(c.Actual, c.ActualMissing))))
	}
	if a.DiffMore > 0 {
		lines = append(lines, fmt.Sprintf("  %s %d more", s.ellipsis(), a.DiffMore))
	}
	w.fact(b, "diff", strings.Join(lines, "\n"))
}

func (w *Writer) facts(b *bytes.Buffer, f *failure, bad []event.Assertion) {
	s := w.options.Style
	w.response(b, f.end)
	if e := f.end.Error; e != nil {
		for _, d := range e.Details {
			w.fact(b, "detail", clean(d))
		}
	}
	var also []string
	if n := len(f.end.Assertions); n > 1 {
		also = append(also, fmt.Sprintf("%d of %d assertions passed", n-len(bad), n))
	}
	if f.end.Tries > 1 {
		also = append(also, fmt.Sprintf("%d tries", f.end.Tries))
	}
	if f.later > 0 {
		also = append(also, fmt.Sprintf("%d later %s skipped", f.later, plural(f.later, "step")))
	}
	if f.end.Ignored {
		also = append(also, "ignored: it does not count (on_failure: ignore)")
	}
	if len(also) > 0 {
		w.fact(b, "also", strings.Join(also, " "+s.dot()+" "))
	}
	w.values(b, f.end.Values)
	if e := f.end.Error; e != nil {
		if e.Blame != "" && e.Blame != "system" {
			w.fact(b, "blame", blameText(e.Blame))
		}
		if e.Hint != "" {
			w.fact(b, "hint", clean(e.Hint))
		}
	}
	if w.options.Next != nil {
		if next := w.options.Next(f.run, f.step, f.end); len(next) > 0 {
			w.fact(b, "next", strings.Join(next, "\n"))
		}
	}
}

func blameText(blame string) string {
	switch blame {
	case "plugin":
		return "the plugin: this is not a fault of your flow or your service"
	case "agent":
		return "the machine that runs the flow"
	case "definition":
		return "the flow, or a value given to it"
	case "testmesh":
		return "TestMesh: please report it"
	}
	return blame
}

// response prints what the system answered, where the result has the shape of
// an answer.
func (w *Writer) response(b *bytes.Buffer, end *event.StepFinished) {
	result, ok := end.Result.(map[string]any)
	if !ok {
		if end.ResultPreview != "" {
			w.fact(b, "result", oneLine(end.ResultPreview[:min(len(end.ResultPreview), maxBody)]))
		}
		return
	}
	status, ok := result["status"]
	if !ok {
		return
	}
	parts := []string{strings.TrimSpace(value.Text(status) + " " + text(result["status_text"]))}
	if ms, ok := value.Float(result["time"]); ok {
		parts = append(parts, fmt.Sprintf("%.0f ms", ms))
	}
	if t := text(result["content_type"]); t != "" {
		parts = append(parts, t)
	}
	if n, ok := value.Int(result["size"]); ok {
		parts = append(parts, fmt.Sprintf("%d B", n))
	}
	w.fact(b, "response", oneLine(strings.Join(parts, " "+w.options.Style.dot()+" ")))
	if body, ok := result["body"]; ok && body != nil {
		w.fact(b, "body", oneLine(w.preview(body)))
	}
	if problem := text(result["body_error"]); problem != "" {
		w.fact(b, "note", oneLine(problem))
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// preview prints as many members of a body as fit, and how many more there are.
func (w *Writer) preview(body any) string {
	m, ok := body.(map[string]any)
	if !ok || len(value.Compact(body)) <= maxBody {
		t := value.Text(body)
		if r := []rune(t); len(r) > maxBody {
			return string(r[:maxBody]) + w.options.Style.ellipsis() + fmt.Sprintf(" (%d B)", len(t))
		}
		return t
	}
	out, left := "{", len(m)
	for _, k := range value.Keys(m) {
		member := value.Compact(k) + ": " + value.Compact(m[k])
		if len(out)+len(member) > maxBody {
			continue
		}
		if out != "{" {
			out += ","
		}
		out += " " + member
		left--
	}
	return fmt.Sprintf("%s, %s +%d }", out, w.options.Style.ellipsis(), left)
}

// values lists the names in play and where each came from.
func (w *Writer) values(b *bytes.Buffer, used []event.Used) {
	if len(used) == 0 {
		return
	}
	nameWidth, valueWidth := 0, 0
	shown := make([]string, len(used))
	for i, u := range used {
		shown[i] = oneLine(value.Text(u.Value))
		if r := []rune(shown[i]); len(r) > 60 {
			shown[i] = string(r[:60]) + w.options.Style.ellipsis()
		}
		nameWidth = max(nameWidth, len([]rune(u.Name)))
		valueWidth = max(valueWidth, min(40, len([]rune(shown[i]))))
	}
	var lines []string
	for i, u := range used {
		if i == maxValues {
			lines = append(lines, fmt.Sprintf("%s %d more", w.options.Style.ellipsis(), len(used)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("%s = %s   %s", pad(u.Name, nameWidth), pad(shown[i], valueWidth), w.options.Style.paint(dim, u.Origin)))
	}
	w.fact(b, "values", strings.Join(lines, "\n"))
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
