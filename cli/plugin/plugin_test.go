package plugin

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/flow/report/text"
)

// world is a project, a plugin beside it, and what commands print.
type world struct {
	t       *testing.T
	signals chan os.Signal
	project string
	plugin  string
	env     map[string]string
	out     string
	err     string
}

// toyDescribe is a plugin that only says what it can do, in a shell.
const toyDescribe = `[ "$1" = describe ] || exit 2
cat <<'END'
{"name": "toy", "version": "1.2.0", "summary": "Does.", "actions": [{"name": "toy.do", "summary": "Do it.",
 "description": "It passes.", "configSchema": "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"text\": {\"type\": \"string\", \"description\": \"What | to do.\", \"default\": \"x\"}}}",
 "resultSchema": "{\"type\": \"object\", \"properties\": {\"text\": {\"type\": \"string\", \"description\": \"What was done.\"}}}",
 "effects": [{"effect": "EFFECT_ONCE"}], "example": "- action: toy.do\n  config: {text: hello}\n"}],
 "functions": [{"name": "twice", "summary": "Twice.", "parameters": ["x"]}]}
END
`

const toyManifest = `apiVersion: testmesh.dev/v1
name: toy
version: 1.2.0
summary: Does.
license: MIT
homepage: https://example.com
issues: https://example.com/issues
protocol: [1]
command: [sh, describe.sh]
files: [describe.sh]
permissions: {network: true, env: [TOY_HOME]}
flows: examples
conformance: {secret: {action: toy.do}}
`

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, project: filepath.Join(dir, "project"), plugin: filepath.Join(dir, "toy"), env: map[string]string{}}
	w.write(filepath.Join(w.project, ".testmesh", "x"), "")
	for name, data := range map[string]string{
		pluginstore.ManifestFile: toyManifest, "describe.sh": toyDescribe, "README.md": strings.Repeat("A toy. ", 40), "LICENSE": "MIT",
		"CHANGELOG.md": "# Changes", "examples/toy.testmesh.yaml": "flow: {name: x, steps: [{action: toy.do}, {action: assert, assert: [toy.twice(1)]}]}",
	} {
		w.write(filepath.Join(w.plugin, name), data)
	}
	return w
}

func (w *world) write(name, data string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// edit changes a file of the plugin.
func (w *world) edit(name, old, replacement string) {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.plugin, name))
	if err != nil || !strings.Contains(string(data), old) {
		w.t.Fatalf("%s has no %q (%v)", name, old, err)
	}
	w.write(filepath.Join(w.plugin, name), strings.ReplaceAll(string(data), old, replacement))
}

// run runs a command in the project and gives its exit code.
func (w *world) run(args ...string) int {
	w.t.Helper()
	var out, words bytes.Buffer
	cmd := New(Config{
		Stdout: &out, Stderr: &words, Dir: w.project, Version: "1.0.0", Environ: os.Environ(),
		LookupEnv: func(name string) (string, bool) {
			if name == "PATH" {
				return os.LookupEnv(name)
			}
			v, ok := w.env[name]
			return v, ok
		},
		Signals:  w.signals,
		Builtins: []Builtin{{Descriptor: &testmeshv1.Descriptor{Name: "http", Version: "1.0.0", Summary: "HTTP requests."}}},
		Root:     func(string) string { return w.project },
		Style:    func(*cobra.Command) (text.Style, error) { return text.Style{Width: 100}, nil },
	})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(io.Discard)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(w.t.Context())
	w.out, w.err = out.String(), words.String()
	if err == nil {
		return 0
	}
	w.err += err.Error()
	var coded interface{ ExitCode() int }
	if !errors.As(err, &coded) {
		return exitUsage // cobra's own
	}
	return coded.ExitCode()
}

// want runs a command and wants a code and texts of what it prints.
func (w *world) want(code int, args []string, texts ...string) {
	w.t.Helper()
	if got := w.run(args...); got != code {
		w.t.Fatalf("%v: exit code %d, want %d\n%s%s", args, got, code, w.out, w.err)
	}
	for _, text := range texts {
		if !strings.Contains(w.out+w.err, text) {
			w.t.Errorf("%v: no %q in\n%s%s", args, text, w.out, w.err)
		}
	}
}

