package expr

import (
	"errors"
	"testing"

	"github.com/testmesh/testmesh/flow/source"
)

func TestErrorsHaveTheirPlace(t *testing.T) {
	failing := errors.New("the secret cannot be read")
	for _, c := range []struct {
		name, text    string
		column, width int
	}{
		{"a missing path", "status == 1 or body.idd == 1", 20, 8},
		{"a value of the wrong kind", "status == 201 and name + 1 == 2", 23, 8},
		{"a scope's error", "status == 201 and secret == 1", 23, 6},
		{"a function's error", "1 + len(status)", 9, 11},
		{"inside a quoted text", `"a${body.idd}" == ""`, 9, 8},
		{"inside a quoted text with escapes, the whole of it", `"\t${body.idd}" == ""`, 5, 15},
		{"characters, not bytes", `"äö" == body.idd`, 13, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, problem := CompileNode(str(c.text), Options{})
			if problem != nil {
				t.Fatal(problem)
			}
			env := testEnv(t)
			env.Scope.(names)["secret"] = failing
			_, err := x.Eval(env)
			var at *Located
			if !errors.As(err, &at) {
				t.Fatalf("error %v has no place", err)
			}
			want := source.Pos{File: "f.yaml", Line: 3, Column: c.column}
			if at.Pos != want || at.Width != c.width {
				t.Errorf("%v at %v of %d, want %v of %d", err, at.Pos, at.Width, want, c.width)
			}
		})
	}
	if _, err := compiled(t, "secret").Eval(&Env{Scope: names{"secret": failing}}); !errors.Is(err, failing) {
		t.Errorf("a text without a place gives %#v, want the scope's own error", err)
	}
}

func TestProblemsHaveTheirPlace(t *testing.T) {
	for _, c := range []struct {
		name, text, offending, hint string
		code                        source.Code
		column                      int
	}{
		{"an unknown operator", "status equals 200", "equals", `did you mean "=="?`, source.CodeName, 12},
		{"an assignment", "status = 200", "=", "values are compared with ==", source.CodeExpr, 12},
		{"three signs", "status === 200", "=", "values are compared with ==", source.CodeExpr, 14},
		{"a misspelt operator", "tags contians 'a'", "contians", `did you mean "contains"?`, source.CodeName, 10},
		{"an upper-case operator", "ok AND ok", "AND", `did you mean "and"?`, source.CodeName, 8},
		{"an open bracket", "len(tags", "(", "", source.CodeExpr, 8},
		{"a closing bracket too many", "len(tags))", ")", "", source.CodeExpr, 14},
		{"the wrong closing bracket", "[1, 2)", ")", `"[" is still open`, source.CodeExpr, 10},
		{"an open quote", `name == "Ada`, `"Ada`, `write the same quote at the end; a quote inside is written \" or \'`, source.CodeExpr, 13},
		{"the end too early", "status ==", "==", "", source.CodeExpr, 12},
		{"a name with a hyphen is a difference", "create-user.id - ", "-", "", source.CodeExpr, 20},
		{"a tilde", "name =~ 'a'", "~", `a regular expression is tested with: text matches "pattern"`, source.CodeExpr, 11},
		{"a dollar name", "$body.id", "$body", "a placeholder inside an expression is ${name} or just name", source.CodeExpr, 5},
		{"nothing", "", "", "", source.CodeExpr, 5},
		{"an unknown function", "lenn(tags)", "lenn", "did you mean len()?", source.CodeName, 5},
		{"a wrong kind", `status > 1 and "x"`, `"x"`, "", source.CodeType, 20},
		{"two values", "status 200", "200", "an operator is missing before it", source.CodeExpr, 12},
		{"a bad regular expression", "name matches '('", "'('", "", source.CodeExpr, 18},
		{"fake data that there is not", "FAKER.internet.emial", "FAKER.internet.emial", `did you mean "internet.email"?`, source.CodeName, 5},
		{"fake data without a field", "FAKER", "FAKER", "write FAKER.internet.email", source.CodeName, 5},
		{"outcome of no literal", "outcome(name)", "outcome(name)", "", source.CodeExpr, 5},
		{"a member without a name", "body.", ".", "", source.CodeExpr, 9},
		{"a member that is a number", "tags.0", ".0", "an index is written in brackets: [0]", source.CodeExpr, 9},
		{"an unknown escape", `name == "\d"`, `d`, "write two backslashes for one, or quote the text with backticks", source.CodeExpr, 15},
		{"a single ampersand", "ok & ok", "&", `did you mean "and"?`, source.CodeExpr, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, p := CompileNode(str(c.text), Options{})
			if p == nil {
				t.Fatal("no problem")
			}
			if p.Text != c.offending || p.Hint != c.hint || p.Code != c.code || p.Pos.Column != c.column || p.Message == "" {
				t.Errorf("%+v\nwant text %q hint %q code %s column %d", *p, c.offending, c.hint, c.code, c.column)
			}
		})
	}
	if _, p := CompileNode(scalarNode(source.Map, "", nil), Options{}); p == nil || p.Code != source.CodeType {
		t.Errorf("a map as expression gives %v", p)
	}
}
