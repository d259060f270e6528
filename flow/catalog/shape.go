package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// shape is a JSON Schema as far as literal YAML is checked against it before a
// run. What it leaves out (conditionals, formats, dependencies) is judged by
// package schema on the expanded value.
type shape struct {
	ref        string // resolved by resolve
	never      bool   // the schema false
	types      []string
	enum       []any
	hasConst   bool
	constant   any
	properties map[string]*shape
	patterned  bool // has patternProperties: unknown keys are left to package schema
	required   []string
	additional *shape // of maps; nil: anything
	closed     bool   // additionalProperties: false
	items      *shape
	prefix     []*shape
	oneOf      []*shape
	anyOf      []*shape
	allOf      []*shape
	min, max   any // numbers, inclusive
	above      any // exclusiveMinimum
	below      any // exclusiveMaximum
	minLength  int64
	maxLength  int64 // -1: none
	minItems   int64
	maxItems   int64 // -1: none
	byDefault  any
	hasDefault bool
	file       bool
	late       bool
	duration   bool
}

// document is a parsed schema: its root and what $ref may name.
type document struct {
	root    *shape
	value   any // the decoded schema
	refs    map[string]*shape
	partial bool // it has keywords that shapes leave out
}

// maxShapeDepth bounds the nesting of a plugin's schema.
const maxShapeDepth = 64

func parseDocument(text string) (*document, error) {
	if strings.TrimSpace(text) == "" {
		text = "true"
	}
	v, err := value.Decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("decode schema: %w", err)
	}
	d := &document{value: v, refs: map[string]*shape{}}
	if d.root, err = d.parse(v, "#", 0); err != nil {
		return nil, err
	}
	return d, nil
}

// parse reads one schema; references are looked up when they are followed, so
// that a schema may hold itself.
func (d *document) parse(v any, at string, depth int) (*shape, error) {
	if depth > maxShapeDepth {
		return nil, fmt.Errorf("schema %s: nested deeper than %d", at, maxShapeDepth)
	}
	s := &shape{maxLength: -1, maxItems: -1}
	switch x := v.(type) {
	case bool:
		s.never = !x
		return s, nil
	case map[string]any:
		return s, d.fill(s, x, at, depth)
	}
	return nil, fmt.Errorf("schema %s: neither an object nor a boolean", at)
}

func (d *document) fill(s *shape, m map[string]any, at string, depth int) error {
	for keyword, v := range m {
		d.partial = d.partial || !understood(keyword)
		s.set(keyword, v)
	}
	for _, choice := range append(s.enum[:len(s.enum):len(s.enum)], s.constant) {
		switch choice.(type) {
		case []any, map[string]any:
			d.partial = true
		}
	}
	return d.fillChildren(s, m, at, depth)
}

// set takes a keyword whose value holds no schema. Most schemas have two or
// three of them, so that each is looked at rather than each looked for.
func (s *shape) set(keyword string, v any) {
	switch keyword {
	case "$ref":
		s.ref, _ = v.(string)
	case "type":
		s.types = typesOf(v)
	case "enum":
		s.enum, _ = v.([]any)
	case "const":
		s.constant, s.hasConst = v, true
	case "default":
		s.byDefault, s.hasDefault = v, true
	case "minimum":
		s.min = v
	case "maximum":
		s.max = v
	case "exclusiveMinimum":
		s.above = v
	case "exclusiveMaximum":
		s.below = v
	case "minLength":
		s.minLength = integer(v, 0)
	case "maxLength":
		s.maxLength = integer(v, -1)
	case "minItems":
		s.minItems = integer(v, 0)
	case "maxItems":
		s.maxItems = integer(v, -1)
	case "x-testmesh-file":
		s.file = v == true
	case "x-testmesh-template":
		s.late = v == "late"
	case "x-testmesh-duration":
		s.duration = v == true
	case "patternProperties":
		s.patterned = true
	case "required":
		required, _ := v.([]any)
		for _, r := range required {
			s.required = append(s.required, value.Text(r))
		}
	}
}

func typesOf(v any) (types []string) {
	switch t := v.(type) {
	case string:
		return []string{t}
	case []any:
		for _, e := range t {
			types = append(types, value.Text(e))
		}
	}
	return types
}

