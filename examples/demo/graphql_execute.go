package demo

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// maxGraphFields bounds the fields of one answer: fragments that name each other
// twice make a long answer of a short query.
const maxGraphFields = 100_000

// graph is the schema with what answers its fields, "Query.products".
type graph struct {
	schema    *ast.Schema
	resolvers map[string]resolver
}

// resolver gives the value of a field of source: what JSON has, a list as []any,
// or a source of its own where the field's type has fields.
type resolver func(x *execution, source any, args arguments) (any, error)

// of answers a field from its source alone.
func of[S any](get func(S) any) resolver {
	return func(_ *execution, source any, _ arguments) (any, error) { return get(source.(S)), nil }
}

// graphError is an entry of errors, as section 7.1.2 of the specification has it.
type graphError struct {
	Message    string         `json:"message"`
	Locations  []place        `json:"locations,omitempty"`
	Path       []any          `json:"path,omitempty"`
	Extensions map[string]any `json:"extensions,omitempty"`
}

type place struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

func at(position *ast.Position) []place {
	if position == nil {
		return nil
	}
	return []place{{position.Line, position.Column}}
}

// execution is one operation under way.
type execution struct {
	graph     *graph
	call      *call
	document  *ast.QueryDocument
	variables map[string]any
	closed    bool // no introspection
	errors    []graphError
	fields    int
}

// errTooLarge ends an execution whose answer would be over its bound.
var errTooLarge = &graphProblem{fmt.Sprintf("the answer has more than %d fields", maxGraphFields), map[string]any{"code": "TOO_LARGE"}}

// record is an object whose keys keep the order of the query.
type record []member

type member struct {
	key   string
	value any
}

