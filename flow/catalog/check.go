package catalog

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// CheckConfig judges a config as written: keys, types, enums, ranges. A string
// that holds a placeholder fits everything; CheckValue judges what it became.
// Nil stands for no config at all; at is where the step names its action.
func (a *Action) CheckConfig(n *source.Node, at source.Pos) source.Problems {
	d, err := a.config()
	if err != nil {
		return source.Problems{{
			Severity: source.Error, Code: source.CodePlugin, Pos: at, Text: a.Name,
			Message: fmt.Sprintf("the config schema of plugin %s cannot be read: %v", a.Plugin, err),
		}}
	}
	if n == nil || n.Kind == source.Null {
		n = &source.Node{Kind: source.Map, Pos: at, Text: a.Name}
	}
	c := checker{d: d, action: a.Name}
	c.check(d.root, n, "config", 0)
	return c.problems
}

type checker struct {
	d        *document
	action   string
	problems source.Problems
}

func (c *checker) add(code source.Code, n *source.Node, message, hint string) {
	c.problems = append(c.problems, source.Problem{
		Severity: source.Error, Code: code, Pos: n.Pos, Text: n.Text, Message: message, Hint: hint,
	})
}

// open tells that a value is known only when the step runs.
func open(n *source.Node) bool {
	return n.Kind == source.String && n.Tag != "!raw" && (strings.Contains(n.Text, "${") || strings.Contains(n.Text, "{{"))
}

func (c *checker) check(s *shape, n *source.Node, path string, depth int) {
	if s = c.d.resolve(s); s == nil || depth > maxShapeDepth || open(n) {
		return
	}
	if s.never {
		c.add(source.CodeKey, n, path+" is not possible here", "")
		return
	}
	if !c.checkType(s, n, path) || !c.checkChoice(s, n, path) {
		return
	}
	for _, part := range s.allOf {
		c.check(part, n, path, depth+1)
	}
	c.checkAlternatives(s.oneOf, n, path, depth)
	c.checkAlternatives(s.anyOf, n, path, depth)
	switch n.Kind {
	case source.Map:
		c.checkMap(s, n, path, depth)
	case source.List:
		c.checkList(s, n, path, depth)
	case source.Number:
		c.checkRange(s, n, path)
	case source.String:
		c.checkString(s, n, path)
	}
}

// checkAlternatives accepts what one alternative accepts, and otherwise says
// what the nearest one has against it.
func (c *checker) checkAlternatives(list []*shape, n *source.Node, path string, depth int) {
	var best source.Problems
	bestScore := 0
	var kinds []string
	for i, alternative := range list {
		sub := checker{d: c.d, action: c.action}
		sub.check(alternative, n, path, depth+1)
		if len(sub.problems) == 0 {
			return
		}
		score := len(sub.problems)
		for _, p := range sub.problems {
			if p.Pos == n.Pos && p.Code == source.CodeType {
				score += 100 // the wrong kind of thing: hardly the one that was meant
			}
		}
		if i == 0 || score < bestScore {
			best, bestScore = sub.problems, score
		}
		if r := c.d.resolve(alternative); r != nil {
			kinds = append(kinds, r.types...)
		}
	}
	if bestScore >= 100 && len(kinds) == len(list) {
		best = source.Problems{c.wrongType(kinds, n, path, false)}
	}
	c.problems = append(c.problems, best...)
}

func (c *checker) checkType(s *shape, n *source.Node, path string) bool {
	if len(s.types) == 0 {
		return true
	}
	for _, t := range s.types {
		if fits(t, n) {
			return true
		}
	}
	c.problems = append(c.problems, c.wrongType(s.types, n, path, s.duration))
	return false
}

func fits(t string, n *source.Node) bool {
	switch t {
	case "null":
		return n.Kind == source.Null
	case "boolean":
		return n.Kind == source.Boolean
	case "number":
		return n.Kind == source.Number
	case "integer":
		return n.Kind == source.Number && value.IsInteger(n.Value)
	case "string":
		return n.Kind == source.String
	case "array":
		return n.Kind == source.List
	case "object":
		return n.Kind == source.Map
	}
	return true
}

