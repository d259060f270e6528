package value

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKindsAndIntegers(t *testing.T) {
	tests := []struct {
		v       any
		kind    Kind
		integer bool
	}{
		{nil, Null, false},
		{true, Boolean, false},
		{int64(1), Number, true},
		{1.0, Number, true},
		{1.5, Number, false},
		{math.Inf(1), Number, false},
		{parse(t, "12345678901234567890"), Number, true},
		{parse(t, "12345678901234567890.0"), Number, true},
		{parse(t, "1234567890123456789.5"), Number, false},
		{parse(t, "1e400"), Number, true},
		{"1", String, false},
		{[]any{}, Array, false},
		{map[string]any{}, Object, false},
	}
	for _, test := range tests {
		if got := KindOf(test.v); got != test.kind {
			t.Errorf("%v: got %s, want %s", test.v, got, test.kind)
		}
		if got := IsInteger(test.v); got != test.integer {
			t.Errorf("%v: integer %v", test.v, got)
		}
	}
}

func TestForeignTypesPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"KindOf":  func() { KindOf(1) },
		"Compact": func() { Compact([]string{"a"}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s takes a type outside the model", name)
				}
			}()
			f()
		}()
	}
}

func TestDescribe(t *testing.T) {
	tests := []struct {
		v     any
		limit int
		want  string
	}{
		{nil, 10, "null"},
		{59.8, 0, "59.8 (number)"},
		{"12", 0, `"12" (string)`},
		{[]any{int64(1)}, 0, "[1] (array)"},
		{"abcdef", 4, `"abc… (8 bytes) (string)`},
		{"ééé", 4, `"é… (8 bytes) (string)`},
	}
	for _, test := range tests {
		if got := Describe(test.v, test.limit); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestTextPrintsStringsAsTheyAre(t *testing.T) {
	for want, v := range map[string]any{"a b": "a b", "null": nil, "1.5": 1.5, `{"a":["x"]}`: map[string]any{"a": []any{"x"}}} {
		if got := Text(v); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

type uuid [16]byte

func (u uuid) MarshalText() ([]byte, error) {
	return []byte("id-" + strings.Repeat("0", int(u[0]))), nil
}

type named string

func TestNormalizeBringsForeignValuesIn(t *testing.T) {
	var nothing *time.Location
	tests := []struct {
		name string
		v    any
		want string
	}{
		{"integers of every width", []any{int(1), int8(-2), uint16(3), uint64(math.MaxUint64)}, `[1,-2,3,18446744073709551615]`},
		{"a float32 by its own digits", float32(0.1), `0.1`},
		{"json.Number", []any{json.Number("0.12345678901234567890"), json.Number("7")}, `[0.12345678901234567890,7]`},
		{"bytes", []byte("text"), `"text"`},
		{"raw JSON is read", json.RawMessage(`{"b":1.50,"a":[]}`), `{"a":[],"b":1.5}`},
		{"a named byte slice", []any{bytesOf("x")}, `["x"]`},
		{"a marshaler is asked", []any{uuid{2}}, `["id-00"]`},
		{"an address", netip.MustParseAddr("10.0.0.1"), `"10.0.0.1"`},
		{"times", []any{time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), 90 * time.Second}, `["2026-01-02T03:04:05.000006Z","1m30s"]`},
		{"typed slices and maps", map[string][]string{"a": {"x"}}, `{"a":["x"]}`},
		{"keys that are no strings", map[int]bool{3: true}, `{"3":true}`},
		{"a struct by its tags", struct {
			A int    `json:"a"`
			B string `json:"-"`
		}{1, "x"}, `{"a":1}`},
		{"a nil pointer", nothing, `null`},
		{"a pointer", &struct{ X named }{"y"}, `{"X":"y"}`},
		{"a named string", named("n"), `"n"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Normalize(test.v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, Compact(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

type bytesOf []byte

func TestNormalizeRefusesWhatHasNoJSONForm(t *testing.T) {
	for name, v := range map[string]any{
		"NaN":                 math.NaN(),
		"an infinity":         []any{math.Inf(-1)},
		"a float32 infinity":  map[string]any{"a": float32(math.Inf(1))},
		"a channel":           make(chan int),
		"a function":          []any{func() {}},
		"a complex number":    map[string]any{"a": 1i},
		"a number past reach": json.Number("1e99999"),
		"a broken raw text":   json.RawMessage(`{"a":`),
	} {
		if got, err := Normalize(v); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestNormalizeKeepsValues(t *testing.T) {
	v := decoded(t, `{"a":[1,2.5,null,"x",{"b":0.12345678901234567890}]}`)
	got, err := Normalize(v)
	if err != nil || !Equal(v, got) {
		t.Errorf("got %s, %v", Compact(got), err)
	}
}
