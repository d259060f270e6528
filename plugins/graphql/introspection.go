package graphql

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// introspectionQuery is the one of the reference implementation, without what
// only newer servers know.
const introspectionQuery = `query IntrospectionQuery {
  __schema {
    queryType { name }
    mutationType { name }
    subscriptionType { name }
    types { ...FullType }
    directives { name description locations args { ...InputValue } }
  }
}
fragment FullType on __Type {
  kind name description
  fields(includeDeprecated: true) { name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
  inputFields { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
fragment TypeRef on __Type {
  kind name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } }
}`

// description is a schema as an introspection gives it.
type description struct {
	QueryType        *typeRef          `json:"queryType"`
	MutationType     *typeRef          `json:"mutationType"`
	SubscriptionType *typeRef          `json:"subscriptionType"`
	Types            []describedType   `json:"types"`
	Directives       []describedMember `json:"directives"`
}

type describedType struct {
	Kind          string            `json:"kind"`
	Name          string            `json:"name"`
	Description   string            `json:"description"`
	Fields        []describedMember `json:"fields"`
	InputFields   []describedMember `json:"inputFields"`
	Interfaces    []typeRef         `json:"interfaces"`
	EnumValues    []describedMember `json:"enumValues"`
	PossibleTypes []typeRef         `json:"possibleTypes"`
}

// describedMember is a field, an argument, a value of an enum or a directive.
type describedMember struct {
	Name              string            `json:"name"`
	Description       string            `json:"description"`
	Args              []describedMember `json:"args"`
	Type              *typeRef          `json:"type"`
	DefaultValue      *string           `json:"defaultValue"`
	IsDeprecated      bool              `json:"isDeprecated"`
	DeprecationReason *string           `json:"deprecationReason"`
	Locations         []string          `json:"locations"`
	IsRepeatable      bool              `json:"isRepeatable"`
}

type typeRef struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	OfType *typeRef `json:"ofType"`
}

// String is the type as SDL writes it.
func (t *typeRef) String() string {
	switch {
	case t == nil:
		return "?" // no name: the parser refuses it with its place
	case t.Kind == "NON_NULL":
		return t.OfType.String() + "!"
	case t.Kind == "LIST":
		return "[" + t.OfType.String() + "]"
	}
	return t.Name
}

