package flow

import (
	"time"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/jsonpath"
)

// Control is the compiled config of a control action: one of the types of this
// file.
type Control interface{ control() }

// Assert judges earlier results. The step's own assertion lists hold what it
// claims; Data is the optional scope.
type Assert struct{ Data *expr.Expr }

// Set gives names values; they are its outputs.
type Set struct{ Values []NamedTree }

// NamedTree is a name with the template of its value, in file order.
type NamedTree struct {
	Name  string
	Value *expr.Tree
}

// Transform derives values from an input.
type Transform struct {
	Input      *expr.Tree // nil with InputFile
	InputFile  *expr.Template
	Transforms []*Output
	Operations []Operation
}

// Operation is one step of a transform in its pipeline form.
type Operation struct {
	Kind    string         // extract | map | filter | join | format
	Path    *jsonpath.Path // extract
	Expr    *expr.Expr     // map, filter (over `item` and `_`); extract by expression
	Sep     *expr.Template // join
	Format  *expr.Template // format
	Source  *expr.Expr     // the value it works on; nil: the one before
	SaveAs  string
	Literal string
}

// Log writes a line into the run's log.
type Log struct {
	Level   string // debug | info | warn | error
	Message *expr.Template
	Data    *expr.Tree
}

// Delay waits.
type Delay struct{ Duration *expr.Template }

// Fail fails the step with a message.
type Fail struct{ Message *expr.Template }

// Condition runs one of two branches; nil Else is a missing branch.
type Condition struct {
	If   *expr.Expr
	Then []*Step
	Else []*Step
}

// ForEach runs its steps once an item.
type ForEach struct {
	Items *expr.Expr
	// List is `items` written out as a list of values; then Items is nil.
	List            *expr.Tree
	Range           *Range
	Glob            *expr.Template
	ItemName        string // "item"
	IndexName       string // "index"
	Steps           []*Step
	Parallel        int // at once; 0: one after the other
	MinItems        int
	MaxIterations   int // 1000
	ContinueOnError bool
}

// Range counts from Start to End, both included.
type Range struct{ Start, End, Step *expr.Tree }

// Parallel runs branches at once. With `steps` each step is a branch of its
// own without a name.
type Parallel struct {
	Branches      []Branch
	MaxConcurrent int // 10
	FailFast      bool
}

// Branch is one branch of a parallel action.
type Branch struct {
	Name  string
	Steps []*Step
}

// WaitUntil repeats its steps until the condition holds.
type WaitUntil struct {
	Steps     []*Step
	Condition *expr.Expr // nil: until the steps pass
	Timeout   time.Duration
	Interval  time.Duration
}

// WaitFor waits until something answers at a URL: http(s), tcp or grpc.
type WaitFor struct {
	URL      *expr.Template
	Timeout  time.Duration
	Interval time.Duration
}

// RunFlow runs another flow inside the step.
type RunFlow struct {
	// Flow is the called flow, compiled; with a computed name, Candidates holds
	// the flows of `files` by path, path#name and name (nil where two flows have
	// it), paths below the project's root, and Name is evaluated.
	Flow       *Program
	Name       *expr.Template
	Candidates map[string]*Program
	Input      []NamedTree
	InputFile  *expr.Template
	InheritEnv bool
	Once       string // "" | run | batch
}

func (*Assert) control()    {}
func (*Set) control()       {}
func (*Transform) control() {}
func (*Log) control()       {}
func (*Delay) control()     {}
func (*Fail) control()      {}
func (*Condition) control() {}
func (*ForEach) control()   {}
func (*Parallel) control()  {}
func (*WaitUntil) control() {}
func (*WaitFor) control()   {}
func (*RunFlow) control()   {}
