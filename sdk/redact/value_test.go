package redact

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValuesAreMaskedAtAnyDepth(t *testing.T) {
	t.Parallel()
	m := masker(t, "PW", "hunter2", "PIN", "12345678", "RATE", "0.0625", "BIG", "12345678901234567890.5", "WORD", "true")
	for _, test := range []struct {
		name       string
		give, want any
	}{
		{"a string", "is hunter2!", "is ‹secret:PW›!"},
		{"a list", []any{"x", []any{"hunter2"}}, []any{"x", []any{"‹secret:PW›"}}},
		{"an object", map[string]any{"a": map[string]any{"b": "hunter2"}, "c": int64(1)}, map[string]any{"a": map[string]any{"b": "‹secret:PW›"}, "c": int64(1)}},
		{"a key", map[string]any{"hunter2": int64(1), "x": "hunter2"}, map[string]any{"‹secret:PW›": int64(1), "x": "‹secret:PW›"}},
		{
			"keys that become the same",
			map[string]any{"hunter2": "raw", "68756e74657232": "hex", "‹secret:PW›": "mask"},
			map[string]any{"‹secret:PW›": "mask", "‹secret:PW› 2": "hex", "‹secret:PW› 3": "raw"},
		},
		{"an integer", int64(12345678), "‹secret:PIN›"},
		{"a Go integer", 12345678, "‹secret:PIN›"},
		{"a float that is an integer", 12345678.0, "‹secret:PIN›"},
		{"a float", 0.0625, "‹secret:RATE›"},
		{"a JSON number", json.Number("12345678"), "‹secret:PIN›"},
		{"a type that prints itself", big.NewInt(12345678), "‹secret:PIN›"},
		{"an exact decimal", json.Number("12345678901234567890.5"), "‹secret:BIG›"},
		{"bytes", []byte("hunter2"), []byte("‹secret:PW›")},
		{"strings", []string{"a", "hunter2"}, []string{"a", "‹secret:PW›"}},
		{"a map of strings", map[string]string{"hunter2": "x hunter2"}, map[string]string{"‹secret:PW›": "x ‹secret:PW›"}},
		{"a number that only holds a secret's digits", int64(9123456789), int64(9123456789)},
		{"a boolean has two values and hides nothing", true, true},
		{"null", nil, nil},
	} {
		if diff := cmp.Diff(test.want, m.Value(test.give)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestOnlyThePathToASecretIsCopied(t *testing.T) {
	t.Parallel()
	m := masker(t, "PW", "hunter2")
	untouched := map[string]any{"deep": []any{"x"}}
	give := map[string]any{"keep": untouched, "list": []any{untouched, "hunter2"}}
	got := m.Value(give).(map[string]any)
	if give["list"].([]any)[1] != "hunter2" {
		t.Error("the value that was given is changed")
	}
	for name, part := range map[string]any{"member": got["keep"], "item": got["list"].([]any)[0]} {
		part.(map[string]any)["probe "+name] = true
		if untouched["probe "+name] != true {
			t.Errorf("the untouched %s is a copy", name)
		}
	}
}

func TestAValueWithoutASecretIsReturnedItself(t *testing.T) {
	for name, m := range map[string]*Masker{"empty": New(), "with a secret": masker(t, "PW", "hunter2")} {
		var give any = map[string]any{"list": []any{"a", map[string]any{"b": "c"}}}
		m.Value(give).(map[string]any)["probe"] = true
		if give.(map[string]any)["probe"] != true {
			t.Errorf("%s: a copy is returned", name)
		}
		if n := testing.AllocsPerRun(100, func() { m.Value(give) }); n != 0 {
			t.Errorf("%s: Value allocates %v times, want 0", name, n)
		}
	}
}

func TestWhatIsNestedTooDeepIsNotShown(t *testing.T) {
	t.Parallel()
	var v any = "hunter2"
	for range 2 * maxDepth {
		v = []any{v}
	}
	text, err := json.Marshal(masker(t, "PW", "other-secret").Value(v))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Trim(string(text), "[]"); got != `"`+tooDeep+`"` {
		t.Errorf("at the end of the nesting: got %s, want %q", got, tooDeep)
	}
}
