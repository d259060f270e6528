package plugin

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/agent/pluginstore"
)

// templates are the plugins that `plugin new` begins with; .txt keeps their
// files out of ours.
//
//go:embed all:templates
var templates embed.FS

// sourceVariable names a checkout of TestMesh that new plugins are built with.
const sourceVariable = "TESTMESH_SOURCE"

// languages are those that there is a template of.
func languages() []string { return []string{"go", "ts"} }

// blank is a new plugin.
type blank struct {
	name, lang, dir string
	replace         string // a checkout of TestMesh, absolute; "": a release
}

func (t *tool) newNew() *cobra.Command {
	b := &blank{}
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Begin a plugin that compiles and passes its own tests",
		Long: "Begin a plugin in a folder of its name: an action, a function, their tests, a flow, the manifest.\n\n" +
			"A plugin in Go needs the module of this testmesh's release; --replace PATH takes a checkout of TestMesh in its place.\n" +
			"One in TypeScript has the wire in its own folder, and is installed as one file that node runs.",
		Example: `  testmesh plugin new mqtt
  testmesh plugin new mqtt --lang ts
  testmesh plugin new mqtt --dir plugins/mqtt --replace ~/src/testmesh`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b.name = args[0]
			return t.create(cmd.Context(), b)
		},
	}
	cmd.Flags().StringVar(&b.lang, "lang", "go", strings.Join(languages(), " or "))
	cmd.Flags().StringVar(&b.dir, "dir", "", "folder to make; NAME where not given")
	cmd.Flags().StringVar(&b.replace, "replace", "", "checkout of TestMesh to build with; "+sourceVariable+" where not given")
	return cmd
}

func (t *tool) create(ctx context.Context, b *blank) error {
	if !pluginstore.ValidName(b.name) {
		return usage("lower-case letters, digits and _, a letter first: it stands before the dot of an action", "%q cannot be the name of a plugin", b.name)
	}
	if slices.ContainsFunc(t.Builtins, func(k Builtin) bool { return k.Descriptor.GetName() == b.name }) {
		return usage("", "%s is the name of a plugin that is part of testmesh", b.name)
	}
	if !slices.Contains(languages(), b.lang) {
		return usage("write "+strings.Join(languages(), " or "), "--lang %s: there is no template for it", b.lang)
	}
	if b.dir == "" {
		b.dir = b.name
	}
	dir := t.path(b.dir)
	if err := t.findSource(b); err != nil {
		return err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return usage("give it another folder: --dir PATH", "%s holds something already", b.dir)
	}
	files, err := t.fill(b)
	if err != nil {
		return err
	}
	began := time.Now()
	for _, name := range slices.Sorted(fileNames(files)) {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return errored("", "make the folder: %w", err)
		}
		if err := os.WriteFile(full, []byte(files[name]), 0o644); err != nil {
			return errored("", "write %s: %w", name, err)
		}
		fmt.Fprintf(t.Stdout, "created  %s\n", path.Join(filepath.ToSlash(b.dir), name))
	}
	if err := t.prepare(ctx, dir, b); err != nil {
		return err
	}
	fmt.Fprintf(t.Stdout, "\nIt compiles (%s). Next:\n  cd %s\n  testmesh plugin test        the conformance kit and its flow\n"+
		"  testmesh plugin dev         builds on every save\n  testmesh plugin lint        what is missing before others use it\n",
		time.Since(began).Round(100*time.Millisecond), b.dir)
	return nil
}

