package assert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/match"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// result is a scope over the keys of a result, as a step's assertions see it.
type result map[string]any

func (r result) Lookup(name string) (any, bool, error) {
	if name == "result" || name == "response" {
		return map[string]any(r), true, nil
	}
	v, ok := r[name]
	return v, ok, nil
}

func (r result) Result() any { return map[string]any(r) }

func (r result) Body() (any, bool) { return r["body"], true }

const answer = `{"status": 201, "body": {"id": "ord_1", "total": 58.90, "items": [{"qty": 1}], "note": null}, "text": "hello"}`

func environment(t testing.TB) *expr.Env {
	t.Helper()
	v, err := value.Decode([]byte(answer))
	if err != nil {
		t.Fatal(err)
	}
	m := v.(map[string]any)
	return &expr.Env{Scope: result(m), Answer: result(m)}
}

func options() Options {
	return Options{Dir: "flows", FS: fstest.MapFS{
		"schemas/order.json": {Data: []byte(`{"type": "object", "required": ["id"], "properties": {"total": {"type": "string"}}}`)},
		"schemas/ok.yaml":    {Data: []byte("type: object\nproperties:\n  id: {$ref: id.json}\n")},
		"schemas/id.json":    {Data: []byte(`{"type": "string"}`)},
		"schemas/wrong.json": {Data: []byte(`{"type": "strnig"}`)},
		"schemas/broken":     {Data: []byte("\x00{")},
	}}
}

func parse(t testing.TB, yaml string) *source.Node {
	t.Helper()
	docs, problems := source.Load("flow.yaml", []byte(yaml))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return docs[0]
}

