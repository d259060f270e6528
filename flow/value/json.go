package value

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// Compact prints v as compact JSON: keys in alphabetical order, numbers in
// shortest exact form, no HTML escapes.
func Compact(v any) string { return string(Append(nil, v)) }

// Append appends v to dst as Compact prints it.
func Append(dst []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, x)
	case int64:
		return strconv.AppendInt(dst, x, 10)
	case float64:
		return appendFloat(dst, x)
	case *Decimal:
		return append(dst, x.String()...)
	case string:
		return AppendString(dst, x)
	case []any:
		dst = append(dst, '[')
		for i, e := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = Append(dst, e)
		}
		return append(dst, ']')
	case map[string]any:
		if len(x) <= fewMembers {
			return appendFew(dst, x)
		}
		dst = append(dst, '{')
		for i, k := range Keys(x) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendString(dst, k), ':')
			dst = Append(dst, x[k])
		}
		return append(dst, '}')
	}
	panic(fmt.Sprintf("value: %T is not a value", v))
}

// fewMembers is how many members are sorted in place.
const fewMembers = 8

func appendFew(dst []byte, m map[string]any) []byte {
	var members [fewMembers]struct {
		key   string
		value any
	}
	n := 0
	for k, v := range m {
		i := n
		for ; i > 0 && members[i-1].key > k; i-- {
			members[i] = members[i-1]
		}
		members[i].key, members[i].value = k, v
		n++
	}
	dst = append(dst, '{')
	for i := range members[:n] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, members[i].key), ':')
		dst = Append(dst, members[i].value)
	}
	return append(dst, '}')
}

// appendFloat follows ECMA-262 Number::toString, as encoding/json does: plain
// digits from 1e-6 up to 1e21.
func appendFloat(dst []byte, f float64) []byte {
	if f == 0 {
		return append(dst, '0')
	}
	format := byte('f')
	if abs := math.Abs(f); abs < 1e-6 || abs >= 1e21 {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if n := len(dst); format == 'e' && dst[n-4] == 'e' && dst[n-2] == '0' { // 1e-07
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
