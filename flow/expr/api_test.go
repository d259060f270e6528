package expr

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

func compiled(t *testing.T, text string) *Expr {
	t.Helper()
	x, err := Compile(text, Options{JSONPath: true, Function: func(name string) bool { return name == "crc.sum" }})
	if err != nil {
		t.Fatalf("compile %s: %v", text, err)
	}
	return x
}

func TestExplain(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"both sides, literals left out", "status == 200", "status=201"},
		{"outermost first", "status == 201 and price > 100", "status == 201=true|status=201|price > 100=false|price=59.8"},
		{"what was not evaluated is left out", "status == 200 and price > 100", "status == 200=false|status=201"},
		{"each text once", "status == 201 and status == 201", "status == 201=true|status=201"},
		{"a whole path, not its parts", "body.user.name == 'x'", `body.user.name="Ada"`},
		{"a function and its arguments", "len(tags) > 5", `len(tags)=3|tags=["a","b","c"]`},
		{"a method and what it is of", "name.upper() == 'x'", `name.upper()="ADA"|name="Ada"`},
		{"a computed index", "tags[zero] == 'x'", `tags[zero]="a"|zero=0`},
		{"a bare path", "ok", "ok=true"},
		{"brackets as written", "(status + 1) * 2 == 0", "(status + 1) * 2=404|status + 1=202|status=201"},
		{"a missing operand has its nearest path", "body.idd == 1", `body.idd missing: body has no "idd"; did you mean "id"?`},
		{"a missing operand that is asked about", "body.idd exists", `body.idd missing: body has no "idd"; did you mean "id"?`},
		{"a missing name", "nobody == 1", "nobody missing: nobody has no value"},
		{"an operand that fails", "status + name == 'x'", `status + name error: + needs two numbers or two strings, got 201 (number) and "Ada" (string)|status=201|name="Ada"`},
		{"a rewritten operator as written", "body.id is not null and name starts_with 'B'", `body.id is not null=true|body.id=7|name starts_with 'B'=false|name="Ada"`},
		{"not as written", "not (status == 201)", "status == 201=true|status=201"},
		{"a predicate as a whole", "all(numbers, # > 1)", "numbers=[3,1,2]"},
		{"a text with placeholders", "'x${name}' == 'y'", `'x${name}'="xAda"|name="Ada"`},
		{"a text that is one placeholder", "'${name}' == 'y'", `name="Ada"`},
		{"a condition", "status > 200 ? ok : nobody", "status > 200=true|status=201|ok=true"},
		{"a chain reads its middle once", "1 < status < 5", "status=201"},
		{"a default", "${PORT:80} == 81", "${PORT:80}=80|PORT missing: PORT has no value"},
		{"a time is text", "now() == 'x'", `now()="2026-03-04T05:06:07.89Z"`},
		{"a JSONPath", "$.id", "$.id=7"},
		{"a constant", "1 == 2", ""},
		{"a pipe", "tags | len() == 3", "tags | len()=3|tags=[\"a\",\"b\",\"c\"]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := testEnv(t)
			env.Answer = answered{doc(t, `{"id": 7}`)}
			_, operands, _ := compiled(t, c.text).Explain(env)
			var got []string
			for _, o := range operands {
				switch {
				case o.Missing != "":
					got = append(got, o.Text+" missing: "+o.Missing)
				case o.Error != "":
					got = append(got, o.Text+" error: "+o.Error)
				default:
					got = append(got, o.Text+"="+value.Compact(o.Value))
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(got, "|")); diff != "" {
				t.Errorf("%s: -want +got\n%s", c.text, diff)
			}
		})
	}
}

func TestExplainCallsOnce(t *testing.T) {
	calls := 0
	env := testEnv(t)
	env.Call = func(string, string, []any) (any, error) { calls++; return int64(calls), nil }
	v, operands, err := compiled(t, "crc.sum(1) == 1 and crc.sum(1) < 5 and 0 < crc.sum(2) < 9").Explain(env)
	if v != true || err != nil || calls != 3 || len(operands) == 0 {
		t.Errorf("got %v, %v after %d calls, want true after 3", v, err, calls)
	}
}

