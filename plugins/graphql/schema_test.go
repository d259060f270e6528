package graphql

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// TestAnIntrospectionGivesTheSchemaBack holds what the server says of its schema
// to the text that it is made of.
func TestAnIntrospectionGivesTheSchemaBack(t *testing.T) {
	r := newRun(t)
	got := r.must("introspect", m{"url": shop(t) + "/graphql"})
	sdl := got["sdl"].(string)
	if r.heard.artifacts["introspect.graphql"] != sdl {
		t.Errorf("the artifacts are %v", r.heard.artifacts)
	}
	source, err := os.ReadFile("../../examples/demo/graphql_schema.graphql")
	if err != nil {
		t.Fatal(err)
	}
	want, err := parseSchema(source)
	if err != nil {
		t.Fatal(err)
	}
	back, err := parseSchema([]byte(sdl))
	if err != nil {
		t.Fatalf("%v in\n%s", err, sdl)
	}
	if diff := cmp.Diff(outline(want), outline(back)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if text(t, got["fields"]) != fmt.Sprint(len(want.fields)) || text(t, got["types"]) != fmt.Sprint(ownTypes(want)) {
		t.Errorf("got %v fields of %v types, want %d of %d", got["fields"], got["types"], len(want.fields), ownTypes(want))
	}
}

func ownTypes(s *schema) int {
	n := 0
	for _, d := range s.Types {
		if !d.BuiltIn {
			n++
		}
	}
	return n
}

// outline is a schema as lines that can be compared.
func outline(s *schema) map[string]string {
	out := map[string]string{}
	for name, d := range s.Types {
		if d.BuiltIn {
			continue
		}
		out[name] = fmt.Sprint(d.Kind, " ", d.Description, " ", d.Interfaces, " ", d.Types)
		for _, f := range d.Fields {
			line := fmt.Sprintf("%s %q default %v", f.Type, f.Description, f.DefaultValue)
			for _, a := range f.Arguments {
				line += fmt.Sprintf(" (%s: %s = %v %q)", a.Name, a.Type, a.DefaultValue, a.Description)
			}
			if why := f.Directives.ForName("deprecated"); why != nil {
				line += " deprecated " + why.Arguments.ForName("reason").Value.Raw
			}
			out[name+"."+f.Name] = line
		}
		for _, v := range d.EnumValues {
			out[name+"."+v.Name] = v.Description
		}
	}
	return out
}

func TestDescriptionsOfAnySortComeBack(t *testing.T) {
	for _, words := range []string{"plain", `with "quotes"`, `with \ and """three"""`, "two\nlines", "a\n\n  deeper\n\nend", " space before", "space after ", "a\rb", "\ttab", "ends with \\", `"`, "äöü ☕", "ends with a quote\n\""} {
		d := description{QueryType: &typeRef{Name: "Query"}, Types: []describedType{{
			Kind: "OBJECT", Name: "Query", Description: words, Fields: []describedMember{{
				Name: "a", Description: words, Type: &typeRef{Kind: "SCALAR", Name: "Int"}, IsDeprecated: true, DeprecationReason: &words,
				Args: []describedMember{{Name: "b", Description: words, Type: &typeRef{Kind: "SCALAR", Name: "Int"}, DefaultValue: new("1")}},
			}},
		}}}
		s, err := parseSchema([]byte(d.sdl()))
		if err != nil {
			t.Errorf("%q: %v in\n%s", words, err, d.sdl())
			continue
		}
		field := s.Query.Fields[0]
		for what, got := range map[string]string{
			"type": s.Query.Description, "field": field.Description, "argument": field.Arguments[0].Description,
			"reason": field.Directives.ForName("deprecated").Arguments.ForName("reason").Value.Raw,
		} {
			if got != words {
				t.Errorf("the %s: got %q, want %q", what, got, words)
			}
		}
	}
}

func TestASchemaIsReadFromTheJSONOfAnIntrospection(t *testing.T) {
	url := shop(t) + "/graphql"
	answer := newRun(t).raw("query", m{"url": url, "query": introspectionQuery})
	whole, err := json.Marshal(m{"data": answer["data"]})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for name, content := range map[string][]byte{"answer.json": whole, "data.json": append([]byte("\n "), answer["data"]...)} {
		if err := os.WriteFile(filepath.Join(root, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRun(t)
		r.req.Root = root
		if got := r.fault("query", m{"url": url, "schema": name, "query": "{produkt(id: 1) {id}}"}); !strings.Contains(got.Message, `Did you mean "product" or "products"?`) {
			t.Errorf("%s: got %s", name, got.Message)
		}
	}
}

func TestFilesThatAreNoSchema(t *testing.T) {
	tests := map[string]struct{ content, words string }{
		"a mistake":                   {"type Query {\n  a: Strin\n}", `schema.x:2:6: Undefined type Strin`},
		"no grammar":                  {"type Query {\n", `schema.x:2:1: Expected Name, found <EOF>`},
		"a query":                     {"{a}", "read the introspection: invalid character 'a'"},
		"JSON of another kind":        {`{"data":{"a":1}}`, "the JSON has no __schema with a queryType"},
		"an introspection without it": {`{"__schema":{"types":[]}}`, "the JSON has no __schema with a queryType"},
		"an introspection with holes": {`{"__schema":{"queryType":{"name":"Query"},"types":[{"kind":"OBJECT","name":"Query","fields":[{"name":"a"}]}]}}`, "schema.x:"},
		"nothing":                     {"", "schema.x: it has no type for queries"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.WriteFile(filepath.Join(root, "schema.x"), []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			r := newRun(t)
			r.req.Root = root
			config := m{"url": "http://" + nobody(t), "schema": "schema.x", "query": "{a}"}
			for range 2 { // what is wrong is not kept
				if got := r.fault("query", config); got.Field != "schema" || !strings.Contains(got.Message, test.words) || got.Blame != plugin.BlameDefinition {
					t.Errorf("got %s: %s, want %s", got.Field, got.Message, test.words)
				}
			}
		})
	}
}

func TestAFileThatIsTooLarge(t *testing.T) {
	root := t.TempDir()
	f, err := os.Create(filepath.Join(root, "huge.graphql"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r := newRun(t)
	r.req.Root = root
	if got := r.fault("query", m{"url": "http://" + nobody(t), "schema": "huge.graphql", "query": "{a}"}); got.Message != "huge.graphql is over 32 MiB" {
		t.Errorf("got %s", got.Message)
	}
}

func TestAFileIsReadAgainOnlyWhereItChanged(t *testing.T) {
	root := t.TempDir()
	name := filepath.Join(root, "s.graphql")
	write := func(sdl string, at time.Time) {
		if err := os.WriteFile(name, []byte(sdl), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	write("type Query {a: Int}", now)
	url := answers(t, says(200, "application/json", `{"data":{"a":1}}`))
	r := newRun(t)
	r.req.Root = root
	config := m{"url": url, "schema": "s.graphql", "query": "{a}"}
	r.must("query", config)
	write("type Query {b: Int}", now) // unnoticed: as large and as old
	r.must("query", config)
	write("type Query {b: Int}", now.Add(time.Second))
	if got := r.fault("query", config); !strings.Contains(got.Message, `Cannot query field "a"`) {
		t.Errorf("got %s", got.Message)
	}
}

func TestTheProcessKeepsTheSchemasUsedLast(t *testing.T) {
	var all schemas
	var reads atomic.Int64
	get := func(n int) {
		_, err := all.get(fileID{name: fmt.Sprint(n)}, func() (*schema, error) {
			reads.Add(1)
			return &schema{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range maxSchemas {
		get(n)
	}
	get(0)
	get(maxSchemas) // 1 makes room
	get(0)
	if got := reads.Load(); got != maxSchemas+1 || len(all.byID) != maxSchemas {
		t.Errorf("got %d reads and %d kept, want %d and %d", got, len(all.byID), maxSchemas+1, maxSchemas)
	}
	get(1)
	if got := reads.Load(); got != maxSchemas+2 {
		t.Errorf("got %d reads, want the oldest to be read again", got)
	}
}

func TestTheServerIsAskedForItsSchemaOnceARun(t *testing.T) {
	var introspections atomic.Int64
	shop := shop(t)
	url := answers(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "Introspection") {
			t.Error("the introspection came by GET")
		}
		body := make([]byte, 64<<10)
		n, _ := r.Body.Read(body)
		if strings.Contains(string(body[:n]), "__schema") {
			introspections.Add(1)
		}
		res, err := http.Post(shop+"/graphql", "application/json", strings.NewReader(string(body[:n])))
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		var answer json.RawMessage
		_ = json.NewDecoder(res.Body).Decode(&answer)
		says(200, "application/json", string(answer))(w, r)
	})
	r := newRun(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, _, err := r.doAs(t.Context(), "q", "query", m{"url": url, "introspect": true, "query": "{__typename}"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := introspections.Load(); got != 1 {
		t.Errorf("got %d introspections, want 1", got)
	}
}

func TestIntrospectionThatIsOff(t *testing.T) {
	url := shop(t) + "/graphql/closed"
	got := newRun(t).must("introspect", m{"url": url})
	if got["sdl"] != nil || got["types"] != nil || !strings.Contains(text(t, got["errors"]), "INTROSPECTION_DISABLED") || !strings.Contains(got["body_error"].(string), "give the schema as a file") {
		t.Errorf("got %v", got)
	}
	fault := newRun(t).fault("query", m{"url": url, "introspect": true, "query": "{__typename}"})
	if fault.Code != plugin.CodeReply || !strings.Contains(fault.Message, "introspection is switched off here") || !strings.Contains(fault.Hint, "give the schema as a file") {
		t.Errorf("got %+v", fault)
	}
	page := answers(t, says(404, "text/html", "no"))
	fault = newRun(t).fault("query", m{"url": page, "introspect": true, "query": "{__typename}"})
	if fault.Code != plugin.CodeProtocol || !strings.Contains(fault.Message, "404 Not Found of the type text/html") {
		t.Errorf("got %+v", fault)
	}
	odd := answers(t, says(200, "application/json", `{"data":{"__schema":null}}`))
	fault = newRun(t).fault("introspect", m{"url": odd})
	if fault.Code != plugin.CodeProtocol || !strings.Contains(fault.Message, "without a schema") {
		t.Errorf("got %+v", fault)
	}
}

func TestASchemaThatCannotCheckQueriesIsGivenAllTheSame(t *testing.T) {
	odd := answers(t, says(200, "application/json", `{"data":{"__schema":{"queryType":{"name":"Query"},"types":[{"kind":"OBJECT","name":"Query","fields":[{"name":"a","type":{"kind":"OBJECT","name":"Gone"}}]}]}}}`))
	r := newRun(t)
	got := r.must("introspect", m{"url": odd})
	if !strings.Contains(got["sdl"].(string), "a: Gone") || got["fields"] != nil || len(r.heard.logs) != 1 || !strings.Contains(r.heard.logs[0], "cannot be checked") {
		t.Errorf("got %v, logs %q", got, r.heard.logs)
	}
	if fault := newRun(t).fault("query", m{"url": odd, "introspect": true, "query": "{a}"}); fault.Code != plugin.CodeProtocol || !strings.Contains(fault.Message, "cannot be used") {
		t.Errorf("got %+v", fault)
	}
}

func TestFieldsThatAQueryCanReach(t *testing.T) {
	s, err := parseSchema([]byte(`
		type Query {a: A, i: I, u: U}
		type A {x: Int, again: A}
		interface I {y: Int}
		type B implements I {y: Int, z: Int}
		type C {c: Int}
		union U = C
		type Lost {l: Int}
		input In {f: Int}
		type Mutation {m(in: In): [Int!]!}
	`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"A.again", "A.x", "B.y", "B.z", "C.c", "I.y", "Mutation.m", "Query.a", "Query.i", "Query.u"}
	if diff := cmp.Diff(want, s.fields); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTheSchemaOfTheExamplesIsTheShops keeps the file that flows name in step
// with the application.
func TestTheSchemaOfTheExamplesIsTheShops(t *testing.T) {
	want, err := os.ReadFile("../../examples/demo/graphql_schema.graphql")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("../../examples/flows/schemas/shop.graphql"); err != nil || string(got) != string(want) {
		t.Errorf("copy examples/demo/graphql_schema.graphql to examples/flows/schemas/shop.graphql (%v)", err)
	}
}
