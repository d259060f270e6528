package value

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func decoded(t testing.TB, text string) any {
	t.Helper()
	v, err := Decode([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestDiffListsChangesInTheOrderOfPaths(t *testing.T) {
	tests := []struct {
		name, expected, actual string
		want                   []Change
	}{
		{"nothing", `{"a":[1,2.0]}`, `{"a":[1.0,2]}`, nil},
		{"the root", `1`, `"1"`, []Change{{Path: "$", Expected: int64(1), Actual: "1"}}},
		{"null is not missing", `{"a":null}`, `{}`, []Change{{Path: "$.a", ActualMissing: true}}},
		{"keys of both sides in one order", `{"b":1,"d":2}`, `{"a":0,"b":9,"c":3}`, []Change{
			{Path: "$.a", Actual: int64(0), ExpectedMissing: true},
			{Path: "$.b", Expected: int64(1), Actual: int64(9)},
			{Path: "$.c", Actual: int64(3), ExpectedMissing: true},
			{Path: "$.d", Expected: int64(2), ActualMissing: true},
		}},
		{"lists by index", `[1,[2]]`, `[1,[3,4]]`, []Change{
			{Path: "$[1][0]", Expected: int64(2), Actual: int64(3)},
			{Path: "$[1][1]", Actual: int64(4), ExpectedMissing: true},
		}},
		{"a shorter list", `[1,2]`, `[1]`, []Change{{Path: "$[1]", Expected: int64(2), ActualMissing: true}}},
		{"another kind", `{"a":{"b":1}}`, `{"a":[1]}`, []Change{{Path: "$.a", Expected: map[string]any{"b": int64(1)}, Actual: []any{int64(1)}}}},
		{"a key that is no name", `{"x-y":1}`, `{"x-y":2}`, []Change{{Path: `$["x-y"]`, Expected: int64(1), Actual: int64(2)}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, more := Diff(decoded(t, test.expected), decoded(t, test.actual), 10)
			if diff := cmp.Diff(test.want, got); diff != "" || more != 0 {
				t.Errorf("%s, %d more", diff, more)
			}
		})
	}
}

func TestDiffSaysHowManyWereLeftOut(t *testing.T) {
	got, more := Diff(decoded(t, `[1,2,3,4]`), decoded(t, `[0,0,0,0]`), 3)
	if len(got) != 3 || more != 1 {
		t.Errorf("got %d and %d more, want 3 and 1", len(got), more)
	}
}

func TestDiffIsEmptyWhereValuesAreEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawValue(2).Draw(t, "a"), drawValue(2).Draw(t, "b")
		if changes, _ := Diff(a, a, 5); len(changes) != 0 || !Equal(a, a) {
			t.Fatalf("%s differs from itself: %v", Compact(a), changes)
		}
		changes, _ := Diff(a, b, 5)
		if (len(changes) == 0) != Equal(a, b) || Equal(a, b) != Equal(b, a) {
			t.Fatalf("%s and %s: Equal says %v, Diff says %v", Compact(a), Compact(b), Equal(a, b), changes)
		}
	})
}

func TestEqualNeverCrossesKinds(t *testing.T) {
	all := []any{nil, false, "", "0", "null", int64(0), []any{}, map[string]any{}, []any{nil}, map[string]any{"a": nil}, true, "true", int64(1), "1"}
	for i, a := range all {
		for j, b := range all {
			if got := Equal(a, b); got != (i == j) {
				t.Errorf("%s and %s: got %v", Describe(a, 0), Describe(b, 0), got)
			}
		}
	}
	if Equal(map[string]any{"a": nil}, map[string]any{"b": nil}) {
		t.Error("objects with other keys are equal")
	}
}

func TestMemberQuotesWhatIsNoName(t *testing.T) {
	for key, want := range map[string]string{"a": "$.a", "_a1": "$._a1", "1a": `$["1a"]`, "": `$[""]`, "x-y": `$["x-y"]`, "é": `$["é"]`, `"`: `$["\""]`} {
		if got := Member("$", key); got != want {
			t.Errorf("%q: got %s, want %s", key, got, want)
		}
	}
}

func TestClosest(t *testing.T) {
	tests := []struct {
		name, typed string
		candidates  []string
		want        string
	}{
		{"a letter too many", "statuss", []string{"status", "state"}, "status"},
		{"a letter too few", "statu", []string{"state", "status"}, "state"},
		{"neighbours swapped are one edit", "stauts", []string{"status"}, "status"},
		{"two edits in a long name", "mehtods", []string{"method"}, "method"},
		{"two edits in a short name are too many", "abc", []string{"axy"}, ""},
		{"one edit in a short name", "abc", []string{"abd"}, "abd"},
		{"short is counted in characters", "äöü", []string{"äxy"}, ""},
		{"three edits are too many", "response", []string{"requests"}, ""},
		{"the nearest first", "header", []string{"healer", "headers"}, "healer"},
		{"the name itself is no suggestion", "body", []string{"body"}, ""},
		{"no candidates", "body", nil, ""},
		{"an empty name", "", []string{"a"}, "a"},
		{"a very long name", strings.Repeat("x", 10_000), []string{strings.Repeat("x", 10_001)}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Closest(test.typed, test.candidates); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestNearestPrefersAnotherCase(t *testing.T) {
	m := map[string]any{"userID": 1, "user_id": 2, "name": 3}
	if got := Nearest(m, "USERID"); got != "userID" {
		t.Errorf("got %q", got)
	}
	if got := Nearest(m, "nam"); got != "name" {
		t.Errorf("got %q", got)
	}
}
