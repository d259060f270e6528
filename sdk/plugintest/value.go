package plugintest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// lookup finds what lies at a path of keys and indexes with dots. An empty path
// is the whole value.
func lookup(v json.RawMessage, path string) (json.RawMessage, error) {
	if path == "" {
		return v, nil
	}
	for name := range strings.SplitSeq(path, ".") {
		if bytes.HasPrefix(bytes.TrimLeft(v, " \t\r\n"), []byte("[")) {
			var list []json.RawMessage
			if err := json.Unmarshal(v, &list); err != nil {
				return nil, fmt.Errorf("the result has no %s: %w", path, err)
			}
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(list) {
				return nil, fmt.Errorf("the result has no %s: a list of %d is at %s", path, len(list), name)
			}
			v = list[i]
			continue
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(v, &object); err != nil {
			return nil, fmt.Errorf("the result has no %s: %w", path, err)
		}
		item, ok := object[name]
		if !ok {
			return nil, fmt.Errorf("the result has no %s: its keys are %s", path, strings.Join(slices.Sorted(maps.Keys(object)), ", "))
		}
		v = item
	}
	return v, nil
}

// sameJSON says where two JSON values differ, nil where they are the same. Keys
// have no order; numbers are the same only where they are written the same.
func sameJSON(got, want json.RawMessage) error {
	var g, w any
	if err := decodeJSON(got, &g); err != nil {
		return fmt.Errorf("%s is not JSON: %w", cut(string(got), 100), err)
	}
	if err := decodeJSON(want, &w); err != nil {
		return err
	}
	return same("", g, w)
}

func same(path string, got, want any) error {
	differ := func() error {
		return fmt.Errorf("%sgot %s, want %s", where(path), showValue(got), showValue(want))
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || !slices.Equal(slices.Sorted(maps.Keys(g)), slices.Sorted(maps.Keys(w))) {
			return differ()
		}
		for _, key := range slices.Sorted(maps.Keys(w)) {
			if err := same(path+"."+key, g[key], w[key]); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return differ()
		}
		for i := range w {
			if err := same(path+"."+strconv.Itoa(i), g[i], w[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if got != want {
		return differ()
	}
	return nil
}

func where(path string) string {
	if path == "" {
		return ""
	}
	return "at " + strings.TrimPrefix(path, ".") + ": "
}

// showValue is a value in a message: short, and every character visible.
func showValue(v any) string {
	if text, ok := v.(string); ok {
		return cut(strconv.QuoteToASCII(text), 120)
	}
	text, err := printJSON(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return cut(string(text), 120)
}

// without removes what lies at paths, for results that differ there.
func without(v json.RawMessage, paths []string) (json.RawMessage, error) {
	var value any
	if err := decodeJSON(v, &value); err != nil {
		return nil, fmt.Errorf("the result is not JSON: %w", err)
	}
	for _, path := range paths {
		remove(value, strings.Split(path, "."))
	}
	return printJSON(value)
}

func remove(v any, path []string) {
	switch v := v.(type) {
	case map[string]any:
		if len(path) == 1 {
			delete(v, path[0])
		} else {
			remove(v[path[0]], path[1:])
		}
	case []any:
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(v) {
			if len(path) == 1 {
				v[i] = nil
			} else {
				remove(v[i], path[1:])
			}
		}
	}
}