// MarshalJSON writes the keys in their order.
func (r record) MarshalJSON() ([]byte, error) {
	var out strings.Builder
	out.WriteByte('{')
	for i, m := range r {
		key, err := encode(m.key)
		if err != nil {
			return nil, err
		}
		value, err := encode(m.value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%s:%s", key[:len(key)-1], value[:len(value)-1])
	}
	out.WriteByte('}')
	return []byte(out.String()), nil
}

// run executes an operation whose root value is given; data is null where an
// error has come all the way up.
func (x *execution) run(operation *ast.OperationDefinition, root any) (data any) {
	types := map[ast.Operation]*ast.Definition{
		ast.Query: x.graph.schema.Query, ast.Mutation: x.graph.schema.Mutation, ast.Subscription: x.graph.schema.Subscription,
	}
	object, ok := x.object(types[operation.Operation], root, []ast.SelectionSet{operation.SelectionSet}, nil)
	if !ok {
		return nil
	}
	return object
}

// asked is what one response key asks for: several fields of one name are merged.
type asked struct {
	key    string
	fields []*ast.Field
}

// collect lists what the selections ask of an object of this type (section 6.3.2).
func (x *execution) collect(object *ast.Definition, sets []ast.SelectionSet) []*asked {
	var list []*asked
	byKey := map[string]*asked{}
	seen := map[string]bool{}
	var take func(set ast.SelectionSet)
	take = func(set ast.SelectionSet) {
		for _, selection := range set {
			switch s := selection.(type) {
			case *ast.Field:
				if x.left(s.Directives) {
					continue
				}
				if byKey[s.Alias] == nil {
					byKey[s.Alias] = &asked{key: s.Alias}
					list = append(list, byKey[s.Alias])
				}
				byKey[s.Alias].fields = append(byKey[s.Alias].fields, s)
			case *ast.InlineFragment:
				if !x.left(s.Directives) && x.fits(object, s.TypeCondition) {
					take(s.SelectionSet)
				}
			case *ast.FragmentSpread:
				if fragment := x.document.Fragments.ForName(s.Name); !seen[s.Name] && !x.left(s.Directives) && x.fits(object, fragment.TypeCondition) {
					seen[s.Name] = true
					take(fragment.SelectionSet)
				}
			}
		}
	}
	for _, set := range sets {
		take(set)
	}
	return list
}

// left tells whether @skip or @include leaves a selection out.
func (x *execution) left(directives ast.DirectiveList) bool {
	holds := func(name string) bool {
		directive := directives.ForName(name)
		value, _ := plain(directive.Arguments.ForName("if").Value, x.variables)
		return value == true
	}
	return directives.ForName("skip") != nil && holds("skip") || directives.ForName("include") != nil && !holds("include")
}

// fits tells whether a fragment on a type is about an object of another.
func (x *execution) fits(object *ast.Definition, condition string) bool {
	if condition == "" || condition == object.Name {
		return true
	}
	for _, possible := range x.graph.schema.PossibleTypes[condition] {
		if possible.Name == object.Name {
			return true
		}
	}
	return false
}

// object answers the selections on one object. It is false where an error of a
// field that must not be null takes the object with it.
func (x *execution) object(object *ast.Definition, source any, sets []ast.SelectionSet, path []any) (record, bool) {
	out := record{}
	for _, a := range x.collect(object, sets) {
		if x.isTooLarge() {
			return nil, false
		}
		value, ok := x.field(object, source, a, append(path[:len(path):len(path)], a.key))
		if !ok {
			return nil, false
		}
		out = append(out, member{a.key, value})
	}
	return out, true
}

// field answers one response key.
func (x *execution) field(object *ast.Definition, source any, a *asked, path []any) (any, bool) {
	first := a.fields[0]
	if first.Name == "__typename" {
		return object.Name, true
	}
	definition := object.Fields.ForName(first.Name)
	value, err := x.resolve(object, definition, source, first)
	if err != nil {
		x.fail(first, path, err)
		return nil, !definition.Type.NonNull
	}
	return x.complete(definition.Type, value, a, object.Name+"."+first.Name, path)
}

func (x *execution) resolve(object *ast.Definition, definition *ast.FieldDefinition, source any, field *ast.Field) (any, error) {
	if x.fields++; x.isTooLarge() {
		return nil, errTooLarge
	}
	if x.closed && strings.HasPrefix(field.Name, "__") {
		return nil, refuseGraph("INTROSPECTION_DISABLED", "introspection is switched off here")
	}
	args, err := x.arguments(definition.Arguments, field.Arguments)
	if err != nil {
		return nil, err
	}
	resolve := x.graph.resolvers[object.Name+"."+field.Name]
	if resolve == nil {
		return nil, fmt.Errorf("%s.%s is not implemented", object.Name, field.Name)
	}
	return resolve(x, source, args)
}

// complete makes a field's value what its type says (section 6.4.3). It is false
// where null must not stand, which the caller hands up to the next place that
// may be null.
func (x *execution) complete(t *ast.Type, value any, a *asked, name string, path []any) (any, bool) {
	if t.NonNull {
		nullable := *t
		nullable.NonNull = false
		done, ok := x.complete(&nullable, value, a, name, path)
		if ok && done == nil {
			if value == nil {
				x.fail(a.fields[0], path, fmt.Errorf("null is not allowed for %s", name))
			}
			return nil, false
		}
		return done, ok
	}
	if value == nil {
		return nil, true
	}
	if t.Elem != nil {
		list := []any{}
		for i, element := range value.([]any) {
			done, ok := x.complete(t.Elem, element, a, name, append(path[:len(path):len(path)], i))
			if !ok {
				return nil, true // null takes the place of the list
			}
			list = append(list, done)
		}
		return list, true
	}
	definition := x.graph.schema.Types[t.NamedType]
	if definition.IsLeafType() {
		return value, true
	}
	if definition.IsAbstractType() {
		definition = x.graph.schema.Types[typeOf(value)]
	}
	var sets []ast.SelectionSet
	for _, field := range a.fields {
		sets = append(sets, field.SelectionSet)
	}
	object, ok := x.object(definition, value, sets, path)
	if !ok {
		return nil, true // null takes the place of the object
	}
	return object, true
}

// typeOf is the type of an object that stands for an interface or union.
func typeOf(source any) string {
	switch source.(type) {
	case user:
		return "User"
	case order:
		return "Order"
	}
	return "Product"
}

// graphProblem is a resolver's error with a code.
type graphProblem struct {
	message    string
	extensions map[string]any
}

func (p *graphProblem) Error() string { return p.message }

func refuseGraph(code, format string, args ...any) error {
	return &graphProblem{fmt.Sprintf(format, args...), map[string]any{"code": code}}
}

// fail notes an error of a field.
func (x *execution) fail(field *ast.Field, path []any, err error) {
	made := graphError{Message: err.Error(), Locations: at(field.Position), Path: path}
	var known *graphProblem
	var rest *problem
	switch {
	case errors.As(err, &known):
		made.Extensions = known.extensions
	case errors.As(err, &rest):
		made.Extensions = map[string]any{"code": strings.ToUpper(rest.Code)}
		if len(rest.Fields) > 0 {
			made.Extensions["fields"] = rest.Fields
		}
	}
	x.errors = append(x.errors, made)
}

// isTooLarge tells whether the answer went over its bound.
func (x *execution) isTooLarge() bool { return x.fields > maxGraphFields }
