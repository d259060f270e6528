// Package wire is sdk/plugin over gRPC, both ends of it: a server around a
// plugin.Plugin, and a client that a host calls like one. It never starts a
// process, never repeats a call and never reads what configs and results say.
package wire

import (
	"context"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// Protocol is the version of the service that this package speaks.
	Protocol = 1
	// Name is the one thing that a plugin's process dispenses.
	Name = "plugin"
	// MaxMessageBytes bounds one message either way: a result with a body of a
	// hundred megabytes still crosses, and a plugin cannot fill its host.
	MaxMessageBytes = 256 << 20
)

// Handshake tells a plugin that a host started it, and not a person. It is no
// secret.
func Handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{
		ProtocolVersion:  Protocol,
		MagicCookieKey:   "TESTMESH_PLUGIN",
		MagicCookieValue: "b6c1d1f0-testmesh-plugin",
	}
}

// GRPC makes a plugin.Plugin what hashicorp/go-plugin serves and dispenses.
type GRPC struct {
	goplugin.NetRPCUnsupportedPlugin
	// Impl is what a plugin's process serves; nil in a host.
	Impl plugin.Plugin
}

// GRPCServer registers the plugin's service.
func (g *GRPC) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	pluginv1.RegisterPluginServiceServer(s, NewServer(g.Impl))
	return nil
}

// GRPCClient gives the *Client of a started process.
func (g *GRPC) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return NewClient(conn), nil
}
