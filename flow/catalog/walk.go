package catalog

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/source"
)

// parseDuration reads "500ms", "1m30s": what the language's durations are.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || strings.ContainsAny(text, "nuµμ+-") {
		return 0, fmt.Errorf("is not a duration: %q", cut(text))
	}
	return d, nil
}

// NormalizeConfig brings the keys of accepted dialects into the canonical form
// and notes each. The node itself is not changed.
func (a *Action) NormalizeConfig(n *source.Node) (*source.Node, source.Problems) {
	var notes source.Problems
	for _, alias := range a.Spec.GetKeyAliases() {
		from, to := strings.Split(alias.GetFrom(), "."), strings.Split(alias.GetTo(), ".")
		key, v := lookup(n, from)
		if key == nil {
			continue
		}
		if other, _ := lookup(n, to); other != nil {
			notes = append(notes, source.Problem{
				Severity: source.Error, Code: source.CodeKey, Pos: key.Pos, Text: key.Text,
				Message: fmt.Sprintf("%q is another name of %q, which is given too", alias.GetFrom(), alias.GetTo()),
				Hint:    "keep one of them",
			})
			continue
		}
		moved := *key
		moved.Text, moved.Value = to[len(to)-1], to[len(to)-1]
		n = insert(remove(n, from), to, &moved, v)
		notes = append(notes, source.Problem{
			Severity: source.Note, Code: source.CodeDialect, Pos: key.Pos, Text: key.Text,
			Message: fmt.Sprintf("%q is an older name of %q", alias.GetFrom(), alias.GetTo()),
			Hint:    "testmesh fmt rewrites it",
		})
	}
	return n, notes
}

func lookup(n *source.Node, path []string) (key, v *source.Node) {
	for i, name := range path {
		if n == nil || n.Kind != source.Map {
			return nil, nil
		}
		var found bool
		for _, e := range n.Entries {
			if e.Key.Text == name {
				key, v, found = e.Key, e.Value, true
				break
			}
		}
		if !found {
			return nil, nil
		}
		if i < len(path)-1 {
			n = v
		}
	}
	return key, v
}

// remove is n without the entry at a path; a map that becomes empty goes too.
func remove(n *source.Node, path []string) *source.Node {
	out := *n
	out.Entries = nil
	for _, e := range n.Entries {
		if e.Key.Text == path[0] {
			if len(path) == 1 {
				continue
			}
			e.Value = remove(e.Value, path[1:])
			if len(e.Value.Entries) == 0 {
				continue
			}
		}
		out.Entries = append(out.Entries, e)
	}
	return &out
}

func insert(n *source.Node, path []string, key, v *source.Node) *source.Node {
	out := *n
	out.Kind = source.Map
	out.Entries = append([]source.Entry(nil), n.Entries...)
	if len(path) == 1 {
		out.Entries = append(out.Entries, source.Entry{Key: key, Value: v})
		return &out
	}
	for i, e := range out.Entries {
		if e.Key.Text == path[0] {
			out.Entries[i].Value = insert(e.Value, path[1:], key, v)
			return &out
		}
	}
	parent := &source.Node{Kind: source.String, Text: path[0], Value: path[0], Pos: key.Pos}
	below := insert(&source.Node{Kind: source.Map, Pos: v.Pos}, path[1:], key, v)
	out.Entries = append(out.Entries, source.Entry{Key: parent, Value: below})
	return &out
}

// FilePaths are the values of properties marked "x-testmesh-file": strings, or
// lists of strings.
func (a *Action) FilePaths(n *source.Node) []*source.Node {
	var out []*source.Node
	a.walk(n, func(s *shape, n *source.Node) {
		if !s.file {
			return
		}
		switch n.Kind {
		case source.String:
			out = append(out, n)
		case source.List:
			for _, item := range n.Items {
				if item.Kind == source.String {
					out = append(out, item)
				}
			}
		}
	})
	return out
}

// LateNodes are the values whose `{{ }}` is left to the plugin: properties
// marked "x-testmesh-template": "late".
func (a *Action) LateNodes(n *source.Node) []*source.Node {
	var out []*source.Node
	a.walk(n, func(s *shape, n *source.Node) {
		if s.late {
			out = append(out, n)
		}
	})
	return out
}

// walk visits every value of a config with every shape that describes it.
func (a *Action) walk(n *source.Node, visit func(*shape, *source.Node)) {
	d, err := a.config()
	if err != nil || n == nil {
		return
	}
	seen := map[visited]bool{}
	d.walk(d.root, n, visit, seen, 0)
}

type visited struct {
	s *shape
	n *source.Node
}

func (d *document) walk(s *shape, n *source.Node, visit func(*shape, *source.Node), seen map[visited]bool, depth int) {
	s = d.resolve(s)
	if s == nil || n == nil || depth > maxShapeDepth || seen[visited{s, n}] {
		return
	}
	seen[visited{s, n}] = true
	visit(s, n)
	for _, list := range [...][]*shape{s.allOf, s.oneOf, s.anyOf} {
		for _, alternative := range list {
			d.walk(alternative, n, visit, seen, depth+1)
		}
	}
	for _, e := range n.Entries {
		p := s.properties[e.Key.Text]
		if p == nil {
			p = s.additional
		}
		d.walk(p, e.Value, visit, seen, depth+1)
	}
	for i, item := range n.Items {
		rule := s.items
		if i < len(s.prefix) {
			rule = s.prefix[i]
		}
		d.walk(rule, item, visit, seen, depth+1)
	}
}

// Late tells whether the value at a path of keys is expanded late.
func (a *Action) Late(path ...string) bool {
	d, err := a.config()
	if err != nil {
		return false
	}
	s := d.resolve(d.root)
	for _, key := range path {
		if s == nil {
			return false
		}
		if _, err := strconv.Atoi(key); err == nil && s.items != nil {
			s = d.resolve(s.items)
		} else {
			s = d.property(s, key, 0)
		}
		if s != nil && s.late {
			return true
		}
	}
	return false
}

// EffectName is an effect in the language's vocabulary: "once"; "" for none.
func EffectName(e testmeshv1.Effect) string {
	if e < 0 || int(e) >= len(effectNames) {
		return ""
	}
	return effectNames[e]
}

// effectNames are the words by the number on the wire, without asking protobuf's
// reflection at every step.
var effectNames = [...]string{
	testmeshv1.Effect_EFFECT_OBSERVE: "observe", testmeshv1.Effect_EFFECT_IDEMPOTENT: "idempotent",
	testmeshv1.Effect_EFFECT_ONCE: "once", testmeshv1.Effect_EFFECT_CONSUME: "consume",
	testmeshv1.Effect_EFFECT_LOAD: "load", testmeshv1.Effect_EFFECT_TEARDOWN: "teardown",
}

// ParseEffect reads a word of the language's vocabulary.
func ParseEffect(name string) (testmeshv1.Effect, bool) {
	if name != strings.ToLower(name) || name == "unspecified" {
		return testmeshv1.Effect_EFFECT_UNSPECIFIED, false
	}
	v, ok := testmeshv1.Effect_value["EFFECT_"+strings.ToUpper(name)]
	return testmeshv1.Effect(v), ok
}
