package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/agent/pluginhost"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestAPluginThatDoesNotStartIsSaidAsWhatItIs(t *testing.T) {
	tests := map[string]struct {
		kind  string
		want  string
		words string // in the details
	}{
		"exits at once":              {"quits", "plugin bad ended before its handshake with exit code 3: cannot find the frobnicator", "cannot find the frobnicator"},
		"prints garbage":             {"garbage", `plugin bad printed "Hello, I am a plugin" where its handshake belongs`, "Hello, I am a plugin"},
		"prints without end":         {"endless", `plugin bad printed "xxx`, ""},
		"never shakes hands":         {"silent", "plugin bad did not shake hands within 1s of its start", ""},
		"speaks another version":     {"version", "plugin bad speaks version 9 of the plugin protocol, and this testmesh speaks 1", ""},
		"speaks another handshake":   {"core", "plugin bad speaks version 7 of the handshake, and this testmesh speaks 1", ""},
		"speaks net/rpc":             {"netrpc", "plugin bad does not speak gRPC", ""},
		"sends us somewhere else":    {"foreign", "plugin bad wants to be called at tcp 192.0.2.1:443", ""},
		"does not listen":            {"absent", "plugin bad shook hands and cannot be called: ", ""},
		"takes connections silently": {"mute", "plugin bad shook hands and cannot be called: ", ""},
		"is another plugin":          {"good", `plugin bad is not what was installed: it says that its name is "good"`, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := Limits{StartTimeout: time.Second}
			if test.kind == "good" || test.kind == "quits" {
				limits.StartTimeout = patience // on a busy machine it is not the point
			}
			p := poolOf(t, Config{
				Programs: []pluginhost.Program{programOf("bad", test.kind), programOf("good", "good")}, Limits: limits,
			})
			_, err := run(p, "r1", "bad.echo", "")
			e := faultOf(t, err)
			if e.Blame != plugin.BlamePlugin || e.Code != plugin.CodePlugin || !strings.Contains(e.Message, test.want) || e.Hint == "" {
				t.Errorf("got %s of %s: %s (%s), want %s", e.Code, e.Blame, e.Message, e.Hint, test.want)
			}
			if words := strings.Join(e.Details, "\n"); !strings.Contains(words, test.words) {
				t.Errorf("the last words are %q, want %q in them", words, test.words)
			}
			noneLeft(t, marker(p.cfg.Dir))
		})
	}
}

// script is a package of one shell script, and its program with its digest.
func script(t *testing.T, text string) pluginhost.Program {
	t.Helper()
	return packaged(t, map[string]string{"bin/run": text}, "bin/run")
}

func TestAProgramThatTheMachineCannotStartIsItsAgentsFault(t *testing.T) {
	tests := map[string]struct {
		program func(t *testing.T) pluginhost.Program
		want    string
	}{
		"for another system": {func(t *testing.T) pluginhost.Program { return script(t, "\x7fELFnothing") }, "its program is not for linux/"},
		"without its interpreter": {
			func(t *testing.T) pluginhost.Program { return script(t, "#!/nowhere/interpreter\n") }, "bin/run was not found",
		},
		"not executable": {
			func(t *testing.T) pluginhost.Program {
				p := script(t, "#!/bin/sh\n")
				if err := os.Chmod(filepath.Join(p.Dir, "bin/run"), 0o600); err != nil {
					t.Fatal(err)
				}
				return p
			}, "bin/run may not be executed",
		},
		"that is not there": {
			func(*testing.T) pluginhost.Program {
				return pluginhost.Program{Name: "bad", Command: []string{"/nowhere/program"}}
			}, "/nowhere/program was not found",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			program := test.program(t)
			program.Name = "bad"
			p := poolOf(t, Config{Programs: []pluginhost.Program{program}})
			_, err := run(p, "r1", "bad.echo", "")
			e := faultOf(t, err)
			if e.Blame != plugin.BlameAgent || !strings.Contains(e.Message, "plugin bad cannot be started: ") || !strings.Contains(e.Message, test.want) {
				t.Errorf("got %s: %s, want %s", e.Blame, e.Message, test.want)
			}
		})
	}
}

