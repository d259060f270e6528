package expr

import (
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/value"
)

// not is `not x` and `!x`.
type not struct {
	span
	of node
}

func (*not) kind() value.Kind { return value.Boolean }

func (n *not) eval(e *evaluation) (any, error) {
	b, err := e.boolean(n.of, "not")
	return !b, err
}

// sign is unary minus and plus.
type sign struct {
	span
	of       node
	negative bool
}

func (s *sign) kind() value.Kind { return s.of.kind() }

func (s *sign) eval(e *evaluation) (any, error) {
	v, err := e.raw(s.of)
	if err != nil {
		return nil, err
	}
	if d, ok := v.(time.Duration); ok && s.negative {
		return -d, nil
	}
	if kindOf(v) != value.Number {
		return nil, valueErrorAt(s.off, s.end, "a sign needs a number, got %s", describe(v))
	}
	if v, err = signed(v, s.negative); err != nil {
		return nil, valueErrorAt(s.off, s.end, "%s", err)
	}
	return v, nil
}

func compute(op string, a, b any) (any, error) {
	_, floatA := a.(float64)
	_, floatB := b.(float64)
	if (floatA || floatB) && (op == "+" || op == "-" || op == "*") {
		x, okX := decimal(a)
		y, okY := decimal(b)
		if okX && okY {
			v, err := value.Arithmetic(op, x, y)
			if err != nil {
				return nil, err
			}
			return value.ParseNumber(value.Compact(v))
		}
	}
	return value.Arithmetic(op, a, b)
}

// decimal is a number in the digits that it prints with.
func decimal(n any) (any, bool) {
	f, ok := n.(float64)
	if !ok {
		return n, kindOf(n) == value.Number
	}
	d, err := value.ParseDecimal(value.Compact(f))
	return d, err == nil
}

func signed(n any, negative bool) (any, error) {
	if !negative {
		return n, nil
	}
	if f, ok := n.(float64); ok {
		return -f, nil
	}
	return value.Arithmetic("-", int64(0), n)
}

// arithmetic is exact for + - * of numbers with a fraction, too: who adds
// prices means 0.1 + 0.2 == 0.3. A quotient is a float64 as in expr-lang.
func (s span) arithmetic(op string, a, b any) (any, error) {
	v, err := compute(op, a, b)
	if err != nil {
		return nil, valueErrorAt(s.off, s.end, "%s", err)
	}
	return v, nil
}

// logic is and, or with their short circuits.
type logic struct {
	span
	or          bool
	left, right node
}

func (*logic) kind() value.Kind { return value.Boolean }

func (l *logic) eval(e *evaluation) (any, error) {
	who := "and"
	if l.or {
		who = "or"
	}
	b, err := e.boolean(l.left, who)
	if err != nil || b == l.or {
		return b, err
	}
	return wrapBool(e.boolean(l.right, who))
}

func wrapBool(b bool, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// arithmetic is + - * / % **, and + of two strings.
type arithmetic struct {
	span
	op          string
	left, right node
}

func (a *arithmetic) kind() value.Kind {
	l, r := a.left.kind(), a.right.kind()
	switch {
	case a.op != "+" && a.op != "-" || l == value.Number || r == value.Number:
		return value.Number // anything else would be an error
	case a.op == "+" && (l == value.String || r == value.String):
		return value.String
	}
	return ""
}

func (a *arithmetic) eval(e *evaluation) (any, error) {
	l, err := e.raw(a.left)
	if err != nil {
		return nil, err
	}
	r, err := e.raw(a.right)
	if err != nil {
		return nil, err
	}
	if a.op == "+" {
		x, okX := l.(string)
		y, okY := r.(string)
		if okX && okY {
			if err := e.produce(len(x) + len(y)); err != nil {
				return nil, err
			}
			return x + y, nil
		}
	}
	kl, kr := kindOf(l), kindOf(r)
	if kl == value.Number && kr == value.Number {
		return a.arithmetic(a.op, l, r)
	}
	if v, ok := timeArithmetic(a.op, l, r); ok {
		return v, nil
	}
	return nil, a.refuse(l, r)
}

func (a *arithmetic) refuse(l, r any) error {
	needs := "two numbers"
	if a.op == "+" {
		needs = "two numbers or two strings"
	}
	return valueErrorAt(a.off, a.end, "%s needs %s, got %s and %s", a.op, needs, describe(l), describe(r))
}

// equal is == and != between two values.
type equal struct {
	span
	negate      bool
	left, right node
}

func (*equal) kind() value.Kind { return value.Boolean }

func (q *equal) eval(e *evaluation) (any, error) {
	l, err := e.raw(q.left)
	if err != nil {
		return nil, err
	}
	r, err := e.raw(q.right)
	if err != nil {
		return nil, err
	}
	if order, ok := compareTimes(l, r); ok {
		return (order == 0) != q.negate, nil
	}
	return value.Equal(model(l), model(r)) != q.negate, nil
}

// isNull is x == nil and `x is null`: true where x is missing, too.
type isNull struct {
	span
	negate bool
	of     node
	right  node // the nil that it is compared with; nil for `is null`
}

func (*isNull) kind() value.Kind { return value.Boolean }

func (n *isNull) eval(e *evaluation) (any, error) {
	v, g, err := e.maybe(n.of)
	if err != nil {
		return nil, err
	}
	return (g != nil || v == nil) != n.negate, nil
}

// exists is true for whatever is there, null included.
type exists struct {
	span
	negate bool
	of     absent
}

func (*exists) kind() value.Kind { return value.Boolean }

func (x *exists) eval(e *evaluation) (any, error) {
	_, g, err := e.maybe(x.of)
	if err != nil {
		return nil, err
	}
	return (g == nil) != x.negate, nil
}

// hasKind is `x is string`.
type hasKind struct {
	span
	negate bool
	of     node
	want   value.Kind
}

func (*hasKind) kind() value.Kind { return value.Boolean }

func (h *hasKind) eval(e *evaluation) (any, error) {
	v, err := e.value(h.of)
	if err != nil {
		return nil, err
	}
	is := value.KindOf(v) == h.want || h.want == "integer" && value.IsInteger(v)
	return is != h.negate, nil
}

// ordered is < <= > >=, chained as often as written: 1 < x <= 9 reads x once.
type ordered struct {
	span
	ops      []string
	operands []node
}

func (*ordered) kind() value.Kind { return value.Boolean }

func (o *ordered) eval(e *evaluation) (any, error) {
	l, err := e.raw(o.operands[0])
	if err != nil {
		return nil, err
	}
	for i, op := range o.ops {
		r, err := e.raw(o.operands[i+1])
		if err != nil {
			return nil, err
		}
		order, ok := compareTimes(l, r)
		if !ok {
			if order, ok = compare(l, r); !ok {
				return nil, valueErrorAt(o.off, o.end, "%s needs two numbers or two strings, got %s and %s", op, describe(l), describe(r))
			}
		}
		if !holds(op, order) {
			return false, nil
		}
		l = r
	}
	return true, nil
}

func holds(op string, order int) bool {
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// compare orders two numbers, or two strings by code point.
func compare(a, b any) (int, bool) {
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), true
		}
		return 0, false
	}
	return value.CompareNumbers(a, b)
}
