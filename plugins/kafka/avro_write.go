package kafka

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hamba/avro/v2"

	"github.com/testmesh/testmesh/flow/value"
)

func (c *avroCodec) encode(v json.RawMessage, _ string) ([]byte, error) {
	decoded, err := value.DecodeLenient(v)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := avroWriter{avro.NewWriter(&out, 512)}
	if err := w.value(c.schema, decoded, "", 0); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// avroWriter writes values of flow/value as a schema has them.
type avroWriter struct{ *avro.Writer }

func wrongAt(path, format string, args ...any) error {
	return &misfit{path, fmt.Sprintf(format, args...)}
}

// not says that a value is of another kind.
func not(path, want string, v any) error {
	return wrongAt(path, "must be %s, not %s", want, value.Describe(v, 60))
}

func (w avroWriter) value(s avro.Schema, v any, path string, depth int) error {
	if depth > maxAvroDepth {
		return wrongAt(path, "is nested deeper than %d", maxAvroDepth)
	}
	switch s := s.(type) {
	case *avro.RefSchema:
		return w.value(s.Schema(), v, path, depth)
	case *avro.NullSchema:
		if v != nil {
			return not(path, "null", v)
		}
		return nil
	case *avro.PrimitiveSchema:
		return w.primitive(s, v, path)
	case *avro.RecordSchema:
		return w.record(s, v, path, depth)
	case *avro.EnumSchema:
		text, ok := v.(string)
		n := slices.Index(s.Symbols(), text)
		if !ok || n < 0 {
			return not(path, "one of "+strings.Join(s.Symbols(), ", "), v)
		}
		w.WriteInt(int32(n))
		return nil
	case *avro.ArraySchema:
		return w.list(s, v, path, depth)
	case *avro.MapSchema:
		return w.mapping(s, v, path, depth)
	case *avro.UnionSchema:
		return w.union(s, v, path, depth)
	case *avro.FixedSchema:
		return w.fixed(s, v, path)
	}
	return wrongAt(path, "has the unknown type %s", s.Type())
}

func (w avroWriter) record(s *avro.RecordSchema, v any, path string, depth int) error {
	m, ok := v.(map[string]any)
	if !ok {
		return not(path, "a map of "+s.FullName(), v)
	}
	names := make([]string, len(s.Fields()))
	for i, f := range s.Fields() {
		names[i] = f.Name()
	}
	for _, key := range value.Keys(m) {
		if !slices.Contains(names, key) {
			hint := "it has " + strings.Join(names, ", ")
			if near := value.Closest(key, names); near != "" {
				hint = "did you mean " + near + "?"
			}
			return wrongAt(under(path, key), "%s has no such field: %s", s.FullName(), hint)
		}
	}
	for _, f := range s.Fields() {
		one, given := m[f.Name()]
		if !given && !f.HasDefault() {
			return wrongAt(under(path, f.Name()), "is missing, and the schema has no default for it")
		}
		if !given {
			one = defaultValue(f.Default())
		}
		if err := w.value(f.Type(), one, under(path, f.Name()), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func under(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "." + name
}

// rawBytes are bytes that a schema gives as a default.
type rawBytes []byte

// defaultValue is a default of the library's as a value.
func defaultValue(v any) any {
	switch x := v.(type) {
	case []byte:
		return rawBytes(x)
	case float32:
		return float64(x)
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = defaultValue(e)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = defaultValue(e)
		}
		return out
	}
	r := reflect.ValueOf(v)
	switch {
	case r.IsValid() && r.CanInt():
		return r.Int()
	case r.Kind() == reflect.Array: // of bytes, for a fixed
		out := make(rawBytes, r.Len())
		reflect.Copy(reflect.ValueOf(out), r)
		return out
	}
	return v
}

func (w avroWriter) list(s *avro.ArraySchema, v any, path string, depth int) error {
	items, ok := v.([]any)
	if !ok {
		return not(path, "a list", v)
	}
	if len(items) > 0 {
		w.WriteLong(int64(len(items)))
	}
	for i, item := range items {
		if err := w.value(s.Items(), item, path+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
			return err
		}
	}
	w.WriteLong(0)
	return nil
}

func (w avroWriter) mapping(s *avro.MapSchema, v any, path string, depth int) error {
	m, ok := v.(map[string]any)
	if !ok {
		return not(path, "a map", v)
	}
	if len(m) > 0 {
		w.WriteLong(int64(len(m)))
	}
	for _, key := range value.Keys(m) {
		w.WriteString(key)
		if err := w.value(s.Values(), m[key], under(path, key), depth+1); err != nil {
			return err
		}
	}
	w.WriteLong(0)
	return nil
}

func (w avroWriter) primitive(s *avro.PrimitiveSchema, v any, path string) error {
	switch s.Type() {
	case avro.Boolean:
		b, ok := v.(bool)
		if !ok {
			return not(path, "true or false", v)
		}
		w.WriteBool(b)
	case avro.Int, avro.Long:
		return w.whole(s, v, path)
	case avro.Float, avro.Double:
		return w.float(s, v, path)
	case avro.String:
		text, ok := v.(string)
		if !ok {
			return not(path, "a text", v)
		}
		w.WriteString(text)
	case avro.Bytes:
		data, err := binaryOf(s.Logical(), v, path, 0)
		if err != nil {
			return err
		}
		w.WriteBytes(data)
	default:
		return wrongAt(path, "has the unknown type %s", s.Type())
	}
	return nil
}

func (w avroWriter) whole(s *avro.PrimitiveSchema, v any, path string) error {
	n, ok := value.Int(v)
	if text, isText := v.(string); isText && s.Logical() != nil {
		var err error
		if n, err = timeNumber(text, s.Logical().Type()); err != nil {
			return wrongAt(path, "%s", err)
		}
		ok = true
	}
	switch {
	case !ok:
		return not(path, "a whole number of 64 bits", v)
	case s.Type() == avro.Long:
		w.WriteLong(n)
	case n != int64(int32(n)):
		return not(path, "a whole number of 32 bits", v)
	default:
		w.WriteInt(int32(n))
	}
	return nil
}

func (w avroWriter) float(s *avro.PrimitiveSchema, v any, path string) error {
	f, ok := value.Float(v)
	if text, isText := v.(string); isText {
		f, ok = map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[text]
	}
	if !ok {
		return not(path, "a number", v)
	}
	if s.Type() == avro.Float {
		w.WriteFloat(float32(f))
	} else {
		w.WriteDouble(f)
	}
	return nil
}

func (w avroWriter) fixed(s *avro.FixedSchema, v any, path string) error {
	data, err := binaryOf(s.Logical(), v, path, s.Size())
	if err != nil {
		return err
	}
	if len(data) != s.Size() {
		return wrongAt(path, "has %d bytes, and %s has %d", len(data), s.FullName(), s.Size())
	}
	_, err = w.Write(data)
	return err
}

// binaryOf is what bytes and fixed hold: base64, or what their logical type says.
func binaryOf(logical avro.LogicalSchema, v any, path string, size int) ([]byte, error) {
	if raw, ok := v.(rawBytes); ok {
		return raw, nil
	}
	text, isText := v.(string)
	if d, ok := logical.(*avro.DecimalLogicalSchema); ok {
		if !isText {
			text = value.Compact(v)
		}
		data, err := decimalBytes(text, d.Precision(), d.Scale(), size)
		if err != nil {
			return nil, wrongAt(path, "%s", err)
		}
		return data, nil
	}
	kind := avro.LogicalType("")
	if logical != nil {
		kind = logical.Type()
	}
	if m, ok := v.(map[string]any); ok && kind == avro.Duration && size == durationSize {
		return durationBytes(m, path)
	}
	if !isText {
		return nil, not(path, "bytes as base64", v)
	}
	if kind == avro.UUID && size == uuidSize {
		if data, err := hex.DecodeString(strings.ReplaceAll(text, "-", "")); err == nil && len(data) == uuidSize {
			return data, nil
		}
		return nil, not(path, "a UUID", v)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, not(path, "bytes as base64", v)
	}
	return data, nil
}

func durationBytes(m map[string]any, path string) ([]byte, error) {
	out := make([]byte, 0, durationSize)
	for _, part := range []string{"months", "days", "millis"} {
		n, ok := value.Int(m[part])
		if !ok || n < 0 || n > math.MaxUint32 {
			return nil, not(under(path, part), "a whole number of 32 bits", m[part])
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(n))
	}
	return out, nil
}
