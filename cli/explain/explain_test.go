package explain

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/report/text"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/plugins"
)

var update = flag.Bool("update", false, "write the outputs in the pages anew")

// constants are the texts of the constants of a Go file that begin with prefix.
func constants(t *testing.T, file, prefix string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, name := range spec.Names {
				if !strings.HasPrefix(name.Name, prefix) || i >= len(spec.Values) {
					continue
				}
				if lit, ok := spec.Values[i].(*ast.BasicLit); ok {
					s, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					out = append(out, s)
				}
			}
		}
		return true
	})
	if len(out) == 0 {
		t.Fatalf("%s has no constants %s…", file, prefix)
	}
	slices.Sort(out)
	return out
}

func TestEveryCodeHasAPageAndEveryPageACode(t *testing.T) {
	if diff := cmp.Diff(constants(t, "../../flow/source/code.go", "Code"), Codes()); diff != "" {
		t.Errorf("codes and pages (-codes +pages):\n%s", diff)
	}
	for _, code := range constants(t, "../../sdk/plugin/plugin.go", "Code") {
		if _, ok := Page(code); !ok {
			t.Errorf("the plugins' code %s has no page", code)
		}
	}
}

func TestPagesHaveTheirParts(t *testing.T) {
	known := append(Codes(), Topics()...)
	check := func(name, page string, parts ...string) {
		for _, part := range parts {
			if !strings.Contains(page, part) {
				t.Errorf("%s has no %q", name, part)
			}
		}
		if s := Summary(page); len(s) < 15 || !strings.HasSuffix(s, ".") || strings.Contains(s, "\n") || len(s) > 100 {
			t.Errorf("%s: the first sentence is %q", name, s)
		}
		_, related, _ := strings.Cut(page, "\nRelated: ")
		for _, r := range strings.Split(strings.TrimSpace(related), ", ") {
			if !slices.Contains(known, r) || r == name {
				t.Errorf("%s is related to %q", name, r)
			}
		}
		for i, line := range strings.Split(page, "\n") {
			if text.Columns(line) > 200 {
				t.Errorf("%s:%d is too long", name, i+1)
			}
		}
	}
	for _, code := range Codes() {
		page, _ := Page(code)
		check(code, page, "# "+code+"\n\n", "\nWhat to do:\n\n- ", "\nRelated: ")
	}
	for _, topic := range Topics() {
		page, _ := Topic(topic)
		check(topic, page, "# ", "\nRelated: ")
	}
}

func TestFind(t *testing.T) {
	for asked, want := range map[string]string{
		"E-CONN": "E-CONN", "e-conn": "E-CONN", "conn": "E-CONN", " CONN ": "E-CONN", "E_CONN": "E-CONN",
		"exit-codes": "Exit codes", "Exit_Codes": "Exit codes", "verdicts": "Verdicts",
	} {
		page, _, ok := Find(asked)
		if !ok || !strings.HasPrefix(page, "# "+want+"\n") {
			t.Errorf("Find(%q) gave %v, %.20q", asked, ok, page)
		}
	}
	for asked, want := range map[string]string{
		"E-CNON": `did you mean "E-CONN"?`, "asert": `did you mean "ASSERT"?`, "exit-code": `did you mean "exit-codes"?`,
		"nothing like it": "", "": "", "../pages/E-CONN": "", "pages/E-CONN": "",
	} {
		if _, hint, ok := Find(asked); ok || hint != want {
			t.Errorf("Find(%q) gave %v, %q, want %q", asked, ok, hint, want)
		}
	}
}

// block is a fenced block of a page.
type block struct {
	info, text string
	at, end    int // lines: of its first, and behind its last
}

func blocks(page string) []block {
	var out []block
	open := false
	for i, line := range strings.SplitAfter(page, "\n") {
		switch rest, fence := strings.CutPrefix(line, "```"); {
		case fence && !open:
			out = append(out, block{info: strings.TrimSpace(rest), at: i + 1})
			open = true
		case fence:
			out[len(out)-1].end = i
			open = false
		case open:
			out[len(out)-1].text += line
		}
	}
	return out
}

// definition codes are those that an example shows. Of two there is none: what
// another dialect has is told by the tests of the language, and the command line
// is no file.
func definitionCodes(t *testing.T) []string {
	all := constants(t, "../../flow/source/code.go", "Code")
	run := constants(t, "../../sdk/plugin/plugin.go", "Code")
	return slices.DeleteFunc(all, func(code string) bool {
		return slices.Contains(run, code) && code != "E-PLUGIN" || slices.Contains([]string{
			"E-DIALECT", "E-USAGE", "E-ASSERT", "E-PATH", "E-VALUE", "E-FAIL", "E-RUNTIME", "E-CANCELLED", "E-ORPHAN", "E-INTERNAL",
		}, code)
	})
}

