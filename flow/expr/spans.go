package expr

import "github.com/expr-lang/expr/ast"

// extent is the first and the last token of a part of the expression.
type extent struct{ first, last int }

// span is the bytes of a part of the expression, as the author wrote it.
func (b *builder) span(n ast.Node) span { return b.bytesOf(b.extent(n)) }

func (b *builder) bytesOf(x extent) span {
	return span{b.p.tokens[x.first].off, b.p.tokens[x.last].end}
}

// extended is span with the brackets that stand around an operand.
func (b *builder) extended(n ast.Node) span { return b.bytesOf(b.wide(n)) }

// wide is extent with the brackets that group n. It must not be asked for an
// argument, whose brackets are those of the call.
func (b *builder) wide(n ast.Node) extent {
	x := b.extent(n)
	tokens := b.p.tokens
	for x.first > 0 && x.last+1 < len(tokens) && tokens[x.first-1].is("(") && tokens[x.first-1].match == x.last+1 {
		x.first--
		x.last++
	}
	return x
}

// longText is how many tokens make it worth to remember extents: finding them
// anew at every level costs the square of the depth.
const longText = 100

// extent finds the tokens of n.
func (b *builder) extent(n ast.Node) extent {
	if len(b.p.tokens) < longText {
		return b.findExtent(n)
	}
	if x, ok := b.extents[n]; ok {
		return x
	}
	x := b.findExtent(n)
	if b.extents == nil {
		b.extents = map[ast.Node]extent{}
	}
	b.extents[n] = x
	return x
}

// findExtent: the parser keeps one token of each node, its sign or name;
// brackets know their partners.
func (b *builder) findExtent(n ast.Node) extent {
	at := b.p.index(n.Location())
	switch n := n.(type) {
	case *ast.PointerNode:
		if n.Name != "" {
			return extent{at, at + 1}
		}
	case *ast.MemberNode:
		if b.p.tokens[at].is("[") {
			return extent{b.start(n.Node, at), b.partner(at)}
		}
		return b.join(b.wide(n.Node).first, at)
	case *ast.SliceNode:
		return extent{b.start(n.Node, at), b.partner(at)}
	case *ast.ChainNode:
		return b.extent(n.Node)
	case *ast.CallNode:
		return b.callExtent(at, n.Callee, n.Arguments)
	case *ast.BuiltinNode:
		return b.callExtent(at, nil, n.Arguments)
	case *ast.ArrayNode, *ast.MapNode:
		return extent{at, b.partner(at)}
	case *ast.UnaryNode:
		return b.unaryExtent(n, at)
	case *ast.BinaryNode:
		return b.join(b.wide(n.Left).first, b.wide(n.Right).last)
	case *ast.ConditionalNode:
		if n.Ternary {
			return b.join(b.wide(n.Cond).first, b.wide(n.Exp2).last)
		}
		return b.join(b.wide(n.Cond).first-1, b.wide(n.Exp2).last+1)
	case *ast.VariableDeclaratorNode:
		return b.join(at-1, b.wide(n.Expr).last)
	case *ast.SequenceNode:
		return b.join(b.wide(n.Nodes[0]).first, b.wide(n.Nodes[len(n.Nodes)-1]).last)
	case *ast.PredicateNode:
		return b.extent(n.Node)
	}
	return extent{at, at}
}

// start is where a path begins: its base, or the token at hand for .field,
// whose base the parser made up.
func (b *builder) start(n ast.Node, at int) int { return min(b.wide(n).first, at) }

// join keeps an extent inside the text whatever the parser said.
func (b *builder) join(first, last int) extent {
	first = min(max(first, 0), len(b.p.tokens)-1)
	return extent{first, min(max(last, first), len(b.p.tokens)-1)}
}

func (b *builder) partner(at int) int {
	if m := b.p.tokens[at].match; m > at {
		return m
	}
	return at
}

// unaryExtent: `a not in b` is shown as not before the whole comparison.
func (b *builder) unaryExtent(n *ast.UnaryNode, at int) extent {
	of := b.wide(n.Node)
	return b.join(min(at, of.first), of.last)
}

// callExtent is name(…), or with a pipe argument | name(…).
func (b *builder) callExtent(at int, callee ast.Node, args []ast.Node) extent {
	first, last := at, at
	if at+1 < len(b.p.tokens) && b.p.tokens[at+1].is("(") {
		last = b.partner(at + 1)
	}
	if m, ok := callee.(*ast.MemberNode); ok {
		first = min(first, b.wide(m.Node).first)
	}
	if len(args) > 0 {
		if piped := b.extent(args[0]); piped.first < at {
			first = min(first, b.wide(args[0]).first)
		}
	}
	return b.join(first, last)
}
