package plain

import (
	"fmt"
	"maps"
	"slices"

	"github.com/testmesh/testmesh/flow/value"
)

// maxString, maxItems, maxDepth and maxNodes bound a value that is shown.
const (
	maxString = 4 << 10
	maxItems  = 100
	maxDepth  = 16
	maxNodes  = 2000
)

// Shorten is a value as far as a person reads it: it says where it is cut.
func Shorten(v any) any {
	nodes := maxNodes
	return shortened(v, 0, &nodes)
}

func shortened(v any, depth int, nodes *int) any {
	*nodes--
	switch v := v.(type) {
	case string:
		return Cut(v, maxString)
	case []any:
		if depth == maxDepth || *nodes <= 0 {
			return fmt.Sprintf("… (cut: a list of %d)", len(v))
		}
		out := make([]any, 0, min(len(v), maxItems+1))
		for i, item := range v {
			if i == maxItems || *nodes <= 0 {
				return append(out, fmt.Sprintf("… (cut: %d more)", len(v)-i))
			}
			out = append(out, shortened(item, depth+1, nodes))
		}
		return out
	case map[string]any:
		if v == nil {
			return v
		}
		if depth == maxDepth || *nodes <= 0 {
			return map[string]any{"…": fmt.Sprintf("cut: an object of %d", len(v))}
		}
		out := make(map[string]any, min(len(v), maxItems+1))
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i == maxItems || *nodes <= 0 {
				out["…"] = fmt.Sprintf("cut: %d more", len(v)-i)
				break
			}
			out[Cut(key, maxString)] = shortened(v[key], depth+1, nodes)
		}
		return out
	case *value.Decimal:
		if text := value.Compact(v); len(text) > maxString {
			return Cut(text, maxString)
		}
	}
	return v
}
