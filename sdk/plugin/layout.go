package plugin

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// kind is what a Go type is in JSON.
type kind int

const (
	kindAny      kind = iota // any, json.RawMessage, what marshals itself
	kindBool                 // bool
	kindInteger              // int, uint and their sizes
	kindNumber               // float32, float64, json.Number
	kindText                 // string and named strings, what marshals itself as text
	kindSecret               // SecretText
	kindFile                 // File
	kindBytes                // []byte, as base64
	kindDuration             // time.Duration, as 500ms
	kindStruct               // a map of known keys
	kindMap                  // a map of any keys
	kindList                 // slices and arrays
	kindEither               // Either: one of two of the above
)

// maxTypeDepth bounds the nesting of an author's types; one that holds itself is
// found by it.
const maxTypeDepth = 24

// shape is a Go type as JSON sees it: its schema, how it is read and printed.
type shape struct {
	kind     kind
	typ      reflect.Type // without its pointer
	pointer  bool
	fields   []field   // of a struct
	element  *shape    // of a list or map
	choices  [2]*shape // of an Either
	rules    rules
	marshals bool // the type reads and prints itself
}

// field is one key of a struct.
type field struct {
	name      string
	index     []int
	shape     *shape
	optional  bool
	omitEmpty bool
	doc       string
	example   []json.RawMessage
	byDefault json.RawMessage
	late      bool
}

// shapeOf reads a type; where names it in messages.
func shapeOf(t reflect.Type, tag reflect.StructTag, where string, depth int) (*shape, error) {
	if depth > maxTypeDepth {
		return nil, fmt.Errorf("%s: %s is nested deeper than %d, or holds itself: use any", where, t, maxTypeDepth)
	}
	s := &shape{typ: t, rules: rules{maxLength: -1, maxItems: -1}}
	if t.Kind() == reflect.Pointer {
		s.pointer, s.typ = true, t.Elem()
	}
	if err := s.setKind(where); err != nil {
		return nil, err
	}
	var err error
	switch s.kind {
	case kindStruct:
		s.fields, err = fieldsOf(s.typ, where, depth)
	case kindEither:
		s.choices, err = choicesOf(s.typ, where, depth)
	case kindList, kindMap:
		// What a tag says of values holds for those of a list or map.
		s.element, err = shapeOf(s.typ.Elem(), tag, where, depth+1)
		if s.typ.Kind() == reflect.Array {
			s.rules.minItems, s.rules.maxItems = s.typ.Len(), s.typ.Len()
		}
		return s, err
	}
	return s, errors.Join(err, s.rules.read(tag, s.kind, where))
}

func (s *shape) setKind(where string) error {
	t := s.typ
	switch t {
	case reflect.TypeFor[time.Duration]():
		s.kind = kindDuration
		return nil
	case reflect.TypeFor[SecretText]():
		s.kind = kindSecret
		return nil
	case reflect.TypeFor[File]():
		s.kind = kindFile
		return nil
	case reflect.TypeFor[json.Number]():
		s.kind = kindNumber
		return nil
	case reflect.TypeFor[json.RawMessage]():
		s.kind = kindAny
		return nil
	}
	if has[either](t) {
		s.kind = kindEither
		return nil
	}
	if has[encoding.TextMarshaler](t) && has[encoding.TextUnmarshaler](t) && !has[json.Marshaler](t) ||
		t == reflect.TypeFor[time.Time]() {
		s.kind, s.marshals = kindText, true
		return nil
	}
	if has[json.Marshaler](t) && has[json.Unmarshaler](t) {
		s.kind, s.marshals = kindAny, true
		return nil
	}
	switch t.Kind() {
	case reflect.Bool:
		s.kind = kindBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.kind = kindInteger
	case reflect.Float32, reflect.Float64:
		s.kind = kindNumber
	case reflect.String:
		s.kind = kindText
	case reflect.Struct:
		s.kind = kindStruct
	case reflect.Slice, reflect.Array:
		s.kind = kindList
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			s.kind = kindBytes
		}
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return fmt.Errorf("%s: the keys of a map are texts, those of %s are not", where, t)
		}
		s.kind = kindMap
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Errorf("%s: %s is an interface, of which only any can be read", where, t)
		}
		s.kind = kindAny
	default:
		return fmt.Errorf("%s: a %s is no value of JSON", where, t)
	}
	return nil
}

// has tells whether a type, or a pointer to it, implements I.
func has[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}

