// Command gate turns what the test run recorded into a verdict: a skipped test
// is a failed one, and coverage has floors. It runs no test and changes no file.
//
//	gate tests EVENTS.json        events of `go test -json`
//	gate coverage PROFILE...      profiles of `go test -coverprofile`, merged
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gate:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("usage: gate tests EVENTS.json | gate coverage PROFILE...")
	}
	switch command, files := args[0], args[1:]; command {
	case "tests":
		return eachFile(files, func(r io.Reader) error { return checkTests(r, out) })
	case "coverage":
		merged := profile{}
		if err := eachFile(files, merged.add); err != nil {
			return err
		}
		return checkCoverage(merged, floors, out)
	default:
		return fmt.Errorf("unknown command %q", command)
	}
}

func eachFile(names []string, read func(io.Reader) error) error {
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = read(f)
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
