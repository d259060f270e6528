package source

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/value"
)

// Line is a line of a file for an excerpt under a message.
type Line struct {
	Number int
	Text   string // without its break, tabs as one blank
	// Column and Width say where the carets stand, in characters from 1; Width
	// is 0 on lines that are only context.
	Column int
	Width  int
}

// Excerpt gives the line at pos, with carets of width characters under it, and
// around lines of context before and after. width 0 makes one caret.
func Excerpt(data []byte, pos Pos, width, around int) []Line {
	t := newText(pos.File, data)
	if pos.Line < 1 || pos.Line > len(t.starts) {
		return nil
	}
	var out []Line
	for n := max(1, pos.Line-around); n <= min(len(t.starts), pos.Line+around); n++ {
		line := Line{Number: n, Text: strings.ReplaceAll(t.lineText(n), "\t", " ")}
		if n == pos.Line && pos.Column > 0 {
			length := utf8.RuneCountInString(line.Text)
			line.Column = min(pos.Column, length+1)
			line.Width = max(1, min(width, length-line.Column+1))
		}
		if n > pos.Line && n == len(t.starts) && line.Text == "" {
			break // the end of the file, not a line
		}
		out = append(out, line)
	}
	return out
}

// Suggest is the did-you-mean of a message: `did you mean "timeout"?`, or "".
func Suggest(name string, candidates []string) string {
	if near := value.Closest(name, candidates); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

// lastLine is the number of the last line with text.
func (t *text) lastLine() int {
	n := len(t.starts)
	for n > 1 && strings.TrimSpace(t.lineText(n)) == "" {
		n--
	}
	return n
}

// lineAbove is the nearest line above n that has more than a comment.
func (t *text) lineAbove(n int) (string, int) {
	for n--; n >= 1; n-- {
		s := t.lineText(n)
		if body := strings.TrimSpace(s); body != "" && body[0] != '#' {
			return s, n
		}
	}
	return "", 0
}

// openIndents are the indentations of the blocks that are open above line n,
// the outer first.
func (t *text) openIndents(n int) []int {
	const look = 1000 // lines: farther than any block that one sees at once
	var out []int
	limit := 1 << 30
	for line := n - 1; line >= max(1, n-look) && limit > 0; line-- {
		s := t.lineText(line)
		body := strings.TrimSpace(s)
		if body == "" || body[0] == '#' {
			continue
		}
		if strings.HasPrefix(body, "- ") {
			inner := indentOf(s) + len(body) - len(strings.TrimLeft(body[1:], " "))
			if inner < limit {
				out = append([]int{inner}, out...)
				limit = inner
			}
		}
		if indent := indentOf(s); indent < limit {
			out = append([]int{indent}, out...)
			limit = indent
		}
	}
	return out
}

// restOf is the line from a place on.
func (t *text) restOf(line, column int) string {
	s := t.lineText(line)
	for i := range s {
		if column--; column < 1 {
			return s[i:]
		}
	}
	return ""
}

// placeholderAt is {{ x }} with what follows it on the line.
func (t *text) placeholderAt(line, column int) string {
	_, val := splitValue(t.lineText(line))
	if rest := t.restOf(line, column); strings.HasSuffix(val, rest) {
		return clipText(rest, 200)
	}
	return "{{"
}

// quoteFrom is the line with what begins at column, to its end, in quotes; ""
// where that is not certainly the value.
func (t *text) quoteFrom(line, column int) string {
	s := t.lineText(line)
	rest := t.restOf(line, column)
	prefix, val := splitValue(s)
	if rest == "" || val != rest {
		return ""
	}
	return prefix + quoteValue(val)
}

// splitValue takes a line apart: what stands before its value (blanks, dashes,
// a key and its colon) and the value.
func splitValue(line string) (prefix, val string) {
	at := indentOf(line)
	for strings.HasPrefix(line[at:], "- ") {
		at += 2
		for at < len(line) && line[at] == ' ' {
			at++
		}
	}
	if n := keyLength(line[at:]); n > 0 && strings.HasPrefix(line[at+n:], ": ") {
		at += n + 2
		for at < len(line) && line[at] == ' ' {
			at++
		}
	}
	return line[:at], line[at:]
}

// keyLength is the length of a plain key at the beginning of s.
func keyLength(s string) int {
	n := 0
	for n < len(s) {
		c := s[n]
		if c != '_' && c != '-' && c != '.' && c != '$' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			break
		}
		n++
	}
	return n
}

// quoteValue puts a value in quotes, but not the comment after it.
func quoteValue(val string) string {
	comment := ""
	if at := strings.Index(val, " # "); at >= 0 {
		val, comment = val[:at], val[at:]
	}
	val = strings.TrimRight(val, " ")
	return quoted(val) + comment
}

// quoted writes s in the quotes that need no escapes: double, else single.
func quoted(s string) string {
	if !strings.ContainsAny(s, `"\`) {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

func indentOf(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }

func clipRunes(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}

func joinInts(ns []int) string {
	var b strings.Builder
	for i, n := range ns {
		switch {
		case i > 0 && i == len(ns)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, n)
	}
	return b.String()
}

// Corrected is the line at pos with old, which must stand there, replaced by
// replacement; "" where it does not stand there.
func Corrected(data []byte, pos Pos, old, replacement string) string {
	lines := Excerpt(data, Pos{Line: pos.Line, Column: pos.Column}, 1, 0)
	if len(lines) == 0 || pos.Column < 1 {
		return ""
	}
	runes := []rune(lines[0].Text)
	if pos.Column > len(runes)+1 {
		return ""
	}
	before, rest := string(runes[:pos.Column-1]), string(runes[pos.Column-1:])
	if !strings.HasPrefix(rest, old) {
		return ""
	}
	return before + replacement + rest[len(old):]
}