func TestAPluginIsInstalledFromItsFolder(t *testing.T) {
	w := newWorld(t)
	w.want(0, []string{"install", "../toy"})
	want := "toy 1.2.0  installed\n  may        network · environment: TOY_HOME\n  actions    toy.do\n  functions  toy.twice\n  locked in  plugins.lock: commit it\n"
	if diff := cmp.Diff(want, w.out); diff != "" {
		t.Error(diff)
	}
	lock, err := os.ReadFile(filepath.Join(w.project, pluginstore.LockFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`source: {"folder":"../toy"}`, "      any:\n", `command: ["sh","describe.sh"]`} {
		if !strings.Contains(string(lock), text) {
			t.Errorf("no %q in the lock file\n%s", text, lock)
		}
	}
	w.want(0, []string{"list"}, "http  1.0.0  built-in   HTTP requests.", "toy   1.2.0  installed  Does.")
	w.want(0, []string{"info", "toy"}, "toy 1.2.0  installed", "../toy", "toy.do", "toy.twice(x)", "network · environment: TOY_HOME")
	w.want(0, []string{"list", "-o", "json"}, `"state": "built-in"`, `"folder": "../toy"`)

	// Another version says what is new in what it may do.
	w.edit("describe.sh", "1.2.0", "1.3.0")
	w.edit(pluginstore.ManifestFile, "1.2.0", "1.3.0")
	w.edit(pluginstore.ManifestFile, "{network: true", "{network: true, files: write, exec: true")
	w.want(0, []string{"install", "../toy"}, "toy 1.3.0  installed in place of 1.2.0",
		"network · reads and writes files · starts programs · environment: TOY_HOME   (before: network · environment: TOY_HOME)")
	if _, err := os.Stat(filepath.Join(w.project, ".testmesh/plugins/toy-1.2.0")); err == nil {
		t.Error("the older version is still there")
	}
	w.want(0, []string{"remove", "toy"}, "toy 1.3.0  removed")
	w.want(exitUsage, []string{"remove", "toy"}, `no plugin "toy"`)
	w.want(exitUsage, []string{"remove", "http"}, "is not in plugins.lock")
}

func TestAPluginGoesByAnIndex(t *testing.T) {
	w := newWorld(t)
	w.want(0, []string{"package", "../toy", "--index", "../index"}, "../toy/dist/testmesh-plugin-toy_1.2.0_any.tar.gz", "../index/index.yaml  toy 1.2.0")
	first, err := os.ReadFile(filepath.Join(w.plugin, "dist", pluginstore.SumsFile))
	if err != nil {
		t.Fatal(err)
	}
	w.want(0, []string{"package", "../toy", "--index", "../index"})
	if again, err := os.ReadFile(filepath.Join(w.plugin, "dist", pluginstore.SumsFile)); err != nil || !bytes.Equal(first, again) {
		t.Errorf("packed twice, the bytes differ (%v)", err)
	}
	w.env[indexVariable] = "../index"
	w.want(0, []string{"install", "toy@^1"}, "toy 1.2.0  installed")
	w.want(0, []string{"install"}, "toy 1.2.0  is installed")
	w.want(0, []string{"install", "--locked", "toy"}, "installed again")

	// What was published does not change under its version.
	w.edit("describe.sh", "END", "FIN")
	w.want(exitUsage, []string{"package", "../toy", "--index", "../index"}, "raise the version")

	// A clone installs from the same index, or a mirror of it.
	if err := os.RemoveAll(filepath.Join(w.project, ".testmesh/plugins")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(w.project, "../index"), filepath.Join(w.project, "../mirror")); err != nil {
		t.Fatal(err)
	}
	w.want(0, []string{"list"}, "toy   1.2.0  missing", "testmesh plugin install brings what is missing")
	w.want(exitErrored, []string{"install"}, "index")
	w.want(0, []string{"install", "--index", "../mirror"}, "toy 1.2.0  installed")
	w.want(0, []string{"install", "../mirror/testmesh-plugin-toy_1.2.0_any.tar.gz"}, "installed again")
}

func TestInstallationsThatAreRefused(t *testing.T) {
	tests := map[string]struct {
		prepare func(w *world)
		args    []string
		code    int
		want    string
	}{
		"no lock file":               {nil, []string{"install"}, exitUsage, "there is no plugins.lock"},
		"no index":                   {nil, []string{"install", "toy"}, exitUsage, "no index says where plugin toy is"},
		"a folder taken for a name":  {func(w *world) { w.write(filepath.Join(w.project, "toy", pluginstore.ManifestFile), "") }, []string{"install", "toy"}, exitUsage, "testmesh plugin install ./toy"},
		"a folder without a plugin":  {nil, []string{"install", "."}, exitUsage, "there is no testmesh-plugin.yaml"},
		"an archive that is none":    {func(w *world) { w.write(filepath.Join(w.project, "x.tar.gz"), "x") }, []string{"install", "x.tar.gz"}, exitErrored, "it is no tar.gz"},
		"a package of elsewhere":     {nil, []string{"install", "testmesh-plugin-toy_1.2.0_plan9_mips.tar.gz"}, exitUsage, "is a package for plan9/mips"},
		"the name of a built-in":     {func(w *world) { w.edit("describe.sh", "toy", "http"); w.edit(pluginstore.ManifestFile, "toy", "http") }, []string{"install", "../toy"}, exitUsage, "part of testmesh"},
		"another version than said":  {func(w *world) { w.edit("describe.sh", "1.2.0", "1.2.1") }, []string{"install", "../toy"}, exitUsage, `says version "1.2.0" and the plugin itself "1.2.1"`},
		"a build that fails":         {func(w *world) { w.edit(pluginstore.ManifestFile, "command:", "build: echo no; exit 3\ncommand:") }, []string{"install", "../toy"}, exitErrored, "the build does not end well: exit status 3\n  $ echo no; exit 3\n  no"},
		"an interpreter not there":   {func(w *world) { w.edit(pluginstore.ManifestFile, "[sh,", "[no-such-sh,") }, []string{"install", "../toy"}, exitErrored, "run by no-such-sh, which is not in PATH"},
		"no JSON":                    {func(w *world) { w.edit("describe.sh", "cat", "echo hello; cat") }, []string{"install", "../toy"}, exitErrored, "read the descriptor"},
		"locked, and it is new":      {nil, []string{"install", "--locked", "../toy"}, exitUsage, "is not what plugins.lock says"},
		"a range that is none":       {nil, []string{"install", "toy@1.x"}, exitUsage, "is not a version or range"},
		"an index that is not there": {nil, []string{"install", "toy", "--index", "nowhere"}, exitErrored, "read the index"},
		"an index that is wrong":     {func(w *world) { w.write(filepath.Join(w.project, "i/index.yaml"), "plugin: {}") }, []string{"install", "toy", "--index", "i"}, exitUsage, `did you mean "plugins"?`},
		"a lock file half merged":    {func(w *world) { w.write(filepath.Join(w.project, pluginstore.LockFile), "<<<<<<< HEAD\n") }, []string{"install", "../toy"}, exitUsage, "a merge left both sides"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			w.want(tt.code, tt.args, tt.want)
			installed, err := filepath.Glob(filepath.Join(w.project, ".testmesh/plugins/*-*"))
			if err != nil || len(installed) > 0 && name != "a lock file half merged" {
				t.Errorf("it was installed: %v %v", installed, err)
			}
		})
	}
}

