package jsonpath

import (
	"errors"
	"regexp/syntax"
	"testing"

	"github.com/testmesh/testmesh/flow/value"
)

const fuzzDocument = `{"a":{"b":[1,2.5,{"c":null,"d":"text"}],"e":""},"list":[[],{},[true,false],"a.b"],"":0,"'":"\\"}`

// fuzzVisits keeps one input of a fuzz run fast.
const fuzzVisits = 20_000

func FuzzParse(f *testing.F) {
	for _, c := range corpus(f) {
		f.Add(c.path)
	}
	document := decode(f, fuzzDocument)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(text) || syntax.Message == "" || syntax.Text != text {
				t.Fatalf("%q: not a placed error: %#v", text, err)
			}
			return
		}
		checkAnswer(t, p, document)
	})
}

func FuzzSelect(f *testing.F) {
	for _, c := range corpus(f) {
		f.Add(c.path, value.Compact(c.document))
	}
	f.Fuzz(func(t *testing.T, text, document string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		root, err := value.Decode([]byte(document))
		if err != nil {
			return
		}
		checkAnswer(t, p, root)
	})
}

// checkAnswer checks what holds of every path and document.
func checkAnswer(t *testing.T, p *Path, root any) {
	t.Helper()
	nodes, err := p.nodes(root, fuzzVisits)
	if err != nil {
		if !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
		return
	}
	values, err := p.values(root, fuzzVisits)
	if err != nil || len(values) != len(nodes) {
		t.Fatalf("%s: Select gives %d nodes, Values %d, %v", p, len(nodes), len(values), err)
	}
	for i, n := range nodes {
		if !value.Equal(n.Value, values[i]) {
			t.Fatalf("%s: Select gives %s, Values %s", p, value.Compact(n.Value), value.Compact(values[i]))
		}
		if i < 100 {
			checkNormalized(t, root, n)
		}
	}
	if len(nodes) > 1 && p.Singular() {
		t.Fatalf("%s is singular and selects %d nodes", p, len(nodes))
	}
	checkSingular(t, p, root, nodes)
}

func FuzzPattern(f *testing.F) {
	for _, pattern := range []string{"a.*", `\p{Lu}[^a-c\]]{2,3}`, "(a|b)*", `\.\(\$`, "[-a-]", "^$", "(", "[z-a]", "é{,", `\`, "a{1000}{2}"} {
		f.Add(pattern)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		p, err := compile(pattern, true)
		if err != nil {
			return
		}
		if p.size > maxProgram {
			t.Fatalf("%q has size %d", pattern, p.size)
		}
		// The size that is charged for must not fall far behind the real one.
		re, err := syntax.Parse(p.re.String(), syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		program, err := syntax.Compile(re.Simplify())
		if err != nil || len(program.Inst) > 4*p.size+20 {
			t.Fatalf("%q is charged as %d, compiles to %d, %v", pattern, p.size, len(program.Inst), err)
		}
	})
}

func BenchmarkValues(b *testing.B) {
	list := make([]any, 1000)
	for i := range list {
		list[i] = map[string]any{"id": int64(i), "name": "item", "price": float64(i) / 4, "tags": []any{"a", "b"}}
	}
	root := map[string]any{"body": map[string]any{"items": list}}
	for _, path := range []string{"$.body.items[10].name", "$.body.items[*].id", "$.body.items[?@.price > 100].id", "$..id", "$.body.items[?search(@.name, 'te')].id"} {
		p := mustParse(b, path)
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Values(root); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	p := mustParse(b, "$.body.items[10].name")
	b.Run("Get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, found := p.Get(root); !found {
				b.Fatal("not found")
			}
		}
	})
	b.Run("Parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Parse("$.body.items[?@.price > 100 && @.name == 'item'].id"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
