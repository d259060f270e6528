package expr

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/flow/value"
)

// grammar writes random expressions: every production, right or wrong kinds.
type grammar struct {
	*rand.Rand
	inside int // predicates around
}

func (g *grammar) one(of ...string) string { return of[g.IntN(len(of))] }

func (g *grammar) leaf() string {
	leaves := []string{
		"status", "price", "big", "huge", "exact", "name", "empty", "nothing", "ok", "tags", "none", "numbers", "body", "headers",
		"nobody", "body.items", "body.user.name", "body.zip", "1", "-2", "0", "2.5", "1e30", "123456789012345678901", "'a'", `"x${name}"`,
		"'${status}'", "true", "false", "nil", "null", "[]", "{}", "${PORT:80}", "now()", "duration('1h')", "UUID", "$status", "body.items[0]",
	}
	if g.inside > 0 {
		leaves = append(leaves, "#", "#index", "#acc", ".qty", ".sku", `"<${#}>"`)
	}
	return leaves[g.IntN(len(leaves))]
}

func (g *grammar) expr(depth int) string {
	if depth == 0 {
		return g.leaf()
	}
	e := func() string { return g.expr(depth - 1) }
	switch g.IntN(16) {
	case 0:
		return e() + " " + g.one("+", "-", "*", "/", "%", "**", "^") + " " + e()
	case 1:
		return e() + " " + g.one("==", "!=", "<", "<=", ">", ">=", "in", "not in", "contains", "matches", "starts_with", "ends_with", "..") + " " + e()
	case 2:
		return e() + " " + g.one("exists", "not exists", "is null", "is not null", "is string", "is not number", "is integer")
	case 3:
		return e() + " " + g.one("and", "or", "&&", "||") + " " + e()
	case 4:
		return g.one("not ", "!", "-", "+") + e()
	case 5:
		return "(" + e() + " ?? " + e() + ")"
	case 6:
		return e() + " ? " + e() + " : " + e()
	case 7:
		return g.one("(%s)[%s]", "(%s)?.[%s]", "(%s)[%s:]", "[%s, %s]", "{a: %s, b: %s}", "min(%s, %s)", "get(%s, %s)", "concat(%s, %s)", "split(%s, %s)")
	case 8:
		return "(" + e() + ")" + g.one(".a", ".length", "?.id", ".upper()", ".sum()", ".keys()", ".Year()", ".substring(1)", ".headers['x']")
	case 9:
		names := FunctionNames()
		return names[g.IntN(len(names))] + "(" + strings.Join([]string{e(), e(), e()}[:g.IntN(4)], ", ") + ")"
	case 10, 11:
		g.inside++
		body := g.expr(depth - 1)
		g.inside--
		name := g.one("all", "any", "none", "one", "filter", "map", "count", "find", "findIndex", "findLast", "groupBy", "countBy", "sortBy", "reduce", "sum")
		return name + "(" + g.one("numbers", "tags", "body.items", "none", "1..3", e()) + ", " + body + ")"
	case 12:
		return "(let v = " + e() + "; " + strings.ReplaceAll(e(), "status", "v") + ")"
	case 13:
		return g.one("${%s}", "{{ %s }}", "(%s)", "len(%s)", "string(%s)", "toJSON(%s)", "first(%s)")
	case 14:
		return e() + " | " + g.one("len()", "string()", "map(#)", "first()", "keys()", "type()")
	}
	return e()
}

// fill puts expressions where a production left %s.
func (g *grammar) fill(depth int) string {
	text := g.expr(depth)
	for strings.Contains(text, "%s") {
		text = strings.Replace(text, "%s", g.leaf(), 1)
	}
	return text
}

func TestRandomExpressionsKeepTheRules(t *testing.T) {
	g := &grammar{Rand: rand.New(rand.NewPCG(1, 2))}
	evaluated, failed, refused := 0, 0, 0
	for range 5_000 {
		text := g.fill(1 + g.IntN(4))
		x, err := Compile(text, Options{})
		if err != nil {
			complaint(t, err)
			refused++
			continue
		}
		v, err := x.Eval(fuzzEnv(t))
		explained, operands, explainErr := x.Explain(fuzzEnv(t))
		if fmt.Sprint(err) != fmt.Sprint(explainErr) || !value.Equal(v, explained) {
			t.Fatalf("%s\nevaluated %v, %v\nexplained %v, %v", text, v, err, explained, explainErr)
		}
		for _, o := range operands {
			if !strings.Contains(text, o.Text) && !strings.Contains(o.Text, "#") {
				t.Fatalf("%s\nhas no part %q", text, o.Text)
			}
		}
		if err != nil {
			checkFailure(t, text, err)
			failed++
			continue
		}
		evaluated++
		checkKind(t, text, x, v)
	}
	if evaluated < 500 || failed < 500 || refused < 150 {
		t.Errorf("%d evaluated, %d failed, %d refused: the grammar tries too little", evaluated, failed, refused)
	}
}

func checkFailure(t *testing.T, text string, err error) {
	t.Helper()
	var missing *MissingError
	var wrong *ValueError
	var limit *LimitError
	switch {
	case errors.As(err, &missing):
		if missing.Length <= 0 || missing.Offset < 0 || missing.Offset+missing.Length > len(text) {
			t.Fatalf("%s\n%v has no place: %+v", text, err, *missing)
		}
	case errors.As(err, &wrong):
		if wrong.Length <= 0 || wrong.Offset < 0 || wrong.Offset+wrong.Length > len(text) {
			t.Fatalf("%s\n%v has no place: %+v", text, err, *wrong)
		}
	case !errors.As(err, &limit):
		t.Fatalf("%s\n%#v is none of ours", text, err)
	}
}

// checkKind: what is known before a run is true after it.
func checkKind(t *testing.T, text string, x *Expr, v any) {
	t.Helper()
	if kind := x.StaticKind(); kind != "" && kind != string(value.KindOf(v)) {
		t.Fatalf("%s\nis a %s before the run and %s after", text, kind, value.Describe(v, 80))
	}
	if c, ok := x.Constant(); ok && !value.Equal(c, v) {
		t.Fatalf("%s\nis %s as a constant and %s", text, show(c), show(v))
	}
}
