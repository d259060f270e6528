package jsonpath

import (
	"github.com/testmesh/testmesh/flow/value"
)

// bytesPerVisit is how many bytes of text are copied or scanned in about the
// time that visiting a node takes.
const bytesPerVisit = 32

// decimalVisits is what comparing an exact decimal counts, which may have
// thousands of digits.
const decimalVisits = 100

// evaluation is one answer in the making. left falls below zero when the answer
// is given up; whatever runs then returns as soon as it can.
type evaluation struct {
	root     any
	left     int
	location []step
	patterns map[patternKey]*pattern
}

// step is one member or element on the way to the current node.
type step struct {
	name  string
	index int // of an element; -1 for a member
}

func (e *evaluation) charge(visits int) bool {
	e.left -= visits
	return e.left >= 0
}

// walk calls emit for every node that the segments select from v, in order and
// without keeping lists; it stops when emit is false, and then is false too. A
// segment goes at least one level down, so the recursion is as deep as the
// document at most.
func (e *evaluation) walk(segments []segment, v any, emit func(any) bool) bool {
	if len(segments) == 0 {
		return emit(v)
	}
	s := &segments[0]
	if s.descendant {
		return e.descend(s, segments[1:], v, emit)
	}
	return e.apply(s, segments[1:], v, emit)
}

// descend applies the segment to v and everything below, parents first.
func (e *evaluation) descend(s *segment, rest []segment, v any, emit func(any) bool) bool {
	return e.apply(s, rest, v, emit) && e.children(v, func(child any) bool {
		return e.descend(s, rest, child, emit)
	})
}

func (e *evaluation) apply(s *segment, rest []segment, v any, emit func(any) bool) bool {
	for i := range s.selectors {
		if !e.charge(1) || !e.selectFrom(&s.selectors[i], rest, v, emit) {
			return false
		}
	}
	return true
}

func (e *evaluation) selectFrom(s *selector, rest []segment, v any, emit func(any) bool) bool {
	switch s.kind {
	case nameSelector:
		m, _ := v.(map[string]any)
		child, ok := m[s.name]
		return !ok || e.into(step{s.name, -1}, rest, child, emit)
	case indexSelector:
		list, _ := v.([]any)
		i, ok := s.position(len(list))
		return !ok || e.into(step{"", i}, rest, list[i], emit)
	case sliceSelector:
		list, ok := v.([]any)
		return !ok || e.slice(&s.slice, rest, list, emit)
	case wildcardSelector:
		return e.children(v, func(child any) bool { return e.walk(rest, child, emit) })
	}
	return e.children(v, func(child any) bool {
		return !s.filter.test(e, child) || e.walk(rest, child, emit)
	})
}

// position is where an index is in a list of the length.
func (s *selector) position(length int) (int, bool) {
	i := s.index
	if i < 0 {
		i += int64(length)
	}
	return int(i), i >= 0 && i < int64(length)
}

func (e *evaluation) slice(s *slice, rest []segment, list []any, emit func(any) bool) bool {
	first, bound, by := s.bounds(int64(len(list)))
	if by == 0 {
		return true
	}
	for i := first; by > 0 && i < bound || by < 0 && i > bound; i += by {
		if !e.charge(1) || !e.into(step{"", int(i)}, rest, list[i], emit) {
			return false
		}
	}
	return true
}

// into walks on at one child.
func (e *evaluation) into(at step, rest []segment, child any, emit func(any) bool) bool {
	e.location = append(e.location, at)
	ok := e.walk(rest, child, emit)
	e.location = e.location[:len(e.location)-1]
	return ok
}

// children visits every member, by name, or element of v.
func (e *evaluation) children(v any, visit func(any) bool) bool {
	switch x := v.(type) {
	case []any:
		e.location = append(e.location, step{})
		top := len(e.location)
		for i, child := range x {
			e.location[top-1] = step{"", i}
			if !e.charge(1) || !visit(child) {
				return false
			}
			e.location = e.location[:top]
		}
		e.location = e.location[:top-1]
	case map[string]any:
		if !e.charge(len(x)) {
			return false
		}
		e.location = append(e.location, step{})
		top := len(e.location)
		for _, name := range value.Keys(x) {
			e.location[top-1] = step{name, -1}
			if !visit(x[name]) {
				return false
			}
			e.location = e.location[:top]
		}
		e.location = e.location[:top-1]
	}
	return true
}