func compile(t testing.TB, yaml string) *Assertion {
	t.Helper()
	a, problems := Compile(parse(t, yaml), options())
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestClaims(t *testing.T) {
	const passed, failed, errored = "passed", "failed", "errored"
	tests := []struct{ claim, yaml, want, message string }{
		{"an expression that is true", `status == 201`, passed, ""},
		{"a comparison says both sides", `status == 200`, failed, "expected 200 (number), got 201 (number)"},
		{"the literal may stand left", `200 == status`, failed, "expected 200 (number), got 201 (number)"},
		{"a number keeps the digits of the author", `body.total == 59.80`, failed, "expected 59.80 (number), got 58.9 (number)"},
		{"an order says the operator", `body.total > 100`, failed, "expected > 100 (number), got 58.9 (number)"},
		{"inequality", `status != 201`, failed, "expected anything but 201 (number)"},
		{"structures differ by path", `'body.items == [{"qty": 2}]'`, failed, "1 place differs"},
		{"a missing path fails with its neighbour", `body.totl == 1`, failed, "total"},
		{"a missing path is absent", `body.totl not exists`, passed, ""},
		{"null exists", `body.note exists`, passed, ""},
		{"a value of the wrong kind fails", `text > 5`, failed, ""},
		{"a value that is no truth fails", `body.id`, failed, `gives "ord_1" (string), not true or false`},
		{"a message goes first", `{expression: status == 200, message: "want ${200 + 0}"}`, failed, "want 200: expected 200"},
		{"status_code", `{status_code: 201}`, passed, ""},
		{"status_code that differs", `{status_code: 404}`, failed, "expected 404 (number), got 201 (number)"},
		{"json_path exists", `{json_path: "$.body.id exists"}`, passed, ""},
		{"json_path below the body", `{json_path: "$.id == 'ord_1'"}`, passed, ""},
		{"json_path alone asks for existence", `{json_path: $.body.items}`, passed, ""},
		{"json_path that finds nothing", `{json_path: $.body.nope}`, failed, "nope"},
		{"json_path compared where nothing is", `{json_path: "$.body.nope > 1"}`, failed, "nope"},
		{"json_path with blanks inside", `{json_path: "$.body['id'] == 'ord_1'"}`, passed, ""},
		{"inline schema", `{body matches_schema: {type: object, required: [id]}}`, passed, ""},
		{"inline schema that does not fit", `{response.body matches_schema: {properties: {total: {type: string}}}}`, failed, "$.total"},
		{"schema as two keys", `{response: body, matches_schema: {type: array}}`, failed, "$"},
		{"schema file", `{response.body matches_schema_file: ../schemas/order.json}`, failed, "$.total"},
		{"schema file in YAML with a reference", `{body matches_schema_file: ../schemas/ok.yaml}`, passed, ""},
		{"schema of what is missing", `{body.nope matches_schema: {type: object}}`, failed, "nope"},
	}
	for _, tt := range tests {
		t.Run(tt.claim, func(t *testing.T) {
			claim := compile(t, tt.yaml)
			got := claim.Check(environment(t))
			status := failed
			if got.Passed {
				status = passed
				if diff := cmp.Diff(claim.Held(), got); diff != "" {
					t.Errorf("it says more than that it holds (-want +got):\n%s", diff)
				}
			} else if got.Errored {
				status = errored
			}
			if status != tt.want || !strings.Contains(got.Message, tt.message) {
				t.Errorf("got %s %q, want %s with %q", status, got.Message, tt.want, tt.message)
			}
			if !got.Passed && got.Message == "" {
				t.Error("a claim that did not pass says nothing")
			}
		})
	}
}

func TestAFailedClaimPointsAtWhatIsToBlame(t *testing.T) {
	got := compile(t, "\n\n   body.total == 59.80").Check(environment(t))
	if got.Line != 3 || got.Column != 18 || got.Width != 5 {
		t.Errorf("got %d:%d+%d, want 3:18+5", got.Line, got.Column, got.Width)
	}
}

func TestAFailedClaimShowsOperandsAndDifferences(t *testing.T) {
	got := compile(t, `'body.items == [{"qty": 2}] and status == 201'`).Check(environment(t))
	texts := map[string]bool{}
	for _, o := range got.Operands {
		texts[o.Text] = true
	}
	if !texts["body.items"] {
		t.Errorf("operands %v do not hold body.items", got.Operands)
	}
	got = compile(t, `'body.items == [{"qty": 2}]'`).Check(environment(t))
	want := []event.Change{{Path: "$[0].qty", Expected: int64(2), Actual: int64(1)}}
	if diff := cmp.Diff(want, got.Diff); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

func TestReadingACutBodyIsErroredNeverJudged(t *testing.T) {
	env := environment(t)
	env.Cut, env.CutKey = "the body was cut at 10 bytes", "body"
	for _, yaml := range []string{`body.id == "ord_1"`, `body.id != "x"`, `{json_path: $.body.id}`, `{body matches_schema: {type: object}}`} {
		if got := compile(t, yaml).Check(env); got.Passed || !got.Errored {
			t.Errorf("%s: got %+v, want it errored", yaml, got)
		}
	}
	if got := compile(t, `status == 201`).Check(env); !got.Passed {
		t.Errorf("a claim that does not read the body was %+v", got)
	}
	p, problems := match.Compile(parse(t, `{body: {id: other}}`), expr.Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if got := CheckMatch(p, source.Pos{}, env); got.Passed || !got.Errored {
		t.Errorf("match over a cut body: got %+v, want it errored", got)
	}
}

func TestMatchIsOneClaimWithItsDifferences(t *testing.T) {
	p, problems := match.Compile(parse(t, `{status: 200, body: {id: "#uuid", total: "#number"}}`), expr.Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	got := CheckMatch(p, source.Pos{File: "flow.yaml", Line: 4, Column: 3}, environment(t))
	var paths []string
	for _, c := range got.Diff {
		paths = append(paths, c.Path)
	}
	if diff := cmp.Diff([]string{"$.status", "$.body.id"}, paths); diff != "" || got.Passed || !strings.Contains(got.Message, "and 1 more") {
		t.Errorf("got %q with\n%s", got.Message, diff)
	}
}

func TestExpectationIsImplicit(t *testing.T) {
	a, err := Expectation("status < 200", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Check(environment(t)); !got.Implicit || got.Passed || got.Expression != "status < 200" {
		t.Errorf("got %+v, want an implicit claim that failed", got)
	}
	if _, err := Expectation("status <", Options{}); err == nil {
		t.Error("an expectation that does not compile was accepted")
	}
}

func TestClaimsThatAreWrong(t *testing.T) {
	tests := []struct {
		claim, yaml string
		code        source.Code
		want        string
	}{
		{"a number", `5`, source.CodeExpr, "an assertion is an expression"},
		{"a key that is no claim", `{status: 201}`, source.CodeExpr, `did you mean "status == 201"?`},
		{"a colon in an expression", `body.name == "a" ? b: c`, source.CodeExpr, "put the whole in quotes"},
		{"a map that is no claim", `{body: {id: 1}}`, source.CodeExpr, "not a kind of assertion"},
		{"two claims in one", `{expression: a, status_code: 1}`, source.CodeExpr, "one claim"},
		{"a claim of another kind", `"1 + 1"`, source.CodeType, "gives a number"},
		{"status_code as text", `{status_code: "201"}`, source.CodeExpr, "takes a number"},
		{"json_path that is none", `{json_path: "body.id"}`, source.CodeExpr, "does not begin with a JSONPath"},
		{"a syntax error", `"status =="`, source.CodeExpr, ""},
		{"a schema that is wrong", `{body matches_schema: {type: strnig}}`, source.CodeSchema, "the schema is wrong"},
		{"a schema file that is wrong", `{body matches_schema_file: ../schemas/wrong.json}`, source.CodeSchema, "wrong.json"},
		{"a schema file that is not there", `{body matches_schema_file: ../schemas/none.json}`, source.CodeFile, "there is no file"},
		{"a schema file outside", `{body matches_schema_file: ../../etc/passwd}`, source.CodeFile, "out of the project"},
		{"a schema file that is binary", `{body matches_schema_file: ../schemas/broken}`, source.CodeSchema, "broken"},
		{"a schema file without a name", `{body matches_schema_file: }`, source.CodeFile, ""},
		{"an XML schema without its plugin", `{body matches_xml_schema_file: a.xsd}`, source.CodePlugin, "plugin xml"},
	}
	for _, tt := range tests {
		t.Run(tt.claim, func(t *testing.T) {
			_, problems := Compile(parse(t, tt.yaml), options())
			bad := problems.Errors()
			if len(bad) == 0 || !strings.Contains(bad.Error(), tt.want) {
				t.Fatalf("got %v, want a problem with %q", problems, tt.want)
			}
			if tt.want != "" && bad[0].Code != tt.code {
				t.Errorf("got code %s, want %s", bad[0].Code, tt.code)
			}
		})
	}
}

func TestAConstantClaimAndAMisspeltKeywordAreNoted(t *testing.T) {
	for _, yaml := range []string{`true`, `{body matches_schema: {requried: [id]}}`} {
		_, problems := Compile(parse(t, yaml), options())
		if len(problems) != 1 || problems[0].Severity != source.Note {
			t.Errorf("%s: got %v, want one note", yaml, problems)
		}
	}
}

func TestRefsOfEveryForm(t *testing.T) {
	for _, yaml := range []string{
		`order.id == 1`, `{expression: order.id == 1, message: "x"}`, `{expression: "true", message: "${order.id}"}`,
		`{json_path: "$.id == order.id"}`, `{order.id matches_schema: {type: string}}`,
	} {
		found := false
		for _, r := range compile(t, yaml).Refs() {
			found = found || r.Name == "order"
		}
		if !found {
			t.Errorf("%s: the name order is not among what it reads", yaml)
		}
	}
}

func TestEverySchemaFileIsReported(t *testing.T) {
	var opened []string
	o := options()
	o.Opened = func(path string) { opened = append(opened, path) }
	if _, problems := Compile(parse(t, `{body matches_schema_file: ../schemas/ok.yaml}`), o); problems.Err() != nil {
		t.Fatal(problems)
	}
	if diff := cmp.Diff([]string{"schemas/ok.yaml", "schemas/id.json"}, opened); diff != "" {
		t.Errorf("files read (-want +got):\n%s", diff)
	}
}

func TestALinkThatLeadsOutOfTheProjectIsSaid(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	_, problems := Compile(parse(t, `{body matches_schema_file: link.json}`), Options{FS: root.FS(), Dir: "."})
	if err := problems.Err(); err == nil || !strings.Contains(err.Error(), "leads out of the project") {
		t.Errorf("got %v", err)
	}
}
