// Package protovalue writes protobuf messages as values of a flow: JSON in the
// mapping of protobuf, but for integers of 64 bits, which are numbers, exact
// here, and not texts. It is for plugins whose messages are known by a schema at
// run time; reading JSON into a message is protojson's, which takes both forms.
package protovalue

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Types finds the types of extensions, and of messages within an Any.
type Types interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

// Printer writes messages. Fields without presence are written also when they
// have their zero value, so that an assertion can see it; those that can tell
// absence when they are set. It is not safe for concurrent use.
type Printer struct {
	// Types may be nil, which knows none.
	Types Types
	// ProtoNames: fields are named as in the schema and not in lowerCamelCase.
	ProtoNames bool

	// Unknown counts, over all that was written, the bytes of fields that the
	// schema does not have: they are left out.
	Unknown int
	// Nameless are the types of Any that nobody knows, whose bytes were written.
	Nameless []string
}

// Append adds a message to out. Its error is that of an Any whose bytes are no
// message of its type.
func (p *Printer) Append(out []byte, m protoreflect.Message) ([]byte, error) {
	if isSpecial(m.Descriptor()) {
		return p.special(out, m)
	}
	out, err := p.fields(append(out, '{'), m, false)
	return append(out, '}'), err
}

// fields writes the members of a message without its braces; more: others stand
// before them.
func (p *Printer) fields(out []byte, m protoreflect.Message, more bool) ([]byte, error) {
	p.Unknown += len(m.GetUnknown())
	var err error
	add := func(name string, field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if more {
			out = append(out, ',')
		}
		more = true
		out = append(appendText(out, name), ':')
		out, err = p.value(out, field, v)
		return err == nil
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.HasPresence() && !m.Has(field) {
			continue
		}
		name := field.JSONName()
		if p.ProtoNames {
			name = field.TextName()
		}
		if !add(name, field, m.Get(field)) {
			return out, err
		}
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		return !field.IsExtension() || add("["+string(field.FullName())+"]", field, v)
	})
	return out, err
}

func (p *Printer) value(out []byte, field protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch {
	case field.IsMap():
		return p.mapping(out, field, v.Map())
	case field.IsList():
		return p.list(out, field, v.List())
	}
	return p.single(out, field, v)
}

func (p *Printer) list(out []byte, field protoreflect.FieldDescriptor, list protoreflect.List) ([]byte, error) {
	out = append(out, '[')
	for i := range list.Len() {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = p.single(out, field, list.Get(i)); err != nil {
			return out, err
		}
	}
	return append(out, ']'), nil
}

// mapping writes a map in the order of its keys, as it may come in any.
func (p *Printer) mapping(out []byte, field protoreflect.FieldDescriptor, m protoreflect.Map) ([]byte, error) {
	keys := make([]protoreflect.MapKey, 0, m.Len())
	m.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, key)
		return true
	})
	slices.SortFunc(keys, compareKeys)
	out = append(out, '{')
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		out = append(appendText(out, key.String()), ':')
		if out, err = p.single(out, field.MapValue(), m.Get(key)); err != nil {
			return out, err
		}
	}
	return append(out, '}'), nil
}

func compareKeys(a, b protoreflect.MapKey) int {
	switch x := a.Interface().(type) {
	case int32, int64:
		return cmp.Compare(a.Int(), b.Int())
	case uint32, uint64:
		return cmp.Compare(a.Uint(), b.Uint())
	case string:
		return cmp.Compare(x, b.String())
	}
	return cmp.Compare(a.String(), b.String()) // false, true
}

func (p *Printer) single(out []byte, field protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(out, v.Bool()), nil
	case protoreflect.StringKind:
		return appendText(out, v.String()), nil
	case protoreflect.BytesKind:
		return appendText(out, base64.StdEncoding.EncodeToString(v.Bytes())), nil
	case protoreflect.FloatKind:
		return appendFloat(out, v.Float(), 32), nil
	case protoreflect.DoubleKind:
		return appendFloat(out, v.Float(), 64), nil
	case protoreflect.EnumKind:
		return appendEnum(out, field.Enum(), v.Enum()), nil
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return p.Append(out, v.Message())
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return strconv.AppendUint(out, v.Uint(), 10), nil
	}
	return strconv.AppendInt(out, v.Int(), 10), nil
}

// isSpecial tells whether JSON has a form of its own for a message.
func isSpecial(d protoreflect.MessageDescriptor) bool {
	if d.ParentFile().Package() != "google.protobuf" {
		return false
	}
	switch d.Name() {
	case "Any", "Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue",
		"DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value", "UInt32Value", "BoolValue", "StringValue", "BytesValue":
		return true
	}
	return false
}

func (p *Printer) special(out []byte, m protoreflect.Message) ([]byte, error) {
	switch m.Descriptor().Name() {
	case "Any":
		return p.any(out, m)
	case "Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue":
		text, err := protojson.Marshal(m.Interface())
		if err != nil { // a time that is none, a number that JSON has not: shown as it came
			out, err = p.fields(append(out, '{'), m, false)
			return append(out, '}'), err
		}
		return append(out, text...), nil
	}
	field := m.Descriptor().Fields().ByNumber(1) // of a wrapper
	return p.single(out, field, m.Get(field))
}

// any writes a message with its type. Where nobody knows the type its bytes are
// given.
func (p *Printer) any(out []byte, m protoreflect.Message) ([]byte, error) {
	fields := m.Descriptor().Fields()
	url, data := m.Get(fields.ByNumber(1)).String(), m.Get(fields.ByNumber(2)).Bytes()
	if url == "" && len(data) == 0 {
		return append(out, "{}"...), nil
	}
	out = appendText(append(out, `{"@type":`...), url)
	inner, err := p.unpack(url, data)
	switch {
	case err != nil:
		return out, err
	case inner == nil:
		p.Nameless = append(p.Nameless, url)
		out = appendText(append(out, `,"value":`...), base64.StdEncoding.EncodeToString(data))
	case isSpecial(inner.Descriptor()):
		out, err = p.special(append(out, `,"value":`...), inner)
	default:
		out, err = p.fields(out, inner, true)
	}
	return append(out, '}'), err
}

// unpack reads the message of an Any, nil where nobody knows its type.
func (p *Printer) unpack(url string, data []byte) (protoreflect.Message, error) {
	if p.Types == nil {
		return nil, nil
	}
	t, err := p.Types.FindMessageByURL(url)
	if err != nil {
		return nil, nil //nolint:nilerr // unknown is an answer
	}
	inner := t.New()
	return inner, proto.UnmarshalOptions{Resolver: p.Types, AllowPartial: true}.Unmarshal(data, inner.Interface())
}

func appendEnum(out []byte, enum protoreflect.EnumDescriptor, n protoreflect.EnumNumber) []byte {
	if enum.FullName() == "google.protobuf.NullValue" {
		return append(out, "null"...)
	}
	if v := enum.Values().ByNumber(n); v != nil {
		return appendText(out, string(v.Name()))
	}
	return strconv.AppendInt(out, int64(n), 10)
}

// appendFloat writes what JSON has no number for as the mapping does.
func appendFloat(out []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(out, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(out, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(out, `"-Infinity"`...)
	}
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(out, f, format, -1, bits)
}

// appendText writes a text as JSON. One of proto2 need not be UTF-8.
func appendText(out []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(text)
			if err != nil { // of a text it cannot fail
				return append(out, `""`...)
			}
			return append(out, quoted...)
		}
	}
	return append(append(append(out, '"'), text...), '"')
}
