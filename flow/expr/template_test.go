package expr

import (
	"errors"
	"testing"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// expand evaluates a value field's text.
func expand(t *testing.T, text string, o Options) any {
	t.Helper()
	tmpl, err := CompileTemplate(text, o)
	if err != nil {
		return "SYNTAX " + complaint(t, err)
	}
	v, err := tmpl.Eval(testEnv(t))
	if err != nil {
		return failure(err)
	}
	return v
}

func TestTemplates(t *testing.T) {
	for _, c := range []claim{
		{"a text without placeholders is itself", "plain } text { $5", "plain } text { $5"},
		{"an empty text", "", ""},
		{"exactly one placeholder keeps an integer", "${status}", 201},
		{"and a list", "${tags}", []any{"a", "b", "c"}},
		{"and null", "${nothing}", nil},
		{"the other braces mean the same", "{{ tags }}", []any{"a", "b", "c"}},
		{"spaces outside make it a text", " ${status}", " 201"},
		{"a number is printed in shortest exact form", "p=${price}&b=${big}&e=${exact}", "p=59.8&b=9007199254740993&e=0.1234567890123456789012345"},
		{"a string is printed as it is", "/users/${name}", "/users/Ada"},
		{"a list is printed as compact JSON", "x${numbers}", "x[3,1,2]"},
		{"a map is printed as compact JSON", "x${body.user}", `x{"email":"ada@acme.dev","name":"Ada"}`},
		{"a boolean", "${ok}!", "true!"},
		{"null in a text fails", "x${nothing}", `MISSING nothing is null, which has no text; write nothing ?? "other" for a default`},
		{"missing in a text fails", "x${nobody}", "MISSING nobody is missing"},
		{"missing alone fails", "${nobody}", "MISSING nobody is missing"},
		{"two placeholders", "${name}-{{status}}", "Ada-201"},
		{"an expression", "${status + 1}", 202},
		{"a condition", "${status == 201 ? 'a' : 'b'}", "a"},
		{"braces in quotes do not end it", `${name + "}"}`, "Ada}"},
		{"nor do braces of a map", `${ {a: {b: 1}}.a.b }`, 1},
		{"a map in double braces", `{{ {"a": {"b": 1}}.a.b }}`, 1},
		{"a map that ends with the placeholder", `{{ {"a": {"b": 2}}}}`, map[string]any{"a": map[string]any{"b": 2}}},
		{"a comment may hold a brace", "${status /* } */}", 201},
		{"a method", "${name.substring(0, 2)}", "Ad"},
		{"umlauts before a placeholder do not move its end", `äöü${"ß}"}${status}`, "äöüß}201"},
		{"$${ writes the braces", "$${name}", "${name}"},
		{`\{{ writes the braces`, `\{{ name }}`, "{{ name }}"},
		{"a dollar before text stays", "$5 ${status} $", "$5 201 $"},
		{"two dollars before text stay", "$$5", "$$5"},
		{"a backslash stays", `a\b ${status}`, `a\b 201`},
		{"nothing that a placeholder yields is expanded again", `${"$" + "{name}"}`, "${name}"},
		{"JSON text keeps its braces", `{"a": {"b": ${status}}}`, `{"a": {"b": 201}}`},
		{"an unclosed placeholder", "x ${status", `SYNTAX the placeholder is not closed; end it with }; for literal braces write $${ or \{{`},
		{"an unclosed double brace", "x {{ status }", `SYNTAX unexpected "}" in a placeholder; the placeholder at the start ends with }}; for literal braces write $${ or \{{`},
		{"an unclosed quote in a placeholder", `x ${"a}`, `SYNTAX the placeholder is not closed; end it with }; for literal braces write $${ or \{{`},
		{"an empty placeholder", "x ${ }", "SYNTAX an empty placeholder; write $${ for literal braces"},
		{"the wrong closing bracket", "x ${ a) }", `SYNTAX ")" closes nothing`},
		{"an error inside", "x ${ status = 1 }", `SYNTAX unexpected "="; values are compared with ==`},
		{"a foreign template language", "{{#if a}}x{{/if}}", `SYNTAX unexpected "#"; # and .field stand for the element inside filter, map, any, all and the like`},
		{"an operator that fails is a wrong value", "x${status + name}", `VALUE + needs two numbers or two strings, got 201 (number) and "Ada" (string)`},
		{"fake data", "${FAKER.boolean.boolean is boolean}", true},
		{"a JSONPath is no placeholder", "$.id", "$.id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := expand(t, c.text, Options{})
			if !value.Equal(normal(got), normal(c.want)) {
				t.Errorf("%s\n got %s\nwant %s", c.text, show(got), show(c.want))
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	for _, c := range []claim{
		{"a default is used for a missing name", "${PORT:8080}", 8080},
		{"and is text inside text", "x${PORT:8080}", "x8080"},
		{"a value wins", "${status:8080}", 201},
		{"a null takes the default", "${nothing:8080}", 8080},
		{"an empty string is a value", "${empty:x}", ""},
		{"a path", "${body.zip:9000}", 9000},
		{"a path below a missing name", "${nobody.a.b:9000}", 9000},
		{"spaces before the name", "${ PORT:1}", 1},
		{"nothing is the empty string", "${PORT:}", ""},
		{"only spaces are the empty string", "${PORT: }", ""},
		{"a URL", "${API:http://127.0.0.1:7071/a?b=c#d}", "http://127.0.0.1:7071/a?b=c#d"},
		{"quotes make a string", `${PORT:"8080"}`, "8080"},
		{"single quotes make a string", `${PORT:'it''s }'}`, "it's }"},
		{"escapes in double quotes", `${PORT:"a\tb}"}`, "a\tb}"},
		{"true", "${DEBUG:true}", true},
		{"null", "${DEBUG:null}", nil},
		{"a fraction", "${RATE:1.50}", 1.5},
		{"a negative number", "${RATE:-1}", -1},
		{"leading zeros stay text", "${CODE:007}", "007"},
		{"a word", "${ROLE:viewer}", "viewer"},
		{"braces balance", "${A:{x}}", "{x}"},
		{"in double braces", "{{ ROLE:viewer }}", "viewer"},
		{"a placeholder is no default", "${A:${B}}", "SYNTAX a default is plain text, not another placeholder; write ${A ?? other}"},
		{"a condition is no default", "${ok ? 1 : 2}", 1},
		{"?? is the general form", "${nobody ?? status}", 201},
		{"not closed", "${A:b", "SYNTAX the placeholder is not closed; end it with }, or write $${ for a literal ${"},
		{"a name that is none", "${A..b:c}", `SYNTAX "A..b" is not a name`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := expand(t, c.text, Options{})
			if !value.Equal(normal(got), normal(c.want)) {
				t.Errorf("%s\n got %s\nwant %s", c.text, show(got), show(c.want))
			}
		})
	}
}

func TestPlaceholdersInExpressions(t *testing.T) {
	check(t, []claim{
		{"${x} means (x)", "${status} == 201", true},
		{"{{ x }} means (x)", "{{ status }} == 201", true},
		{"an expression in one", "${status + 1} * 2", 404},
		{"in a member's index", "tags[${zero}]", "a"},
		{"exists of one", "${body.id} exists", true},
		{"a string that is one placeholder keeps its type", `"${status}" == 201`, true},
		{"a string with more prints", `"${status}!" == "201!"`, true},
		{"two in a string", `"${name}/{{status}}"`, "Ada/201"},
		{"single quotes", `'{{ name }}'`, "Ada"},
		{"an escape in a string", `"$${name}"`, "${name}"},
		{"a default in a string", `"${PORT:80}"`, 80},
		{"a default", "${PORT:80} == 80", true},
		{"a default with text of another grammar", "${API:http://x/y} == 'http://x/y'", true},
		{"null printed in a string fails", `"x${nothing}" == "x"`, `MISSING nothing is null, which has no text; write nothing ?? "other" for a default`},
		{"an escaped quote in a string", `"${body[\"id\"]}"`, 7},
		{"an error in a string", `"x${status +}"`, `SYNTAX the expression ends too early, after "+"`},
		{"# in a string in a predicate", `map(tags, "<${#}>")`, []any{"<a>", "<b>", "<c>"}},
		{"let in a string", `let x = 5; "v${x}"`, "v5"},
		{"a map in a predicate is no placeholder", `map([1], {{a: #}})`, []any{map[string]any{"a": 1}}},
		{"quotes nest only so deep", "'${`${\"${1}\"}`}'", 1},
	})
}

// scalarNode makes a scalar at a place.
func scalarNode(kind source.Kind, text string, v any) *source.Node {
	return &source.Node{Kind: kind, Text: text, Value: v, Pos: source.Pos{File: "f.yaml", Line: 3, Column: 5}}
}

func str(t string) *source.Node { return scalarNode(source.String, t, t) }

func TestTemplateText(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a static text", "abc", "abc"},
		{"a number alone is printed", "${status}", "201"},
		{"a list alone is printed", "${numbers}", "[3,1,2]"},
		{"a text", "v${status}", "v201"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl, err := CompileTemplate(c.text, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := tmpl.Text(testEnv(t)); err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
	tmpl, err := CompileTemplate("${nothing}", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tmpl.Text(testEnv(t)); err == nil {
		t.Errorf("null printed as %q, want an error", got)
	}
}

func TestTemplateNodes(t *testing.T) {
	number, problem := CompileTemplateNode(scalarNode(source.Number, "30", int64(30)), Options{})
	if problem != nil {
		t.Fatal(problem)
	}
	if v, ok := number.Static(); !ok || v != int64(30) {
		t.Errorf("a number is %v, %v; want itself", v, ok)
	}
	raw := str("${name}")
	raw.Tag = "!raw"
	kept, problem := CompileTemplateNode(raw, Options{})
	if problem != nil {
		t.Fatal(problem)
	}
	if v, err := kept.Eval(testEnv(t)); err != nil || v != "${name}" {
		t.Errorf("!raw gives %v, %v; want it kept", v, err)
	}
	late, problem := CompileTemplateNode(str("{{path.id}} ${name} \\{{"), Options{Late: true})
	if problem != nil {
		t.Fatal(problem)
	}
	if v, err := late.Eval(testEnv(t)); err != nil || v != "{{path.id}} Ada \\{{" {
		t.Errorf("late gives %v, %v; want {{ }} left alone", v, err)
	}
	if _, problem := CompileTemplateNode(scalarNode(source.List, "", nil), Options{}); problem == nil || problem.Code != source.CodeType {
		t.Errorf("a list as template gives %v, want a problem of type", problem)
	}
	_, problem = CompileTemplateNode(str("ab ${ 1 + }"), Options{})
	if problem == nil || problem.Pos != (source.Pos{File: "f.yaml", Line: 3, Column: 13}) || problem.Text != "+" {
		t.Errorf("problem is %+v, want the + at 3:13", problem)
	}
}

func TestTree(t *testing.T) {
	raw := scalarNode(source.List, "", nil)
	raw.Tag, raw.Items = "!raw", []*source.Node{str("${name}")}
	key := func(s string) *source.Node { return str(s) }
	root := scalarNode(source.Map, "", nil)
	root.Entries = []source.Entry{
		{Key: key("${name}"), Value: str("${status}")},
		{Key: key("list"), Value: &source.Node{Kind: source.List, Items: []*source.Node{str("a${name}"), scalarNode(source.Number, "5", int64(5)), {Kind: source.Null}}}},
		{Key: key("raw"), Value: raw},
		{Key: key("fixed"), Value: &source.Node{Kind: source.Map, Entries: []source.Entry{{Key: key("x"), Value: str("y")}}}},
	}
	tree, problems := CompileTree(root, Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got, err := tree.Eval(testEnv(t))
	want := map[string]any{
		"${name}": int64(201), "list": []any{"aAda", int64(5), nil}, "raw": []any{"${name}"}, "fixed": map[string]any{"x": "y"},
	}
	if err != nil || !value.Equal(got, want) {
		t.Errorf("got %s, %v\nwant %s", show(got), err, show(want))
	}
	if _, static := tree.Static(); static {
		t.Error("a tree with placeholders says that it is static")
	}
	if v, static := tree.Child("fixed").Static(); !static || !value.Equal(v, want["fixed"]) {
		t.Errorf("fixed is %v, %v; want its value", v, static)
	}
	if tree.Child("none") != nil || tree.Node() != root {
		t.Error("a missing child is not nil, or the node is another")
	}
	if refs := tree.Refs(); len(refs) != 2 || refs[0].Name != "status" || refs[1].Name != "name" {
		t.Errorf("refs are %+v, want status and name", refs)
	}
	root.Entries = append(root.Entries, source.Entry{Key: key("bad"), Value: str("${")}, source.Entry{Key: key("worse"), Value: str("${1 +}")})
	if _, problems := CompileTree(root, Options{}); len(problems) != 2 {
		t.Errorf("problems are %v, want both", problems)
	}
}

func TestTreeWithoutPlaceholders(t *testing.T) {
	var none *Tree
	if v, err := none.Eval(nil); v != nil || err != nil || none.Refs() != nil || none.Node() != nil || none.Child("x") != nil {
		t.Error("a nil tree is not null")
	}
	if v, ok := none.Static(); v != nil || !ok {
		t.Error("a nil tree is not static")
	}
	lit := Literal(map[string]any{"a": int64(1)})
	if v, err := lit.Eval(nil); err != nil || !value.Equal(v, map[string]any{"a": int64(1)}) {
		t.Errorf("a literal gives %v, %v", v, err)
	}
	if tree, problems := CompileTree(nil, Options{}); len(problems) > 0 || tree == nil {
		t.Errorf("no node gives %v, %v", tree, problems)
	}
}

func TestTreeReportsThePlaceOfAFailure(t *testing.T) {
	root := scalarNode(source.List, "", nil)
	root.Items = []*source.Node{str("ok"), str("id ${body.idd}")}
	tree, problems := CompileTree(root, Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	_, err := tree.Eval(testEnv(t))
	var located *Located
	if !errors.As(err, &located) || located.Pos.Column != 10 || located.Width != len("body.idd") {
		t.Errorf("error is %#v, want a Located at column 10 of 8 characters", err)
	}
}

func TestEachPlaceholderIsPrintedAsTold(t *testing.T) {
	loud := func(s string) (string, error) { return "<" + s + ">", nil }
	tests := map[string]struct{ text, want string }{
		"a text without any":   {"plain $${a}", "plain ${a}"},
		"one alone":            {"${a}", "<1>"},
		"several, and literal": {"&${a}&${b}${a}", "&<1>&<x & y><1>"},
	}
	env := &Env{Scope: names{"a": int64(1), "b": "x & y"}}
	for name, test := range tests {
		tpl, err := CompileTemplate(test.text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpl.Each(env, loud); got != test.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
		}
	}
	tpl, err := CompileTemplate("${a} ${gone}", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var missing *MissingError
	if _, err := tpl.Each(env, loud); !errors.As(err, &missing) {
		t.Errorf("a missing name: got %v", err)
	}
	refused := errors.New("too much")
	if _, err := tpl.Each(env, func(string) (string, error) { return "", refused }); !errors.Is(err, refused) {
		t.Errorf("got %v, want what print said", err)
	}
}
