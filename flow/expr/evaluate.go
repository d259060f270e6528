package expr

import (
	"errors"
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

// Bounds of one evaluation: far past what a test computes, and about a second
// of work or a response body's worth of memory.
const (
	maxSteps    = 2_000_000
	maxProduced = 64 << 20  // bytes of strings and lists made, 16 for a list's element
	maxList     = 1_000_000 // elements of a range
)

// node is one part of a compiled expression. Nodes are immutable.
type node interface {
	eval(e *evaluation) (any, error)
	bytes() (off, end int)
	// kind is what the value will be, "" where only a run can tell.
	kind() value.Kind
}

// absent is a node whose value may be missing, which some operators ask about.
type absent interface {
	node
	maybe(e *evaluation) (any, *gap, error)
}

// span is the bytes [off,end) of a node in the unit's text.
type span struct{ off, end int }

func (s span) bytes() (off, end int) { return s.off, s.end }

// untyped is embedded where only a run can tell the kind.
type untyped struct{}

func (untyped) kind() value.Kind { return "" }

// pointer is what # stands for inside a predicate.
type pointer struct {
	item, acc any
	index     int
}

// evaluation is one run of an expression or template.
type evaluation struct {
	env      *Env
	text     string // of the unit being evaluated, which spans point into
	vars     []any  // let, innermost last
	items    []pointer
	steps    int
	produced int
	trace    *trace
}

func newEvaluation(env *Env, text string) *evaluation {
	if env == nil {
		env = &Env{}
	}
	e := env.spare
	if e == nil {
		return &evaluation{env: env, text: text}
	}
	env.spare = nil
	e.env, e.text = env, text
	return e
}

// end keeps e, of which nobody holds anything any more, for the next evaluation
// with its Env.
func (e *evaluation) end() {
	env := e.env
	*e = evaluation{}
	env.spare = e
}

// raw evaluates n; the value may be a time or a duration.
func (e *evaluation) raw(n node) (any, error) {
	if e.steps++; e.steps > maxSteps {
		return nil, &LimitError{Message: fmt.Sprintf("the expression takes more than %d steps", maxSteps)}
	}
	if e.trace != nil {
		return e.traced(n)
	}
	return n.eval(e)
}

// value evaluates n to a value of the model.
func (e *evaluation) value(n node) (any, error) {
	v, err := e.raw(n)
	if err != nil {
		return nil, err
	}
	return model(v), nil
}

// maybe evaluates n for an operator that asks whether it is there.
func (e *evaluation) maybe(n node) (any, *gap, error) {
	a, ok := n.(absent)
	if !ok {
		v, err := e.raw(n)
		return v, nil, err
	}
	if e.trace != nil {
		return e.tracedMaybe(a)
	}
	e.steps++
	return a.maybe(e)
}

// base evaluates the part of a path before its last member, which is no operand
// of its own.
func (e *evaluation) base(n node) (any, *gap, error) {
	if a, ok := n.(absent); ok {
		e.steps++
		return a.maybe(e)
	}
	v, err := e.value(n)
	return v, nil, err
}

// produce accounts for memory that the evaluation makes.
func (e *evaluation) produce(bytes int) error {
	if bytes < 0 || bytes > maxProduced || e.produced > maxProduced-bytes {
		return &LimitError{Message: fmt.Sprintf("the expression makes more than %d MiB of values", maxProduced>>20)}
	}
	e.produced += bytes
	return nil
}

// written is a node as the author wrote it.
func (e *evaluation) written(n node) string {
	off, end := n.bytes()
	if i, ok := n.(*item); ok && i.name == "" {
		return "#" // .field is short for #.field
	}
	return e.text[off:end]
}

// gap is where a path leaves what there is.
type gap struct {
	span        // of the whole path as far as it is known
	path string // the same as text
	at   string // the last part that exists; "" where a top-level name is missing
	held any    // its value
	seg  seg    // what it does not hold
	note string // instead of held and seg: a sentence
}

// missing makes the error that a gap is where nothing asks for absence.
func (g *gap) missing() *MissingError {
	return &MissingError{Path: g.path, Nearest: g.nearest(), Offset: g.off, Length: g.end - g.off}
}

const (
	maxShown  = 60 // bytes of a name in a message
	maxListed = 5  // names that a message lists
)

func (g *gap) nearest() string {
	if g.note != "" || g.at == "" {
		return g.note
	}
	want := fmt.Sprintf("[%d]", g.seg.index)
	if !g.seg.isIndex {
		want = fmt.Sprintf("%q", cut(g.seg.key, maxShown))
	}
	switch held := g.held.(type) {
	case nil:
		return fmt.Sprintf("%s is null, which has no %s", g.at, want)
	case map[string]any:
		return g.nearestMember(held, want)
	case []any:
		if g.seg.isIndex {
			return fmt.Sprintf("%s has %s, so no %s", g.at, plural(len(held), "element"), want)
		}
		if len(held) > 0 {
			if m, ok := held[0].(map[string]any); ok {
				if _, ok := m[g.seg.key]; ok {
					return fmt.Sprintf("%s is an array, which has no %s; did you mean %q?", g.at, want, value.Member(g.at+"[0]", g.seg.key))
				}
			}
		}
		return fmt.Sprintf("%s is an array of %s, which has no %s", g.at, plural(len(held), "element"), want)
	}
	return fmt.Sprintf("%s is %s, which has no %s", g.at, article(kindOf(g.held)), want)
}

func (g *gap) nearestMember(held map[string]any, want string) string {
	if g.seg.isIndex {
		return fmt.Sprintf("%s is an object, which has no %s", g.at, want)
	}
	if len(held) == 0 {
		return fmt.Sprintf("%s has no %s; it is an empty object", g.at, want)
	}
	if near := value.Nearest(held, g.seg.key); near != "" {
		return fmt.Sprintf("%s has no %s; did you mean %q?", g.at, want, near)
	}
	keys := value.Keys(held)
	listed := make([]string, 0, maxListed)
	for _, k := range keys[:min(len(keys), maxListed)] {
		listed = append(listed, fmt.Sprintf("%q", cut(k, maxShown)))
	}
	text := fmt.Sprintf("%s has no %s; it has %s", g.at, want, strings.Join(listed, ", "))
	if more := len(keys) - len(listed); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func article(k value.Kind) string {
	switch k {
	case value.Null:
		return "null"
	case value.Array, value.Object, "integer":
		return "an " + string(k)
	}
	return "a " + string(k)
}

// trace records the operands of an evaluation.
type trace struct {
	operands []event.Operand
	seen     map[string]bool
	muted    int // inside a predicate, whose parts have many values
	root     node
}

// worth tells whether a node's value says something that its text does not.
func (t *trace) worth(n node) bool {
	if t.muted > 0 {
		return false
	}
	switch n := n.(type) {
	case *literal, *prepared, *arrayNode, *mapNode, *predicate, *sequence, *let, *item:
		return false
	case *textNode:
		return n.template.single == nil
	}
	return n != t.root || isPath(n)
}

// isPath tells whether a node reads a place, so that its value is news even
// where it is the whole expression.
func isPath(n node) bool {
	switch n.(type) {
	case *path, *member, *index, *chain, *query, *defaulted:
		return true
	}
	return false
}

// reserve keeps the operand's place before its own parts are evaluated, so that
// the outermost comes first.
func (e *evaluation) reserve(n node) int {
	if !e.trace.worth(n) {
		return -1
	}
	text := e.written(n)
	if e.trace.seen[text] {
		return -1
	}
	e.trace.seen[text] = true
	e.trace.operands = append(e.trace.operands, event.Operand{Text: text})
	return len(e.trace.operands) - 1
}

func (e *evaluation) traced(n node) (any, error) {
	at := e.reserve(n)
	v, err := n.eval(e)
	if at >= 0 {
		e.record(at, v, err)
	}
	return v, err
}

func (e *evaluation) record(at int, v any, err error) {
	o := &e.trace.operands[at]
	var missing *MissingError
	switch {
	case err == nil:
		o.Value = model(v)
	case errors.As(err, &missing):
		o.Missing = missing.Nearest
		if o.Missing == "" {
			o.Missing = missing.Path + " has no value"
		}
	default:
		o.Error = err.Error()
	}
}

func (e *evaluation) tracedMaybe(a absent) (any, *gap, error) {
	at := e.reserve(a)
	e.steps++
	v, g, err := a.maybe(e)
	if at >= 0 {
		if g != nil {
			e.record(at, nil, g.missing())
		} else {
			e.record(at, v, err)
		}
	}
	return v, g, err
}
