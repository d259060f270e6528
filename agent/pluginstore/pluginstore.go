// Package pluginstore keeps the plugins of a project: the manifest of each, the
// lock file that says which are used, the index they come from, their archives,
// and the installed files. It never starts a process, and nothing that it reads
// is believed before its checksum was compared.
package pluginstore

import (
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// Names of files.
const (
	// ManifestFile describes a plugin in its own folder and in its package.
	ManifestFile = "testmesh-plugin.yaml"
	// LockFile stands at the root of a project and is committed.
	LockFile = "plugins.lock"
	// IndexFile lists the plugins of a folder or a web server.
	IndexFile = "index.yaml"
	// DescriptorFile is the packed descriptor, as JSON.
	DescriptorFile = "descriptor.json"
	// SumsFile lists the files of an installed package with their checksums, as
	// sha256sum does; the lock file has its checksum.
	SumsFile = "SHA256SUMS"
)

// APIVersion is the version of manifest and index.
const APIVersion = "testmesh.dev/v1"

// Protocol is the version of the wire between host and plugin that this program
// speaks.
const Protocol = 1

// AnyPlatform is the platform of a package that an interpreter runs.
const AnyPlatform = "any"

// Store is the part of a project that holds its plugins.
type Store struct{ root string }

// Open is the store of the project at root, an absolute path. It does no I/O.
func Open(root string) *Store { return &Store{root: root} }

// Root is the project's.
func (s *Store) Root() string { return s.root }

// LockPath is the absolute path of plugins.lock.
func (s *Store) LockPath() string { return filepath.Join(s.root, LockFile) }

// dir is where packages are installed.
func (s *Store) dir() string { return filepath.Join(s.root, ".testmesh", "plugins") }

// PackageDir is where a version of a plugin is installed.
func (s *Store) PackageDir(name, version string) string {
	return filepath.Join(s.dir(), name+"-"+version)
}

// Platform is the one that this program runs on, as packages name it.
func Platform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// ValidName says whether a plugin may have this name: [a-z][a-z0-9_]*, up to 40
// characters.
func ValidName(name string) bool {
	for i, r := range name {
		if r >= 'a' && r <= 'z' || i > 0 && (r == '_' || r >= '0' && r <= '9') {
			continue
		}
		return false
	}
	return name != "" && len(name) <= 40
}

// localName says whether a slash-separated path stays below its folder on every
// system.
func localName(name string) bool {
	return name != "" && name != "." && len(name) <= maxPath && path.Clean(name) == name && filepath.IsLocal(filepath.FromSlash(name)) &&
		!strings.HasPrefix(name, "/") && !strings.ContainsAny(name, "\\:\x00\n\r")
}
