package tag

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustParse(t *testing.T, text string) *Expr {
	t.Helper()
	e, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestTruthTables gives, for every set of the names a, b and c, whether the
// expression matches: rows are 000, 001, … 111 with a the first bit.
func TestTruthTables(t *testing.T) {
	const (
		a, b, c   = "00001111", "00110011", "01010101"
		aOrB      = "00111111"
		aAndB     = "00000011"
		aOrBAndC  = "00011111" // a or (b and c)
		aOrB_AndC = "00010101" // (a or b) and c
	)
	for _, test := range []struct{ claim, text, want string }{
		{"a name matches where it is", "aa", a},
		{"the second name", "bb", b},
		{"the third name", "cc", c},
		{"a comma is or", "aa,bb", aOrB},
		{"two bars are or", "aa||bb", aOrB},
		{"the word or", "aa or bb", aOrB},
		{"the word OR", "aa OR bb", aOrB},
		{"the word Or", "aa Or bb", aOrB},
		{"a plus is and", "aa+bb", aAndB},
		{"two ampersands are and", "aa && bb", aAndB},
		{"the word and", "aa and bb", aAndB},
		{"the word AND", "aa AND bb", aAndB},
		{"a bang negates", "!aa", "11110000"},
		{"the word not", "not aa", "11110000"},
		{"the word NOT", "NOT aa", "11110000"},
		{"two negations are none", "!!aa", a},
		{"not and bang are the same", "!not aa", a},
		{"and binds tighter than or, on the right", "aa,bb+cc", aOrBAndC},
		{"and binds tighter than or, on the left", "bb+cc,aa", aOrBAndC},
		{"and binds tighter in words", "aa or bb and cc", aOrBAndC},
		{"spellings mix", "aa || bb + cc", aOrBAndC},
		{"parentheses group", "(aa,bb)+cc", aOrB_AndC},
		{"parentheses group on the right", "cc AND (aa OR bb)", aOrB_AndC},
		{"not binds tighter than and", "!aa+bb", "00110000"},
		{"not binds tighter than or", "!aa,bb", "11110011"},
		{"not of a group", "!(aa,bb)", "11000000"},
		{"the example of the language", "(aa OR bb) AND !cc", "00101010"},
		{"a chain of or", "aa,bb,cc", "01111111"},
		{"a chain of and", "aa+bb+cc", "00000001"},
		{"needless parentheses", "((aa))", a},
		{"blanks do not matter", " ( aa , bb )\t+\n cc ", aOrB_AndC},
		{"no blanks are needed around symbols", "!(aa,bb)+cc", "01000000"},
		{"parentheses end a word", "not(aa)and(bb)", "00110000"},
	} {
		t.Run(test.claim, func(t *testing.T) {
			e := mustParse(t, test.text)
			got := truth(e)
			if got != test.want {
				t.Errorf("%s: got %s, want %s", test.text, got, test.want)
			}
			again := mustParse(t, e.String())
			if truth(again) != got || again.String() != e.String() {
				t.Errorf("%s reads back as %s", e, again)
			}
		})
	}
}

// truth writes the row of matches for every set of aa, bb and cc.
func truth(e *Expr) string {
	var row strings.Builder
	for set := range 8 {
		var tags []string
		for i, name := range []string{"aa", "bb", "cc"} {
			if set&(4>>i) != 0 {
				tags = append(tags, name)
			}
		}
		if e.Match(tags) {
			row.WriteByte('1')
		} else {
			row.WriteByte('0')
		}
	}
	return row.String()
}

func TestCanonicalForm(t *testing.T) {
	for _, test := range []struct{ claim, text, want string }{
		{"words become symbols", "smoke OR regression", "smoke,regression"},
		{"and needs no parentheses inside or", "(aa and bb) or cc", "aa+bb,cc"},
		{"or keeps them inside and", "(smoke || api) && !flaky", "(smoke,api)+!flaky"},
		{"or keeps them inside not", "not (aa or bb)", "!(aa,bb)"},
		{"and keeps them inside not", "!(aa+bb)", "!(aa+bb)"},
		{"a double negation is dropped", "!!aa", "aa"},
		{"nested chains are one", "aa,(bb,(cc))", "aa,bb,cc"},
		{"a reserved name stays", "auto:browser+meta:env:eu-1", "auto:browser+meta:env:eu-1"},
		{"a name that begins like a word is a name", "not-flaky,order,android", "not-flaky,order,android"},
		{"digits and hyphens may come first", "2fa,-x", "2fa,-x"},
	} {
		t.Run(test.claim, func(t *testing.T) {
			if got := mustParse(t, test.text).String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestMatchIsOfWholeNames(t *testing.T) {
	e := mustParse(t, "smoke")
	for _, other := range []string{"smoke-test", "smok", "Smoke", "smoke ", ""} {
		if e.Match([]string{other}) {
			t.Errorf("smoke matches %q", other)
		}
	}
	if !e.Match([]string{"other", "smoke"}) {
		t.Error("smoke is not found behind another tag")
	}
}

func TestAnyAndAll(t *testing.T) {
	a, b, c := mustParse(t, "aa"), mustParse(t, "bb"), mustParse(t, "bb,cc")
	for _, test := range []struct {
		claim string
		expr  *Expr
		want  string // canonical
		truth string
	}{
		{"any of two", Any(a, b), "aa,bb", "00111111"},
		{"all of two", All(a, b), "aa+bb", "00000011"},
		{"all keeps alternatives together", All(a, c), "aa+(bb,cc)", "00000111"},
		{"any joins alternatives", Any(a, c), "aa,bb,cc", "01111111"},
		{"any of one is itself", Any(c), "bb,cc", "01110111"},
		{"any of none matches nothing", Any(), "", "00000000"},
		{"all of none matches everything", All(), "", "11111111"},
	} {
		t.Run(test.claim, func(t *testing.T) {
			if got := test.expr.String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if got := truth(test.expr); got != test.truth {
				t.Errorf("got %s, want %s", got, test.truth)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	for _, test := range []struct{ text, tags, want string }{
		{"smoke", "smoke api", "has smoke"},
		{"smoke", "", "lacks smoke"},
		{"smoke+critical", "smoke", "has smoke, lacks critical"},
		{"smoke+critical", "smoke critical", "has smoke, has critical"},
		{"smoke,api", "api", "has api"},
		{"smoke,api", "slow", "lacks smoke, lacks api"},
		{"!flaky", "flaky", "has flaky"},
		{"!flaky", "smoke", "lacks flaky"},
		{"(smoke,regression)+!flaky", "regression", "has regression, lacks flaky"},
		{"(smoke,regression)+!flaky", "regression flaky", "has regression, has flaky"},
		{"aa+bb,aa+cc", "aa", "has aa, lacks bb, lacks cc"},
	} {
		t.Run(test.text+" of "+test.tags, func(t *testing.T) {
			if got := mustParse(t, test.text).Explain(strings.Fields(test.tags)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got := Any().Explain(nil); got != "the expression names no tag" {
		t.Errorf("got %q", got)
	}
}

func TestExplainIsBounded(t *testing.T) {
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("tag-%d", i))
	}
	got := mustParse(t, strings.Join(names, "+")).Explain(nil)
	if !strings.HasSuffix(got, "lacks tag-19, and 30 more") {
		t.Errorf("got %q", got)
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, test := range []struct {
		claim, text   string
		offset        int
		message, hint string
	}{
		{"nothing", "", 0, "the expression is empty", "name a tag: smoke"},
		{"only blanks", " \t", 0, "the expression is empty", "name a tag: smoke"},
		{"two names without operator", "smoke api", 6, `an operator is missing before "api"`, "join tags with , (or) or + (and)"},
		{"a name before a parenthesis", "smoke(api)", 5, `an operator is missing before "("`, "join tags with , (or) or + (and)"},
		{"a bang where and is meant", "smoke !flaky", 6, `an operator is missing before "!"`, "join tags with , (or) or + (and)"},
		{"no operator inside parentheses", "(smoke api)", 7, `an operator is missing before "api"`, "join tags with , (or) or + (and)"},
		{"an operator at the end", "smoke,", 6, "a tag is missing before the end", ""},
		{"an operator at the start", "+smoke", 0, `a tag is missing before "+"`, ""},
		{"two operators", "smoke,,api", 6, `a tag is missing before ","`, ""},
		{"a word is an operator, never a name", "smoke or and", 9, `a tag is missing before "and"`, ""},
		{"a negation of nothing", "!", 1, "a tag is missing before the end", ""},
		{"empty parentheses", "()", 1, `a tag is missing before ")"`, ""},
		{"an open parenthesis", "aa,(bb", 3, "this ( is not closed", ""},
		{"a parenthesis that closes nothing", "aa)", 2, "this ) closes nothing", ""},
		{"one ampersand", "aa & bb", 3, `unexpected "&"`, "write &&"},
		{"one bar", "aa|bb", 2, `unexpected "|"`, "write ||"},
		{"one bar inside parentheses", "(aa|bb)", 3, `unexpected "|"`, "write ||"},
		{"a wildcard", "smoke*", 5, `unexpected "*"`, "a tag is written out; there are no wildcards"},
		{"an at sign", "@smoke", 0, `unexpected "@"`, "tags are written without @"},
		{"quotes", `"smoke"`, 0, `unexpected "\""`, "tags are written without quotes"},
		{"a semicolon", "aa;bb", 2, `unexpected ";"`, "join tags with , (or) or + (and)"},
		{"an unknown sign", "aa+%", 3, `unexpected "%"`, ""},
		{"capitals", "Smoke", 0, `"Smoke" is not a tag: only a-z, 0-9, _ and - are allowed; did you mean "smoke"?`, ""},
		{"another alphabet", "smoke,größe", 6, `"größe" is not a tag: only a-z, 0-9, _ and - are allowed`, ""},
		{"one letter", "aa+b", 3, `"b" is not a tag: a tag has 2 to 50 characters`, ""},
		{"too long", strings.Repeat("a", 51), 0, `"` + strings.Repeat("a", 51) + `" is not a tag: a tag has 2 to 50 characters`, ""},
		{"an unknown prefix", "env:eu", 0, `"env:eu" is not a tag: a colon is only in auto: system: meta: internal:`, ""},
		{"a misspelt prefix", "sytem:linux", 0, `"sytem:linux" is not a tag: a colon is only in auto: system: meta: internal:`, "did you mean system:linux?"},
		{"a prefix alone", "auto:", 0, `"auto:" is not a tag: a name must follow auto:`, ""},
		{"capitals behind a prefix", "auto:X", 0, `"auto:X" is not a tag: only a-z, 0-9, _, - and : are allowed after auto:`, ""},
		{"too long behind a prefix", "meta:" + strings.Repeat("a", 51), 0, `"meta:` + strings.Repeat("a", 51) + `" is not a tag: at most 50 characters may follow meta:`, ""},
		{"invalid UTF-8", "aa,\xff", 3, "the expression is not valid UTF-8", ""},
		{"too deep in parentheses", strings.Repeat("(", 200) + "aa", 100, "the expression nests deeper than 100", ""},
		{"too deep in negations", strings.Repeat("!", 200) + "aa", 100, "the expression nests deeper than 100", ""},
		{"too long a text", strings.Repeat("aa,", 2000), 4096, "the expression is longer than 4096 bytes", ""},
	} {
		t.Run(test.claim, func(t *testing.T) {
			_, err := Parse(test.text)
			var got *SyntaxError
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a *SyntaxError", err)
			}
			want := &SyntaxError{test.offset, test.text, test.message, test.hint}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	_, err := Parse("aa & bb")
	if got, want := fmt.Sprint(err), `tag expression "aa & bb", at byte 3: unexpected "&"; write &&`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestValid(t *testing.T) {
	for _, tag := range []string{"ab", "smoke", "a_b-c", "2fa", "not-flaky", "automatic", strings.Repeat("x", 50)} {
		if err := Valid(tag); err != nil {
			t.Errorf("%q is refused: %v", tag, err)
		}
	}
	for _, test := range []struct{ tag, want string }{
		{"", `tag "": a tag has 2 to 50 characters`},
		{"a", `tag "a": a tag has 2 to 50 characters`},
		{strings.Repeat("x", 51), `tag "` + strings.Repeat("x", 51) + `": a tag has 2 to 50 characters`},
		{"Smoke", `tag "Smoke": only a-z, 0-9, _ and - are allowed; did you mean "smoke"?`},
		{"Smoke Test", `tag "Smoke Test": only a-z, 0-9, _ and - are allowed; did you mean "smoke-test"?`},
		{"a.b", `tag "a.b": only a-z, 0-9, _ and - are allowed`},
		{"auto:x1", `tag "auto:x1": tags that begin with auto: are reserved`},
		{"system:os", `tag "system:os": tags that begin with system: are reserved`},
		{"meta:", `tag "meta:": tags that begin with meta: are reserved`},
		{"internal:x", `tag "internal:x": tags that begin with internal: are reserved`},
		{"other:x", `tag "other:x": only a-z, 0-9, _ and - are allowed`},
	} {
		if got := fmt.Sprint(Valid(test.tag)); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"smoke", "smoke,regression", "smoke+critical", "!flaky", "(smoke OR regression) AND !flaky",
		"a||b&&!c", "not not aa", "((", "auto:x", "aa,\xff", "Größe", "* & |",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(text) || syntax.Message == "" {
				t.Fatalf("%q: not a placed error: %#v", text, err)
			}
			return
		}
		again, err := Parse(e.String())
		if err != nil || again.String() != e.String() {
			t.Fatalf("%q: canonical %q does not read back: %v", text, e, err)
		}
		for _, tags := range [][]string{nil, {"smoke"}, {"aa", "flaky"}} {
			if e.Match(tags) != again.Match(tags) {
				t.Fatalf("%q and %q differ for %v", text, e, tags)
			}
			if e.Explain(tags) == "" {
				t.Fatalf("%q explains nothing", text)
			}
		}
	})
}
