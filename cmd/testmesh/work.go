//go:build !slim

package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"strings"

	"github.com/testmesh/testmesh/agent"
	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/agent/pluginhost/process"
	"github.com/testmesh/testmesh/agent/probe"
	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/cli/mesh"
	"github.com/testmesh/testmesh/plugins"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// work runs an agent.
func work(ctx context.Context, s *cli.State, a mesh.Agent) error {
	log := slog.New(slog.NewTextHandler(s.Stderr, nil))
	host, err := host(a.Name)
	if err != nil {
		return err
	}
	faults, err := faults(s)
	if err != nil {
		return errors.Join(err, host.Close())
	}
	allowed := map[string]bool{}
	for _, name := range a.AllowEnv {
		allowed[name] = true
	}
	facts := map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH, "version": version}
	maps.Copy(facts, a.Labels)
	one, err := agent.New(agent.Config{
		Server: a.Server, Dir: a.Dir, Name: a.Name, Token: a.Token, Slots: a.Slots, CAFile: a.CAFile, Facts: facts, Descriptors: descriptors(),
		Host: host, Prober: probe.New(), Version: version, Logger: log, Fault: faults,
		Env: func(name string) (string, bool) {
			if !allowed[name] && !strings.HasPrefix(name, "TESTMESH_SECRET_") {
				return "", false
			}
			return s.LookupEnv(name)
		},
	})
	if err != nil {
		return err
	}
	go func() {
		select {
		case <-a.Drain:
			one.Drain()
		case <-ctx.Done():
		}
	}()
	return one.Run(ctx)
}

func descriptors() (list []*testmeshv1.Descriptor) {
	for _, p := range plugins.Builtins(version) {
		list = append(list, p.Descriptor)
	}
	return list
}

// host has the built-in plugins as an agent runs them.
func host(agentName string) (*pluginhost.Host, error) {
	resident, programs := map[string]func() plugin.Plugin{}, []pluginhost.Program(nil)
	for _, p := range plugins.Builtins(version) {
		if p.Apart {
			programs = append(programs, cli.BuiltinProgram(p.Descriptor, executable()))
			continue
		}
		resident[p.Descriptor.GetName()] = p.New
	}
	remote, err := process.New(process.Config{Programs: programs, Host: plugin.Host{Version: version, AgentName: agentName}, Environ: os.Environ()})
	if err != nil {
		return nil, err
	}
	return pluginhost.New(pluginhost.Config{Resident: resident, Remote: remote}), nil
}
