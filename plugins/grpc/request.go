package grpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// maxQuoted bounds a value inside a message.
const maxQuoted = 60

// encode makes the bytes of a message of its JSON, in the mapping of protobuf
// (protobuf.dev/programming-guides/json). at is the key of the config.
func (s *schema) encode(md protoreflect.MessageDescriptor, text json.RawMessage, at string) ([]byte, error) {
	if len(text) == 0 || string(text) == "null" {
		text = json.RawMessage("{}")
	}
	m := dynamicpb.NewMessage(md)
	if err := (protojson.UnmarshalOptions{Resolver: s.types}).Unmarshal(text, m); err != nil {
		return nil, (&mistake{types: s.types, source: s.source, cause: err}).find(md, text, at)
	}
	data, err := proto.Marshal(m)
	if err != nil {
		return nil, plugin.Definitionf(at, "is no %s: %s", md.FullName(), protoWords(err))
	}
	return data, nil
}

// mistake looks for the place that protojson did not like, which it gives by
// line and column of a JSON text that nobody wrote: it is asked again about each
// part.
type mistake struct {
	types  types
	source string
	cause  error
}

// accepts tells whether one field with a value is a message.
func (m *mistake) accepts(md protoreflect.MessageDescriptor, field string, text json.RawMessage) bool {
	whole := slices.Concat([]byte("{"), []byte(strconv.Quote(field)), []byte(":"), text, []byte("}"))
	err := (protojson.UnmarshalOptions{Resolver: m.types, AllowPartial: true}).Unmarshal(whole, dynamicpb.NewMessage(md))
	if err != nil {
		m.cause = err
	}
	return err == nil
}

// find explains what is wrong with a message.
func (m *mistake) find(md protoreflect.MessageDescriptor, text json.RawMessage, at string) *plugin.Error {
	if isSpecial(md) {
		e := plugin.Definitionf(at, "must be a %s, not %s", md.FullName(), described(text)).WithHint("%s", specialHint(md))
		if md.Name() == "Any" { // within which anything may be wrong
			e.Message = fmt.Sprintf("is no google.protobuf.Any: %s", protoWords(m.cause))
		}
		return e
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil || members == nil {
		return plugin.Definitionf(at, "must be a map, as %s is a message, not %s", md.FullName(), described(text))
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		field := fieldNamed(md, name)
		switch {
		case field != nil:
		case strings.HasPrefix(name, "["): // an extension, which protojson knows
			if m.accepts(md, name, members[name]) {
				continue
			}
			return plugin.Definitionf(at+"."+name, "is not in order: %s", protoWords(m.cause))
		default:
			return m.unknown(md, name, at)
		}
		if !m.accepts(md, name, members[name]) {
			return m.field(field, name, members[name], at+"."+name)
		}
	}
	return plugin.Definitionf(at, "is no %s: %s", md.FullName(), protoWords(m.cause))
}

func (m *mistake) unknown(md protoreflect.MessageDescriptor, name, at string) *plugin.Error {
	var names []string
	fields := md.Fields()
	for i := range fields.Len() {
		names = append(names, string(fields.Get(i).Name()))
	}
	e := plugin.Definitionf(at+"."+name, "%s has no such field, says %s", md.FullName(), m.source).WithHint("%s", suggestion(name, names))
	if len(names) == 0 {
		return e.WithDetails("it has no fields at all")
	}
	return e.WithDetails(listed("it has", names))
}

// field explains what is wrong with the value of a field.
func (m *mistake) field(field protoreflect.FieldDescriptor, name string, text json.RawMessage, at string) *plugin.Error {
	parent := field.ContainingMessage()
	switch {
	case field.IsMap():
		var members map[string]json.RawMessage
		if json.Unmarshal(text, &members) != nil || members == nil {
			return plugin.Definitionf(at, "must be a map, not %s", described(text))
		}
		for _, key := range slices.Sorted(maps.Keys(members)) {
			quoted, err := json.Marshal(key)
			if err != nil || m.accepts(parent, name, slices.Concat([]byte("{"), quoted, []byte(":"), members[key], []byte("}"))) {
				continue
			}
			if m.accepts(parent, name, slices.Concat([]byte("{"), quoted, []byte(":"), zeroOf(field.MapValue()), []byte("}"))) {
				return m.single(field.MapValue(), members[key], at+"."+key)
			}
			return plugin.Definitionf(at+"."+key, "the key must be %s", kindWords(field.MapKey()))
		}
	case field.IsList():
		var items []json.RawMessage
		if json.Unmarshal(text, &items) != nil || items == nil {
			return plugin.Definitionf(at, "must be a list, not %s", described(text))
		}
		for i, item := range items {
			if !m.accepts(parent, name, slices.Concat([]byte("["), item, []byte("]"))) {
				return m.single(field, item, fmt.Sprintf("%s[%d]", at, i))
			}
		}
	}
	return m.single(field, text, at)
}

// zeroOf is a value that fits.
func zeroOf(field protoreflect.FieldDescriptor) []byte {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		if !isSpecial(field.Message()) {
			return []byte("{}")
		}
		text, err := protojson.Marshal(dynamicpb.NewMessage(field.Message()))
		if err != nil { // a Value has none
			return []byte("null")
		}
		return text
	case protoreflect.StringKind, protoreflect.BytesKind:
		return []byte(`""`)
	case protoreflect.BoolKind:
		return []byte("false")
	}
	return []byte("0")
}

