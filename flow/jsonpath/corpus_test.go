package jsonpath

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/value"
)

// corpusCase is one line of testdata/*.txt, whose form testdata/README.md says.
type corpusCase struct {
	file, claim, path, want string
	document                any
}

func decode(t testing.TB, text string) any {
	t.Helper()
	v, err := value.Decode([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func corpus(t testing.TB) []corpusCase {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var cases []corpusCase
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := corpusCase{file: filepath.Base(file)}
		for _, line := range strings.Split(string(text), "\n") {
			switch {
			case line == "" || strings.HasPrefix(line, "##"):
			case strings.HasPrefix(line, "doc "):
				c.document = decode(t, line[len("doc "):])
			case line[0] == '\t':
				at := strings.LastIndex(line, " => ")
				if at < 0 || c.claim == "" {
					t.Fatalf("%s: not a case: %s", file, line)
				}
				c.path, c.want = line[1:at], line[at+len(" => "):]
				if s, ok := asString(c.path); ok {
					c.path = s
				}
				cases = append(cases, c)
			default:
				c.claim = line
			}
		}
	}
	return cases
}

func asString(text string) (string, bool) {
	if !strings.HasPrefix(text, `"`) {
		return "", false
	}
	v, err := value.Decode([]byte(text))
	s, ok := v.(string)
	return s, ok && err == nil
}

func TestCorpus(t *testing.T) {
	for _, c := range corpus(t) {
		t.Run(c.file+"/"+c.claim+"/"+c.path, func(t *testing.T) {
			p, err := Parse(c.path)
			if rest, ok := strings.CutPrefix(c.want, "error "); ok {
				checkError(t, c.path, err, rest)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			nodes, err := p.Select(c.document)
			if err != nil {
				t.Fatal(err)
			}
			values, paths := []any{}, []any{}
			for _, n := range nodes {
				values, paths = append(values, n.Value), append(paths, n.Path)
				checkNormalized(t, c.document, n)
			}
			wantValues, wantPaths, located := strings.Cut(c.want, " at ")
			if !value.Equal(values, decode(t, wantValues)) {
				t.Errorf("got %s, want %s", value.Compact(values), wantValues)
			}
			if located && !value.Equal(paths, decode(t, wantPaths)) {
				t.Errorf("got %s, want %s", value.Compact(paths), wantPaths)
			}
			only, err := p.Values(c.document)
			if err != nil || !value.Equal(only, values) {
				t.Errorf("Values gives %s, %v; Select %s", value.Compact(only), err, value.Compact(values))
			}
			checkSingular(t, p, c.document, nodes)
			if p.String() != c.path {
				t.Errorf("got %q", p)
			}
		})
	}
}

func checkError(t *testing.T, path string, err error, want string) {
	t.Helper()
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("got %v, want an error: %s", err, want)
	}
	if syntax.Text != path {
		t.Errorf("got text %q, want %q", syntax.Text, path)
	}
	offset, message, _ := strings.Cut(want, ": ")
	if diff := cmp.Diff(message, syntax.Message); diff != "" {
		t.Error(diff)
	}
	if got := value.Compact(int64(syntax.Offset)); got != offset {
		t.Errorf("got offset %s, want %s", got, offset)
	}
}

// checkNormalized checks that the path of a node is a path to it.
func checkNormalized(t *testing.T, document any, n Node) {
	t.Helper()
	p, err := Parse(n.Path)
	if err != nil {
		t.Fatal(err)
	}
	if v, found := p.Get(document); !found || !value.Equal(v, n.Value) {
		t.Errorf("%s leads to %s, want %s", n.Path, value.Compact(v), value.Compact(n.Value))
	}
	again, err := p.Select(document)
	if err != nil || len(again) != 1 || again[0].Path != n.Path {
		t.Errorf("%s is normalized to %v, %v", n.Path, again, err)
	}
}

// checkSingular checks that Get and Nearest agree with Select.
func checkSingular(t *testing.T, p *Path, document any, nodes []Node) {
	t.Helper()
	v, found := p.Get(document)
	if !p.Singular() {
		if found {
			t.Errorf("%s is not singular and Get finds %s", p, value.Compact(v))
		}
		return
	}
	if found != (len(nodes) == 1) || found && !value.Equal(v, nodes[0].Value) {
		t.Errorf("Get gives %s, %v; Select %v", value.Compact(v), found, nodes)
	}
	if near := Nearest(document, p); (near == "") != found {
		t.Errorf("found is %v and Nearest says %q", found, near)
	}
}

func TestCorpusIsWhole(t *testing.T) {
	sections := map[string]int{}
	for _, c := range corpus(t) {
		sections[c.file]++
	}
	for file, least := range map[string]int{"segments.txt": 90, "selectors.txt": 180, "filters.txt": 190, "functions.txt": 190, "blanks.txt": 45} {
		if sections[file] < least {
			t.Errorf("%s has %d cases, want at least %d", file, sections[file], least)
		}
	}
}
