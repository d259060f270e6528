// Command testmesh-agent is an agent of a control plane, and nothing else: no raft, no
// control plane, no command line for people. What it can be told is what testmesh agent
// can be.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/agent/command"
	"github.com/testmesh/testmesh/plugins"
	"github.com/testmesh/testmesh/sdk/plugin/serve"
)

// version is set by the linker.
var version = "dev"

const (
	// gcPercent keeps an idle agent small; what runs work on their own allocate far more
	// than an agent that waits. GOGC in the environment wins.
	gcPercent = 50
	// servingPercent is for its plugins in processes of their own, as in testmesh.
	servingPercent = 200
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log.SetOutput(io.Discard) // oddities of servers, which net/http has no other place for
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	c := command.Config{
		Name: "testmesh-agent", Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv, Environ: os.Environ(), Signals: signals, Hangups: hangups, User: os.Geteuid,
		Version: version, Executable: executable(),
	}
	for _, p := range plugins.Builtins(version) {
		c.Builtins = append(c.Builtins, command.Builtin{Descriptor: p.Descriptor, New: p.New, Apart: p.Apart})
	}
	root := command.New(c)
	root.Version = version
	root.SilenceErrors, root.SilenceUsage = true, true
	root.AddCommand(served(c.Builtins))
	if err := root.ExecuteContext(context.Background()); err != nil {
		os.Exit(said(err))
	}
}

// hangups takes SIGHUP from now on, which else ends the process.
func hangups() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}

// said prints an error, once, and gives the exit code.
func said(err error) int {
	if err.Error() != "" {
		fmt.Fprintln(os.Stderr, "testmesh-agent:", err)
	}
	if known, ok := err.(interface{ ExitCode() int }); ok { //nolint:errorlint // our own, handed through as it is
		return known.ExitCode()
	}
	return 2
}

// served is how this program runs its own plugins in processes of their own.
func served(builtins []command.Builtin) *cobra.Command {
	group := &cobra.Command{Use: "plugin", Hidden: true}
	group.AddCommand(&cobra.Command{
		Use: "serve NAME [describe]", Args: cobra.RangeArgs(1, 2), Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			for _, b := range builtins {
				if b.Descriptor.GetName() != args[0] {
					continue
				}
				if len(args) == 2 && args[1] == "describe" {
					return serve.Describe(b.New(), os.Stdout)
				}
				if os.Getenv("GOGC") == "" {
					debug.SetGCPercent(servingPercent)
				}
				serve.Main(b.New()) // which ends the process
			}
			return fmt.Errorf("no plugin %q is built in", args[0])
		},
	})
	return group
}

// executable is this program's own file. On Linux it is the very file that runs, also
// where another one has taken its place since.
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
