package graphql

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// measure is how much an operation asks for.
type measure struct {
	// depth is how many fields stand in each other at most, and deepest are those.
	depth   int
	deepest []string
	// complexity is 1 for each field, times the sizes of the lists that it is in.
	complexity int
}

// codeAssert is the code of the language for a claim that does not hold.
const codeAssert = "E-ASSERT"

// maxMeasure is where complexity stops to count: more is a mistake anyway.
const maxMeasure = math.MaxInt32

// measurer measures what the fragments of a document hold once, since a short
// document can spread them a great many times.
type measurer struct {
	o         *operation
	fragments map[string]*measure // nil while it is measured: it spreads itself
}

// measure counts the operation.
func (o *operation) measure() (measure, error) {
	m := measurer{o: o, fragments: map[string]*measure{}}
	return m.set(o.SelectionSet)
}

// assert fails the step where the operation asks for more than it may.
func (r *request) assert(o *operation) error {
	if r.MaxDepth == 0 && r.MaxComplexity == 0 {
		return nil
	}
	m, err := o.measure()
	if err != nil {
		return err
	}
	var e *plugin.Error
	switch {
	case r.MaxDepth > 0 && m.depth > r.MaxDepth:
		e = plugin.Failf("the query is %d fields deep, and max_depth allows %d", m.depth, r.MaxDepth)
	case r.MaxComplexity > 0 && m.complexity > r.MaxComplexity:
		e = plugin.Failf("the complexity of the query is %s, and max_complexity allows %d", count(m.complexity), r.MaxComplexity)
	default:
		return nil
	}
	e.Code = codeAssert
	return e.WithDetails("deepest: "+strings.Join(m.deepest, "."), "depth: "+strconv.Itoa(m.depth), "complexity: "+count(m.complexity)).
		WithHint("nothing was sent")
}

func count(n int) string {
	if n >= maxMeasure {
		return "over " + strconv.Itoa(maxMeasure-1)
	}
	return strconv.Itoa(n)
}

// set measures selections: the deepest counts for the depth, all of them for the
// complexity.
func (m *measurer) set(selections ast.SelectionSet) (measure, error) {
	var total measure
	for _, selection := range selections {
		one, err := m.selection(selection)
		if err != nil {
			return measure{}, err
		}
		if one.depth > total.depth {
			total.depth, total.deepest = one.depth, one.deepest
		}
		total.complexity = min(total.complexity+one.complexity, maxMeasure)
	}
	return total, nil
}

func (m *measurer) selection(selection ast.Selection) (measure, error) {
	switch s := selection.(type) {
	case *ast.Field:
		if s.Name == "__typename" || m.left(s.Directives) {
			return measure{}, nil // __typename costs a server nothing
		}
		inner, err := m.set(s.SelectionSet)
		if err != nil {
			return measure{}, err
		}
		name := s.Name
		if s.Alias != s.Name {
			name = s.Alias + ": " + s.Name
		}
		return measure{
			depth: inner.depth + 1, deepest: append([]string{name}, inner.deepest...),
			complexity: min(1+m.times(s.Arguments)*inner.complexity, maxMeasure),
		}, nil
	case *ast.InlineFragment:
		if m.left(s.Directives) {
			return measure{}, nil
		}
		return m.set(s.SelectionSet)
	case *ast.FragmentSpread:
		if m.left(s.Directives) {
			return measure{}, nil
		}
		return m.fragment(s)
	}
	return measure{}, nil
}

func (m *measurer) fragment(s *ast.FragmentSpread) (measure, error) {
	known, met := m.fragments[s.Name]
	definition := m.o.document.Fragments.ForName(s.Name)
	switch {
	case known != nil:
		return *known, nil
	case met:
		return measure{}, plugin.Definitionf(m.o.field(), "%d:%d: the fragment %s spreads itself", s.Position.Line, s.Position.Column, s.Name)
	case definition == nil:
		return measure{}, plugin.Definitionf(m.o.field(), "%d:%d: there is no fragment %s", s.Position.Line, s.Position.Column, s.Name)
	}
	m.fragments[s.Name] = nil
	measured, err := m.set(definition.SelectionSet)
	m.fragments[s.Name] = &measured
	return measured, err
}

// times is how many elements a field asks for: its first, last or limit, the
// largest of them. Without one it is 1.
func (m *measurer) times(args ast.ArgumentList) int {
	most := 1
	for _, arg := range args {
		if slices.Contains([]string{"first", "last", "limit"}, arg.Name) {
			n, err := strconv.Atoi(m.value(arg.Value))
			if err == nil {
				most = max(most, min(n, maxMeasure))
			}
		}
	}
	return most
}

// left tells whether @skip or @include leaves a selection out.
func (m *measurer) left(directives ast.DirectiveList) bool {
	for _, d := range directives {
		if condition := d.Arguments.ForName("if"); condition != nil {
			value := m.value(condition.Value)
			if d.Name == "skip" && value == "true" || d.Name == "include" && value == "false" {
				return true
			}
		}
	}
	return false
}

// value is what a number, true or false is, also where a variable holds it.
func (m *measurer) value(v *ast.Value) string {
	if v.Kind != ast.Variable {
		return v.Raw
	}
	if given, ok := m.o.variables[v.Raw]; ok {
		return string(given)
	}
	if declared := m.o.VariableDefinitions.ForName(v.Raw); declared != nil && declared.DefaultValue != nil {
		return declared.DefaultValue.Raw
	}
	return ""
}