func TestRefs(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a name", "status", "status@0+6"},
		{"a path", "create.body.id", "create.body.id@0+14"},
		{"an index stops the members", "body.items[0].sku", "body.items@0+17"},
		{"a computed index", `steps["a-b"].id == tags[n]`, "steps.a-b.id@0+15 tags@19+4 n@24+1"},
		{"?? guards its left side", "a.b ?? c", "a.b@0+3? c@7+1"},
		{"exists guards", "a.b exists", "a.b@0+3?"},
		{"is null guards", "a.b is not null", "a.b@0+3?"},
		{"== nil guards", "a == nil or nil != b", "a@0+1? b@19+1?"},
		{"?. guards", "a?.b.c", "a.b@0+4?"},
		{"a default guards", "${A.b:c} == d", "A.b@2+3? d@12+1"},
		{"== does not guard", "a == b", "a@0+1 b@5+1"},
		{"names of let and # are not free", "let x = a; any(b, # == x and .c == d)", "a@8+1 b@15+1 d@35+1"},
		{"functions are no names", "len(a)", "a@4+1"},
		{"a plugin's function is", "crc.sum(a)", "a@8+1 crc.sum@0+10!"},
		{"outcome names a step", `outcome("pay") == "passed"`, "outcome.pay@0+14!"},
		{"names in quoted texts", `"x${a.b}" == c`, "a.b@4+3 c@13+1"},
		{"names in quoted texts with escapes", `"\t${a.b}" == c`, "a.b@0+10 c@14+1"},
		{"fake data is no name", "FAKER.person.name", ""},
		{"built-in names are names", "UUID", "UUID@0+4"},
		{"a JSONPath has none", "$.a", ""},
		{"offsets are bytes", `"ä" + b`, "b@7+1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, r := range compiled(t, c.text).Refs() {
				s := strings.Join(append([]string{r.Name}, r.Path...), ".")
				s += "@" + value.Compact(int64(r.Offset)) + "+" + value.Compact(int64(r.Length))
				if r.Guarded {
					s += "?"
				}
				if r.Called {
					s += "!"
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("%s: -want +got\n%s", c.text, diff)
			}
		})
	}
}

