package jsonpath

import (
	"strconv"
	"strings"
)

// normalizedPath writes where the current node is: RFC 9535 section 2.7.
func (e *evaluation) normalizedPath() string {
	b := []byte{'$'}
	for i := range e.location {
		b = append(b, '[')
		if s := &e.location[i]; s.index >= 0 {
			b = strconv.AppendInt(b, int64(s.index), 10)
		} else {
			b = appendNormalName(b, s.name)
		}
		b = append(b, ']')
	}
	return string(b)
}

// appendNormalName quotes a name in the one way that normalized paths have.
func appendNormalName(b []byte, name string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '\'')
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '\'' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, c)
		case strings.IndexByte("\b\t\n\f\r", c) >= 0:
			b = append(b, '\\', "btn_fr"[c-'\b'])
		default:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		}
	}
	return append(b, '\'')
}
