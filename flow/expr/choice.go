package expr

import (
	"github.com/testmesh/testmesh/flow/value"
)

// between is the list a..b, both ends included.
type between struct {
	span
	from, to node
}

func (*between) kind() value.Kind { return value.Array }

func (b *between) eval(e *evaluation) (any, error) {
	from, err := b.bound(e, b.from)
	if err != nil {
		return nil, err
	}
	to, err := b.bound(e, b.to)
	if err != nil {
		return nil, err
	}
	if to < from {
		return []any{}, nil
	}
	if uint64(to)-uint64(from) >= maxList {
		return nil, &LimitError{Message: "a range of more than 1000000 numbers"}
	}
	size := int(to-from) + 1
	if err := e.produce(16 * size); err != nil {
		return nil, err
	}
	out := make([]any, size)
	for i := range out {
		out[i] = from + int64(i)
	}
	return out, nil
}

func (b *between) bound(e *evaluation, n node) (int64, error) {
	v, err := e.value(n)
	if err != nil {
		return 0, err
	}
	i, ok := value.Int(v)
	if !ok {
		return 0, valueErrorAt(b.off, b.end, "a range needs whole numbers, got %s", describe(v))
	}
	return i, nil
}

// coalesce is a ?? b: b where a is missing or null.
type coalesce struct {
	span
	left, right node
}

func (c *coalesce) kind() value.Kind {
	if k := c.left.kind(); k != value.Null {
		return ""
	}
	return c.right.kind()
}

func (c *coalesce) eval(e *evaluation) (any, error) {
	v, g, err := e.maybe(c.left)
	if err != nil || g == nil && v != nil {
		return v, err
	}
	return e.raw(c.right)
}

// maybe lets `a ?? b exists` and `a ?? b ?? c` ask on.
func (c *coalesce) maybe(e *evaluation) (any, *gap, error) {
	v, g, err := e.maybe(c.left)
	if err != nil || g == nil && v != nil {
		return v, nil, err
	}
	return e.maybe(c.right)
}

// conditional is cond ? yes : no.
type conditional struct {
	span
	cond, yes, no node
}

func (c *conditional) kind() value.Kind {
	if k := c.yes.kind(); k == c.no.kind() {
		return k
	}
	return ""
}

func (c *conditional) branch(e *evaluation) (node, error) {
	b, err := e.boolean(c.cond, "a condition")
	if b {
		return c.yes, err
	}
	return c.no, err
}

// maybe lets ?? and exists ask about the branch that is taken.
func (c *conditional) maybe(e *evaluation) (any, *gap, error) {
	n, err := c.branch(e)
	if err != nil {
		return nil, nil, err
	}
	return e.maybe(n)
}

func (c *conditional) eval(e *evaluation) (any, error) {
	n, err := c.branch(e)
	if err != nil {
		return nil, err
	}
	return e.raw(n)
}

// local is a name that let gave.
type local struct {
	span
	untyped
	slot int
}

func (l *local) eval(e *evaluation) (any, error) { return e.vars[l.slot], nil }

// let is `let name = v; body`.
type let struct {
	span
	slot    int
	v, body node
}

func (l *let) kind() value.Kind { return l.body.kind() }

func (l *let) eval(e *evaluation) (any, error) {
	v, err := e.raw(l.v)
	if err != nil {
		return nil, err
	}
	e.vars = append(e.vars[:l.slot], v)
	v, err = e.raw(l.body)
	e.vars = e.vars[:l.slot]
	return v, err
}

// sequence is `a; b`: all are evaluated, the last one is the value.
type sequence struct {
	span
	nodes []node
}

func (s *sequence) kind() value.Kind { return s.nodes[len(s.nodes)-1].kind() }

func (s *sequence) eval(e *evaluation) (v any, err error) {
	for _, n := range s.nodes {
		if v, err = e.raw(n); err != nil {
			return nil, err
		}
	}
	return v, nil
}
