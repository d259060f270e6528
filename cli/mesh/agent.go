package mesh

import (
	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/agent/command"
)

// agent is the command line of an agent, which the slim testmesh-agent has too.
func (c *commands) agent() *cobra.Command {
	a := c.Agent
	a.Name, a.Stdout, a.Stderr, a.LookupEnv, a.Signals, a.Wrap = "testmesh agent", c.Stdout, c.Stderr, c.LookupEnv, c.Signals, refused
	return command.New(a)
}
