package expr

import (
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// maxDepth bounds how deep the parts of an expression nest, which bounds the
// stack of everything that walks it.
const maxDepth = 1000

// builder turns expr-lang's tree into nodes.
type builder struct {
	unit    *unit
	options Options
	refs    []Ref
	impure  bool
	lets    []string
	inside  int // predicates around
	nested  int // expressions inside quoted texts around
	// per text
	p        *parsed
	defaults []fallback
	depth    int
	extents  map[ast.Node]extent // of a long text
}

// scope is what an expression inside a quoted text may use of the one around.
type scope struct {
	lets   []string
	inside int
	nested int
}

// maxQuoted bounds expressions inside quoted texts inside expressions.
const maxQuoted = 4

// compile compiles text[from:to] of the unit.
func (b *builder) compile(from, to int) (node, error) {
	if n := b.fastPath(from, to); n != nil {
		return n, nil
	}
	tokens, defaults, err := scan(b.unit.text, from, to)
	if err != nil {
		return nil, err
	}
	p, err := parse(b.unit.text, tokens, b.inside > 0)
	if err != nil {
		return nil, err
	}
	b.p, b.defaults, b.extents = p, defaults, nil
	return b.build(p.root, false)
}

func (b *builder) fail(s span, code source.Code, format string, args ...any) *SyntaxError {
	return syntaxErrorf(code, s.off, s.end, format, args...)
}

// build turns one node. guarded: the place around it asks for absence.
func (b *builder) build(n ast.Node, guarded bool) (node, error) {
	if b.depth++; b.depth > maxDepth {
		return nil, b.fail(b.span(n), source.CodeLimit, "the expression nests deeper than %d", maxDepth)
	}
	defer func() { b.depth-- }()
	switch n := n.(type) {
	case *ast.NilNode:
		return &literal{b.span(n), nil}, nil
	case *ast.BoolNode:
		return &literal{b.span(n), n.Value}, nil
	case *ast.StringNode:
		return &literal{b.span(n), n.Value}, nil
	case *ast.IntegerNode:
		return &literal{b.span(n), int64(n.Value)}, nil
	case *ast.BytesNode:
		return &literal{b.span(n), strings.ToValidUTF8(string(n.Value), "\uFFFD")}, nil
	case *ast.FloatNode:
		return &literal{b.span(n), n.Value}, nil
	case *ast.IdentifierNode:
		return b.identifier(n, guarded)
	case *ast.PointerNode:
		return b.pointer(n)
	case *ast.MemberNode:
		return b.member(n, guarded)
	case *ast.ChainNode:
		of, err := b.build(n.Node, true)
		return &chain{span: b.span(n), of: of}, err
	case *ast.SliceNode:
		return b.slice(n)
	case *ast.UnaryNode:
		return b.unary(n)
	case *ast.BinaryNode:
		return b.binary(n)
	case *ast.ConditionalNode:
		return b.conditional(n, guarded)
	case *ast.ArrayNode:
		items, err := b.all(n.Nodes)
		return newArray(b.span(n), items), err
	case *ast.MapNode:
		return b.mapping(n)
	case *ast.VariableDeclaratorNode:
		return b.let(n)
	case *ast.SequenceNode:
		nodes, err := b.all(n.Nodes)
		return &sequence{b.span(n), nodes}, err
	case *ast.BuiltinNode:
		return b.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		return b.callNode(n)
	}
	return nil, b.fail(b.span(n), source.CodeExpr, "this cannot be used here")
}

func (b *builder) all(in []ast.Node) ([]node, error) {
	out := make([]node, len(in))
	for i, n := range in {
		var err error
		if out[i], err = b.build(n, false); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *builder) token(n ast.Node) *token { return &b.p.tokens[b.p.index(n.Location())] }

func (b *builder) identifier(n *ast.IdentifierNode, guarded bool) (node, error) {
	t := b.token(n)
	s := span{t.off, t.end}
	switch t.mark {
	case aNumber:
		v, err := parseNumber(t.word)
		if err != nil {
			return nil, b.fail(s, source.CodeExpr, "%q is not a number", t.word)
		}
		return &literal{s, v}, nil
	case aTemplate:
		return b.quoted(s, t.word)
	case aDefault:
		return b.fallback(s, t.word)
	case isKind, isPresent:
		return nil, b.fail(s, source.CodeExpr, "unexpected %q", b.unit.text[s.off:s.end])
	}
	for slot := len(b.lets) - 1; slot >= 0; slot-- {
		if b.lets[slot] == n.Value {
			return &local{span: s, slot: slot}, nil
		}
	}
	if n.Value == "FAKER" {
		return nil, b.fail(s, source.CodeName, "FAKER needs a provider and a field").hint("write FAKER.internet.email")
	}
	p := &path{span: s, name: n.Value, nameEnd: s.end}
	b.addPath(p, guarded)
	return p, nil
}

// isLocal tells whether name is one of let.
func (b *builder) isLocal(name string) bool {
	for _, l := range b.lets {
		if l == name {
			return true
		}
	}
	return false
}

func (b *builder) pointer(n *ast.PointerNode) (node, error) {
	switch n.Name {
	case "", "index", "acc":
		return &item{span: b.span(n), name: n.Name}, nil
	}
	e := b.fail(b.span(n), source.CodeName, "unknown #%s", n.Name)
	return nil, e.hint("# is the element, #index its number, #acc what reduce has so far")
}

func (b *builder) slice(n *ast.SliceNode) (node, error) {
	s := &slice{span: b.span(n)}
	var err error
	if s.of, err = b.build(n.Node, false); err != nil {
		return nil, err
	}
	if n.From != nil {
		if s.from, err = b.build(n.From, false); err != nil {
			return nil, err
		}
	}
	if n.To != nil {
		s.to, err = b.build(n.To, false)
	}
	return s, err
}

func (b *builder) conditional(n *ast.ConditionalNode, guarded bool) (node, error) {
	c := &conditional{span: b.span(n)}
	var err error
	if c.cond, err = b.build(n.Cond, false); err != nil {
		return nil, err
	}
	if n.Exp1 == n.Cond { // a ?: b, where a is not asked twice
		c.yes = &literal{b.span(n.Cond), true}
	} else if c.yes, err = b.build(n.Exp1, guarded); err != nil {
		return nil, err
	}
	if c.no, err = b.build(n.Exp2, guarded); err != nil {
		return nil, err
	}
	return c, b.needs(c.cond, value.Boolean, "a condition", "true or false")
}

// needs refuses an operand whose kind is known to be another.
func (b *builder) needs(n node, want value.Kind, who, what string) error {
	if k := n.kind(); k != "" && k != want {
		off, end := n.bytes()
		return syntaxErrorf(source.CodeType, off, end, "%s needs %s, got %s", who, what, article(k))
	}
	return nil
}

func (b *builder) mapping(n *ast.MapNode) (node, error) {
	m := &mapNode{span: b.span(n)}
	for _, pair := range n.Pairs {
		p := pair.(*ast.PairNode)
		k, err := b.build(p.Key, false)
		if err != nil {
			return nil, err
		}
		v, err := b.build(p.Value, false)
		if err != nil {
			return nil, err
		}
		m.keys, m.values = append(m.keys, k), append(m.values, v)
	}
	return m, nil
}

func (b *builder) let(n *ast.VariableDeclaratorNode) (node, error) {
	l := &let{span: b.span(n), slot: len(b.lets)}
	var err error
	if l.v, err = b.build(n.Value, false); err != nil {
		return nil, err
	}
	if reserved(n.Name) || b.isLocal(n.Name) {
		t := b.token(n)
		return nil, syntaxErrorf(source.CodeName, t.off, t.end, "%q is taken", n.Name)
	}
	b.lets = append(b.lets, n.Name)
	l.body, err = b.build(n.Expr, false)
	b.lets = b.lets[:len(b.lets)-1]
	return l, err
}
