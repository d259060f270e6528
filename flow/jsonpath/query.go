package jsonpath

// query is `$` or `@` with its segments.
type query struct {
	at       int // where it is in the text
	absolute bool
	segments []segment
}

type segment struct {
	descendant bool
	// blanks says that there is white space inside the brackets. The RFC's
	// grammar allows that everywhere but in a query that is compared.
	blanks    bool
	selectors []selector
}

type selectorKind uint8

const (
	nameSelector selectorKind = iota
	indexSelector
	wildcardSelector
	sliceSelector
	filterSelector
)

type selector struct {
	kind   selectorKind
	name   string
	index  int64
	slice  slice
	filter condition
}

// slice holds `start:end:step`; what is left out is not set.
type slice struct {
	start, end, step          int64
	hasStart, hasEnd, hasStep bool
}

func (s *segment) singular() bool {
	return !s.descendant && len(s.selectors) == 1 && s.selectors[0].kind <= indexSelector
}

func (q *query) singular() bool {
	for i := range q.segments {
		if !q.segments[i].singular() {
			return false
		}
	}
	return true
}

// bounds gives the first index and the bound that ends the walk over a list of
// the length: RFC 9535 section 2.3.4.2.2. Every integer is within 2^53, so that
// nothing here can overflow.
func (s *slice) bounds(length int64) (first, bound, step int64) {
	step = 1
	if s.hasStep {
		step = s.step
	}
	absolute := func(i int64) int64 {
		if i < 0 {
			return length + i
		}
		return i
	}
	if step >= 0 {
		first, bound = 0, length
		if s.hasStart {
			first = min(max(absolute(s.start), 0), length)
		}
		if s.hasEnd {
			bound = min(max(absolute(s.end), 0), length)
		}
		return first, bound, step
	}
	first, bound = length-1, -1
	if s.hasStart {
		first = min(max(absolute(s.start), -1), length-1)
	}
	if s.hasEnd {
		bound = min(max(absolute(s.end), -1), length-1)
	}
	return first, bound, step
}
