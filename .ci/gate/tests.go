package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// event is the part of a `go test -json` line that the verdict needs; see
// `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string // empty where the event is the package's
}

// checkTests fails where a test was skipped or failed, and where none ran. A
// package without test files reports itself as skipped, without a test's name:
// that is not a skipped test.
func checkTests(r io.Reader, out io.Writer) error {
	passed, bad := 0, 0
	for dec := json.NewDecoder(r); ; {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("decode event: %w", err)
		}
		switch {
		case e.Action == "fail":
			fmt.Fprintln(out, "failed: ", e.Package, e.Test)
			bad++
		case e.Test == "":
		case e.Action == "skip":
			fmt.Fprintln(out, "skipped:", e.Package, e.Test)
			bad++
		case e.Action == "pass":
			passed++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d tests were skipped or failed; a skipped test proves nothing", bad)
	}
	if passed == 0 {
		return errors.New("no test ran")
	}
	fmt.Fprintf(out, "gate: %d tests passed, none was skipped\n", passed)
	return nil
}
