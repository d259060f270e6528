//go:build slim

package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/cmd/testmesh/whole"
)

// packed is the program of all libraries, which `make build` puts here. gRPC
// alone, which only plugins need, costs a fifth of the time of `testmesh run`.
//
//go:embed whole.bin
var packed []byte

// light are the commands that need no more than this program links.
var light = map[string]bool{
	"run": true, "validate": true, "fmt": true, "init": true, "schema": true, "explain": true, "version": true,
}

// begin becomes the whole program for a command that this one does not have.
func begin() {
	if len(os.Args) > 1 && light[os.Args[1]] {
		return
	}
	if err := become(); err != nil {
		fmt.Fprintln(os.Stderr, "testmesh:", err)
		os.Exit(2)
	}
}

// withPlugins leaves plugins in processes of their own, and the demo application,
// to the whole program.
func withPlugins(s *cli.State) { s.Whole = become }

// become replaces this process by the whole program, with the same arguments. It
// returns only with an error.
func become() error {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("testmesh-%d", os.Getuid()))
	}
	program, err := whole.Unpack(packed, filepath.Join(dir, "testmesh"))
	if err != nil {
		return fmt.Errorf("%w\n  hint: set XDG_CACHE_HOME to a folder that can be written to", err)
	}
	return fmt.Errorf("start %s: %w", program, syscall.Exec(program, os.Args, os.Environ()))
}
