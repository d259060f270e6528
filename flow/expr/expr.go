package expr

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Expr is a compiled expression, safe for concurrent use.
type Expr struct {
	unit
	root   node
	refs   []Ref
	impure bool
}

// unit is a text and where it stands.
type unit struct {
	text string
	node *source.Node
}

// place is where byte off of the text stands in the file.
func (u *unit) place(off int) source.Pos {
	if u.node == nil {
		return source.Pos{}
	}
	return u.node.At(off)
}

// locate gives an error of an evaluation its place.
func (u *unit) locate(err error) error {
	if err == nil || u.node == nil {
		return unwrapPlaced(err)
	}
	var known *Located
	if errors.As(err, &known) {
		return err
	}
	off, length := 0, len(u.text)
	var missing *MissingError
	var wrong *ValueError
	var where *placed
	switch {
	case errors.As(err, &missing):
		off, length = missing.Offset, missing.Length
	case errors.As(err, &wrong):
		if wrong.Length > 0 {
			off, length = wrong.Offset, wrong.Length
		}
	case errors.As(err, &where):
		off, length = where.off, where.end-where.off
	}
	off = min(max(off, 0), len(u.text))
	end := min(off+length, len(u.text))
	return &Located{Pos: u.place(off), Width: utf8.RuneCountInString(u.text[off:end]), Err: unwrapPlaced(err)}
}

func unwrapPlaced(err error) error {
	var p *placed
	if errors.As(err, &p) {
		return p.err
	}
	return err
}

// problem makes a syntax error a problem of the file.
func (u *unit) problem(err error) *source.Problem {
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		return &source.Problem{Severity: source.Error, Code: source.CodeExpr, Pos: u.place(0), Text: u.text, Message: err.Error()}
	}
	off := min(max(syntax.Offset, 0), len(u.text))
	end := min(off+syntax.Length, len(u.text))
	return &source.Problem{
		Severity: source.Error, Code: syntax.Code, Pos: u.place(off), Text: u.text[off:end],
		Message: syntax.Message, Hint: syntax.Hint,
	}
}

// Compile compiles an expression field's text; errors are *SyntaxError.
func Compile(text string, o Options) (*Expr, error) {
	return compile(unit{text: text}, o)
}

// CompileNode compiles the text of a scalar node and keeps its place.
func CompileNode(n *source.Node, o Options) (*Expr, *source.Problem) {
	u := unit{text: n.Text, node: n}
	if n.Kind == source.List || n.Kind == source.Map {
		p := u.problem(syntaxErrorf(source.CodeType, 0, 0, "an expression is expected here, not a %s", n.Kind))
		return nil, p
	}
	x, err := compile(u, o)
	if err != nil {
		return nil, u.problem(err)
	}
	return x, nil
}

func compile(u unit, o Options) (*Expr, error) {
	x := &Expr{unit: u}
	if u.node != nil && u.node.Kind != source.String {
		x.root = &literal{span{0, len(u.text)}, u.node.Value} // YAML has read it already
		return x, nil
	}
	if o.JSONPath && isJSONPath(u.text) {
		p, err := parseJSONPath(u.text)
		if err != nil {
			return nil, err
		}
		x.root, x.impure = p, true
		return x, nil
	}
	b := builder{unit: &x.unit, options: o}
	root, err := b.compile(0, len(u.text))
	if err != nil {
		return nil, err
	}
	x.root, x.refs, x.impure = root, b.refs, b.impure
	return x, nil
}

// Eval gives the value. Errors: *MissingError, *ValueError, *CutError, *LimitError, a Scope's own, wrapped in *Located where the place is known.
func (x *Expr) Eval(env *Env) (any, error) {
	e := newEvaluation(env, x.text)
	v, err := e.value(x.root)
	e.end()
	if err != nil {
		return nil, x.locate(err)
	}
	return v, nil
}

