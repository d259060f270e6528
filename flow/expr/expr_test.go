package expr

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/value"
)

// names is a Scope that holds a map.
type names map[string]any

func (n names) Lookup(name string) (any, bool, error) {
	v, ok := n[name]
	if err, failed := v.(error); failed {
		return nil, false, err
	}
	return v, ok, nil
}

func (n names) Outcome(id string) (string, bool) {
	s, ok := n["outcome "+id].(string)
	return s, ok
}

// doc is JSON as a value.
func doc(t testing.TB, text string) any {
	t.Helper()
	v, err := value.Decode([]byte(text))
	if err != nil {
		t.Fatalf("decode %s: %v", text, err)
	}
	return v
}

const answer = `{
	"status": 201, "price": 59.80, "big": 9007199254740993, "huge": 123456789012345678901234567890,
	"exact": 0.1234567890123456789012345, "name": "Ada", "empty": "", "nothing": null, "ok": true, "zero": 0,
	"one": 1.0, "tags": ["a","b","c"], "none": [], "numbers": [3, 1, 2],
	"body": {"id": 7, "user": {"name": "Ada", "email": "ada@acme.dev"}, "deleted_at": null,
		"items": [{"sku":"A1","price":10.5,"qty":2},{"sku":"B2","price":3,"qty":1}], "length": 99, "sum": 5, "contains": "x"},
	"headers": {"Content-Type": "application/json", "X-Id": "1"}, "header_values": {"Set-Cookie": ["a","b"]},
	"create": {"body": {"id": 7}}, "steps": {"a-b": {"id": 1}}
}`

func testEnv(t testing.TB) *Env {
	t.Helper()
	seed := uint64(0)
	return &Env{
		Scope: names(doc(t, answer).(map[string]any)),
		Zone:  time.LoadLocation,
		Now:   func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC) },
		Random: drawn(func() uint64 {
			seed += 0x9E3779B97F4A7C15
			z := (seed ^ seed>>30) * 0xBF58476D1CE4E5B9
			return z ^ z>>27
		}),
	}
}

// run compiles and evaluates; an error is its message.
func run(t *testing.T, text string) any {
	t.Helper()
	x, err := Compile(text, Options{Function: func(name string) bool { return name == "crc.sum" }})
	if err != nil {
		return "SYNTAX " + complaint(t, err)
	}
	env := testEnv(t)
	env.Call = func(_, name string, args []any) (any, error) {
		return map[string]any{"called": name, "args": args}, nil
	}
	v, err := x.Eval(env)
	if err != nil {
		return failure(err)
	}
	return v
}

func complaint(t *testing.T, err error) string {
	t.Helper()
	var e *SyntaxError
	if !errors.As(err, &e) {
		t.Fatalf("error is a %T, want *SyntaxError: %v", err, err)
	}
	if e.Hint != "" {
		return e.Message + "; " + e.Hint
	}
	return e.Message
}

func failure(err error) string {
	var missing *MissingError
	var wrong *ValueError
	var limit *LimitError
	var cut *CutError
	switch {
	case errors.As(err, &missing):
		return "MISSING " + err.Error()
	case errors.As(err, &wrong):
		return "VALUE " + err.Error()
	case errors.As(err, &limit):
		return "LIMIT " + err.Error()
	case errors.As(err, &cut):
		return "CUT " + err.Error()
	}
	return "ERROR " + err.Error()
}

type claim struct {
	name, text string
	want       any
}

func check(t *testing.T, claims []claim) {
	t.Helper()
	for _, c := range claims {
		t.Run(c.name, func(t *testing.T) {
			got := run(t, c.text)
			same := value.Equal
			if _, isText := c.want.(string); isText {
				same = func(a, b any) bool { return a == b }
			}
			if c.want == "SYNTAX" { // in the words of a library
				c.want = got
				if text, ok := got.(string); !ok || !strings.HasPrefix(text, "SYNTAX not ") {
					t.Errorf("%s\n got %s\nwant a syntax error", c.text, show(got))
				}
			}
			if !same(normal(got), normal(c.want)) {
				t.Errorf("%s\n got %s\nwant %s", c.text, show(got), show(c.want))
			}
		})
	}
}

