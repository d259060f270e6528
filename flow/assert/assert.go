// Package assert judges claims about answers: it turns assertion lists, matches
// and an action's expectation into judged claims with operands and diffs. It
// never decides what a failed claim does to a run.
package assert

import (
	"io/fs"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/match"
	"github.com/testmesh/testmesh/flow/source"
)

// Options are what compiling an assertion needs.
type Options struct {
	Expr expr.Options
	FS   fs.FS  // the project, for matches_schema_file
	Dir  string // the flow file's folder
	// Opened is told every project file that was read.
	Opened func(path string)
}

// Assertion is one compiled claim, safe for concurrent use.
type Assertion struct{}

// Compile compiles one entry of assert, assert_any, assert_none or assertions.
func Compile(n *source.Node, o Options) (*Assertion, source.Problems) { panic("skeleton") }

// Expectation compiles an action's own expectation.
func Expectation(text string, o Options) (*Assertion, error) { panic("skeleton") }

// Check judges the claim. Passed and Errored both false means it failed.
func (a *Assertion) Check(env *expr.Env) event.Assertion { panic("skeleton") }

// CheckMatch judges a step's match: one assertion, with the differences.
func CheckMatch(p *match.Pattern, pos source.Pos, env *expr.Env) event.Assertion { panic("skeleton") }

// Refs lists the names that the claim reads.
func (a *Assertion) Refs() []expr.Ref { panic("skeleton") }

// Source is the claim as written.
func (a *Assertion) Source() string { panic("skeleton") }

// Pos is where it stands.
func (a *Assertion) Pos() source.Pos { panic("skeleton") }
