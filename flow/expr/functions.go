package expr

import (
	"sort"
	"strings"
	"sync"

	"github.com/expr-lang/expr/ast"

	"github.com/testmesh/testmesh/flow/jsonpath"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// table holds the functions by name; it is made when it is first asked for.
var table = sync.OnceValue(func() map[string]*function {
	m := map[string]*function{}
	for _, group := range [][]function{
		textFunctions(), numberFunctions(), listFunctions(), conversionFunctions(), codecFunctions(),
		jwtFunctions(), timeFunctions(), queryFunctions(), randomFunctions(),
	} {
		for i := range group {
			m[group[i].name] = &group[i]
		}
	}
	// x.sum() is a function, sum(x) takes an expression over #, too.
	m[sumMethod] = &function{name: "sum", min: 1, max: 1, gives: value.Number, method: true, do: sum}
	return m
})

// sumMethod is no name that can be written.
const sumMethod = ".sum"

func functionNamed(name string) *function { return table()[name] }

// FunctionNames lists the language's functions in alphabetical order, those
// that take an expression over # among them.
func FunctionNames() []string { return functionNames() }

var functionNames = sync.OnceValue(func() []string {
	names := []string{"countBy", "outcome"}
	names = append(names, strings.Fields("all any none one filter map count find findIndex findLast findLastIndex groupBy sortBy reduce sum")...)
	for name := range table() {
		if name != sumMethod {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
})

// methodName is the function behind a method where the names differ.
func methodName(name string) string {
	switch name {
	case "length", "size":
		return "len"
	case "avg":
		return "mean"
	case "sum":
		return sumMethod
	case "starts_with", "startsWith":
		return "hasPrefix"
	case "ends_with", "endsWith":
		return "hasSuffix"
	}
	return name
}

var methodNames = sync.OnceValue(func() []string {
	names := []string{"length", "avg", "sum", "starts_with", "ends_with"}
	for name, f := range table() {
		if f.method && name != sumMethod {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
})

// outcome compiles outcome("id"): the status of an earlier step.
func (b *builder) outcome(s span, args []ast.Node) (node, error) {
	if len(args) == 1 {
		if id, ok := args[0].(*ast.StringNode); ok {
			b.refs = append(b.refs, Ref{Name: "outcome", Path: []string{id.Value}, Called: true, Offset: s.off, Length: s.end - s.off, Pos: b.unit.place(s.off)})
			return &outcome{span: s, id: id.Value}, nil
		}
	}
	return nil, b.fail(s, source.CodeExpr, "outcome takes the id of a step in quotes")
}

type outcome struct {
	span
	id string
}

func (*outcome) kind() value.Kind { return value.String }

func (o *outcome) eval(e *evaluation) (any, error) {
	if s, ok := e.env.Scope.(Outcomes); ok {
		if status, ok := s.Outcome(o.id); ok {
			return status, nil
		}
	}
	return nil, &MissingError{Path: e.written(o), Nearest: "step " + o.id + " has not ended", Offset: o.off, Length: o.end - o.off}
}

// checkConstants refuses arguments that are written out and can never do, so
// that a bad path is found before anything runs.
func (b *builder) checkConstants(c *call) error {
	at := 1
	if c.f.name == "fake" {
		at = 0
	}
	if len(c.args) <= at {
		return nil
	}
	l, ok := c.args[at].(*literal)
	if !ok {
		return nil
	}
	written, ok := l.v.(string)
	if !ok {
		return nil
	}
	var ready any
	var err error
	switch c.f.name {
	case "jsonpath", "jsonpath_all":
		if ready, err = jsonpath.Parse(written); err != nil {
			return b.insideQuotes(l, written, pathError(err, 0))
		}
	case "fake":
		return checkFake(written, l.off, l.end)
	case "jq":
		ready, err = compileJQ(written)
	case "xpath":
		_, err = compileXPath(written) // the library's paths keep state: one for each evaluation
	}
	if err != nil {
		return syntaxErrorf(source.CodeExpr, l.off, l.end, "%s", err)
	}
	if ready != nil {
		c.args[1] = &prepared{span: l.span, v: ready}
	}
	return nil
}

// prepared is a constant argument in the form that its function needs.
type prepared struct {
	span
	untyped
	v any
}

func (p *prepared) eval(*evaluation) (any, error) { return p.v, nil }

// insideQuotes moves an error inside a string literal to its place.
func (b *builder) insideQuotes(l *literal, written string, err error) error {
	shift := l.off + 1
	if text := b.unit.text[l.off:l.end]; len(text) < 2 || text[1:len(text)-1] != written {
		shift = -1
	}
	return b.moveSyntax(err, l.span, shift)
}
