package text

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// mark is a place in a line that a message is about.
type mark struct {
	line, column int // from 1, in characters
	width        int // characters to underline; at least one
	message      string
}

// excerpt is a part of a file with what is wrong in it.
type excerpt struct {
	file   string // as the person types it
	source string // of the file; "": not known
	owner  int    // line that the marks belong to, shown above them; 0: none
	before int    // lines above the first mark to show, where there is no owner
	marks  []mark // by line
}

// ownerLines is how many lines of the step's beginning are shown.
const ownerLines = 2

const (
	// minMessage is how much room a message needs beside its carets, and
	// besideLines how many lines it may take there; else it stands below them.
	minMessage  = 28
	besideLines = 2
)

// excerpt prints the source with carets: the step's first lines, then the lines
// to blame. Without a source it prints the place and the messages.
func (s Style) excerpt(b *bytes.Buffer, e excerpt) {
	lines := strings.Split(e.source, "\n")
	known := e.source != ""
	last := 0
	for _, m := range e.marks {
		last = max(last, m.line)
		known = known && m.line >= 1 && m.line <= len(lines)
	}
	g := gutter{style: s, b: b, digits: max(3, len(fmt.Sprint(last)))}
	place := OneLine(e.file)
	if m := e.marks[0]; m.line > 0 {
		place += fmt.Sprintf(":%d", m.line)
		if m.column > 0 {
			place += fmt.Sprintf(":%d", m.column)
		}
	}
	fmt.Fprintf(b, "%s%s %s\n", strings.Repeat(" ", g.digits+1), s.paint(blue, s.corner()), place)
	if !known {
		for _, m := range e.marks {
			g.message("", m.message, 0)
		}
		g.blank()
		return
	}
	g.blank()
	shown := g.above(e, lines)
	for _, m := range e.marks {
		text, from, carets, whole := g.line(lines[m.line-1], m.column, m.width)
		if m.line != shown || !whole {
			if shown > 0 && m.line > shown+1 {
				fmt.Fprintf(b, "%s %s\n", g.empty(), s.ellipsis())
			}
			g.numbered(m.line, text)
		}
		shown = m.line
		g.message(strings.Repeat(" ", from)+s.paint(red, strings.Repeat("^", carets)), m.message, from+carets)
	}
	g.blank()
}

// gutter prints what stands right of the line numbers.
type gutter struct {
	style  Style
	b      *bytes.Buffer
	digits int
}

func (g *gutter) empty() string {
	return strings.Repeat(" ", g.digits+1) + g.style.paint(blue, g.style.bar())
}

func (g *gutter) blank() { g.b.WriteString(g.empty() + "\n") }

func (g *gutter) numbered(n int, text string) {
	head := g.style.paint(blue, fmt.Sprintf("%*d %s", g.digits, n, g.style.bar()))
	g.b.WriteString(strings.TrimRight(head+" "+text, " ") + "\n")
}

// room is how many columns are left beside the gutter.
func (g *gutter) room() int { return max(g.style.width()-g.digits-3, 20) }

// above shows what leads to the first mark and gives the last line shown.
func (g *gutter) above(e excerpt, lines []string) (last int) {
	first := e.marks[0].line
	from, to := e.owner, min(e.owner+ownerLines, first)
	if e.owner <= 0 || e.owner >= first {
		from, to = max(1, first-e.before), first
	}
	for n := from; n < to; n++ {
		if last == 0 && strings.TrimSpace(lines[n-1]) == "" {
			continue // nothing to see at the top
		}
		text, _, _, _ := g.line(lines[n-1], 1, 1)
		g.numbered(n, text)
		last = n
	}
	return last
}

// message prints carets and what they are about: beside them, or below where
// there is no room.
func (g *gutter) message(carets, message string, used int) {
	message = g.style.plain(Clean(message))
	room := g.room() - used - 1
	head := g.empty() + " "
	if carets != "" {
		if len(wrap(message, max(room, 1))) > besideLines || Columns(message) > room && room < minMessage {
			g.b.WriteString(head + carets + "\n")
			used, room = 0, g.room()-1
			head += " "
		} else {
			head += carets + " "
		}
	}
	for i, line := range wrap(message, room) {
		if i > 0 {
			head = g.empty() + strings.Repeat(" ", used+2)
		}
		g.b.WriteString(strings.TrimRight(head+line, " ") + "\n")
	}
}

// line makes one line of a file fit for a terminal and says where in it the
// given characters are. Of a line that is too long it takes the part around
// them; whole tells that nothing was cut.
func (g *gutter) line(raw string, column, width int) (text string, from, carets int, whole bool) {
	raw = strings.TrimRight(raw, "\r")
	column = max(column, 1)
	var cells []cell
	at, n, to := 0, 0, -1
	for i, r := range raw {
		n++
		c := cell{show: string(r), columns: runeColumns(r)}
		switch {
		case r == '\t':
			c = cell{strings.Repeat(" ", tabColumns), tabColumns}
		case r == utf8.RuneError && !strings.HasPrefix(raw[i:], "\ufffd"):
			c = cell{fmt.Sprintf(`\x%02x`, raw[i]), 4}
		case steers(r):
			c.show = escaped(r)
			c.columns = len(c.show)
		}
		if n == column {
			from, to = at, at
		}
		cells = append(cells, c)
		at += c.columns
		if n >= column && n < column+max(width, 1) {
			to = at
		}
	}
	if to < 0 { // the end of the line, or behind it
		from, to = at, at+1
	}
	carets = max(1, to-from)
	limit := g.room()
	if at <= limit {
		return join(cells), from, carets, true
	}
	return g.window(cells, from, carets, limit)
}

type cell struct {
	show    string
	columns int
}

func join(cells []cell) string {
	var b strings.Builder
	for _, c := range cells {
		b.WriteString(c.show)
	}
	return b.String()
}

// window is the part of a long line that has the carets in it.
func (g *gutter) window(cells []cell, from, carets, limit int) (string, int, int, bool) {
	mark := g.style.ellipsis()
	start := 0 // the first column shown
	if from+carets > limit-Columns(mark) {
		total := 0
		for _, c := range cells {
			total += c.columns
		}
		start = max(0, min(from-limit/4, total-limit+Columns(mark)))
	}
	var out []cell
	at, used := 0, 0
	if start > 0 {
		used = Columns(mark)
		out = append(out, cell{mark, used})
	}
	shift := start - used
	first := true
	for i, c := range cells {
		if at < start {
			at += c.columns
			continue
		}
		if first {
			shift, first = at-used, false
		}
		if room := limit - used; c.columns > room || c.columns > room-Columns(mark) && i < len(cells)-1 {
			out = append(out, cell{mark, Columns(mark)})
			break
		}
		out = append(out, c)
		at += c.columns
		used += c.columns
	}
	from = max(0, from-shift)
	return join(out), from, max(1, min(carets, used-from)), false
}
