// Package plugin is the commands for plugins: they write, try, pack and install
// what testmesh runs in processes of its own. What a plugin may do, and how it
// is started for a run, is never decided here.
package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/flow/report/text"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Exit codes, the same as those of `testmesh run`.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitErrored = 3
)

// Config is the outside world as the commands see it.
type Config struct {
	Stdout, Stderr io.Writer
	Dir            string // working directory, absolute
	LookupEnv      func(name string) (string, bool)
	// Environ is the environment that a build and the author's flows run in.
	Environ []string
	// Signals delivers SIGINT and SIGTERM; nil: none come.
	Signals <-chan os.Signal
	Version string
	// Executable is testmesh itself, which runs the author's flows.
	Executable string
	// Builtins are what `serve` can serve.
	Builtins []Builtin
	// TypeScript is the wire in TypeScript, for new plugins.
	TypeScript fs.FS
	// Root is the project that a folder belongs to.
	Root func(dir string) string
	// Style is how the terminal is written to.
	Style func(cmd *cobra.Command) (text.Style, error)
}

// Builtin is a plugin that is part of the program.
type Builtin struct {
	Descriptor *testmeshv1.Descriptor
	New        func() plugin.Plugin
}

// tool is what the commands share.
type tool struct{ Config }

// New is the command `testmesh plugin`.
func New(cfg Config) *cobra.Command {
	t := &tool{cfg}
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Write, try, pack and install plugins",
		Long: "Write, try, pack and install plugins: programs that add actions and functions to flows.\n\n" +
			"To use one:    testmesh plugin install NAME --index URL\n" +
			"To write one:  testmesh plugin new NAME && cd NAME && testmesh plugin test",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "testmesh plugin --help lists the commands"
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			if near := value.Closest(args[0], names); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return usage(hint, "unknown command %q", "plugin "+args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		t.newInstall(), t.newList(), t.newInfo(), t.newRemove(),
		t.newNew(), t.newDev(), t.newTest(), t.newLint(), t.newDocs(), t.newPackage(),
	)
	for _, c := range cmd.Commands() {
		c.RunE = t.interruptible(c.RunE)
	}
	cmd.AddCommand(t.newServe()) // whose signals are the host's
	return cmd
}

// exit ends a command with a code.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// ExitCode is the code; an error without words has been said already.
func (e *exit) ExitCode() int { return e.code }

func coded(code int, hint, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if hint != "" {
		err = fmt.Errorf("%w\n  hint: %s", err, hint)
	}
	return &exit{code: code, err: err}
}

// usage is a mistake on the command line or in a file.
func usage(hint, format string, args ...any) error {
	return coded(exitUsage, hint, format, args...)
}

// errored is what could not be done.
func errored(hint, format string, args ...any) error {
	return coded(exitErrored, hint, format, args...)
}

// path makes a path of the command line absolute.
func (t *tool) path(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(t.Dir, name)
}

// shown is an absolute path as the person in the working directory types it.
func (t *tool) shown(name string) string {
	if rel, err := filepath.Rel(t.Dir, name); err == nil && len(rel) < len(name) {
		return filepath.ToSlash(rel)
	}
	return name
}

// store is that of the project of the working directory.
func (t *tool) store() *pluginstore.Store { return pluginstore.Open(t.Root(t.Dir)) }

// lock reads the project's lock file; nil where there is none.
func (t *tool) lock(cmd *cobra.Command, s *pluginstore.Store) (*pluginstore.Lock, error) {
	lock, problems, err := s.Lock()
	if err != nil {
		return nil, usage("", "%w", err)
	}
	return lock, t.refuse(cmd, problems, s.Root())
}

// refuse prints problems with their excerpts and gives the end of the command;
// nil where there are none. Files are relative to dir.
func (t *tool) refuse(cmd *cobra.Command, problems source.Problems, dir string) error {
	bad := problems.Errors()
	if len(bad) == 0 {
		return nil
	}
	style, err := t.Style(cmd)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, p := range bad {
		full := p.Pos.File
		if !filepath.IsAbs(full) {
			full = filepath.Join(dir, full)
		}
		data, err := os.ReadFile(full)
		if err != nil {
			data = nil // the problem is said without an excerpt
		}
		p.Pos.File = t.shown(full)
		style.Problem(&b, p, data)
	}
	fmt.Fprintf(t.Stderr, "%s%s  %s\n", b.String(), style.Bad("INVALID"), counted(len(bad), "problem"))
	return &exit{code: exitUsage}
}

// manifest reads that of a plugin's folder.
func (t *tool) manifest(cmd *cobra.Command, dir string) (*pluginstore.Manifest, error) {
	m, problems, err := pluginstore.ReadManifest(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usage("testmesh plugin new NAME makes one; else give the folder of the plugin",
			"there is no %s in %s", pluginstore.ManifestFile, dir)
	}
	if err != nil {
		return nil, usage("", "%w", err)
	}
	return m, t.refuse(cmd, problems, dir)
}

// folder is the plugin's folder of a command that takes one.
func (t *tool) folder(args []string) string {
	if len(args) == 0 {
		return t.Dir
	}
	return t.path(args[0])
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// outputFlag adds -o text|json and gives what reads it.
func outputFlag(cmd *cobra.Command) func() (asJSON bool, err error) {
	output := cmd.Flags().StringP("output", "o", "text", "text or json")
	return func() (bool, error) {
		if *output != "text" && *output != "json" {
			return false, usage("write text or json", "-o %s is not known", *output)
		}
		return *output == "json", nil
	}
}

func (t *tool) printJSON(v any) error {
	enc := json.NewEncoder(t.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// permissions in one line, as people read them before they install.
func permissions(p pluginstore.Permissions) string {
	var parts []string
	if p.Network {
		parts = append(parts, "network")
	}
	switch p.Files {
	case "read":
		parts = append(parts, "reads files")
	case "write":
		parts = append(parts, "reads and writes files")
	}
	if p.Exec {
		parts = append(parts, "starts programs")
	}
	if len(p.Env) > 0 {
		parts = append(parts, "environment: "+strings.Join(p.Env, ", "))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, " · ")
}
