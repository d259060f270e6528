// Package event is the stream of what happens in runs: the records that the
// engine reports, `testmesh run --format jsonl` prints and every report is a
// view of. It never decides what happens.
package event

import "time"

// Version is the `v` of every event.
const Version = 1

// Status is how a step or run ended. The zero Status is none of them and never
// means passed.
type Status string

// The statuses.
const (
	Passed    Status = "passed"
	Failed    Status = "failed"    // the system answered, and the answer is wrong
	Errored   Status = "errored"   // we could not judge
	Skipped   Status = "skipped"   // not executed, with the reason
	Cancelled Status = "cancelled" // stopped from outside
)

// Statuses are all statuses, in the order of summaries.
var Statuses = [...]Status{Passed, Failed, Errored, Skipped, Cancelled}

// Type names an event.
type Type string

// The types of event.
const (
	TypeBatchStarted     Type = "batch.started"
	TypeRunStarted       Type = "run.started"
	TypeStepStarted      Type = "step.started"
	TypeStepLog          Type = "step.log"
	TypeStepExchange     Type = "step.exchange"
	TypeStepArtifact     Type = "step.artifact"
	TypeStepCoverage     Type = "step.coverage"
	TypeStepRetrying     Type = "step.retrying"
	TypeStepFinished     Type = "step.finished"
	TypeResourceTracked  Type = "resource.tracked"
	TypeResourceRemoved  Type = "resource.removed"
	TypeResourceOrphaned Type = "resource.orphaned"
	TypeRunFinished      Type = "run.finished"
	TypeBatchFinished    Type = "batch.finished"
)

// Wants says what of the stream is read: what nobody reads is not made.
type Wants struct {
	Exchanges bool // step.exchange
	Results   bool // Result of steps that passed; every other step has its own
}

// Or is what either of two readers wants.
func (w Wants) Or(other Wants) Wants {
	return Wants{Exchanges: w.Exchanges || other.Exchanges, Results: w.Results || other.Results}
}

// Event is one record. Of the pointers, the one of its type is set; Step is
// set for all step and resource events.
type Event struct {
	Type    Type
	Seq     int64 // from 1, in its run; 0 on batch events
	Time    time.Time
	BatchID string
	RunID   string
	Attempt int // of the lease; 1 locally
	Flow    string

	Step *Step // which step, for step.* and resource.*

	BatchStarted  *BatchStarted
	RunStarted    *RunStarted
	Log           *Log
	Exchange      *Exchange
	Artifact      *Artifact
	Coverage      *Coverage
	Retrying      *Retrying
	StepFinished  *StepFinished
	Resource      *Resource
	RunFinished   *RunFinished
	BatchFinished *BatchFinished
}

// Step names a step in every step event.
type Step struct {
	ID     string
	Name   string
	Action string
	Phase  Phase
	Path   []string // ["checkout","each[2]","pay"], counted from 0, ends with the step's own id
	File   string
	Line   int
	Try    int // from 1; 0 where the step was skipped
}

// Phase is the part of a run that a step belongs to.
type Phase string

// The phases, in their order.
const (
	PhaseSetup    Phase = "setup"
	PhaseSteps    Phase = "steps"
	PhaseOnError  Phase = "on_error"
	PhaseTeardown Phase = "teardown"
	PhaseCleanup  Phase = "cleanup"
)

// BatchStarted opens a batch.
type BatchStarted struct {
	Runs  int      // how many runs it will have
	Files []string // flow files, in order
	Seed  int64
	Notes []string // what the person should know: files passed over, target ignored
}

// RunStarted opens a run.
type RunStarted struct {
	File        string
	Version     string // sha256 of the bundle
	Suite       string
	Tags        []string
	Environment string
	Row         *Row
	Iteration   int // from 1
	Agent       string
	Seed        int64
}

// Row is the data row of a run.
type Row struct {
	Index int // from 0
	Name  string
}

// Log is a line of a step.
type Log struct {
	Level   string
	Message string
	Data    any
}

// Exchange is one request and its response.
type Exchange struct {
	Protocol string
	Summary  string
	Request  any
	Response any
	Timings  map[string]float64 // milliseconds
	Curl     string
}

// Artifact is a stored file. Data stays with the sink and is not printed.
type Artifact struct {
	Name      string
	MediaType string
	Size      int64
	SHA256    string
	Data      []byte
}

// Coverage is what of a subject a run touched: each item once a run, and with the
// first of them all that there is to touch.
type Coverage struct {
	Of    string // "GraphQL http://127.0.0.1:7071/graphql"
	Unit  string // what is counted, in the plural: "fields"
	Items []string
	All   []string
}

// Retrying says why a try is repeated and when.
type Retrying struct {
	Status     Status
	Error      *Error
	Assertions []Assertion
	NextInMS   int64
}

// StepFinished closes a step.
type StepFinished struct {
	Status Status
	Reason string // why skipped or cancelled, or what kind of error
	Tries  int
	// Waited says that the tries were those of a wait (`eventually`): many of
	// them are nothing odd.
	Waited     bool
	DurationMS float64
	Effect     string
	// Ignored marks a step with on_failure: ignore whose failure did not count.
	Ignored bool
	// Result, or a preview of it with HasResult false where it was over 64 KiB
	// and became an artifact. A step that passed has it where somebody wants it.
	Result        any
	HasResult     bool
	ResultPreview string
	Assertions    []Assertion
	Outputs       map[string]any
	Error         *Error
	// Values are the names that a failed or errored step read, with where each
	// came from.
	Values []Used
}

// Used is a name in play, for failure messages.
type Used struct {
	Name   string
	Value  any
	Origin string // "environments/staging.yaml:3", "--var", "step create, line 14"
}

// Assertion is one judged claim.
type Assertion struct {
	Expression string
	Implicit   bool // the action's own expectation
	Passed     bool
	// Errored: it could not be judged (the body was cut). Passed is false then.
	Errored  bool
	Message  string // says what was wrong, or the author's own message
	Actual   any
	Expected any
	// HasActual and HasExpected tell null from nothing.
	HasActual   bool
	HasExpected bool
	Operands    []Operand
	Diff        []Change
	DiffMore    int // changes left out
	Line        int
	Column      int
	// Width is how many characters at Line:Column are to blame; 0: unknown.
	Width int
}

// Operand is the value of one part of an expression.
type Operand struct {
	Text    string // as written
	Value   any
	Missing string // the nearest existing path, where the operand is missing
	Error   string
}

// Change is one difference, path first.
type Change struct {
	Path                           string
	Expected, Actual               any
	ExpectedMissing, ActualMissing bool
}

// Error is why a step could not be judged, or failed outside an assertion.
type Error struct {
	Code    string
	Message string
	Hint    string
	Blame   string // system|plugin|agent|definition|testmesh
	Details []string
	Line    int
	Column  int
	Width   int
}

// Resource is a tracked thing of the system under test.
type Resource struct {
	Type   string
	ID     string
	Reason string // why it could not be removed
}

// RunFinished closes a run.
type RunFinished struct {
	Status     Status
	Reason     string
	DurationMS float64
	Row        *Row
	Steps      Counts
	Assertions Counts
	Outputs    map[string]any // the flow's own output
}

// Counts are numbers by status.
type Counts map[Status]int

// BatchFinished closes a batch.
type BatchFinished struct {
	Counts   Counts // runs by status
	ExitCode int
	Reason   string
}
