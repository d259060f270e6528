package plugintest

import "time"

// Status is how a case ended.
type Status string

// How a case can end. The zero value is none of them.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped" // it was not tried, and Message says what is missing
)

// Outcome is what one case found.
type Outcome struct {
	// ID names the case for good: "cancel-call".
	ID string `json:"id"`
	// Title is the promise in one line.
	Title  string `json:"title"`
	Status Status `json:"status"`
	// Message says what was seen where the case failed, what to add to the
	// manifest where it was skipped.
	Message string `json:"message,omitempty"`
	// Why says what goes wrong for people where the promise is broken, Fix what an
	// author does about it.
	Why string `json:"why"`
	Fix string `json:"fix"`
	// Figures are what was measured on the way.
	Figures []Figure      `json:"figures,omitempty"`
	Took    time.Duration `json:"took"`
}

// Figure is one number that a case measured.
type Figure struct {
	// Name says what was measured: "cancel".
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Unit is ms, KiB or files.
	Unit string `json:"unit"`
}
