package expr

import (
	"github.com/testmesh/testmesh/flow/value"
)

func listFunctions() []function {
	return []function{
		{name: "len", min: 1, max: 1, gives: value.Number, method: true, do: length},
		{name: "first", min: 1, max: 1, method: true, do: func(_ *evaluation, args []any) (any, error) { return end("first", args, 0) }},
		{name: "last", min: 1, max: 1, method: true, do: func(_ *evaluation, args []any) (any, error) { return end("last", args, -1) }},
		{name: "get", min: 2, max: 2, method: true, do: get},
		{name: "take", min: 2, max: 2, gives: value.Array, method: true, do: take},
		{name: "concat", min: 1, max: -1, gives: value.Array, method: true, do: concat},
		{name: "flatten", min: 1, max: 1, gives: value.Array, method: true, do: flatten},
		{name: "uniq", min: 1, max: 1, gives: value.Array, method: true, do: uniq},
		{name: "reverse", min: 1, max: 1, gives: value.Array, method: true, do: reverse},
		{name: "sort", min: 1, max: 2, gives: value.Array, method: true, do: sortList},
		{name: "keys", min: 1, max: 1, gives: value.Array, method: true, do: keys},
		{name: "values", min: 1, max: 1, gives: value.Array, method: true, do: values},
		{name: "toPairs", min: 1, max: 1, gives: value.Array, method: true, do: toPairs},
		{name: "fromPairs", min: 1, max: 1, gives: value.Object, method: true, do: fromPairs},
	}
}

// length counts elements, keys or characters.
func length(_ *evaluation, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		return runeCount(v), nil
	case []any:
		return int64(len(v)), nil
	case map[string]any:
		return int64(len(v)), nil
	}
	return nil, valueErrorf("len needs a string, an array or an object, got %s", describe(args[0]))
}

// end is the first or last element, null where there is none.
func end(who string, args []any, i int) (any, error) {
	l, err := list(who, args, 0)
	if err != nil || len(l) == 0 {
		return nil, err
	}
	if i < 0 {
		i += len(l)
	}
	return l[i], nil
}

// get is x[key], and null where that is missing.
func get(_ *evaluation, args []any) (any, error) {
	s := seg{}
	if key, ok := args[1].(string); ok {
		s.key = key
	} else if i, ok := value.Int(args[1]); ok {
		s.index, s.isIndex = i, true
	} else {
		return nil, valueErrorf("get needs a name or a whole number, got %s", describe(args[1]))
	}
	v, _ := step(args[0], &s)
	return v, nil
}

func take(_ *evaluation, args []any) (any, error) {
	l, err := list("take", args, 0)
	if err != nil {
		return nil, err
	}
	n, err := whole("take", args, 1)
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, valueErrorf("take needs a number from 0, got %d", n)
	}
	n = min(n, int64(len(l)))
	return l[:n:n], nil
}

func concat(e *evaluation, args []any) (any, error) {
	var out []any
	for i := range args {
		l, err := list("concat", args, i)
		if err != nil {
			return nil, err
		}
		if err := e.produce(16 * len(l)); err != nil {
			return nil, err
		}
		out = append(out, l...)
	}
	if out == nil {
		out = []any{}
	}
	return out, nil
}

// flatten takes all levels apart, as expr-lang's does.
func flatten(e *evaluation, args []any) (any, error) {
	l, err := list("flatten", args, 0)
	if err != nil {
		return nil, err
	}
	return flattenInto(e, []any{}, l, 0)
}

func flattenInto(e *evaluation, out, l []any, depth int) ([]any, error) {
	if depth > maxDepth {
		return nil, &LimitError{Message: "flatten of an array that nests too deeply"}
	}
	if err := e.produce(16 * len(l)); err != nil {
		return nil, err
	}
	var err error
	for _, v := range l {
		if inner, ok := v.([]any); ok {
			if out, err = flattenInto(e, out, inner, depth+1); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, v)
	}
	return out, nil
}

// uniq keeps the first of equal elements: 1 and 1.0 are equal, 1 and "1" not.
func uniq(e *evaluation, args []any) (any, error) {
	l, err := list("uniq", args, 0)
	if err != nil {
		return nil, err
	}
	if err := e.produce(16 * len(l)); err != nil {
		return nil, err
	}
	out := []any{}
	known := map[string]bool{}
	for _, v := range l {
		if s, ok := v.(string); ok {
			if !known[s] {
				known[s] = true
				out = append(out, v)
			}
			continue
		}
		seen := false
		for _, o := range out {
			if e.steps++; e.steps > maxSteps {
				return nil, &LimitError{Message: "uniq of too many different elements"}
			}
			if value.Equal(o, v) {
				seen = true
				break
			}
		}
		if !seen {
			out = append(out, v)
		}
	}
	return out, nil
}

func reverse(e *evaluation, args []any) (any, error) {
	l, err := list("reverse", args, 0)
	if err != nil {
		return nil, err
	}
	if err := e.produce(16 * len(l)); err != nil {
		return nil, err
	}
	out := make([]any, len(l))
	for i, v := range l {
		out[len(l)-1-i] = v
	}
	return out, nil
}

func sortList(e *evaluation, args []any) (any, error) {
	l, err := list("sort", args, 0)
	if err != nil {
		return nil, err
	}
	var order any
	if len(args) == 2 {
		order = args[1]
	}
	descending, err := direction(order)
	if err != nil {
		return nil, err
	}
	sorted, err := sortBy(e, l, l, descending)
	if err != nil {
		return nil, err
	}
	return sorted, nil
}

func keys(e *evaluation, args []any) (any, error) {
	m, err := object("keys", args, 0)
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(m))
	for _, k := range value.Keys(m) {
		out = append(out, k)
	}
	return out, e.produce(16 * len(m))
}

// values are in the order of their keys.
func values(e *evaluation, args []any) (any, error) {
	m, err := object("values", args, 0)
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(m))
	for _, k := range value.Keys(m) {
		out = append(out, m[k])
	}
	return out, e.produce(16 * len(m))
}

func toPairs(e *evaluation, args []any) (any, error) {
	m, err := object("toPairs", args, 0)
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(m))
	for _, k := range value.Keys(m) {
		out = append(out, []any{k, m[k]})
	}
	return out, e.produce(64 * len(m))
}

func fromPairs(e *evaluation, args []any) (any, error) {
	l, err := list("fromPairs", args, 0)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(l))
	for i, v := range l {
		pair, ok := v.([]any)
		if !ok || len(pair) != 2 {
			return nil, valueErrorf("fromPairs needs [key, value] pairs, got %s at [%d]", describe(v), i)
		}
		key, ok := pair[0].(string)
		if !ok {
			return nil, valueErrorf("an object's keys are strings, got %s at [%d]", describe(pair[0]), i)
		}
		out[key] = pair[1]
	}
	return out, e.produce(48 * len(l))
}
