package expr

import (
	"errors"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// seg is one member or index of a path.
type seg struct {
	key     string
	index   int64
	isIndex bool
	headers bool // the map holds headers, whose names ignore case
	end     int  // where the path ends with this segment
}

// step goes one segment down. Lists and strings answer to .length.
func step(v any, s *seg) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		if s.isIndex {
			return nil, false
		}
		if found, ok := v[s.key]; ok {
			return found, true
		}
		if s.headers {
			return foldedKey(v, s.key)
		}
	case []any:
		if s.isIndex {
			i := s.index
			if i < 0 {
				i += int64(len(v))
			}
			if i >= 0 && i < int64(len(v)) {
				return v[i], true
			}
		} else if s.key == "length" {
			return int64(len(v)), true
		}
	case string:
		if !s.isIndex && s.key == "length" {
			return runeCount(v), true
		}
	}
	return nil, false
}

// foldedKey finds a header whatever its case; the first in alphabetical order
// where several differ in nothing else.
func foldedKey(m map[string]any, key string) (any, bool) {
	found, ok := "", false
	for k := range m {
		if strings.EqualFold(k, key) && (!ok || k < found) {
			found, ok = k, true
		}
	}
	return m[found], ok
}

// headerMap tells whether a member of this name holds headers.
func headerMap(name string) bool { return name == "headers" || name == "header_values" }

// path is a top-level name and the members and indices after it.
type path struct {
	span
	untyped
	name    string
	nameEnd int
	segs    []seg
}

func (p *path) eval(e *evaluation) (any, error) {
	v, g, err := p.maybe(e)
	if g != nil {
		return nil, g.missing()
	}
	return v, err
}

func (p *path) maybe(e *evaluation) (any, *gap, error) {
	env := e.env
	if env.Cut != "" && p.isCut(env.CutKey) {
		return nil, nil, &CutError{Message: env.Cut}
	}
	v, ok, from, err := p.first(env)
	if err != nil {
		return nil, nil, &placed{p.span, err}
	}
	if !ok {
		return nil, &gap{span: p.span, path: e.written(p)}, nil
	}
	for i := from; i < len(p.segs); i++ {
		s := &p.segs[i]
		next, ok := step(v, s)
		if !ok {
			at := p.nameEnd
			if i > 0 {
				at = p.segs[i-1].end
			}
			return nil, &gap{span: p.span, path: e.written(p), at: e.text[p.off:at], held: v, seg: *s}, nil
		}
		v = next
	}
	return v, nil, nil
}

// first is the value that the path begins with and the segment after it: the
// top-level name, or its member where the scope makes members one by one.
func (p *path) first(env *Env) (v any, ok bool, next int, err error) {
	if len(p.segs) > 0 && !p.segs[0].isIndex {
		if s, can := env.Scope.(Members); can {
			if v, ok, err := s.Member(p.name, p.segs[0].key); ok || err != nil {
				return v, ok, 1, err
			}
		}
	}
	v, ok, err = lookup(env, p.name)
	return v, ok, 0, err
}

// isCut tells whether the path reads the part of the result that was cut.
func (p *path) isCut(key string) bool {
	if p.name == key {
		return true
	}
	if p.name != "result" && p.name != "response" {
		return false
	}
	return len(p.segs) == 0 || p.segs[0].key == key
}

// lookup asks the scope, then the built-in names.
func lookup(env *Env, name string) (any, bool, error) {
	if env.Scope != nil {
		v, ok, err := env.Scope.Lookup(name)
		if ok || err != nil {
			return v, ok, err
		}
	}
	v, ok := LookupBuiltin(name, env)
	return v, ok, nil
}

// member is one static segment below any node.
type member struct {
	span
	untyped
	of  node
	seg seg
}

func (m *member) eval(e *evaluation) (any, error) {
	v, g, err := m.maybe(e)
	if g != nil {
		return nil, g.missing()
	}
	return v, err
}

func (m *member) maybe(e *evaluation) (any, *gap, error) {
	v, g, err := e.base(m.of)
	if err != nil || g != nil {
		return nil, widen(e, g, m), err
	}
	return below(e, m, m.of, model(v), &m.seg)
}

// below goes from the value of base to a segment of n.
func below(e *evaluation, n, base node, v any, s *seg) (any, *gap, error) {
	found, ok := step(v, s)
	if !ok {
		off, end := n.bytes()
		return nil, &gap{span: span{off, end}, path: e.written(n), at: e.written(base), held: v, seg: *s}, nil
	}
	return found, nil, nil
}

// widen makes a gap inside n's path a gap of the whole of it.
func widen(e *evaluation, g *gap, n node) *gap {
	if g != nil {
		g.off, g.end = n.bytes()
		g.path = e.written(n)
	}
	return g
}

// index is a computed segment below any node.
type index struct {
	span
	untyped
	of, key node
	headers bool
}

