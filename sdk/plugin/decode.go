package plugin

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxQuoted bounds a value inside a message.
const maxQuoted = 60

// decoder reads a config into an author's type and keeps the secrets that it
// meets.
type decoder struct {
	owner   string // "tcp.exchange", for messages
	secrets []Secret
}

// wrong is a config error; the host puts config.<field> before the message.
func wrong(field, hint, format string, args ...any) *Error {
	return &Error{Code: CodeConfig, Blame: BlameDefinition, Field: field, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// decode reads one value. at is its path in the config, empty for the whole.
func (d *decoder) decode(s *shape, raw json.RawMessage, v reflect.Value, at string) *Error {
	raw = bytes.TrimSpace(raw)
	if s.pointer {
		if string(raw) == "null" {
			return nil
		}
		v.Set(reflect.New(s.typ))
		v = v.Elem()
	}
	if err := d.decodeKind(s, raw, v, at); err != nil {
		return err
	}
	return s.rules.check(raw, s.kind, at)
}

func (d *decoder) decodeKind(s *shape, raw json.RawMessage, v reflect.Value, at string) *Error {
	switch s.kind {
	case kindAny:
		return decodeAny(raw, v, at)
	case kindBool:
		if string(raw) != "true" && string(raw) != "false" {
			return wrong(at, "", "must be true or false, not %s", describe(raw))
		}
		v.SetBool(string(raw) == "true")
		return nil
	case kindInteger:
		return decodeInteger(raw, v, at)
	case kindNumber:
		return decodeNumber(raw, v, at)
	case kindStruct:
		return d.decodeStruct(s, raw, v, at)
	case kindMap:
		return d.decodeMap(s, raw, v, at)
	case kindList:
		return d.decodeList(s, raw, v, at)
	case kindEither:
		return d.decodeEither(s, raw, v, at)
	}
	return d.decodeText(s, raw, v, at)
}

// decodeAny keeps numbers as they are written.
func decodeAny(raw json.RawMessage, v reflect.Value, at string) *Error {
	if v.Type() == reflect.TypeFor[json.RawMessage]() {
		v.SetBytes(bytes.Clone(raw))
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(v.Addr().Interface()); err != nil {
		return wrong(at, "", "does not fit: %s", err)
	}
	return nil
}

func decodeInteger(raw json.RawMessage, v reflect.Value, at string) *Error {
	if !isNumber(string(raw)) {
		return wrong(at, unquote(raw), "must be a whole number, not %s", describe(raw))
	}
	text := whole(string(raw))
	if text == "" {
		return wrong(at, "", "must be a whole number, not %s", describe(raw))
	}
	if v.CanInt() {
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return wrong(at, "", "%s is beyond what fits (%d bits)", describe(raw), v.Type().Bits())
		}
		v.SetInt(n)
		return nil
	}
	n, err := strconv.ParseUint(text, 10, v.Type().Bits())
	if err != nil {
		if strings.HasPrefix(text, "-") {
			return wrong(at, "", "must be at least 0, not %s", describe(raw))
		}
		return wrong(at, "", "%s is beyond what fits (%d bits)", describe(raw), v.Type().Bits())
	}
	v.SetUint(n)
	return nil
}

// whole is a number without a fraction as digits: 1.0 and 1e2 are whole too.
// Empty: it is not whole, or too long to tell.
func whole(number string) string {
	if !strings.ContainsAny(number, ".eE") {
		return number
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return ""
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func decodeNumber(raw json.RawMessage, v reflect.Value, at string) *Error {
	if !isNumber(string(raw)) {
		return wrong(at, unquote(raw), "must be a number, not %s", describe(raw))
	}
	if v.Kind() == reflect.String { // json.Number
		v.SetString(string(raw))
		return nil
	}
	f, err := strconv.ParseFloat(string(raw), v.Type().Bits())
	if err != nil {
		return wrong(at, "", "%s is beyond what fits", describe(raw))
	}
	v.SetFloat(f)
	return nil
}

func (d *decoder) decodeText(s *shape, raw json.RawMessage, v reflect.Value, at string) *Error {
	text, ok := textOf(raw)
	if !ok {
		hint := ""
		switch {
		case s.kind == kindSecret:
			return wrong(at, "", "must be a text")
		case s.kind == kindDuration && isNumber(string(raw)):
			hint = fmt.Sprintf("write a unit: %ss, or %sms", raw, raw)
		case isNumber(string(raw)) || string(raw) == "true" || string(raw) == "false":
			hint = "write it in quotes: " + strconv.Quote(string(raw))
		}
		return wrong(at, hint, "must be a text, not %s", describe(raw))
	}
	switch s.kind {
	case kindDuration:
		t, err := time.ParseDuration(text)
		if err != nil || t < 0 || strings.ContainsAny(text, "nuµμ+-") {
			return wrong(at, "write a number and a unit (ms, s, m or h): 500ms, 30s, 5m", "is not a duration: %s", describe(raw))
		}
		v.SetInt(int64(t))
	case kindBytes:
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return wrong(at, "encode the bytes as base64: ${base64_encode(x)}", "is not base64: %s", err)
		}
		v.SetBytes(data)
	case kindSecret:
		if text != "" {
			d.secrets = append(d.secrets, Secret{Name: at, Value: text})
		}
		v.SetString(text)
	default:
		if s.marshals {
			if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
				return wrong(at, "", "does not fit: %s", err)
			}
			return nil
		}
		v.SetString(text)
	}
	return nil
}

func (d *decoder) decodeStruct(s *shape, raw json.RawMessage, v reflect.Value, at string) *Error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return wrong(at, "", "must be a map, not %s", describe(raw))
	}
	if err := d.unknown(s, members, at); err != nil {
		return err
	}
	for i := range s.fields {
		f := &s.fields[i]
		text, given := members[f.name]
		target := v.FieldByIndex(f.index)
		switch {
		case given:
			if err := d.decode(f.shape, text, target, join(at, f.name)); err != nil {
				return err
			}
		case !f.optional:
			return wrong(join(at, f.name), "", "%s needs this key", d.subject(at))
		default:
			d.absent(f, target, join(at, f.name))
		}
	}
	return nil
}

