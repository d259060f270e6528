//go:build !slim

package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/testmesh/testmesh/agent/command"
	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/agent/pluginhost/process"
	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/plugins"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
	"github.com/testmesh/testmesh/sdk/fault"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// agentConfig is what an agent of this program is made of.
func agentConfig(s *cli.State) command.Config {
	c := command.Config{
		Environ: os.Environ(), Version: version, Executable: executable(), Faults: func() (*fault.Set, error) { return faults(s) }, Hangups: hangups, User: os.Geteuid,
	}
	for _, p := range plugins.Builtins(version) {
		c.Builtins = append(c.Builtins, command.Builtin{Descriptor: p.Descriptor, New: p.New, Apart: p.Apart})
	}
	return c
}

// hangups takes SIGHUP from now on, which else ends the process.
func hangups() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}

func descriptors() (list []*testmeshv1.Descriptor) {
	for _, p := range plugins.Builtins(version) {
		list = append(list, p.Descriptor)
	}
	return list
}

// host has the built-in plugins as the agent of testmesh dev runs them.
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