// TestExamples checks every yaml block of a page: it gives the page's code, and
// the text block behind it is what is printed then; one marked right is right.
func TestExamples(t *testing.T) {
	shown := map[string]bool{}
	for _, code := range Codes() {
		page, _ := Page(code)
		lines := strings.SplitAfter(page, "\n")
		list := blocks(page)
		for i, b := range slices.Backward(list) {
			switch b.info {
			case "yaml right":
				if bad := check(t, b.text).Errors(); len(bad) > 0 {
					t.Errorf("%s: the example is not right: %v", code, bad)
				}
			case "yaml":
				shown[code] = true
				bad := check(t, b.text).Errors()
				if len(bad) == 0 || string(bad[0].Code) != code {
					t.Errorf("%s: the example gives %v", code, bad)
					continue
				}
				if i+1 == len(list) || list[i+1].info != "text" {
					t.Errorf("%s: the example has no text block behind it", code)
					continue
				}
				var out bytes.Buffer
				text.Style{Width: 76}.Problem(&out, bad[0], []byte(whole(b.text)))
				want, printed := list[i+1], strings.TrimRight(out.String(), "\n")+"\n"
				if *update {
					lines = slices.Concat(lines[:want.at], []string{printed}, lines[want.end:])
				} else if diff := cmp.Diff(want.text, printed); diff != "" {
					t.Errorf("%s: what is printed (-page +printed):\n%s", code, diff)
				}
			}
		}
		if *update {
			if err := os.WriteFile("pages/"+code+".md", []byte(strings.Join(lines, "")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, code := range definitionCodes(t) {
		if !shown[code] {
			t.Errorf("%s has no example", code)
		}
	}
}

// whole makes a flow of an example that is a list of steps.
func whole(example string) string {
	if strings.HasPrefix(example, "flow:") {
		return example
	}
	out := "flow:\n  name: example\n  env: {API: \"http://127.0.0.1:7071\"}\n  steps:\n"
	for line := range strings.Lines(example) {
		out += "    " + line
	}
	return out
}

func check(t *testing.T, example string) source.Problems {
	t.Helper()
	var descriptors []*testmeshv1.Descriptor
	for _, p := range plugins.Builtins("test") {
		descriptors = append(descriptors, p.Descriptor)
	}
	cat, err := catalog.New(descriptors...)
	if err != nil {
		t.Fatal(err)
	}
	const name = "flows/example.yaml"
	loader := flow.NewLoader(flow.Options{
		Catalog: cat, FS: fstest.MapFS{name: {Data: []byte(whole(example))}},
		KnownSecret: func(string) bool { return false },
	})
	programs, problems := loader.Flows(name)
	for _, p := range programs {
		_, more := p.Runs(flow.Selection{})
		problems = append(problems, more...)
	}
	return problems
}

func TestRender(t *testing.T) {
	page := "# Title\n\nA paragraph of some words that goes on until it has to be wrapped at `the right place` by **somebody**.\n\n" +
		"- one\n- two, which is so long that it needs another line below it, aligned with its own text\n\n" +
		"| Code | Meaning |\n|---|---|\n| `0` | fine |\n| 深い | a long one that has to be wrapped below itself, because it does not fit |\n\n```yaml\nflow:\n\n  name: x\n```\n\nRelated: a\n"
	want := `Title

A paragraph of some words that goes on until it has to be
wrapped at ` + "`the right place`" + ` by somebody.

  • one
  • two, which is so long that it needs another line below
    it, aligned with its own text

  Code  Meaning
  0     fine
  深い  a long one that has to be wrapped below itself,
        because it does not fit

    flow:

      name: x

Related: a
`
	if diff := cmp.Diff(want, Render(page, text.Style{Width: 58})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	colored := Render(page, text.Style{Width: 58, Color: true})
	for _, part := range []string{"\x1b[1mTitle\x1b[0m", "\x1b[36mthe right place\x1b[0m", "\x1b[1msomebody\x1b[0m"} {
		if !strings.Contains(colored, part) {
			t.Errorf("colour has no %q", part)
		}
	}
}

func TestEveryPageRenders(t *testing.T) {
	for _, name := range append(Codes(), Topics()...) {
		page, _, _ := Find(name)
		for _, style := range []text.Style{{}, {ASCII: true, Width: 60}, {Color: true, Width: 200}} {
			out := Render(page, style)
			if strings.Contains(out, "```") || strings.Contains(out, "|---") || strings.Contains(out, "**") {
				t.Errorf("%s: Markdown is left:\n%s", name, out)
			}
			if style.ASCII {
				if i := strings.IndexFunc(out, func(r rune) bool { return r > 0x7f }); i >= 0 {
					t.Errorf("%s: %s is not ASCII", name, fmt.Sprintf("%q", []rune(out[i:])[0]))
				}
			}
		}
	}
}
