package openapi

import (
	"strings"

	validatepb "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// comment is what stands before a definition in the proto.
func comment(d protoreflect.Descriptor) string {
	loc := d.ParentFile().SourceLocations().ByDescriptor(d)
	return strings.TrimSpace(strings.ReplaceAll(strings.TrimSpace(loc.LeadingComments), "\n ", "\n"))
}

// summary is the first sentence of a comment, in one line.
func summary(d protoreflect.Descriptor, words string) string {
	first, _, _ := strings.Cut(strings.ReplaceAll(words, "\n", " "), ". ")
	first = strings.TrimSuffix(first, ".")
	if first == "" {
		return string(d.Name())
	}
	return first
}

// ref is a reference to the schema of a message, which it adds.
func (d *document) ref(m protoreflect.MessageDescriptor) object {
	if s, known := wellKnown[m.FullName()]; known {
		return s
	}
	name := strings.TrimPrefix(string(m.FullName()), string(m.ParentFile().Package())+".")
	if _, known := d.schemas[name]; !known {
		d.schemas[name] = object{} // a message may hold itself
		d.schemas[name] = d.message(m)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// wellKnown are messages that JSON has another form for.
var wellKnown = map[protoreflect.FullName]object{
	"google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
	"google.protobuf.Duration":  {"type": "string", "pattern": `^-?[0-9]+(\.[0-9]+)?s$`},
	"google.protobuf.Struct":    {"type": "object"},
	"google.protobuf.Value":     {},
}

// message is the schema of a message. Nothing is required of an answer's reader: which
// fields must be sent, their own rules say.
func (d *document) message(m protoreflect.MessageDescriptor) object {
	properties := object{}
	var required []any
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		s := d.field(f)
		if words := comment(f); words != "" {
			s["description"] = words
		}
		properties[string(f.Name())] = s
		if rules(f).GetRequired() {
			required = append(required, string(f.Name()))
		}
	}
	s := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	if words := comment(m); words != "" {
		s["description"] = words
	}
	return s
}

func rules(f protoreflect.FieldDescriptor) *validatepb.FieldRules {
	r, _ := proto.GetExtension(f.Options(), validatepb.E_Field).(*validatepb.FieldRules)
	return r
}

// field is the schema of a field, with its limits.
func (d *document) field(f protoreflect.FieldDescriptor) object {
	r := rules(f)
	switch {
	case f.IsMap():
		s := object{"type": "object", "additionalProperties": d.one(f.MapValue(), r.GetMap().GetValues())}
		if m := r.GetMap(); m != nil {
			bound(s, "maxProperties", m.MaxPairs)
		}
		return s
	case f.IsList():
		s := object{"type": "array", "items": d.one(f, r.GetRepeated().GetItems())}
		if l := r.GetRepeated(); l != nil {
			bound(s, "minItems", l.MinItems)
			bound(s, "maxItems", l.MaxItems)
		}
		return s
	}
	return d.one(f, r)
}

// one is the schema of one value of a field.
func (d *document) one(f protoreflect.FieldDescriptor, r *validatepb.FieldRules) object {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return clone(d.ref(f.Message()))
	case protoreflect.EnumKind:
		return enum(f.Enum())
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.StringKind:
		return text(r.GetString())
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return object{"type": "number"}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		s := object{"type": "integer", "format": "int32"}
		if n := r.GetInt32(); n != nil {
			if low, ok := n.GetGreaterThan().(*validatepb.Int32Rules_Gte); ok {
				s["minimum"] = low.Gte
			}
			if high, ok := n.GetLessThan().(*validatepb.Int32Rules_Lte); ok {
				s["maximum"] = high.Lte
			}
		}
		return s
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return object{"type": "integer", "format": "uint32", "minimum": 0}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return object{"type": "string", "format": "uint64", "pattern": "^[0-9]+$"}
	}
	return object{"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
}

func enum(e protoreflect.EnumDescriptor) object {
	var names []any
	var words []string
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		names = append(names, string(v.Name()))
		if c := comment(v); c != "" {
			words = append(words, string(v.Name())+": "+c)
		}
	}
	s := object{"type": "string", "enum": names}
	if len(words) > 0 {
		s["description"] = strings.Join(words, "\n")
	}
	return s
}

func text(r *validatepb.StringRules) object {
	s := object{"type": "string"}
	if r == nil {
		return s
	}
	bound(s, "minLength", r.MinLen)
	bound(s, "maxLength", r.MaxLen)
	bound(s, "maxLength", r.MaxBytes) // a character has one byte at least
	if r.GetUuid() {
		s["format"] = "uuid"
	}
	if p := r.GetPattern(); p != "" {
		s["pattern"] = p
	}
	return s
}

func bound(s object, name string, n *uint64) {
	if n != nil {
		s[name] = *n
	}
}

func clone(s object) object {
	out := object{}
	for k, v := range s {
		out[k] = v
	}
	return out
}
