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

func TestNesting(t *testing.T) {
	nested := func(depth int) map[string]string {
		return map[string]string{
			"parentheses": "$[?" + strings.Repeat("(", depth-1) + "@.a" + strings.Repeat(")", depth-1) + "]",
			"filters":     strings.Repeat("$[?", depth) + "@.a" + strings.Repeat("]", depth),
			"arguments":   "$[?" + strings.Repeat("length(", depth-1) + "@.a" + strings.Repeat(")", depth-1) + "== 1]",
		}
	}
	for kind, path := range nested(MaxDepth) {
		if _, err := Parse(path); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for kind, path := range nested(MaxDepth + 1) {
		if _, err := Parse(path); err == nil || !strings.Contains(err.Error(), "nests deeper than 100") {
			t.Errorf("%s: got %v", kind, err)
		}
	}
	for kind, path := range nested(100_000) {
		if _, err := Parse(path); err == nil {
			t.Errorf("%s: no error", kind)
		}
	}
}

// TestBounds has paths that would take very long, each by another way. It runs
// them with a fiftieth of the visits, which all of them need many times over.
func TestBounds(t *testing.T) {
	const visits = MaxVisits / 50
	list := make([]any, 3000)
	for i := range list {
		list[i] = int64(i)
	}
	big := decode(t, "1"+strings.Repeat("0", 4000))
	text := strings.Repeat("a", 1<<20)
	deep := any(nil)
	for range 900 {
		deep = []any{deep}
	}
	patterns := make([]any, 3000)
	for i := range patterns {
		patterns[i] = fmt.Sprintf("(a{30}){20}b{%d}", i%900+1)
	}
	wide := make(map[string]any, len(list))
	for i, v := range list {
		wide[strings.Repeat("k", 40)+fmt.Sprint(i)] = v
	}
	for _, test := range []struct {
		claim, path string
		root        any
	}{
		{"a filter that reads the whole document for each element", "$[?count($..*) == 1]", list},
		{"a filter that looks for what is not there", "$[?!$[?@ == 'x']]", list},
		{"filters in filters", "$[?!$[?!$[?@ > 5000]]]", list},
		{"descendants of descendants", "$..*..*..*", deep},
		{"the same element again and again", "$" + strings.Repeat("[0,0,0,0,0,0,0,0]", 12), deep},
		{"segments without end that find nothing", "$" + strings.Repeat("[?!@.b,?!@.b]", 30), deep},
		{"slices of slices", "$" + strings.Repeat("[:,:,:]", 20), deep},
		{"comparing lists", "$[?$ == $]", list},
		{"comparing objects", "$[0][?$[0] == $[1]]", []any{wide, wide}},
		{"comparing long texts", "$.list[?$.text == $.text]", map[string]any{"list": list, "text": strings.Repeat(text, 8)}},
		{"comparing long decimals", "$.list[?$.list[?$.big > $.big]]", map[string]any{"list": list, "big": big}},
		{"comparing structures with long decimals", "$.list[?!$.list[?$.big != $.big]]", map[string]any{"list": list, "big": []any{big}}},
		{"comparing a number with a decimal", "$.list[?$.list[?@ == $.big]]", map[string]any{"list": list, "big": big}},
		{"the length of long texts", "$.list[?length($.text) == 0]", map[string]any{"list": list, "text": text}},
		{"matching long texts", "$.list[?match($.text, '(a*)*b')]", map[string]any{"list": list, "text": text}},
		{"matching a large pattern", "$.list[?search($.text, '[ab]{900}b')]", map[string]any{"list": list, "text": text[:100_000]}},
		{"compiling many patterns", "$[?search('x', @)]", patterns},
		{"compiling what is no pattern", "$.list[?$.list[?search($.text, $.text)]]", map[string]any{"list": list, "text": strings.Repeat("a", 4000)}},
	} {
		t.Run(test.claim, func(t *testing.T) {
			p := mustParse(t, test.path)
			if values, err := p.values(test.root, visits); !errors.Is(err, ErrTooLarge) || values != nil {
				t.Errorf("Values: got %d values, %v", len(values), err)
			}
			if nodes, err := p.nodes(test.root, visits); !errors.Is(err, ErrTooLarge) || nodes != nil {
				t.Errorf("Select: got %d nodes, %v", len(nodes), err)
			}
		})
	}
}

func TestLargeDocumentsAreAnswered(t *testing.T) {
	list := make([]any, MaxNodes)
	for i := range list {
		list[i] = int64(i)
	}
	for path, want := range map[string]int{"$[*]": MaxNodes, "$..*": MaxNodes, "$[?@ >= 999990]": 10} {
		if values, err := mustParse(t, path).Values(list); err != nil || len(values) != want {
			t.Errorf("%s: got %d values, %v", path, len(values), err)
		}
	}
}

func TestAnswersHoldABoundedNumberOfNodes(t *testing.T) {
	list := make([]any, MaxNodes+1)
	p := mustParse(t, "$[*]")
	if values, err := p.Values(list); !errors.Is(err, ErrTooLarge) || values != nil {
		t.Errorf("got %d values, %v", len(values), err)
	}
	if nodes, err := p.Select(list); !errors.Is(err, ErrTooLarge) || nodes != nil {
		t.Errorf("got %d nodes, %v", len(nodes), err)
	}
}

func TestVisitsAreBounded(t *testing.T) {
	list := make([]any, 3000)
	p := mustParse(t, "$[?!$[?@ == 'x']]")
	if values, err := p.Values(list); !errors.Is(err, ErrTooLarge) || values != nil {
		t.Errorf("got %d values, %v", len(values), err)
	}
	if nodes, err := p.Select(list); !errors.Is(err, ErrTooLarge) || nodes != nil {
		t.Errorf("got %d nodes, %v", len(nodes), err)
	}
}

func TestLongPathsOfNodesAreBounded(t *testing.T) {
	list := make([]any, 100_000)
	root := map[string]any{strings.Repeat("k", 10_000): list}
	p := mustParse(t, "$..*")
	if values, err := p.Values(root); err != nil || len(values) != len(list)+1 {
		t.Errorf("got %d values, %v", len(values), err)
	}
	if _, err := p.Select(root); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// TestVisitsAreCharged has one case for each thing that counts, so that none can
// become free.
func TestVisitsAreCharged(t *testing.T) {
	list := make([]any, 1000)
	object := map[string]any{}
	for i := range list {
		object[fmt.Sprint(i)] = nil
	}
	for _, test := range []struct {
		claim, path string
		root        any
		least       int
	}{
		{"each element under a star", "$[*]", list, 1000},
		{"each member under a star", "$.*", object, 1000},
		{"each element of a slice", "$[::2]", list, 500},
		{"each selector that finds nothing", "$['a','a','a','a','a','a','a','a']", nil, 8},
		{"each element under two dots, and the selector there", "$..a", list, 2000},
		{"each query of a filter", "$[?$ || @]", list, 2000},
		{"each segment that a compared query follows", "$[?@.a.b.c == @.d.e.f]", list, 8000},
		{"a pattern that is none, by its bytes", "$.a[?match('a', $.b)]", map[string]any{"a": []any{nil}, "b": "(" + strings.Repeat("a", 4000)}, 4000},
		{"a pattern that is compiled, by its size", "$.a[?match('a', $.b)]", map[string]any{"a": []any{nil}, "b": "a{900}"}, 900 * bytesPerVisit},
		{"a text that is matched, by its bytes and the pattern's size", "$[?match(@, 'a{64}')]", []any{strings.Repeat("a", 32_000)}, 64_000},
		{"a text that is measured", "$[?length(@) == 1]", []any{strings.Repeat("a", 32_000)}, 1000},
	} {
		t.Run(test.claim, func(t *testing.T) {
			e := evaluation{root: test.root, left: MaxVisits}
			if !e.walk(mustParse(t, test.path).query.segments, test.root, func(any) bool { return true }) {
				t.Fatal("the walk ended early")
			}
			if used := MaxVisits - e.left; used < test.least || used > 3*test.least+100 {
				t.Errorf("got %d visits, want at least %d and not three times as many", used, test.least)
			}
		})
	}
}

func TestComparisonsAreCharged(t *testing.T) {
	text := strings.Repeat("a", 1<<20)
	decimal := decode(t, "0.12345678901234567890123")
	numbers := make([]any, 1000)
	for i := range numbers {
		numbers[i] = int64(i)
	}
	nested := map[string]any{"a": numbers, "b": []any{numbers}}
	for _, test := range []struct {
		claim       string
		left, right any
		want        int
	}{
		{"two numbers", int64(1), int64(2), 1},
		{"two kinds", "a", []any{}, 1},
		{"two texts, as long as the shorter", text, text + text, 1 + 1024},
		{"lists of different lengths", numbers, numbers[:5], 1},
		{"lists of one length", numbers, numbers, 1001},
		{"objects", nested, nested, 2004},
		{"objects of different sizes", nested, map[string]any{}, 1},
		{"a decimal on the left", decimal, int64(1), decimalVisits},
		{"a decimal on the right", int64(1), decimal, decimalVisits},
		{"decimals inside a list", []any{decimal, decimal}, []any{nil, nil}, 1 + 2*decimalVisits},
		{"texts inside a list", []any{text}, []any{text}, 2 + 1024},
	} {
		t.Run(test.claim, func(t *testing.T) {
			e := evaluation{left: MaxVisits}
			if !e.weigh(test.left, test.right) {
				t.Fatal("too large")
			}
			if got := MaxVisits - e.left; got != test.want {
				t.Errorf("got %d visits, want %d", got, test.want)
			}
		})
	}
	e := evaluation{left: 100}
	if e.weigh(nested, nested) || e.left < -50 {
		t.Errorf("weighing goes on past the bound: %d left", e.left)
	}
}

func TestPatternsFromDocumentsAreKeptWithinABound(t *testing.T) {
	list := []any{}
	for i := range 3*maxPatterns + maxPatterns/2 {
		list = append(list, fmt.Sprintf("a%d", i), fmt.Sprintf("a%d", i))
	}
	e := evaluation{root: list, left: MaxVisits}
	found := 0
	e.walk(mustParse(t, "$[?match(@, @)]").query.segments, list, func(any) bool {
		found++
		return true
	})
	if found != len(list) || len(e.patterns) != maxPatterns/2 {
		t.Errorf("%d of %d match, %d patterns are kept", found, len(list), len(e.patterns))
	}
}

func TestPatternsAreBounded(t *testing.T) {
	for _, test := range []struct{ claim, pattern, want string }{
		{"a long text", strings.Repeat("a", maxPattern+1), "the regular expression is over 4096 bytes"},
		{"a large program", strings.Repeat("a{500}", 20), "the regular expression is too large"},
		{"a large program of loops in loops", strings.Repeat("(", 5) + "a{9}" + strings.Repeat("){9}", 5), "the regular expression is too large"},
		{"deep groups", strings.Repeat("(", 1020) + "a" + strings.Repeat("b)*", 1020), "the regular expression nests too deep or is too large"},
		{"bytes that are no characters", "a\xff", "the regular expression is not valid UTF-8"},
	} {
		t.Run(test.claim, func(t *testing.T) {
			if _, err := compile(test.pattern, true); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	if _, err := compile(strings.Repeat("a", maxPattern), true); err != nil {
		t.Error(err)
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