func TestASignalEndsWhatACommandWaitsFor(t *testing.T) {
	for want, s := range map[int]os.Signal{exitInterrupted: os.Interrupt, exitTerminated: syscall.SIGTERM} {
		w := newWorld(t)
		w.signals = make(chan os.Signal, 1)
		w.edit(pluginstore.ManifestFile, "command:", "build: touch building; sleep 600\ncommand:")
		w.signals <- s
		w.want(want, []string{"package", "../toy"}, "interrupted")
	}
}

func TestPackagesForOtherMachines(t *testing.T) {
	w := newWorld(t)
	w.edit(pluginstore.ManifestFile, "command: [sh, describe.sh]\nfiles: [describe.sh]",
		"build: mkdir -p bin && cp describe.sh bin/toy && echo \"# $GOOS/$GOARCH\" >>bin/toy && chmod +x bin/toy\ncommand: [bin/toy]\nfiles: [bin/toy]")
	w.edit("describe.sh", "[ \"$1\"", "#!/bin/sh\n[ \"$1\"")
	w.want(0, []string{"package", "../toy", "--platform", "plan9/mips", "--platform", "darwin/arm64"}, "toy_1.2.0_darwin_arm64.tar.gz", "toy_1.2.0_plan9_mips.tar.gz")
	index, err := os.ReadFile(filepath.Join(w.plugin, "dist", pluginstore.IndexFile))
	if err != nil {
		t.Fatal(err)
	}
	x, problems := pluginstore.ParseIndex("i", index)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	platforms := x.Plugins["toy"].Versions["1.2.0"].Platforms
	if len(platforms) != 2 || platforms["plan9/mips"].Content == platforms["darwin/arm64"].Content {
		t.Errorf("got %v, want two packages of different files", platforms)
	}
	built, err := os.ReadFile(filepath.Join(w.plugin, "bin/toy"))
	if err != nil || !strings.HasSuffix(string(built), "# /\n") {
		t.Errorf("what is left is no build for this machine: %s %v", built, err)
	}
	w.want(exitUsage, []string{"package", "../toy", "--platform", "linux"}, `--platform "linux" is not OS/ARCH`)
}

