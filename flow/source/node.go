package source

import (
	"fmt"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// node reads n and what is below it. size is what it counts for the bound on
// aliases: about the bytes it took in the file.
func (l *loader) node(n *yaml.Node, depth int, raw bool) (out *Node, size int) {
	if n.Kind == yaml.AliasNode {
		return l.alias(n, depth, raw)
	}
	offset := l.text.offsetOf(n.Line, n.Column)
	out = &Node{Pos: l.text.pos(n.Line, n.Column)}
	tag := ""
	if n.Style&yaml.TaggedStyle != 0 || n.Anchor != "" || n.Tag == "!" {
		tag = l.tag(n, out.Pos)
		if n.Kind != yaml.ScalarNode || n.Value != "" || styleOf(n) != Plain {
			offset = l.text.skipProperties(offset, n.Anchor)
			out.Pos = l.text.posOf(offset)
		}
	}
	if raw || tag == "!raw" {
		raw, out.Tag = true, "!raw"
	}
	entry := &expansion{open: true}
	if n.Anchor != "" && !raw {
		l.anchors[n] = entry
	}
	switch n.Kind {
	case yaml.MappingNode:
		out.Kind = Map
		size = 2 + l.entries(out, n, depth, raw)
	case yaml.SequenceNode:
		out.Kind = List
		size = 2
		for _, c := range n.Content {
			item, s := l.node(c, depth+1, raw)
			out.Items = append(out.Items, item)
			size += s + 1
		}
	default:
		l.scalar(out, n, tag, offset)
		size = 1 + len(n.Value)
	}
	if tag == "!!map" && out.Kind != Map || tag == "!!seq" && out.Kind != List {
		l.problem(CodeYAML, out.Pos, tag, fmt.Sprintf("the tag %s stands before a %s", tag, out.Kind), "leave the tag out")
	}
	entry.node, entry.size, entry.open = out, size, false
	return out, size
}

// alias gives the node that the alias stands for. It is shared, not copied: only
// its size counts.
func (l *loader) alias(n *yaml.Node, depth int, raw bool) (*Node, int) {
	pos := l.text.pos(n.Line, n.Column)
	null := &Node{Kind: Null, Pos: pos}
	seen := l.anchors[n.Alias]
	if seen != nil && seen.open {
		l.problem(CodeCycle, pos, "*"+n.Value, fmt.Sprintf("the anchor %q holds itself", n.Value), "an alias can only name what is complete")
		return null, 1
	}
	if l.budget < 0 || depth > maxDepth {
		return null, 1
	}
	var node *Node
	var size int
	if seen != nil && !raw {
		node, size = seen.node, seen.size
	} else { // inside !raw the same text means something else: read it again
		l.anchors[n.Alias] = &expansion{open: true}
		node, size = l.node(n.Alias, depth+1, raw)
		if seen != nil {
			l.anchors[n.Alias] = seen
		} else {
			l.anchors[n.Alias] = &expansion{node: node, size: size}
		}
	}
	l.spend(size, pos, "*"+n.Value)
	return node, size
}

// spend takes size from what aliases may expand to.
func (l *loader) spend(size int, pos Pos, text string) {
	if l.budget < 0 {
		return
	}
	if l.budget -= size; l.budget < 0 {
		l.problem(CodeLimit, pos, text, fmt.Sprintf("aliases expand the file to more than %d times its size", expansionFactor),
			"write fewer aliases of aliases")
	}
}

// tag checks the tag of n: "" where it has none.
func (l *loader) tag(n *yaml.Node, pos Pos) string {
	if n.Style&yaml.TaggedStyle == 0 && n.Tag != "!" {
		return ""
	}
	switch n.Tag {
	case "!raw", "!", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq":
		return n.Tag
	}
	p := Problem{
		Severity: Error, Code: CodeYAML, Pos: pos, Text: clipText(n.Tag, 200),
		Message: fmt.Sprintf("%s is a YAML tag that TestMesh does not have", clipText(n.Tag, 80)),
		Hint:    "a plain value cannot begin with ! (that begins a tag): put the whole value in quotes; the one tag of the language is !raw",
	}
	p.Fix = l.text.quoteFrom(pos.Line, pos.Column)
	if len(l.problems) < maxProblems {
		l.problems = append(l.problems, p)
	}
	return ""
}

// entries reads the keys of a map, with merge keys expanded in place.
func (l *loader) entries(out *Node, n *yaml.Node, depth int, raw bool) (size int) {
	lines := make(map[string]Pos, len(n.Content)/2)
	merged := map[string]int{} // keys that came by a merge, which own keys replace
	out.Entries = make([]Entry, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.Tag == "!!merge" && k.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
			size += l.merge(out, v, depth, raw, lines, merged)
			continue
		}
		key, s := l.node(k, depth+1, true)
		size += s
		val, s := l.node(v, depth+1, raw)
		size += s
		if key.Kind == Map || key.Kind == List || key.Kind == Null && key.Text == "" {
			l.badKey(key, k)
			continue
		}
		key.Tag = ""
		if first, ok := lines[key.Text]; ok {
			l.problem(CodeYAML, key.Pos, key.Text, fmt.Sprintf("the key %q on line %d is already set on line %d", clipText(key.Text, 80), key.Pos.Line, first.Line),
				"a map has each key once: remove or rename one of the two")
			continue
		}
		lines[key.Text] = key.Pos
		if v.Kind == yaml.ScalarNode && v.Value == "" && val.Kind == Null {
			l.bare = append(l.bare, bareValue{key: key.Text, pos: val.Pos})
		}
		if at, ok := merged[key.Text]; ok {
			out.Entries[at] = Entry{Key: key, Value: val}
			delete(merged, key.Text)
			continue
		}
		out.Entries = append(out.Entries, Entry{Key: key, Value: val})
	}
	return size
}

