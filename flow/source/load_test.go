package source

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/value"
)

// decode is the value of one document that must load without a word.
func decode(t *testing.T, in string) any {
	t.Helper()
	v, problems := Decode("f.yaml", []byte(in))
	if len(problems) > 0 {
		t.Fatalf("%q: %v", in, problems)
	}
	return v
}

func TestScalarsHaveTheTypesOfYAML12(t *testing.T) {
	for _, c := range []struct {
		in   string
		want any
	}{
		{"~", nil},
		{"null", nil},
		{"Null", nil},
		{"NULL", nil},
		{"", nil},
		{"true", true},
		{"True", true},
		{"FALSE", false},
		{"yes", "yes"},
		{"no", "no"},
		{"on", "on"},
		{"off", "off"},
		{"y", "y"},
		{"0", int64(0)},
		{"-5", int64(-5)},
		{"9223372036854775807", int64(9223372036854775807)},
		{"0x1F", int64(31)},
		{"0o17", int64(15)},
		{"0x", "0x"},
		{"0xZZ", "0xZZ"},
		{"0b11", "0b11"},
		{"1.5", 1.5},
		{".5", 0.5},
		{"-.5", -0.5},
		{"5.", int64(5)},
		{"1e3", 1000.0},
		{"+1.5", 1.5},
		{"1.5e+3", 1500.0},
		{"007", "007"},
		{"-007", "-007"},
		{"01.5", "01.5"},
		{"00", "00"},
		{"+49123", "+49123"},
		{"1_000", "1_000"},
		{"2024-01-02", "2024-01-02"},
		{"12:30", "12:30"},
		{"1.2.3", "1.2.3"},
		{"1e", "1e"},
		{".", "."},
		{"-", []any{nil}},
		{"1e+-3", "1e+-3"},
		{`"5"`, "5"},
		{"'true'", "true"},
		{"!!str 5", "5"},
		{"! 5", "5"},
		{"!!int 5", int64(5)},
		{"!!float 1.5", 1.5},
		{"!!bool true", true},
		{"!!null null", nil},
		{"|\n 5\n", "5\n"},
		{">\n a\n b\n", "a b\n"},
		{`"a\tb\u00e9"`, "a\tbé"},
	} {
		if diff := cmp.Diff(c.want, decode(t, c.in)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.in, diff)
		}
	}
}

func TestNumbersStayExact(t *testing.T) {
	for _, in := range []string{"0.12345678901234567890", "123456789012345678901234567890", "0xFFFFFFFFFFFFFFFFFFFF"} {
		want := in
		if strings.HasPrefix(in, "0x") {
			want = "1208925819614629174706175"
		}
		if got := value.Compact(decode(t, in)); got != want {
			t.Errorf("%s became %s", in, got)
		}
	}
}

