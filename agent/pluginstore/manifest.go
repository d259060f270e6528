package pluginstore

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Manifest is testmesh-plugin.yaml: what a plugin says of itself to the tools.
// Its actions are in its descriptor.
type Manifest struct {
	Name      string
	Version   string
	Summary   string
	License   string
	Homepage  string
	Issues    string
	Publisher string
	// Protocol are the versions of the wire that it speaks.
	Protocol []int
	// Build is a command for the shell, run in the plugin's folder; "": none.
	Build string
	// Command starts it. A first word with a slash is a file of the package, one
	// without is looked up in PATH.
	Command []string
	// Files are globs of what the package holds, beside the manifest.
	Files       []string
	Permissions Permissions
	// Flows is the folder of the author's own flows, "" where there is none.
	Flows string
	// Conformance says how the kit can exercise it, as JSON: the section is the
	// kit's (sdk/plugintest), only its keys are checked here. Nil: nothing is said.
	Conformance []byte

	at map[string]source.Pos
}

// Permissions are what a plugin asks for; they are shown when it is installed.
type Permissions struct {
	Network bool     `json:"network"`
	Files   string   `json:"files"` // none, read or write
	Exec    bool     `json:"exec"`
	Env     []string `json:"env,omitempty"` // names of variables that are passed on
}

// At is where a key of the manifest stands, for messages.
func (m *Manifest) At(key string) source.Pos { return m.at[key] }

// AnyPlatform says that an interpreter runs the plugin, the same everywhere.
func (m *Manifest) AnyPlatform() bool {
	return len(m.Command) > 0 && !strings.Contains(m.Command[0], "/")
}

// manifestKeys are in the order that `plugin new` writes them.
func manifestKeys() []string {
	return []string{
		"apiVersion", "name", "version", "summary", "license", "publisher", "homepage", "issues", "protocol",
		"build", "command", "files", "permissions", "flows", "conformance",
	}
}

// ReadManifest reads the manifest of a plugin's folder.
func ReadManifest(dir string) (*Manifest, source.Problems, error) {
	file := filepath.Join(dir, ManifestFile)
	data, err := readFile(file, source.MaxSize)
	if err != nil {
		return nil, nil, fmt.Errorf("read the manifest: %w", err)
	}
	m, problems := ParseManifest(file, data)
	return m, problems, nil
}

// readFile reads a file of up to limit bytes.
func readFile(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", file)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that it may have", file, info.Size(), limit)
	}
	return os.ReadFile(file)
}

// ParseManifest reads a manifest; with problems it is what could be read.
func ParseManifest(file string, data []byte) (*Manifest, source.Problems) {
	docs, problems := source.Load(file, data)
	r := &reader{problems: problems}
	m := &Manifest{at: map[string]source.Pos{}}
	if len(problems.Errors()) > 0 {
		return m, problems
	}
	root := r.document(file, docs, "the manifest")
	if root == nil {
		return m, r.problems
	}
	f := r.fields(root, "the manifest", manifestKeys()...)
	for key, n := range f {
		m.at[key] = n.Pos
	}
	r.apiVersion(root, f)
	m.Name = r.name(r.need(root, f, "name", "the manifest", "name: tcp, the part of an action before the dot"))
	m.Version = r.version(r.need(root, f, "version", "the manifest", "version: 0.1.0"))
	m.Summary = r.text(f["summary"], "summary")
	m.License = r.text(f["license"], "license")
	m.Homepage = r.text(f["homepage"], "homepage")
	m.Issues = r.text(f["issues"], "issues")
	m.Publisher = r.text(f["publisher"], "publisher")
	m.Protocol = r.spoken(root, f)
	m.Build = r.text(f["build"], "build")
	m.Command = r.command(r.need(root, f, "command", "the manifest", "command: [bin/testmesh-plugin-tcp], or [node, dist/plugin.js]"))
	m.Files = r.globs(f["files"])
	m.Permissions = r.permissions(f["permissions"])
	m.Flows = strings.TrimSuffix(r.text(f["flows"], "flows"), "/")
	if m.Flows != "" && !localName(m.Flows) {
		r.fail(source.CodeFile, f["flows"], "", "flows is a folder below the plugin's own, not %q", m.Flows)
	}
	m.Conformance = r.conformance(f["conformance"])
	return m, r.problems
}

