package plugin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxValueDepth bounds the nesting of a result; a value that holds itself is
// found by it.
const maxValueDepth = 500

// encoder prints an author's value as JSON and keeps the secrets that it meets.
// Nil lists and maps are empty ones, durations are texts with a unit, and a
// json.Number stays as it is.
type encoder struct {
	out     []byte
	secrets []Secret
}

// encode prints a value of a known shape.
func (e *encoder) encode(s *shape, v reflect.Value, at string) error {
	if s.pointer {
		if v.IsNil() {
			e.out = append(e.out, "null"...)
			return nil
		}
		v = v.Elem()
	}
	switch s.kind {
	case kindStruct:
		return e.encodeStruct(s, v, at)
	case kindMap:
		return e.encodeMap(v, at, func(element reflect.Value, at string) error { return e.encode(s.element, element, at) })
	case kindList:
		return e.encodeList(v, at, func(element reflect.Value, at string) error { return e.encode(s.element, element, at) })
	case kindAny:
		return e.encodeAny(v, at, 0)
	case kindEither:
		return e.encodeEither(s, v, at)
	}
	return e.encodeLeaf(s.kind, s.marshals, v, at)
}

func (e *encoder) encodeStruct(s *shape, v reflect.Value, at string) error {
	e.out = append(e.out, '{')
	first := true
	for i := range s.fields {
		f := &s.fields[i]
		value := v.FieldByIndex(f.index)
		if f.omitEmpty && isEmpty(value) {
			continue
		}
		if !first {
			e.out = append(e.out, ',')
		}
		first = false
		e.out = append(appendText(e.out, f.name), ':')
		if err := e.encode(f.shape, value, join(at, f.name)); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}

// isEmpty is what omitempty means, and omitzero of a struct.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

func (e *encoder) encodeMap(v reflect.Value, at string, each func(reflect.Value, string) error) error {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	e.out = append(e.out, '{')
	for i, key := range keys {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		e.out = append(appendText(e.out, key.String()), ':')
		if err := each(v.MapIndex(key), join(at, key.String())); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}

func (e *encoder) encodeList(v reflect.Value, at string, each func(reflect.Value, string) error) error {
	e.out = append(e.out, '[')
	for i := range v.Len() {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := each(v.Index(i), at+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

// encodeLeaf prints what holds nothing else.
func (e *encoder) encodeLeaf(k kind, marshals bool, v reflect.Value, at string) error {
	switch {
	case k == kindBytes:
		e.out = appendText(e.out, base64.StdEncoding.EncodeToString(v.Bytes()))
	case k == kindDuration:
		e.out = appendText(e.out, durationText(time.Duration(v.Int())))
	case k == kindSecret:
		if v.Len() > 0 {
			e.secrets = append(e.secrets, Secret{Name: at, Value: v.String()})
		}
		e.out = appendText(e.out, v.String())
	case v.Type() == reflect.TypeFor[json.Number]():
		return e.encodeNumber(v.String(), at)
	case marshals:
		return e.encodeMarshaler(v, at)
	case v.Kind() == reflect.String:
		e.out = appendText(e.out, v.String())
	case v.Kind() == reflect.Bool:
		e.out = strconv.AppendBool(e.out, v.Bool())
	case v.CanInt():
		e.out = strconv.AppendInt(e.out, v.Int(), 10)
	case v.CanUint():
		e.out = strconv.AppendUint(e.out, v.Uint(), 10)
	case v.CanFloat():
		if math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0) {
			return fmt.Errorf("%s is %v, which JSON has no number for", at, v.Float())
		}
		e.out = strconv.AppendFloat(e.out, v.Float(), 'g', -1, v.Type().Bits())
	}
	return nil
}

func (e *encoder) encodeNumber(text, at string) error {
	if text == "" {
		text = "0" // the zero json.Number
	}
	if !isNumber(text) {
		return fmt.Errorf("%s holds the json.Number %q, which is no number", at, cut(text))
	}
	e.out = append(e.out, text...)
	return nil
}

// encodeMarshaler prints what prints itself.
func (e *encoder) encodeMarshaler(v reflect.Value, at string) error {
	if !v.CanAddr() { // its methods may want a pointer
		copied := reflect.New(v.Type()).Elem()
		copied.Set(v)
		v = copied
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v.Addr().Interface()); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	e.out = append(e.out, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
	return nil
}

// encodeAny prints a value whose type is known only now.
func (e *encoder) encodeAny(v reflect.Value, at string, depth int) error {
	if depth > maxValueDepth {
		return fmt.Errorf("%s is nested deeper than %d", cut(at), maxValueDepth)
	}
	for v.IsValid() && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		v = v.Elem()
	}
	if !v.IsValid() {
		e.out = append(e.out, "null"...)
		return nil
	}
	if v.Type() == reflect.TypeFor[json.RawMessage]() {
		return e.encodeRaw(v.Bytes(), at)
	}
	each := func(element reflect.Value, at string) error { return e.encodeAny(element, at, depth+1) }
	switch v.Type() {
	case reflect.TypeFor[map[string]any]():
		return e.encodeMap(v, at, each)
	case reflect.TypeFor[[]any]():
		return e.encodeList(v, at, each)
	case reflect.TypeFor[json.Number]():
		return e.encodeNumber(v.String(), at)
	case reflect.TypeFor[string](), reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int64](), reflect.TypeFor[float64]():
		return e.encodeLeaf(kindAny, false, v, at)
	}
	s, err := shapeOf(v.Type(), "", at, 0)
	switch {
	case err != nil:
		return err
	case s.kind == kindAny:
		return e.encodeMarshaler(v, at)
	case s.kind == kindMap:
		return e.encodeMap(v, at, each)
	case s.kind == kindList:
		return e.encodeList(v, at, each)
	}
	return e.encode(s, v, at)
}

func (e *encoder) encodeRaw(raw json.RawMessage, at string) error {
	if len(raw) == 0 {
		raw = json.RawMessage("null")
	}
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil {
		return fmt.Errorf("%s is not JSON: %w", at, err)
	}
	e.out = append(e.out, out.Bytes()...)
	return nil
}

// durationText is a duration as configs take it: without micro- and
// nanoseconds, of which it makes a fraction of a millisecond.
func durationText(d time.Duration) string {
	text := d.String()
	if d != 0 && strings.ContainsAny(text, "nµ") {
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', -1, 64) + "ms"
	}
	return text
}

// appendText prints a text as JSON. Unlike json.Marshal it leaves <, > and & as
// they are.
func appendText(dst []byte, text string) []byte {
	if isPlain(text) {
		return append(append(append(dst, '"'), text...), '"')
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // of a text it cannot fail
	return append(dst, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
