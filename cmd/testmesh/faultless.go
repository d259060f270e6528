//go:build !fault && !slim

package main

import (
	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/sdk/fault"
)

// faults are none in the program that people use.
func faults(*cli.State) (*fault.Set, error) { return nil, nil }
