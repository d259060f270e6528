package source

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// text is a file as lines. Line breaks are \n alone and a byte order mark is
// gone: neither moves a line or column.
type text struct {
	path   string
	plain  string // normalised
	parsed string // plain, with the line breaks of YAML 1.1 replaced
	starts []int  // byte offset in plain of each line

	restore *strings.Replacer // nil: parsed is plain

	// The last place looked up: nodes come in file order, so that the next one
	// on a long line is found from there.
	line, column, offset int
}

func newText(path string, data []byte) *text {
	s := normalize(data)
	t := &text{path: path, plain: s}
	t.starts = append(t.starts, 0)
	for i := 0; ; {
		at := strings.IndexByte(s[i:], '\n')
		if at < 0 {
			break
		}
		i += at + 1
		t.starts = append(t.starts, i)
	}
	t.hideBreaks()
	return t
}

func normalize(data []byte) string {
	s := strings.TrimPrefix(string(data), "\ufeff")
	if strings.IndexByte(s, '\r') >= 0 {
		s = strings.ReplaceAll(s, "\r\n", "\n")
		s = strings.ReplaceAll(s, "\r", "\n")
	}
	return s
}

// hideBreaks puts characters that do not occur in the place of NEL, LS and PS.
// YAML 1.2 (section 5.4) took them for text, the parser still breaks lines there.
func (t *text) hideBreaks() {
	t.parsed = t.plain
	breaks := []string{"\u0085", "\u2028", "\u2029"}
	var there []string
	for _, b := range breaks {
		if strings.Contains(t.plain, b) {
			there = append(there, b)
		}
	}
	if len(there) == 0 {
		return
	}
	var hide, restore []string
	stand := rune(0xE000) // private use
	for _, b := range there {
		for stand < 0xF8FF && strings.ContainsRune(t.plain, stand) {
			stand++
		}
		hide = append(hide, b, string(stand))
		restore = append(restore, string(stand), b)
		stand++
	}
	t.parsed = strings.NewReplacer(hide...).Replace(t.plain)
	t.restore = strings.NewReplacer(restore...)
}

// value is a scalar of the parser as the file has it.
func (t *text) value(s string) string {
	if t.restore == nil {
		return s
	}
	return t.restore.Replace(s)
}

// lineText is line n, from 1, without its break; "" past the end.
func (t *text) lineText(n int) string {
	if n < 1 || n > len(t.starts) {
		return ""
	}
	end := len(t.plain)
	if n < len(t.starts) {
		end = t.starts[n] - 1
	}
	return t.plain[t.starts[n-1]:end]
}

// offsetOf is the byte offset of a line and column.
func (t *text) offsetOf(line, column int) int {
	if line < 1 || line > len(t.starts) {
		return len(t.plain)
	}
	from, col := t.starts[line-1], 1
	if line == t.line && column >= t.column {
		from, col = t.offset, t.column
	}
	for col < column && from < len(t.plain) && t.plain[from] != '\n' {
		_, size := utf8.DecodeRuneInString(t.plain[from:])
		from += size
		col++
	}
	t.line, t.column, t.offset = line, col, from
	return from
}

// posOf is the place of a byte offset.
func (t *text) posOf(offset int) Pos {
	offset = min(offset, len(t.plain))
	line := sort.SearchInts(t.starts, offset+1)
	start := t.starts[line-1]
	if line == t.line && t.offset <= offset {
		col := t.column + utf8.RuneCountInString(t.plain[t.offset:offset])
		t.column, t.offset = col, offset
		return Pos{File: t.path, Line: line, Column: col}
	}
	col := 1 + utf8.RuneCountInString(t.plain[start:offset])
	t.line, t.column, t.offset = line, col, offset
	return Pos{File: t.path, Line: line, Column: col}
}

func (t *text) pos(line, column int) Pos { return Pos{File: t.path, Line: line, Column: column} }
