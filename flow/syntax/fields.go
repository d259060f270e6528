package syntax

import (
	"fmt"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// fields are the keys of one map while they are read. Dialects are taken out
// first; what is left when everything was read is unknown.
type fields struct {
	p       *parser
	sec     *section
	node    *source.Node
	entries []source.Entry
	related []*section // where a misplaced key may belong
	place   map[string]string
}

// fields reads n as a map of the section; nil and a problem where it is none.
func (p *parser) fields(n *source.Node, sec *section) *fields {
	if n.Kind != source.Map {
		p.wrongKind(n, sec.what, "a map of keys: "+listed(sec.names(), 4))
		return nil
	}
	return &fields{p: p, sec: sec, node: n, entries: slices.Clone(n.Entries)}
}

// entry takes a key out; nil where the map does not have it. A key without a
// value counts as absent.
func (f *fields) entry(name string) (key, val *source.Node) {
	for i, e := range f.entries {
		if e.Key.Text == name {
			f.entries = slices.Delete(f.entries, i, i+1)
			if e.Value.Kind == source.Null {
				return e.Key, nil
			}
			return e.Key, e.Value
		}
	}
	return nil, nil
}

func (f *fields) take(name string) *source.Node {
	_, val := f.entry(name)
	return val
}

// has tells whether the key is there with a value, without taking it.
func (f *fields) has(name string) bool {
	n := f.node.Get(name)
	return n != nil && n.Kind != source.Null && slices.ContainsFunc(f.entries, func(e source.Entry) bool { return e.Key.Text == name })
}

// rename reads an older spelling as name, and notes it. Where both are there the
// older is a problem.
func (f *fields) rename(old, name string) {
	for i, e := range f.entries {
		if e.Key.Text != old {
			continue
		}
		if f.has(name) {
			f.p.fail(source.CodeKey, e.Key.Pos, old, fmt.Sprintf("%q and %q are one key in two spellings", old, name), fmt.Sprintf("keep %q", name))
			f.entries = slices.Delete(f.entries, i, i+1)
			return
		}
		f.p.renamed(e.Key, name)
		f.p.ed.rename(f.node, e.Key, name)
		key := *e.Key
		key.Text, key.Value = name, name
		f.entries[i].Key = &key
		f.node = withEntry(f.node, old, source.Entry{Key: &key, Value: e.Value})
		return
	}
}

// withEntry is a copy of the map n with one entry replaced.
func withEntry(n *source.Node, old string, e source.Entry) *source.Node {
	out := *n
	out.Entries = slices.Clone(n.Entries)
	for i := range out.Entries {
		if out.Entries[i].Key.Text == old {
			out.Entries[i] = e
		}
	}
	return &out
}

// require reports a key that must be there.
func (f *fields) require(name string) {
	if f.has(name) {
		return
	}
	for _, e := range f.entries { // said about the key that was meant
		if f.sec.key(e.Key.Text) == nil && value.Closest(e.Key.Text, f.sec.names()) == name {
			return
		}
	}
	pos, text := f.node.Pos, ""
	if len(f.node.Entries) > 0 {
		pos, text = f.node.Entries[0].Key.Pos, f.node.Entries[0].Key.Text
	}
	hint := ""
	if k := f.sec.key(name); k != nil {
		hint = fmt.Sprintf("add %s: %s", name, lowerFirst(k.Doc))
	}
	for _, e := range f.node.Entries { // an empty value is a better place
		if e.Key.Text == name {
			f.p.fail(source.CodeKey, e.Key.Pos, name, fmt.Sprintf("%s of %s is empty", name, f.sec.what), strings.TrimSuffix(hint, "."))
			return
		}
	}
	f.p.fail(source.CodeKey, pos, text, fmt.Sprintf("%s needs the key %q", f.sec.what, name), strings.TrimSuffix(hint, "."))
}

// rest reports the keys that nobody took.
func (f *fields) rest() {
	for _, e := range f.entries {
		f.unknown(e.Key)
	}
}

func (f *fields) unknown(key *source.Node) {
	problem := source.Problem{
		Severity: source.Error, Code: source.CodeKey, Pos: key.Pos, Text: clip(key.Text),
		Message: fmt.Sprintf("unknown key %q in %s", clip(key.Text), f.sec.what), InScope: f.sec.names(),
	}
	if instead, ok := f.sec.gone[key.Text]; ok {
		problem.Code = source.CodeDialect
		problem.Message = fmt.Sprintf("TestMesh has no %q in %s", key.Text, f.sec.what)
		problem.Hint = instead
		f.p.add(problem)
		return
	}
	if where := f.belongs(key.Text); where != "" {
		problem.Hint = fmt.Sprintf("%s belongs %s", key.Text, where)
		if where == "under config" {
			problem.Fix = f.underConfig(key)
		}
		f.p.add(problem)
		return
	}
	candidates := f.sec.names()
	for _, old := range f.sec.oldKeys {
		candidates = append(candidates, old.name)
	}
	problem.Hint = source.Suggest(key.Text, candidates)
	if problem.Hint != "" {
		near := strings.Trim(strings.TrimPrefix(problem.Hint, "did you mean "), `"?`)
		problem.Fix = source.Corrected(f.p.file.Data, key.Pos, key.Text, near)
	} else {
		problem.Hint = "its keys are " + strings.Join(f.sec.names(), ", ")
		if hint := f.place["*"]; hint != "" {
			problem.Hint = hint
			problem.Fix = f.underConfig(key)
		}
	}
	f.p.add(problem)
}

// underConfig is the line of a key with config: before it, where the map has no
// config yet and the value is a plain one.
func (f *fields) underConfig(key *source.Node) string {
	val := f.node.Get(key.Text)
	lines := source.Excerpt(f.p.file.Data, key.Pos, 1, 0)
	if f.node.Get("config") != nil || val == nil || len(lines) != 1 || val.Pos.Line != key.Pos.Line {
		return ""
	}
	rest := strings.TrimRight(string([]rune(lines[0].Text)[key.Pos.Column-1:]), " ")
	if strings.ContainsAny(rest, "#{}[],") || val.Kind == source.List || val.Kind == source.Map || val.Style == source.Literal || val.Style == source.Folded {
		return ""
	}
	return source.Corrected(f.p.file.Data, key.Pos, rest, "config: {"+rest+"}")
}

// belongs says where a key that stands in the wrong map would be right.
func (f *fields) belongs(name string) string {
	for _, s := range f.related {
		if s != nil && s.key(name) != nil {
			return f.place[s.name]
		}
	}
	return ""
}

// wrongKind reports a value of the wrong form.
func (p *parser) wrongKind(n *source.Node, what, want string) {
	problem := source.Problem{
		Severity: source.Error, Code: source.CodeType, Pos: n.Pos, Text: clip(n.Text),
		Message: fmt.Sprintf("%s is %s, not %s", what, want, described(n)),
	}
	if n.Kind == source.String && n.Style == source.Plain {
		if key, rest, ok := strings.Cut(n.Text, ":"); ok && rest != "" && rest[0] != ' ' && !strings.ContainsAny(key, " /") {
			problem.Hint = "a space is missing after the colon"
			problem.Fix = source.Corrected(p.file.Data, n.Pos, key+":", key+": ")
		}
	}
	p.add(problem)
}

// described says what a node is: `a list`, `the text "x"`, `3 (number)`.
func described(n *source.Node) string {
	switch n.Kind {
	case source.List:
		if len(n.Items) == 0 {
			return "an empty list"
		}
		return "a list"
	case source.Map:
		return "a map"
	case source.Null:
		return "nothing"
	case source.String:
		return fmt.Sprintf("the text %q", clip(n.Text))
	}
	return fmt.Sprintf("%s (%s)", clip(n.Text), n.Kind)
}

// listed joins at most n names.
func listed(names []string, n int) string {
	if len(names) > n {
		return strings.Join(names[:n], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

func lowerFirst(s string) string {
	if s == "" || len(s) > 1 && s[1] >= 'A' && s[1] <= 'Z' {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