// findSource decides what a plugin in Go is built with.
func (t *tool) findSource(b *blank) error {
	if b.lang != "go" {
		return nil
	}
	if b.replace == "" {
		b.replace, _ = t.LookupEnv(sourceVariable)
	}
	if b.replace == "" {
		if !pluginstore.ValidVersion(strings.TrimPrefix(t.Version, "v")) {
			return usage("give a checkout of TestMesh: --replace PATH, or set "+sourceVariable,
				"this testmesh is version %s, no release that a plugin could be built with", t.Version)
		}
		return nil
	}
	b.replace = t.path(b.replace)
	text, err := os.ReadFile(filepath.Join(b.replace, "go.mod"))
	if err != nil || !strings.HasPrefix(string(text), "module github.com/testmesh/testmesh\n") {
		return usage("it is the folder that holds its go.mod", "%s is no checkout of TestMesh", b.replace)
	}
	return nil
}

// fill gives the files of the template.
func (t *tool) fill(b *blank) (map[string]string, error) {
	version, replace := "v"+strings.TrimPrefix(t.Version, "v"), ""
	if b.replace != "" {
		version, replace = "v0.0.0", "\nreplace github.com/testmesh/testmesh => "+b.replace+"\n"
	}
	words := strings.NewReplacer("__NAME__", b.name, "__VERSION__", version, "__REPLACE__", replace)
	files := map[string]string{}
	root := "templates/" + b.lang
	err := fs.WalkDir(templates, root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := templates.ReadFile(name)
		target := strings.TrimSuffix(strings.TrimPrefix(name, root+"/"), ".txt")
		files[words.Replace(strings.ReplaceAll(target, "dot-", "."))] = words.Replace(string(text))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read a file of this program: %w", err)
	}
	if b.lang == "ts" {
		err = t.addWire(b, files)
	}
	return files, err
}

// addWire adds what every plugin in TypeScript has, in the plugin's name.
func (t *tool) addWire(b *blank, files map[string]string) error {
	return fs.WalkDir(t.TypeScript, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(t.TypeScript, name)
		files[name] = string(text)
		if strings.HasPrefix(name, "package") {
			files[name] = packageInName(string(text), b.name)
		}
		return err
	})
}

// packageInName gives a package.json, or its lock, the plugin's name. What the
// example says of itself goes.
func packageInName(text, name string) string {
	var out strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(text, "testmesh-plugin-checkdigit", "testmesh-plugin-"+name)) {
		switch field := strings.TrimSpace(line); {
		case strings.HasPrefix(field, `"description": "A TestMesh plugin`):
			continue
		case field == `"license": "Apache-2.0",` && strings.HasPrefix(line, "  \""):
			line = "  \"license\": \"MIT\",\n"
		}
		out.WriteString(line)
	}
	return out.String()
}

func fileNames(files map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range files {
			if !yield(name) {
				return
			}
		}
	}
}

// prepare resolves what the plugin needs, and compiles it.
func (t *tool) prepare(ctx context.Context, dir string, b *blank) error {
	if b.lang == "ts" {
		if err := t.command(ctx, dir, "Node.js with npm (nodejs.org)", "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"); err != nil {
			return err
		}
		return t.command(ctx, dir, "Node.js with npm (nodejs.org)", "npm", "run", "--silent", "build")
	}
	if b.replace != "" {
		// The checksums of what it needs are those of the checkout, so that no
		// server is asked for them.
		sums, err := os.ReadFile(filepath.Join(b.replace, "go.sum"))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errored("", "copy go.sum: %w", err)
		}
	}
	return t.command(ctx, dir, "Go (go.dev/dl)", "go", "vet", "-mod=mod", "./...")
}

// command runs a program of a language's own tools in the new folder.
func (t *tool) command(ctx context.Context, dir, tools string, argv ...string) error {
	ctx, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, t.Environ, time.Second
	var words bounded
	cmd.Stdout, cmd.Stderr = &words, &words
	err := cmd.Run()
	line := strings.Join(argv, " ")
	if errors.Is(err, exec.ErrNotFound) {
		return errored("install "+tools+", then: "+line, "the files are there, but %s is not in PATH", argv[0])
	}
	if err != nil {
		return errored("in "+dir+": "+line, "the files are there, but they do not compile: %w\n%s", err, indented(words.String()))
	}
	return nil
}