// get follows singular segments.
func get(segments []segment, v any) (any, bool) {
	for i := range segments {
		s := &segments[i].selectors[0]
		if s.kind == nameSelector {
			m, _ := v.(map[string]any)
			child, ok := m[s.name]
			if !ok {
				return nil, false
			}
			v = child
			continue
		}
		list, _ := v.([]any)
		at, ok := s.position(len(list))
		if !ok {
			return nil, false
		}
		v = list[at]
	}
	return v, true
}

// condition is a logical expression over the current node.
type condition interface {
	test(e *evaluation, current any) bool
}

// operand gives a value, or none: the RFC's Nothing.
type operand interface {
	value(e *evaluation, current any) (any, bool)
}

type anyOf []condition

func (list anyOf) test(e *evaluation, current any) bool {
	for _, c := range list {
		if c.test(e, current) {
			return true
		}
	}
	return false
}

type allOf []condition

func (list allOf) test(e *evaluation, current any) bool {
	for _, c := range list {
		if !c.test(e, current) {
			return false
		}
	}
	return true
}

type not struct{ condition }

func (n not) test(e *evaluation, current any) bool { return !n.condition.test(e, current) }

type exists struct{ query *query }

func (x exists) test(e *evaluation, current any) bool {
	found := false
	x.query.each(e, current, func(any) bool {
		found = true
		return false
	})
	return found
}

type literal struct{ v any }

func (l literal) value(*evaluation, any) (any, bool) { return l.v, true }

// base is the node that the query starts from.
func (q *query) base(e *evaluation, current any) any {
	if q.absolute {
		return e.root
	}
	return current
}

// each walks the nodes of a query inside a filter, and leaves the location as
// it was however the walk ends.
func (q *query) each(e *evaluation, current any, emit func(any) bool) {
	top := len(e.location)
	if e.charge(1) {
		e.walk(q.segments, q.base(e, current), emit)
	}
	e.location = e.location[:top]
}

// value is that of a singular query.
func (q *query) value(e *evaluation, current any) (any, bool) {
	if !e.charge(1 + len(q.segments)) {
		return nil, false
	}
	return get(q.segments, q.base(e, current))
}

type comparison struct {
	op          string
	left, right operand
}

// test follows RFC 9535 section 2.3.5.2.2: two sides that find nothing are
// equal, and order is only between two numbers or two strings.
func (c *comparison) test(e *evaluation, current any) bool {
	a, hasA := c.left.value(e, current)
	b, hasB := c.right.value(e, current)
	equal := func() bool {
		if !hasA || !hasB {
			return hasA == hasB
		}
		return e.weigh(a, b) && value.Equal(a, b)
	}
	less := func(x, y any) bool {
		if !hasA || !hasB || !e.weigh(x, y) {
			return false
		}
		if s, ok := x.(string); ok {
			t, ok := y.(string)
			return ok && s < t
		}
		order, ok := value.CompareNumbers(x, y)
		return ok && order < 0
	}
	switch c.op {
	case "==":
		return equal()
	case "!=":
		return !equal()
	case "<":
		return less(a, b)
	case "<=":
		return less(a, b) || equal()
	case ">":
		return less(b, a)
	}
	return less(b, a) || equal() // >=
}

// weigh charges for comparing two values; of two lengths value.Equal sees at
// once that they differ.
func (e *evaluation) weigh(a, b any) bool {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return e.charge(1 + min(len(x), len(y))/(bytesPerVisit*bytesPerVisit)) // memory is compared fast
		}
	case []any:
		if y, ok := b.([]any); ok && len(x) == len(y) {
			return e.charge(e.size(a, e.left))
		}
	case map[string]any:
		if y, ok := b.(map[string]any); ok && len(x) == len(y) {
			return e.charge(e.size(a, e.left))
		}
	case *value.Decimal:
		return e.charge(decimalVisits)
	}
	if _, ok := b.(*value.Decimal); ok {
		return e.charge(decimalVisits)
	}
	return e.charge(1)
}

// size counts the visits that a comparison with v takes, and stops past limit.
func (e *evaluation) size(v any, limit int) int {
	n := 1
	switch x := v.(type) {
	case string:
		n += len(x) / (bytesPerVisit * bytesPerVisit)
	case *value.Decimal:
		n = decimalVisits
	case []any:
		for _, child := range x {
			if n > limit {
				return n
			}
			n += e.size(child, limit-n)
		}
	case map[string]any:
		for _, child := range x {
			if n > limit {
				return n
			}
			n += e.size(child, limit-n)
		}
	}
	return n
}
