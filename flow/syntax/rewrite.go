package syntax

import (
	"strings"

	"github.com/testmesh/testmesh/flow/source"
)

// rename writes another name for a key.
func (ed *editor) rename(_, key *source.Node, name string) {
	if ed == nil {
		return
	}
	if from, to, ok := ed.scalar(key); ok {
		ed.change(edit{from, to, name})
	}
}

// scalar is the place of a scalar that stands on one line, quotes and all.
func (ed *editor) scalar(n *source.Node) (from, to int, ok bool) {
	rest := ed.rest(n.Pos)
	from = ed.offset(n.Pos.Line, n.Pos.Column)
	switch n.Style {
	case source.Plain:
		if n.Text == "" || !strings.HasPrefix(rest, n.Text) {
			return 0, 0, false
		}
		return from, from + len(n.Text), true
	case source.SingleQuoted, source.DoubleQuoted:
		for i := 1; i < len(rest); i++ {
			switch {
			case rest[i] == '\\' && rest[0] == '"':
				i++
			case rest[i] == rest[0] && rest[0] == '\'' && i+1 < len(rest) && rest[i+1] == '\'':
				i++
			case rest[i] == rest[0]:
				return from, from + i + 1, true
			}
		}
	}
	return 0, 0, false
}

// raw is a scalar of one line as it is written.
func (ed *editor) raw(n *source.Node) (string, bool) {
	if n == nil {
		return "", false
	}
	from, to, ok := ed.scalar(n)
	if !ok {
		return "", false
	}
	return ed.text(from, to), true
}

// cut is the edit that takes an entry away; ok is false where its map would be
// left without a key.
func (ed *editor) cut(s *span) (edit, bool) {
	if s == nil || s.siblings < 2 {
		return edit{}, false
	}
	from := ed.offset(s.line, s.column)
	if strings.TrimSpace(ed.text(ed.starts[s.line-1], from)) != "" { // after a dash
		if s.next == nil {
			return edit{}, false
		}
		return edit{from, ed.offset(s.next.line, s.next.column), ""}, true
	}
	return edit{ed.starts[s.line-1], ed.starts[s.end], ""}, true
}

// cutWhole is cut with the comments above the entry.
func (ed *editor) cutWhole(s *span) (edit, bool) {
	e, ok := ed.cut(s)
	if ok && e.from == ed.starts[s.line-1] {
		e.from = ed.starts[s.lead-1]
	}
	return e, ok
}

// remove takes an entry away, and the map with it where it was the only one.
func (ed *editor) remove(_, key *source.Node) {
	if ed == nil {
		return
	}
	if e, ok := ed.cut(ed.span(key)); ok {
		ed.change(e)
	}
}

// entry writes another entry of one line in the place of one.
func (ed *editor) entry(_, key *source.Node, text string) {
	if ed == nil {
		return
	}
	s := ed.span(key)
	if s == nil {
		return
	}
	if s.line == s.end {
		text += ed.comment(s.line, s.column)
	}
	ed.change(edit{ed.offset(s.line, s.column), ed.lineEnd(s.end), text})
}

// before writes an entry in front of one of a map.
func (ed *editor) before(key, in *source.Node, text string) {
	if ed == nil {
		return
	}
	at := ed.offset(key.Pos.Line, key.Pos.Column)
	if ed.char(in.Pos) == '{' {
		ed.change(edit{at, at, text + ", "})
		return
	}
	ed.change(edit{at, at, text + "\n" + strings.Repeat(" ", key.Pos.Column-1)})
}

// comment is the comment at the end of a line of a plain entry, with the blanks
// before it.
func (ed *editor) comment(line, column int) string {
	rest := ed.rest(source.Pos{Line: line, Column: column})
	i := strings.Index(rest, " #")
	if i < 0 || strings.ContainsAny(rest[:i], `"'`) {
		return ""
	}
	for i > 0 && rest[i-1] == ' ' {
		i--
	}
	return rest[i:]
}

func (ed *editor) lineEnd(n int) int { return ed.starts[n-1] + len(ed.line(n)) }

// block is the text of a span, its key under another name, indented to column;
// it ends with a line break.
func (ed *editor) block(s *span, key *source.Node, name string, column int) (string, bool) {
	_, to, ok := ed.scalar(key)
	if !ok {
		return "", false
	}
	var b strings.Builder
	for n := s.lead; n < s.line; n++ {
		b.WriteString(shift(ed.line(n), column-s.column) + "\n")
	}
	b.WriteString(strings.Repeat(" ", column-1) + name + ed.text(to, ed.lineEnd(s.line)) + "\n")
	for n := s.line + 1; n <= s.end; n++ {
		b.WriteString(shift(ed.line(n), column-s.column) + "\n")
	}
	return b.String(), true
}

