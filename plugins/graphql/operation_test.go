package graphql

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// shopSchema puts the schema of the demo application into a project.
func shopSchema(t testing.TB) (root string) {
	t.Helper()
	sdl, err := os.ReadFile("../../examples/demo/graphql_schema.graphql")
	if err != nil {
		t.Fatal(err)
	}
	root = t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "shop.graphql"), sdl, 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestMistakesOfAQueryAreFoundWithoutAServer(t *testing.T) {
	r := newRun(t)
	r.req.Root = shopSchema(t)
	url := "http://" + nobody(t)
	tests := map[string]struct {
		query     string
		variables m
		field     string
		message   string
		details   []string
	}{
		"a field": {"{\n  product(id: 1) { nam }\n}", nil, "query", `2:20: Cannot query field "nam" on type "Product". Did you mean "name"?`, []string{
			"   2 │   product(id: 1) { nam }",
			"     │                    ^^^",
		}},
		"a type": {"{search(text: \"a\") {... on Usr {id}}}", nil, "query", `1:25: Unknown type "Usr". Did you mean "User"?`, []string{
			`   1 │ {search(text: "a") {... on Usr {id}}}`,
			`     │                         ^^`,
		}},
		"several, in the order of their lines": {"{\n  nope\n  product(sku: 1) { id }\n}", nil, "query", `2:3: Cannot query field "nope" on type "Query". Did you mean "node"?`, []string{
			"   2 │   nope",
			"     │   ^^^^",
			`3:3: Unknown argument "sku" on field "Query.product"`,
			"   3 │   product(sku: 1) { id }",
			"     │   ^^^^^^^",
			`3:3: Field "product" argument "id" of type "ID!" is required, but it was not provided`,
			"   3 │   product(sku: 1) { id }",
			"     │   ^^^^^^^",
		}},
		"after letters beyond ASCII": {"{search(text: \"äöü\") {nope}}", nil, "query", `1:23: Cannot query field "nope" on type "Found"`, []string{
			`   1 │ {search(text: "äöü") {nope}}`,
			`     │                       ^^^^`,
		}},
		"a value of an enum":             {"{products(sort: PRIZE) {totalCount}}", nil, "query", `1:17: Value "PRIZE" does not exist in "ProductSort!" enum. Did you mean the enum value "PRICE"?`, nil},
		"selections of a leaf":           {"{product(id: 1) {name {id}}}", nil, "query", `1:24: Cannot query field "id" on type "String"`, nil},
		"a fragment":                     {"{product(id: 1) {...Nam}} fragment Name on Product {name}", nil, "query", `1:21: Unknown fragment "Nam". Did you mean "Name"?`, nil},
		"no selections of an object":     {"{product(id: 1)}", nil, "query", `1:2: Field "product" of type "Product" must have a selection of subfields. Did you mean "product { ... }"?`, nil},
		"a variable that is not used":    {"query($a: Int) {__typename}", nil, "query", `1:7: Variable "$a" is never used`, nil},
		"no grammar":                     {"{product(id: 1) {name}", nil, "query", "1:23: Expected Name, found <EOF>", nil},
		"a variable of another type":     {"query($id: ID!) {product(id: $id) {id}}", m{"id": true}, "variables.id", "cannot use bool as ID", nil},
		"a variable that is missing":     {"query($id: ID!) {product(id: $id) {id}}", nil, "variables.id", "must be defined", nil},
		"a field of a variable":          {"mutation($o: NewOrder!) {placeOrder(input: $o) {id}}", m{"o": m{"items": []any{m{"sku": "a", "amount": 1}}}}, "variables.o.items[0].amount", "unknown field", nil},
		"a field of a variable, missing": {"mutation($o: NewOrder!) {placeOrder(input: $o) {id}}", m{"o": m{}}, "variables.o.items", "must be defined", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := m{"url": url, "schema": "shop.graphql", "query": test.query}
			if test.variables != nil {
				config["variables"] = test.variables
			}
			got := r.fault("query", config)
			if got.Field != test.field || got.Message != test.message || got.Blame != plugin.BlameDefinition || got.Failed {
				t.Errorf("got %s of %s: %s, want %s: %s", got.Field, got.Blame, got.Message, test.field, test.message)
			}
			if test.details != nil {
				if diff := cmp.Diff(test.details, got.Details); diff != "" {
					t.Errorf("details (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestManyMistakesAreListedUpToABound(t *testing.T) {
	r := newRun(t)
	r.req.Root = shopSchema(t)
	got := r.fault("query", m{"url": "http://" + nobody(t), "schema": "shop.graphql", "query": "{" + strings.Repeat("\nnope1", 1) + strings.Repeat("\nx: nope", 12) + "}"})
	if last := got.Details[len(got.Details)-1]; !strings.HasPrefix(last, "and ") {
		t.Errorf("got %d details, the last is %q", len(got.Details), last)
	}
}

func TestALongLineIsShownAroundTheMistake(t *testing.T) {
	r := newRun(t)
	r.req.Root = shopSchema(t)
	query := "{" + strings.Repeat("__typename ", 100) + "nope " + strings.Repeat("__typename ", 100) + "}"
	got := r.fault("query", m{"url": "http://" + nobody(t), "schema": "shop.graphql", "query": query})
	line, mark, _ := strings.Cut(strings.Join(got.Details[:2], "\n"), "\n")
	at := strings.Index(mark, "^^^^")
	if len([]rune(line)) > maxExcerpt+10 || at < 0 || !strings.HasPrefix(string([]rune(line)[len([]rune(mark[:at])):]), "nope ") {
		t.Errorf("got\n%s\n%s", line, mark)
	}
}

func TestWhatTheSchemaAllowsIsSent(t *testing.T) {
	url := shop(t) + "/graphql"
	r := newRun(t)
	r.req.Root = shopSchema(t)
	const query = `mutation($o: NewOrder!) {placeOrder(input: $o) {total}}`
	order := m{"items": []any{m{"sku": "TEA-001", "qty": 2}}}
	got := r.raw("query", m{"url": url, "schema": "shop.graphql", "query": query, "variables": m{"o": order}})
	if string(got["data"]) != `{"placeOrder":{"total":59.80}}` {
		t.Errorf("got %s", got["data"])
	}
	got = r.raw("query", m{"url": url, "introspect": true, "query": query, "variables": m{"o": order}})
	if string(got["data"]) != `{"placeOrder":{"total":59.80}}` {
		t.Errorf("got %s", got["data"])
	}
}

func TestMeasures(t *testing.T) {
	tests := map[string]struct {
		query      string
		variables  m
		depth      int
		deepest    string
		complexity int
	}{
		"one field":                     {"{a}", nil, 1, "a", 1},
		"fields beside each other":      {"{a b c}", nil, 1, "a", 3},
		"the deepest of them":           {"{a {b} c {d {e}} f}", nil, 3, "c.d.e", 6},
		"an alias":                      {"{x: a {b}}", nil, 2, "x: a.b", 2},
		"a list of some":                {"{a(first: 10) {b c}}", nil, 2, "a.b", 21},
		"a list in a list":              {"{a(first: 10) {b(last: 5) {c}}}", nil, 3, "a.b.c", 61},
		"the larger of two bounds":      {"{a(first: 2, limit: 3) {b}}", nil, 2, "a.b", 4},
		"a bound in a variable":         {"query($n: Int) {a(first: $n) {b}}", m{"n": 7}, 2, "a.b", 8},
		"the default of a variable":     {"query($n: Int = 4) {a(first: $n) {b}}", nil, 2, "a.b", 5},
		"a bound that is none":          {"query($n: Int) {a(first: $n) {b}}", m{"n": nil}, 2, "a.b", 2},
		"fragments, where they stand":   {"{a {...F} b {...F}} fragment F on X {c {d}}", nil, 3, "a.c.d", 6},
		"inline fragments":              {"{a {... on X {b} ... on Y {c {d}}}}", nil, 3, "a.c.d", 4},
		"type names are free":           {"{__typename a {__typename}}", nil, 1, "a", 1},
		"what is skipped is not asked":  {"{a @skip(if: true) {b} c @include(if: false) d}", nil, 1, "d", 1},
		"skipped by a variable":         {"query($no: Boolean!) {a @include(if: $no) {b} c ...F @skip(if: $no)} fragment F on X {d}", m{"no": false}, 1, "c", 2},
		"a bomb counts to the bound":    {bomb(), nil, 61, strings.Repeat("f.", 60) + "x", maxMeasure},
		"a bound beyond all":            {"{a(first: 2147483648) {b c}}", nil, 2, "a.b", maxMeasure},
		"lists that nobody can hold":    {"{a(first: 1000000) {b(first: 1000000) {c(first: 1000000) {d}}}}", nil, 4, "a.b.c.d", maxMeasure},
		"a negative bound counts as 1":  {"{a(first: -5) {b}}", nil, 2, "a.b", 2},
		"introspection counts like all": {"{__schema {types {name}}}", nil, 3, "__schema.types.name", 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := readOperation(t, test.query, test.variables)
			got, err := o.measure()
			if err != nil {
				t.Fatal(err)
			}
			if deepest := strings.Join(got.deepest, "."); got.depth != test.depth || deepest != test.deepest || got.complexity != test.complexity {
				t.Errorf("got depth %d (%s) and complexity %d, want %d (%s) and %d", got.depth, deepest, got.complexity, test.depth, test.deepest, test.complexity)
			}
		})
	}
}

// bomb is a short query of 2^60 fields.
func bomb() string {
	var b strings.Builder
	b.WriteString("{...F01}")
	for i := 1; i <= 60; i++ {
		next := "x"
		if i < 60 {
			next = "...F" + itoa(i+1)
		}
		b.WriteString(" fragment F" + itoa(i) + " on X {f {" + next + "} g: f {" + next + "}}")
	}
	return b.String()
}

func itoa(n int) string { return string(rune('0'+n/10)) + string(rune('0'+n%10)) }

func readOperation(t *testing.T, query string, variables m) *operation {
	t.Helper()
	in := request{Query: query}
	var err error
	if in.Variables, err = rawMap(t, variables); err != nil {
		t.Fatal(err)
	}
	o, err := in.read(nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAQueryOverItsBoundsFailsAndIsNotSent(t *testing.T) {
	r := newRun(t)
	url := "http://" + nobody(t)
	const query = "{products(first: 20) {edges {node {supplier {name}}}}}"
	for name, test := range map[string]struct {
		bound   m
		message string
	}{
		"depth":      {m{"max_depth": 4}, "the query is 5 fields deep, and max_depth allows 4"},
		"complexity": {m{"max_complexity": 80}, "the complexity of the query is 81, and max_complexity allows 80"},
	} {
		test.bound["url"], test.bound["query"] = url, query
		got := r.fault("query", test.bound)
		if got.Message != test.message || !got.Failed || got.Code != codeAssert {
			t.Errorf("%s: got %s %s (failed %v), want %s", name, got.Code, got.Message, got.Failed, test.message)
		}
		if diff := cmp.Diff([]string{"deepest: products.edges.node.supplier.name", "depth: 5", "complexity: 81"}, got.Details); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := r.fault("query", m{"url": url, "query": query, "max_depth": 5, "max_complexity": 81}); got.Code != plugin.CodeConn {
		t.Errorf("a query within its bounds is not sent: %+v", got)
	}
}

func TestAFragmentThatCannotBeMeasuredIsAMistake(t *testing.T) {
	for query, want := range map[string]string{
		"{...A} fragment A on X {a ...B} fragment B on X {...A}": "1:53: the fragment A spreads itself",
		"{...A}": "1:5: there is no fragment A",
	} {
		got := newRun(t).fault("query", m{"url": "http://" + nobody(t), "query": query, "max_depth": 5})
		if got.Message != want || got.Blame != plugin.BlameDefinition {
			t.Errorf("%s: got %s, want %s", query, got.Message, want)
		}
	}
}
