package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/plugins/servertest"
)

// demoDefault is the address of the demo application in documents: where
// `testmesh demo serve` listens unless it is told otherwise. Tests put the one
// that they started in its place.
const demoDefault = "127.0.0.1:7071"

// TestDocuments runs every fenced block of every document, in order, in a folder
// of the document's own, where the page of a plugin has that plugin installed. What a block must be is said by its language:
//
//	yaml      a flow, or a list of steps, is validated; anything else needs a name.
//	          A second word is its file name, for the blocks after it; what
//	          follows are flags to validate it with; or the word later: a console
//	          block below runs it, and shows the flow's name.
//	json      is decoded. A second word is its file name.
//	proto     is a file, named by a second word, that a flow uses.
//	go        is a file, named by a second word, of a folder with a go.mod: go vet
//	          compiles it once the document has been read to its end.
//	console   "$ command" lines are run, and what follows is what they print; a
//	          line of "..." stands for any lines. A command that fails must be
//	          followed by "$ echo $?".
//	sh        "make TARGET" lines, of targets that exist, or "testmesh" commands,
//	          which must succeed.
//	text      is a picture.
//
// Any other language is an error: nothing would notice when it is no longer true.
func TestDocuments(t *testing.T) {
	files, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(files, "README.md") {
		t.Fatalf("README.md is not among the documents: %q", files)
	}
	dir := t.TempDir()
	servers := servertest.Environ(t)
	server, err := startDemo(dir, environment(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("..", name))
			if err != nil {
				t.Fatal(err)
			}
			work := document{dir: t.TempDir(), demoAddr: strings.TrimPrefix(server.url, "http://"), servers: servers}
			source, err := filepath.Abs(filepath.Join("..", filepath.Dir(name)))
			if err != nil {
				t.Fatal(err)
			}
			// The page of a plugin shows its actions.
			if _, err := os.Stat(filepath.Join(source, "testmesh-plugin.yaml")); err == nil && strings.Contains(string(text), "```yaml") {
				if err := work.succeeds("testmesh plugin install " + source); err != nil {
					t.Fatal(err)
				}
			}
			work.checkAll(t, string(text))
			for _, target := range brokenLinks(string(text), filepath.Join("..", filepath.Dir(name))) {
				t.Errorf("links to %s, which is not there", target)
			}
		})
	}
}

// documents lists the Markdown files of the repository, but for those that are
// somebody's input, come with a dependency, or show mistakes: the pages of
// cli/explain have their own tests.
func documents() ([]string, error) {
	var found []string
	err := fs.WalkDir(os.DirFS(".."), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules"):
			return fs.SkipDir
		case path == "cli/explain":
			return fs.SkipDir
		case strings.HasSuffix(path, ".md"):
			found = append(found, path)
		}
		return nil
	})
	return found, err
}

