package flow

import (
	"io/fs"

	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/source"
)

// Options are all that compiling may depend on.
type Options struct {
	// Catalog knows the actions; nil knows only the control actions.
	Catalog *catalog.Catalog
	// FS is the project, rooted at its root. A path outside it is a problem.
	FS fs.FS
	// Vars are the values of --var: inputs where a flow declares the name, else
	// names of env.
	Vars map[string]string
	// EnvFile is what --env-file holds, in order.
	EnvFile []Binding
	// Environment is the one chosen with --env; nil: none.
	Environment *Environment
	// ProcessEnv reads the process environment, as far as it may be read; nil:
	// not at all.
	ProcessEnv func(name string) (value string, ok bool)
	// KnownSecret tells whether something provides secret.<name>; nil leaves it
	// to the run.
	KnownSecret func(name string) bool
	// Inputs are typed values of inputs, from a schedule or a form; over --var.
	Inputs map[string]any
	// Data replaces the rows of every flow (--data); nil: each flow's own.
	Data *DataSource
	// AllowMissingPlugins notes actions of plugins that are not installed
	// instead of refusing them. Such a program must not run.
	AllowMissingPlugins bool
	// Uninstalled says why a plugin that the catalog knows cannot run here, and what
	// to do; "" where it can. What uses such a plugin is a problem. Nil: all can.
	Uninstalled func(plugin string) (message, hint string)
}

// Limits of a flow. A file's size and YAML's own limits are package source's.
const (
	// MaxSteps bounds the steps of one flow, nested ones and handlers included.
	MaxSteps = 1000
	// MaxDepth bounds the nesting of steps in steps, and of flows in flows.
	MaxDepth = 10
	// MaxRuns bounds the combinations of a matrix, and the runs of one flow in
	// one batch.
	MaxRuns = 10_000
	// MaxRows bounds a data source: more rows than that are a load test's.
	MaxRows = 100_000
	// MaxFileBytes bounds a file that is read while compiling; larger ones are
	// only hashed.
	MaxFileBytes = 64 << 20
)

func problem(code source.Code, pos source.Pos, text, message string) source.Problem {
	return source.Problem{Severity: source.Error, Code: code, Pos: pos, Text: text, Message: message}
}

func note(code source.Code, pos source.Pos, text, message string) source.Problem {
	p := problem(code, pos, text, message)
	p.Severity = source.Note
	return p
}

func hinted(p source.Problem, hint string) source.Problem {
	p.Hint = hint
	return p
}