func TestStaticKind(t *testing.T) {
	for text, want := range map[string]string{
		"3": "number", `"a"`: "string", "nil": "", "[1]": "array", "{a: 1}": "object", "a == b": "boolean", "a": "",
		"not a": "boolean", "a and b": "boolean", "a + 1": "number", "a * b": "number", "a + 'x'": "string", "a + b": "",
		"len(a)": "number", "a.upper()": "string", "any(a, true)": "boolean", "map(a, #)": "array", "a ? 1 : 2": "number",
		"a ? 1 : 'x'": "", "1..3": "array", "'x${a}'": "string", "'${a}'": "", "-a": "", "now()": "", "a exists": "boolean",
		"a is null": "boolean", "1 < a < 3": "boolean", "a in b": "boolean", "a matches 'x'": "boolean", "let x = 1; x == 1": "boolean",
	} {
		if got := compiled(t, text).StaticKind(); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

func TestConstant(t *testing.T) {
	for text, want := range map[string]any{
		"1 + 1": 2, "true": true, "len([1, 2]) == 2": true, `"a" + "b"`: "ab", "let x = 2; x * x": 4,
	} {
		if got, ok := compiled(t, text).Constant(); !ok || !value.Equal(normal(got), normal(want)) {
			t.Errorf("%s is %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"a", "a ?? 1", "uuid()", "now()", "1 / 0", "$.a", "FAKER.person.name", "crc.sum(1)", `"${a}"`, `outcome("a")`} {
		if got, ok := compiled(t, text).Constant(); ok {
			t.Errorf("%s is constant: %v", text, got)
		}
	}
}

func TestSides(t *testing.T) {
	for _, c := range []struct{ text, left, operator, right string }{
		{"status == 201", "status", "==", "=201"},
		{"59.80 != price", "=59.80", "!=", "price"},
		{"status <= 5", "status", "<=", "=5"},
		{"body.id == nil", "body.id", "==", "=nil"},
		{"tags contains 'a'", "tags", "contains", "='a'"},
		{"'a' in tags", "='a'", "in", "tags"},
		{"name starts_with 'A'", "name", "starts_with", "='A'"},
		{"name matches 'A'", "name", "matches", "='A'"},
		{"status == -1", "status", "==", "=-1"},
		{"tags == ['a', 1 + 1]", "tags", "==", "=['a', 1 + 1]"},
	} {
		s, ok := compiled(t, c.text).Sides()
		side := func(s Side) string {
			if s.Constant {
				return "=" + s.Text
			}
			return s.Text
		}
		if !ok || side(s.Left) != c.left || s.Operator != c.operator || side(s.Right) != c.right {
			t.Errorf("%s gives %+v, %v", c.text, s, ok)
		}
	}
	for _, text := range []string{"a and b", "a", "1 < a < 2", "a exists", "a is null", "not a"} {
		if s, ok := compiled(t, text).Sides(); ok {
			t.Errorf("%s gives %+v, want none", text, s)
		}
	}
}

func TestScalarNodesAreExpressions(t *testing.T) {
	for _, n := range []*source.Node{
		scalarNode(source.Boolean, "true", true), scalarNode(source.Number, "3", int64(3)), scalarNode(source.Null, "~", nil),
	} {
		x, p := CompileNode(n, Options{})
		if p != nil {
			t.Fatal(p)
		}
		if v, err := x.Eval(nil); err != nil || !value.Equal(v, n.Value) || x.Pos() != n.Pos {
			t.Errorf("%s gives %v, %v", n.Text, v, err)
		}
	}
}

func TestJSONPathFields(t *testing.T) {
	result := `{"status": 201, "body": {"id": 7, "status": 5, "tags": ["a"]}, "rows": [{"n": 1}]}`
	for _, c := range []struct {
		name, text string
		want       any
	}{
		{"$ is the result", "$", nil},
		{"a key of the result", "$.status", 201},
		{"a key that only the body has", "$.id", 7},
		{"in brackets", "$['tags'][0]", "a"},
		{"a path below the body's key", "$.tags[*]", []any{}},
		{"the result's key wins, even where the rest is missing", "$.rows[3].n", "MISSING $.rows[3].n is missing: $.rows has 1 element, so no [3]"},
		{"a key that nobody has", "$.idd", `MISSING $.idd is missing: $ has no "idd"; did you mean "id"?`},
		{"a descendant is of the result", "$..n", []any{1}},
		{"a wildcard is of the result", "$[*]", []any{map[string]any{"id": 7, "status": 5, "tags": []any{"a"}}, []any{map[string]any{"n": 1}}, 201}},
		{"a path that does not parse", "$.[", "SYNTAX"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := &Env{Answer: answered{doc(t, result)}}
			if c.text == "$" {
				c.want = env.Answer.Result()
			}
			if c.text == "$.tags[*]" {
				c.want = []any{"a"}
			}
			got := evaluate(t, c.text, env)
			if s, ok := got.(string); ok && strings.HasPrefix(s, "SYNTAX not a JSONPath: ") {
				got = "SYNTAX"
			}
			if !value.Equal(normal(got), normal(c.want)) {
				t.Errorf("got %s\nwant %s", show(got), show(c.want))
			}
		})
	}
	if got := evaluate(t, "$.a", &Env{}); got != "VALUE there is no result here for a JSONPath" {
		t.Errorf("without a result: %v", got)
	}
	list := &Env{Answer: answered{doc(t, `{"body": [5]}`)}}
	if got := evaluate(t, "$[0]", list); !value.Equal(normal(got), int64(5)) {
		t.Errorf("an index of a body that is a list: %v", got)
	}
	if _, err := Compile("$.a", Options{}); err == nil || !strings.Contains(complaint(t, err), "jsonpath(") {
		t.Errorf("a JSONPath elsewhere gives %v", err)
	}
}

// answered is a result with a body, perhaps.
type answered struct{ result any }

func (a answered) Result() any { return a.result }

func (a answered) Body() (any, bool) {
	m, _ := a.result.(map[string]any)
	body := m["body"]
	return body, container(body)
}

func TestCutBody(t *testing.T) {
	env := testEnv(t)
	env.Cut, env.CutKey = "the body was cut at 10 MiB", "body"
	env.Answer = answered{doc(t, `{"status": 200, "body": {}}`)}
	env.Scope.(names)["result"] = doc(t, `{"status": 200, "body": {"a": 1}}`)
	cut := "CUT the body was cut at 10 MiB"
	for text, want := range map[string]any{
		"body.id": cut, "body": cut, "body.id exists": cut, "body == nil": cut, "body?.id ?? 1": "SYNTAX ?", "len(body)": cut,
		"result.body.a": cut, "result": cut, "result.status": 200, "status": 201, "create.body.id": 7,
		"$.status": 200, "$.body.a": cut, "$.id": cut, "$..id": cut, "$": cut, "any(tags, # == body.id)": cut,
	} {
		got := evaluate(t, text, env)
		if want == "SYNTAX ?" {
			want = cut
		}
		if !value.Equal(normal(got), normal(want)) {
			t.Errorf("%s gives %s, want %s", text, show(got), show(want))
		}
	}
}

func TestBuiltinNames(t *testing.T) {
	env := testEnv(t)
	for text, want := range map[string]any{
		"TIMESTAMP": "2026-03-04T05:06:07Z", "ISO_TIMESTAMP": "2026-03-04T05:06:07.890Z", "TIMESTAMP_UNIX": 1772600767,
		"DATE": "2026-03-04", "TODAY": "2026-03-04", "TIME": "05:06:07", "DATETIME": "2026-03-04 05:06:07", "DAY_OF_WEEK": "Wednesday",
		`UUID matches "^[0-9a-f-]{36}$"`: true, "UUID != UUID": true, `RANDOM_ID matches "^[0-9a-z]{12}$"`: true,
		"RANDOM_INT >= 0": true, `RANDOM_STRING matches "^[A-Za-z0-9]{16}$"`: true, "NOBODY": "MISSING NOBODY is missing",
		`FAKER.internet.email matches "@example\\.(com|net|org)$"`: true, "FAKER.person.age is integer": true,
	} {
		if got := evaluate(t, text, env); !value.Equal(normal(got), normal(want)) {
			t.Errorf("%s gives %s, want %s", text, show(got), show(want))
		}
	}
	env.Scope.(names)["DATE"] = "mine"
	if got := evaluate(t, "DATE", env); got != "mine" {
		t.Errorf("a name of the scope does not win: %v", got)
	}
	for _, name := range BuiltinNames() {
		if _, ok := LookupBuiltin(name, testEnv(t)); !ok && name != "FAKER" {
			t.Errorf("%s is listed and has no value", name)
		}
	}
	if _, ok := LookupBuiltin("UUID", nil); ok {
		t.Error("a name has a value without an env")
	}
}

func TestOutcome(t *testing.T) {
	env := testEnv(t)
	env.Scope.(names)["outcome pay"] = "failed"
	if got := evaluate(t, `outcome("pay") == "failed"`, env); got != true {
		t.Errorf("got %v", got)
	}
	if got := evaluate(t, `outcome("other")`, env); got != `MISSING outcome("other") is missing: step other has not ended` {
		t.Errorf("got %v", got)
	}
}

func TestLimits(t *testing.T) {
	for name, text := range map[string]string{
		"a text that is too long":       strings.Repeat("1+", 40_000) + "1",
		"too many words":                strings.Repeat("1+", 15_000) + "1",
		"brackets too deep":             strings.Repeat("(", 300) + "1" + strings.Repeat(")", 300),
		"parts too deep":                strings.Repeat("1+", 1500) + "1",
		"signs too deep":                strings.Repeat("- ", 1500) + "a",
		"conditions too deep":           strings.Repeat("a ? 1 : ", 1500) + "a",
		"quotes in quotes in quotes":    nestedQuotes(6),
		"a regular expression too long": "a matches '" + strings.Repeat("a", 10_001) + "'",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Compile(text, Options{}); err == nil {
				t.Error("compiles")
			} else {
				complaint(t, err)
			}
		})
	}
	check(t, []claim{
		{"steps", "count(1..2500, count(1..2500, # > 0) > 0)", "LIMIT the expression takes more than 2000000 steps"},
		{"memory", `len(map(1..1000, repeat("x", 100000)))`, "LIMIT the expression makes more than 64 MiB of values"},
		{"a doubling text", `len(reduce(1..60, #acc + #acc, "xx"))`, "LIMIT the expression makes more than 64 MiB of values"},
		{"a doubling list", `len(reduce(1..60, concat(#acc, #acc), [1]))`, "LIMIT the expression makes more than 64 MiB of values"},
		{"a power of powers", "9.5 ** 9999", "VALUE the result is not a finite number"},
		{"an array in an array in an array", "len(string(reduce(1..200000, [#acc]))) > 0", true},
		{"a long text and a long pattern", `repeat("a", 20000000) matches "(a{1,100}b){8}"`, "LIMIT a text of 20000000 bytes is too long for this regular expression"},
		{"a long text and a short pattern", `repeat("a", 20000000) matches "b$"`, false},
		{"replacing with more", `len(replace(repeat("a", 1000000), "a", repeat("b", 1000)))`, "LIMIT the expression makes more than 64 MiB of values"},
	})
}

func nestedQuotes(depth int) string {
	text := "1"
	for range depth {
		text = `"${` + strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `"`, `\"`) + ` + 1}"`
	}
	return text
}

