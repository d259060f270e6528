package pluginhost

import testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

// Program is a plugin that is a process of its own: how it is started, and what
// its files must be.
type Program struct {
	// Name and Version are those of the manifest and of the lock file.
	Name, Version string
	// Command is the argument vector. The first word is absolute or relative to
	// Dir.
	Command []string
	// Dir is the absolute folder of the installed package. It is empty for a
	// built-in, which is our own executable started again.
	Dir string
	// Files are the package's files: a slash-separated path below Dir, and the
	// SHA-256 of what it must hold in hex. Every one is checked on a private copy,
	// and that copy is what is started. It is nil for a built-in and where
	// Unverified.
	Files map[string]string
	// Descriptor is what the plugin said of itself at install, nil where nobody
	// asked; a process that says something else is not used.
	Descriptor *testmeshv1.Descriptor
	// Env names the environment variables that are passed through.
	Env []string
	// MemoryBytes bounds the memory of its processes; 0 is the host's default.
	MemoryBytes int64
	// Unverified starts what lies in Dir, in place and unchecked: an author's own
	// build.
	Unverified bool
}
