package match

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// MaxDepth bounds how deep a pattern may nest.
const MaxDepth = 100

// Compile compiles the value of `match` or `where`: strings are value fields
// with placeholders, and markers.
func Compile(n *source.Node, o expr.Options) (*Pattern, source.Problems) {
	c := compiler{options: o}
	root := c.node(n, 0)
	return &Pattern{root: root, refs: c.refs}, c.problems
}

// CompileValue compiles a pattern that is already expanded: its strings are
// markers or literal text, and nothing in them is a placeholder. The error
// names the first thing that is wrong.
func CompileValue(v any) (*Pattern, error) {
	c := compiler{expanded: true}
	root := c.node(nodeOf(v), 0)
	if len(c.problems) > 0 {
		return nil, errors.New(c.problems[0].Message)
	}
	return &Pattern{root: root}, nil
}

// nodeOf writes a value as a node without places.
func nodeOf(v any) *source.Node {
	switch x := v.(type) {
	case nil:
		return &source.Node{Kind: source.Null, Text: "null"}
	case string:
		return &source.Node{Kind: source.String, Value: x, Text: x, Style: source.DoubleQuoted}
	case []any:
		n := &source.Node{Kind: source.List}
		for _, e := range x {
			n.Items = append(n.Items, nodeOf(e))
		}
		return n
	case map[string]any:
		n := &source.Node{Kind: source.Map}
		for _, k := range value.Keys(x) {
			n.Entries = append(n.Entries, source.Entry{Key: nodeOf(k), Value: nodeOf(x[k])})
		}
		return n
	case bool:
		return &source.Node{Kind: source.Boolean, Value: x, Text: value.Compact(x)}
	}
	return &source.Node{Kind: source.Number, Value: v, Text: value.Compact(v)}
}

type compiler struct {
	options  expr.Options
	expanded bool // strings hold no placeholders
	problems source.Problems
	refs     []expr.Ref
}

