//go:build slim

package plugins

import "github.com/testmesh/testmesh/sdk/plugin"

// apart is empty: the slim program knows these plugins by their descriptors, and
// becomes the whole one to run them.
func apart() map[string]func() plugin.Plugin { return nil }
