package cli

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/flow/syntax"
)

// starterFiles are what `testmesh init` writes, beside what it generates.
//
//go:embed starter
var starterFiles embed.FS

// starterIgnore keeps what runs leave behind out of the repository.
const starterIgnore = `# What runs leave behind. schema.json belongs into the repository.
artifacts/
plugins/
last-run.json
`

// starterFile is a file of a new project.
type starterFile struct {
	path, about string
	data        []byte
}

func newInit(s *State) *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Start a project with an example",
		Long: "Start a project in DIR, or in the working directory: two example flows, an environment\n" +
			"and the schema that editors complete and check flows with. Nothing is overwritten.",
		Example: `  testmesh init hello && cd hello
  testmesh run --tag smoke`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := ""
			if len(args) > 0 {
				dir = args[0]
			}
			return s.initialize(dir)
		},
	}
}

func (s *State) initialize(dir string) error {
	files, err := s.starter()
	if err != nil {
		return err
	}
	full := dir
	if !filepath.IsAbs(full) {
		full = filepath.Join(s.Dir, dir)
	}
	if err := os.MkdirAll(full, 0o755); err != nil {
		return usage("", "make the folder: %w", err)
	}
	root, err := os.OpenRoot(full)
	if err != nil {
		return usage("", "open the folder: %w", err)
	}
	defer root.Close()
	for _, f := range files {
		if _, err := root.Lstat(f.path); err == nil {
			return usage("init overwrites nothing; give it another folder: testmesh init hello", "%s exists already", path.Join(filepath.ToSlash(dir), f.path))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return usage("", "look for %s: %w", f.path, err)
		}
	}
	for _, f := range files {
		if err := writeNew(root, f); err != nil {
			return usage("", "write %s: %w", f.path, err)
		}
	}
	for i, f := range files {
		word := "created"
		if i > 0 {
			word = ""
		}
		fmt.Fprintf(s.Stdout, "%-8s %-29s %s\n", word, f.path, f.about)
	}
	fmt.Fprint(s.Stdout, "\nNext:\n")
	if dir != "" && filepath.Clean(dir) != "." {
		fmt.Fprintf(s.Stdout, "  cd %s\n", shellWord(dir))
	}
	_, err = fmt.Fprint(s.Stdout, `  testmesh demo serve          in another terminal
  testmesh run --tag smoke     passes
  testmesh run --tag broken    fails on purpose, to show how that looks
`)
	return err
}

func writeNew(root *os.Root, f starterFile) error {
	if err := root.MkdirAll(path.Dir(f.path), 0o755); err != nil {
		return err
	}
	out, err := root.OpenFile(f.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = out.Write(f.data)
	return errors.Join(err, out.Close())
}

// starter is everything that a new project has.
func (s *State) starter() ([]starterFile, error) {
	files := []starterFile{
		{path: "flows/hello.testmesh.yaml", about: "3 steps against the demo application"},
		{path: "flows/broken.testmesh.yaml", about: "one that fails on purpose"},
		{path: "environments/local.yaml", about: "values for --env local"},
	}
	for i := range files {
		data, err := starterFiles.ReadFile("starter/" + files[i].path)
		if err != nil {
			return nil, fmt.Errorf("read a file of this program: %w", err)
		}
		files[i].data = data
	}
	var schema bytes.Buffer
	if err := syntax.Schema(actions(s.builtins()), &schema); err != nil {
		return nil, fmt.Errorf("generate the schema: %w", err)
	}
	return append(files,
		starterFile{path: ".testmesh/schema.json", about: "what editors complete and check with", data: schema.Bytes()},
		starterFile{path: ".testmesh/.gitignore", about: "keeps what runs leave out of git", data: []byte(starterIgnore)},
	), nil
}
