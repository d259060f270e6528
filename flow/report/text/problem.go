package text

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/source"
)

// problemLines is how many lines above a definition error are shown.
const problemLines = 2

// Problem prints a definition error: place, offending text, what is wrong and
// what to write instead. file is the text of the file that it is in.
func (s Style) Problem(b *bytes.Buffer, p source.Problem, file []byte) {
	label, color := "INVALID", red
	if p.Severity == source.Note {
		label, color = "NOTE", cyan
	}
	place := OneLine(p.Pos.File)
	if place == "" {
		place = "command line"
	}
	s.heading(b, label, color, place, string(p.Code))
	width := utf8.RuneCountInString(strings.SplitN(p.Text, "\n", 2)[0])
	at := excerpt{
		file: p.Pos.File, source: string(file), before: problemLines,
		marks: []mark{{p.Pos.Line, p.Pos.Column, width, p.Message}},
	}
	if p.Pos.Line == 0 {
		// It is about no line: the heading has said where.
		for _, line := range wrap(s.plain(Clean(p.Message)), s.width()-4) {
			fmt.Fprintf(b, "    %s\n", line)
		}
	} else {
		s.excerpt(b, at)
	}
	if p.Hint != "" {
		s.fact(b, "help", Clean(p.Hint))
	}
	if len(p.InScope) > 0 {
		s.fact(b, "in scope", OneLine(strings.Join(p.InScope, ", ")))
	}
	if p.Fix != "" {
		s.list(b, "write", strings.Split(Clean(strings.TrimSpace(p.Fix)), "\n"))
	}
	b.WriteByte('\n')
}

// heading is the first line of a block: the label, what it is about, and on the
// right its code.
func (s Style) heading(b *bytes.Buffer, label, color, title, code string) {
	label, title, code = Pad(label, 5), OneLine(title), OneLine(code)
	line := s.paint(bold+";"+color, label) + " " + s.paint(bold, title)
	if code != "" {
		gap := s.headWidth() - Columns(label) - 1 - Columns(title) - Columns(code)
		line += strings.Repeat(" ", max(2, gap)) + s.paint(dim, code)
	}
	b.WriteString(line + "\n")
}

// factColumns is where the text of a fact begins.
const factColumns = 16

// fact prints one fact below an excerpt, wrapped below itself.
func (s Style) fact(b *bytes.Buffer, name, text string) {
	s.list(b, name, wrap(text, s.width()-factColumns))
}

// list prints a fact of several lines.
func (s Style) list(b *bytes.Buffer, name string, lines []string) {
	for i, line := range lines {
		line = s.plain(line)
		head := strings.Repeat(" ", factColumns)
		if i == 0 {
			head = s.paint(dim, "    = "+Pad(name, factColumns-7)) + " "
		}
		fmt.Fprintf(b, "%s\n", strings.TrimRight(head+line, " "))
	}
}