func normal(v any) any {
	n, err := value.Normalize(v)
	if err != nil {
		panic(err)
	}
	return n
}

func show(v any) string { return value.Describe(normal(v), 400) }

func TestLiterals(t *testing.T) {
	check(t, []claim{
		{"an integer", "42", 42},
		{"digits may have underscores", "1_000", 1000},
		{"a fraction", "1.5", 1.5},
		{"a fraction without a leading zero", ".5", 0.5},
		{"an exponent", "2e3", 2000},
		{"hex", "0xFF", 255},
		{"binary", "0b101", 5},
		{"octal", "0o17", 15},
		{"an integer past 64 bits keeps its digits", "123456789012345678901234567890 == huge", true},
		{"and is unequal to its neighbour", "123456789012345678901234567891 == huge", false},
		{"the smallest 64-bit integer", "-9223372036854775808", int64(-9223372036854775808)},
		{"double quotes", `"a\tb"`, "a\tb"},
		{"single quotes", `'it\'s'`, "it's"},
		{"backticks are raw", "`a\\b`", `a\b`},
		{"a list", "[1, 'x', nil]", []any{1, "x", nil}},
		{"a map", `{a: 1, "b c": [true]}`, map[string]any{"a": 1, "b c": []any{true}}},
		{"a computed key", `{("k" + "1"): 2}`, map[string]any{"k1": 2}},
		{"null is nil", "null == nil", true},
		{"a comment is no part of it", "1 /* one */ + 2 // three", 3},
	})
}

func TestPaths(t *testing.T) {
	check(t, []claim{
		{"a name", "status", 201},
		{"a member", "body.user.name", "Ada"},
		{"a member in brackets", `body["user"]["name"]`, "Ada"},
		{"an index", "body.items[1].sku", "B2"},
		{"a negative index counts from the end", "tags[-1]", "c"},
		{"a computed index", "tags[status - 200]", "b"},
		{"a step id with a hyphen", `steps["a-b"].id`, 1},
		{"a member named like an operator", "body.contains", "x"},
		{"header names ignore case", `headers["content-type"]`, "application/json"},
		{"header names ignore case as members", `header_values["set-cookie"][1]`, "b"},
		{"other maps do not ignore case", `body["ID"]`, `MISSING body["ID"] is missing: body has no "ID"; did you mean "id"?`},
		{"length of a list", "tags.length", 3},
		{"length of a string", "name.length", 3},
		{"a member named length wins", "body.length", 99},
		{"a slice", "tags[1:]", []any{"b", "c"}},
		{"a slice of a string", "name[:2]", "Ad"},
		{"a negative slice", "tags[-2:-1]", []any{"b"}},
		{"a missing name", "nobody", "MISSING nobody is missing"},
		{"a missing member names the nearest", "create.body.idd", `MISSING create.body.idd is missing: create.body has no "idd"; did you mean "id"?`},
		{"a missing member far above is reported whole", "create.bdy.user.id", `MISSING create.bdy.user.id is missing: create has no "bdy"; did you mean "body"?`},
		{"a missing member with no near name lists what there is", "create.body.zzzzz", `MISSING create.body.zzzzz is missing: create.body has no "zzzzz"; it has "id"`},
		{"an index past the end", "tags[3]", `MISSING tags[3] is missing: tags has 3 elements, so no [3]`},
		{"a member of null", "nothing.id", `MISSING nothing.id is missing: nothing is null, which has no "id"`},
		{"a member of a number", "status.id", `MISSING status.id is missing: status is a number, which has no "id"`},
		{"a member of a list hints at its elements", "body.items.sku", `MISSING body.items.sku is missing: body.items is an array, which has no "sku"; did you mean "body.items[0].sku"?`},
	})
}
