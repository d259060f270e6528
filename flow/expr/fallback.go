package expr

import (
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// fallback is ${NAME:text} at bytes [off,end) of a text: the value of NAME, and
// where that is missing or null the text as a YAML scalar.
type fallback struct {
	off, end int
	name     string
	nameOff  int
	value    any
}

// defaultName begins the identifiers that stand for defaults while an
// expression is lexed; ${A:} is long enough for it.
const defaultName = "__d"

// beginsDefault matches ^\s*[A-Za-z_][A-Za-z0-9_.]*: at text[i:to].
func beginsDefault(text string, i, to int) (nameOff, colon int, ok bool) {
	for i < to && strings.IndexByte(" \t\r\n\f\v", text[i]) >= 0 {
		i++
	}
	nameOff = i
	for i < to {
		c := text[i]
		switch {
		case c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		case i > nameOff && (c == '.' || c >= '0' && c <= '9'):
		case c == ':' && i > nameOff:
			return nameOff, i, true
		default:
			return 0, 0, false
		}
		i++
	}
	return 0, 0, false
}

// readDefault reads the default whose placeholder opens at off; inner is the
// byte after the opening braces, closing the braces that end it. ok is false
// where the placeholder holds an expression.
func readDefault(text string, off, inner, to int, closing string) (f fallback, ok bool, err error) {
	nameOff, colon, ok := beginsDefault(text, inner, to)
	if !ok {
		return fallback{}, false, nil
	}
	end := defaultEnd(text, colon+1, to, closing)
	if end < 0 {
		return fallback{}, false, syntaxErrorf(source.CodeExpr, off, to, "the placeholder is not closed").
			hint("end it with %s, or write $${ for a literal ${", closing)
	}
	f = fallback{off: off, end: end + len(closing), name: text[nameOff:colon], nameOff: nameOff}
	rest := text[colon+1 : end]
	if strings.Contains(rest, "${") || strings.Contains(rest, "{{") {
		return fallback{}, false, syntaxErrorf(source.CodeExpr, colon+1, end, "a default is plain text, not another placeholder").
			hint("write ${%s ?? other}", f.name)
	}
	for _, part := range strings.Split(f.name, ".") {
		if part == "" || part[0] >= '0' && part[0] <= '9' {
			return fallback{}, false, syntaxErrorf(source.CodeExpr, nameOff, colon, "%q is not a name", f.name)
		}
	}
	f.value, err = scalar(rest)
	if err != nil {
		return fallback{}, false, syntaxErrorf(source.CodeExpr, colon+1, end, "the default is not a YAML scalar: %s", err)
	}
	return f, true, nil
}

// defaultEnd finds the closing braces of a default: quotes that open it hold
// braces, else braces balance.
func defaultEnd(text string, i, to int, closing string) int {
	for i < to && (text[i] == ' ' || text[i] == '\t') {
		i++
	}
	if i < to && (text[i] == '"' || text[i] == '\'') {
		if end := quotedEnd(text, i, to); end >= 0 {
			i = end
		}
	}
	depth := 0
	for ; i < to; i++ {
		switch {
		case depth == 0 && strings.HasPrefix(text[i:to], closing):
			return i
		case text[i] == '{':
			depth++
		case text[i] == '}':
			depth--
			if depth < 0 {
				return -1
			}
		}
	}
	return -1
}

// quotedEnd is the byte after the quoted YAML scalar at i, or -1.
func quotedEnd(text string, i, to int) int {
	quote := text[i]
	for i++; i < to; i++ {
		switch {
		case text[i] == '\\' && quote == '"':
			i++
		case text[i] == quote && quote == '\'' && i+1 < to && text[i+1] == '\'':
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return -1
}

// scalar reads a YAML scalar of the core schema. A number with leading zeros
// stays text, since its digits mean something (007, 0049).
func scalar(text string) (any, error) {
	t := strings.TrimSpace(text)
	if t == "" {
		return "", nil
	}
	if t[0] == '"' || t[0] == '\'' {
		if quotedEnd(t, 0, len(t)) == len(t) {
			return unquote(t)
		}
		return t, nil
	}
	switch t {
	case "null", "Null", "NULL", "~":
		return nil, nil
	case "true", "True", "TRUE":
		return true, nil
	case "false", "False", "FALSE":
		return false, nil
	}
	if n, err := value.ParseNumber(strings.TrimPrefix(t, "+")); err == nil && !strings.HasPrefix(t, "+-") {
		return n, nil
	}
	return t, nil
}

// unquote reads a quoted YAML scalar; of the escapes those of JSON.
func unquote(t string) (any, error) {
	if t[0] == '\'' {
		return strings.ReplaceAll(t[1:len(t)-1], "''", "'"), nil
	}
	return value.Decode([]byte(t))
}

// maskDefaults replaces every ${NAME:text} of an expression by a name of the
// same length, since its text is not of the expression's grammar. Quoted texts
// and comments are passed over.
func maskDefaults(text string, from, to int) (string, []fallback, error) {
	if !strings.Contains(text[from:to], "${") {
		return text[from:to], nil, nil
	}
	var found []fallback
	masked := []byte(text[from:to])
	for i := from; i < to; i++ {
		switch c := text[i]; {
		case c == '"' || c == '\'' || c == '`':
			i = literalEnd(text, i, to) - 1
		case strings.HasPrefix(text[i:to], "//"):
			i += lineLength(text[i:to])
		case strings.HasPrefix(text[i:to], "/*"):
			if n := strings.Index(text[i+2:to], "*/"); n >= 0 {
				i += n + 3
			} else {
				i = to
			}
		case strings.HasPrefix(text[i:to], "${"):
			f, ok, err := readDefault(text, i, i+2, to, "}")
			if err != nil {
				return "", nil, err
			}
			if !ok {
				i++
				continue
			}
			found = append(found, f)
			for k := f.off; k < f.end; k++ {
				masked[k-from] = '_'
			}
			copy(masked[f.off-from:], defaultName)
			i = f.end - 1
		}
	}
	return string(masked), found, nil
}

func lineLength(text string) int {
	if n := strings.IndexByte(text, '\n'); n >= 0 {
		return n
	}
	return len(text)
}

// literalEnd is the byte after the expression's string literal at i.
func literalEnd(text string, i, to int) int {
	quote := text[i]
	for i++; i < to; i++ {
		switch {
		case text[i] == '\\' && quote != '`':
			i++
		case text[i] == quote && quote == '`' && i+1 < to && text[i+1] == '`':
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return to
}