func (d *document) checkAll(t *testing.T, text string) {
	t.Helper()
	blocks, err := fences(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if err := d.check(b); err != nil {
			t.Errorf("line %d: %v", b.line, err)
		}
	}
	if err := d.finish(); err != nil {
		t.Error(err)
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)

// brokenLinks gives the files that a text in folder links to and that do not exist.
func brokenLinks(text, folder string) []string {
	var broken []string
	for _, match := range link.FindAllStringSubmatch(text, -1) {
		target := match[1]
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		if _, err := os.Stat(filepath.Join(folder, target)); err != nil {
			broken = append(broken, target)
		}
	}
	return broken
}

func TestBrokenLinksAreFound(t *testing.T) {
	text := "[a](README.md) [b](none.md#part) [c](#part) [d](https://example.com/x) [e](e2e)"
	if got, want := brokenLinks(text, ".."), []string{"none.md"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// block is one fenced block.
type block struct {
	line       int // of the opening fence
	lang, name string
	flags      string
	text       string
}

// fences finds the fenced blocks of a Markdown text, also indented ones.
func fences(text string) ([]block, error) {
	var found []block
	var open *block
	indent := ""
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		switch {
		case open == nil && strings.HasPrefix(trimmed, "```"):
			info := strings.Fields(strings.TrimPrefix(trimmed, "```"))
			open = &block{line: i + 1}
			if len(info) > 0 {
				open.lang = info[0]
			}
			if len(info) > 1 {
				open.name, open.flags = info[1], strings.Join(info[2:], " ")
			}
			indent = line[:len(line)-len(trimmed)]
		case open != nil && strings.TrimRight(trimmed, " ") == "```":
			found = append(found, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: a block without an end", open.line)
	}
	return found, nil
}

// document is the state that the blocks of one document share.
type document struct {
	dir, demoAddr string
	servers       []string // the real ones, as NAME=value for its flows
	flows         int
	modules       []string // folders with Go files, to be compiled
	waiting       []block  // flows that a later block runs
}

func (d *document) check(b block) error {
	switch b.lang {
	case "text":
		return nil
	case "json":
		if !json.Valid([]byte(b.text)) {
			return errors.New("not JSON")
		}
		return d.write(b.name, b.text)
	case "proto":
		if b.name == "" {
			return errors.New("a block of proto needs a file name")
		}
		return d.write(b.name, b.text)
	case "go":
		if b.name == "" {
			return errors.New("a Go block needs a file name")
		}
		d.modules = append(d.modules, filepath.Dir(b.name))
		return d.write(b.name, b.text)
	case "yaml":
		return d.yaml(b)
	case "console":
		d.waiting = slices.DeleteFunc(d.waiting, func(w block) bool {
			name := flowName.FindStringSubmatch(w.text)
			return name != nil && strings.Contains(b.text, " "+name[1])
		})
		return d.console(b.text)
	case "sh":
		return d.commands(b.text)
	default:
		return fmt.Errorf("nothing runs a block of language %q", b.lang)
	}
}

func (d *document) write(name, text string) error {
	if name == "" {
		return nil
	}
	path := filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(text, demoDefault, d.demoAddr)), 0o600)
}

// finish checks what could not be checked before all had been read.
func (d *document) finish() error {
	var bad []error
	slices.Sort(d.modules)
	for _, folder := range slices.Compact(d.modules) {
		bad = append(bad, d.succeeds("cd "+folder+" && go vet ./..."))
	}
	for _, b := range d.waiting {
		bad = append(bad, fmt.Errorf("line %d: no later block shows that %s was run", b.line, b.name))
	}
	return errors.Join(bad...)
}

var (
	wholeFlow = regexp.MustCompile(`(?m)^(flow|steps):`)
	flowName  = regexp.MustCompile(`(?m)^  name: (.+)$`)
	stepList  = regexp.MustCompile(`(?m)\A(\s*#.*\n)*- `)
)

func (d *document) yaml(b block) error {
	name, text := b.name, b.text
	isFlow := wholeFlow.MatchString(text)
	if !isFlow && stepList.MatchString(text) {
		isFlow = true
		text = "flow:\n  name: steps of a document\n  steps:\n" + regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(text, "    $1")
	}
	if !isFlow {
		if name == "" {
			return errors.New("neither a flow nor a list of steps, and no name for a later block to use")
		}
		return d.write(name, text)
	}
	d.flows++
	if name == "" {
		name = fmt.Sprintf("document-%d.testmesh.yaml", d.flows)
	}
	if err := d.write(name, text); err != nil {
		return err
	}
	if b.flags == "later" {
		d.waiting = append(d.waiting, b)
		return nil
	}
	return d.succeeds("testmesh validate " + name + " " + b.flags)
}

// succeeds runs a command line that must end with 0.
func (d *document) succeeds(line string) error {
	out, code, err := d.run(line)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s: exit code %d\n%s", line, code, out)
	}
	return err
}

// run gives the output and exit code of a command line.
func (d *document) run(line string) (string, int, error) {
	cmd := exec.Command("bash", "-c", line)
	source, err := filepath.Abs("..")
	if err != nil {
		return "", 0, err
	}
	// A testmesh that is no release builds new plugins with the sources here.
	cmd.Dir, cmd.Env = d.dir, slices.Concat(environment(d.dir), d.servers, []string{"TESTMESH_SOURCE=" + source})
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return string(out), exit.ExitCode(), nil
	}
	return string(out), 0, err
}

func (d *document) commands(text string) error {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		switch words := strings.Fields(line); {
		case len(words) == 0 || strings.HasPrefix(line, "#"):
		case words[0] == "make":
			cmd := exec.Command("make", append([]string{"--dry-run"}, words[1:]...)...)
			cmd.Dir = ".."
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w\n%s", line, err, out)
			}
		case words[0] == "testmesh":
			if err := d.succeeds(strings.ReplaceAll(line, demoDefault, d.demoAddr)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("nothing runs %q", line)
		}
	}
	return nil
}

// console runs the commands of a session and compares what they print.
func (d *document) console(text string) error {
	code := 0
	for _, session := range strings.Split("\n"+text, "\n$ ")[1:] {
		line, want, _ := strings.Cut(session, "\n")
		if line == "echo $?" {
			if got := fmt.Sprint(code); got != strings.TrimSpace(want) {
				return fmt.Errorf("exit code %s, want %s", got, strings.TrimSpace(want))
			}
			code = 0
			continue
		}
		if code != 0 {
			return fmt.Errorf("exit code %d before %q, and no `echo $?`", code, line)
		}
		out, got, err := d.run(strings.ReplaceAll(line, demoDefault, d.demoAddr))
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		code = got
		out = strings.ReplaceAll(out, d.demoAddr, demoDefault)
		if !sameSession(steadied(out), steadied(want)) {
			return fmt.Errorf("$ %s\nprints:\n%s\nthe document says:\n%s", line, out, want)
		}
	}
	if code != 0 {
		return fmt.Errorf("exit code %d at the end, and no `echo $?`", code)
	}
	return nil
}

// sameSession compares line by line; columns may be padded otherwise, because a
// duration is as wide as it is; "..." stands for any number of lines.
func sameSession(got, want string) bool {
	return sameLines(lines(got), lines(want))
}

