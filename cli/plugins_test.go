package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/plugins"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// launched stands in for the host of processes: it says what it would start.
type launched struct {
	programs []pluginhost.Program
	used     []string
}

func (l *launched) find(name string) *pluginhost.Program {
	for i := range l.programs {
		if l.programs[i].Name == name {
			return &l.programs[i]
		}
	}
	return nil
}

func (l *launched) Has(name string) bool { return l.find(name) != nil }

func (l *launched) Execute(_ context.Context, req *plugin.Request, _ plugin.Stream) (*plugin.Response, error) {
	l.used = append(l.used, req.Action)
	return &plugin.Response{Result: json.RawMessage(`{"text": "done"}`)}, nil
}

func (l *launched) Call(_ context.Context, name string, req *plugin.FunctionRequest) (json.RawMessage, error) {
	l.used = append(l.used, name+"."+req.Function)
	return req.Args, nil
}

func (l *launched) EndRun(string) {}

func (l *launched) Close() error { return nil }

// toyProject is a project with the plugin toy in its lock file, installed.
type toyProject struct {
	t     *testing.T
	dir   string
	store *pluginstore.Store
	env   map[string]string
	slim  bool
	whole int // how often the slim program became the whole one

	host     *launched
	out, err string
}

func newToyProject(t *testing.T) *toyProject {
	t.Helper()
	p := &toyProject{t: t, dir: t.TempDir(), env: map[string]string{}}
	p.store = pluginstore.Open(p.dir)
	source := t.TempDir()
	p.write(filepath.Join(source, pluginstore.ManifestFile),
		"apiVersion: testmesh.dev/v1\nname: toy\nversion: 1.2.0\nprotocol: [1]\ncommand: [bin/toy, -q]\nfiles: [bin]\npermissions: {env: [TOY_HOME]}\n")
	p.write(filepath.Join(source, "bin/toy"), "#!/bin/sh\n")
	m, _, err := pluginstore.ReadManifest(source)
	if err != nil {
		t.Fatal(err)
	}
	var sums pluginstore.Checksums
	c, err := p.store.Unpack(pluginstore.Checksums{}, func(w io.Writer) error {
		var err error
		sums, err = pluginstore.Pack(source, m, toyDescriptor(), w)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Install(); err != nil {
		t.Fatal(err)
	}
	p.lock(func(l *pluginstore.Lock) {
		l.Put(pluginstore.Locked{
			Name: "toy", Version: "1.2.0", Source: pluginstore.Source{Folder: source}, Protocol: []int{1}, Command: m.Command,
			Permissions: m.Permissions, Platforms: map[string]pluginstore.Checksums{pluginstore.Platform(): sums}, Descriptor: toyDescriptor(),
		})
	})
	p.write(filepath.Join(p.dir, "toy.testmesh.yaml"),
		"flow:\n  name: toy\n  steps:\n    - {id: a, action: toy.do, config: {text: x}, assert: [text == \"done\", 'toy.list(1, \"b\") == [1, \"b\"]']}\n")
	return p
}

func toyDescriptor() *testmeshv1.Descriptor {
	return &testmeshv1.Descriptor{
		Name: "toy", Version: "1.2.0",
		Actions: []*testmeshv1.Action{{
			Name: "toy.do", ConfigSchema: `{"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": false}`,
			ResultSchema: `{"type": "object", "properties": {"text": {"type": "string"}}}`,
			Effects:      []*testmeshv1.EffectRule{{Effect: testmeshv1.Effect_EFFECT_OBSERVE}},
		}},
		Functions: []*testmeshv1.Function{{Name: "list", Parameters: []string{"a", "b"}}},
	}
}

func (p *toyProject) write(name, data string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

func (p *toyProject) lock(change func(*pluginstore.Lock)) {
	p.t.Helper()
	problems, err := p.store.Update(func(l *pluginstore.Lock) error { change(l); return nil })
	if err != nil || len(problems) > 0 {
		p.t.Fatal(problems, err)
	}
}

func (p *toyProject) develop() pluginstore.Override {
	return pluginstore.Override{Name: "toy", Version: "1.3.0", Dir: "/src/toy", Command: []string{"bin/toy"}, Descriptor: toyDescriptor()}
}

func (p *toyProject) run(args ...string) int {
	p.t.Helper()
	var out, errs bytes.Buffer
	p.host = &launched{}
	s := &State{
		Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Dir: p.dir, Version: "1.0.0", Executable: "/bin/testmesh",
		LookupEnv: func(name string) (string, bool) { v, ok := p.env[name]; return v, ok },
	}
	if !p.slim {
		s.Launch = func(l Launch) (pluginhost.Remote, error) { p.host.programs = l.Programs; return p.host, nil }
	} else if p.whole >= 0 {
		s.Whole = func() error { p.whole++; return errors.New("became another") }
	}
	for _, b := range plugins.Builtins("1.0.0") {
		s.Plugins = append(s.Plugins, Builtin{Descriptor: b.Descriptor, New: b.New})
	}
	code := Main(p.t.Context(), s)
	p.out, p.err = out.String(), errs.String()
	return code
}

func TestALockedPluginRuns(t *testing.T) {
	p := newToyProject(t)
	if code := p.run("run", "--locked"); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, p.out, p.err)
	}
	got := p.host.find("toy")
	if got == nil || got.Unverified || got.Dir != p.store.PackageDir("toy", "1.2.0") || len(got.Files) != 3 || got.Files["bin/toy"] == "" ||
		got.Descriptor.GetName() != "toy" || strings.Join(got.Env, " ") != "TOY_HOME" || strings.Join(got.Command, " ") != "bin/toy -q" {
		t.Errorf("got %+v", got)
	}
	if used := strings.Join(p.host.used, " "); used != "toy.do toy.list" {
		t.Errorf("got %q, want the action and the function", used)
	}
	if p.host.find("http") != nil {
		t.Error("http runs apart without --isolate")
	}
}

func TestBuiltInPluginsApart(t *testing.T) {
	p := newToyProject(t)
	if code := p.run("run", "--isolate"); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, p.out, p.err)
	}
	if got := p.host.find("http"); got == nil || strings.Join(got.Command, " ") != "/bin/testmesh plugin serve http" || got.Dir != "" || got.Files != nil {
		t.Errorf("got %+v, want this program started again", got)
	}
}

func TestAPluginInDevelopmentStandsIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "override.json")
	for name, begin := range map[string]func(p *toyProject) error{
		"by plugin dev": func(p *toyProject) error { return p.store.Override(p.develop()) },
		"by the environment": func(p *toyProject) error {
			p.env[overrideVariable] = file
			return pluginstore.WriteOverride(file, p.develop())
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newToyProject(t)
			if err := begin(p); err != nil {
				t.Fatal(err)
			}
			if code := p.run("run"); code != 0 || !strings.Contains(p.out, "plugin toy is the unlocked build in /src/toy") {
				t.Errorf("exit code %d\n%s%s", code, p.out, p.err)
			}
			if got := p.host.find("toy"); got == nil || !got.Unverified || got.Dir != "/src/toy" || len(p.host.programs) != 1 {
				t.Errorf("got %+v", p.host.programs)
			}
			if code := p.run("run", "--locked"); code != 2 || !strings.Contains(p.err, "plugin toy is in development in /src/toy") {
				t.Errorf("--locked: exit code %d\n%s%s", code, p.out, p.err)
			}
		})
	}
}

func TestPluginsThatCannotRunAreRefusedBeforeARun(t *testing.T) {
	change := func(f func(l *pluginstore.Locked)) func(*toyProject) {
		return func(p *toyProject) { p.lock(func(l *pluginstore.Lock) { f(l.Find("toy")) }) }
	}
	tests := map[string]struct {
		spoil func(p *toyProject)
		flag  string
		want  string
	}{
		"not installed": {func(p *toyProject) {
			if err := p.store.Uninstall("toy", ""); err != nil {
				p.t.Fatal(err)
			}
		}, "", "plugin toy 1.2.0 is not installed"},
		"another checksum": {change(func(l *pluginstore.Locked) {
			l.Platforms[pluginstore.Platform()] = pluginstore.Checksums{Archive: strings.Repeat("0", 64), Content: strings.Repeat("0", 64)}
		}), "", "plugin toy is not what plugins.lock says"},
		"for another machine": {change(func(l *pluginstore.Locked) {
			l.Platforms = map[string]pluginstore.Checksums{"plan9/mips": {Archive: strings.Repeat("0", 64), Content: strings.Repeat("0", 64)}}
		}), "", "plugin toy 1.2.0 is not installed"},
		"another protocol":         {change(func(l *pluginstore.Locked) { l.Protocol = []int{2} }), "", "speaks protocol [2], and this testmesh speaks 1"},
		"an interpreter not there": {change(func(l *pluginstore.Locked) { l.Command = []string{"no-such-sh", "x"} }), "", "it is run by no-such-sh, which is not in PATH"},
		"a program without a host": {func(p *toyProject) { p.slim, p.whole = true, -1 }, "", "runs no plugins but its own"},
		"a byte of it, with --locked": {func(p *toyProject) {
			p.write(filepath.Join(p.store.PackageDir("toy", "1.2.0"), "bin/toy"), "#!/bin/SH\n")
		}, "--locked", "bin/toy has changed"},
		"half of a merge": {func(p *toyProject) { p.write(p.store.LockPath(), "<<<<<<< HEAD\n") }, "", "a merge left both sides"},
		"no lock file with --locked": {func(p *toyProject) {
			if err := errors.Join(os.Remove(p.store.LockPath()), os.Remove(filepath.Join(p.dir, "toy.testmesh.yaml"))); err != nil {
				p.t.Fatal(err)
			}
		}, "--locked", "there is no plugins.lock"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newToyProject(t)
			tt.spoil(p)
			args := []string{"run"}
			if tt.flag != "" {
				args = append(args, tt.flag)
			}
			if code := p.run(args...); code != 2 || !strings.Contains(strings.Join(strings.Fields(p.err), " "), tt.want) {
				t.Errorf("exit code %d, want 2 and %q\n%s%s", code, tt.want, p.out, p.err)
			}
			if len(p.host.used) > 0 {
				t.Errorf("it ran: %v", p.host.used)
			}
		})
	}
}

