//go:build !slim

package main

import (
	"context"

	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/cli/mesh"
)

// withMesh adds what speaks with a control plane, and what is one.
func withMesh(s *cli.State) {
	s.Remote = func(ctx context.Context, r cli.RemoteRun) (cli.RemoteResult, error) { return remote(ctx, s, r) }
	s.Topics = append(s.Topics, mesh.New(mesh.Config{
		Stdout: s.Stdout, Stderr: s.Stderr, LookupEnv: s.LookupEnv, Signals: s.Signals,
		Serve: func(ctx context.Context, srv mesh.Server, ready func(mesh.Ready)) error {
			return serve(ctx, s, srv, ready)
		},
		Restore: restore,
		Recover: recoverNode,
		Work:    func(ctx context.Context, a mesh.Agent) error { return work(ctx, s, a) },
	})...)
	s.Mesh = func(ctx context.Context, m cli.Mesh) (*cli.Meshed, error) { return dev(ctx, s, m) }
}