// members is a Scope whose env is read member by member.
type members struct{ names }

func (m members) Member(name, member string) (any, bool, error) {
	if name != "env" {
		return nil, false, nil
	}
	if member == "BAD" {
		return nil, false, errors.New("cannot be read")
	}
	return "value of " + member, member != "NONE", nil
}

func TestMembersAreReadOneByOne(t *testing.T) {
	env := &Env{Scope: members{names{"env": map[string]any{"SOME": int64(1)}}}}
	for text, want := range map[string]any{
		"env.API": "value of API", "env['API'].length": 12, "env.NONE": `MISSING env.NONE is missing: env has no "NONE"; it has "SOME"`,
		"env.BAD": "ERROR cannot be read", "env": map[string]any{"SOME": 1},
	} {
		if got := evaluate(t, text, env); !value.Equal(normal(got), normal(want)) {
			t.Errorf("%s gives %s, want %s", text, show(got), show(want))
		}
	}
}

func TestErrorTexts(t *testing.T) {
	if !IsWrongAnswer(&Located{Err: &MissingError{}}) || !IsWrongAnswer(&ValueError{}) || IsWrongAnswer(&CutError{}) || IsWrongAnswer(&LimitError{}) {
		t.Error("what a wrong answer is has changed")
	}
	for err, want := range map[error]string{
		&SyntaxError{Message: "a"}: "a", &MissingError{Path: "p"}: "p is missing", &MissingError{Path: "p", Nearest: "n"}: "p is missing: n",
		&ValueError{Message: "v"}: "v", &CutError{Message: "c"}: "c", &LimitError{Message: "l"}: "l", &Located{Err: &CutError{Message: "c"}}: "c",
	} {
		if err.Error() != want {
			t.Errorf("%#v reads %q, want %q", err, err.Error(), want)
		}
	}
}