// unknown finds a key that the struct does not have, the first one by name: a
// slip is said before the key that is missing for it.
func (d *decoder) unknown(s *shape, members map[string]json.RawMessage, at string) *Error {
	known := 0
	for i := range s.fields {
		if _, given := members[s.fields[i].name]; given {
			known++
		}
	}
	if known == len(members) {
		return nil
	}
	names, hint := s.names(), ""
	if len(names) > 0 {
		hint = "it takes " + strings.Join(names, ", ")
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(names, name) {
			return wrong(join(at, name), hint, "%s has no such key", d.subject(at))
		}
	}
	return nil
}

// absent gives a key that is left out its default, and those of the keys below
// it.
func (d *decoder) absent(f *field, v reflect.Value, at string) {
	switch {
	case f.byDefault != nil:
		// literal has found that it fits.
		_ = d.decode(f.shape, f.byDefault, v, at)
	case f.shape.kind == kindStruct && !f.shape.pointer:
		for i := range f.shape.fields {
			inner := &f.shape.fields[i]
			d.absent(inner, v.FieldByIndex(inner.index), join(at, inner.name))
		}
	}
}

func (s *shape) names() []string {
	names := make([]string, len(s.fields))
	for i, f := range s.fields {
		names[i] = f.name
	}
	return names
}

// subject is who needs a key: the action, or the map that it stands in.
func (d *decoder) subject(at string) string {
	switch {
	case at != "":
		return at
	case d.owner != "":
		return d.owner
	}
	return "it"
}

func (d *decoder) decodeMap(s *shape, raw json.RawMessage, v reflect.Value, at string) *Error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return wrong(at, "", "must be a map, not %s", describe(raw))
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(members)))
	for name, text := range members {
		element := reflect.New(s.typ.Elem()).Elem()
		if err := d.decode(s.element, text, element, join(at, name)); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), element)
	}
	return nil
}

func (d *decoder) decodeList(s *shape, raw json.RawMessage, v reflect.Value, at string) *Error {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		return wrong(at, "", "must be a list, not %s", describe(raw))
	}
	if err := s.rules.checkItems(len(items), at); err != nil {
		return err // before an array is written past its end
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	}
	for i, text := range items {
		if err := d.decode(s.element, text, v.Index(i), at+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	return nil
}
