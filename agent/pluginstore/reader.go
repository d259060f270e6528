package pluginstore

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// reader reads YAML strictly: what it does not know is a problem with its place.
type reader struct{ problems source.Problems }

func (r *reader) fail(code source.Code, n *source.Node, hint, format string, args ...any) {
	r.problems = append(r.problems, source.Problem{
		Severity: source.Error, Code: code, Pos: n.Pos, Text: n.Text, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// document gives the one document of a file, or nil with a problem.
func (r *reader) document(file string, docs []*source.Node, what string) *source.Node {
	nowhere := &source.Node{Pos: source.Pos{File: file, Line: 1, Column: 1}}
	switch {
	case len(docs) == 0 || docs[0].Kind == source.Null:
		r.fail(source.CodeKey, nowhere, "", "%s is empty", what)
		return nil
	case len(docs) > 1:
		r.fail(source.CodeYAML, docs[1], "", "%s is one document", what)
	}
	return docs[0]
}

// fields gives the values of a map by key, all of them known.
func (r *reader) fields(n *source.Node, what string, keys ...string) map[string]*source.Node {
	out := make(map[string]*source.Node, len(keys))
	if n == nil || n.Kind == source.Null {
		return out
	}
	if n.Kind != source.Map {
		r.fail(source.CodeType, n, "", "%s is a map, not a %s", what, n.Kind)
		return out
	}
	for _, e := range n.Entries {
		known := false
		for _, k := range keys {
			known = known || k == e.Key.Text
		}
		if known {
			out[e.Key.Text] = e.Value
			continue
		}
		hint := what + " has " + strings.Join(keys, ", ")
		if near := value.Closest(e.Key.Text, keys); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		r.fail(source.CodeKey, e.Key, hint, "unknown key %q in %s", e.Key.Text, what)
	}
	return out
}

// need gives a key that must be there.
func (r *reader) need(n *source.Node, fields map[string]*source.Node, key, what, hint string) *source.Node {
	v := fields[key]
	if v == nil || v.Kind == source.Null {
		r.fail(source.CodeKey, n, hint, "%s needs the key %q", what, key)
		return nil
	}
	return v
}

// text is the text of a scalar; "" where there is none.
func (r *reader) text(n *source.Node, key string) string {
	switch {
	case n == nil || n.Kind == source.Null:
		return ""
	case n.Kind == source.Map || n.Kind == source.List:
		r.fail(source.CodeType, n, "", "%s is a text, not a %s", key, n.Kind)
		return ""
	}
	return n.Text
}

// texts is a list of texts; one text alone is a list of one.
func (r *reader) texts(n *source.Node, key string) []string {
	switch {
	case n == nil || n.Kind == source.Null:
		return nil
	case n.Kind == source.Map:
		r.fail(source.CodeType, n, "", "%s is a list of texts, not a map", key)
		return nil
	case n.Kind != source.List:
		return []string{n.Text}
	}
	out := make([]string, 0, len(n.Items))
	for _, item := range n.Items {
		out = append(out, r.text(item, "an entry of "+key))
	}
	return out
}

func (r *reader) flag(n *source.Node, key string) bool {
	if n == nil || n.Kind == source.Null {
		return false
	}
	v, ok := n.Value.(bool)
	if !ok {
		r.fail(source.CodeType, n, "", "%s is true or false, not %q", key, n.Text)
	}
	return v
}

func (r *reader) whole(n *source.Node, key string) int {
	v, err := strconv.Atoi(n.Text)
	if err != nil || n.Kind != source.Number {
		r.fail(source.CodeType, n, "", "%s is a whole number, not %q", key, n.Text)
	}
	return v
}

func (r *reader) protocols(n *source.Node) []int {
	if n == nil || n.Kind == source.Null {
		return nil
	}
	items := n.Items
	if n.Kind != source.List {
		items = []*source.Node{n}
	}
	out := make([]int, 0, len(items))
	for _, item := range items {
		out = append(out, r.whole(item, "an entry of protocol"))
	}
	return out
}

// name reads the name of a plugin.
func (r *reader) name(n *source.Node) string {
	name := r.text(n, "name")
	if n != nil && n.Kind != source.Null && !ValidName(name) {
		r.fail(source.CodeType, n, "lower-case letters, digits and _, a letter first, up to 40 characters", "%q cannot be the name of a plugin", name)
	}
	return name
}

// version reads a semantic version.
func (r *reader) version(n *source.Node) string {
	text := r.text(n, "version")
	if n != nil && n.Kind != source.Null && !ValidVersion(text) {
		r.fail(source.CodeType, n, `three numbers, as 1.4.0 or 1.4.0-rc.1 (semver.org); a version of two numbers is a number to YAML`, "%q is not a version", text)
	}
	return text
}

// digest reads a SHA-256 in hexadecimal.
func (r *reader) digest(n *source.Node, key string) string {
	text := r.text(n, key)
	if n != nil && !validDigest(text) {
		r.fail(source.CodeType, n, "", "%s is not a SHA-256 in 64 hexadecimal digits", key)
	}
	return text
}

func validDigest(text string) bool {
	return len(text) == 64 && strings.Trim(text, "0123456789abcdef") == ""
}
