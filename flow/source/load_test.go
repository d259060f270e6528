package source

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestExplainTmp(t *testing.T) {
	for _, in := range []string{
		"a: 1\n\tb: 2\n", "a:\n\tb: 2\n", "a: b: c\n", "a: {{ x }}\n", "a: {{ x }}/y # c\n", "a: {b: ${x}, c: 1}\n", "- *\n", "a: *.json\n", "a: - b\n",
		"x:\n - \"a\" in b\n", "a: \"\\d+\\.\"\n", "a: 1\nb:2\nc: 3\n", "a: \"x\nb: 1\n", "a: [1, 2\nb: 1\n", "s:\n  - a: 1\n  b: 2\n", "s:\n  a: 1\n b: 2\n", "n: x\n   s: 1\n", "? {a: b}\n: c\n",
		"a: @x\n", "a: {b: #uuid, c: d}\n", "b: *zz\n", "a: >\n\tx\n", "a: !flaky x == 1\n", "a: `x`\n", "a: \"b\" c\n", "a: 'it's'\n", "a: |\n   x\n  y\nb: 1\n", "a:\n  - b\n c: 1\n", "key\nb: 1\n", "a: }\n", "a: b\n- c\n", "- c\na: b\n",
		"id: #uuid\n", "a: 1\nb: 2\na: 3\n", "a: {b 1, c}\nd: {x y: }\n[", "a: 'x\n", "- name: x\n    y: 1\n", "a: .inf\n", "x: &a [*a]\n", "<<<<<<< HEAD\na: 1\n=======\na: 2\n",
	} {
		docs, ps := Load("f.yaml", []byte(in))
		fmt.Printf("%q docs=%d\n", in, len(docs))
		for _, p := range ps {
			fmt.Printf("    %s text=%q fix=%q\n", p.Error(), p.Text, p.Fix)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("a: 1\nb: [x, 'y', \"z\\n\"]\n")
	f.Add("a: |\n  x\n   y\n\n  z\nb: >-\n  f\n  g\n\n  h\n")
	f.Add("a: &x !raw \"q\"\nb: *x\n<<: {c: 1}\n")
	f.Fuzz(func(t *testing.T, in string) {
		docs, _ := Load("f", []byte(in))
		text := newText("f", []byte(in))
		for _, d := range docs {
			checkPlaces(t, text, d, 0)
		}
	})
}

func checkPlaces(t *testing.T, text *text, n *Node, depth int) {
	if depth > 50 {
		return
	}
	for _, i := range n.Items {
		checkPlaces(t, text, i, depth+1)
	}
	for _, e := range n.Entries {
		checkPlaces(t, text, e.Key, depth+1)
		checkPlaces(t, text, e.Value, depth+1)
	}
	if n.Kind != String {
		return
	}
	if n.Style == DoubleQuoted && strings.ContainsAny(text.plain, "\\") {
		return
	}
	for i, r := range n.Text {
		if r == '\n' || r == ' ' || r == '\t' || r == utf8.RuneError {
			continue
		}
		at := n.At(i)
		if got := text.charAt(at.Line, at.Column); got != r {
			t.Fatalf("%q style %d at %s: offset %d of %q is %q in the file, want %q", text.plain, n.Style, n.Pos, i, n.Text, got, r)
		}
	}
}