func TestADescriptorMustBeTheInstalledOne(t *testing.T) {
	action := func(name string) []*testmeshv1.Action { return []*testmeshv1.Action{{Name: name}} }
	tests := map[string]struct {
		got, want *testmeshv1.Descriptor
		differ    string
	}{
		"the same":       {&testmeshv1.Descriptor{Name: "a", Version: "1"}, &testmeshv1.Descriptor{Name: "a", Version: "1"}, ""},
		"nobody asked":   {&testmeshv1.Descriptor{Name: "a"}, nil, ""},
		"its name":       {&testmeshv1.Descriptor{Name: "b"}, nil, `it says that its name is "b"`},
		"nothing at all": {nil, nil, `it says that its name is ""`},
		"its version":    {&testmeshv1.Descriptor{Name: "a", Version: "2"}, &testmeshv1.Descriptor{Name: "a", Version: "1"}, `its version is "2", and "1" is locked`},
		"one less":       {&testmeshv1.Descriptor{Name: "a"}, &testmeshv1.Descriptor{Name: "a", Actions: action("a.b")}, "it has no action a.b"},
		"one more":       {&testmeshv1.Descriptor{Name: "a", Actions: action("a.b")}, &testmeshv1.Descriptor{Name: "a"}, "it has another action, a.b"},
		"a detail":       {&testmeshv1.Descriptor{Name: "a", Summary: "x"}, &testmeshv1.Descriptor{Name: "a"}, "in another way than at install"},
	}
	newer := &testmeshv1.Descriptor{Name: "a"}
	newer.ProtoReflect().SetUnknown([]byte{0xfa, 0x7f, 0x01, 'x'}) // a field of number 2047
	tests["more than we can read"] = struct {
		got, want *testmeshv1.Descriptor
		differ    string
	}{newer, &testmeshv1.Descriptor{Name: "a"}, ""}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := differs("a", test.got, test.want); !strings.Contains(got, test.differ) || (got == "") != (test.differ == "") {
				t.Errorf("got %q, want %q", got, test.differ)
			}
		})
	}
}

func TestAPluginSeesLittleOfItsHost(t *testing.T) {
	program := programOf("good", "good")
	program.Env = []string{"DSN", "NOT_SET"}
	p := poolOf(t, Config{
		Programs: []pluginhost.Program{program},
		Environ:  []string{"PATH=/bin", "SECRET=hunter2", "DSN=postgres://db", "HTTPS_PROXY=http://u:p@proxy", "HOME=/root"},
	})
	got, err := run(p, "r1", "good.env", "")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, v := range got["env"].([]any) {
		name, value, _ := strings.Cut(v.(string), "=")
		env[name] = value
	}
	for name, want := range map[string]string{"PATH": "/bin", "DSN": "postgres://db", "SECRET": "", "HTTPS_PROXY": "", "NOT_SET": ""} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	for _, name := range []string{"HOME", "TMPDIR"} {
		if !strings.HasPrefix(env[name], p.cfg.Dir) {
			t.Errorf("%s is %q, want a folder of its own", name, env[name])
		}
	}
	if dir := got["dir"].(string); !strings.HasPrefix(dir, p.cfg.Dir) {
		t.Errorf("it works in %s, want a folder of its own", dir)
	}
}

func TestNewRefusesWhatCannotBeStarted(t *testing.T) {
	ok := programOf("a", "good")
	tests := map[string]struct {
		programs []pluginhost.Program
		want     string
	}{
		"twice the same name": {[]pluginhost.Program{ok, ok}, `plugin "a": named twice`},
		"no name":             {[]pluginhost.Program{{Command: ok.Command}}, "no name of a plugin"},
		"a path as name":      {[]pluginhost.Program{{Name: "../a", Command: ok.Command}}, "no name of a plugin"},
		"no command":          {[]pluginhost.Program{{Name: "a"}}, "no command"},
		"a relative folder":   {[]pluginhost.Program{{Name: "a", Command: ok.Command, Dir: "x"}}, `its folder "x" is not absolute`},
		"no folder":           {[]pluginhost.Program{{Name: "a", Command: []string{"x"}}}, `its program "x" is not absolute`},
		"no checksums":        {[]pluginhost.Program{{Name: "a", Command: []string{"x"}, Dir: "/x"}}, "no checksums of its files"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := New(Config{Programs: test.programs}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
