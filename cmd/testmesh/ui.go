//go:build !slim

package main

import (
	"io/fs"

	"github.com/testmesh/testmesh/ui"
)

// page are the files of the page that a control plane serves to browsers.
func page() (fs.FS, error) { return ui.Files() }