func (r *reader) apiVersion(root *source.Node, f map[string]*source.Node) {
	n := r.need(root, f, "apiVersion", "the manifest", "apiVersion: "+APIVersion)
	if n != nil && n.Text != APIVersion {
		r.fail(source.CodeType, n, "write apiVersion: "+APIVersion, "apiVersion %q is not known to this testmesh", n.Text)
	}
}

// spoken are the protocols of a manifest, this program's among them.
func (r *reader) spoken(root *source.Node, f map[string]*source.Node) []int {
	n := r.need(root, f, "protocol", "the manifest", fmt.Sprintf("protocol: [%d]", Protocol))
	out := r.protocols(n)
	if len(out) > 0 && !slices.Contains(out, Protocol) {
		r.fail(source.CodeType, n, fmt.Sprintf("protocol: [%d]", Protocol), "this testmesh speaks protocol %d, which is not in the list", Protocol)
	}
	return out
}

// command is argv. Its first word is a name, or a file of the package.
func (r *reader) command(n *source.Node) []string {
	words := r.texts(n, "command")
	if n == nil {
		return nil
	}
	if n.Kind != source.List {
		r.fail(source.CodeType, n, "command: ["+strings.Join(strings.Fields(n.Text), ", ")+"]", "command is a list of program and arguments")
		return nil
	}
	if len(words) == 0 || words[0] == "" {
		r.fail(source.CodeType, n, "", "command names no program")
		return nil
	}
	if strings.Contains(words[0], "/") && !localName(words[0]) {
		r.fail(source.CodeFile, n.Items[0], "a file of the package, or the name of a program in PATH", "the program %q is not below the plugin's folder", words[0])
	}
	return words
}

func (r *reader) globs(n *source.Node) []string {
	list := r.texts(n, "files")
	for i, glob := range list {
		glob = strings.TrimSuffix(glob, "/")
		list[i] = glob
		if _, err := filepath.Match(glob, "x"); err != nil || !localName(glob) {
			at := n
			if n.Kind == source.List {
				at = n.Items[i]
			}
			r.fail(source.CodeFile, at, "", "%q is not a file or glob below the plugin's folder", glob)
		}
	}
	return list
}

func (r *reader) permissions(n *source.Node) Permissions {
	f := r.fields(n, "permissions", "network", "files", "exec", "env")
	out := Permissions{
		Network: r.flag(f["network"], "network"), Files: r.text(f["files"], "files"),
		Exec: r.flag(f["exec"], "exec"), Env: r.texts(f["env"], "env"),
	}
	if out.Files == "" {
		out.Files = "none"
	}
	if !slices.Contains([]string{"none", "read", "write"}, out.Files) {
		r.fail(source.CodeType, f["files"], "", "files is none, read or write, not %q", out.Files)
	}
	for _, name := range out.Env {
		if name == "" || strings.ContainsAny(name, "=\x00 ") || strings.HasPrefix(name, "TESTMESH_SECRET_") {
			r.fail(source.CodeType, f["env"], "a plugin gets secrets by the config of a step", "%q cannot be passed to a plugin", name)
		}
	}
	return out
}

// conformance checks the keys of the kit's section and gives it as JSON.
func (r *reader) conformance(n *source.Node) []byte {
	if n == nil || n.Kind == source.Null {
		return nil
	}
	const action, config = "action", "config"
	cases := map[string][]string{
		"echo": {action, config, "result", "limit"}, "json": {action, config, "result", "limit"},
		"binary": {action, config, "result", "limit"}, "slow": {action, config}, "bad": {action, config, "field"},
		"observe": {action, config, "ignore", "check"}, "idempotent": {action, config, "ignore", "check"},
		"secret": {action, config}, "session": {"write", "read"}, "file": {action, config}, "panic": {action, config},
	}
	names := append(slices.Sorted(maps.Keys(cases)), "functions", "server", "without")
	for name, v := range r.fields(n, "conformance", names...) {
		what := "conformance." + name
		switch name {
		case "without":
			r.named(v, what)
		case "server":
			r.texts(v, what)
		case "functions":
			if v.Kind != source.List {
				r.fail(source.CodeType, v, "", "%s is a list of calls", what)
			}
			for _, item := range v.Items {
				r.fields(item, "a call of "+what, "name", "args", "result", "bad_args")
			}
		default:
			f := r.fields(v, what, cases[name]...)
			if slices.Contains(cases[name], action) {
				r.need(v, f, action, what, "")
			}
		}
	}
	return value.Append(nil, n.Plain())
}