func (d *document) fillChildren(s *shape, m map[string]any, at string, depth int) (err error) {
	one := func(key string) *shape {
		v, ok := m[key]
		if !ok || err != nil {
			return nil
		}
		var child *shape
		child, err = d.parse(v, at+"/"+key, depth+1)
		return child
	}
	list := func(key string) (out []*shape) {
		vs, _ := m[key].([]any)
		for i, v := range vs {
			if err != nil {
				return nil
			}
			var child *shape
			child, err = d.parse(v, fmt.Sprintf("%s/%s/%d", at, key, i), depth+1)
			out = append(out, child)
		}
		return out
	}
	if props, ok := m["properties"].(map[string]any); ok {
		s.properties = make(map[string]*shape, len(props))
		for _, name := range value.Keys(props) {
			child, err := d.parse(props[name], at+"/properties/"+name, depth+1)
			if err != nil {
				return err
			}
			s.properties[name] = child
		}
	}
	for _, key := range [...]string{"$defs", "definitions"} {
		defs, _ := m[key].(map[string]any)
		for _, name := range value.Keys(defs) {
			child, err := d.parse(defs[name], at+"/"+key+"/"+name, depth+1)
			if err != nil {
				return err
			}
			d.refs[at+"/"+key+"/"+name] = child
		}
	}
	if depth == 0 {
		d.refs["#"] = s
	}
	s.additional = one("additionalProperties")
	if s.additional != nil && s.additional.never {
		s.additional, s.closed = nil, true
	}
	s.items = one("items")
	s.prefix, s.oneOf, s.anyOf, s.allOf = list("prefixItems"), list("oneOf"), list("anyOf"), list("allOf")
	return err
}

func integer(v any, otherwise int64) int64 {
	if n, ok := value.Int(v); ok {
		return n
	}
	return otherwise
}

// resolve follows references to the schema that they mean; one that leads
// nowhere, or round in a circle, accepts anything.
func (d *document) resolve(s *shape) *shape {
	for range maxShapeDepth {
		if s == nil || s.ref == "" {
			return s
		}
		s = d.refs[s.ref]
	}
	return nil
}

// checkRefs finds a reference that leads nowhere.
func (d *document) checkRefs(v any) error {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			if err := d.checkRefs(e); err != nil {
				return err
			}
		}
	case map[string]any:
		if ref, ok := x["$ref"].(string); ok && d.refs[ref] == nil {
			return fmt.Errorf("$ref %q leads nowhere", ref)
		}
		for _, k := range value.Keys(x) {
			if err := d.checkRefs(x[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// propertyNames are the keys that a map of this shape may have, also by its
// alternatives, in alphabetical order.
func (d *document) propertyNames(s *shape) []string {
	set := map[string]bool{}
	d.collectNames(s, set, 0)
	return slices.Sorted(maps.Keys(set))
}

// inAlternative tells whether an alternative of the map names the key.
func (d *document) inAlternative(s *shape, key string) bool {
	if len(s.oneOf)+len(s.anyOf)+len(s.allOf) == 0 {
		return false
	}
	return slices.Contains(d.propertyNames(s), key)
}

func (d *document) collectNames(s *shape, into map[string]bool, depth int) {
	if s = d.resolve(s); s == nil || depth > maxShapeDepth {
		return
	}
	for name := range s.properties {
		into[name] = true
	}
	for _, list := range [...][]*shape{s.oneOf, s.anyOf, s.allOf} {
		for _, alternative := range list {
			d.collectNames(alternative, into, depth+1)
		}
	}
}

// property is the shape of a key, looked for in the alternatives too; nil
// where nothing says anything about it.
func (d *document) property(s *shape, key string, depth int) *shape {
	if s = d.resolve(s); s == nil || depth > maxShapeDepth {
		return nil
	}
	if p := s.properties[key]; p != nil {
		return d.resolve(p)
	}
	for _, list := range [...][]*shape{s.allOf, s.oneOf, s.anyOf} {
		for _, alternative := range list {
			if p := d.property(alternative, key, depth+1); p != nil {
				return p
			}
		}
	}
	return d.resolve(s.additional)
}
