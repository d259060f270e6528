package text

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
)

// Problem prints a definition error: place, offending text, what is wrong and
// what to write instead.
func (s Style) Problem(b *bytes.Buffer, p source.Problem, file []byte) {
	label := s.paint(bold+";"+red, "INVALID")
	if p.Severity == source.Note {
		label = s.paint(bold+";"+cyan, "NOTE   ")
	}
	place := p.Pos.File
	if place == "" {
		place = "command line"
	}
	gap := max(2, 72-len([]rune(place))-len(p.Code))
	fmt.Fprintf(b, "%s %s%s%s\n", label, s.paint(bold, place), strings.Repeat(" ", gap), s.paint(dim, string(p.Code)))
	width := len([]rune(strings.SplitN(p.Text, "\n", 2)[0]))
	s.excerpt(b, Excerpt{File: p.Pos.File, Line: p.Pos.Line, Column: p.Pos.Column, Width: width, Message: p.Message}, file)
	line := func(name, text string) {
		fmt.Fprintf(b, "    %s %s\n", s.paint(dim, "= "+pad(name, 9)), clean(text))
	}
	if p.Hint != "" {
		line("help", p.Hint)
	}
	if len(p.InScope) > 0 {
		line("in scope", strings.Join(p.InScope, ", "))
	}
	if p.Fix != "" {
		line("write", strings.TrimSpace(p.Fix))
	}
	b.WriteByte('\n')
}

// Bad paints the word of a verdict that is not green.
func (s Style) Bad(word string) string { return s.paint(bold+";"+red, word) }

// Good paints the word of a green verdict.
func (s Style) Good(word string) string { return s.paint(bold+";"+green, word) }

// Dim paints what is secondary.
func (s Style) Dim(word string) string { return s.paint(dim, word) }

// Dot separates facts on a line.
func (s Style) Dot() string { return s.dot() }
