package pluginstore

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

const indexHeader = "# Plugins of TestMesh. testmesh plugin package --index writes it; testmesh plugin install --index reads it.\n"

// Index lists the plugins that can be installed from one place.
type Index struct {
	Plugins map[string]*Entry
}

// Entry is one plugin of an index.
type Entry struct {
	Summary  string
	License  string
	Homepage string
	Versions map[string]*Release
}

// Release is one version of a plugin.
type Release struct {
	Protocol  []int
	Platforms map[string]Checksums
}

// ParseIndex reads an index; with problems there is none.
func ParseIndex(file string, data []byte) (*Index, source.Problems) {
	docs, problems := source.LoadLong(file, data)
	r := &reader{problems: problems}
	if len(problems.Errors()) > 0 {
		return nil, problems
	}
	root := r.document(file, docs, "the index")
	if root == nil {
		return nil, r.problems
	}
	f := r.fields(root, "the index", "apiVersion", "plugins")
	r.apiVersion(root, f)
	index := &Index{Plugins: map[string]*Entry{}}
	for _, e := range r.named(f["plugins"], "plugins") {
		r.name(e.Key)
		index.Plugins[e.Key.Text] = r.entry(e.Value, "the plugin "+e.Key.Text)
	}
	if len(r.problems.Errors()) > 0 {
		return nil, r.problems
	}
	return index, nil
}

// named are the entries of a map whose keys are names.
func (r *reader) named(n *source.Node, what string) []source.Entry {
	if n == nil || n.Kind == source.Null {
		return nil
	}
	if n.Kind != source.Map {
		r.fail(source.CodeType, n, "", "%s is a map, not a %s", what, n.Kind)
	}
	return n.Entries
}

func (r *reader) entry(n *source.Node, what string) *Entry {
	f := r.fields(n, what, "summary", "license", "homepage", "versions")
	out := &Entry{
		Summary: r.text(f["summary"], "summary"), License: r.text(f["license"], "license"),
		Homepage: r.text(f["homepage"], "homepage"), Versions: map[string]*Release{},
	}
	for _, e := range r.named(r.need(n, f, "versions", what, ""), "versions") {
		release := what + " " + r.version(e.Key)
		f := r.fields(e.Value, release, "protocol", "platforms")
		v := &Release{Protocol: r.protocols(r.need(e.Value, f, "protocol", release, "")), Platforms: map[string]Checksums{}}
		for _, p := range r.named(r.need(e.Value, f, "platforms", release, ""), "platforms") {
			c := r.checksums(p.Value, "the platform "+p.Key.Text)
			if c.URL == "" {
				r.fail(source.CodeKey, p.Value, "", "the platform %s needs the key %q", p.Key.Text, "url")
			}
			v.Platforms[p.Key.Text] = c
		}
		out.Versions[e.Key.Text] = v
	}
	return out
}

// Print is the index's text, the same for the same plugins.
func (x *Index) Print() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%sapiVersion: %s\nplugins:\n", indexHeader, APIVersion)
	for _, name := range slices.Sorted(maps.Keys(x.Plugins)) {
		e := x.Plugins[name]
		fmt.Fprintf(&b, "  %s:\n", name)
		for _, pair := range [][2]string{{"summary", e.Summary}, {"license", e.License}, {"homepage", e.Homepage}} {
			if pair[1] != "" {
				fmt.Fprintf(&b, "    %s: %s\n", pair[0], quoted(pair[1]))
			}
		}
		b.WriteString("    versions:\n")
		for _, version := range slices.SortedFunc(maps.Keys(e.Versions), func(a, b string) int { return CompareVersions(b, a) }) {
			v := e.Versions[version]
			fmt.Fprintf(&b, "      %s:\n        protocol: %s\n        platforms:\n", strconv.Quote(version), quoted(v.Protocol))
			for _, platform := range slices.Sorted(maps.Keys(v.Platforms)) {
				c := v.Platforms[platform]
				fmt.Fprintf(&b, "          %s:\n            url: %s\n            archive: %q\n            content: %q\n", platform, quoted(c.URL), c.Archive, c.Content)
			}
		}
	}
	return b.Bytes()
}

// Add puts one package of a plugin into the index.
func (x *Index) Add(m *Manifest, platform string, c Checksums) {
	e := x.Plugins[m.Name]
	if e == nil {
		e = &Entry{Versions: map[string]*Release{}}
		x.Plugins[m.Name] = e
	}
	e.Summary, e.License, e.Homepage = m.Summary, m.License, m.Homepage
	v := e.Versions[m.Version]
	if v == nil {
		v = &Release{Platforms: map[string]Checksums{}}
		e.Versions[m.Version] = v
	}
	v.Protocol = m.Protocol
	v.Platforms[platform] = c
}

// Select finds the newest version that fits, speaks this program's protocol and
// has a package for this machine. Its error says what there is instead.
func (x *Index) Select(w Wanted) (version string, release *Release, err error) {
	e := x.Plugins[w.Name]
	if e == nil {
		names := slices.Sorted(maps.Keys(x.Plugins))
		if near := value.Closest(w.Name, names); near != "" {
			return "", nil, fmt.Errorf("the index has no plugin %s; did you mean %q?", w.Name, near)
		}
		return "", nil, fmt.Errorf("the index has no plugin %s; it has %s", w.Name, some(names))
	}
	newest := slices.SortedFunc(maps.Keys(e.Versions), func(a, b string) int { return CompareVersions(b, a) })
	var reason error
	for _, v := range newest {
		if !w.Fits(v) {
			continue
		}
		r := e.Versions[v]
		_, here := (&Locked{Platforms: r.Platforms}).Here()
		switch {
		case here && slices.Contains(r.Protocol, Protocol):
			return v, r, nil
		case reason != nil:
		case !here:
			reason = fmt.Errorf("%s %s has no package for %s; it has %s", w.Name, v, Platform(), some(slices.Sorted(maps.Keys(r.Platforms))))
		default:
			reason = fmt.Errorf("%s %s speaks protocol %v and this testmesh speaks %d: take a version of the plugin for it, or another testmesh", w.Name, v, r.Protocol, Protocol)
		}
	}
	if reason == nil {
		reason = fmt.Errorf("no version of %s is %s; the index has %s", w.Name, orNewest(w.Range), some(newest))
	}
	return "", nil, reason
}

func orNewest(spec string) string {
	if spec == "" || spec == "latest" {
		return "a release"
	}
	return spec
}

// some lists the first few of many.
func some(list []string) string {
	switch {
	case len(list) == 0:
		return "none"
	case len(list) > 8:
		return fmt.Sprintf("%s and %d more", strings.Join(list[:8], ", "), len(list)-8)
	}
	return strings.Join(list, ", ")
}
