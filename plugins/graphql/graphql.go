// Package graphql is the plugin of GraphQL: queries and mutations over HTTP,
// subscriptions over WebSockets and server-sent events, introspection. It checks
// a query against a schema before it sends it; it never judges an answer, and
// never decides what a server should have said.
package graphql

import "github.com/testmesh/testmesh/sdk/plugin"

// plug is what the process keeps for all runs.
type plug struct{ schemas schemas }

// expectation holds of an answer to a step that asserts nothing.
const expectation = "body_error == nil and errors == [] and status < 400"

// New makes the plugin.
func New() plugin.Plugin {
	g := &plug{}
	return plugin.New(plugin.Info{Name: "graphql", Version: "1.0.0", Summary: "GraphQL: queries, mutations, subscriptions, introspection."},
		plugin.Action("query", "Send a query or a mutation and read the response.", g.query,
			plugin.When(`method == "GET"`, plugin.Observes()),
			plugin.When(`not (query matches "\\bmutation\\b")`, plugin.Observes()),
			plugin.Once(),
			plugin.Expect(expectation),
			plugin.BodyKey("data"),
			plugin.Description(queryDescription),
			plugin.Example(queryExample),
		),
		plugin.Action("introspect", "Ask a server for its schema.", g.introspect,
			plugin.Observes(),
			plugin.Expect(expectation),
			plugin.BodyKey("sdl"),
			plugin.Description(introspectDescription),
			plugin.Example(introspectExample),
		),
	)
}
