// Package plain says in plain words what a run was and why it ended as it did,
// for the reports that are no terminal: names, one-line messages, explanations,
// all bounded and without control characters. It judges and prints nothing.
package plain

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxMessage bounds a one-line message, maxValue one value in an explanation,
	// maxExplained all of it, in bytes: a reader looks for the cause, not the body.
	maxMessage   = 500
	maxValue     = 1000
	maxExplained = 8 << 10
	// maxChanges and maxDetails bound lists in an explanation.
	maxChanges = 50
	maxDetails = 20
)

// Name is what a run is called: "checkout [row 3 ada] (staging, eu-1)".
func Name(started *event.Event) string {
	s := started.RunStarted
	name := started.Flow
	switch {
	case s.Row != nil && s.Row.Name != "":
		name += fmt.Sprintf(" [row %d %s]", s.Row.Index+1, s.Row.Name)
	case s.Row != nil:
		name += fmt.Sprintf(" [row %d]", s.Row.Index+1)
	case s.Iteration > 1:
		name += fmt.Sprintf(" [iteration %d]", s.Iteration)
	}
	var at []string
	for _, where := range []string{s.Environment, s.Agent} {
		if where != "" && where != "local" {
			at = append(at, where)
		}
	}
	if len(at) > 0 {
		name += " (" + strings.Join(at, ", ") + ")"
	}
	if name = Line(name, maxMessage); name == "" {
		return "unnamed"
	}
	return name
}

// Path is where a step is in its run: "loop[1] › pay".
func Path(s *event.Step) string {
	if len(s.Path) == 0 {
		return Line(s.ID, maxMessage)
	}
	return Line(strings.Join(s.Path, " › "), maxMessage)
}

// Why is a run's verdict in one line: its first failure that counts, else the
// reason it gives; "" for a run that passed.
func Why(r *cause.Run, end *event.RunFinished) string {
	if end.Status == event.Passed {
		return ""
	}
	if f := r.First(); f != nil && end.Status != event.Skipped {
		return Line(Path(f.Step)+": "+Message(f.End), maxMessage)
	}
	if end.Reason == "" {
		return "no step says why"
	}
	return Line(end.Reason, maxMessage)
}

// Message is what was wrong with a step, in one line.
func Message(end *event.StepFinished) string {
	if bad := cause.Broken(end.Assertions); len(bad) > 0 {
		return Line(Claim(&bad[0]), maxMessage)
	}
	return Line(said(end.Error, end.Reason, end.Status), maxMessage)
}

// Retry is why a try was not the last one, in one line.
func Retry(r *event.Retrying) string {
	if bad := cause.Broken(r.Assertions); len(bad) > 0 {
		return Line(Claim(&bad[0]), maxMessage)
	}
	return Line(said(r.Error, "", r.Status), maxMessage)
}

func said(e *event.Error, reason string, status event.Status) string {
	switch {
	case e != nil && e.Code != "":
		return e.Code + " " + e.Message
	case e != nil:
		return e.Message
	case reason != "":
		return reason
	}
	return string(status)
}

// Claim is an assertion with what was wrong with it.
func Claim(a *event.Assertion) string {
	if a.Message == "" {
		return a.Expression
	}
	return a.Expression + ": " + a.Message
}

// Code is the kind of a step's failure, as `testmesh explain` knows it.
func Code(end *event.StepFinished) string {
	if end.Error != nil && end.Error.Code != "" {
		return Line(end.Error.Code, maxMessage)
	}
	if len(cause.Broken(end.Assertions)) > 0 {
		return "E-ASSERT"
	}
	return ""
}

// Place is where in its file a failure is; 0 where it is not known.
func Place(f *cause.Failure) (line, column int) {
	if bad := cause.Broken(f.End.Assertions); len(bad) > 0 && bad[0].Line > 0 {
		return bad[0].Line, max(bad[0].Column, 0)
	}
	if e := f.End.Error; e != nil && e.Line > 0 {
		return e.Line, max(e.Column, 0)
	}
	return max(f.Step.Line, 0), 0
}

