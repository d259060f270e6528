package catalog

import (
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// understood tells whether a keyword is one that accepts and the checker judge
// in full. A schema with another one (patterns, conditionals, formats) is
// judged by package schema, which takes a millisecond to compile it.
func understood(keyword string) bool {
	switch keyword {
	case "type", "enum", "const", "default", "properties", "required", "additionalProperties", "items", "prefixItems",
		"oneOf", "anyOf", "allOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
		"minLength", "maxLength", "minItems", "maxItems", "$ref", "$defs", "definitions",
		"$schema", "$id", "$comment", "title", "description", "examples", "deprecated",
		"x-testmesh-file", "x-testmesh-template", "x-testmesh-duration":
		return true
	}
	return false
}

// accepts judges an expanded value as the checker judges a node: quickly, and
// without words.
func (d *document) accepts(s *shape, v any, depth int) bool {
	if s = d.resolve(s); s == nil {
		return true
	}
	if s.never || depth > maxShapeDepth || !acceptsType(s.types, v) || !acceptsChoice(s, v) {
		return false
	}
	for _, part := range s.allOf {
		if !d.accepts(part, v, depth+1) {
			return false
		}
	}
	if !d.acceptsAny(s.oneOf, v, depth) || !d.acceptsAny(s.anyOf, v, depth) {
		return false
	}
	switch x := v.(type) {
	case map[string]any:
		return d.acceptsMap(s, x, depth)
	case []any:
		return d.acceptsList(s, x, depth)
	case string:
		return acceptsString(s, x)
	}
	return value.KindOf(v) != value.Number || acceptsRange(s, v)
}

func (d *document) acceptsAny(list []*shape, v any, depth int) bool {
	for _, alternative := range list {
		if d.accepts(alternative, v, depth+1) {
			return true
		}
	}
	return len(list) == 0
}

func acceptsType(types []string, v any) bool {
	for _, t := range types {
		if t == string(value.KindOf(v)) || t == "integer" && value.IsInteger(v) {
			return true
		}
	}
	return len(types) == 0
}

func acceptsChoice(s *shape, v any) bool {
	if s.hasConst && !value.Equal(s.constant, v) {
		return false
	}
	for _, e := range s.enum {
		if value.Equal(e, v) {
			return true
		}
	}
	return len(s.enum) == 0
}

func (d *document) acceptsMap(s *shape, m map[string]any, depth int) bool {
	for _, key := range s.required {
		if _, ok := m[key]; !ok {
			return false
		}
	}
	for key, v := range m {
		p := s.properties[key]
		switch {
		case p != nil || d.inAlternative(s, key):
		case s.closed:
			return false
		default:
			p = s.additional
		}
		if p != nil && !d.accepts(p, v, depth+1) {
			return false
		}
	}
	return true
}

func (d *document) acceptsList(s *shape, list []any, depth int) bool {
	n := int64(len(list))
	if n < s.minItems || s.maxItems >= 0 && n > s.maxItems {
		return false
	}
	for i, v := range list {
		rule := s.items
		if i < len(s.prefix) {
			rule = s.prefix[i]
		}
		if rule != nil && !d.accepts(rule, v, depth+1) {
			return false
		}
	}
	return true
}

func acceptsString(s *shape, text string) bool {
	if s.minLength > 0 || s.maxLength >= 0 {
		n := int64(utf8.RuneCountInString(text))
		if n < s.minLength || s.maxLength >= 0 && n > s.maxLength {
			return false
		}
	}
	if s.duration {
		_, err := parseDuration(text)
		return err == nil
	}
	return true
}

func acceptsRange(s *shape, v any) bool {
	within := func(limit any, holds func(order int) bool) bool {
		order, ok := value.CompareNumbers(v, limit)
		return limit == nil || !ok || holds(order)
	}
	return within(s.min, func(o int) bool { return o >= 0 }) && within(s.max, func(o int) bool { return o <= 0 }) &&
		within(s.above, func(o int) bool { return o > 0 }) && within(s.below, func(o int) bool { return o < 0 })
}

// nodeOf is a value as a node without a place, for the checker's words.
func nodeOf(v any) *source.Node {
	n := &source.Node{Value: v, Tag: "!raw"} // nothing in it is a placeholder
	switch x := v.(type) {
	case nil:
		n.Kind = source.Null
	case bool:
		n.Kind, n.Text = source.Boolean, value.Text(v)
	case string:
		n.Kind, n.Text = source.String, x
	case []any:
		n.Kind, n.Value = source.List, nil
		for _, e := range x {
			n.Items = append(n.Items, nodeOf(e))
		}
	case map[string]any:
		n.Kind, n.Value = source.Map, nil
		for _, k := range value.Keys(x) {
			n.Entries = append(n.Entries, source.Entry{Key: &source.Node{Kind: source.String, Value: k, Text: k}, Value: nodeOf(x[k])})
		}
	default:
		n.Kind, n.Text = source.Number, value.Text(v)
	}
	return n
}
