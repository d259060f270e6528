package text

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

// claim prints what explains a failed assertion beyond its message: the parts
// that it was made of, where texts differ, where structures do.
func (w *Writer) claim(b *bytes.Buffer, a *event.Assertion, several bool) {
	which := ""
	if several && a.Line > 0 {
		which = fmt.Sprintf("line %d: ", a.Line)
	}
	w.operands(b, a, which)
	w.texts(b, a, which)
	w.diff(b, a, which)
}

// operands lists the parts of a failed expression, unless the message has said
// them all.
func (w *Writer) operands(b *bytes.Buffer, a *event.Assertion, which string) {
	s := w.options.Style
	var lines []string
	left, news := 0, false
	told := func(v any) bool {
		return a.HasActual && value.Equal(v, a.Actual) || a.HasExpected && value.Equal(v, a.Expected)
	}
	for _, o := range a.Operands {
		line := ""
		switch {
		case o.Text == a.Expression || len(a.Diff) > 0 && o.Missing == "" && o.Error == "":
			continue // the message, or the diff, has it
		case o.Missing != "":
			line = fmt.Sprintf("%s is missing: %s", o.Text, o.Missing)
		case o.Error != "":
			line = fmt.Sprintf("%s: %s", o.Text, o.Error)
		default:
			line = fmt.Sprintf("%s = %s", o.Text, value.Describe(o.Value, maxBody))
			news = news || !told(o.Value)
		}
		if strings.Contains(a.Message, line) || o.Missing != "" && strings.Contains(a.Message, o.Missing) {
			continue
		}
		if len(lines) >= maxOperands {
			left++
			continue
		}
		news = news || o.Missing != "" || o.Error != ""
		if len(lines) == 0 {
			line = which + line
		}
		lines = append(lines, wrap(OneLine(shorten(line, 2*maxBody, s)), s.width()-factColumns)...)
	}
	if len(lines) == 0 || !news {
		return
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("%s %d more", s.ellipsis(), left))
	}
	w.list(b, "where", lines)
}

const (
	// longText is from where on a message does not show all of a text.
	longText = 60
	// textBefore and textAfter are what is shown around a difference.
	textBefore, textAfter = 20, 30
)

// texts shows where two long texts differ, or two that look the same.
func (w *Writer) texts(b *bytes.Buffer, a *event.Assertion, which string) {
	want, okWant := a.Expected.(string)
	got, okGot := a.Actual.(string)
	if !okWant || !okGot || want == got || !strings.Contains(a.Message, "expected") {
		return
	}
	if len(want) <= longText && len(got) <= longText && Columns(Clean(want)) == len(want) && Columns(Clean(got)) == len(got) {
		return
	}
	at, n := 0, 0 // in bytes, in characters
	for at < len(want) && at < len(got) {
		r, size := utf8.DecodeRuneInString(want[at:])
		if q, _ := utf8.DecodeRuneInString(got[at:]); q != r {
			break
		}
		at, n = at+size, n+1
	}
	s := w.options.Style
	w.list(b, "differ", []string{
		fmt.Sprintf("%sat character %d: expected %s, got %s", which, n+1, named(want[at:]), named(got[at:])),
		s.paint(red, "- "+w.around(want, at)),
		s.paint(green, "+ "+w.around(got, at)),
	})
}

// named is the first character of s with its code, since some look like others
// or like nothing.
func named(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case size == 0:
		return "the end"
	case r == utf8.RuneError && size == 1:
		return fmt.Sprintf(`\x%02x`, s[0])
	case r > ' ' && r < 0x7f:
		return fmt.Sprintf("%q", r)
	}
	return fmt.Sprintf("%q (U+%04X)", r, r)
}

// around is what stands before and after a byte of s.
func (w *Writer) around(s string, at int) string {
	mark := w.options.Style.ellipsis()
	from := at
	for i := 0; i < textBefore && from > 0; i++ {
		_, size := utf8.DecodeLastRuneInString(s[:from])
		from -= size
	}
	to := at
	for i := 0; i < textAfter && to < len(s); i++ {
		_, size := utf8.DecodeRuneInString(s[to:])
		to += size
	}
	out := value.Compact(s[from:to])
	if from > 0 {
		out = mark + out
	}
	if to < len(s) {
		out += mark
	}
	return OneLine(out)
}

// diff prints the differences, path first.
func (w *Writer) diff(b *bytes.Buffer, a *event.Assertion, which string) {
	if len(a.Diff) == 0 {
		return
	}
	s := w.options.Style
	lines := []string{fmt.Sprintf("%s(- expected, + actual, %d differ)", which, len(a.Diff)+a.DiffMore)}
	if n := len(a.Diff) + a.DiffMore; n == 1 {
		lines[0] = which + "(- expected, + actual)"
	}
	for _, c := range a.Diff {
		lines = append(lines, "  "+OneLine(c.Path),
			s.paint(red, "    - "+w.side(c.Expected, c.ExpectedMissing)),
			s.paint(green, "    + "+w.side(c.Actual, c.ActualMissing)))
	}
	if a.DiffMore > 0 {
		lines = append(lines, fmt.Sprintf("  %s %d more", s.ellipsis(), a.DiffMore))
	}
	w.list(b, "diff", lines)
}

// side is one side of a difference. A marker reads as it was written.
func (w *Writer) side(v any, missing bool) string {
	if missing {
		return "<missing>"
	}
	t, ok := v.(string)
	if !ok || !strings.HasPrefix(t, "#") {
		t = value.Compact(v)
	}
	return OneLine(shorten(t, maxBody, w.options.Style))
}
