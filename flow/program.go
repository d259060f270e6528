package flow

import (
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/assert"
	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/match"
	"github.com/testmesh/testmesh/flow/source"
)

// Program is a compiled flow: checked, resolved, immutable, and run any number
// of times at once.
type Program struct {
	File    string // slash-separated path below the project's root
	Dir     string // its folder
	Line    int    // where the flow begins
	Version string // sha256 (hex) of the bundle: path and sha256 of every file
	Bundle  Bundle

	Name        string
	Description string
	Suite       string
	Author      string
	FlowVersion string
	Tags        []string // the flow's and its folders'

	Inputs []Input
	// AnyInput is true where the flow declares no input: then any key may come.
	AnyInput bool
	Env      []*EnvVar
	// Secrets are the names of secret.X that the flow reads.
	Secrets []string
	// Plugins are the names of those whose actions or functions the flow uses, and the
	// flows that it calls, installed or not.
	Plugins []string
	// VarsRead are the names among Options.Vars that something reads.
	VarsRead []string

	Data   *DataSource // nil: no rows
	Matrix []MatrixAxis
	After  []string
	Target *Target
	Locks  []*expr.Template

	Config   Config
	Setup    []*Step // outer folders' first
	Steps    []*Step
	OnError  []*Step
	Teardown []*Step // the flow's first, then inner folders' before outer
	Output   []*Output

	// Services are the addresses of service.<name>, from the environment.
	Services []NamedTree

	index    int // in its file
	options  *Options
	afterPos []source.Pos
}

// Bundle names every file that a flow needs: path below the root to sha256 hex.
type Bundle map[string]string

// Index is which flow of its file the program is, from 0.
func (p *Program) Index() int { return p.index }

// Config is `config:` of a flow with its defaults.
type Config struct {
	Timeout         time.Duration // of the run from its start; 5m
	TeardownTimeout time.Duration // 60s
	FailFast        bool          // true
	MaxConcurrent   int           // 10
	Retry           *Retry        // default of plugin actions in `steps`; nil: none
	OnAgentLoss     string        // stop | rerun
}

// Input is a declared parameter.
type Input struct {
	Name        string
	Type        string // string|number|integer|boolean|array|object|any
	Description string
	Default     any
	HasDefault  bool
	Required    bool
	Enum        []any
	Secret      bool
	Pos         source.Pos
}

// EnvVar is one name of `env` with its sources, the winning one first. Within a
// layer the variable's own name means the next layer.
type EnvVar struct {
	Name   string
	Layers []EnvLayer
}

// EnvLayer is one source of an env value.
type EnvLayer struct {
	Value  *expr.Tree
	Origin string // "environments/staging.yaml:3", "--var", "process environment"
	Secret bool
}

// DataSource is where rows come from.
type DataSource struct {
	Path string // file below the root, or "" for inline rows
	Rows []Row  // read when compiled
	// As is the name under which the whole file is seen and the flow runs once
	// (dialect data_source): "data". Empty: one run a row.
	As    string
	Value any

	notRows *source.Problem // why Value is no list of rows
}

// Row is one data row.
type Row struct {
	Index  int    // from 0
	Name   string // the value of a column "name" or "id", else ""
	Values map[string]any
}

// MatrixAxis is one key of `matrix` with its values.
type MatrixAxis struct {
	Key    string
	Values []any
}

// Target selects agents; locally only Env is checked.
type Target struct {
	Env   *expr.Template
	Match map[string][]*expr.Template
	Not   map[string][]*expr.Template
}

// Output is one name of a step's or flow's `output`.
type Output struct {
	Name   string
	Value  *expr.Expr // expression, placeholder text or JSONPath
	Secret bool
	Pos    source.Pos
}

// FailurePolicy is what a failed or errored step does to the steps after it.
type FailurePolicy string

// The policies of on_failure.
const (
	Stop     FailurePolicy = "stop"
	Continue FailurePolicy = "continue"
	Ignore   FailurePolicy = "ignore"
)

// Step is one compiled step.
type Step struct {
	ID          string
	Name        *expr.Template // nil: none
	Description string
	Tags        []string // and the flow's
	Disabled    bool
	Breakpoint  bool
	Pos         source.Pos
	// Dir is the folder of the file that the step stands in, below the root: of
	// the flow, or of a folder.yaml. Relative paths of the step start there.
	Dir       string
	Action    string // canonical: "http.request", "for_each"
	ActionPos source.Pos
	// Needs are indices into the same list. A step without `needs` has the index
	// of the step above; `needs: []` has none.
	Needs []int
	When  *expr.Expr

	// Spec and Config are set for plugin actions, Control for control actions.
	Spec    *catalog.Action
	Config  *expr.Tree
	Control Control

	Effect     testmeshv1.Effect // UNSPECIFIED: the plugin's rule
	Timeout    time.Duration     // of one try; 30s; 0 on control actions without one
	Retry      *Retry            // nil: the flow's default applies where it does
	Eventually *Eventually

	Assert     []*assert.Assertion
	AssertAny  []*assert.Assertion
	AssertNone []*assert.Assertion
	Match      *match.Pattern
	MatchPos   source.Pos
	// Expectation is judged where the four above are empty; nil: it completed.
	Expectation *assert.Assertion

	Output     []*Output
	OnFailure  FailurePolicy
	ErrorSteps []*Step
	OnTimeout  []*Step
	Track      []*Track
	// SaveTo keeps the result as an artifact of this name (dialect save_to_file).
	SaveTo *expr.Template
}

// Retry is when and how often a try is repeated.
type Retry struct {
	MaxAttempts int
	Delay       time.Duration
	Backoff     string  // constant | linear | exponential
	Jitter      float64 // 0.2 is ±20 %
	MaxDelay    time.Duration
	RetryOn     []*expr.Expr // empty: errored, or an assertion failed
	RetryOnNot  []*expr.Expr
}

// Eventually repeats failed and errored tries until Within.
type Eventually struct {
	Within time.Duration
	Every  time.Duration
}

// Track registers a resource of the system under test for clean-up.
type Track struct {
	ResourceType *expr.Template
	ResourceID   *expr.Tree
	Cleanup      *Step
	Pos          source.Pos
}
