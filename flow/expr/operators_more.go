package expr

import (
	"regexp"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// maxPattern bounds a regular expression, in bytes.
const maxPattern = 10_000

// contains is `a contains b` and, turned round, `b in a`.
type contains struct {
	span
	in          bool // as `needle in haystack`
	hay, needle node
}

func (*contains) kind() value.Kind { return value.Boolean }

func (c *contains) eval(e *evaluation) (any, error) {
	first, second := c.hay, c.needle
	if c.in {
		first, second = second, first
	}
	x, err := e.value(first)
	if err != nil {
		return nil, err
	}
	y, err := e.value(second)
	if err != nil {
		return nil, err
	}
	if c.in {
		x, y = y, x
	}
	return c.find(e, x, y)
}

func (c *contains) find(e *evaluation, hay, needle any) (any, error) {
	switch h := hay.(type) {
	case []any:
		e.steps += len(h)
		for _, v := range h {
			if value.Equal(v, needle) {
				return true, nil
			}
		}
		return false, nil
	case map[string]any:
		key, ok := needle.(string)
		if !ok {
			return nil, valueErrorAt(c.off, c.end, "an object's keys are strings, got %s", describe(needle))
		}
		_, ok = h[key]
		return ok, nil
	case string:
		if c.in {
			return nil, valueErrorAt(c.off, c.end, "in needs an array or an object on its right, got %s; text is searched with contains", describe(hay))
		}
		if s, ok := needle.(string); ok {
			return strings.Contains(h, s), nil
		}
		return nil, valueErrorAt(c.off, c.end, "a string contains strings, got %s", describe(needle))
	}
	if c.in {
		return nil, valueErrorAt(c.off, c.end, "in needs an array or an object on its right, got %s", describe(hay))
	}
	return nil, valueErrorAt(c.off, c.end, "contains needs a string, an array or an object on its left, got %s", describe(hay))
}

// affix is starts_with and ends_with.
type affix struct {
	span
	op        string
	of, fixed node
}

func (*affix) kind() value.Kind { return value.Boolean }

func (a *affix) eval(e *evaluation) (any, error) {
	l, err := e.value(a.of)
	if err != nil {
		return nil, err
	}
	r, err := e.value(a.fixed)
	if err != nil {
		return nil, err
	}
	s, okS := l.(string)
	fixed, okF := r.(string)
	if !okS || !okF {
		return nil, valueErrorAt(a.off, a.end, "%s needs two strings, got %s and %s", a.op, describe(l), describe(r))
	}
	if a.op == "starts_with" {
		return strings.HasPrefix(s, fixed), nil
	}
	return strings.HasSuffix(s, fixed), nil
}

// matches searches a string for a regular expression of RE2.
type matches struct {
	span
	of, pattern node
	compiled    *regexp.Regexp // where the pattern is constant
}

func (*matches) kind() value.Kind { return value.Boolean }

func (m *matches) eval(e *evaluation) (any, error) {
	v, err := e.value(m.of)
	if err != nil {
		return nil, err
	}
	s, ok := v.(string)
	if !ok {
		return nil, valueErrorAt(m.off, m.end, "matches needs a string, got %s", describe(v))
	}
	re := m.compiled
	if re == nil {
		p, err := e.value(m.pattern)
		if err != nil {
			return nil, err
		}
		off, end := m.pattern.bytes()
		text, ok := p.(string)
		if !ok {
			return nil, valueErrorAt(off, end, "a regular expression is a string, got %s", describe(p))
		}
		if re, err = compilePattern(text); err != nil {
			return nil, valueErrorAt(off, end, "%s", err)
		}
	}
	e.steps += len(s) / 64
	return re.MatchString(s), nil
}

// compilePattern is regexp.Compile with a bound and our sentence.
func compilePattern(text string) (*regexp.Regexp, error) {
	if len(text) > maxPattern {
		return nil, valueErrorf("a regular expression of %d bytes; at most %d are allowed", len(text), maxPattern)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, valueErrorf("not a regular expression of RE2: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return re, nil
}

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
