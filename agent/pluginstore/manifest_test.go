package pluginstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const wholeManifest = `apiVersion: testmesh.dev/v1
name: tcp
version: 0.1.0
summary: Bytes over TCP.
license: Apache-2.0
publisher: somebody
homepage: https://example.com
issues: https://example.com/issues
protocol: [1]
build: go build -o bin/tcp .
command: [bin/tcp, --quiet]
files: [bin/tcp, README.md, docs/]
permissions: {network: true, files: read, exec: true, env: [HTTPS_PROXY]}
flows: examples/
conformance:
  server: [bin/server]
  echo: {action: tcp.exchange, config: {send: "${payload}"}, result: reply}
  functions:
    - {name: is_open, args: [1], result: true}
  without: {idempotent: nothing is}
`

func TestAManifestIsReadWhole(t *testing.T) {
	m, problems := ParseManifest("m.yaml", []byte(wholeManifest))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := *m
	got.at = nil
	want := Manifest{
		Name: "tcp", Version: "0.1.0", Summary: "Bytes over TCP.", License: "Apache-2.0", Publisher: "somebody",
		Homepage: "https://example.com", Issues: "https://example.com/issues", Protocol: []int{1},
		Build: "go build -o bin/tcp .", Command: []string{"bin/tcp", "--quiet"}, Files: []string{"bin/tcp", "README.md", "docs"},
		Permissions: Permissions{Network: true, Files: "read", Exec: true, Env: []string{"HTTPS_PROXY"}}, Flows: "examples",
		Conformance: []byte(`{"echo":{"action":"tcp.exchange","config":{"send":"${payload}"},"result":"reply"},` +
			`"functions":[{"args":[1],"name":"is_open","result":true}],"server":["bin/server"],"without":{"idempotent":"nothing is"}}`),
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Manifest{})); diff != "" {
		t.Error(diff)
	}
	if at := m.At("permissions"); at.Line != 13 {
		t.Errorf("permissions stand at %s, want line 13", at)
	}
}

func TestManifestsThatAreWrong(t *testing.T) {
	tests := map[string]struct{ old, new, want string }{
		"a key that is none":             {"license:", "licence:", `m.yaml:5:1: unknown key "licence" in the manifest; did you mean "license"?`},
		"no name":                        {"name: tcp\n", "", `needs the key "name"`},
		"a name in capitals":             {"name: tcp", "name: Tcp", `m.yaml:2:7: "Tcp" cannot be the name of a plugin`},
		"a version of two numbers":       {"version: 0.1.0", "version: 1.0", `m.yaml:3:10: "1.0" is not a version`},
		"another form of the file":       {"testmesh.dev/v1", "testmesh.dev/v2", `apiVersion "testmesh.dev/v2" is not known`},
		"a protocol nobody speaks":       {"protocol: [1]", "protocol: [2, 3]", "m.yaml:9:11: this testmesh speaks protocol 1"},
		"a protocol that is a word":      {"protocol: [1]", "protocol: [one]", `an entry of protocol is a whole number, not "one"`},
		"a command as text":              {"command: [bin/tcp, --quiet]", "command: bin/tcp --quiet", "m.yaml:11:10: command is a list of program and arguments; command: [bin/tcp, --quiet]"},
		"an empty command":               {"command: [bin/tcp, --quiet]", "command: []", "command names no program"},
		"a program outside":              {"[bin/tcp, --quiet]", "[../tcp]", `m.yaml:11:11: the program "../tcp" is not below the plugin's folder`},
		"a program at the root":          {"[bin/tcp, --quiet]", "[/bin/sh]", `the program "/bin/sh" is not below`},
		"a file outside":                 {"README.md", "../README.md", `m.yaml:12:18: "../README.md" is not a file or glob below`},
		"a glob that is none":            {"README.md", `"[a"`, "is not a file or glob"},
		"a permission that is none":      {"network:", "netwrok:", `unknown key "netwrok" in permissions; did you mean "network"?`},
		"a permission of another kind":   {"network: true", "network: 3", `network is true or false, not "3"`},
		"files that are neither":         {"files: read", "files: all", `files is none, read or write, not "all"`},
		"a secret by the environment":    {"HTTPS_PROXY", "TESTMESH_SECRET_X", `"TESTMESH_SECRET_X" cannot be passed to a plugin`},
		"flows outside":                  {"flows: examples/", "flows: ../flows", "flows is a folder below the plugin's own"},
		"a case of the kit that is none": {"  echo:", "  ehco:", `unknown key "ehco" in conformance; did you mean "echo"?`},
		"a case without its action":      {"action: tcp.exchange, ", "", `conformance.echo needs the key "action"`},
		"functions that are no list":     {"    - {name: is_open, args: [1], result: true}", "    {name: is_open}", "conformance.functions is a list"},
		"two documents":                  {"flows: examples/", "---\nx: 1", "the manifest is one document"},
		"no YAML":                        {"flows: examples/", "flows: [", "m.yaml:"},
		"a list":                         {wholeManifest, "- 1", "the manifest is a map, not a list"},
		"nothing":                        {wholeManifest, "", "the manifest is empty"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(wholeManifest, tt.old, tt.new, 1)
			if text == wholeManifest {
				t.Fatalf("%q is not in the manifest", tt.old)
			}
			_, problems := ParseManifest("m.yaml", []byte(text))
			var all []string
			for _, p := range problems {
				all = append(all, p.Error())
			}
			if !strings.Contains(strings.Join(all, "\n"), tt.want) {
				t.Errorf("got %q, want %q", all, tt.want)
			}
		})
	}
}

func TestAManifestThatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := ReadManifest(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, ManifestFile), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadManifest(dir); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a folder: got %v", err)
	}
}

func TestNamesThatLeaveTheFolder(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "a/b": true, ".hidden/x": true, "bin/testmesh-plugin-tcp": true,
		"": false, ".": false, "..": false, "../a": false, "a/../../b": false, "a/../b": false, "/a": false, "a//b": false, "./a": false,
		`a\b`: false, "c:/x": false, "a\x00b": false, "a\nb": false, strings.Repeat("a/", 200) + "b": false,
	} {
		if got := localName(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}
