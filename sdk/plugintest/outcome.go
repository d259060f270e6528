package plugintest

import (
	"fmt"
	"strings"
	"time"
)

// Status is how a case ended.
type Status string

// How a case can end. The zero value is none of them.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped" // it was not tried, and Message says what is missing
	// Inapplicable: there is nothing to try, such as functions of a plugin that has
	// none, or the manifest says why the case cannot be tried.
	Inapplicable Status = "inapplicable"
)

// Outcome is what one case found.
type Outcome struct {
	// ID names the case for good: "cancel-call".
	ID string
	// Title is the promise in one line.
	Title  string
	Status Status
	// Message says what was seen where the case failed, what to add to the
	// manifest where it was skipped.
	Message string
	// Why says what goes wrong for people where the promise is broken, Fix what an
	// author does about it.
	Why, Fix string
	// Figures are what was measured on the way.
	Figures []Figure
	Took    time.Duration
}

// text is a failed outcome as the output of a test shows it.
func (o Outcome) text() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %s\n  why: %s\n  fix: %s", o.Title, o.Message, o.Why, o.Fix)
	return out.String()
}

// Figure is one number that a case measured.
type Figure struct {
	// Name says what was measured: "cancel".
	Name  string
	Value float64
	// Unit is ms, KiB or files.
	Unit string
}

// String is the figure as people read it: "cancel 1.2 ms".
func (f Figure) String() string { return fmt.Sprintf("%s %.3g %s", f.Name, f.Value, f.Unit) }
