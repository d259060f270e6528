package expr

import (
	"errors"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// function is one of the language's functions. Arguments and results are of
// the model unless times is set.
type function struct {
	name     string
	min, max int // arguments; max -1: any number
	gives    value.Kind
	impure   bool // reads the clock or random bits
	times    bool // takes and gives times and durations
	method   bool // may be written x.name(...)
	do       func(e *evaluation, args []any) (any, error)
}

// call is a function with its arguments, or a method: x.upper() is upper(x).
type call struct {
	span
	f    *function
	args []node
}

func (c *call) kind() value.Kind { return c.f.gives }

func (c *call) eval(e *evaluation) (any, error) {
	var few [4]any
	args := few[:0]
	for _, n := range c.args {
		v, err := e.raw(n)
		if err != nil {
			return nil, err
		}
		if !c.f.times {
			v = model(v)
		}
		args = append(args, v)
	}
	v, err := c.f.do(e, args)
	if err != nil {
		return nil, c.place(err)
	}
	return v, nil
}

// place gives a function's error the place of the call.
func (s span) place(err error) error {
	var wrong *ValueError
	var missing *MissingError
	var elsewhere *placed
	var limit *LimitError
	var cut *CutError
	switch {
	case errors.As(err, &wrong):
		if wrong.Length == 0 {
			wrong.Offset, wrong.Length = s.off, s.end-s.off
		}
	case errors.As(err, &missing):
		if missing.Length == 0 {
			missing.Offset, missing.Length = s.off, s.end-s.off
		}
	case errors.As(err, &limit), errors.As(err, &cut), errors.As(err, &elsewhere):
	default:
		return &placed{s, err}
	}
	return err
}

// pluginCall is <plugin>.<function>(…).
type pluginCall struct {
	span
	untyped
	name string
	args []node
}

func (c *pluginCall) eval(e *evaluation) (any, error) {
	args := make([]any, len(c.args))
	for i, n := range c.args {
		v, err := e.value(n)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	if e.env.Call == nil {
		return nil, valueErrorAt(c.off, c.end, "%s cannot be called here", c.name)
	}
	v, err := e.env.Call(e.env.Dir, c.name, args)
	if err != nil {
		e.env.CallError = err
		return nil, c.place(err)
	}
	if v, err = value.Normalize(v); err != nil {
		return nil, valueErrorAt(c.off, c.end, "%s gave no value: %s", c.name, err)
	}
	return v, nil
}

// callNode compiles name(…) that is none of expr-lang's, and x.name(…).
func (b *builder) callNode(n *ast.CallNode) (node, error) {
	m, ok := n.Callee.(*ast.MemberNode)
	if !ok {
		return b.call(n, n.Callee.(*ast.IdentifierNode).Value, n.Arguments)
	}
	name, ok := m.Property.(*ast.StringNode)
	if !ok {
		return nil, b.fail(b.span(n), source.CodeExpr, "only a named function can be called")
	}
	if plugin, ok := m.Node.(*ast.IdentifierNode); ok && !b.isLocal(plugin.Value) && b.token(plugin).mark == plain {
		full := plugin.Value + "." + name.Value
		if b.options.Function != nil && b.options.Function(full) {
			args, err := b.all(n.Arguments)
			b.impure = true
			s := b.span(n)
			b.refs = append(b.refs, Ref{Name: full, Called: true, Offset: s.off, Length: s.end - s.off, Pos: b.unit.place(s.off)})
			return &pluginCall{span: s, name: full, args: args}, err
		}
	}
	return b.methodCall(n, m, name)
}

// methodCall compiles x.name(a) as name(x, a).
func (b *builder) methodCall(n *ast.CallNode, m *ast.MemberNode, name *ast.StringNode) (node, error) {
	f := functionNamed(methodName(name.Value))
	t := b.token(name)
	s := b.span(n)
	if f == nil || !f.method {
		e := syntaxErrorf(source.CodeName, t.off, t.end, "unknown method %q", name.Value)
		if near := value.Closest(name.Value, methodNames()); near != "" {
			return nil, e.hint("did you mean .%s()?", near)
		}
		if plugin, ok := m.Node.(*ast.IdentifierNode); ok {
			return nil, e.hint("no plugin %q with a function %q is known", plugin.Value, name.Value)
		}
		return nil, e
	}
	of, err := b.build(m.Node, m.Optional)
	if err != nil {
		return nil, err
	}
	args, err := b.all(n.Arguments)
	if err != nil {
		return nil, err
	}
	c, err := b.checked(s, span{t.off, t.end}, f, append([]node{of}, args...))
	if err != nil || !m.Optional {
		return c, err
	}
	return &option{span: s, of: of, step: &method{span: s, f: f, of: of, args: args}}, nil
}

// method is a call whose receiver may be absent: x?.name(…).
type method struct {
	span
	f    *function
	of   node
	args []node
}

func (m *method) kind() value.Kind { return m.f.gives }

func (m *method) eval(e *evaluation) (any, error) {
	return (&call{span: m.span, f: m.f, args: append([]node{m.of}, m.args...)}).eval(e)
}

// call compiles a function by its name.
func (b *builder) call(n ast.Node, name string, args []ast.Node) (node, error) {
	t := b.token(n)
	s := b.span(n)
	if isPredicate(name) {
		return b.predicate(s, t, name, args)
	}
	if name == "outcome" {
		return b.outcome(s, args)
	}
	f := functionNamed(name)
	if f == nil {
		e := syntaxErrorf(source.CodeName, t.off, t.end, "unknown function %q", name)
		if near := value.Closest(name, FunctionNames()); near != "" {
			e.advise("did you mean %s()?", near)
		} else if lower := functionNamed(strings.ToLower(name)); lower != nil {
			e.advise("did you mean %s()?", lower.name)
		}
		return nil, e
	}
	built, err := b.all(args)
	if err != nil {
		return nil, err
	}
	return b.checked(s, span{t.off, t.end}, f, built)
}

// checked is a call whose number of arguments is right.
func (b *builder) checked(s, name span, f *function, args []node) (node, error) {
	if len(args) < f.min || f.max >= 0 && len(args) > f.max {
		return nil, syntaxErrorf(source.CodeExpr, name.off, name.end, "%s takes %s, got %d", f.name, f.arity(), len(args))
	}
	b.impure = b.impure || f.impure
	c := &call{span: s, f: f, args: args}
	return c, b.checkConstants(c)
}

func (f *function) arity() string {
	switch {
	case f.max < 0:
		return "at least " + plural(f.min, "argument")
	case f.min == f.max:
		return plural(f.min, "argument")
	}
	return plural(f.min, "argument")[:1] + " to " + plural(f.max, "argument")
}

// isPredicate tells whether the parser reads a function's second argument as
// an expression over #.
func isPredicate(name string) bool {
	switch name {
	case "all", "any", "none", "one", "filter", "map", "count", "find", "findIndex", "findLast", "findLastIndex",
		"groupBy", "sortBy", "reduce", "sum":
		return true
	}
	return false
}

func (b *builder) predicate(s span, t *token, name string, args []ast.Node) (node, error) {
	if t.mark == countBy {
		name = "countBy"
	}
	if len(args) == 0 || len(args) > 3 {
		return nil, b.fail(s, source.CodeExpr, "%s takes an array and an expression", name)
	}
	p := &predicate{span: s, name: name}
	var err error
	if p.list, err = b.build(args[0], false); err != nil {
		return nil, err
	}
	if err := b.needs(p.list, value.Array, name, "an array"); err != nil {
		return nil, err
	}
	if len(args) > 1 {
		b.inside++
		body := args[1]
		if inner, ok := body.(*ast.PredicateNode); ok {
			body = inner.Node
		}
		p.body, err = b.build(body, false)
		b.inside--
		if err != nil {
			return nil, err
		}
	}
	if len(args) > 2 {
		if p.extra, err = b.build(args[2], false); err != nil {
			return nil, err
		}
	}
	switch name {
	case "all", "any", "none", "one", "filter", "count", "find", "findIndex", "findLast", "findLastIndex":
		if p.body != nil {
			return p, b.needs(p.body, value.Boolean, name, "true or false for every element")
		}
	}
	return p, nil
}