func TestTheSlimProgramBecomesTheWholeOneWhereAPluginIsUsed(t *testing.T) {
	p := newToyProject(t)
	p.slim = true
	if code := p.run("run"); code != 2 || p.whole != 1 || !strings.Contains(p.err, "became another") {
		t.Errorf("exit code %d, became %d times\n%s%s", code, p.whole, p.out, p.err)
	}
	p.write(filepath.Join(p.dir, "toy.testmesh.yaml"), "flow:\n  name: other\n  steps: [{action: log, config: {message: x}}]\n")
	if code := p.run("run"); code != 0 || p.whole != 1 {
		t.Errorf("without the plugin: exit code %d, became %d times\n%s%s", code, p.whole, p.out, p.err)
	}
	if code := p.run("validate"); code != 0 || p.whole != 1 {
		t.Errorf("validate: exit code %d, became %d times\n%s%s", code, p.whole, p.out, p.err)
	}
}

func TestWhatOnlyReadsNeedsNoInstallation(t *testing.T) {
	p := newToyProject(t)
	if err := p.store.Uninstall("toy", ""); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{"validate": "VALID  1 flow", "schema": "toy.do", "fmt": ""} {
		if code := p.run(command); code != 0 || !strings.Contains(p.out, want) {
			t.Errorf("%s: exit code %d\n%s%s", command, code, p.out, p.err)
		}
	}
	p.write(filepath.Join(p.dir, "wrong.testmesh.yaml"), "flow:\n  name: w\n  steps:\n    - {action: toy.do, config: {txet: x}}\n")
	if code := p.run("validate", "wrong.testmesh.yaml"); code != 2 || !strings.Contains(p.out, `did you mean "text"`) {
		t.Errorf("exit code %d\n%s%s", code, p.out, p.err)
	}
}
