package jsonpath

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

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
