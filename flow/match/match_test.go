package match

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// names is a scope of fixed names.
type names map[string]any

func (n names) Lookup(name string) (any, bool, error) {
	v, ok := n[name]
	return v, ok, nil
}

func parse(t testing.TB, yaml string) *source.Node {
	t.Helper()
	docs, problems := source.Load("match.yaml", []byte(yaml))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return docs[0]
}

func decode(t testing.TB, text string) any {
	t.Helper()
	v, err := value.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMatch(t *testing.T) {
	tests := []struct {
		claim   string
		pattern string
		actual  string
		want    []string // paths that differ; empty: it matches
	}{
		{"a scalar equals by value", `5`, `5.0`, nil},
		{"a number is not a text", `5`, `"5"`, []string{"$"}},
		{"a text is not a number", `"5"`, `5`, []string{"$"}},
		{"null matches null", `null`, `null`, nil},
		{"null is not absent", `{a: null}`, `{}`, []string{"$.a"}},
		{"absent is not null", `{a: "#absent"}`, `{"a": null}`, []string{"$.a"}},
		{"absent matches nothing there", `{a: "#absent"}`, `{"b": 1}`, nil},
		{"a map may hold more", `{a: 1}`, `{"a": 1, "b": 2}`, nil},
		{"a missing key differs", `{a: 1, b: 2}`, `{"a": 1}`, []string{"$.b"}},
		{"nesting is compared", `{a: {b: {c: 1}}}`, `{"a": {"b": {"c": 2}}}`, []string{"$.a.b.c"}},
		{"lists match in order", `[1, 2]`, `[2, 1]`, []string{"$[0]", "$[1]"}},
		{"lists match in length", `[1]`, `[1, 2]`, []string{"$"}},
		{"an empty list is only empty", `[]`, `[1]`, []string{"$"}},
		{"a map is not a list", `{a: 1}`, `[1]`, []string{"$"}},

		{"#string", `"#string"`, `""`, nil},
		{"#string refuses numbers", `"#string"`, `1`, []string{"$"}},
		{"#number takes fractions", `"#number"`, `1.5`, nil},
		{"#integer takes 1.0", `"#integer"`, `1.0`, nil},
		{"#integer refuses 1.5", `"#integer"`, `1.5`, []string{"$"}},
		{"#integer takes what 64 bits cannot", `"#integer"`, `123456789012345678901234567890`, nil},
		{"#boolean", `"#boolean"`, `false`, nil},
		{"#array", `"#array"`, `[]`, nil},
		{"#object", `"#object"`, `{}`, nil},
		{"#null", `"#null"`, `null`, nil},
		{"#null needs it to be there", `{a: "#null"}`, `{}`, []string{"$.a"}},
		{"#notnull", `{a: "#notnull"}`, `{"a": null}`, []string{"$.a"}},
		{"#present takes null", `{a: "#present"}`, `{"a": null}`, nil},
		{"#present needs it to be there", `{a: "#present"}`, `{}`, []string{"$.a"}},
		{"#any needs it to be there", `{a: "#any"}`, `{}`, []string{"$.a"}},
		{"#uuid", `"#uuid"`, `"0190F3B4-7c1e-7000-8000-00000000000a"`, nil},
		{"#uuid refuses braces", `"#uuid"`, `"{0190f3b4-7c1e-7000-8000-00000000000a}"`, []string{"$"}},
		{"#date", `"#date"`, `"2026-02-28"`, nil},
		{"#date refuses days that are none", `"#date"`, `"2026-02-30"`, []string{"$"}},
		{"#datetime", `"#datetime"`, `"2026-02-28T10:00:00.5+01:00"`, nil},
		{"#datetime needs a zone", `"#datetime"`, `"2026-02-28T10:00:00"`, []string{"$"}},
		{"#email", `"#email"`, `"ada@example.org"`, nil},
		{"#email refuses two", `"#email"`, `"a@b@c"`, []string{"$"}},
		{"#email refuses spaces", `"#email"`, `"a b@c.d"`, []string{"$"}},
		{"#uri", `"#uri"`, `"https://example.org/a?b"`, nil},
		{"#uri needs a scheme", `"#uri"`, `"example.org"`, []string{"$"}},
		{"#regex searches", `"#regex \\d{3}"`, `"ab123"`, nil},
		{"#regex may be anchored", `"#regex ^\\d{3}$"`, `"ab123"`, []string{"$"}},
		{"#regex refuses numbers", `"#regex 1"`, `1`, []string{"$"}},
		{"#(…) over the value", `"#(_ > 10 and _ < 20)"`, `15`, nil},
		{"#(…) that does not hold", `"#(_ > 10)"`, `5`, []string{"$"}},
		{"#(…) over the wrong kind fails", `"#(_ > 10)"`, `"x"`, []string{"$"}},
		{"#(…) reads names", `"#(_ == limit)"`, `7`, nil},

		{"## accepts absent", `{a: "##string"}`, `{}`, nil},
		{"## accepts null", `{a: "##string"}`, `{"a": null}`, nil},
		{"## judges what is there", `{a: "##string"}`, `{"a": 1}`, []string{"$.a"}},
		{"##regex", `{a: "##regex ^x"}`, `{}`, nil},
		{"##[]", `{a: "##[1..]"}`, `{"a": []}`, []string{"$.a"}},
		{"##(…)", `{a: "##(_ > 1)"}`, `{}`, nil},

		{"#[] takes any list", `"#[]"`, `[]`, nil},
		{"#[3]", `"#[3]"`, `[1,2]`, []string{"$"}},
		{"#[1..] refuses the empty list", `"#[1..]"`, `[]`, []string{"$"}},
		{"#[..2]", `"#[..2]"`, `[1,2,3]`, []string{"$"}},
		{"#[1..2]", `"#[1..2]"`, `[1,2]`, nil},
		{"#[] with a marker for each", `"#[] #string"`, `["a", 1, "b", 2]`, []string{"$[1]", "$[3]"}},
		{"#[1..] #uuid holds for none but the length", `"#[1..] #uuid"`, `[]`, []string{"$"}},
		{"#[] refuses a map", `"#[]"`, `{}`, []string{"$"}},

		{`\# is text`, `'\#string'`, `"#string"`, nil},
		{`\$ is a key`, `{'\$each': 1}`, `{"$each": 1}`, nil},
		{"$ among several keys is a key", `{$a: 1, b: 2}`, `{"$a": 1, "b": 2}`, nil},

		{"$contains finds in any order", `{$contains: [2, 1]}`, `[1, 3, 2]`, nil},
		{"$contains needs different partners", `{$contains: [1, 1]}`, `[1, 2]`, []string{"$"}},
		{"$contains assigns the best way", `{$contains: ["#number", 1]}`, `[1, 2]`, nil},
		{"$contains nothing", `{$contains: []}`, `[]`, nil},
		{"$unordered", `{$unordered: [{a: 1}, {a: 2}]}`, `[{"a": 2, "b": 0}, {"a": 1}]`, nil},
		{"$unordered leaves none over", `{$unordered: [1]}`, `[1, 2]`, []string{"$"}},
		{"$unordered names who is alone", `{$unordered: [1, 5]}`, `[1, 2]`, []string{"$"}},
		{"$each", `{$each: {id: "#integer"}}`, `[{"id": 1}, {"id": "x"}]`, []string{"$[1].id"}},
		{"$each holds for the empty list", `{$each: 1}`, `[]`, nil},
		{"$exact refuses more", `{$exact: {a: 1}}`, `{"a": 1, "b": 2}`, []string{"$.b"}},
		{"$exact at any depth", `{$exact: {a: {b: 1}}}`, `{"a": {"b": 1, "c": 2}}`, []string{"$.a.c"}},
		{"$exact ends with its value", `{a: {$exact: {x: 1}}, b: {y: 1}}`, `{"a": {"x": 1}, "b": {"y": 1, "z": 2}}`, nil},
		{"operators refuse what is no list", `{$each: 1}`, `{"a": 1}`, []string{"$"}},

		{"header names ignore case", `{headers: {content-type: "#string"}}`, `{"headers": {"Content-Type": "text/html"}}`, nil},
		{"only headers ignore case", `{body: {Name: 1}}`, `{"body": {"name": 1}}`, []string{"$.body.Name"}},
		{"a header's content does not", `{headers: {x: {Y: 1}}}`, `{"headers": {"X": {"y": 1}}}`, []string{"$.headers.X.Y"}},

		{"a placeholder keeps its type", `{n: "${limit}"}`, `{"n": 7}`, nil},
		{"a placeholder in a text", `"limit ${limit}"`, `"limit 7"`, nil},
		{"a placeholder gives no marker", `"${marker}"`, `"#string"`, nil},
		{"a placeholder in a regex", `"#regex ^${word}$"`, `"abc"`, nil},
		{"!raw is text", `!raw "${limit}"`, `"${limit}"`, nil},
		{"keys that are not plain are quoted", `{"a-b": 1}`, `{"a-b": 2}`, []string{`$["a-b"]`}},
	}
	env := &expr.Env{Scope: names{"limit": int64(7), "marker": "#string", "word": "abc"}}
	for _, tt := range tests {
		t.Run(tt.claim, func(t *testing.T) {
			p, problems := Compile(parse(t, tt.pattern), expr.Options{})
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			found, err := p.Match(decode(t, tt.actual), env)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range found {
				got = append(got, m.Path)
				if m.Message == "" || !strings.Contains(m.Message, m.Path) {
					t.Errorf("the message %q does not name %s", m.Message, m.Path)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("paths that differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPatternsThatAreWrong(t *testing.T) {
	tests := []struct{ claim, pattern, want string }{
		{"an unknown marker", `"#strnig"`, `unknown marker "#strnig"; did you mean "string"?`},
		{"text that begins with #", `"#12"`, `text that begins with # is written \#12`},
		{"an unknown operator", `{$contain: []}`, `did you mean "$contains"?`},
		{"a regex that does not compile", `"#regex ("`, "missing closing )"},
		{"a regex that is not there", `"#regex"`, "without an expression"},
		{"a length that cannot be read", `"#[x]"`, `cannot read "#[x]"`},
		{"a length upside down", `"#[3..1]"`, `cannot read "#[3..1]"`},
		{"an empty range", `"#[..]"`, `cannot read "#[..]"`},
		{"a condition without an end", `"#(_ > 1"`, "closing parenthesis is missing"},
		{"a condition that is no condition", `"#(_ + 1)"`, ""},
		{"a condition of another kind", `"#('x')"`, "gives a string"},
		{"$contains without a list", `{$contains: 1}`, "$contains takes a list"},
		{"##absent", `{a: "##absent"}`, "says nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.claim, func(t *testing.T) {
			_, problems := Compile(parse(t, tt.pattern), expr.Options{})
			if tt.want == "" {
				return
			}
			if err := problems.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a problem with %q", err, tt.want)
			}
		})
	}
}

func TestAPatternThatIsAlreadyAValue(t *testing.T) {
	p, err := CompileValue(decode(t, `{"id": "#uuid", "text": "${not} expanded"}`))
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.Match(decode(t, `{"id": "x", "text": "${not} expanded"}`), &expr.Env{})
	if err != nil || len(found) != 1 || found[0].Path != "$.id" {
		t.Errorf("got %v %v, want $.id alone to differ", found, err)
	}
	if _, err := CompileValue("#wrong"); err == nil {
		t.Error("an unknown marker was accepted")
	}
}

func TestAMissingKeyNamesItsNeighbour(t *testing.T) {
	p, problems := Compile(parse(t, `{body: {price: 1}}`), expr.Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	found, err := p.Match(decode(t, `{"body": {"prize": 1}}`), &expr.Env{})
	if err != nil {
		t.Fatal(err)
	}
	want := `$.body.price is missing, want 1; did you mean "prize"?`
	if len(found) != 1 || found[0].Message != want || !found[0].Missing {
		t.Errorf("got %+v, want %q", found, want)
	}
}

func TestComparisonsAreBounded(t *testing.T) {
	long := make([]any, MaxPartners+1)
	for i := range long {
		long[i] = int64(i)
	}
	p, problems := Compile(parse(t, `{$contains: [1]}`), expr.Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Match(long, &expr.Env{}); err == nil {
		t.Error("a list past the limit was compared in any order")
	}
	each, problems := Compile(parse(t, `{$each: "#string"}`), expr.Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	found, err := each.Match(long, &expr.Env{})
	if err != nil || len(found) != MaxMismatches {
		t.Errorf("got %d mismatches (%v), want %d", len(found), err, MaxMismatches)
	}
}

func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{
		{`{a: "#[1..] #string", b: {$contains: [1, 2]}}`, `{"a": ["x"], "b": [2, 1]}`},
		{`"##regex ^a"`, `null`},
		{`{$exact: {a: "#(_ > 1)"}}`, `{"a": 2}`},
		{`{$unordered: [{}, []]}`, `[[], {}]`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, actual string) {
		docs, problems := source.Load("m.yaml", []byte(pattern))
		if problems.Err() != nil || len(docs) == 0 {
			return
		}
		v, err := value.Decode([]byte(actual))
		if err != nil {
			return
		}
		p, problems := Compile(docs[0], expr.Options{})
		if problems.Err() != nil {
			return
		}
		found, err := p.Match(v, &expr.Env{Scope: names{}})
		if err == nil && len(found) > MaxMismatches+1 {
			t.Errorf("%d mismatches", len(found))
		}
	})
}
