package assert

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
)

// withXML are options of a project where the plugin xml is installed.
func withXML() Options {
	o := Options{Dir: "flows", FS: fstest.MapFS{
		"schemas/order.xsd": {Data: []byte("not read here")},
		"schemas/big.xsd":   {Data: make([]byte, MaxSchemaBytes+1)},
	}}
	o.Expr.Function = func(name string) bool { return name == "xml.schema_errors" }
	return o
}

func TestADocumentIsJudgedByThePlugin(t *testing.T) {
	tests := map[string]struct {
		yaml string
		gave any // what the plugin gave
		err  error
		want string
	}{
		"a valid document":               {`{text matches_xml_schema_file: ../schemas/order.xsd}`, []any{}, nil, "passed"},
		"in the dialect's form":          {`{response: text, matches_xml_schema_file: ../schemas/order.xsd}`, []any{}, nil, "passed"},
		"one error":                      {`{text matches_xml_schema_file: ../schemas/order.xsd}`, []any{"line 3: wrong"}, nil, "failed: does not fit ../schemas/order.xsd: line 3: wrong"},
		"five errors":                    {`{text matches_xml_schema_file: ../schemas/order.xsd}`, []any{"a", "b", "c", "d", "e"}, nil, "failed: does not fit ../schemas/order.xsd: a; b; c (and 2 more)"},
		"with words of the author's own": {`{text matches_xml_schema_file: ../schemas/order.xsd, message: the order}`, []any{"a"}, nil, "failed: the order: does not fit ../schemas/order.xsd: a"},
		"an answer that is no text":      {`{body matches_xml_schema_file: ../schemas/order.xsd}`, nil, nil, "failed: expected an XML document as text, got "},
		"a path that is missing":         {`{txt matches_xml_schema_file: ../schemas/order.xsd}`, nil, nil, "failed: txt is missing"},
		"a wrong argument":               {`{text matches_xml_schema_file: ../schemas/order.xsd}`, nil, &expr.ValueError{Message: "no"}, "failed: no"},
		"a plugin that crashed":          {`{text matches_xml_schema_file: ../schemas/order.xsd}`, nil, errors.New("it is gone"), "errored: it is gone"},
		"a plugin that gives no list":    {`{text matches_xml_schema_file: ../schemas/order.xsd}`, true, nil, "errored: xml.schema_errors gave true"},
		"a plugin that gives no texts":   {`{text matches_xml_schema_file: ../schemas/order.xsd}`, []any{1}, nil, "errored: xml.schema_errors gave 1"},
		"a plugin that says nothing":     {`{text matches_xml_schema_file: ../schemas/order.xsd}`, nil, nil, "errored: xml.schema_errors gave null"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, problems := Compile(parse(t, test.yaml), withXML())
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			env := environment(t)
			asked := ""
			env.Call = func(dir, name string, args []any) (any, error) {
				asked = fmt.Sprint(dir, " ", name, " ", args)
				return test.gave, test.err
			}
			got := a.Check(env)
			if outcome := outcomeOf(got); !strings.HasPrefix(outcome, test.want) {
				t.Errorf("got %s, want %s", outcome, test.want)
			}
			if want := "flows xml.schema_errors [hello ../schemas/order.xsd]"; asked != "" && asked != want {
				t.Errorf("asked for %s, want %s", asked, want)
			}
			if test.err != nil && !errors.Is(env.CallError, test.err) {
				t.Errorf("got call error %v, want %v", env.CallError, test.err)
			}
		})
	}
}

func outcomeOf(a event.Assertion) string {
	switch {
	case a.Passed:
		return "passed"
	case a.Errored:
		return "errored: " + a.Message
	}
	return "failed: " + a.Message
}

func TestWithoutCallsNothingIsJudged(t *testing.T) {
	a, problems := Compile(parse(t, `{text matches_xml_schema_file: ../schemas/order.xsd}`), withXML())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := outcomeOf(a.Check(environment(t))); !strings.HasPrefix(got, "errored: ") {
		t.Errorf("got %s, want errored", got)
	}
}

func TestWhatAnXMLSchemaReads(t *testing.T) {
	o := withXML()
	var opened []string
	o.Opened = func(name string) { opened = append(opened, name) }
	a, problems := Compile(parse(t, `{text matches_xml_schema_file: ../schemas/order.xsd}`), o)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if diff := cmp.Diff([]string{"schemas/order.xsd"}, opened); diff != "" {
		t.Errorf("opened (-want +got):\n%s", diff)
	}
	var names []string
	for _, r := range a.Refs() {
		names = append(names, fmt.Sprint(r.Name, " ", r.Called))
	}
	if diff := cmp.Diff([]string{"text false", "xml.schema_errors true"}, names); diff != "" {
		t.Errorf("refs (-want +got):\n%s", diff)
	}
	if a.Claim() != nil {
		t.Error("the document alone is no claim that could hold")
	}
}

func TestXMLSchemasThatCannotBeUsed(t *testing.T) {
	tests := map[string]struct {
		yaml string
		code source.Code
		want string
	}{
		"not there":           {`{text matches_xml_schema_file: none.xsd}`, source.CodeFile, `there is no file "flows/none.xsd"`},
		"outside":             {`{text matches_xml_schema_file: ../../order.xsd}`, source.CodeFile, "leads out of the project"},
		"no path":             {`{text matches_xml_schema_file: {type: object}}`, source.CodeExpr, "takes the path of a file"},
		"over the limit":      {`{text matches_xml_schema_file: ../schemas/big.xsd}`, source.CodeFile, "is over 4 MiB"},
		"of no expression":    {`{text == matches_xml_schema_file: ../schemas/order.xsd}`, source.CodeExpr, ""},
		"a folder is no file": {`{text matches_xml_schema_file: ../schemas}`, source.CodeFile, "is a folder"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, problems := Compile(parse(t, test.yaml), withXML())
			bad := problems.Errors()
			if len(bad) != 1 || bad[0].Code != test.code || !strings.Contains(bad[0].Message, test.want) {
				t.Errorf("got %v, want %s with %q", problems, test.code, test.want)
			}
		})
	}
}

func TestWithoutThePluginItMayBeNoted(t *testing.T) {
	o := options()
	o.MissingPlugins = true
	a, problems := Compile(parse(t, `{body matches_xml_schema_file: a.xsd}`), o)
	if a != nil || len(problems) != 1 || problems[0].Severity != source.Note || problems[0].Code != source.CodePlugin {
		t.Errorf("got %v and %v, want one note and no claim", a, problems)
	}
	if !strings.Contains(problems[0].Hint, "testmesh plugin install xml") {
		t.Errorf("the hint does not say what to do: %s", problems[0].Hint)
	}
}
