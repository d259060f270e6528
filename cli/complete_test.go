package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func files(t *testing.T, dir string, texts map[string]string) {
	t.Helper()
	for name, text := range texts {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{
		".testmesh/x.yaml":          "flow: {tags: [hidden]}",
		"flows/a.testmesh.yaml":     "flow:\n  name: a\n  suite: shop\n  tags: [smoke, slow]\n",
		"flows/b.yml":               "name: b\nsteps: []\ntags: [flaky]\n",
		"flows/folder.yaml":         "tags: [team-x]\n",
		"flows/deep/c.yaml":         "flow: {name: c, tags: [smoke]",
		"flows/notes.txt":           "",
		"environments/local.yaml":   "env: {}",
		"environments/staging.yaml": "env: {}",
		"node_modules/x/y.yaml":     "flow: {tags: [foreign]}",
	})
	for claim, c := range map[string]struct {
		dir  string
		args []string
		want []string
	}{
		"folders and what can be a flow":      {"", []string{""}, []string{"environments/", "flows/"}},
		"inside a folder":                     {"", []string{"flows/"}, []string{"flows/a.testmesh.yaml", "flows/b.yml", "flows/deep/"}},
		"a name that has begun":               {"", []string{"flows/a"}, []string{"flows/a.testmesh.yaml"}},
		"from where the person stands":        {"flows", []string{"de"}, []string{"deep/"}},
		"upward":                              {"flows/deep", []string{"../b"}, []string{"../b.yml"}},
		"never out of the project":            {"", []string{"../"}, nil},
		"tags of flows and folders":           {"", []string{"--tag", ""}, []string{"flaky", "slow", "smoke", "team-x"}},
		"the last name of a tag expression":   {"", []string{"--tag", "smoke+!fl"}, []string{"smoke+!flaky"}},
		"tags to leave out":                   {"", []string{"--exclude", "sl"}, []string{"slow"}},
		"suites":                              {"", []string{"--suite", ""}, []string{"shop"}},
		"environments":                        {"", []string{"--env", "s"}, []string{"staging"}},
		"formats":                             {"", []string{"--format", "ver"}, []string{"verbose"}},
		"values that nobody knows beforehand": {"", []string{"--seed", ""}, nil},
	} {
		t.Run(claim, func(t *testing.T) {
			out, errs, code := command(t, filepath.Join(dir, c.dir), nil, append([]string{"__complete", "run"}, c.args...)...)
			if code != 0 {
				t.Fatalf("exit %d: %s", code, errs)
			}
			var got []string
			for line := range strings.Lines(out) {
				line = strings.TrimSpace(line)
				if word, _, _ := strings.Cut(line, "\t"); word != "" && !strings.HasPrefix(line, ":") {
					got = append(got, word)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, errs)
			}
		})
	}
}

func TestCompletionIsBounded(t *testing.T) {
	dir := t.TempDir()
	all := map[string]string{}
	for i := range maxCompletions + 100 {
		all[fmt.Sprintf("f%04d.yaml", i)] = ""
	}
	files(t, dir, all)
	out, errs, code := command(t, dir, nil, "__complete", "run", "f")
	if n := strings.Count(out, ".yaml"); code != 0 || n != maxCompletions {
		t.Errorf("exit %d, %d completions: %s", code, n, errs)
	}
}