func lines(text string) []string {
	var kept []string
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 0 {
			kept = append(kept, strings.Join(fields, " "))
		}
	}
	return kept
}

func sameLines(got, want []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "..." || want[0] == "…" {
		for skip := 0; skip <= len(got); skip++ {
			if sameLines(got[skip:], want[1:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && got[0] == want[0] && sameLines(got[1:], want[1:])
}

// TestDocumentsThatLieAreFound shows the runner documents that are not true.
func TestDocumentsThatLieAreFound(t *testing.T) {
	const flow = "```yaml a.testmesh.yaml\nflow:\n  name: a\n  steps:\n    - {action: log, config: {message: hello}}\n```\n"
	tests := map[string]struct{ text, want string }{
		"a flow that is valid":        {flow, ""},
		"a list of steps":             {"```yaml\n- action: log\n  config: {message: hello}\n```\n", ""},
		"a picture":                   {"```text\n-->\n```\n", ""},
		"a target that exists":        {"```sh\nmake build   # bin/testmesh\n```\n", ""},
		"a command that fails, noted": {"```console\n$ testmesh validate none.yaml >/dev/null 2>&1\n$ echo $?\n2\n```\n", ""},
		"Go that compiles":            {"```console\n$ go mod init x 2>/dev/null\n```\n```go x.go\npackage x\n```\n", ""},
		"a flow that is run later":    {strings.Replace(flow, ".yaml\n", ".yaml later\n", 1) + "```console\n$ testmesh run a.testmesh.yaml\n ✓ a 1 step 1ms\n...\n```\n", ""},
		"any lines":                   {flow + "```console\n$ testmesh run a.testmesh.yaml\n...\n```\n", ""},

		"a flow that is invalid":         {"```yaml\nflow:\n  name: a\n  steps:\n    - {action: lgo}\n```\n", "exit code 2"},
		"steps that are invalid":         {"```yaml\n- action: lgo\n```\n", "exit code 2"},
		"yaml that nothing reads":        {"```yaml\na: 1\n```\n", "neither a flow"},
		"broken json":                    {"```json\n{\n```\n", "not JSON"},
		"a target that does not exist":   {"```sh\nmake nothing-like-it\n```\n", "make nothing-like-it"},
		"a program that is not ours":     {"```sh\nrm -rf x\n```\n", "nothing runs"},
		"a language that nothing runs":   {"```ruby\nputs 1\n```\n", "nothing runs"},
		"no language":                    {"```\nx\n```\n", "nothing runs"},
		"other output":                   {"```console\n$ testmesh version\nanother program\n```\n", "the document says"},
		"a failing command, not noted":   {"```console\n$ testmesh run none.yaml >/dev/null 2>&1\n```\n", "exit code 2 at the end"},
		"another exit code":              {"```console\n$ testmesh run none.yaml >/dev/null 2>&1\n$ echo $?\n1\n```\n", "exit code 2, want 1"},
		"a failing command in the midst": {"```console\n$ testmesh run none.yaml >/dev/null 2>&1\n$ testmesh version\n...\n```\n", "and no `echo $?`"},
		"a block without an end":         {"```text\n", "without an end"},
		"Go without a file name":         {"```go\npackage x\n```\n", "needs a file name"},
		"Go that does not compile":       {"```console\n$ go mod init x 2>/dev/null\n```\n```go x.go\npackage x; var _ = y\n```\n", "undefined: y"},
		"Go of no module":                {"```go x.go\npackage x\n```\n", "go vet"},
		"a flow that nothing runs":       {"```yaml a.testmesh.yaml later\nflow:\n  name: a\n  steps: [{action: lgo}]\n```\n", "no later block shows that a.testmesh.yaml was run"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			blocks, err := fences(test.text)
			work := document{dir: t.TempDir(), demoAddr: demoDefault}
			for _, b := range blocks {
				if err == nil {
					err = work.check(b)
				}
			}
			if err == nil {
				err = work.finish()
			}
			got := ""
			if err != nil {
				got = err.Error()
			}
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got error %q, want one that holds %q", got, test.want)
			}
		})
	}
}

func TestSessionsCompare(t *testing.T) {
	tests := map[string]struct {
		got, want string
		same      bool
	}{
		"the same":            {"a\nb\n", "a\nb\n", true},
		"another time":        {"a  12ms\n", "a 1.5s\n", true},
		"another word":        {"a\n", "b\n", false},
		"a line more":         {"a\nb\n", "a\n", false},
		"a line less":         {"a\n", "a\nb\n", false},
		"any lines":           {"a\nx\ny\nb\n", "a\n...\nb\n", true},
		"no lines are any":    {"a\nb\n", "a\n...\nb\n", true},
		"any lines, but end":  {"a\nx\ny\n", "a\n...\nb\n", false},
		"any lines at an end": {"a\nx\n", "a\n...\n", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := sameSession(steadied(test.got), steadied(test.want)); got != test.same {
				t.Errorf("%q shown as %q: got same %v, want %v", test.got, test.want, got, test.same)
			}
		})
	}
}