// fieldsOf are the keys of a struct, those of embedded structs among them.
func fieldsOf(t reflect.Type, where string, depth int) ([]field, error) {
	var fields []field
	var mistakes []error
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" && options == "" {
			continue
		}
		if f.Anonymous && name == "" {
			if f.Type.Kind() != reflect.Struct {
				mistakes = append(mistakes, fmt.Errorf("%s: %s is embedded, which only a struct can be", where, f.Type))
				continue
			}
			inner, err := fieldsOf(f.Type, where, depth+1)
			mistakes = append(mistakes, err)
			for _, e := range inner {
				e.index = append([]int{i}, e.index...)
				fields = append(fields, e)
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		if name == "" {
			name = snake(f.Name)
		}
		one, err := fieldOf(f, name, options, where+"."+f.Name, depth)
		mistakes = append(mistakes, err)
		one.index = []int{i}
		fields = append(fields, one)
	}
	for i, f := range fields {
		if slices.ContainsFunc(fields[:i], func(other field) bool { return other.name == f.name }) {
			mistakes = append(mistakes, fmt.Errorf("%s: two fields are named %q", where, f.name))
		}
	}
	return fields, errors.Join(mistakes...)
}

func fieldOf(f reflect.StructField, name, options, where string, depth int) (field, error) {
	out := field{name: name, doc: f.Tag.Get("doc"), late: f.Tag.Get("template") == "late"}
	if strings.ContainsAny(name, ". \t\n[]") {
		return out, fmt.Errorf("%s: the key %q cannot be written in a path: use letters, digits and underscores", where, name)
	}
	if extra := unknownTag(f.Tag); extra != "" {
		return out, fmt.Errorf("%s: the tag %q says nothing here, known are %s", where, extra, strings.Join(fieldTags(), ", "))
	}
	var err error
	if out.shape, err = shapeOf(f.Type, f.Tag, where, depth+1); err != nil {
		return out, err
	}
	if err = out.shape.rules.readItems(f.Tag, out.shape, where); err != nil {
		return out, err
	}
	for _, option := range strings.Split(options, ",") {
		switch option {
		case "":
		case "omitempty", "omitzero":
			out.optional, out.omitEmpty = true, true
		default:
			return out, fmt.Errorf("%s: the json option %q is not known here", where, option)
		}
	}
	out.optional = out.optional || out.shape.pointer
	if text, ok := f.Tag.Lookup("default"); ok {
		out.optional = true
		if out.byDefault, err = literal(out.shape, text); err != nil {
			return out, fmt.Errorf("%s: default: %w", where, err)
		}
	}
	if text, ok := f.Tag.Lookup("example"); ok {
		example, err := literal(out.shape, text)
		if err != nil {
			return out, fmt.Errorf("%s: example: %w", where, err)
		}
		out.example = append(out.example, example)
	}
	return out, nil
}

// fieldTags are the tags that a field of a config or result may have.
func fieldTags() []string {
	return []string{
		"json", "doc", "default", "example", "enum", "min", "max", "minLength", "maxLength", "pattern",
		"minItems", "maxItems", "template",
	}
}

// unknownTag finds a tag that is one of ours but for its case or an underscore:
// `minlength`, `min_items`. Tags of other libraries are theirs.
func unknownTag(tag reflect.StructTag) string {
	for part := range strings.FieldsSeq(string(tag)) {
		key, _, ok := strings.Cut(part, ":")
		if !ok || slices.Contains(fieldTags(), key) {
			continue
		}
		plain := strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(key), "_", ""), "-", "")
		for _, known := range fieldTags() {
			if plain == strings.ToLower(known) {
				return key
			}
		}
	}
	return ""
}

// literal is what a tag writes, as the JSON of a value of this shape: texts as
// they are, everything else as JSON. It must fit.
func literal(s *shape, text string) (json.RawMessage, error) {
	raw := json.RawMessage(text)
	switch s.kind {
	case kindText, kindSecret, kindFile, kindDuration, kindBytes:
		raw = quoted(text)
	case kindAny, kindEither:
		if !json.Valid(raw) {
			raw = quoted(text)
		}
	}
	probe := reflect.New(s.typ).Elem()
	d := decoder{}
	if err := d.decode(s.withoutPointer(), raw, probe, ""); err != nil {
		return nil, fmt.Errorf("%q %s", text, err.Message)
	}
	return raw, nil
}

func (s *shape) withoutPointer() *shape {
	plain := *s
	plain.pointer = false
	return &plain
}

func quoted(text string) json.RawMessage {
	return appendText(nil, text)
}

// snake is the key of a field without a json tag: MaxBytes is max_bytes, UserID
// is user_id.
func snake(name string) string {
	var out strings.Builder
	letters := []rune(name)
	for i, r := range letters {
		upper := unicode.IsUpper(r)
		if upper && i > 0 && (!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) && letters[i-1] != '_' {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}
