// Package graphql is the plugin of GraphQL: queries and mutations over HTTP,
// subscriptions over WebSockets and server-sent events, introspection. It checks
// a query against a schema before it sends it; it never judges an answer, and
// never decides what a server should have said.
package graphql

import "github.com/testmesh/testmesh/sdk/plugin"

// plug is what the process keeps for all runs.
type plug struct{ schemas schemas }

// expectation holds of an answer to a step that asserts nothing.
const expectation = "errors == []"

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
		plugin.Action("subscribe", "Listen to a subscription until the run ends.", g.subscribe,
			plugin.Observes(),
			plugin.Expect(expectation),
			plugin.Description(subscribeDescription),
			plugin.Example(subscribeExample),
		),
		plugin.Action("expect", "Wait for messages of a subscription.", g.expect,
			plugin.Observes(),
			plugin.BodyKey("messages"),
			plugin.Description(expectDescription),
			plugin.Example(expectExample),
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
