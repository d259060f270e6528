package text

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxBody bounds a body or value in a failure.
	maxBody = 160
	// maxValues, maxOperands and maxDetails bound what is listed below one.
	maxValues   = 8
	maxOperands = 8
	maxDetails  = 12
	// maxShownValue is where a value in play is cut, valueColumn up to where
	// their origins are aligned.
	maxShownValue = 60
	valueColumn   = 40
)

func (w *Writer) fact(b *bytes.Buffer, name, text string) { w.options.Style.fact(b, name, text) }

func (w *Writer) list(b *bytes.Buffer, name string, lines []string) {
	w.options.Style.list(b, name, lines)
}

// facts print what is known about a failure beside its place.
func (w *Writer) facts(b *bytes.Buffer, f *failure) {
	bad := cause.Broken(f.End.Assertions)
	for i := range bad[:min(len(bad), maxMarks)] {
		w.claim(b, &bad[i], len(bad) > 1)
	}
	if f.Request.Summary != "" && w.options.Format != Verbose {
		request, _, _ := strings.Cut(f.Request.Summary, " → ")
		w.fact(b, "request", OneLine(shorten(request, maxBody, w.options.Style)))
	}
	w.response(b, f.End)
	w.details(b, f.End.Error)
	w.also(b, f, bad)
	w.values(b, f.End.Values)
	if e := f.End.Error; e != nil {
		if blame := blameText(e.Blame); blame != "" {
			w.fact(b, "blame", blame)
		}
		if e.Hint != "" {
			w.fact(b, "hint", Clean(e.Hint))
		}
	}
	if w.options.Next != nil {
		var lines []string
		for _, line := range w.options.Next(f.run, f.Step, f.End) {
			lines = append(lines, OneLine(line))
		}
		w.list(b, "next", lines)
	}
}

// also says what else happened to the step, and what it did to others.
func (w *Writer) also(b *bytes.Buffer, f *failure, bad []event.Assertion) {
	dot := " " + w.options.Style.dot() + " "
	var also []string
	if n := len(f.End.Assertions); n > 1 {
		also = append(also, fmt.Sprintf("%d of %d assertions passed", n-len(bad), n))
	}
	if n := len(bad) - maxMarks; n > 0 {
		also = append(also, plural(n, "more failed assertion")+" not shown")
	}
	if f.End.Tries > 1 {
		also = append(also, fmt.Sprintf("this is try %d", f.End.Tries))
	}
	if f.Later > 0 {
		also = append(also, plural(f.Later, "later step")+" skipped")
	}
	if f.Handler {
		also = append(also, "a handler changes no verdict")
	} else if f.Ignored {
		also = append(also, "it does not count (on_failure: ignore)")
	}
	if len(also) > 0 {
		w.fact(b, "also", strings.Join(also, dot))
	}
	if f.moreN > 0 {
		var same []string
		for _, again := range f.more {
			same = append(same, again.title(w.options.Style.arrow()))
		}
		text := strings.Join(same, ", ")
		if n := f.moreN - len(f.more); n > 0 {
			text += fmt.Sprintf(" and %d more", n)
		}
		w.fact(b, "same in", text)
	}
}

func (w *Writer) details(b *bytes.Buffer, e *event.Error) {
	if e == nil || len(e.Details) == 0 {
		return
	}
	var lines []string
	for i, d := range e.Details {
		if i == maxDetails {
			lines = append(lines, fmt.Sprintf("%s %d more", w.options.Style.ellipsis(), len(e.Details)-i))
			break
		}
		lines = append(lines, wrap(Clean(shorten(d, 4*maxBody, w.options.Style)), w.options.Style.width()-factColumns)...)
	}
	w.list(b, "detail", lines)
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
	return "" // the system under test goes without saying
}