// Explain is Eval with the value of every operand in the tree, outermost first.
// Operands that were not evaluated (the right side of a false `and`) and those
// inside predicates, which have many values, are left out.
func (x *Expr) Explain(env *Env) (any, []event.Operand, error) {
	e := newEvaluation(env, x.text)
	e.trace = &trace{seen: map[string]bool{}, root: x.root}
	v, err := e.value(x.root)
	if err != nil {
		return nil, e.trace.operands, x.locate(err)
	}
	return v, e.trace.operands, nil
}

// Refs lists the free names that the expression reads.
func (x *Expr) Refs() []Ref { return x.refs }

// Text is the expression as written.
func (x *Expr) Text() string { return x.text }

// Pos is where the expression stands.
func (x *Expr) Pos() source.Pos { return x.place(0) }

// Constant is the value of an expression that reads nothing.
func (x *Expr) Constant() (any, bool) {
	if x.impure || len(x.refs) > 0 {
		return nil, false
	}
	e := newEvaluation(nil, x.text)
	e.steps = maxSteps - constantSteps
	v, err := e.value(x.root)
	return v, err == nil
}

// constantSteps bounds what is computed before a run.
const constantSteps = 10_000

// StaticKind is boolean, number, string, array, object, or "" where only a run can tell.
func (x *Expr) StaticKind() string {
	switch k := x.root.kind(); k {
	case value.Null, kindTime, kindDuration:
		return ""
	case "integer":
		return string(value.Number)
	default:
		return string(k)
	}
}

// Side is one side of a comparison.
type Side struct {
	Text     string // as written
	Constant bool   // it reads nothing; Value is its value
	Value    any
	Pos      source.Pos
	Length   int // characters
}

// Sides are a comparison taken apart, for messages.
type Sides struct {
	Operator    string // as written: ==, !=, <, contains, not in, …
	Left, Right Side
}

// Sides takes the expression apart where it is one comparison of two operands.
func (x *Expr) Sides() (Sides, bool) {
	var left, right node
	operator := ""
	switch n := x.root.(type) {
	case *equal:
		left, right, operator = n.left, n.right, "=="
		if n.negate {
			operator = "!="
		}
	case *isNull:
		if n.right == nil {
			return Sides{}, false
		}
		left, right, operator = n.of, n.right, "=="
		if n.negate {
			operator = "!="
		}
	case *ordered:
		if len(n.ops) != 1 {
			return Sides{}, false
		}
		left, right, operator = n.operands[0], n.operands[1], n.ops[0]
	case *contains:
		left, right, operator = n.hay, n.needle, "contains"
		if n.in {
			left, right, operator = n.needle, n.hay, "in"
		}
	case *affix:
		left, right, operator = n.of, n.fixed, n.op
	case *matches:
		left, right, operator = n.of, n.pattern, "matches"
	default:
		return Sides{}, false
	}
	return Sides{Operator: operator, Left: x.side(left), Right: x.side(right)}, true
}

func (x *Expr) side(n node) Side {
	off, end := n.bytes()
	s := Side{Text: x.text[off:end], Pos: x.place(off), Length: utf8.RuneCountInString(x.text[off:end])}
	s.Value, s.Constant = constant(n)
	return s
}

// constant is the value of a node that reads nothing, as far as literals go.
func constant(n node) (any, bool) {
	switch n := n.(type) {
	case *literal:
		return model(n.v), true
	case *sign, *arrayNode, *mapNode, *arithmetic:
		if !literalOnly(n) {
			return nil, false
		}
		e := newEvaluation(nil, "")
		v, err := e.value(n)
		return v, err == nil
	}
	return nil, false
}

func literalOnly(n node) bool {
	switch n := n.(type) {
	case *literal:
		return true
	case *sign:
		return literalOnly(n.of)
	case *arithmetic:
		return literalOnly(n.left) && literalOnly(n.right)
	case *arrayNode:
		return allLiteral(n.items)
	case *mapNode:
		return allLiteral(n.keys) && allLiteral(n.values)
	}
	return false
}

func allLiteral(nodes []node) bool {
	for _, n := range nodes {
		if !literalOnly(n) {
			return false
		}
	}
	return true
}

func isJSONPath(text string) bool {
	return text == "$" || strings.HasPrefix(text, "$.") || strings.HasPrefix(text, "$[")
}
