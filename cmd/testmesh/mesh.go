//go:build !slim

package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/cli/mesh"
)

// withMesh adds what speaks with a control plane, and what is one.
func withMesh(s *cli.State) {
	s.Remote = func(ctx context.Context, r cli.RemoteRun) (cli.RemoteResult, error) { return remote(ctx, s, r) }
	s.RemoteEnvironment = func(r cli.RemoteRun, name string) (string, error) { return remoteEnvironment(s, r, name) }
	s.Topics = append(s.Topics, mesh.New(mesh.Config{
		Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, LookupEnv: s.LookupEnv, Signals: s.Signals, Root: cli.FindRoot(s.Dir),
		Password: password(s), Report: s.Report, Record: s.Record,
		Project: func(cmd *cobra.Command) (*mesh.Project, error) {
			root, files, flows, err := s.Files(cmd)
			return &mesh.Project{Path: root, Files: files, Flows: flows}, err
		},
		Serve: func(ctx context.Context, srv mesh.Server, ready func(mesh.Ready)) error {
			return serve(ctx, s, srv, ready)
		},
		Restore: restore,
		Recover: recoverNode,
		Agent:   agentConfig(s),
	})...)
	s.Page = page
	s.Browser = func(address string) func() error { return browser(s, address) }
	s.Mesh = func(ctx context.Context, m cli.Mesh) (*cli.Meshed, error) { return dev(ctx, s, m) }
}

// password asks for what must not be shown; nil: stdin is no terminal.
func password(s *cli.State) func(string) (string, error) {
	in, ok := s.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil
	}
	return func(prompt string) (string, error) {
		fmt.Fprint(s.Stderr, prompt)
		text, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(s.Stderr)
		return string(text), err
	}
}
