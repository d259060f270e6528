// Package syntax turns the nodes of a flow file into its syntax tree: strict
// keys, typed fields, dialects brought into the one canonical form, ids that
// were left out. It also prints what it knows: the formatter, the JSON Schema
// and the reference of keys come from the same table. It never resolves a name,
// never parses an expression and knows no plugin by heart.
package syntax

import (
	"time"

	"github.com/testmesh/testmesh/flow/source"
)

// File is a flow file: one flow, or several between lines of `---`.
type File struct {
	Path  string
	Data  []byte
	Flows []*Flow
}

// Field is a value that is never expanded, with its place. The zero Field was
// not written.
type Field[T any] struct {
	Value T
	Pos   source.Pos
}

// Given tells whether the file has the field.
func (f Field[T]) Given() bool { return f.Pos.Line > 0 }

// Or is the value, or fallback where the file has none.
func (f Field[T]) Or(fallback T) T {
	if f.Given() {
		return f.Value
	}
	return fallback
}

// Flow is one flow. Nodes are what holds expressions, placeholders or values;
// everything else is typed and checked.
type Flow struct {
	Pos  source.Pos   // of its first key
	Node *source.Node // the map that holds the keys

	Name        Field[string]
	Description Field[string]
	Version     Field[string]
	Suite       Field[string]
	Author      Field[string]
	Tags        []Field[string]

	Input      []*Input
	InputGiven bool // false: the flow takes any input
	EnvFile    Field[string]
	Env        []*EnvVar
	Files      []Field[string] // globs
	// Data is a path (string) or a list of maps; nil without rows.
	Data *source.Node
	// DataAs is the name under which Data is seen as a whole, and the flow runs
	// once (dialect data_source); "" makes one run a row.
	DataAs string
	Matrix []Axis
	After  []Field[string]
	Target *Target
	Locks  []*source.Node
	Config Config

	Setup    []*Step
	Steps    []*Step
	OnError  []*Step
	Teardown []*Step
	Output   []*Output
}

// Input declares one parameter.
type Input struct {
	Name        Field[string]
	Type        Field[string] // string|number|integer|boolean|array|object|any; not given: any
	Description Field[string]
	Default     *source.Node // nil: none
	Required    Field[bool]
	Enum        []*source.Node
	Secret      bool
}

// EnvVar is one name of `env`.
type EnvVar struct {
	Name   Field[string]
	Value  *source.Node
	Secret bool // written {value, secret: true}
}

// Axis is one key of `matrix`.
type Axis struct {
	Key    Field[string]
	Values []*source.Node
}

// Target says which agent may take the flow. Values of Match and Not are
// strings or lists of strings with placeholders.
type Target struct {
	Pos   source.Pos
	Env   *source.Node
	Match []source.Entry
	Not   []source.Entry
}

// Config is `config` of a flow.
type Config struct {
	Timeout         Field[time.Duration]
	TeardownTimeout Field[time.Duration]
	FailFast        Field[bool]
	MaxConcurrent   Field[int]
	Retry           *Retry
	OnAgentLoss     Field[string] // stop | rerun
	// InheritTags is false only where the dialect's inherit_tags says so: then
	// steps have their own tags alone.
	InheritTags Field[bool]
}

// Output is one name of `output`.
type Output struct {
	Name   Field[string]
	Value  *source.Node
	Secret bool
}

// Step is one step.
type Step struct {
	Pos  source.Pos   // of its first key
	Node *source.Node // the map as written

	ID          Field[string] // generated ids have the step's place
	Generated   bool          // the file has no id
	Name        *source.Node  // a template; nil: none
	Description Field[string]
	Tags        []Field[string]
	Disabled    Field[bool]
	Breakpoint  bool
	// Needs is nil where not written (the step above) and empty for `needs: []`.
	Needs  []Field[string]
	When   *source.Node
	Action Field[string]
	// Config is a map, or nil. Of control actions it has the checked canonical
	// keys without the nested steps, which are in Nested; an `assert`'s
	// assertions are in Assert.
	Config *source.Node
	// Nested is set exactly for the actions that hold steps: condition,
	// for_each, parallel, wait_until.
	Nested *Nested

	Effect     Field[string]
	Timeout    Field[time.Duration]
	Retry      *Retry
	Eventually *Eventually

	Assert     []*source.Node
	AssertAny  []*source.Node
	AssertNone []*source.Node
	Match      *source.Node
	Output     []*Output

	OnFailure  Field[string] // stop | continue | ignore
	ErrorSteps []*Step
	OnTimeout  []*Step // of wait_until too
	Track      []*Track
	// SaveTo keeps the result as an artifact of this name (dialect save_to_file).
	SaveTo *source.Node
}

// Nested holds the steps inside a control action. A branch that was not written
// is nil, one written empty is a problem already.
type Nested struct {
	Then     []*Step // condition
	Else     []*Step // condition
	Steps    []*Step // for_each, parallel, wait_until
	Branches []*Branch
}

// Branch is one of `branches` of parallel.
type Branch struct {
	Pos   source.Pos
	Name  Field[string]
	Steps []*Step
}

// Retry is `retry` of a step or of the flow's config.
type Retry struct {
	Pos         source.Pos
	MaxAttempts Field[int]
	Delay       Field[time.Duration]
	Backoff     Field[string] // constant | linear | exponential
	Jitter      Field[float64]
	MaxDelay    Field[time.Duration]
	RetryOn     []*source.Node
	RetryOnNot  []*source.Node
}

// Eventually is `eventually` of a step.
type Eventually struct {
	Pos    source.Pos
	Within Field[time.Duration]
	Every  Field[time.Duration]
}

// Track registers a resource for clean-up.
type Track struct {
	Pos          source.Pos
	ResourceType *source.Node // nil: none
	ResourceID   *source.Node
	Cleanup      *Step
}