// shift indents a line by more, or less, blanks.
func shift(line string, by int) string {
	if strings.TrimSpace(line) == "" {
		return line
	}
	if by >= 0 {
		return strings.Repeat(" ", by) + line
	}
	indent := len(line) - len(strings.TrimLeft(line, " "))
	return line[min(-by, indent):]
}

// keyNode is the key of an entry of m.
func keyNode(m *source.Node, name string) *source.Node {
	for _, e := range m.Entries {
		if e.Key.Text == name {
			return e.Key
		}
	}
	return nil
}

// move takes an entry out of the map below `after` of the map to, and writes it
// as name behind that.
func (ed *editor) move(_, key *source.Node, name string, to *source.Node, after string) {
	if ed == nil {
		return
	}
	s, host := ed.span(key), ed.span(keyNode(to, after))
	if s == nil || host == nil {
		return
	}
	if text, ok := ed.block(s, key, name, host.column); ok {
		ed.relocate(s, host, text)
	}
}

// moveAsItem is move into a list of one item.
func (ed *editor) moveAsItem(_, key *source.Node, name string, to *source.Node, after string) {
	if ed == nil {
		return
	}
	s, host := ed.span(key), ed.span(keyNode(to, after))
	if s == nil || host == nil || s.line != s.end {
		return
	}
	_, end, ok := ed.scalar(key)
	if !ok {
		return
	}
	val := strings.TrimSpace(strings.TrimPrefix(ed.text(end, ed.lineEnd(s.line)), ":"))
	indent := strings.Repeat(" ", host.column-1)
	text := indent + name + ":\n"
	for n := s.lead; n < s.line; n++ {
		text += indent + "  " + strings.TrimLeft(ed.line(n), " ") + "\n"
	}
	ed.relocate(s, host, text+indent+"  - "+val+"\n")
}

// relocate removes s, which is inside host, and writes text behind host; a host
// that has nothing else goes too.
func (ed *editor) relocate(s, host *span, text string) {
	end := ed.starts[host.end]
	if !strings.HasSuffix(ed.lines[host.end-1], "\n") {
		text = "\n" + strings.TrimSuffix(text, "\n")
	}
	if s.siblings < 2 {
		e, ok := ed.cut(host)
		if !ok || e.to != end { // the first key of a list item: take its place
			from := ed.offset(host.line, host.column)
			ed.change(edit{from, end, strings.TrimLeft(text, " \n")})
			return
		}
		e.text = text
		ed.change(e)
		return
	}
	if e, ok := ed.cutWhole(s); ok {
		if e.to == end {
			e.text += text
			ed.change(e)
			return
		}
		ed.change(e, edit{end, end, text})
	}
}

// intoConfig moves an entry of a step into its config, which is made where the
// step has none.
func (ed *editor) intoConfig(step, key *source.Node, name string, config *source.Node) {
	if ed == nil {
		return
	}
	s := ed.span(key)
	if s == nil || ed.configed[at(step.Pos)] {
		return
	}
	if config == nil {
		inner := *s
		inner.lead = s.line // comments above stay above config
		if text, ok := ed.block(&inner, key, name, s.column+2); ok {
			ed.configed[at(step.Pos)] = true
			ed.change(edit{ed.offset(s.line, s.column), ed.lineEnd(s.end), "config:\n" + strings.TrimSuffix(text, "\n")})
		}
		return
	}
	host := ed.span(keyNode(step, "config"))
	if host == nil || len(config.Entries) == 0 || ed.spans[at(config.Entries[0].Key.Pos)] == nil {
		return
	}
	ed.configed[at(step.Pos)] = true // one at a time, in their order
	text, ok := ed.block(s, key, name, config.Entries[0].Key.Pos.Column)
	e, cuttable := ed.cutWhole(s)
	if !ok || !cuttable {
		return
	}
	end := ed.starts[host.end]
	if !strings.HasSuffix(ed.lines[host.end-1], "\n") {
		text = "\n" + strings.TrimSuffix(text, "\n")
	}
	if e.from == end {
		e.text = text
		ed.change(e)
		return
	}
	ed.change(edit{end, end, text}, e)
}
