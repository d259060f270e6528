package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// tabColumns is how wide a tab is shown: it is printed as blanks, since where a
// terminal's own stops are is not known.
const tabColumns = 4

// Columns is how many columns of a terminal s takes: none for a combining mark,
// two for a wide character of East Asia and most emoji.
func Columns(s string) int {
	n := 0
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			n++
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		n += runeColumns(r)
		i += size
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case r < utf8.RuneSelf:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Clean shows what could steer a terminal (ESC and other control characters,
// right-to-left overrides, line separators) as an escape, so that nothing a
// system answers can. Line breaks and tabs stay.
func Clean(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	bad := func(r rune) bool { return steers(r) && r != '\n' && r != '\t' }
	if strings.IndexFunc(s, bad) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case bad(r):
			b.WriteString(escaped(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// steers tells whether r could move a terminal's cursor or turn its text around.
func steers(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x061c || r == 0x200e || r == 0x200f ||
		r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

func escaped(r rune) string {
	if r < 0x100 {
		return fmt.Sprintf(`\x%02x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// OneLine is Clean in one line: breaks and tabs become blanks.
func OneLine(s string) string {
	s = Clean(s)
	if !strings.ContainsAny(s, "\n\t") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, s)
}

// Pad fills s with blanks up to a number of columns.
func Pad(s string, columns int) string {
	if n := columns - Columns(s); n > 0 {
		return s + strings.Repeat(" ", n)
	}
	return s
}

// Clip cuts s to a number of columns, with an ellipsis where something is gone.
func (s Style) Clip(text string, columns int) string {
	if Columns(text) <= columns {
		return text
	}
	mark := s.ellipsis()
	room := columns - Columns(mark)
	if room < 0 {
		return strings.Repeat(".", max(columns, 0))
	}
	for i, r := range text {
		if room -= runeColumns(r); room < 0 {
			return text[:i] + mark
		}
	}
	return text
}

// wrap breaks text at blanks into lines of at most so many columns. A word that
// is longer, such as an address to copy, stays whole.
func wrap(text string, columns int) []string {
	var out []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		line, used := "", 0
		for i, word := range strings.Split(paragraph, " ") {
			n := Columns(word)
			switch {
			case i == 0:
				line, used = word, n
			case used+1+n > columns && strings.TrimSpace(line) != "":
				out = append(out, strings.TrimRight(line, " "))
				line, used = word, n
			default:
				line, used = line+" "+word, used+1+n
			}
		}
		out = append(out, strings.TrimRight(line, " "))
	}
	return out
}
