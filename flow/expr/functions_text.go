package expr

import (
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// arg reads one argument of the kind that a function needs.
func text(who string, args []any, i int) (string, error) {
	if s, ok := args[i].(string); ok {
		return s, nil
	}
	return "", valueErrorf("%s needs a string%s, got %s", who, ordinal(args, i), describe(args[i]))
}

func whole(who string, args []any, i int) (int64, error) {
	if n, ok := value.Int(args[i]); ok {
		return n, nil
	}
	return 0, valueErrorf("%s needs a whole number%s, got %s", who, ordinal(args, i), describe(args[i]))
}

func list(who string, args []any, i int) ([]any, error) {
	if l, ok := args[i].([]any); ok {
		return l, nil
	}
	return nil, valueErrorf("%s needs an array%s, got %s", who, ordinal(args, i), describe(args[i]))
}

func object(who string, args []any, i int) (map[string]any, error) {
	if m, ok := args[i].(map[string]any); ok {
		return m, nil
	}
	return nil, valueErrorf("%s needs an object%s, got %s", who, ordinal(args, i), describe(args[i]))
}

func ordinal(args []any, i int) string {
	if len(args) == 1 {
		return ""
	}
	return " as argument " + string(rune('1'+min(i, 8)))
}

// texts makes a function of strings only.
func texts(name string, n int, gives value.Kind, do func(e *evaluation, s []string) (any, error)) function {
	return function{name: name, min: n, max: n, gives: gives, method: true, do: func(e *evaluation, args []any) (any, error) {
		var few [3]string
		s := few[:0]
		for i := range args {
			t, err := text(name, args, i)
			if err != nil {
				return nil, err
			}
			s = append(s, t)
			e.steps += len(t) / 64
		}
		return do(e, s)
	}}
}

func textFunctions() []function {
	return []function{
		texts("upper", 1, value.String, func(_ *evaluation, s []string) (any, error) { return strings.ToUpper(s[0]), nil }),
		texts("lower", 1, value.String, func(_ *evaluation, s []string) (any, error) { return strings.ToLower(s[0]), nil }),
		texts("trimPrefix", 2, value.String, func(_ *evaluation, s []string) (any, error) { return strings.TrimPrefix(s[0], s[1]), nil }),
		texts("trimSuffix", 2, value.String, func(_ *evaluation, s []string) (any, error) { return strings.TrimSuffix(s[0], s[1]), nil }),
		texts("hasPrefix", 2, value.Boolean, func(_ *evaluation, s []string) (any, error) { return strings.HasPrefix(s[0], s[1]), nil }),
		texts("hasSuffix", 2, value.Boolean, func(_ *evaluation, s []string) (any, error) { return strings.HasSuffix(s[0], s[1]), nil }),
		texts("indexOf", 2, value.Number, func(_ *evaluation, s []string) (any, error) { return runeIndex(s[0], strings.Index(s[0], s[1])), nil }),
		texts("lastIndexOf", 2, value.Number, func(_ *evaluation, s []string) (any, error) {
			return runeIndex(s[0], strings.LastIndex(s[0], s[1])), nil
		}),
		texts("replace", 3, value.String, replaceAll),
		{name: "trim", min: 1, max: 2, gives: value.String, method: true, do: trim},
		{name: "substring", min: 2, max: 3, gives: value.String, method: true, do: substring},
		{name: "split", min: 2, max: 3, gives: value.Array, method: true, do: func(e *evaluation, args []any) (any, error) {
			return split(e, "split", args, strings.SplitN)
		}},
		{name: "splitAfter", min: 2, max: 3, gives: value.Array, method: true, do: func(e *evaluation, args []any) (any, error) {
			return split(e, "splitAfter", args, strings.SplitAfterN)
		}},
		{name: "repeat", min: 2, max: 2, gives: value.String, method: true, do: repeat},
		{name: "join", min: 1, max: 2, gives: value.String, method: true, do: join},
	}
}

// runeIndex counts characters, as len and substring do.
func runeIndex(s string, bytes int) any {
	if bytes < 0 {
		return int64(-1)
	}
	return runeCount(s[:bytes])
}

func replaceAll(e *evaluation, s []string) (any, error) {
	count := strings.Count(s[0], s[1])
	if err := e.produce(len(s[0])); err != nil {
		return nil, err
	}
	if grow := len(s[2]) - len(s[1]); grow > 0 && count > 0 {
		if count > maxProduced/grow {
			return nil, e.produce(maxProduced + 1)
		}
		if err := e.produce(count * grow); err != nil {
			return nil, err
		}
	}
	return strings.ReplaceAll(s[0], s[1], s[2]), nil
}

func trim(_ *evaluation, args []any) (any, error) {
	s, err := text("trim", args, 0)
	if err != nil || len(args) == 1 {
		return strings.TrimSpace(s), err
	}
	set, err := text("trim", args, 1)
	return strings.Trim(s, set), err
}

// substring(s, from, to) counts characters from 0; bounds past the ends are the
// ends, negative ones count from the end.
func substring(e *evaluation, args []any) (any, error) {
	s, err := text("substring", args, 0)
	if err != nil {
		return nil, err
	}
	if err := e.produce(4 * len(s)); err != nil {
		return nil, err
	}
	runes := []rune(s)
	bounds := [2]int64{0, int64(len(runes))}
	for i := 1; i < len(args); i++ {
		n, err := whole("substring", args, i)
		if err != nil {
			return nil, err
		}
		if n < 0 {
			n += int64(len(runes))
		}
		bounds[i-1] = min(max(n, 0), int64(len(runes)))
	}
	return string(runes[min(bounds[0], bounds[1]):bounds[1]]), nil
}

func split(e *evaluation, who string, args []any, do func(s, sep string, n int) []string) (any, error) {
	s, err := text(who, args, 0)
	if err != nil {
		return nil, err
	}
	sep, err := text(who, args, 1)
	if err != nil {
		return nil, err
	}
	n := int64(-1)
	if len(args) == 3 {
		if n, err = whole(who, args, 2); err != nil {
			return nil, err
		}
	}
	if err := e.produce(16 * (strings.Count(s, sep) + 1)); err != nil {
		return nil, err
	}
	parts := do(s, sep, int(min(max(n, -1), maxProduced)))
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return out, nil
}

func repeat(e *evaluation, args []any) (any, error) {
	s, err := text("repeat", args, 0)
	if err != nil {
		return nil, err
	}
	n, err := whole("repeat", args, 1)
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, valueErrorf("repeat needs a number from 0, got %d", n)
	}
	if n > maxProduced || len(s) > 0 && n > int64(maxProduced/len(s)) {
		return nil, e.produce(maxProduced + 1)
	}
	if err := e.produce(len(s) * int(n)); err != nil {
		return nil, err
	}
	return strings.Repeat(s, int(n)), nil
}

func join(e *evaluation, args []any) (any, error) {
	l, err := list("join", args, 0)
	if err != nil {
		return nil, err
	}
	sep := ""
	if len(args) == 2 {
		if sep, err = text("join", args, 1); err != nil {
			return nil, err
		}
	}
	var b strings.Builder
	for i, v := range l {
		switch v.(type) {
		case nil, []any, map[string]any:
			return nil, valueErrorf("join needs strings, numbers or booleans, got %s at [%d]", describe(v), i)
		}
		s := value.Text(v)
		if err := e.produce(len(s) + len(sep)); err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}
