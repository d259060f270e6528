//go:build libxml2 && cgo

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const orderSchema = `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:element name="order">
    <xs:complexType>
      <xs:sequence>
        <xs:element name="id" type="xs:int"/>
        <xs:element name="note" type="xs:string" minOccurs="0" maxOccurs="unbounded"/>
      </xs:sequence>
    </xs:complexType>
  </xs:element>
</xs:schema>`

// tree writes files below a new folder, which is given back.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// validate runs xml.validate.
func validate(ctx context.Context, x *xsd, root, dir string, c map[string]any) (*result, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	res, err := x.Execute(ctx, &plugin.Request{Action: "xml.validate", Config: text, Root: root, Dir: dir}, nil)
	if err != nil {
		return nil, err
	}
	out := &result{}
	return out, json.Unmarshal(res.Result, out)
}

// shown is a result or a fault in one text.
func shown(r *result, err error) string {
	var fault *plugin.Error
	switch {
	case errors.As(err, &fault):
		return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", fault.Code, fault.Blame, fault.Field, fault.Message) + "\n" + strings.Join(fault.Details, "\n"))
	case err != nil:
		return "error " + err.Error()
	case r.Valid != (len(r.Errors) == 0) || r.Count < len(r.Errors):
		return fmt.Sprintf("a result that contradicts itself: %+v", r)
	case r.Valid:
		return "valid"
	}
	return "invalid " + r.Errors[0].String()
}

