package demo

import (
	"cmp"
	"maps"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
)

// introspectionResolvers answer __schema and __type (section 4 of the
// specification): the schema is the source.
func introspectionResolvers() map[string]resolver {
	all := map[string]resolver{
		"Query.__schema": func(x *execution, _ any, _ arguments) (any, error) { return x.graph.schema, nil },
		"Query.__type": func(x *execution, _ any, args arguments) (any, error) {
			if x.graph.schema.Types[args.text("name")] == nil {
				return nil, nil
			}
			return ast.NamedType(args.text("name"), nil), nil
		},
		"__Schema.description":      of(func(s *ast.Schema) any { return textOrNull(s.Description) }),
		"__Schema.queryType":        of(func(s *ast.Schema) any { return named(s.Query) }),
		"__Schema.mutationType":     of(func(s *ast.Schema) any { return named(s.Mutation) }),
		"__Schema.subscriptionType": of(func(s *ast.Schema) any { return named(s.Subscription) }),
		"__Schema.types": of(func(s *ast.Schema) any {
			var types []any
			for _, name := range slices.Sorted(maps.Keys(s.Types)) {
				types = append(types, named(s.Types[name]))
			}
			return types
		}),
		"__Schema.directives": of(func(s *ast.Schema) any {
			var directives []any
			for _, name := range []string{"deprecated", "include", "skip", "specifiedBy"} { // those that have an effect here
				directives = append(directives, s.Directives[name])
			}
			return directives
		}),
		"__Directive.name":         of(func(d *ast.DirectiveDefinition) any { return d.Name }),
		"__Directive.description":  of(func(d *ast.DirectiveDefinition) any { return textOrNull(d.Description) }),
		"__Directive.isRepeatable": of(func(d *ast.DirectiveDefinition) any { return d.IsRepeatable }),
		"__Directive.locations": of(func(d *ast.DirectiveDefinition) any {
			var locations []any
			for _, l := range d.Locations {
				locations = append(locations, string(l))
			}
			return locations
		}),
		"__Directive.args":              of(func(d *ast.DirectiveDefinition) any { return listOf(d.Arguments) }),
		"__EnumValue.name":              of(func(v *ast.EnumValueDefinition) any { return v.Name }),
		"__EnumValue.description":       of(func(v *ast.EnumValueDefinition) any { return textOrNull(v.Description) }),
		"__EnumValue.isDeprecated":      of(func(v *ast.EnumValueDefinition) any { return deprecation(v.Directives) != nil }),
		"__EnumValue.deprecationReason": of(func(v *ast.EnumValueDefinition) any { return deprecation(v.Directives) }),
		"__Field.name":                  of(func(f *ast.FieldDefinition) any { return f.Name }),
		"__Field.description":           of(func(f *ast.FieldDefinition) any { return textOrNull(f.Description) }),
		"__Field.args":                  of(func(f *ast.FieldDefinition) any { return listOf(f.Arguments) }),
		"__Field.type":                  of(func(f *ast.FieldDefinition) any { return f.Type }),
		"__Field.isDeprecated":          of(func(f *ast.FieldDefinition) any { return deprecation(f.Directives) != nil }),
		"__Field.deprecationReason":     of(func(f *ast.FieldDefinition) any { return deprecation(f.Directives) }),
		"__InputValue.name":             of(func(v *ast.ArgumentDefinition) any { return v.Name }),
		"__InputValue.description":      of(func(v *ast.ArgumentDefinition) any { return textOrNull(v.Description) }),
		"__InputValue.type":             of(func(v *ast.ArgumentDefinition) any { return v.Type }),
		"__InputValue.defaultValue": of(func(v *ast.ArgumentDefinition) any {
			if v.DefaultValue == nil {
				return nil
			}
			return v.DefaultValue.String()
		}),
		"__InputValue.isDeprecated":      of(func(v *ast.ArgumentDefinition) any { return deprecation(v.Directives) != nil }),
		"__InputValue.deprecationReason": of(func(v *ast.ArgumentDefinition) any { return deprecation(v.Directives) }),
	}
	maps.Copy(all, typeResolvers())
	return all
}

