// Package command is the command line of an agent, the same in testmesh and in the slim
// testmesh-agent: its settings, running it, and looking at it. It reads environment,
// signals and streams only as they are handed to it, and never speaks with a control
// plane for anything but the agent.
package command

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
	"github.com/testmesh/testmesh/sdk/fault"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Builtin is a plugin that is part of the program.
type Builtin struct {
	Descriptor *testmeshv1.Descriptor
	New        func() plugin.Plugin
	// Apart: it runs in a process of its own.
	Apart bool
}

// Config is what the commands work with.
type Config struct {
	// Name is how the program is called: "testmesh agent", or "testmesh-agent".
	Name           string
	Stdout, Stderr io.Writer
	LookupEnv      func(name string) (string, bool)
	Environ        []string
	Signals        <-chan os.Signal
	// User is the id of who runs the program.
	User func() int
	// Hangups begins to take SIGHUP, which makes a service read its settings again; nil:
	// it is not taken.
	Hangups  func() <-chan os.Signal
	Version  string
	Builtins []Builtin
	// Executable is this program's own file, which runs built-in plugins apart.
	Executable string
	// Faults are those of a test build; nil: there are none.
	Faults func() (*fault.Set, error)
	// Wrap gives errors of the control plane their exit code; nil: they stay as they are.
	Wrap func(err error) error
}

// New is the command that runs an agent, with those that look at one below it.
func New(c Config) *cobra.Command {
	s := Settings{}
	table := Table(&s)
	config, show := "", false
	use := "agent"
	if c.Name == "testmesh-agent" {
		use = c.Name
	}
	cmd := &cobra.Command{
		Use:   use,
		Short: "Run an agent of a control plane",
		Long: "Run an agent: it connects to the control plane, takes runs that its labels fit, runs them here, and streams back\n" +
			"what happens. It needs a join token once; after that its own key, in its data directory, is what it is known by.\n" +
			"The first signal drains it: it takes nothing new and finishes what runs. The second tears down what runs, and\n" +
			"gives it to other agents; the third leaves the teardown to them, too.\n\n" +
			"Every flag is also a variable and a key of the file that --config names: docs/agent-settings.md has them all.",
		Example: "  " + c.Name + " --server https://mesh.example.com --token tmj_… --data /var/lib/testmesh-agent\n" +
			"  " + c.Name + " --config /etc/testmesh/agent.yaml --print-config",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(table, config); err != nil {
				return lasting{err}
			}
			if show {
				return table.Print(c.Stdout)
			}
			if s.Server == "" {
				return lasting{errWhere}
			}
			return c.run(cmd.Context(), s, func() (Settings, error) { return c.reload(table, config) })
		},
	}
	table.Flags(cmd.Flags())
	cmd.Flags().StringVar(&config, "config", "", "file of settings (YAML); flags and variables win over it (or TESTMESH_AGENT_CONFIG)")
	cmd.Flags().BoolVar(&show, "print-config", false, "print the settings as they are, each with where it is from, and end")
	cmd.AddCommand(c.status(), c.doctor(), c.probe(), c.install(), c.uninstall())
	return cmd
}

var errWhere = errors.New("which control plane?\n  hint: --server http://127.0.0.1:7070, or TESTMESH_SERVER")

func (c *Config) wrap(err error) error {
	if err == nil || c.Wrap == nil {
		return err
	}
	return c.Wrap(err)
}

// signalled heeds the signals that end an agent: the first closes drain, the second calls
// cut, the third closes hurry. It does so until stop.
func (c *Config) signalled(cut func()) (drain, hurry <-chan struct{}, stop func()) {
	first, third, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	steps := []struct {
		says string
		do   func()
	}{
		{"draining: nothing new is taken, what runs is finished. Again to give it to others.", func() { close(first) }},
		{"stopping: what runs is torn down, and given to others. Again to leave the teardown to them, too.", cut},
		{"ending: what is not torn down is left to others", func() { close(third) }},
	}
	go func() {
		for _, step := range steps {
			select {
			case <-c.Signals:
				fmt.Fprintln(c.Stderr, step.says)
				step.do()
			case <-over:
				return
			}
		}
	}()
	return first, third, func() { close(over) }
}