func (l *loader) merge(out *Node, v *yaml.Node, depth int, raw bool, lines map[string]Pos, merged map[string]int) int {
	from, size := l.node(v, depth+1, raw)
	sources := []*Node{from}
	if from.Kind == List {
		sources = from.Items
	}
	for _, m := range sources {
		if m.Kind != Map {
			l.problem(CodeYAML, m.Pos, m.Text, fmt.Sprintf("<< merges maps, this is a %s", m.Kind), "name an anchor of a map: << : *defaults")
			continue
		}
		for _, e := range m.Entries {
			if _, own := lines[e.Key.Text]; own {
				continue
			}
			if _, earlier := merged[e.Key.Text]; earlier {
				continue
			}
			merged[e.Key.Text] = len(out.Entries)
			out.Entries = append(out.Entries, e)
		}
	}
	return size
}

// badKey explains a key that is no scalar; nearly always it is {{ x }} without
// quotes, which YAML reads as a map in a map.
func (l *loader) badKey(key *Node, k *yaml.Node) {
	pos := key.Pos
	if key.Kind == Map {
		if open := pos.Column - 1; open > 0 && l.text.charAt(pos.Line, open) == '{' {
			p := Problem{
				Severity: Error, Code: CodeYAML, Pos: l.text.pos(pos.Line, open), Text: l.text.placeholderAt(pos.Line, open),
				Message: "a value that begins with {{ must be in quotes",
				Hint:    "YAML reads { as the beginning of a map",
				Fix:     l.text.quoteFrom(pos.Line, open),
			}
			if len(l.problems) < maxProblems {
				l.problems = append(l.problems, p)
			}
			return
		}
	}
	if key.Kind == Null {
		l.problem(CodeYAML, pos, ":", "this entry has no key", "write a name before the colon, or put the text in quotes")
		return
	}
	l.problem(CodeYAML, pos, l.text.restOf(k.Line, k.Column), fmt.Sprintf("a %s cannot be a key", key.Kind), "put the text in quotes")
}

// Plain is the value of n without places: of the model of package value.
func (n *Node) Plain() any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case List:
		out := make([]any, len(n.Items))
		for i, item := range n.Items {
			out[i] = item.Plain()
		}
		return out
	case Map:
		out := make(map[string]any, len(n.Entries))
		for _, e := range n.Entries {
			out[e.Key.Text] = e.Value.Plain()
		}
		return out
	}
	return n.Value
}

// NewString makes a node that stands for text that the file has in another
// spelling: every offset of it is at pos.
func NewString(pos Pos, text string) *Node {
	return &Node{Kind: String, Value: text, Text: text, Pos: pos, Style: synthetic}
}

// synthetic marks text that is not in the file.
const synthetic Style = -1

// charAt is the character at a place, or 0.
func (t *text) charAt(line, column int) rune {
	offset := t.offsetOf(line, column)
	if offset >= len(t.plain) {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(t.plain[offset:])
	return r
}
