// Package value is the data model of the flow language: what a flow file, an
// expression and a system's answer are made of, with numbers kept exact.
//
// A value is one of nil, bool, string, int64, float64, *Decimal, []any and
// map[string]any, and nothing else. Values are shared between goroutines and
// are never modified after they were made.
//
// The package never reads files, clocks or the network.
package value

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"
	"time"
)

// Kind names the type of a value in the words of the language: what `is`,
// match markers and messages say.
type Kind string

// The kinds. Integer is a refinement of Number: IsInteger tells.
const (
	Null    Kind = "null"
	Boolean Kind = "boolean"
	Number  Kind = "number"
	String  Kind = "string"
	Array   Kind = "array"
	Object  Kind = "object"
)

// KindOf names the kind of v. A Go type outside the model is a bug of ours and
// panics; Normalize brings foreign values in.
func KindOf(v any) Kind {
	switch v.(type) {
	case nil:
		return Null
	case bool:
		return Boolean
	case int64, float64, *Decimal:
		return Number
	case string:
		return String
	case []any:
		return Array
	case map[string]any:
		return Object
	}
	panic(fmt.Sprintf("value: %T is not a value", v))
}

// IsInteger tells whether v is a number without a fraction: 1 and 1.0 both are.
func IsInteger(v any) bool {
	switch n := v.(type) {
	case int64:
		return true
	case float64:
		return n == math.Trunc(n) && !math.IsInf(n, 0)
	case *Decimal:
		return n.isInteger()
	}
	return false
}

// Describe says a value with its kind as messages do: `59.80 (number)`. Long
// values are cut at limit bytes and say so.
func Describe(v any, limit int) string {
	text := Compact(v)
	if limit > 0 && len(text) > limit {
		text = fmt.Sprintf("%s… (%d bytes)", cutRunes(text, limit), len(text))
	}
	if v == nil {
		return "null"
	}
	return text + " (" + string(KindOf(v)) + ")"
}

func cutRunes(s string, limit int) string {
	for limit > 0 && limit < len(s) && s[limit]&0xC0 == 0x80 {
		limit--
	}
	return s[:limit]
}

// Text prints v inside a text: strings as they are, everything else as compact
// JSON. Null prints as "null"; callers that must not print it ask first.
func Text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return Compact(v)
}

// Normalize brings a Go value of a library (integers of every width,
// json.Number, []string, map[string]string, structs) into the model. It errors
// for what has no JSON form: channels, functions, NaN and infinities.
func Normalize(v any) (any, error) {
	switch x := v.(type) {
	case nil, bool, string, int64, *Decimal:
		return v, nil
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("normalize %v: not a JSON number", x)
		}
		return x, nil
	case json.Number:
		return ParseNumber(string(x))
	case []byte:
		return string(x), nil
	case time.Time:
		return x.Format(time.RFC3339Nano), nil
	case time.Duration:
		return x.String(), nil
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			n, err := Normalize(e)
			if err != nil {
				return nil, err
			}
			out[i] = n
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			n, err := Normalize(e)
			if err != nil {
				return nil, err
			}
			out[k] = n
		}
		return out, nil
	}
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Pointer && r.IsNil() {
		return nil, nil
	}
	switch v.(type) {
	case json.Marshaler, encoding.TextMarshaler: // a UUID is a text, not sixteen numbers
		return throughJSON(v)
	}
	return normalizeReflect(r)
}

func throughJSON(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("normalize %T: %w", v, err)
	}
	return Decode(text)
}

func normalizeReflect(r reflect.Value) (any, error) {
	switch r.Kind() {
	case reflect.Bool:
		return r.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if u := r.Uint(); u > math.MaxInt64 {
			return ParseNumber(strconv.FormatUint(u, 10))
		}
		return int64(r.Uint()), nil
	case reflect.Float32:
		return ParseNumber(strconv.FormatFloat(r.Float(), 'g', -1, 32))
	case reflect.Float64:
		return Normalize(r.Float())
	case reflect.String:
		return r.String(), nil
	case reflect.Slice, reflect.Array:
		if r.Kind() == reflect.Slice && r.Type().Elem().Kind() == reflect.Uint8 {
			return string(r.Bytes()), nil
		}
		out := make([]any, r.Len())
		for i := range out {
			n, err := Normalize(r.Index(i).Interface())
			if err != nil {
				return nil, err
			}
			out[i] = n
		}
		return out, nil
	case reflect.Map:
		out := make(map[string]any, r.Len())
		for it := r.MapRange(); it.Next(); {
			n, err := Normalize(it.Value().Interface())
			if err != nil {
				return nil, err
			}
			out[fmt.Sprint(it.Key().Interface())] = n
		}
		return out, nil
	case reflect.Pointer, reflect.Interface:
		if r.IsNil() {
			return nil, nil
		}
	case reflect.Struct:
	default:
		return nil, fmt.Errorf("normalize %s: no JSON form", r.Type())
	}
	return throughJSON(r.Interface())
}

// Keys are the keys of m in alphabetical order.
func Keys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