func (x *index) eval(e *evaluation) (any, error) {
	v, g, err := x.maybe(e)
	if g != nil {
		return nil, g.missing()
	}
	return v, err
}

func (x *index) maybe(e *evaluation) (any, *gap, error) {
	v, g, err := e.base(x.of)
	if err != nil || g != nil {
		return nil, widen(e, g, x), err
	}
	k, err := e.value(x.key)
	if err != nil {
		return nil, nil, err
	}
	s := seg{headers: x.headers, end: x.end}
	if key, ok := k.(string); ok {
		s.key = key
	} else if i, ok := value.Int(k); ok {
		s.index, s.isIndex = i, true
	} else {
		off, end := x.key.bytes()
		return nil, nil, valueErrorAt(off, end, "an index is a name or a whole number, got %s", value.Describe(k, 80))
	}
	return below(e, x, x.of, model(v), &s)
}

// option is `of?.…`: absent or null of gives null for the whole chain, and a
// missing member gives null here.
type option struct {
	span
	untyped
	step node // member or index, below of
	of   node
}

// chain ends the reach of the options in it.
type chain struct {
	span
	untyped
	of node
}

var errShort = &MissingError{Path: "?."} // never leaves a chain

func (c *chain) eval(e *evaluation) (any, error) {
	v, g, err := c.maybe(e)
	if g != nil {
		return nil, g.missing()
	}
	return v, err
}

func (c *chain) maybe(e *evaluation) (any, *gap, error) {
	v, g, err := e.base(c.of)
	if errors.Is(err, errShort) {
		return nil, nil, nil
	}
	return v, g, err
}

func (o *option) eval(e *evaluation) (any, error) {
	v, g, err := o.maybe(e)
	if g != nil {
		return nil, g.missing()
	}
	return v, err
}

func (o *option) maybe(e *evaluation) (any, *gap, error) {
	v, g, err := e.base(o.of)
	if err != nil {
		return nil, nil, err
	}
	if g != nil || v == nil {
		return nil, nil, errShort
	}
	v, g, err = o.descend(e, model(v))
	if g != nil {
		return nil, nil, nil
	}
	return v, nil, err
}

func (o *option) descend(e *evaluation, v any) (any, *gap, error) {
	switch n := o.step.(type) {
	case *member:
		return below(e, n, n.of, v, &n.seg)
	case *index:
		held := *n
		held.of = &literal{span: span{n.off, n.off}, v: v}
		return held.maybe(e)
	case *method:
		held := *n
		held.of = &literal{span: span{n.off, n.off}, v: v}
		v, err := held.eval(e)
		return v, nil, err
	}
	return nil, nil, valueErrorAt(o.off, o.end, "?. cannot be used here")
}

// slice is of[from:to]; bounds past the ends are the ends, negative ones count
// from the end, as in expr-lang.
type slice struct {
	span
	of, from, to node
}

func (s *slice) kind() value.Kind { return s.of.kind() }

func (s *slice) eval(e *evaluation) (any, error) {
	v, g, err := e.base(s.of)
	if err != nil {
		return nil, err
	}
	if g != nil {
		return nil, widen(e, g, s).missing()
	}
	v = model(v)
	var size int64
	var runes []rune
	switch v := v.(type) {
	case []any:
		size = int64(len(v))
	case string:
		if err := e.produce(len(v) * 4); err != nil {
			return nil, err
		}
		runes = []rune(v)
		size = int64(len(runes))
	default:
		return nil, valueErrorAt(s.off, s.end, "only arrays and strings have slices, got %s", value.Describe(v, 80))
	}
	from, err := s.bound(e, s.from, 0, size)
	if err != nil {
		return nil, err
	}
	to, err := s.bound(e, s.to, size, size)
	if err != nil {
		return nil, err
	}
	from = min(from, to)
	if list, ok := v.([]any); ok {
		return list[from:to:to], nil
	}
	return string(runes[from:to]), nil
}

func (s *slice) bound(e *evaluation, n node, fallback, size int64) (int64, error) {
	if n == nil {
		return fallback, nil
	}
	v, err := e.value(n)
	if err != nil {
		return 0, err
	}
	i, ok := value.Int(v)
	if !ok {
		off, end := n.bytes()
		return 0, valueErrorAt(off, end, "a slice's bound is a whole number, got %s", value.Describe(v, 80))
	}
	if i < 0 {
		i += size
	}
	return min(max(i, 0), size), nil
}

// placed is an error of someone else with the part of the expression that met it.
type placed struct {
	span
	err error
}

func (p *placed) Error() string { return p.err.Error() }
func (p *placed) Unwrap() error { return p.err }

// checkIndex refuses a constant that can never be an index.
func checkIndex(n node) error {
	switch n.kind() {
	case "", value.String, value.Number:
		return nil
	}
	off, end := n.bytes()
	return syntaxErrorf(source.CodeType, off, end, "an index is a name or a whole number, not %s", article(n.kind()))
}
