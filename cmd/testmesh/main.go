// Command testmesh runs end-to-end integration tests written as YAML flows. It
// only wires: arguments, environment, signals and the built-in plugins go in,
// an exit code comes out.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/term"

	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/cli/keyboard"
	"github.com/testmesh/testmesh/plugins"
)

// version is set by the linker.
var version = "dev"

// gcPercent lets the heap of a few megabytes that a run needs grow further
// before it is collected, which costs more at Go's default of 100. From 300 on
// the pages that are touched for the first time cost more than what is saved.
// GOGC in the environment wins.
const gcPercent = 200

func main() {
	begin()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testmesh: find the working directory:", err)
		os.Exit(2)
	}
	// net/http prints oddities of servers with the standard logger and has no
	// hook for it; what matters of them is in the step's error.
	log.SetOutput(io.Discard)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	state := &cli.State{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Dir: dir, LookupEnv: os.LookupEnv, Signals: signals, Version: version,
		Terminal: func() (int, bool) {
			fd := int(os.Stdout.Fd())
			if !term.IsTerminal(fd) {
				return 0, false
			}
			width, _, err := term.GetSize(fd)
			return width, err == nil
		},
	}
	if k, ok := keyboard.Open(os.Stdin); ok {
		state.Keyboard = k
	}
	for _, p := range plugins.Builtins(version) {
		state.Plugins = append(state.Plugins, cli.Builtin{Descriptor: p.Descriptor, New: p.New, Apart: p.Apart})
	}
	withPlugins(state)
	os.Exit(cli.Main(context.Background(), state))
}
