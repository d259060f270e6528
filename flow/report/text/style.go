package text

import "strings"

// Style says how a terminal shows things: colour is the 16 of ANSI, so that it
// follows the person's theme, and status is never said by colour alone.
type Style struct {
	Color bool
	ASCII bool // the locale is not UTF-8
	// Width is the terminal's in columns; 0: not a terminal, or not known.
	Width int
}

// The attributes, as SGR parameters.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "34"
	cyan   = "36"
)

// defaultWidth is that of logs and files; maxWidth is where text ends on a wide
// terminal, because longer lines are hard to read.
const (
	defaultWidth = 100
	maxWidth     = 120
	minWidth     = 40
)

// width is how many columns text may take.
func (s Style) width() int {
	if s.Width <= 0 {
		return defaultWidth
	}
	return max(minWidth, min(s.Width, maxWidth))
}

// headWidth is where the code on the right of a heading ends.
func (s Style) headWidth() int { return min(s.width(), 80) }

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bad paints the word of a verdict that is not green.
func (s Style) Bad(word string) string { return s.paint(bold+";"+red, word) }

// Good paints the word of a green verdict.
func (s Style) Good(word string) string { return s.paint(bold+";"+green, word) }

// Warn paints what deserves a look.
func (s Style) Warn(word string) string { return s.paint(yellow, word) }

// Strong paints a heading.
func (s Style) Strong(word string) string { return s.paint(bold, word) }

// Dim paints what is secondary.
func (s Style) Dim(word string) string { return s.paint(dim, word) }

// Dot separates facts on a line.
func (s Style) Dot() string { return s.choose("·", "-") }

// Ellipsis stands for what was left out.
func (s Style) Ellipsis() string { return s.choose("…", "...") }

// Rule is a horizontal line.
func (s Style) Rule() string { return s.choose("─", "-") }

func (s Style) ellipsis() string { return s.Ellipsis() }
func (s Style) dot() string      { return s.Dot() }
func (s Style) bar() string      { return s.choose("│", "|") }
func (s Style) corner() string   { return s.choose("┌─", "+-") }
func (s Style) arrow() string    { return s.choose("›", ">") }

func (s Style) choose(glyph, ascii string) string {
	if s.ASCII {
		return ascii
	}
	return glyph
}

// plain spells what messages of ours have beyond ASCII, where that is asked for.
func (s Style) plain(text string) string {
	if !s.ASCII || !strings.ContainsAny(text, "→…·›‹") {
		return text
	}
	return strings.NewReplacer("→", "->", "…", "...", "·", "-", "›", ">", "‹", "<").Replace(text)
}

// sign is the mark of a status: a glyph, or four letters where the locale has
// none.
func (s Style) sign(status string) string {
	color, glyph, ascii := dim, "○", "skip"
	switch status {
	case "passed":
		color, glyph, ascii = green, "✓", "ok  "
	case "failed":
		color, glyph, ascii = red, "✗", "FAIL"
	case "errored":
		color, glyph, ascii = yellow, "!", "ERR "
	case "flaky":
		color, glyph, ascii = cyan, "↻", "FLKY"
	case "cancelled":
		color, glyph, ascii = yellow, "■", "STOP"
	}
	return s.paint(color, s.choose(glyph, ascii))
}

// Accent paints code in running text.
func (s Style) Accent(word string) string { return s.paint(cyan, word) }