// response prints what the system answered, where the result has the shape of
// an answer.
func (w *Writer) response(b *bytes.Buffer, end *event.StepFinished) {
	s := w.options.Style
	result, ok := end.Result.(map[string]any)
	switch {
	case !ok && end.ResultPreview != "":
		w.fact(b, "result", OneLine(shorten(end.ResultPreview, maxBody, s)))
		return
	case !ok:
		return
	}
	status, ok := result["status"]
	if !ok {
		if len(result) > 0 {
			w.fact(b, "result", OneLine(w.preview(result)))
		}
		return
	}
	parts := []string{strings.TrimSpace(value.Text(status) + " " + text(result["status_text"]))}
	described, _ := status.(map[string]any) // a name, what the system says of it, and details
	if name := text(described["name"]); name != "" {
		parts[0] = strings.TrimSuffix(name+": "+text(described["message"]), ": ")
	}
	if ms, ok := value.Float(result["time"]); ok {
		parts = append(parts, fmt.Sprintf("%.0f ms", ms))
	}
	if t := text(result["content_type"]); t != "" {
		parts = append(parts, t)
	}
	if n, ok := value.Int(result["size"]); ok {
		parts = append(parts, size(n))
	}
	w.fact(b, "response", OneLine(strings.Join(parts, " "+s.dot()+" ")))
	if details, ok := described["details"].([]any); ok && len(details) > 0 {
		w.fact(b, "details", OneLine(w.preview(details)))
	}
	if body, ok := result["body"]; ok && body != nil && body != "" {
		w.fact(b, "body", OneLine(w.preview(body)))
	}
	if problem := text(result["body_error"]); problem != "" {
		w.fact(b, "note", OneLine(problem))
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// preview prints as many members of a body as fit, and how many more there are.
func (w *Writer) preview(body any) string {
	s := w.options.Style
	m, ok := body.(map[string]any)
	if !ok {
		t := value.Text(body)
		cut := shorten(t, maxBody, s)
		if cut != t {
			cut += fmt.Sprintf(" (%s)", size(int64(len(t))))
		}
		return cut
	}
	out, left := "", len(m)
	for _, k := range value.Keys(m) {
		member := value.Compact(k) + ": " + value.Compact(m[k])
		if len(out)+len(member) > maxBody {
			continue
		}
		if out != "" {
			out += ","
		}
		out += " " + member
		left--
	}
	switch {
	case left == 0 && out == "":
		return "{}"
	case left == 0:
		return "{" + out + " }"
	case out == "":
		return fmt.Sprintf("{ %s %s }", s.ellipsis(), plural(left, "member"))
	}
	return fmt.Sprintf("{%s, %s +%d }", out, s.ellipsis(), left)
}

// values lists the names in play and where each came from.
func (w *Writer) values(b *bytes.Buffer, used []event.Used) {
	if len(used) == 0 {
		return
	}
	s := w.options.Style
	shown := used[:min(len(used), maxValues)]
	nameColumns, valueColumns := 0, 0
	texts := make([]string, len(shown))
	for i, u := range shown {
		texts[i] = s.Clip(OneLine(shorten(value.Text(u.Value), 4*maxShownValue, s)), maxShownValue)
		nameColumns = max(nameColumns, Columns(OneLine(u.Name)))
		valueColumns = max(valueColumns, min(valueColumn, Columns(texts[i])))
	}
	var lines []string
	for i, u := range shown {
		lines = append(lines, fmt.Sprintf("%s = %s  %s", Pad(OneLine(u.Name), nameColumns), Pad(texts[i], valueColumns), s.paint(dim, OneLine(u.Origin))))
	}
	if n := len(used) - len(shown); n > 0 {
		lines = append(lines, fmt.Sprintf("%s %d more", s.ellipsis(), n))
	}
	w.list(b, "values", lines)
}

// shorten cuts a text to so many characters.
func shorten(t string, n int, s Style) string {
	if len(t) <= n {
		return t
	}
	for i := range t {
		if n == 0 {
			return t[:i] + s.ellipsis()
		}
		n--
	}
	return t
}
