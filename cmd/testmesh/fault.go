//go:build fault && !slim

package main

import (
	"fmt"
	"os"
	"syscall"

	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/sdk/fault"
)

// faults are those of TESTMESH_FAULT, in a test build.
func faults(s *cli.State) (*fault.Set, error) {
	text, _ := s.LookupEnv("TESTMESH_FAULT")
	return fault.Parse(text, fault.Config{
		Crash: func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }, // nothing comes after it
		Say:   func(text string) { fmt.Fprintln(s.Stderr, text) },
	})
}
