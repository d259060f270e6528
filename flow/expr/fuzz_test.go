package expr

import (
	"errors"
	"testing"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// seeds are every kind of construct, so that the fuzzer can put them together.
var seeds = []string{
	"status == 201", "body.items[0].sku", `headers["content-type"]`, "a ?? b?.c[1]", "x exists and y is not null",
	"not a in [1, 2.5, 'x']", "1 < a <= 3", "all(b, {.c > 1 and #index < 2})", "reduce(1..9, #acc + #, 0)", "let x = {a: [1]}; x.a[-1]",
	"${PORT:8080} == 1", "{{ a }} + '${b}'", "name.upper().substring(0, 2)", "jsonpath(body, '$..a')", "jq(a, '.b')", "$.a[?@.b == 1]",
	"if a { 1 } else { 2 }", "a | map(#) | len()", "tags[1:-1]", "0xFF + 1_000 + .5e3", "now() - duration('1h')", "b'\\x00'",
	"a matches '^(a+)+$'", "FAKER.person.name", "round(1.005, 2)", "// c\na /* d */", "map(a, {{b: #}})", "x ?: 1", "`raw` ends_with 'w'",
	"toJSON(fromJSON('{\"a\":1e400}'))", "format_time(0, '%Y')", "a.not.in.is", "-9223372036854775808 % -1", "\xff\u00e4 == 'ö'",
}

func fuzzEnv(t testing.TB) *Env {
	env := testEnv(t)
	env.Answer = answered{doc(t, `{"a": [{"b": 1}]}`)}
	env.Call = func(string, string, []any) (any, error) { return nil, errors.New("no") }
	return env
}

// FuzzCompile: every text compiles or is a *SyntaxError with a place inside it.
func FuzzCompile(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := Compile(text, Options{JSONPath: true})
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.Code == "" || e.Message == "" || e.Offset < 0 || e.Length < 0 || e.Offset > len(text) {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		for _, r := range x.Refs() {
			if r.Name == "" || r.Offset < 0 || r.Length < 1 || r.Offset+r.Length > len(text) {
				t.Fatalf("%q: reference %+v", text, r)
			}
		}
		x.StaticKind()
		x.Sides()
	})
}

// FuzzEval: an evaluation gives a value of the model or an error of ours, and
// explaining it gives the same.
func FuzzEval(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, problem := CompileNode(&source.Node{Kind: source.String, Text: text, Value: text, Pos: source.Pos{Line: 1, Column: 1}}, Options{JSONPath: true})
		if problem != nil {
			return
		}
		v, err := x.Eval(fuzzEnv(t))
		explained, operands, explainErr := x.Explain(fuzzEnv(t))
		if (err == nil) != (explainErr == nil) {
			t.Fatalf("%q: evaluated %v, explained %v", text, err, explainErr)
		}
		for _, o := range operands {
			if o.Text == "" {
				t.Fatalf("%q: an operand without text", text)
			}
			value.KindOf(o.Value)
		}
		if err != nil {
			var at *Located
			if !errors.As(err, &at) || err.Error() == "" {
				t.Fatalf("%q: error %#v without a place", text, err)
			}
			return
		}
		if !value.Equal(v, explained) && v == v { //nolint:gocritic // NaN is no value of the model
			t.Fatalf("%q: evaluated %v, explained %v", text, v, explained)
		}
		value.Compact(v)
	})
}

// FuzzTemplate: a text without placeholders is itself, any other evaluates or
// fails with an error of ours.
func FuzzTemplate(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
		f.Add("a ${" + s + "} b {{" + s + "}}")
	}
	f.Add("$${a} \\{{ b }} ${c:'}'}")
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := CompileTemplate(text, Options{})
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(text) {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		v, err := tmpl.Eval(fuzzEnv(t))
		if err == nil {
			value.KindOf(v)
		}
		printed, err := tmpl.Text(fuzzEnv(t))
		if s, ok := v.(string); ok && err == nil && len(tmpl.Refs()) == 0 && !tmpl.impure && printed != s {
			t.Fatalf("%q: %q and printed %q", text, s, printed)
		}
	})
}

func BenchmarkEval(b *testing.B) {
	for name, text := range map[string]string{
		"name": "status", "path": "body.items[0].sku", "comparison": "status == 201", "assertion": `body.items[1].sku == "B2" and status < 300`,
		"predicate": "all(body.items, .price > 1)", "method": "name.upper() == 'ADA'",
	} {
		b.Run(name, func(b *testing.B) {
			x, err := Compile(text, Options{})
			if err != nil {
				b.Fatal(err)
			}
			env := testEnv(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Eval(env); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTemplate(b *testing.B) {
	tmpl, err := CompileTemplate("http://host/${name}/items/${body.id}", Options{})
	if err != nil {
		b.Fatal(err)
	}
	env := testEnv(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tmpl.Eval(env); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for name, text := range map[string]string{"path": "body.items.sku", "comparison": `body.items[1].sku == "B2" and status < 300`} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile(text, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
