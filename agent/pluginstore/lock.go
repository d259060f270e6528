package pluginstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/source"
)

// lockVersion is the version of the lock file's own form.
const lockVersion = 1

const lockHeader = `# The plugins of this project, with their checksums. Commit this file.
# testmesh plugin install and remove write it; it is not edited by hand.
`

// Lock is plugins.lock: what a project uses, exactly.
type Lock struct {
	Plugins []Locked // in alphabetical order of their names
}

// Locked is one plugin of a lock file.
type Locked struct {
	Name    string
	Version string
	Source  Source
	// Range is what was asked for: "^1.2", "" for the newest.
	Range       string
	Protocol    []int
	Command     []string
	Permissions Permissions
	// Platforms are its packages, by "linux/amd64" or "any".
	Platforms  map[string]Checksums
	Descriptor *testmeshv1.Descriptor
	// Pos is where it stands in the file.
	Pos source.Pos
}

// Source is where a plugin came from: exactly one of them, a URL or a path
// relative to the project.
type Source struct {
	Index   string `json:"index,omitempty"`
	Folder  string `json:"folder,omitempty"`
	Archive string `json:"archive,omitempty"`
}

// String is the place.
func (s Source) String() string { return s.Index + s.Folder + s.Archive }

// Checksums are what identifies a package, each a SHA-256 in hexadecimal.
type Checksums struct {
	// Archive is of the archive's bytes.
	Archive string
	// Content is of the list of its files with their checksums: what is installed.
	Content string
	// URL is where the archive is, relative to the index; "" where it was made from
	// a folder.
	URL string
}

// Find gives a plugin by name, or nil.
func (l *Lock) Find(name string) *Locked {
	if l == nil {
		return nil
	}
	for i := range l.Plugins {
		if l.Plugins[i].Name == name {
			return &l.Plugins[i]
		}
	}
	return nil
}

// Put adds a plugin, in place of the one of its name.
func (l *Lock) Put(p Locked) {
	l.Remove(p.Name)
	l.Plugins = append(l.Plugins, p)
	slices.SortFunc(l.Plugins, func(a, b Locked) int { return strings.Compare(a.Name, b.Name) })
}

// Remove takes a plugin out and says whether it was there.
func (l *Lock) Remove(name string) bool {
	before := len(l.Plugins)
	l.Plugins = slices.DeleteFunc(l.Plugins, func(p Locked) bool { return p.Name == name })
	return len(l.Plugins) < before
}

// Here are the checksums of the package for this machine.
func (p *Locked) Here() (Checksums, bool) {
	if c, ok := p.Platforms[Platform()]; ok {
		return c, true
	}
	c, ok := p.Platforms[AnyPlatform]
	return c, ok
}

// ParseLock reads a lock file. With problems there is no lock: half of one would
// let a run begin with the wrong plugins.
func ParseLock(file string, data []byte) (*Lock, source.Problems) {
	if p, ok := conflict(file, data); ok {
		return nil, source.Problems{p}
	}
	docs, problems := source.LoadLong(file, data)
	r := &reader{problems: problems}
	if len(problems.Errors()) > 0 {
		return nil, problems
	}
	root := r.document(file, docs, "the lock file")
	if root == nil {
		return nil, r.problems
	}
	f := r.fields(root, "the lock file", "lock", "plugins")
	if n := r.need(root, f, "lock", "the lock file", restoreHint); n != nil && n.Text != strconv.Itoa(lockVersion) {
		r.fail(source.CodeType, n, "use a testmesh as new as the one that wrote it", "this testmesh does not know version %q of the lock file", n.Text)
		return nil, r.problems
	}
	lock := &Lock{}
	if n := f["plugins"]; n != nil && n.Kind != source.Null {
		if n.Kind != source.List {
			r.fail(source.CodeType, n, restoreHint, "plugins is a list, not a %s", n.Kind)
		}
		for _, item := range n.Items {
			p := r.locked(item)
			if lock.Find(p.Name) != nil {
				r.fail(source.CodeID, item, restoreHint, "the plugin %s is locked twice", p.Name)
			}
			lock.Plugins = append(lock.Plugins, p)
		}
	}
	if len(r.problems.Errors()) > 0 {
		return nil, r.problems
	}
	return lock, nil
}

const restoreHint = "restore it from version control, or delete it and install the plugins again"

// conflict finds the marks of a merge that was left half done.
func conflict(file string, data []byte) (source.Problem, bool) {
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if bytes.HasPrefix(text, []byte("<<<<<<< ")) || bytes.HasPrefix(text, []byte(">>>>>>> ")) {
			return source.Problem{
				Severity: source.Error, Code: source.CodeYAML, Pos: source.Pos{File: file, Line: line, Column: 1},
				Text:    strings.TrimRight(string(text), "\r\n"),
				Message: "a merge left both sides in the lock file",
				Hint:    "take the file of one side (git checkout --ours plugins.lock), then testmesh plugin install what the other side added",
			}, true
		}
	}
	return source.Problem{}, false
}