// Explain is all that is known of a failure, over several lines.
func Explain(f *cause.Failure) string {
	var b strings.Builder
	for _, a := range cause.Broken(f.End.Assertions) {
		if b.Len() > maxExplained {
			break
		}
		fmt.Fprintf(&b, "%s\n", Cut(a.Expression, maxValue))
		if a.Message != "" {
			fmt.Fprintf(&b, "  %s\n", Cut(a.Message, maxValue))
		}
		changes(&b, &a)
	}
	if e := f.End.Error; e != nil {
		fmt.Fprintf(&b, "%s\n", Cut(said(e, "", f.End.Status), maxValue))
		for i, d := range e.Details {
			if i == maxDetails {
				fmt.Fprintf(&b, "  %d more\n", len(e.Details)-i)
				break
			}
			fmt.Fprintf(&b, "  %s\n", Cut(d, maxValue))
		}
		if e.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", Cut(e.Hint, maxValue))
		}
	}
	if b.Len() == 0 {
		fmt.Fprintf(&b, "%s\n", Cut(said(nil, f.End.Reason, f.End.Status), maxValue))
	}
	if f.Request.Summary != "" {
		fmt.Fprintf(&b, "request: %s\n", Cut(f.Request.Summary, maxValue))
	}
	if m, ok := f.End.Result.(map[string]any); ok && m["body"] != nil {
		fmt.Fprintf(&b, "body: %s\n", Cut(value.Text(m["body"]), maxValue))
	}
	if f.Later > 0 {
		fmt.Fprintf(&b, "steps skipped because of this: %d\n", f.Later)
	}
	return Clean(Cut(strings.TrimRight(b.String(), "\n"), maxExplained))
}

func changes(b *strings.Builder, a *event.Assertion) {
	more := a.DiffMore
	for i, c := range a.Diff {
		if i == maxChanges {
			more += len(a.Diff) - i
			break
		}
		fmt.Fprintf(b, "  %s: expected %s, got %s\n", c.Path, shown(c.Expected, c.ExpectedMissing), shown(c.Actual, c.ActualMissing))
	}
	if more > 0 {
		fmt.Fprintf(b, "  %d more differences\n", more)
	}
}

func shown(v any, missing bool) string {
	if missing {
		return "nothing"
	}
	return Cut(value.Compact(v), maxValue)
}

// Line is s in one line of at most limit bytes, without control characters.
func Line(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, Clean(Head(s, 4*limit))) // what is cleaned away may be long, too
	s = strings.TrimSpace(s)
	if len(s) > limit {
		return Head(s, limit) + "…"
	}
	return s
}

// Cell is s for a spreadsheet: a text that it would calculate gets an apostrophe
// in front, which is how a person writes it there (OWASP, CSV injection).
func Cell(s string) string {
	first, _ := utf8.DecodeRuneInString(s)
	if s != "" && strings.ContainsRune("=+-@|%＝＋－＠", first) {
		return "'" + s
	}
	return s
}

// Cut is at most limit bytes of s, and says how many there were.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return Head(s, limit) + fmt.Sprintf("… (cut: %d bytes)", len(s))
}

// Head is at most n bytes of s, in whole characters.
func Head(s string, n int) string {
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:min(n, len(s))]
}

// Clean drops control characters but for tab and line feed, what turns the
// direction of a text around, and escape sequences of terminals; U+2028, U+2029
// and U+0085 become line feeds, for readers that do not take them for such.
func Clean(s string) string {
	if strings.IndexByte(s, 0x1b) >= 0 {
		s = withoutEscapes(s)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n':
			return r
		case r == '\u2028', r == '\u2029', r == '\u0085':
			return '\n'
		case r < 0x20, r >= 0x7f && r < 0xa0, r == '\ufeff', r&0xfffe == 0xfffe,
			r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// withoutEscapes drops CSI sequences (ECMA-48 section 5.4): ESC [, parameters,
// one final byte. Of other escapes only the ESC goes, with Clean.
func withoutEscapes(s string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n := 0
		for n < len(rest) && rest[n] >= 0x20 && rest[n] < 0x40 {
			n++
		}
		if n < len(rest) && rest[n] >= 0x40 && rest[n] < 0x7f {
			n++
		}
		s = rest[n:]
	}
}