func TestDocuments(t *testing.T) {
	root := tree(t, map[string]string{
		"order.xsd":   orderSchema,
		"latin.xml":   "<?xml version='1.0' encoding='ISO-8859-1'?>\n<order><id>1</id><note>\xE9</note></order>",
		"utf16.xml":   utf16Text("<?xml version=\"1.0\" encoding=\"UTF-16\"?>\n<order><id>1</id><note>é</note></order>", true),
		"bare16.xml":  utf16Text("<order><id>x</id></order>", false),
		"bytes.xml":   "<order><id>1</id><note>\xE9</note></order>",
		"martian.xml": "<?xml version='1.0' encoding='x-martian'?>\n<order/>",
		"bom.xml":     "\xEF\xBB\xBF<order><id>1</id></order>",
	})
	x := newPlugin("1.2.3")
	tests := map[string]struct {
		config map[string]any
		want   string
	}{
		"a valid document":              {map[string]any{"document": "<order><id>1</id></order>"}, "valid"},
		"a wrong value, with its line":  {map[string]any{"document": "<order>\n\n<id>x</id></order>"}, "invalid line 3: Element 'id': 'x' is not a valid value of the atomic type 'xs:int'"},
		"a line far down":               {map[string]any{"document": "<order>" + strings.Repeat("\n", 70000) + "<id>x</id></order>"}, "invalid line 70001: Element 'id'"},
		"another root":                  {map[string]any{"document": "<cart/>"}, "invalid line 1: Element 'cart': No matching global declaration available for the validation root"},
		"not well-formed":               {map[string]any{"document": "<order>\n<id>1</order>"}, "invalid line 2: Opening and ending tag mismatch: id line 2 and order"},
		"an undeclared prefix":          {map[string]any{"document": "<a:order/>"}, "invalid line 1: Namespace prefix a on order is not defined"},
		"nothing at all":                {map[string]any{"document": ""}, "invalid line 1: Document is empty"},
		"no XML":                        {map[string]any{"document": "{}"}, "invalid line 1: Start tag expected, '<' not found"},
		"a text that says it was UTF-7": {map[string]any{"document": `<?xml version="1.0" encoding="utf-7"?><order><id>1</id></order>`}, "valid"},
		"a file in Latin-1":             {map[string]any{"file": "latin.xml"}, "valid"},
		"a file in UTF-16":              {map[string]any{"file": "utf16.xml"}, "valid"},
		"UTF-16 without a mark":         {map[string]any{"file": "bare16.xml"}, "invalid line 1: Element 'id'"},
		"a file with a mark":            {map[string]any{"file": "bom.xml"}, "valid"},
		"bytes of no encoding":          {map[string]any{"file": "bytes.xml"}, "E-BODY system  bytes.xml: it is no UTF-8"},
		"an encoding nobody knows":      {map[string]any{"file": "martian.xml"}, `E-BODY system  martian.xml: its encoding "x-martian" is not known`},
		"a missing document":            {map[string]any{"file": "none.xml"}, "E-CONFIG definition file there is no file none.xml"},
		"a document outside":            {map[string]any{"file": "../x.xml"}, "E-CONFIG definition file "},
		"neither of both":               {map[string]any{}, "E-CONFIG definition document document or file is missing"},
		"both":                          {map[string]any{"document": "", "file": ""}, "E-CONFIG definition file document and file exclude each other"},
		"a number for a text":           {map[string]any{"document": 1}, "E-CONFIG definition document document takes a text"},
		"a key that there is not":       {map[string]any{"documnet": "<a/>"}, "E-CONFIG definition documnet there is no key documnet"},
		"a document type":               {map[string]any{"document": "<!-- x --><?p?> <!DOCTYPE order><order/>"}, "E-BODY system  the document is not judged: it has a document type"},
		"nested past libxml2's bound":   {map[string]any{"document": strings.Repeat("<a>", 300) + strings.Repeat("</a>", 300)}, "E-BODY system  the document is past a bound of libxml2: "},
		"over the limit":                {map[string]any{"document": strings.Repeat(" ", maxDocumentBytes+1)}, "E-BODY system  the document is over 16 MiB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.config["schema_file"] = "order.xsd"
			if got := shown(validate(t.Context(), x, root, "", test.config)); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestTheColumnIsTheParsers(t *testing.T) {
	root := tree(t, map[string]string{"order.xsd": orderSchema})
	x := newPlugin("1")
	got, err := validate(t.Context(), x, root, "", map[string]any{"document": "<order>\n  <id>1</od></order>", "schema_file": "order.xsd"})
	want := []finding{{2, 13, "Opening and ending tag mismatch: id line 2 and od"}}
	if err != nil || len(got.Errors) == 0 || !cmp.Equal(got.Errors[:1], want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	got, err = validate(t.Context(), x, root, "", map[string]any{"document": "<order><id>x</id></order>", "schema_file": "order.xsd"})
	if err != nil || got.Count != 1 || got.Errors[0].Column != 0 {
		t.Errorf("got %+v (%v), want one error without a column", got, err)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	root := tree(t, map[string]string{"many.xsd": strings.Replace(orderSchema, `name="id" type="xs:int"`, `name="id" type="xs:int" maxOccurs="unbounded"`, 1)})
	x := newPlugin("1")
	const n = 300_000
	got, err := validate(t.Context(), x, root, "", map[string]any{
		"document": "<order>" + strings.Repeat("<id>x</id>", n) + "</order>", "schema_file": "many.xsd",
	})
	if err != nil || len(got.Errors) != maxProblems || got.Count != n {
		t.Errorf("got %d errors of %d (%v), want %d of %d", len(got.Errors), got.Count, err, maxProblems, n)
	}
	got, err = validate(t.Context(), x, root, "", map[string]any{
		"document": "<order>" + strings.Repeat("<q:x/>", n) + "</order>", "schema_file": "many.xsd",
	})
	if err != nil || got.Valid || len(got.Errors) != maxProblems {
		t.Errorf("got %+v (%v), want %d errors", got, err, maxProblems)
	}
}

func TestTheFunction(t *testing.T) {
	root := tree(t, map[string]string{"flows/order.xsd": orderSchema, "flows/bad.xsd": "<xs:schema"})
	x := newPlugin("1")
	tests := map[string]struct{ function, args, want string }{
		"a valid document":            {"schema_errors", `["<order><id>1</id></order>", "order.xsd"]`, `[]`},
		"an invalid one":              {"schema_errors", `["<order>\n<id/></order>", "order.xsd"]`, `["line 2: Element 'id': '' is not a valid value of the atomic type 'xs:int'"]`},
		"an answer that is no text":   {"schema_errors", `[{"a": 1}, "order.xsd"]`, "E-CONFIG definition document the document is no text; an answer's text is body, not xml"},
		"a schema as text":            {"schema_errors", `["<a>x</a>", "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'><xs:element name='a' type='xs:int'/></xs:schema>"]`, `["line 1: Element 'a': 'x' is not a valid value of the atomic type 'xs:int'"]`},
		"a path that is no text":      {"schema_errors", `["<a/>", 1]`, "E-CONFIG definition schema the schema is neither the path of a file nor a schema as text"},
		"too few arguments":           {"schema_errors", `["<a/>"]`, "E-CONFIG definition  schema_errors takes a document and a schema, not 1 arguments"},
		"no list":                     {"schema_errors", `{}`, "E-CONFIG definition  the arguments are no JSON list"},
		"another function":            {"nope", `[]`, "E-CONFIG definition  there is no function nope"},
		"a missing schema is errored": {"schema_errors", `["<a/>", "none.xsd"]`, "E-CONFIG agent schema there is no file flows/none.xsd"},
		"a wrong schema is errored":   {"schema_errors", `["<a/>", "bad.xsd"]`, "E-CONFIG agent schema flows/bad.xsd: XML syntax error on line 1: unexpected EOF"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text, err := x.Call(t.Context(), &plugin.FunctionRequest{Function: test.function, Args: []byte(test.args), Root: root, Dir: "flows"})
			got := string(text)
			if err != nil {
				got = shown(nil, err)
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	root := tree(t, map[string]string{"order.xsd": orderSchema})
	x := newPlugin("1")
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			want, id := "valid", "1"
			if i%2 == 0 {
				want, id = "invalid line 1: Element 'id': 'x' is not a valid value of the atomic type 'xs:int'", "x"
			}
			got := shown(validate(t.Context(), x, root, "", map[string]any{"document": "<order><id>" + id + "</id></order>", "schema_file": "order.xsd"}))
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	all.Wait()
}

// slow is a document that libxml2 takes many seconds for: it compares each key
// with all that came before it.
func slow() (schema, document string) {
	schema = strings.Replace(orderSchema, `</xs:complexType>`,
		`</xs:complexType><xs:unique name="u"><xs:selector xpath="note"/><xs:field xpath="."/></xs:unique>`, 1)
	var b strings.Builder
	b.WriteString("<order><id>1</id>")
	for i := range 60_000 {
		fmt.Fprintf(&b, "<note>%d</note>", i)
	}
	return schema, b.String() + "</order>"
}

func TestWhatCannotBeStoppedIsLeft(t *testing.T) {
	schema, document := slow()
	x := newPlugin("1")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	go func() {
		ended <- shown(validate(ctx, x, "", "", map[string]any{"document": document, "schema": schema}))
	}()
	for len(x.turns) == 0 {
		runtime.Gosched()
	}
	began := time.Now()
	cancel()
	if got, want := <-ended, "error context canceled"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the call ended %v after it was asked to", took)
	}
	if n := x.left.Load(); n != 1 {
		t.Errorf("got %d judgements that go on, want 1", n)
	}
	if err := x.Health(t.Context()); err != nil {
		t.Errorf("one is no reason to be replaced: %v", err)
	}
	x.left.Add(minTurns)
	if err := x.Health(t.Context()); err == nil {
		t.Error("a process whose turns are taken for good says that it works")
	}
}

func TestACallThatGetsNoTurnEndsInItsTime(t *testing.T) {
	x := newPlugin("1")
	for range cap(x.turns) {
		x.turns <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	got := shown(validate(ctx, x, "", "", map[string]any{"document": "<order/>", "schema": orderSchema}))
	if want := "E-TIMEOUT agent  the document was not judged in the step's time"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDescriptor(t *testing.T) {
	d := newPlugin("1.2.3").Describe()
	if d.GetName() != "xml" || d.GetVersion() != "1.2.3" {
		t.Errorf("got %s %s", d.GetName(), d.GetVersion())
	}
	for _, text := range []string{d.GetActions()[0].GetConfigSchema(), d.GetActions()[0].GetResultSchema()} {
		if !json.Valid([]byte(text)) {
			t.Errorf("no JSON: %s", text)
		}
	}
}
