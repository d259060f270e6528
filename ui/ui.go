// Package ui holds the page of the control plane as it was built: files to serve. It
// never serves them, and never builds them: `make ui` does, from src.
package ui

import (
	"embed"
	"io/fs"
)

// dist has one page at least, stub.html, which is committed and says how the real one
// is built: so that the module builds without Node.
//
//go:embed all:dist
var dist embed.FS

// Files are the files of the page by their paths; index.html is there where the page
// was built.
func Files() (fs.FS, error) { return fs.Sub(dist, "dist") }
