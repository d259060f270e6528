package text

import "strings"

// Style says how a terminal shows things: colour is the 16 of ANSI, so that it
// follows the person's theme, and status is never said by colour alone.
type Style struct {
	Color bool
	ASCII bool // the locale is not UTF-8
}

const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "34"
	cyan   = "36"
)

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// sign is the mark of a status, three or four letters where the locale has no
// glyphs.
func (s Style) sign(status string) string {
	if s.ASCII {
		switch status {
		case "passed":
			return s.paint(green, "ok  ")
		case "failed":
			return s.paint(red, "FAIL")
		case "errored":
			return s.paint(yellow, "ERR ")
		case "flaky":
			return s.paint(cyan, "FLKY")
		case "cancelled":
			return s.paint(yellow, "stop")
		}
		return s.paint(dim, "skip")
	}
	switch status {
	case "passed":
		return s.paint(green, "✓")
	case "failed":
		return s.paint(red, "✗")
	case "errored":
		return s.paint(yellow, "!")
	case "flaky":
		return s.paint(cyan, "↻")
	case "cancelled":
		return s.paint(yellow, "■")
	}
	return s.paint(dim, "○")
}

func (s Style) bar() string {
	if s.ASCII {
		return "|"
	}
	return "│"
}

func (s Style) corner() string {
	if s.ASCII {
		return "+-"
	}
	return "┌─"
}

func (s Style) dot() string {
	if s.ASCII {
		return "-"
	}
	return "·"
}

func (s Style) arrow() string {
	if s.ASCII {
		return ">"
	}
	return "›"
}

func (s Style) ellipsis() string {
	if s.ASCII {
		return "..."
	}
	return "…"
}

// clean shows control characters of an answer as what they are, so that nothing
// that a system sends can steer the terminal (ESC, right-to-left overrides).
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0,
			r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f:
			return '\ufffd'
		}
		return r
	}, s)
}

// oneLine is clean without line breaks.
func oneLine(s string) string {
	return strings.NewReplacer("\n", " ", "\t", " ", "\r", " ").Replace(clean(s))
}

func pad(s string, width int) string {
	if n := width - len([]rune(s)); n > 0 {
		return s + strings.Repeat(" ", n)
	}
	return s
}
