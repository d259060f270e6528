//go:build !slim

package plugins

import (
	"github.com/testmesh/testmesh/plugins/graphql"
	"github.com/testmesh/testmesh/plugins/grpc"
	"github.com/testmesh/testmesh/plugins/kafka"
	"github.com/testmesh/testmesh/plugins/redis"
	"github.com/testmesh/testmesh/plugins/sql"
	"github.com/testmesh/testmesh/plugins/websocket"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// apart makes the plugins that run in processes of their own, by name. What is
// added here gets its descriptor by `make generate`.
func apart() map[string]func() plugin.Plugin {
	return map[string]func() plugin.Plugin{
		"sql":       sql.New,
		"kafka":     kafka.New,
		"redis":     redis.New,
		"graphql":   graphql.New,
		"grpc":      grpc.New,
		"websocket": websocket.New,
	}
}
