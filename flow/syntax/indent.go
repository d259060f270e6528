package syntax

import (
	"strings"

	"github.com/testmesh/testmesh/flow/source"
)

// indenter finds how far each line moves so that every level has two blanks.
type indenter struct {
	ed    *editor
	moves map[int]int // lines that begin with a key or a dash
	inner map[int]int // how the last key or item on such a line moves: its value goes along
	gaps  []edit      // blanks between a dash and its item
	seen  map[*source.Node]bool
	odd   bool // a form that is left alone
}

// indent gives every level of block maps and lists two blanks.
func (f *formatter) indent(text string) string {
	docs, _ := source.Load(f.path, []byte(text))
	in := &indenter{ed: newEditor(text, false), moves: map[int]int{}, inner: map[int]int{}, seen: map[*source.Node]bool{}}
	in.ed.index(docs)
	for _, doc := range docs {
		in.node(doc, 1)
	}
	if in.odd {
		return text
	}
	return in.write()
}

// node places a block node at a column.
func (in *indenter) node(n *source.Node, column int) {
	if in.seen[n] || n.Kind != source.Map && n.Kind != source.List {
		return
	}
	in.seen[n] = true
	if c := in.ed.char(n.Pos); c == '{' || c == '[' {
		return
	}
	if n.Kind == source.List {
		for _, item := range n.Items {
			in.item(item, column)
		}
		return
	}
	for _, e := range n.Entries {
		if in.ed.span(e.Key) == nil || e.Key.Pos.Column != n.Pos.Column || e.Key.Pos.Line < n.Pos.Line {
			continue // came by a merge
		}
		in.token(e.Key.Pos, column)
		in.node(e.Value, column+2)
	}
}

// item places a dash and what follows it.
func (in *indenter) item(item *source.Node, column int) {
	line := in.ed.line(item.Pos.Line)
	at := in.ed.offset(item.Pos.Line, item.Pos.Column) - in.ed.starts[item.Pos.Line-1]
	before := strings.TrimRight(line[:min(at, len(line))], " ")
	if !strings.HasSuffix(before, "-") || len(before) != len([]rune(before)) {
		in.odd = true // an anchor, a tag, or a dash on a line of its own
		return
	}
	dash := len(before)
	in.token(source.Pos{Line: item.Pos.Line, Column: dash}, column)
	if item.Kind == source.Null {
		return
	}
	if gap := at - dash; gap != 1 {
		from := in.ed.starts[item.Pos.Line-1] + dash
		in.gaps = append(in.gaps, edit{from, from + gap, " "})
	}
	in.inner[item.Pos.Line] = column + 2 - item.Pos.Column
	in.node(item, column+2)
}

// token notes how the line of a key or dash moves, if it begins there.
func (in *indenter) token(pos source.Pos, column int) {
	line := in.ed.line(pos.Line)
	if strings.TrimLeft(line[:min(pos.Column-1, len(line))], " ") == "" {
		in.moves[pos.Line] = column - pos.Column
	}
	in.inner[pos.Line] = column - pos.Column
}

// write moves the lines. What begins with neither key nor dash moves with what
// it belongs to: a comment with the next key if they line up, else with the one
// above.
func (in *indenter) write() string {
	ed := in.ed
	gaps := map[int]edit{}
	for _, g := range in.gaps {
		gaps[sortSearch(ed.starts, g.from)+1] = g
	}
	var b strings.Builder
	last := 0
	for n := 1; n <= len(ed.lines); n++ {
		line := ed.line(n)
		if g, ok := gaps[n]; ok {
			from := g.from - ed.starts[n-1]
			line = line[:from] + g.text + line[from+g.to-g.from:]
		}
		by, structural := in.moves[n]
		switch {
		case structural:
			last = in.inner[n]
		case strings.HasPrefix(strings.TrimLeft(line, " "), "#"):
			by = in.commentMove(n, last)
		default:
			by = last
		}
		if strings.HasPrefix(line, "---") || strings.HasPrefix(line, "...") || strings.HasPrefix(line, "%") {
			by, last = 0, 0
		}
		b.WriteString(shift(line, by))
		if strings.HasSuffix(ed.lines[n-1], "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// commentMove is how a comment of its own line moves.
func (in *indenter) commentMove(n, last int) int {
	column := indentOf(in.ed.line(n))
	for next := n + 1; next <= len(in.ed.lines); next++ {
		s := in.ed.line(next)
		body := strings.TrimSpace(s)
		if by, ok := in.moves[next]; ok {
			if indentOf(s) == column {
				return by
			}
			return last
		}
		if body != "" && body[0] != '#' {
			return last
		}
	}
	return last
}

func indentOf(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }

// quotes writes "x" for 'x' where both mean the same.
func (f *formatter) quotes(text string) string {
	docs, _ := source.Load(f.path, []byte(text))
	ed := newEditor(text, false)
	var walk func(n *source.Node)
	walk = func(n *source.Node) {
		if ed.seen[n] {
			return
		}
		ed.seen[n] = true
		for _, item := range n.Items {
			walk(item)
		}
		for _, e := range n.Entries {
			walk(e.Key)
			walk(e.Value)
		}
		if n.Style != source.SingleQuoted || n.Kind != source.String || strings.ContainsAny(n.Text, "\"\\'\n") {
			return
		}
		if from, to, ok := ed.scalar(n); ok && ed.text(from, to) == "'"+n.Text+"'" {
			ed.change(edit{from, to, `"` + n.Text + `"`})
		}
	}
	for _, doc := range docs {
		walk(doc)
	}
	out, _ := ed.apply()
	return out
}

// trim takes blanks off the ends of lines, and ends the file with one line
// break. Where that would change a text, the caller keeps the lines as they are.
func (f *formatter) trim(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}
