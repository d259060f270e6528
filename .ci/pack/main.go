// Command pack makes of the whole program what the slim one carries:
//
//	pack PROGRAM FILE
package main

import (
	"fmt"
	"os"

	"github.com/testmesh/testmesh/cmd/testmesh/whole"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: pack PROGRAM FILE")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(program, file string) error {
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	packed, err := whole.Pack(text)
	if err != nil {
		return err
	}
	return os.WriteFile(file, packed, 0o644)
}