// single explains what is wrong with one value.
func (m *mistake) single(field protoreflect.FieldDescriptor, text json.RawMessage, at string) *plugin.Error {
	switch {
	case field.Message() != nil:
		return m.find(field.Message(), text, at)
	case field.Enum() != nil:
		return enumMistake(field.Enum(), text, at)
	}
	e := plugin.Definitionf(at, "must be %s, not %s", kindWords(field), described(text))
	switch {
	case field.Kind() == protoreflect.StringKind && (text[0] != '"' && text[0] != '{' && text[0] != '['):
		return e.WithHint("write it in quotes: %q", string(text))
	case field.Kind() == protoreflect.BytesKind:
		return e.WithHint("encode the bytes as base64: ${base64_encode(x)}")
	}
	return e
}

func enumMistake(enum protoreflect.EnumDescriptor, text json.RawMessage, at string) *plugin.Error {
	var names []string
	for i := range enum.Values().Len() {
		names = append(names, string(enum.Values().Get(i).Name()))
	}
	e := plugin.Definitionf(at, "must be a value of %s, not %s", enum.FullName(), described(text)).WithDetails(listed("it has", names))
	var given string
	if json.Unmarshal(text, &given) != nil {
		return e
	}
	// PAID is meant to be ORDER_STATUS_PAID.
	short := make([]string, len(names))
	for i, name := range names {
		short[i] = strings.TrimPrefix(name, enumPrefix(names))
	}
	if near := nearest(strings.ToUpper(given), short); near != "" {
		return e.WithHint("did you mean %s?", enumPrefix(names)+near)
	}
	return e.WithHint("%s", suggestion(given, names))
}

// enumPrefix is what the names of an enum's values begin with, up to an
// underscore: the style of protobuf gives them the enum's name.
func enumPrefix(names []string) string {
	prefix := names[0]
	for _, name := range names[1:] {
		for !strings.HasPrefix(name, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix[:strings.LastIndexByte(prefix, '_')+1]
}

// kindWords says what a scalar is.
func kindWords(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "a text"
	case protoreflect.BytesKind:
		return "bytes as base64"
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "a number (" + field.Kind().String() + ")"
	}
	return "a whole number (" + field.Kind().String() + ")"
}

func fieldNamed(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if f := md.Fields().ByJSONName(name); f != nil {
		return f
	}
	return md.Fields().ByTextName(name)
}

// isSpecial tells whether JSON has a form of its own for a message.
func isSpecial(md protoreflect.MessageDescriptor) bool {
	name, found := strings.CutPrefix(string(md.FullName()), "google.protobuf.")
	return found && slices.Contains(specials[:], name)
}

var specials = [...]string{
	"Any", "Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue", "BoolValue", "StringValue", "BytesValue",
	"Int32Value", "Int64Value", "UInt32Value", "UInt64Value", "FloatValue", "DoubleValue",
}

func specialHint(md protoreflect.MessageDescriptor) string {
	switch md.Name() {
	case "Timestamp":
		return `write it as RFC 3339: "2026-01-31T12:00:00Z"`
	case "Duration":
		return `write it in seconds: "1.5s"`
	case "FieldMask":
		return `write the names with commas: "name,price.cents"`
	case "Any":
		return `write its type and its fields: {"@type": "type.googleapis.com/package.Message", …}`
	}
	return ""
}

// described says what a value is in the words of messages.
func described(text json.RawMessage) string {
	text = bytes.TrimSpace(text)
	switch {
	case len(text) == 0:
		return "nothing"
	case text[0] == '{':
		return "a map"
	case text[0] == '[':
		return "a list"
	case text[0] == '"':
		return "the text " + cut(string(text))
	}
	return cut(string(text))
}

func cut(text string) string {
	if runes := []rune(text); len(runes) > maxQuoted {
		return string(runes[:maxQuoted]) + "…"
	}
	return text
}

var protoPrefix = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:proto|protojson|syntax error):\s*|\(line \d+:\d+\):\s*`)
})

// protoWords are those of an error of the protobuf library without where it
// stood. It uses a no-break space, so that nobody depends on its texts.
func protoWords(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return protoPrefix().ReplaceAllString(text, "")
}
