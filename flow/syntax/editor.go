package syntax

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/source"
)

// editor collects the changes that bring a file's dialects into today's form,
// as edits of its text: comments and everything else stay as they are. All its
// methods do nothing on a nil editor, and leave what they cannot rewrite safely.
type editor struct {
	lines    []string
	starts   []int
	spans    map[spot]*span
	changes  []change
	ids      bool
	wraps    bool // flow: is to be written around a document: alone in its pass
	configed map[spot]bool
	seen     map[*source.Node]bool
}

// spot is a place as a key of maps.
type spot struct{ line, column int }

func at(pos source.Pos) spot { return spot{pos.Line, pos.Column} }

// span is an entry of a block map: the lines it takes, and its neighbours.
type span struct {
	line, column int // of its key, from 1
	lead         int // the first of the comment lines right above it
	end          int // its last line
	next         *span
	siblings     int
}

// change is a set of edits that belong together.
type change []edit

// edit replaces bytes of the text.
type edit struct {
	from, to int
	text     string
}

func newEditor(data string, ids bool) *editor {
	ed := &editor{lines: strings.SplitAfter(data, "\n"), ids: ids, spans: map[spot]*span{}, configed: map[spot]bool{}, seen: map[*source.Node]bool{}}
	offset := 0
	for _, line := range ed.lines {
		ed.starts = append(ed.starts, offset)
		offset += len(line)
	}
	ed.starts = append(ed.starts, offset)
	return ed
}

// line is line n, from 1, without its break.
func (ed *editor) line(n int) string {
	if n < 1 || n > len(ed.lines) {
		return ""
	}
	return strings.TrimSuffix(ed.lines[n-1], "\n")
}

// offset is the byte of a place.
func (ed *editor) offset(line, column int) int {
	s := ed.line(line)
	from := ed.starts[min(line, len(ed.starts))-1]
	for i := 1; i < column && s != ""; i++ {
		_, size := utf8.DecodeRuneInString(s)
		s, from = s[size:], from+size
	}
	return from
}

func (ed *editor) char(pos source.Pos) byte {
	if rest := ed.rest(pos); rest != "" {
		return rest[0]
	}
	return 0
}

// rest is the line from pos on.
func (ed *editor) rest(pos source.Pos) string {
	if pos.Line < 1 || pos.Line > len(ed.lines) {
		return ""
	}
	from := ed.offset(pos.Line, pos.Column)
	end := ed.starts[pos.Line-1] + len(ed.line(pos.Line))
	return string(ed.text(from, max(from, end)))
}

func (ed *editor) text(from, to int) string {
	first := sortSearch(ed.starts, from)
	var b strings.Builder
	for n := first; n < len(ed.lines) && ed.starts[n] < to; n++ {
		s := ed.lines[n]
		lo, hi := max(0, from-ed.starts[n]), min(len(s), to-ed.starts[n])
		b.WriteString(s[lo:hi])
	}
	return b.String()
}

// sortSearch is the index of the last start that is not after offset.
func sortSearch(starts []int, offset int) int {
	i, found := slices.BinarySearch(starts, offset)
	if found {
		return i
	}
	return max(0, i-1)
}

// index finds the spans of all block entries.
func (ed *editor) index(docs []*source.Node) {
	for i, doc := range docs {
		limit := len(ed.lines)
		if i+1 < len(docs) {
			limit = docs[i+1].Pos.Line - 1
		}
		for n := doc.Pos.Line + 1; n <= limit; n++ {
			if s := ed.line(n); strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") {
				limit = n - 1
			}
		}
		ed.indexNode(doc, limit)
	}
}

func (ed *editor) indexNode(n *source.Node, limit int) {
	if ed.seen[n] || n.Kind != source.Map && n.Kind != source.List {
		return
	}
	ed.seen[n] = true
	if c := ed.char(n.Pos); c == '{' || c == '[' {
		return
	}
	if n.Kind == source.List {
		for i, item := range n.Items {
			end := limit
			if i+1 < len(n.Items) && n.Items[i+1].Pos.Line > item.Pos.Line {
				end = n.Items[i+1].Pos.Line - 1
			}
			ed.indexNode(item, end)
		}
		return
	}
	var own []source.Entry // without what came by a merge
	for _, e := range n.Entries {
		if e.Key.Pos.Column == n.Pos.Column && e.Key.Pos.Line >= n.Pos.Line && e.Key.Pos.Line <= limit {
			own = append(own, e)
		}
	}
	var before *span
	for i, e := range own {
		end := limit
		if i+1 < len(own) {
			end = own[i+1].Key.Pos.Line - 1
		}
		s := &span{line: e.Key.Pos.Line, column: e.Key.Pos.Column, siblings: len(n.Entries)}
		for end > s.line && ed.loose(end, s.column) {
			end--
		}
		s.end = end
		s.lead = ed.lead(s)
		if before != nil {
			before.next = s
		}
		before = s
		ed.spans[at(e.Key.Pos)] = s
		ed.indexNode(e.Value, end)
	}
}

// lead is the first of the comment lines right above a key that line up with it:
// they go where it goes.
func (ed *editor) lead(s *span) int {
	first := s.line
	for n := s.line - 1; n >= 1; n-- {
		line := ed.line(n)
		if indentOf(line) != s.column-1 || !strings.HasPrefix(line[s.column-1:], "#") || indentOf(ed.line(s.line)) != s.column-1 {
			break
		}
		first = n
	}
	return first
}

// loose tells whether line n belongs to no entry: it is blank, or a comment that
// is not indented deeper than the keys.
func (ed *editor) loose(n, column int) bool {
	s := ed.line(n)
	body := strings.TrimLeft(s, " ")
	return strings.TrimSpace(body) == "" || body[0] == '#' && len(s)-len(body) < column
}

func (ed *editor) span(key *source.Node) *span {
	if key == nil {
		return nil
	}
	return ed.spans[at(key.Pos)]
}

// change adds edits that are made together or not at all.
func (ed *editor) change(edits ...edit) { ed.changes = append(ed.changes, edits) }

// apply makes the changes that do not touch each other; the others are left for
// the next pass.
func (ed *editor) apply() (out string, made int) {
	type claimed struct{ from, to int }
	var taken []claimed
	var edits []edit
	for _, c := range ed.changes {
		free := true
		for _, e := range c {
			for _, t := range taken {
				if e.from < t.to && t.from < e.to || e.from == t.from || e.from == e.to && e.from > t.from && e.from < t.to || t.from == t.to && t.from > e.from && t.from < e.to {
					free = false
				}
			}
		}
		if !free {
			continue
		}
		made++
		lo, hi := c[0].from, c[0].to
		for _, e := range c {
			lo, hi = min(lo, e.from), max(hi, e.to)
			edits = append(edits, e)
		}
		taken = append(taken, claimed{lo, hi})
	}
	slices.SortStableFunc(edits, func(a, b edit) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return a.to - b.to
	})
	var b strings.Builder
	from := 0
	for _, e := range edits {
		b.WriteString(ed.text(from, e.from))
		b.WriteString(e.text)
		from = e.to
	}
	b.WriteString(ed.text(from, ed.starts[len(ed.starts)-1]))
	return b.String(), made
}