func (r *reader) locked(n *source.Node) Locked {
	const what = "a plugin of the lock file"
	f := r.fields(n, what, "name", "version", "source", "range", "protocol", "command", "permissions", "platforms", "descriptor")
	p := Locked{
		Name:    r.name(r.need(n, f, "name", what, restoreHint)),
		Version: r.version(r.need(n, f, "version", what, restoreHint)),
		Source:  r.source(r.need(n, f, "source", what, restoreHint)), Range: r.text(f["range"], "range"),
		Protocol:    r.protocols(r.need(n, f, "protocol", what, restoreHint)),
		Command:     r.command(r.need(n, f, "command", what, restoreHint)),
		Permissions: r.permissions(f["permissions"]),
		Platforms:   map[string]Checksums{}, Pos: n.Pos,
	}
	platforms := r.need(n, f, "platforms", what, restoreHint)
	if platforms != nil && platforms.Kind != source.Map {
		r.fail(source.CodeType, platforms, restoreHint, "platforms is a map, not a %s", platforms.Kind)
	}
	if platforms != nil {
		for _, e := range platforms.Entries {
			p.Platforms[e.Key.Text] = r.checksums(e.Value, "the platform "+e.Key.Text)
		}
	}
	if d := r.need(n, f, "descriptor", what, restoreHint); d != nil {
		var err error
		if p.Descriptor, err = ParseDescriptor([]byte(d.Text)); err != nil {
			r.fail(source.CodePlugin, &source.Node{Pos: d.Pos}, restoreHint, "the descriptor of %s cannot be read: %v", p.Name, err)
		} else if p.Descriptor.GetName() != p.Name {
			r.fail(source.CodePlugin, &source.Node{Pos: d.Pos}, restoreHint, "the descriptor of %s is that of %q", p.Name, p.Descriptor.GetName())
		}
	}
	return p
}

func (r *reader) source(n *source.Node) Source {
	f := r.fields(n, "source", "index", "folder", "archive")
	return Source{Index: r.text(f["index"], "index"), Folder: r.text(f["folder"], "folder"), Archive: r.text(f["archive"], "archive")}
}

func (r *reader) checksums(n *source.Node, what string) Checksums {
	f := r.fields(n, what, "url", "archive", "content")
	return Checksums{
		URL:     r.text(f["url"], "url"),
		Archive: r.digest(r.need(n, f, "archive", what, restoreHint), "archive"),
		Content: r.digest(r.need(n, f, "content", what, restoreHint), "content"),
	}
}

// Print is the lock file's text, the same for the same plugins.
func (l *Lock) Print() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%slock: %d\nplugins:\n", lockHeader, lockVersion)
	if len(l.Plugins) == 0 {
		b.Reset()
		fmt.Fprintf(&b, "%slock: %d\nplugins: []\n", lockHeader, lockVersion)
	}
	for _, p := range l.Plugins {
		fmt.Fprintf(&b, "  - name: %s\n    version: %s\n", p.Name, strconv.Quote(p.Version))
		fmt.Fprintf(&b, "    source: %s\n", quoted(p.Source))
		if p.Range != "" {
			fmt.Fprintf(&b, "    range: %s\n", quoted(p.Range))
		}
		fmt.Fprintf(&b, "    protocol: %s\n    command: %s\n", quoted(p.Protocol), quoted(p.Command))
		fmt.Fprintf(&b, "    permissions: %s\n    platforms:\n", quoted(p.Permissions))
		for _, name := range slices.Sorted(maps.Keys(p.Platforms)) {
			c := p.Platforms[name]
			fmt.Fprintf(&b, "      %s:\n", name)
			if c.URL != "" {
				fmt.Fprintf(&b, "        url: %s\n", quoted(c.URL))
			}
			fmt.Fprintf(&b, "        archive: %s\n        content: %s\n", strconv.Quote(c.Archive), strconv.Quote(c.Content))
		}
		text, err := PrintDescriptor(p.Descriptor)
		if err != nil {
			return nil, fmt.Errorf("print the descriptor of %s: %w", p.Name, err)
		}
		b.WriteString("    descriptor: |\n")
		for line := range bytes.Lines(text) {
			b.WriteString("      ")
			b.Write(line)
		}
	}
	return b.Bytes(), nil
}

// quoted prints a value as JSON, which YAML reads too.
func quoted(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "null" // texts, numbers and lists of them always have a form
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// PrintDescriptor is a descriptor as JSON, the same bytes for the same one, which
// protojson alone does not promise.
func PrintDescriptor(d *testmeshv1.Descriptor) ([]byte, error) {
	text, err := protojson.Marshal(d)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// ParseDescriptor reads a descriptor from its JSON. Fields of a newer protocol
// are passed over.
func ParseDescriptor(text []byte) (*testmeshv1.Descriptor, error) {
	d := &testmeshv1.Descriptor{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("read the descriptor: %w", err)
	}
	return d, nil
}
