package plugin

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
)

// object is a JSON object whose keys keep their order.
type object struct{ out []byte }

func (o *object) add(key string, value json.RawMessage) {
	if len(o.out) > 0 {
		o.out = append(o.out, ',', ' ')
	}
	o.out = append(appendText(o.out, key), ':', ' ')
	o.out = append(o.out, value...)
}

func (o *object) text(key, value string) {
	if value != "" {
		o.add(key, quoted(value))
	}
}

func (o *object) json() json.RawMessage {
	return append(append([]byte{'{'}, o.out...), '}')
}

func list(values ...json.RawMessage) json.RawMessage {
	out := []byte{'['}
	for i, v := range values {
		if i > 0 {
			out = append(out, ',', ' ')
		}
		out = append(out, v...)
	}
	return append(out, ']')
}

// schema is the JSON Schema (2020-12) of a shape. A result requires all that is
// not left out when empty; a config all that has no default either.
func (s *shape) schema(f *field) json.RawMessage {
	var o object
	s.schemaType(&o)
	if f != nil {
		o.text("description", describeField(s, f.doc))
	}
	s.schemaRules(&o)
	switch s.kind {
	case kindStruct:
		s.schemaKeys(&o)
	case kindMap:
		if element := s.element.schema(nil); string(element) != "{}" {
			o.add("additionalProperties", element)
		}
	case kindList:
		if element := s.element.schema(nil); string(element) != "{}" {
			o.add("items", element)
		}
	case kindEither:
		o.add("oneOf", list(s.choices[0].schema(nil), s.choices[1].schema(nil)))
	case kindFile:
		o.add("x-testmesh-file", json.RawMessage("true"))
	case kindDuration:
		o.add("x-testmesh-duration", json.RawMessage("true"))
	}
	if f == nil {
		return o.json()
	}
	if f.byDefault != nil {
		o.add("default", f.byDefault)
	}
	if len(f.example) > 0 {
		o.add("examples", list(f.example...))
	}
	if f.late {
		o.text("x-testmesh-template", "late")
	}
	return o.json()
}

func describeField(s *shape, doc string) string {
	switch {
	case s.kind == kindBytes && doc == "":
		return "Bytes as base64."
	case s.kind == kindBytes:
		return doc + " (base64)"
	}
	return doc
}

func (s *shape) schemaType(o *object) {
	name := map[kind]string{
		kindBool: "boolean", kindInteger: "integer", kindNumber: "number", kindText: "string", kindSecret: "string",
		kindFile: "string", kindBytes: "string", kindDuration: "string", kindStruct: "object", kindMap: "object", kindList: "array",
	}[s.kind]
	switch {
	case name == "":
	case s.pointer:
		o.add("type", list(quoted(name), quoted("null")))
	default:
		o.text("type", name)
	}
}

func (s *shape) schemaRules(o *object) {
	r := &s.rules
	if len(r.enum) > 0 {
		choices := r.enum
		if s.pointer {
			choices = append(slices.Clone(choices), json.RawMessage("null"))
		}
		o.add("enum", list(choices...))
	}
	least, most := r.min, r.max
	if s.kind == kindInteger {
		least, most = s.sizes()
	}
	if least != nil {
		o.add("minimum", least)
	}
	if most != nil {
		o.add("maximum", most)
	}
	for _, bound := range []struct {
		key   string
		value int
		none  int
	}{{"minLength", r.minLength, 0}, {"maxLength", r.maxLength, -1}, {"minItems", r.minItems, 0}, {"maxItems", r.maxItems, -1}} {
		if bound.value != bound.none {
			o.add(bound.key, json.RawMessage(strconv.Itoa(bound.value)))
		}
	}
	if r.pattern != nil {
		o.text("pattern", r.pattern.String())
	}
}

// sizes are the bounds of an integer: those of its tags, else of its Go type
// where that is narrower than 64 bits.
func (s *shape) sizes() (least, most json.RawMessage) {
	least, most = s.rules.min, s.rules.max
	bits := s.typ.Bits()
	unsigned := s.typ.Kind() >= reflect.Uint && s.typ.Kind() <= reflect.Uint64
	if least == nil && unsigned {
		least = json.RawMessage("0")
	}
	if bits == 64 {
		return least, most
	}
	if least == nil {
		least = json.RawMessage(strconv.FormatInt(-1<<(bits-1), 10))
	}
	if most == nil {
		top := int64(math.MaxInt64) >> (64 - bits)
		if unsigned {
			top = 1<<bits - 1
		}
		most = json.RawMessage(strconv.FormatInt(top, 10))
	}
	return least, most
}

func (s *shape) schemaKeys(o *object) {
	var required []json.RawMessage
	var properties object
	for i := range s.fields {
		f := &s.fields[i]
		if !f.optional {
			required = append(required, quoted(f.name))
		}
		properties.add(f.name, f.shape.schema(f))
	}
	if len(required) > 0 {
		o.add("required", list(required...))
	}
	o.add("additionalProperties", json.RawMessage("false"))
	if len(s.fields) > 0 {
		o.add("properties", properties.json())
	}
}

// objectShape is the shape of a config or result, which is a map.
func objectShape(t reflect.Type, where string) (*shape, error) {
	s, err := shapeOf(t, "", where, 0)
	if err != nil {
		return nil, err
	}
	if s.kind != kindStruct && s.kind != kindMap || s.pointer {
		return nil, fmt.Errorf("%s: a config or result is a struct or a map, not %s", where, t)
	}
	return s, nil
}
