//go:build !slim

package plugins

import "github.com/testmesh/testmesh/sdk/plugin"

// apart makes the plugins that run in processes of their own, by name. What is
// added here gets its descriptor by `make generate`.
func apart() map[string]func() plugin.Plugin {
	return map[string]func() plugin.Plugin{}
}