func TestCommandsThatDoNotExist(t *testing.T) {
	w := newWorld(t)
	w.want(exitUsage, []string{"instal"}, `unknown command "plugin instal"`, `did you mean "install"?`)
	w.want(exitUsage, []string{"xyz"}, "--help lists the commands")
	w.want(exitUsage, []string{"list", "-o", "yaml"}, "write text or json")
	w.want(exitUsage, []string{"info", "tyo"}, `the project has no plugin "tyo"`)
	w.want(exitUsage, []string{"serve", "htp"}, "did you mean http?")
	w.want(exitUsage, []string{"serve", "kafka"}, "built in are: http")
}

func TestNewPluginsHaveTheirName(t *testing.T) {
	for _, lang := range []string{"go", "ts"} {
		tl := &tool{Config{Version: "1.4.0", TypeScript: os.DirFS("../../examples/plugins/checkdigit")}}
		if lang == "ts" {
			tl.TypeScript = only{tl.TypeScript, []string{"package.json", "tsconfig.json"}}
		}
		files, err := tl.fill(&blank{name: "mqtt", lang: lang})
		if err != nil {
			t.Fatal(err)
		}
		names := slices.Sorted(fileNames(files))
		for _, want := range []string{".gitignore", ".testmesh/.gitignore", "README.md", "LICENSE", "CHANGELOG.md", "examples/mqtt.testmesh.yaml", pluginstore.ManifestFile} {
			if !slices.Contains(names, want) {
				t.Errorf("%s: no %s in %v", lang, want, names)
			}
		}
		for name, data := range files {
			if strings.Contains(data+name, "__") || strings.Contains(name, "dot-") || strings.Contains(data, "testmesh-plugin-checkdigit") {
				t.Errorf("%s: %s holds what was to be replaced", lang, name)
			}
		}
		m, problems := pluginstore.ParseManifest(pluginstore.ManifestFile, []byte(files[pluginstore.ManifestFile]))
		if len(problems) > 0 || m.Name != "mqtt" {
			t.Errorf("%s: %v", lang, problems)
		}
	}
}
