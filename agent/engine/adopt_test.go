package engine

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// TestMembersAreReadAsTheirJSON holds the two ways that a result can come to one
// meaning.
func TestMembersAreReadAsTheirJSON(t *testing.T) {
	for name, v := range map[string]any{
		"scalars":          map[string]any{"null": nil, "yes": true, "text": "a < \"b\"\n\u2028 & é", "n": int64(math.MinInt64)},
		"whole floats":     []any{0.0, 3.0, -3.0, 1e15, 0x1p53, 0x1p60, 1e20, 1e21, 1e300},
		"fractions":        []any{0.1, 12.345, -1e-7, 1e-300, math.SmallestNonzeroFloat64, math.MaxFloat64, math.Copysign(0, -1)},
		"JSON as it came":  json.RawMessage(`{"price":59.80,"id":12345678901234567890,"a":1,"a":2,"list":[1.0,1e2]}`),
		"JSON inside":      map[string]any{"list": []any{json.RawMessage(`[1,2]`), map[string]any{"x": json.RawMessage(`null`)}}},
		"empty containers": map[string]any{"m": map[string]any{}, "l": []any{}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := (&plugin.Response{Members: made{"v": v}}).JSON()
			if err != nil {
				t.Fatal(err)
			}
			want, err := value.DecodeLenient(text)
			if err != nil {
				t.Fatal(err)
			}
			got := newMembers(made{"v": v}).all()
			if diff := cmp.Diff(string(value.Append(nil, want)), string(value.Append(nil, got))); diff != "" {
				t.Errorf("(-JSON +members)\n%s", diff)
			}
			if diff := cmp.Diff(kinds(want), kinds(got)); diff != "" {
				t.Errorf("types differ (-JSON +members)\n%s", diff)
			}
		})
	}
}

// made is a result whose members are there.
type made map[string]any

func (m made) Names() []string { return slices.Sorted(maps.Keys(m)) }

func (m made) Member(name string) (any, bool) { v, ok := m[name]; return v, ok }

func (m made) Size() int { return 100 }

// kinds is the Go types of a value's parts, which the model keeps apart.
func kinds(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = kinds(e)
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, kinds(e))
		}
		return out
	case int64:
		return "int64"
	case float64:
		return "float64"
	case *value.Decimal:
		return "decimal"
	}
	return value.KindOf(v)
}

func TestMembersThatAreNoValuesAreABug(t *testing.T) {
	for want, v := range map[string]any{
		"x: a int is no value":           map[string]any{"x": 1},
		"x: [1]: NaN is no number":       map[string]any{"x": []any{true, math.NaN()}},
		"x: a []string is no value":      map[string]any{"x": []string{"a"}},
		"x: decode JSON: the document e": map[string]any{"x": json.RawMessage(`{"a":`)},
	} {
		_, err := adopt(v)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
}
