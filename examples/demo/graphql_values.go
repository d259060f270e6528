package demo

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// arguments are those of a field by name, coerced; one that was neither given
// nor has a default is not there.
type arguments map[string]any

func (a arguments) text(name string) string {
	text, _ := a[name].(string)
	return text
}

// whole reads an Int between low and high.
func (a arguments) whole(name string, low, high int64) (int, error) {
	n, _ := a[name].(int64)
	if n < low || n > high {
		return 0, refuseGraph("BAD_USER_INPUT", "%s must be from %d to %d, is %d", name, low, high, n)
	}
	return int(n), nil
}

// object is an argument of an input type.
func (a arguments) object(name string) arguments {
	object, _ := a[name].(map[string]any)
	return object
}

// arguments are those of a field (section 6.4.1).
func (x *execution) arguments(definitions ast.ArgumentDefinitionList, given ast.ArgumentList) (arguments, error) {
	args := arguments{}
	for _, definition := range definitions {
		value, set := any(nil), false
		if argument := given.ForName(definition.Name); argument != nil {
			value, set = plain(argument.Value, x.variables)
		}
		if !set && definition.DefaultValue != nil {
			value, set = plain(definition.DefaultValue, nil)
		}
		if !set {
			continue
		}
		coerced, err := x.graph.coerce(definition.Type, value, definition.Name)
		if err != nil {
			return nil, refuseGraph("BAD_USER_INPUT", "argument %s", err)
		}
		args[definition.Name] = coerced
	}
	return args, nil
}

// plain is a literal as JSON would have it, with variables in their place; it is
// false for a variable that was left out.
func plain(v *ast.Value, variables map[string]any) (any, bool) {
	switch v.Kind {
	case ast.Variable:
		value, set := variables[v.Raw]
		return value, set
	case ast.IntValue, ast.FloatValue:
		return json.Number(v.Raw), true
	case ast.BooleanValue:
		return v.Raw == "true", true
	case ast.NullValue:
		return nil, true
	case ast.ListValue:
		list := []any{}
		for _, child := range v.Children {
			element, _ := plain(child.Value, variables) // a variable that was left out is null in a list
			list = append(list, element)
		}
		return list, true
	case ast.ObjectValue:
		object := map[string]any{}
		for _, child := range v.Children {
			if field, set := plain(child.Value, variables); set {
				object[child.Name] = field
			}
		}
		return object, true
	}
	return v.Raw, true // a text or the name of an enum
}

// coerceVariables makes what the request sent what the operation declares
// (section 6.1.2).
func (g *graph) coerceVariables(operation *ast.OperationDefinition, sent map[string]any) (map[string]any, *graphError) {
	variables := map[string]any{}
	for _, declared := range operation.VariableDefinitions {
		value, set := sent[declared.Variable]
		if !set && declared.DefaultValue != nil {
			value, set = plain(declared.DefaultValue, nil)
		}
		if !set && !declared.Type.NonNull {
			continue
		}
		var err error
		if !set {
			err = fmt.Errorf("%s of type %s was not given", declared.Variable, declared.Type)
		} else {
			variables[declared.Variable], err = g.coerce(declared.Type, value, declared.Variable)
		}
		if err != nil {
			return nil, &graphError{
				Message: "variable $" + err.Error(), Locations: at(declared.Position), Extensions: map[string]any{"code": "BAD_USER_INPUT"},
			}
		}
	}
	return variables, nil
}

// coerce makes an input value one of its type (section 3): name is where it
// stands, for errors. What was coerced already stays as it is.
func (g *graph) coerce(t *ast.Type, value any, name string) (any, error) {
	if value == nil {
		if t.NonNull {
			return nil, fmt.Errorf("%s of type %s must not be null", name, t)
		}
		return nil, nil
	}
	if t.Elem != nil {
		list, isList := value.([]any)
		if !isList {
			list = []any{value} // section 3.11
		}
		out := make([]any, 0, len(list))
		for i, element := range list {
			coerced, err := g.coerce(t.Elem, element, fmt.Sprintf("%s[%d]", name, i))
			if err != nil {
				return nil, err
			}
			out = append(out, coerced)
		}
		return out, nil
	}
	definition := g.schema.Types[t.NamedType]
	switch definition.Kind {
	case ast.Enum:
		text, isText := value.(string)
		if !isText || definition.EnumValues.ForName(text) == nil {
			return nil, fmt.Errorf("%s: %v is no %s", name, value, t.NamedType)
		}
		return text, nil
	case ast.InputObject:
		return g.coerceObject(definition, value, name)
	}
	coerced, ok := coerceScalar(t.NamedType, value)
	if !ok {
		return nil, fmt.Errorf("%s: %s is no %s", name, shown(value), t.NamedType)
	}
	return coerced, nil
}

func (g *graph) coerceObject(definition *ast.Definition, value any, name string) (any, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: %s is no %s", name, shown(value), definition.Name)
	}
	for _, key := range sortedKeys(object) {
		if definition.Fields.ForName(key) == nil {
			return nil, fmt.Errorf("%s: %s has no field %s", name, definition.Name, key)
		}
	}
	out := map[string]any{}
	for _, field := range definition.Fields {
		value, set := object[field.Name]
		if !set && field.DefaultValue != nil {
			value, set = plain(field.DefaultValue, nil)
		}
		if !set && !field.Type.NonNull {
			continue
		}
		coerced, err := g.coerce(field.Type, value, name+"."+field.Name)
		if err != nil {
			return nil, err
		}
		out[field.Name] = coerced
	}
	return out, nil
}

// coerceScalar reads a value as a scalar of the schema.
func coerceScalar(scalar string, value any) (any, bool) {
	number, isNumber := value.(json.Number)
	switch scalar {
	case "Int":
		n, err := strconv.ParseInt(number.String(), 10, 32)
		if known, ok := value.(int64); ok {
			return known, true
		}
		return n, isNumber && err == nil
	case "Float":
		f, err := number.Float64()
		if known, ok := value.(float64); ok {
			return known, true
		}
		return f, isNumber && err == nil && !math.IsInf(f, 0)
	case "Decimal", "Long":
		return value, isNumber
	case "Boolean":
		_, ok := value.(bool)
		return value, ok
	case "ID":
		if isNumber {
			_, err := number.Int64()
			return number.String(), err == nil
		}
	}
	_, ok := value.(string)
	return value, ok
}

// shown is a value in a message.
func shown(value any) string {
	text, err := encode(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return fmt.Sprintf("%.60s", text[:len(text)-1])
}

// listOf is a list as resolvers give it.
func listOf[T any](all []T) []any {
	out := make([]any, len(all))
	for i, one := range all {
		out[i] = one
	}
	return out
}

// first cuts a list.
func first[T any](all []T, n int) []T { return slices.Clone(all[:min(n, len(all))]) }

// orNull is what a pointer points at.
func orNull[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}
