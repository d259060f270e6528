// Package plugins lists the plugins that come with TestMesh. It only names
// them: nothing is made or started here.
package plugins

import (
	stdhttp "net/http"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/plugins/http"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Builtin is a plugin that is part of the binary.
type Builtin struct {
	Descriptor *testmeshv1.Descriptor
	New        func() plugin.Plugin
}

// Builtins are all of them, in the order of the reference.
func Builtins(version string) []Builtin {
	return []Builtin{{
		Descriptor: http.Descriptor(),
		New: func() plugin.Plugin {
			return http.New(http.Config{Proxy: stdhttp.ProxyFromEnvironment, UserAgent: "TestMesh/" + version})
		},
	}}
}
