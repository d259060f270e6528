package text

import (
	"bytes"
	"fmt"
	"strings"
)

// Excerpt is the place of a message in a file.
type Excerpt struct {
	File    string
	Line    int
	Column  int
	Width   int    // characters to underline; at least one
	Owner   int    // line of the step that it belongs to; 0: none
	Message string // behind the carets
}

// ownerLines is how many lines of the step's beginning are shown.
const ownerLines = 2

// maxLineShown cuts lines that are wider than any terminal.
const maxLineShown = 200

// excerpt prints the source with carets: the step's first lines, then the line
// to blame. Without a source it prints the place and the message.
func (s Style) excerpt(b *bytes.Buffer, e Excerpt, source []byte) {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s:%d", e.File, e.Line)
		if e.Column > 0 {
			place += fmt.Sprintf(":%d", e.Column)
		}
	}
	bar := s.paint(blue, s.bar())
	fmt.Fprintf(b, "    %s %s\n", s.paint(blue, s.corner()), place)
	lines := strings.Split(string(source), "\n")
	if len(source) == 0 || e.Line < 1 || e.Line > len(lines) {
		fmt.Fprintf(b, "    %s %s\n    %s\n", bar, e.Message, bar)
		return
	}
	show := func(n int) {
		text := []rune(clean(strings.TrimRight(lines[n-1], "\r")))
		if len(text) > maxLineShown {
			text = append(text[:maxLineShown], []rune(s.ellipsis())...)
		}
		fmt.Fprintf(b, "%s %s %s\n", s.paint(blue, fmt.Sprintf("%3d", n)), bar, strings.TrimRight(strings.ReplaceAll(string(text), "\t", " "), " "))
	}
	fmt.Fprintf(b, "    %s\n", bar)
	last := 0
	if e.Owner > 0 && e.Owner < e.Line {
		for n := e.Owner; n < e.Line && n < e.Owner+ownerLines; n++ {
			show(n)
			last = n
		}
		if last > 0 && last < e.Line-1 {
			fmt.Fprintf(b, "    %s %s\n", bar, s.ellipsis())
		}
	}
	show(e.Line)
	column := max(e.Column, 1)
	width := max(1, min(e.Width, len([]rune(lines[e.Line-1]))-column+1))
	head := strings.Repeat(" ", column-1) + s.paint(red, strings.Repeat("^", width))
	for i, line := range strings.Split(clean(e.Message), "\n") {
		if i == 0 {
			fmt.Fprintf(b, "    %s %s %s\n", bar, head, line)
			continue
		}
		fmt.Fprintf(b, "    %s %s %s\n", bar, strings.Repeat(" ", column-1+width), line)
	}
	fmt.Fprintf(b, "    %s\n", bar)
}