// readIntrospection takes the answer of a server, or its data.
func readIntrospection(text []byte) (*description, error) {
	var answer struct {
		Data struct {
			Schema *description `json:"__schema"`
		} `json:"data"`
		Schema *description `json:"__schema"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("read the introspection: %w", err)
	}
	d := answer.Schema
	if d == nil {
		d = answer.Data.Schema
	}
	if d == nil || d.QueryType == nil {
		return nil, errors.New("the JSON has no __schema with a queryType")
	}
	return d, nil
}

// own are the types that the schema itself makes.
func (d *description) own() []describedType {
	builtin := []string{"Int", "Float", "String", "Boolean", "ID"}
	return slices.DeleteFunc(slices.Clone(d.Types), func(t describedType) bool {
		return strings.HasPrefix(t.Name, "__") || slices.Contains(builtin, t.Name)
	})
}

// sdl writes the schema in its own language, in the order of the server.
func (d *description) sdl() string {
	var w sdlWriter
	w.WriteString("schema {\n")
	for _, root := range []struct {
		name string
		t    *typeRef
	}{{"query", d.QueryType}, {"mutation", d.MutationType}, {"subscription", d.SubscriptionType}} {
		if root.t != nil {
			fmt.Fprintf(&w, "  %s: %s\n", root.name, root.t.Name)
		}
	}
	w.WriteString("}\n")
	specified := []string{"skip", "include", "deprecated", "specifiedBy", "oneOf", "defer"}
	for _, directive := range d.Directives {
		if !slices.Contains(specified, directive.Name) {
			w.directive(directive)
		}
	}
	for _, t := range d.own() {
		w.definition(t)
	}
	return w.String()
}

type sdlWriter struct{ strings.Builder }

func (w *sdlWriter) describe(indent, text string) {
	if text == "" {
		return
	}
	// A block text keeps what is in it but three quotes, and the spaces at the
	// beginning of its lines.
	if strings.ContainsAny(text, "\n\"\\") && !strings.Contains(text, "\r") && strings.TrimSpace(text) == text {
		fmt.Fprintf(w, "%s\"\"\"\n", indent)
		for line := range strings.SplitSeq(strings.ReplaceAll(text, `"""`, `\"""`), "\n") {
			if line != "" {
				line = indent + line
			}
			w.WriteString(line + "\n")
		}
		fmt.Fprintf(w, "%s\"\"\"\n", indent)
		return
	}
	fmt.Fprintf(w, "%s%s\n", indent, quoted(text))
}

// quoted is a text as GraphQL writes it, which escapes like JSON does.
func quoted(text string) string {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a text has JSON, and a Builder takes it
	return strings.TrimSuffix(out.String(), "\n")
}

func (w *sdlWriter) directive(d describedMember) {
	w.WriteString("\n")
	w.describe("", d.Description)
	fmt.Fprintf(w, "directive @%s%s", d.Name, arguments(d.Args))
	if d.IsRepeatable {
		w.WriteString(" repeatable")
	}
	fmt.Fprintf(w, " on %s\n", strings.Join(d.Locations, " | "))
}

func (w *sdlWriter) definition(t describedType) {
	w.WriteString("\n")
	w.describe("", t.Description)
	keyword := map[string]string{
		"SCALAR": "scalar", "OBJECT": "type", "INTERFACE": "interface", "UNION": "union", "ENUM": "enum", "INPUT_OBJECT": "input",
	}[t.Kind]
	fmt.Fprintf(w, "%s %s", keyword, t.Name)
	if len(t.Interfaces) > 0 {
		w.WriteString(" implements " + names(t.Interfaces, " & "))
	}
	if len(t.PossibleTypes) > 0 && t.Kind == "UNION" {
		w.WriteString(" = " + names(t.PossibleTypes, " | "))
	}
	members := slices.Concat(t.Fields, t.InputFields, t.EnumValues)
	if len(members) > 0 {
		w.WriteString(" {\n")
		for _, m := range members {
			w.describe("  ", m.Description)
			fmt.Fprintf(w, "  %s%s\n", signature(m), deprecated(m))
		}
		w.WriteString("}")
	}
	w.WriteString("\n")
}

// signature is a field, an argument or an enum's value with its type.
func signature(m describedMember) string {
	out := m.Name + arguments(m.Args)
	if m.Type != nil {
		out += ": " + m.Type.String()
	}
	if m.DefaultValue != nil {
		out += " = " + *m.DefaultValue
	}
	return out
}

func arguments(args []describedMember) string {
	if len(args) == 0 {
		return ""
	}
	var w sdlWriter
	if slices.ContainsFunc(args, func(a describedMember) bool { return a.Description != "" }) {
		w.WriteString("(\n")
		for _, a := range args {
			w.describe("    ", a.Description)
			fmt.Fprintf(&w, "    %s%s\n", signature(a), deprecated(a))
		}
		w.WriteString("  )")
		return w.String()
	}
	var list []string
	for _, a := range args {
		list = append(list, signature(a)+deprecated(a))
	}
	return "(" + strings.Join(list, ", ") + ")"
}

func deprecated(m describedMember) string {
	switch {
	case !m.IsDeprecated:
		return ""
	case m.DeprecationReason == nil || *m.DeprecationReason == "No longer supported":
		return " @deprecated"
	}
	return " @deprecated(reason: " + quoted(*m.DeprecationReason) + ")"
}

func names(types []typeRef, separator string) string {
	var list []string
	for _, t := range types {
		list = append(list, t.Name)
	}
	return strings.Join(list, separator)
}