func TestCollectionsAndDocuments(t *testing.T) {
	docs, problems := Load("f.yaml", []byte("# head\na: {b: [1, x]}\n---\n\n---\n- 1\n...\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []any
	for _, d := range docs {
		got = append(got, d.Plain())
	}
	want := []any{map[string]any{"a": map[string]any{"b": []any{int64(1), "x"}}}, nil, []any{int64(1)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, problems := Decode("f.yaml", []byte("a: 1\n---\nb: 2\n")); len(problems) != 1 || problems[0].Pos.Line != 3 {
		t.Errorf("two documents: %v", problems)
	}
}

func TestAliasesAndMergesAreExpanded(t *testing.T) {
	for _, c := range []struct {
		in   string
		want any
	}{
		{"a: &x [1]\nb: *x\n", map[string]any{"a": []any{int64(1)}, "b": []any{int64(1)}}},
		{"a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n", map[string]any{"a": map[string]any{"p": int64(1), "q": int64(2)}, "b": map[string]any{"p": int64(1), "q": int64(3)}}},
		{"b:\n  q: 3\n  <<: [{p: 1}, {p: 2, r: 4, q: 5}]\n", map[string]any{"b": map[string]any{"q": int64(3), "p": int64(1), "r": int64(4)}}},
		{"\"<<\": 1\n", map[string]any{"<<": int64(1)}},
		{"a: &k key\n*k : 1\n", map[string]any{"a": "key", "key": int64(1)}},
	} {
		if diff := cmp.Diff(c.want, decode(t, c.in)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.in, diff)
		}
	}
}

func TestRawCoversEverythingBelow(t *testing.T) {
	docs, problems := Load("f", []byte("x: &x ${a}\ns: !raw |\n  ${a}\nm: !raw {k: [v, *x]}\np: *x\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	d := docs[0]
	for name, n := range map[string]*Node{"s": d.Get("s"), "m": d.Get("m"), "m.k[0]": d.Get("m").Get("k").Items[0], "m.k[1]": d.Get("m").Get("k").Items[1]} {
		if n.Tag != "!raw" {
			t.Errorf("%s is not raw", name)
		}
	}
	if d.Get("x").Tag != "" || d.Get("p").Tag != "" {
		t.Error("what stands outside became raw")
	}
}

// TestProblems has every kind of broken file with its place, offending text and
// first words; the sentences are golden in TestExplanations.
func TestProblems(t *testing.T) {
	for _, c := range []struct {
		claim, in string
		code      Code
		at        string
		text      string
		message   string
	}{
		{"a key twice names both lines", "a: 1\nb: 2\na: 3\n", CodeYAML, "f:3:1", "a", `the key "a" on line 3 is already set on line 1`},
		{"two spellings of one key", "1: x\n'1': y\n", CodeYAML, "f:2:1", "1", `the key "1" on line 2 is already set on line 1`},
		{"an infinity", "a: .inf\n", CodeYAML, "f:1:4", ".inf", ".inf is a number that JSON does not have"},
		{"not a number", "a: [-.NaN]\n", CodeYAML, "f:1:5", "-.NaN", "-.NaN is a number that JSON does not have"},
		{"a huge exponent", "a: 1e99999\n", CodeYAML, "f:1:4", "1e99999", "parse decimal"},
		{"a foreign tag", "a: !!binary aGk=\n", CodeYAML, "f:1:4", "!!binary", "!!binary is a YAML tag"},
		{"a tag that lies", "a: !!int x\n", CodeYAML, "f:1:10", "x", `"x" is not what its tag !!int says`},
		{"a map that is tagged a list", "a: !!seq {}\n", CodeYAML, "f:1:10", "!!seq", "the tag !!seq stands before a map"},
		{"a list as a key", "? [a]\n: 1\n", CodeYAML, "f:1:3", "[a]", "a list cannot be a key"},
		{"no key", ": 1\n", CodeYAML, "f:1:1", ":", "this entry has no key"},
		{"a circle of aliases", "a: &x\n  b: *x\n", CodeCycle, "f:2:6", "*x", `the anchor "x" holds itself`},
		{"an unknown alias", "a: [*x]\n", CodeYAML, "f:1:5", "*x", "no anchor &x stands above"},
		{"a merge of a list", "<<: [1]\n", CodeYAML, "f:1:6", "1", "<< merges maps"},
		{"binary", "a\x00b", CodeYAML, "f:1:2", "", "this is a binary file"},
		{"a control character", "a: 1\nbé: \x01\n", CodeYAML, "f:2:5", "", "the control character 0x01"},
		{"broken UTF-8", "a: 1\nbé: \xff\n", CodeYAML, "f:2:5", "", "the byte 0xFF is not UTF-8"},
		{"UTF-16", "\xff\xfea\x00", CodeYAML, "f:1:1", "", "the file is UTF-16"},
		{"a noncharacter", "a: \uffff\n", CodeYAML, "f:1:4", "", "the character U+FFFF"},
		{"deep brackets", strings.Repeat("[", 300) + strings.Repeat("]", 300), CodeLimit, "f:1:201", strings.Repeat("[", 100) + strings.Repeat("]", 100) + "…", "lists and maps nest deeper than 200"},
		{"deep blocks", strings.Repeat("- ", 300) + "a", CodeLimit, "f:1:401", strings.Repeat("- ", 100) + "…", "lists and maps nest deeper than 200"},
		{"too large", strings.Repeat("a", MaxSize+1), CodeLimit, "f", "", "the file has 1048577 bytes"},
		{"an alias bomb", bomb(12), CodeLimit, "f:4:25", "*a2", "aliases expand the file to more than 10 times"},
		{"an unknown alias inside !raw", "z: !raw [*x]\n", CodeYAML, "f:1:10", "*x", "no anchor &x stands"},
	} {
		t.Run(c.claim, func(t *testing.T) {
			_, problems := Load("f", []byte(c.in))
			if len(problems) == 0 {
				t.Fatal("nothing was said")
			}
			p := problems[0]
			if p.Code != c.code || p.Pos.String() != c.at || p.Text != c.text && !strings.HasPrefix(c.claim, "deep") || !strings.HasPrefix(p.Message, c.message) {
				t.Errorf("got %s %s %q %q", p.Code, p.Pos, p.Text, p.Message)
			}
			if p.Hint == "" {
				t.Error("no hint")
			}
			if strings.HasSuffix(p.Message, ".") {
				t.Errorf("a full stop: %q", p.Message)
			}
		})
	}
}

// bomb makes levels of lists of nine aliases.
func bomb(levels int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [xxxxxxxxxx]\n")
	for i := 1; i < levels; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	return b.String()
}

func TestABombInsideRawEnds(t *testing.T) {
	in := strings.ReplaceAll(bomb(40), ": &", ": !raw &")
	start := time.Now()
	_, problems := Load("f", []byte(in))
	if took := time.Since(start); took > hangs {
		t.Errorf("took %s", took)
	}
	if len(problems) != 1 || problems[0].Code != CodeLimit {
		t.Errorf("got %v", problems)
	}
}

func TestAFewAliasesAreNoBomb(t *testing.T) {
	in := "d: &d {method: GET, url: http://127.0.0.1/}\ns:\n" + strings.Repeat("  - {<<: *d, x: aaaaaaaaaaaaaaaa}\n", 50)
	if _, problems := Load("f", []byte(in)); len(problems) > 0 {
		t.Error(problems)
	}
}

// hangs is far past what any file takes, on a busy machine with the race
// detector too: a tenth of a second becomes two seconds there. What makes a
// parser quadratic takes longer still.
const hangs = 40 * time.Second

// TestHostileFilesAreReadInTime has what makes parsers quadratic or worse, at an
// eighth of the size limit.
func TestHostileFilesAreReadInTime(t *testing.T) {
	const n = MaxSize / 8
	fill := func(s string) string { return strings.Repeat(s, n/len(s)) }
	numbered := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < n-40; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for name, in := range map[string]string{
		"brackets": fill("["), "braces": fill("{"), "closed": fill("]"), "dashes": fill("- "), "questions": fill("? "), "colons": fill(": "),
		"anchors": fill("&a "), "tags": fill("!a "), "stars": fill("*"), "docs": fill("---\n"), "comments": fill("#a\n"), "blank": fill("\n"),
		"keys": numbered("k%d: 1\n"), "empty keys": numbered("k%d:\n"), "same key": fill("k: 1\n"), "quoted": numbered("\"k%d\": '1'\n"), "question keys": numbered("? k%d\n: v\n"),
		"nulls": fill("-\n"), "tagged nulls": fill("- !a\n"), "aliases": "- &a x\n" + strings.Repeat("- *a\n", n/5-2),
		"literal": "a: |\n" + strings.Repeat(" x\n", n/3-2), "blank literal": "a: |\n" + strings.Repeat("\n", n-9) + " x", "folded": "a: >\n" + strings.Repeat(" x\n\n", n/4-2),
		"plain": fill("a"), "plain lines": fill("a\n"), "double": `"` + strings.Repeat(`\n`, n/2-1) + `"`, "double lines": `"` + strings.Repeat("é\n", n/3-1) + `"`, "single": "'" + strings.Repeat("''", n/2-1) + "'",
		"one long line": "[" + strings.Repeat("é,", n/3-1) + "]", "long line of escapes": "[" + strings.Repeat(`"\é"`, 5) + strings.Repeat(`,"\té"`, n/7-4) + "]",
		"merges": "a: &a {b: 1}\n" + numbered("c%d: {<<: *a}\n"), "marker comments": numbered("k%d: #uuid\n"), "separators": fill("\u2028a"), "tabs": fill("\t"),
		"unclosed": "a: [" + strings.Repeat("b,\n", n/3-2), "dedent": numbered("a%d:\n    b: 1\n") + "  c: 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			if len(in) > n {
				in = in[:n]
			}
			start := time.Now()
			docs, problems := Load("f", []byte(in))
			if took := time.Since(start); took > hangs {
				t.Errorf("took %s", took)
			}
			if len(docs) == 0 && len(problems) == 0 && strings.TrimSpace(strings.Trim(in, "#a\n\t")) != "" {
				t.Error("neither a document nor a problem")
			}
		})
	}
}

func TestLineBreaksDoNotMoveAnything(t *testing.T) {
	in := "a: 1\nb: |\n  x\n  y\nc: \"d\n  e\"\nf: [\n"
	_, want := Load("f", []byte(in))
	for name, text := range map[string]string{"CRLF": strings.ReplaceAll(in, "\n", "\r\n"), "CR": strings.ReplaceAll(in, "\n", "\r"), "BOM": "\ufeff" + in} {
		_, got := Load("f", []byte(text))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	docs, _ := Load("f", []byte("a: x\u2028y\nb: 1\n"))
	if got := docs[0].Get("a").Text; got != "x\u2028y" || docs[0].Entries[1].Key.Pos.Line != 2 {
		t.Errorf("a line separator: %q, b on line %d", got, docs[0].Entries[1].Key.Pos.Line)
	}
}

func TestMarkersThatAreComments(t *testing.T) {
	for in, want := range map[string]string{
		"id: #uuid\n":            `id: "#uuid"`,
		"id:   ##string  \n":     `id:   "##string"`,
		"a:\n  - b: #[1..] #x\n": `  - b: "#[1..] #x"`,
		"id: #(_ > 3)\n":         `id: "#(_ > 3)"`,
		"id: #regex ^a\"\n":      `id: '#regex ^a"'`,
	} {
		_, problems := Load("f", []byte(in))
		if len(problems) != 1 || problems[0].Code != CodeMatch || problems[0].Fix != want {
			t.Errorf("%q: %+v", in, problems)
		}
	}
	for _, in := range []string{"id: # uuid\n", "id: #uuid of the user\n", "id: x # uuid\n", "id: #todo\n", "id:\n  a: 1 #uuid\n", "id: #uuid\n  - a\n", "#uuid\nid:\n"} {
		if _, problems := Load("f", []byte(in)); len(problems) > 0 {
			t.Errorf("%q: %v", in, problems)
		}
	}
}

func TestValuesThatACommentCuts(t *testing.T) {
	_, problems := Load("f", []byte("name: Order #5\n"))
	want := Problem{
		Severity: Note, Code: CodeYAML, Pos: Pos{File: "f", Line: 1, Column: 13}, Text: "#5",
		Message: "#5 is a comment, and no part of the value", Hint: "put the value in quotes if it belongs to it", Fix: `name: "Order #5"`,
	}
	if diff := cmp.Diff(Problems{want}, problems); diff != "" {
		t.Error(diff)
	}
	for _, in := range []string{"a: b # 5\n", "a: b#5\n", "a: 'b' #5\n", "a: 5 #5\n", "a: b ## x\n", "a: |\n  b #5\n", "a: b\n#5\n", "a: [b, #5\n c]\n"} {
		_, problems := Load("f", []byte(in))
		for _, p := range problems {
			if strings.Contains(p.Message, "is a comment, and") {
				t.Errorf("%q: %v", in, p)
			}
		}
	}
}
