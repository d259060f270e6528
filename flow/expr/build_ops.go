package expr

import (
	"strconv"

	"github.com/expr-lang/expr/ast"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

func (b *builder) unary(n *ast.UnaryNode) (node, error) {
	of, err := b.build(n.Node, false)
	if err != nil {
		return nil, err
	}
	s := b.span(n)
	if n.Operator == "not" || n.Operator == "!" {
		return &not{s, of}, b.needs(of, value.Boolean, "not", "true or false")
	}
	negative := n.Operator == "-"
	if l, ok := of.(*literal); ok && kindOf(l.v) == value.Number {
		if v, err := signed(l.v, negative); err == nil {
			return &literal{s, v}, nil
		}
	}
	if k := of.kind(); k != kindDuration {
		if err := b.needs(of, value.Number, "a sign", "a number"); err != nil {
			return nil, err
		}
	}
	return &sign{span: s, of: of, negative: negative}, nil
}

// loosen undoes the parser's tight not: `not a == b` is not (a == b), as people
// read it. For two booleans both readings are the same.
func (b *builder) loosen(n *ast.BinaryNode) ast.Node {
	if !comparison(n.Operator) {
		return nil
	}
	u, ok := n.Left.(*ast.UnaryNode)
	if !ok || u.Operator != "not" {
		return nil
	}
	at := b.p.index(u.Location())
	x := b.extent(u)
	if x != b.wide(u) || x.first != at { // in brackets, or `a not in b`
		return nil
	}
	inner := *n
	inner.Left = u.Node
	outer := &ast.UnaryNode{Operator: "not", Node: &inner}
	outer.SetLocation(u.Location())
	return outer
}

func comparison(op string) bool {
	switch op {
	case "==", "!=", "<", "<=", ">", ">=", "in", "contains", "startsWith", "endsWith", "matches":
		return true
	}
	return false
}

func (b *builder) binary(n *ast.BinaryNode) (node, error) {
	if outer := b.loosen(n); outer != nil {
		return b.build(outer, false)
	}
	switch n.Operator {
	case "==", "!=":
		return b.equality(n)
	case "<", "<=", ">", ">=":
		return b.ordered(n)
	case "??":
		return b.coalesce(n)
	case "&&", "and", "||", "or":
		return b.logic(n)
	}
	l, err := b.build(n.Left, false)
	if err != nil {
		return nil, err
	}
	r, err := b.build(n.Right, false)
	if err != nil {
		return nil, err
	}
	s := b.span(n)
	switch n.Operator {
	case "+", "-", "*", "/", "%", "**", "^":
		return b.arithmetic(n, s, l, r)
	case "..":
		if err := b.needs(l, value.Number, "a range", "whole numbers"); err != nil {
			return nil, err
		}
		return &between{s, l, r}, b.needs(r, value.Number, "a range", "whole numbers")
	case "in":
		if k := r.kind(); k != "" && k != value.Array && k != value.Object {
			off, end := r.bytes()
			return nil, syntaxErrorf(source.CodeType, off, end, "in needs an array or an object on its right, got %s", article(k)).
				hint("text is searched with: text contains \"part\"")
		}
		return &contains{span: s, in: true, hay: r, needle: l}, nil
	case "contains":
		if k := l.kind(); k == value.Boolean || k == value.Number || k == value.Null {
			off, end := l.bytes()
			return nil, syntaxErrorf(source.CodeType, off, end, "contains needs a string, an array or an object on its left, got %s", article(k))
		}
		return &contains{span: s, hay: l, needle: r}, nil
	case "startsWith", "endsWith":
		op := affixWord(n.Operator)
		if err := b.needs(l, value.String, op, "two strings"); err != nil {
			return nil, err
		}
		return &affix{s, op, l, r}, b.needs(r, value.String, op, "two strings")
	case "matches":
		return b.matches(s, l, r)
	}
	t := b.token(n)
	return nil, syntaxErrorf(source.CodeName, t.off, t.end, "unknown operator %q", n.Operator)
}

// equality is == and !=, and what was rewritten to them.
func (b *builder) equality(n *ast.BinaryNode) (node, error) {
	negate := n.Operator == "!="
	s := b.span(n)
	if id, ok := n.Right.(*ast.IdentifierNode); ok {
		switch t := b.token(id); t.mark {
		case isPresent:
			of, err := b.build(n.Left, true)
			if err != nil {
				return nil, err
			}
			a, ok := of.(absent)
			if !ok {
				off, end := of.bytes()
				return nil, syntaxErrorf(source.CodeExpr, off, end, "exists asks about a path, such as body.id")
			}
			return &exists{s, negate, a}, nil
		case isKind:
			if value.Kind(t.word) == value.Null {
				of, err := b.build(n.Left, true)
				return &isNull{s, negate, of, nil}, err
			}
			of, err := b.build(n.Left, false)
			return &hasKind{s, negate, of, value.Kind(t.word)}, err
		}
	}
	_, leftNil := n.Left.(*ast.NilNode)
	_, rightNil := n.Right.(*ast.NilNode)
	l, err := b.build(n.Left, rightNil)
	if err != nil {
		return nil, err
	}
	r, err := b.build(n.Right, leftNil)
	if err != nil {
		return nil, err
	}
	switch {
	case rightNil:
		return &isNull{s, negate, l, r}, nil
	case leftNil:
		return &isNull{s, negate, r, l}, nil
	}
	return &equal{s, negate, l, r}, nil
}

// ordered gathers a chain, which the parser shows as a && of pairs.
func (b *builder) ordered(n *ast.BinaryNode) (node, error) {
	l, err := b.build(n.Left, false)
	if err != nil {
		return nil, err
	}
	r, err := b.build(n.Right, false)
	if err != nil {
		return nil, err
	}
	o := &ordered{span: b.span(n), ops: []string{n.Operator}, operands: []node{l, r}}
	return o, b.checkOrdered(o)
}

func (b *builder) checkOrdered(o *ordered) error {
	last := o.operands[len(o.operands)-1]
	before := o.operands[len(o.operands)-2]
	for _, n := range []node{before, last} {
		switch k := n.kind(); k {
		case "", value.Number, value.String, kindTime, kindDuration:
		default:
			off, end := n.bytes()
			return syntaxErrorf(source.CodeType, off, end, "%s needs two numbers or two strings, got %s", o.ops[len(o.ops)-1], article(k))
		}
	}
	kl, kr := before.kind(), last.kind()
	if kl == value.Number && kr == value.String || kl == value.String && kr == value.Number {
		return syntaxErrorf(source.CodeType, o.off, o.end, "a number and a string have no order")
	}
	return nil
}

func (b *builder) logic(n *ast.BinaryNode) (node, error) {
	if c, ok, err := b.chained(n); ok || err != nil {
		return c, err
	}
	l, err := b.build(n.Left, false)
	if err != nil {
		return nil, err
	}
	r, err := b.build(n.Right, false)
	if err != nil {
		return nil, err
	}
	or := n.Operator == "or" || n.Operator == "||"
	who := "and"
	if or {
		who = "or"
	}
	for _, side := range []node{l, r} {
		if err := b.needs(side, value.Boolean, who, "true or false"); err != nil {
			return nil, err
		}
	}
	return &logic{b.span(n), or, l, r}, nil
}

// chained recognises a < b < c, of which the parser makes a < b && b < c with
// one b.
func (b *builder) chained(n *ast.BinaryNode) (node, bool, error) {
	r, ok := n.Right.(*ast.BinaryNode)
	if !ok || n.Operator != "&&" || n.Location() != r.Location() {
		return nil, false, nil
	}
	l, err := b.build(n.Left, false)
	if err != nil {
		return nil, false, err
	}
	o, ok := l.(*ordered)
	if !ok {
		return nil, false, nil
	}
	last, err := b.build(r.Right, false)
	if err != nil {
		return nil, false, err
	}
	_, end := last.bytes()
	longer := &ordered{
		span: span{o.off, max(end, b.extended(r.Right).end)}, ops: append(o.ops[:len(o.ops):len(o.ops)], r.Operator),
		operands: append(o.operands[:len(o.operands):len(o.operands)], last),
	}
	return longer, true, b.checkOrdered(longer)
}

func (b *builder) coalesce(n *ast.BinaryNode) (node, error) {
	l, err := b.build(n.Left, true)
	if err != nil {
		return nil, err
	}
	r, err := b.build(n.Right, false)
	return &coalesce{b.span(n), l, r}, err
}

func (b *builder) arithmetic(n *ast.BinaryNode, s span, l, r node) (node, error) {
	op := n.Operator
	if op == "^" {
		op = "**"
	}
	kl, kr := l.kind(), r.kind()
	bad := func(k value.Kind) bool {
		return k == value.Boolean || k == value.Null || k == value.Array || k == value.Object || k == value.String && op != "+"
	}
	mixed := kl == value.Number && kr == value.String || kl == value.String && kr == value.Number
	if bad(kl) || bad(kr) || mixed {
		needs, hint := "two numbers", ""
		if op == "+" {
			needs, hint = "two numbers or two strings", "string(x) makes a string of a number"
		}
		if kl == "" || kr == "" {
			which, k := l, kl
			if bad(kr) {
				which, k = r, kr
			}
			off, end := which.bytes()
			e := syntaxErrorf(source.CodeType, off, end, "%s needs %s, got %s", n.Operator, needs, article(k))
			e.Hint = hint
			return nil, e
		}
		e := b.fail(s, source.CodeType, "%s needs %s, got %s and %s", n.Operator, needs, article(kl), article(kr))
		e.Hint = hint
		return nil, e
	}
	return &arithmetic{s, op, l, r}, nil
}

func (b *builder) matches(s span, l, r node) (node, error) {
	if err := b.needs(l, value.String, "matches", "a string"); err != nil {
		return nil, err
	}
	if err := b.needs(r, value.String, "matches", "a regular expression in quotes"); err != nil {
		return nil, err
	}
	m := &matches{span: s, of: l, pattern: r}
	if c, ok := r.(*literal); ok {
		re, err := compilePattern(c.v.(string))
		if err != nil {
			return nil, syntaxErrorf(source.CodeExpr, c.off, c.end, "%s", err)
		}
		m.compiled = re
	}
	return m, nil
}

// fallback is ${NAME:text} inside an expression.
func (b *builder) fallback(s span, word string) (node, error) {
	i, err := strconv.Atoi(word)
	if err != nil || i >= len(b.defaults) {
		return nil, b.fail(s, source.CodeExpr, "a default that does not parse")
	}
	return b.defaulted(&b.defaults[i])
}

func affixWord(operator string) string {
	if operator == "startsWith" {
		return "starts_with"
	}
	return "ends_with"
}
