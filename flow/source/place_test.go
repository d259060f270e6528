package source

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestAtFindsEveryStyle(t *testing.T) {
	for _, c := range []struct {
		claim, in string
		find      string // in the text of the key v
		want      string
	}{
		{"plain", "v: ab cd\n", "cd", "f:1:7"},
		{"plain after wide characters", "é: ü cd\n", "cd", "f:1:6"},
		{"plain over lines", "v: ab\n  cd\n\n  ef\n", "ef", "f:4:3"},
		{"single quotes", "v: 'ab cd'\n", "cd", "f:1:8"},
		{"single quotes doubled", "v: 'it''s cd'\n", "cd", "f:1:11"},
		{"single quotes over lines", "v: 'ab\n\n   cd'\n", "cd", "f:3:4"},
		{"double quotes", "v: \"ab cd\"\n", "cd", "f:1:8"},
		{"double quotes with escapes", `v: "a\tb\u00e9\x41 cd"` + "\n", "cd", "f:1:20"},
		{"a quote that is escaped", `v: "\"cd\""` + "\n", "cd", "f:1:7"},
		{"an escaped line break", "v: \"ab\\\n   cd\"\n", "cd", "f:2:4"},
		{"double quotes over lines", "v: \"ab\n   cd ef\"\n", "ef", "f:2:7"},
		{"a literal block", "v: |\n  ab\n\n    cd\n", "cd", "f:4:5"},
		{"a literal block with an indentation", "v: |1\n  ab\n  cd\n", "cd", "f:3:3"},
		{"a literal block with a comment", "v: |- # c\n  ab\n  cd\n", "cd", "f:3:3"},
		{"a folded block", "v: >\n  ab\n  cd\n\n  ef\n", "ef", "f:5:3"},
		{"a folded block with deeper lines", "v: >\n  ab\n    cd\n  ef\n", "ef", "f:4:3"},
		{"a tagged literal block", "v: !raw |\n  ab\n  cd\n", "cd", "f:3:3"},
		{"an anchor before quotes", "v: &a \"x cd\"\n", "cd", "f:1:10"},
		{"a value on the next line", "v:\n  ab cd\n", "cd", "f:2:6"},
		{"a flow list", "v: [ab, 'x cd']\n", "cd", "f:1:12"},
	} {
		t.Run(c.claim, func(t *testing.T) {
			docs, problems := Load("f", []byte(c.in))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			n := docs[0].Entries[0].Value
			if n.Kind == List {
				n = n.Items[1]
			}
			at := strings.Index(n.Text, c.find)
			if at < 0 {
				t.Fatalf("%q is not in %q", c.find, n.Text)
			}
			if got := n.At(at).String(); got != c.want {
				t.Errorf("%q of %q is at %s, want %s", c.find, n.Text, got, c.want)
			}
		})
	}
}

func TestAtOfWhatIsNotInTheFile(t *testing.T) {
	pos := Pos{File: "f", Line: 3, Column: 5}
	if got := NewString(pos, "status in [500]").At(7); got != pos {
		t.Errorf("text of our own: %s", got)
	}
	n := &Node{Kind: String, Text: "ab", Pos: pos}
	if got := n.At(99); got.Column != 7 {
		t.Errorf("an offset past the end: %s", got)
	}
	if got := n.At(-1); got != pos {
		t.Errorf("an offset before the beginning: %s", got)
	}
}

// checkPlaces reads every string of a document back through At.
func checkPlaces(t *testing.T, text *text, n *Node, depth int) {
	if depth > 40 { // aliases make more paths than nodes
		return
	}
	for _, i := range n.Items {
		checkPlaces(t, text, i, depth+1)
	}
	for _, e := range n.Entries {
		checkPlaces(t, text, e.Key, depth+1)
		checkPlaces(t, text, e.Value, depth+1)
	}
	if n.Kind != String || n.Style == DoubleQuoted && strings.ContainsRune(text.plain, '\\') {
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

func TestExcerpt(t *testing.T) {
	data := []byte("one\n\ttwo é three\nthree\n")
	got := Excerpt(data, Pos{Line: 2, Column: 6}, 3, 1)
	want := []Line{{Number: 1, Text: "one"}, {Number: 2, Text: " two é three", Column: 6, Width: 3}, {Number: 3, Text: "three"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		pos   Pos
		width int
		want  []Line
	}{
		{Pos{Line: 9, Column: 1}, 1, nil},
		{Pos{}, 1, nil},
		{Pos{Line: 1, Column: 99}, 5, []Line{{Number: 1, Text: "one", Column: 4, Width: 1}}},
		{Pos{Line: 1, Column: 2}, 99, []Line{{Number: 1, Text: "one", Column: 2, Width: 2}}},
		{Pos{Line: 1, Column: 1}, 0, []Line{{Number: 1, Text: "one", Column: 1, Width: 1}}},
		{Pos{Line: 1}, 1, []Line{{Number: 1, Text: "one"}}},
	} {
		if diff := cmp.Diff(c.want, Excerpt(data, c.pos, c.width, 0)); diff != "" {
			t.Errorf("%v: %s", c.pos, diff)
		}
	}
}

func TestCorrected(t *testing.T) {
	data := []byte("é: abc # c\r\n")
	if got := Corrected(data, Pos{Line: 1, Column: 4}, "abc", "x"); got != "é: x # c" {
		t.Errorf("got %q", got)
	}
	for _, pos := range []Pos{{Line: 1, Column: 5}, {Line: 2, Column: 4}, {Line: 1, Column: 99}, {}} {
		if got := Corrected(data, pos, "abc", "x"); got != "" {
			t.Errorf("%v: got %q, want none", pos, got)
		}
	}
}

func TestSuggest(t *testing.T) {
	if got := Suggest("asert", []string{"assert", "match"}); got != `did you mean "assert"?` {
		t.Errorf("got %q", got)
	}
	if got := Suggest("zzzzzz", []string{"assert"}); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestProblemsAsErrors(t *testing.T) {
	note := Problem{Severity: Note, Message: "a note", Pos: Pos{File: "f", Line: 1}}
	bad := Problem{Severity: Error, Message: "bad", Hint: "do this", Pos: Pos{File: "f", Line: 2, Column: 3}}
	if err := (Problems{note}).Err(); err != nil {
		t.Errorf("notes are an error: %v", err)
	}
	if err := (Problems{note, bad, bad}).Err(); err == nil || err.Error() != "f:2:3: bad; do this (and 1 more)" {
		t.Errorf("got %v", err)
	}
	if got := (Problems{}).Error(); got != "no problems" {
		t.Errorf("got %q", got)
	}
	if got := note.Error(); got != "f:1: a note" {
		t.Errorf("got %q", got)
	}
}
