// Package match is the structural matching of the flow language: deep subset,
// markers and list operators (FLOW.md "Match"). It never judges a step; it says
// where an answer differs from a pattern.
package match

import (
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
)

// Pattern is a compiled pattern, safe for concurrent use.
type Pattern struct{}

// Compile compiles the value of `match` or `where`.
func Compile(n *source.Node, o expr.Options) (*Pattern, source.Problems) { panic("skeleton") }

// CompileValue compiles a pattern that is already a value, without placeholders.
func CompileValue(v any) (*Pattern, error) { panic("skeleton") }

// Mismatch is one place where the answer differs.
type Mismatch struct {
	Path     string // $.body.id
	Expected string // "#uuid", "201", "exactly 3 elements"
	Actual   any
	Missing  bool
	Message  string // one sentence
	Pos      source.Pos
}

// Match compares; no mismatches: it matches. Errors are those of placeholders
// and of `#(expression)`.
func (p *Pattern) Match(actual any, env *expr.Env) ([]Mismatch, error) { panic("skeleton") }

// Refs lists the names that its placeholders read.
func (p *Pattern) Refs() []expr.Ref { panic("skeleton") }
