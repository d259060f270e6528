package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// maxDepth bounds the nesting that Value follows; JSON decoders stop earlier.
const maxDepth = 10_000

// tooDeep stands for what is nested deeper: not looked at, so not shown.
const tooDeep = "‹nested too deep to be masked›"

// Value masks strings and keys at any depth of a value made of map[string]any,
// []any and scalars, and a number whose whole text is a secret, which becomes
// the mask. Nothing is changed in place: where nothing matches v itself is
// returned, else new containers around the untouched parts. Values of other
// types that print themselves (decimals, say) are treated like numbers;
// everything else is returned as it is.
func (m *Masker) Value(v any) any {
	if m.Empty() {
		return v
	}
	out, _ := m.value(v, 0)
	return out
}

// value tells besides whether it made a change: containers cannot be compared.
func (m *Masker) value(v any, depth int) (any, bool) {
	if depth > maxDepth {
		return tooDeep, true
	}
	switch t := v.(type) {
	case nil, bool:
		return v, false
	case string:
		if masked := m.String(t); masked != t {
			return masked, true
		}
		return v, false
	case []byte:
		if masked := m.Bytes(t); !bytes.Equal(masked, t) {
			return masked, true
		}
		return v, false
	case []any:
		if out := m.list(t, depth); out != nil {
			return out, true
		}
		return v, false
	case map[string]any:
		if out := m.object(t, depth); out != nil {
			return out, true
		}
		return v, false
	case []string, map[string]string:
		return m.texts(v)
	}
	for _, text := range numberTexts(v) {
		if masked := m.String(text); m.whole(text, masked) {
			return masked, true
		}
	}
	return v, false
}

// whole tells whether a text was replaced by one mask from end to end.
func (m *Masker) whole(text, masked string) bool {
	if text == masked {
		return false
	}
	return slices.Contains(m.automaton().masks, masked)
}

// numberTexts are the ways in which a number is usually written.
func numberTexts(v any) []string {
	switch n := v.(type) {
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return []string{fmt.Sprint(n)}
	case float32:
		return numberTexts(float64(n))
	case float64:
		if math.Abs(n) > 1e21 {
			return []string{strconv.FormatFloat(n, 'g', -1, 64)}
		}
		return []string{strconv.FormatFloat(n, 'f', -1, 64), strconv.FormatFloat(n, 'g', -1, 64)}
	case json.Number:
		return []string{string(n)}
	case fmt.Stringer:
		return []string{fmt.Sprint(n)}
	}
	return nil
}

// list is nil where nothing changes, and so is object.
func (m *Masker) list(v []any, depth int) []any {
	var out []any
	for i, item := range v {
		masked, changed := m.value(item, depth+1)
		if !changed {
			continue
		}
		if out == nil {
			out = slices.Clone(v)
		}
		out[i] = masked
	}
	return out
}

func (m *Masker) object(v map[string]any, depth int) map[string]any {
	var changes map[string]any
	renamed := false
	for key, item := range v {
		masked, changed := m.value(item, depth+1)
		if changed {
			if changes == nil {
				changes = map[string]any{}
			}
			changes[key] = masked
		}
		renamed = renamed || m.String(key) != key
	}
	if changes == nil && !renamed {
		return nil
	}
	out := make(map[string]any, len(v))
	for key, to := range m.keys(v) {
		if masked, changed := changes[key]; changed {
			out[to] = masked
		} else {
			out[to] = v[key]
		}
	}
	return out
}

// keys gives each key its masked name. Keys that become the same are told apart
// by a number, in the order of the original keys, so that no entry is lost.
func (m *Masker) keys(v map[string]any) map[string]string {
	sorted := make([]string, 0, len(v))
	for key := range v {
		sorted = append(sorted, key)
	}
	slices.Sort(sorted)
	names := make(map[string]string, len(v))
	taken := make(map[string]bool, len(v))
	for _, key := range sorted {
		if m.String(key) == key {
			names[key], taken[key] = key, true
		}
	}
	for _, key := range sorted {
		if _, done := names[key]; done {
			continue
		}
		masked := m.String(key)
		name := masked
		for n := 2; taken[name]; n++ {
			name = masked + " " + strconv.Itoa(n)
		}
		names[key], taken[name] = name, true
	}
	return names
}

// texts masks []string and map[string]string, which keep their type.
func (m *Masker) texts(v any) (any, bool) {
	switch t := v.(type) {
	case []string:
		for i, text := range t {
			if m.String(text) != text {
				out := slices.Clone(t)
				for j := i; j < len(out); j++ {
					out[j] = m.String(out[j])
				}
				return out, true
			}
		}
	case map[string]string:
		generic := make(map[string]any, len(t))
		for key, text := range t {
			generic[key] = text
		}
		if masked := m.object(generic, 0); masked != nil {
			out := make(map[string]string, len(masked))
			for key, text := range masked {
				out[key], _ = text.(string)
			}
			return out, true
		}
	}
	return v, false
}
