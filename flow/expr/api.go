// Package expr is the expressions and placeholders of the flow language:
// expr-lang's grammar with our operators, evaluated over exact values, with a
// record of every operand. It never reads files, clocks or random sources of
// its own.
package expr

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/testmesh/testmesh/flow/source"
)

// Scope gives names their values while an expression is evaluated.
// Implementations are used by one evaluation at a time.
type Scope interface {
	// Lookup returns the value of a top-level name; ok is false where nothing
	// has it now (a step that was skipped), which reads as missing.
	// An error is a source that failed, such as a secret that cannot be read.
	Lookup(name string) (v any, ok bool, err error)
}

// Bits is a source of random bits.
type Bits interface {
	// Uint64 gives the next 64 of them.
	Uint64() uint64
}

// Env is all that an evaluation may depend on. It is used by one evaluation at a
// time, as its Scope.
type Env struct {
	Scope Scope
	// Answer is what JSONPaths read; nil: a JSONPath is an error.
	Answer Answer
	// Cut, if not empty, says that the body was cut at its limit: reading any
	// path below CutKey (a top-level result key) is an ErrCut.
	Cut, CutKey string
	Now         func() time.Time
	// Zone finds a time zone by its IANA name; nil: only UTC is known.
	Zone   func(name string) (*time.Location, error)
	Random Bits // nil: there is no randomness
	// Call runs functions of plugins (<plugin>.<function>), which may read files
	// relative to Dir; nil where there are none.
	Call func(dir, name string, args []any) (any, error)
	// CallError is the last error of Call: what is written about a claim is a text,
	// and who judges it wants to know whose fault it was.
	CallError error
	// FS and Dir are for functions that read project files (schema_errors with a
	// path); may be nil.
	FS  fs.FS
	Dir string

	spare *evaluation // that ended, for the next one
}

// Answer is what a system answered. It is asked when a path reads it.
type Answer interface {
	// Result is the root of paths ($).
	Result() any
	// Body is the parsed body that the root rule falls back to; ok is false where
	// it is no map or list.
	Body() (v any, ok bool)
}

// SyntaxError is an expression that does not compile. Offset and Length are
// bytes of the text given to the compiler.
type SyntaxError struct {
	Code    source.Code
	Offset  int
	Length  int
	Message string
	Hint    string
}

func (e *SyntaxError) Error() string { return e.Message }

// MissingError is a path that the answer does not hold: the reader fails.
type MissingError struct {
	Path    string // as written: create.body.id
	Nearest string // nearest existing path with did-you-mean, or ""
	Offset  int
	Length  int
	// Null tells that the path exists and holds a null, which cannot be printed
	// inside a text.
	Null bool
}

func (e *MissingError) Error() string {
	if e.Null {
		return e.Path + " is null, which has no text; write " + e.Path + " ?? \"other\" for a default"
	}
	if e.Nearest != "" {
		return fmt.Sprintf("%s is missing: %s", e.Path, e.Nearest)
	}
	return e.Path + " is missing"
}

// ValueError is an operator or function that got a value of the wrong kind, a
// division by zero and the like. In assertions and output it fails; in when,
// if and placeholders it is errored.
type ValueError struct {
	Message string
	Offset  int
	Length  int
}

func (e *ValueError) Error() string { return e.Message }

// CutError is a read of a body that was cut at its limit: errored everywhere.
type CutError struct{ Message string }

func (e *CutError) Error() string { return e.Message }

// LimitError is an evaluation past its budget of steps or memory: errored.
type LimitError struct{ Message string }

func (e *LimitError) Error() string { return e.Message }

// Options are what a compiler may accept.
type Options struct {
	// JSONPath accepts a text that is `$` or begins with `$.` or `$[` (output,
	// transforms, operations, items).
	JSONPath bool
	// Late leaves {{ }} alone: the plugin expands it while the step runs
	// (x-testmesh-template: late).
	Late bool
	// Function tells whether a plugin declares a function: name is
	// "<plugin>.<function>". Nil: none.
	Function func(name string) bool
}

// Ref is a name that an expression reads.
type Ref struct {
	Name string   // top-level name: "create", "env", "status"
	Path []string // static members after it: ["body","id"]; list indices stop it
	// Guarded tells that absence is tested for: ?. ?? exists, == nil, a default.
	Guarded bool
	// Called is a function call rather than a name.
	Called bool
	Offset int // in the text
	Length int
	Pos    source.Pos // in the file, where it came from a node
}

// Located is an error with its place in the file.
type Located struct {
	Pos   source.Pos
	Width int
	Err   error
}

func (e *Located) Error() string { return e.Err.Error() }

// Unwrap is the error without its place.
func (e *Located) Unwrap() error { return e.Err }

// IsWrongAnswer tells the errors that make an assertion or output fail, since
// what a system answered is to blame, from those that leave it unjudged.
func IsWrongAnswer(err error) bool {
	var missing *MissingError
	var wrong *ValueError
	return errors.As(err, &missing) || errors.As(err, &wrong)
}

// Members is a Scope with names whose members are made when they are read, such
// as env and secret. ok is false for every other name and where the member is
// not there: then the name is looked up whole.
type Members interface {
	Member(name, member string) (v any, ok bool, err error)
}

// Outcomes is a Scope that knows how steps ended, for outcome("id"). ok is
// false where the step has not ended.
type Outcomes interface {
	Outcome(id string) (status string, ok bool)
}