func (c *compiler) problem(n *source.Node, hint, format string, args ...any) {
	c.problems = append(c.problems, source.Problem{
		Code: source.CodeMatch, Pos: n.Pos, Text: n.Text,
		Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

func (c *compiler) node(n *source.Node, depth int) node {
	nothing := &literal{text: "null"}
	if n == nil {
		return nothing
	}
	if depth > MaxDepth {
		c.problem(n, "", "the pattern is nested deeper than %d", MaxDepth)
		return nothing
	}
	switch n.Kind {
	case source.String:
		return c.text(n)
	case source.List:
		out := &list{pos: n.Pos}
		for _, item := range n.Items {
			out.items = append(out.items, c.node(item, depth+1))
		}
		return out
	case source.Map:
		return c.object(n, depth)
	}
	return &literal{pos: n.Pos, text: n.Text, v: n.Value}
}

func (c *compiler) object(n *source.Node, depth int) node {
	if len(n.Entries) == 1 && strings.HasPrefix(n.Entries[0].Key.Text, "$") {
		return c.operator(n.Entries[0], depth)
	}
	out := &object{pos: n.Pos}
	for _, e := range n.Entries {
		key := e.Key.Text
		if strings.HasPrefix(key, `\$`) {
			key = key[1:]
		}
		out.keys = append(out.keys, key)
		out.values = append(out.values, c.node(e.Value, depth+1))
	}
	return out
}

func (c *compiler) operator(e source.Entry, depth int) node {
	pos := e.Key.Pos
	switch op := e.Key.Text; op {
	case "$each":
		return &each{pos: pos, inner: c.node(e.Value, depth+1)}
	case "$exact":
		return &exactly{pos: pos, inner: c.node(e.Value, depth+1)}
	case "$contains", "$unordered":
		out := &partners{pos: pos, unordered: op == "$unordered"}
		if e.Value == nil || e.Value.Kind != source.List {
			c.problem(e.Key, "write a list of patterns", "%s takes a list", op)
			return out
		}
		for _, item := range e.Value.Items {
			out.items = append(out.items, c.node(item, depth+1))
		}
		return out
	default:
		hint := source.Suggest(op, []string{"$contains", "$unordered", "$each", "$exact"})
		if hint == "" {
			hint = `a key that really begins with $ is written \` + op
		}
		c.problem(e.Key, hint, "unknown match operator %q", op)
		return &literal{pos: pos, text: op}
	}
}

// text compiles a string: marker, escaped text, or a value field.
func (c *compiler) text(n *source.Node) node {
	s := n.Text
	if v, ok := n.Value.(string); ok {
		s = v
	}
	switch {
	case n.Tag == "!raw":
		return &literal{pos: n.Pos, text: value.Compact(s), v: s}
	case strings.HasPrefix(s, `\#`):
		return &literal{pos: n.Pos, text: value.Compact(s[1:]), v: s[1:]}
	case strings.HasPrefix(s, "#"):
		return c.marker(n, s)
	case c.expanded:
		return &literal{pos: n.Pos, text: value.Compact(s), v: s}
	}
	tmpl, problem := expr.CompileTemplateNode(n, c.options)
	if problem != nil {
		c.problems = append(c.problems, *problem)
		return &literal{pos: n.Pos, text: s}
	}
	c.refs = append(c.refs, tmpl.Refs()...)
	if v, ok := tmpl.Static(); ok {
		return &literal{pos: n.Pos, text: value.Compact(v), v: v}
	}
	return &literal{pos: n.Pos, text: s, tmpl: tmpl}
}

func (c *compiler) marker(n *source.Node, s string) node {
	base := marker{pos: n.Pos, text: s}
	word := s[1:]
	if strings.HasPrefix(word, "#") {
		base.optional = true
		word = word[1:]
	}
	base.word = word
	switch {
	case strings.HasPrefix(word, "regex ") || word == "regex":
		return c.regex(n, base, strings.TrimSpace(strings.TrimPrefix(word, "regex")))
	case strings.HasPrefix(word, "("):
		return c.condition(n, base, word)
	case strings.HasPrefix(word, "["):
		return c.length(n, base, word)
	}
	for _, known := range Markers() {
		if word == known {
			if base.optional && (word == "absent" || word == "present") {
				c.problem(n, "leave one # away", "##%s says nothing: it may be absent anyway", word)
			}
			return &base
		}
	}
	hint := source.Suggest(word, append(Markers(), "regex"))
	if hint == "" {
		hint = `text that begins with # is written \` + s
	}
	c.problem(n, hint, "unknown marker %q", s)
	return &base
}

func (c *compiler) regex(n *source.Node, base marker, text string) node {
	out := &pattern{marker: base}
	if text == "" {
		c.problem(n, "write #regex and the expression behind it: #regex ^ord_", "#regex without an expression")
		return out
	}
	if !c.expanded {
		tmpl, err := expr.CompileTemplate(text, c.options)
		if err == nil {
			if _, static := tmpl.Static(); !static {
				out.tmpl = tmpl
				for _, r := range tmpl.Refs() {
					r.Pos = n.Pos
					c.refs = append(c.refs, r)
				}
				return out
			}
		}
	}
	re, err := regexp.Compile(text)
	if err != nil {
		c.problem(n, "regular expressions are RE2", "regular expression does not compile: %s", regexReason(err))
		re = regexp.MustCompile("$a") // matches nothing; the problem above stops the run
	}
	out.re = re
	return out
}

func regexReason(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}

func (c *compiler) condition(n *source.Node, base marker, word string) node {
	out := &condition{marker: base}
	if !strings.HasSuffix(word, ")") {
		c.problem(n, "", "%s: the closing parenthesis is missing", base.text)
		return out
	}
	cond, err := expr.Compile(word[1:len(word)-1], c.options)
	if err != nil {
		var syntax *expr.SyntaxError
		hint := ""
		if errors.As(err, &syntax) {
			hint = syntax.Hint
		}
		c.problem(n, hint, "%s: %s", base.text, err)
		return out
	}
	if kind := cond.StaticKind(); kind != "" && kind != "boolean" {
		c.problem(n, "compare it with something", "%s gives a %s, not true or false", base.text, kind)
	}
	for _, r := range cond.Refs() {
		if r.Name != "_" {
			r.Pos = n.Pos
			c.refs = append(c.refs, r)
		}
	}
	out.cond = cond
	return out
}

func (c *compiler) length(n *source.Node, base marker, word string) node {
	out := &length{marker: base}
	inside, rest, ok := strings.Cut(word[1:], "]")
	if ok {
		out.low, out.high, ok = parseLength(inside)
	}
	rest = strings.TrimSpace(rest)
	if !ok || rest != "" && !strings.HasPrefix(rest, "#") {
		c.problem(n, `lengths are #[], #[3], #[1..], #[..5] or #[1..5], then a marker for every element: "#[1..] #string"`,
			"cannot read %q", base.text)
		return out
	}
	if rest != "" {
		out.element = c.marker(&source.Node{Kind: source.String, Text: rest, Value: rest, Pos: n.Pos}, rest)
	}
	return out
}
