// Package plugins lists the plugins that come with TestMesh. It only names
// them: nothing is made or started here.
package plugins

import (
	stdhttp "net/http"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/plugins/descriptor"
	"github.com/testmesh/testmesh/plugins/http"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Builtin is a plugin that is part of the binary.
type Builtin struct {
	Descriptor *testmeshv1.Descriptor
	// New makes the plugin; nil: this program does not link it, and only knows what
	// it can do.
	New func() plugin.Plugin
	// Apart: it runs in a process of its own. Only http does not, because load
	// lives on it, and because the libraries of all others would cost every start.
	Apart bool
}

// Builtins are all of them, in the order of the reference.
func Builtins(version string) []Builtin {
	all := []Builtin{{
		Descriptor: http.Descriptor(),
		New: func() plugin.Plugin {
			return http.New(http.Config{Proxy: stdhttp.ProxyFromEnvironment, UserAgent: "TestMesh/" + version})
		},
	}}
	makers := apart()
	for _, d := range descriptor.All() {
		all = append(all, Builtin{Descriptor: d, New: makers[d.GetName()], Apart: true})
	}
	return all
}
