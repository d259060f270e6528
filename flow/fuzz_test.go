package flow

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzCompile: whatever a file holds, compiling ends, without a panic, with the
// same answer each time, and with a program only where there is no error.
func FuzzCompile(f *testing.F) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if yamlFile(file.Name) {
				f.Add(file.Data)
			}
		}
	}
	c := testCatalog(f)
	files := map[string]string{
		"rows.csv": "name,qty\nada,1\n", "body.json": "{}",
		"folder.yaml": "variables: {API: \"http://x\"}\n",
		"login.yaml":  "flow:\n  name: Login\n  input: {user: {type: string}}\n  steps: [{action: log, config: {message: x}}]\n",
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return // the shapes matter here, the sizes have tests of their own
		}
		compileOnce := func() (int, string) {
			fsys := projectFiles(files)
			fsys["a.yaml"] = projectFiles(map[string]string{"a.yaml": string(data)})["a.yaml"]
			l := NewLoader(Options{Catalog: c, FS: fsys, Vars: map[string]string{"v": "1"}})
			programs, problems := l.Flows("a.yaml")
			problems = append(problems, l.CheckProject(programs)...)
			text := ""
			for _, p := range problems {
				text += p.Error() + "\n"
			}
			for _, p := range programs {
				text += p.Version + "\n"
				if runs, _ := p.Runs(Selection{}); len(runs) > MaxRuns {
					t.Errorf("%d runs are over the limit", len(runs))
				}
			}
			file, _ := l.Parse("a.yaml")
			if len(problems.Errors()) == 0 && len(programs) != len(file.Flows) {
				t.Errorf("%d flows give %d programs and no error", len(file.Flows), len(programs))
			}
			return len(programs), text
		}
		n, text := compileOnce()
		if m, again := compileOnce(); n != m || text != again {
			t.Errorf("compiling twice gives two answers:\n%s\n%s", text, again)
		}
	})
}
