package jsonpath

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/value"
)

func mustParse(t testing.TB, text string) *Path {
	t.Helper()
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSingular(t *testing.T) {
	for path, want := range map[string]bool{
		"$": true, "$.a": true, "$['a'][0].b[-1]": true, "$[ 'a' ]": true,
		"$.*": false, "$[0,1]": false, "$['a','b']": false, "$[0:1]": false, "$..a": false, "$[?@.a]": false, "$.a[*].b": false,
	} {
		if got := mustParse(t, path).Singular(); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func TestFirst(t *testing.T) {
	type first struct {
		Segment string
		Index   int
		IsIndex bool
		OK      bool
	}
	for path, want := range map[string]first{
		"$":             {},
		"$.a":           {Segment: "a", OK: true},
		"$['a b'].c[*]": {Segment: "a b", OK: true},
		"$['']":         {OK: true},
		"$[3].a":        {Index: 3, IsIndex: true, OK: true},
		"$[-1]":         {Index: -1, IsIndex: true, OK: true},
		"$.*":           {},
		"$[*]":          {},
		"$..a":          {},
		"$['a','b']":    {},
		"$[0,0]":        {},
		"$[0:1]":        {},
		"$[?@.a]":       {},
	} {
		var got first
		got.Segment, got.Index, got.IsIndex, got.OK = mustParse(t, path).First()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

func TestGetTellsNullFromMissing(t *testing.T) {
	doc := decode(t, `{"a": null, "list": [1]}`)
	for _, test := range []struct {
		path  string
		want  any
		found bool
	}{
		{"$.a", nil, true},
		{"$.b", nil, false},
		{"$.a.b", nil, false},
		{"$.list[0]", int64(1), true},
		{"$.list[-1]", int64(1), true},
		{"$.list[1]", nil, false},
		{"$.list['0']", nil, false},
		{"$.list[*]", nil, false}, // not singular
	} {
		if v, found := mustParse(t, test.path).Get(doc); found != test.found || !value.Equal(v, test.want) {
			t.Errorf("%s: got %v, %v", test.path, v, found)
		}
	}
}

func TestNothingFoundIsAnEmptyList(t *testing.T) {
	p := mustParse(t, "$.a[*]")
	values, err := p.Values(nil)
	if err != nil || values == nil || len(values) != 0 {
		t.Errorf("got %#v, %v", values, err)
	}
	nodes, err := p.Select(nil)
	if err != nil || nodes == nil || len(nodes) != 0 {
		t.Errorf("got %#v, %v", nodes, err)
	}
}

func TestErrorText(t *testing.T) {
	_, err := Parse("$.a[")
	if got, want := fmt.Sprint(err), `JSONPath "$.a[", at byte 3: the bracket that opens here is not closed; ] is missing`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = Parse("$." + strings.Repeat("é", 500) + "!")
	if got := fmt.Sprint(err); len(got) > 400 || !strings.Contains(got, "é…\"") {
		t.Errorf("a long path is not cut at a character: %q", got)
	}
}

func TestInvalidUTF8IsRefusedWhereItIs(t *testing.T) {
	for text, offset := range map[string]int{"\xff": 0, "$.a\xc3": 3, "$['é\xff']": 5, "$.�\xff": 5} {
		_, err := Parse(text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset != offset || syntax.Message != "the path is not valid UTF-8" {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestAnswersDoNotChangeTheDocument(t *testing.T) {
	const text = `{"b":[3,1,2],"a":{"z":1,"y":2}}`
	doc := decode(t, text)
	for _, path := range []string{"$..*", "$.b[::-1]", "$..[?@ > 1]", "$.*['y','z',0]"} {
		if _, err := mustParse(t, path).Select(doc); err != nil {
			t.Fatal(err)
		}
	}
	if !value.Equal(doc, decode(t, text)) {
		t.Errorf("got %s", value.Compact(doc))
	}
}

func TestNearest(t *testing.T) {
	doc := decode(t, `{"body": {"items": [{"price": 1, "name": "x"}, {}], "total": 3, "user-id": 1, "none": null, "empty": {}, "no": [],
		"many": {"alpha": 1, "beta": 2, "gamma": 3, "delta": 4, "epsilon": 5, "zeta": 6, "eta": 7}}, "one": [1]}`)
	for _, test := range []struct{ path, want string }{
		{"$.body.items[0].prize", `$.body.items[0] has no "prize"; did you mean "price"?`},
		{"$.body.items[-2].Price", `$.body.items[-2] has no "Price"; did you mean "price"?`},
		{"$.bodi.items", `$ has no "bodi"; did you mean "body"?`},
		{"$.body.userid", `$.body has no "userid"; did you mean "user-id"?`},
		{"$.body['user-id'].x", `$.body["user-id"] is a number, which has no "x"`},
		{"$.body.items.price", `$.body.items is an array, which has no "price"; did you mean $.body.items[0].price?`},
		{"$.body.items.sku", `$.body.items is an array of 2 elements, which has no "sku"`},
		{"$.one.sku", `$.one is an array of 1 element, which has no "sku"`},
		{"$.body.no.sku", `$.body.no is an array of 0 elements, which has no "sku"`},
		{"$.body.items[2]", `$.body.items has 2 elements, so no [2]`},
		{"$.body.items[-3]", `$.body.items has 2 elements, so no [-3]`},
		{"$.body.items[1].name", `$.body.items[1] has no "name"; it is an empty object`},
		{"$.body[0]", `$.body is an object, which has no [0]`},
		{"$.body.none.x", `$.body.none is null, which has no "x"`},
		{"$.body.total[0]", `$.body.total is a number, which has no [0]`},
		{"$.body.empty.x", `$.body.empty has no "x"; it is an empty object`},
		{"$.body.items[0].quantity", `$.body.items[0] has no "quantity"; it has "name", "price"`},
		{"$.body.many.other", `$.body.many has no "other"; it has "alpha", "beta", "delta", "epsilon", "eta" and 2 more`},
		{"$.body.itms[*].price", `$.body has no "itms"; did you mean "items"?`},
		{"$.body.items[*].prize", ""}, // which of them is not said
		{"$.body.items[0].price", ""},
		{"$.body.none", ""},
		{"$", ""},
		{"$..prize", ""},
	} {
		t.Run(test.path, func(t *testing.T) {
			if got := Nearest(doc, mustParse(t, test.path)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestNearestIsBounded(t *testing.T) {
	m := map[string]any{}
	for i := range 100_000 {
		m[fmt.Sprintf("%s%d", strings.Repeat("x", 150), i)] = nil
	}
	got := Nearest(m, mustParse(t, "$."+strings.Repeat("y", 100_000)))
	if len(got) > 1000 || !strings.HasPrefix(got, `$ has no "yyy`) || !strings.HasSuffix(got, "and 99995 more") {
		t.Errorf("got %q", got)
	}
}
