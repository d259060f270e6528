package source

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the golden file should hold")

// TestExplanations compares what is said about broken YAML with
// testdata/explanations.txt: the input, then place, sentence, offending text,
// hint and corrected line.
func TestExplanations(t *testing.T) {
	var b strings.Builder
	for _, in := range []string{
		"a: 1\n\tb: 2\n", "a:\n\tb: 2\n", "a: >\n\tx\n",
		"a: b: c\n", "url: http://x: y # c\n", "a: {{ x }}\n", "a: {{ x }}/y # c\n", "a: {b: ${x}, c: 1}\n", "a: [1, ${x}.y]\n",
		"- *\n", "a: *.json\n", "b: *zz\n", "a: [1, *zz]\n", "a: @x\n", "a: `x`\n", "a: %x\n", "a: }\n", "a: > 5\n", "- !a == b\n", "a: !x y\n",
		"a: - b\n", "x:\n - \"a\" in b\n", "a: \"b\" c\n", "a: 'it's'\n", "a: \"\\d+\\.\"\n", "a: \"\\xZZ\"\n", "a: \"C:\\Users\"\n",
		"a: 1\nb:2\nc: 3\n", "a: 1\nb\nc: 3\n", "a: 1\nb c d\ne: 3\n",
		"a: \"x\nb: 1\n", "a: 'x\n", "a: [1, 2\nb: 1\n", "a: {b: 1\n", "a: [1 2\n", "a: {b: c d: e}\n", "a: [x == 1, b[0].c == 2]\n", "a: [b[0].c == 2, x == 1]\n", "a: [x in [1, 2], y]\n", "a: [[1] 2]\n", "a: {b: #uuid, c: d}\n", "a: [x, #y]\nb: 1\n",
		"s:\n  - a: 1\n  b: 2\n", "s:\n  - a: 1\n    c: 1\n  a: 2\n", "s:\n  a: 1\n b: 2\n", "n: x\n   s: 1\n", "n: x\n\n  - s: 1\n", "- name: x\n    y: 1\n",
		"a: |\n   x\n  y\nb: 1\n", "a:\n  - b\n c: 1\n", "key\nb: 1\n", "a: b\n- c\n", "- c\na: b\n", "a: {b 1, c}\nd: {x y: }\n[",
		"<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> x\n", "%YAML 3.0\n---\na: 1\n", "--- a\n--- [b\n", "a: 1\n... x\n", "? a\n? b\n: [\n", "a: &\n", "&a &b c\n", "a: |x\n  y\n",
	} {
		_, problems := Load("f", []byte(in))
		fmt.Fprintf(&b, "%q\n", in)
		if len(problems) == 0 {
			t.Errorf("%q was accepted", in)
		}
		for _, p := range problems {
			fmt.Fprintf(&b, "  %s %s %s\n    text %q\n    hint %s\n", p.Pos, p.Code, p.Message, p.Text, p.Hint)
			if p.Fix != "" {
				fmt.Fprintf(&b, "    fix  %q\n", p.Fix)
			}
		}
	}
	const file = "testdata/explanations.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("what is said changed (-want +got):\n%s", diff)
	}
}