func (c *checker) wrongType(types []string, n *source.Node, path string, duration bool) source.Problem {
	p := source.Problem{
		Severity: source.Error, Code: source.CodeType, Pos: n.Pos, Text: n.Text,
		Message: fmt.Sprintf("%s must be %s, not %s", path, oneOf(types), describe(n)),
	}
	switch {
	case duration && n.Kind == source.Number:
		p.Hint = fmt.Sprintf("write a unit: %ss, or %sms", n.Text, n.Text)
	case n.Kind == source.String && n.Style != source.Plain && wouldFit(types, n.Text):
		p.Hint = "write " + n.Text + " without quotes"
	case len(types) == 1 && types[0] == "string" && (n.Kind == source.Number || n.Kind == source.Boolean):
		p.Hint = "write it in quotes: " + strconv.Quote(n.Text)
	case len(types) == 1 && types[0] == "array" && n.Kind != source.Map && n.Kind != source.Null:
		p.Hint = "write it as a list: [" + n.Text + "]"
	}
	return p
}

// wouldFit tells whether a quoted text would be right without its quotes.
func wouldFit(types []string, text string) bool {
	v, err := value.ParseNumber(text)
	for _, t := range types {
		switch t {
		case "integer":
			if err == nil && value.IsInteger(v) {
				return true
			}
		case "number":
			if err == nil {
				return true
			}
		case "boolean":
			if text == "true" || text == "false" {
				return true
			}
		}
	}
	return false
}

// oneOf words a list of types: "a string", "a number or a list".
func oneOf(types []string) string {
	words := make([]string, 0, len(types))
	for _, t := range types {
		words = append(words, article(t))
	}
	return or(words)
}

func article(t string) string {
	switch t {
	case "array":
		return "a list"
	case "object":
		return "a map"
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "null":
		return "null"
	}
	return "a " + t
}

