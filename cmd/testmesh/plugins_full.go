//go:build !slim

package main

import (
	"context"
	"net"
	"os"
	"runtime"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/agent/pluginhost/process"
	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/cli/plugin"
	"github.com/testmesh/testmesh/examples/demo"
	"github.com/testmesh/testmesh/examples/plugins/checkdigit"
)

// withPlugins adds what links gRPC: the host of plugins in processes of their
// own, the commands for them, and the demo application, which speaks what the
// plugins speak.
func withPlugins(s *cli.State) {
	s.Demo = serveDemo
	s.Executable = executable()
	s.Launch = func(l cli.Launch) (pluginhost.Remote, error) {
		return process.New(process.Config{Programs: l.Programs, Host: l.Host, Environ: os.Environ(), Log: l.Log})
	}
	builtins := make([]plugin.Builtin, len(s.Plugins))
	for i, b := range s.Plugins {
		builtins[i] = plugin.Builtin{Descriptor: b.Descriptor, New: b.New}
	}
	s.Topics = append(s.Topics, plugin.New(plugin.Config{
		Stdout: s.Stdout, Stderr: s.Stderr, Dir: s.Dir, LookupEnv: s.LookupEnv, Environ: os.Environ(), Signals: s.Signals,
		TypeScript: checkdigit.Wire, Version: s.Version, Executable: s.Executable, Builtins: builtins, Root: cli.FindRoot, Style: s.Style,
	}))
	withMesh(s)
}

func serveDemo(ctx context.Context, l net.Listener) error {
	app, err := demo.New(demo.Config{})
	if err != nil {
		return err
	}
	return app.Run(ctx, l)
}

// executable is this program's own file. On Linux it is the very file that runs,
// also where another one has taken its place since.
func executable() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	name, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return name
}