// typeResolvers answer __Type, whose source is a type as a field has it: a list,
// a non-null one, or the name of a definition.
func typeResolvers() map[string]resolver {
	// definition answers from the definition of a named type, and null for a
	// wrapper.
	definition := func(get func(*execution, *ast.Definition, arguments) any) resolver {
		return func(x *execution, source any, args arguments) (any, error) {
			if t := source.(*ast.Type); !t.NonNull && t.Elem == nil {
				return get(x, x.graph.schema.Types[t.NamedType], args), nil
			}
			return nil, nil
		}
	}
	return map[string]resolver{
		"__Type.kind": func(x *execution, source any, _ arguments) (any, error) {
			switch t := source.(*ast.Type); {
			case t.NonNull:
				return "NON_NULL", nil
			case t.Elem != nil:
				return "LIST", nil
			default:
				return string(x.graph.schema.Types[t.NamedType].Kind), nil
			}
		},
		"__Type.ofType": of(func(t *ast.Type) any {
			switch {
			case t.NonNull:
				return &ast.Type{NamedType: t.NamedType, Elem: t.Elem}
			case t.Elem != nil:
				return t.Elem
			}
			return nil
		}),
		"__Type.name":           definition(func(_ *execution, d *ast.Definition, _ arguments) any { return d.Name }),
		"__Type.description":    definition(func(_ *execution, d *ast.Definition, _ arguments) any { return textOrNull(d.Description) }),
		"__Type.specifiedByURL": definition(func(*execution, *ast.Definition, arguments) any { return nil }),
		"__Type.isOneOf":        definition(func(*execution, *ast.Definition, arguments) any { return false }),
		"__Type.fields": definition(func(_ *execution, d *ast.Definition, args arguments) any {
			if d.Kind != ast.Object && d.Kind != ast.Interface {
				return nil
			}
			fields := []any{}
			for _, f := range d.Fields {
				if f.Name[:2] != "__" && (args["includeDeprecated"] == true || deprecation(f.Directives) == nil) {
					fields = append(fields, f)
				}
			}
			return fields
		}),
		"__Type.interfaces": definition(func(_ *execution, d *ast.Definition, _ arguments) any {
			if d.Kind != ast.Object && d.Kind != ast.Interface {
				return nil
			}
			interfaces := []any{}
			for _, name := range d.Interfaces {
				interfaces = append(interfaces, ast.NamedType(name, nil))
			}
			return interfaces
		}),
		"__Type.possibleTypes": definition(func(x *execution, d *ast.Definition, _ arguments) any {
			if !d.IsAbstractType() {
				return nil
			}
			possible := slices.Clone(x.graph.schema.PossibleTypes[d.Name])
			slices.SortFunc(possible, func(a, b *ast.Definition) int { return cmp.Compare(a.Name, b.Name) }) // the parser has them in any order
			var types []any
			for _, p := range possible {
				types = append(types, named(p))
			}
			return types
		}),
		"__Type.enumValues": definition(func(_ *execution, d *ast.Definition, _ arguments) any {
			if d.Kind != ast.Enum {
				return nil
			}
			return listOf(d.EnumValues)
		}),
		"__Type.inputFields": definition(func(_ *execution, d *ast.Definition, _ arguments) any {
			if d.Kind != ast.InputObject {
				return nil
			}
			var fields []any
			for _, f := range d.Fields {
				fields = append(fields, &ast.ArgumentDefinition{
					Name: f.Name, Description: f.Description, Type: f.Type, DefaultValue: f.DefaultValue, Directives: f.Directives,
				})
			}
			return fields
		}),
	}
}

// named is the type of a definition, null where there is none.
func named(d *ast.Definition) any {
	if d == nil {
		return nil
	}
	return ast.NamedType(d.Name, nil)
}

func textOrNull(s string) any { return cmp.Or[any](s, nil) }

// deprecation is the reason, nil where something is not deprecated.
func deprecation(directives ast.DirectiveList) any {
	d := directives.ForName("deprecated")
	if d == nil {
		return nil
	}
	if reason := d.Arguments.ForName("reason"); reason != nil {
		return reason.Value.Raw
	}
	return "No longer supported"
}