func or(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// describe says what a node is in the words of messages: `the string "x"`.
func describe(n *source.Node) string {
	switch n.Kind {
	case source.Map:
		return "a map"
	case source.List:
		return "a list"
	case source.Null:
		return "null"
	case source.String:
		return "the string " + strconv.Quote(cut(n.Text))
	}
	return cut(n.Text)
}

// maxQuoted bounds a value inside a message.
const maxQuoted = 60

func cut(s string) string {
	if utf8.RuneCountInString(s) <= maxQuoted {
		return s
	}
	return string([]rune(s)[:maxQuoted]) + "…"
}

// checkChoice judges enum and const; choices that are lists or maps are left to
// CheckValue.
func (c *checker) checkChoice(s *shape, n *source.Node, path string) bool {
	for _, choice := range append(s.enum[:len(s.enum):len(s.enum)], s.constant) {
		switch choice.(type) {
		case []any, map[string]any:
			return true
		}
	}
	if n.Kind == source.Map || n.Kind == source.List {
		n = &source.Node{Kind: n.Kind, Pos: n.Pos, Value: []any{}} // equals none of them
	}
	if s.hasConst && !value.Equal(s.constant, n.Value) {
		c.add(source.CodeType, n, fmt.Sprintf("%s must be %s, not %s", path, value.Compact(s.constant), describe(n)), "")
		return false
	}
	if len(s.enum) == 0 {
		return true
	}
	var names []string
	for _, e := range s.enum {
		if value.Equal(e, n.Value) {
			return true
		}
		names = append(names, value.Text(e))
	}
	hint := ""
	if near := nearest(n.Text, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	c.add(source.CodeType, n, fmt.Sprintf("%s must be %s, not %s", path, or(names), describe(n)), hint)
	return false
}

func nearest(name string, candidates []string) string {
	for _, c := range candidates {
		if strings.EqualFold(name, c) && name != c {
			return c
		}
	}
	return value.Closest(name, candidates)
}

func (c *checker) checkMap(s *shape, n *source.Node, path string, depth int) {
	for _, e := range n.Entries {
		key := e.Key.Text
		p := s.properties[key]
		switch {
		case p != nil || c.d.inAlternative(s, key):
		case s.closed && !s.patterned:
			c.unknownKey(c.d.propertyNames(s), e.Key, path)
			continue
		default:
			p = s.additional
		}
		if p != nil {
			c.check(p, e.Value, path+"."+key, depth+1)
		}
	}
	for _, key := range s.required {
		if n.Get(key) == nil {
			c.add(source.CodeKey, n, fmt.Sprintf("%s needs the key %q", subject(path, c.action), key), "")
		}
	}
}

// subject names a map in a sentence: the config itself by its action.
func subject(path, action string) string {
	if path == "config" {
		return action
	}
	return path
}

func (c *checker) unknownKey(names []string, key *source.Node, path string) {
	hint := ""
	if near := nearest(key.Text, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if len(names) > 0 {
		hint = subject(path, c.action) + " takes " + strings.Join(names, ", ")
	}
	c.problems = append(c.problems, source.Problem{
		Severity: source.Error, Code: source.CodeKey, Pos: key.Pos, Text: key.Text,
		Message: fmt.Sprintf("unknown key %q in %s", key.Text, path), Hint: hint,
	})
}

func (c *checker) checkList(s *shape, n *source.Node, path string, depth int) {
	if int64(len(n.Items)) < s.minItems {
		c.add(source.CodeType, n, fmt.Sprintf("%s has %d elements and needs at least %d", path, len(n.Items), s.minItems), "")
	}
	if s.maxItems >= 0 && int64(len(n.Items)) > s.maxItems {
		c.add(source.CodeType, n, fmt.Sprintf("%s has %d elements and may have at most %d", path, len(n.Items), s.maxItems), "")
	}
	for i, item := range n.Items {
		rule := s.items
		if i < len(s.prefix) {
			rule = s.prefix[i]
		}
		if rule != nil {
			c.check(rule, item, path+"["+strconv.Itoa(i)+"]", depth+1)
		}
	}
}

func (c *checker) checkRange(s *shape, n *source.Node, path string) {
	for _, bound := range [...]struct {
		limit any
		holds func(order int) bool
		words string
	}{
		{s.min, func(o int) bool { return o >= 0 }, "at least"},
		{s.max, func(o int) bool { return o <= 0 }, "at most"},
		{s.above, func(o int) bool { return o > 0 }, "more than"},
		{s.below, func(o int) bool { return o < 0 }, "less than"},
	} {
		if bound.limit == nil {
			continue
		}
		if order, ok := value.CompareNumbers(n.Value, bound.limit); ok && !bound.holds(order) {
			c.add(source.CodeType, n, fmt.Sprintf("%s must be %s %s, not %s", path, bound.words, value.Compact(bound.limit), n.Text), "")
		}
	}
}

func (c *checker) checkString(s *shape, n *source.Node, path string) {
	length := int64(utf8.RuneCountInString(n.Text))
	switch {
	case length == 0 && s.minLength > 0:
		c.add(source.CodeType, n, path+" is empty", "")
	case length < s.minLength:
		c.add(source.CodeType, n, fmt.Sprintf("%s must have at least %d characters", path, s.minLength), "")
	case s.maxLength >= 0 && length > s.maxLength:
		c.add(source.CodeType, n, fmt.Sprintf("%s must have at most %d characters", path, s.maxLength), "")
	}
	if s.duration {
		if _, err := parseDuration(n.Text); err != nil {
			c.add(source.CodeType, n, fmt.Sprintf("%s %s", path, err), "write a number and a unit (ms, s, m or h): 500ms, 30s, 5m")
		}
	}
}
