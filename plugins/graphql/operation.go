package graphql

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxQuery bounds a query that is read from a file.
	maxQuery = 1 << 20
	// maxFindings bounds the mistakes of a query that are listed.
	maxFindings = 10
)

// request is what is asked of a server, and what must hold of it before.
type request struct {
	Query         string                     `json:"query,omitempty" doc:"The query: a GraphQL document."`
	QueryFile     plugin.File                `json:"query_file,omitempty" doc:"A file with the query, relative to the flow."`
	OperationName string                     `json:"operation_name,omitempty" doc:"Which operation of the document is executed, where there are several."`
	Variables     map[string]json.RawMessage `json:"variables,omitempty" doc:"Variables of the operation; numbers are sent as they are written."`
	Schema        plugin.File                `json:"schema,omitempty" doc:"A file with the schema, as SDL or the JSON of an introspection: the query is checked against it before it is sent."`
	Introspect    bool                       `json:"introspect,omitempty" doc:"Whether the server is asked for the schema, once a run, in place of a file."`
	MaxDepth      int                        `json:"max_depth,omitempty" doc:"How deep the fields of the operation may be nested; if they are deeper the step fails, and nothing is sent." min:"1"`
	MaxComplexity int                        `json:"max_complexity,omitempty" doc:"How complex the operation may be: each field counts 1, times the first, last or limit of the lists that it is in. If it is more the step fails, and nothing is sent." min:"1"`
}

// operation is a request that was read: the document and what of it is executed.
type operation struct {
	text     string
	file     plugin.File // where text comes from; empty: the config
	document *ast.QueryDocument
	*ast.OperationDefinition
	variables map[string]json.RawMessage
	schema    *schema // nil: none is known
}

// field is the config key that mistakes are reported at.
func (o *operation) field() string {
	if o.file != "" {
		return "query_file"
	}
	return "query"
}

// read parses the document and finds the operation.
func (r *request) read(call *plugin.Call) (*operation, error) {
	o := &operation{text: r.Query, file: r.QueryFile, variables: r.Variables}
	switch {
	case r.Query != "" && r.QueryFile != "":
		return nil, plugin.Definitionf("query_file", "is given beside query: keep one of them")
	case r.QueryFile != "":
		data, err := call.ReadFile(r.QueryFile, maxQuery)
		if err != nil {
			return nil, err
		}
		o.text = string(data)
	case r.Query == "":
		return nil, plugin.Definitionf("query", "is missing").WithHint("give a query, or a file with one as query_file")
	}
	if r.Schema != "" && r.Introspect {
		return nil, plugin.Definitionf("introspect", "is given beside schema: keep one of them")
	}
	document, err := parser.ParseQuery(&ast.Source{Input: o.text})
	if err != nil {
		return nil, o.mistakes(err)
	}
	o.document = document
	if err := o.choose(r.OperationName); err != nil {
		return nil, err
	}
	for name := range o.variables { // a server would leave a misspelt one out, and say nothing
		if o.VariableDefinitions.ForName(name) == nil {
			return nil, plugin.Definitionf("variables."+name, "the operation declares no variable $%s", name).
				WithHint("it declares %s", declared(o.VariableDefinitions))
		}
	}
	return o, nil
}

// choose finds the operation of that name, or the only one.
func (o *operation) choose(name string) error {
	all := o.document.Operations
	if len(all) == 0 {
		return plugin.Definitionf(o.field(), "has no operation, only fragments")
	}
	var names []string
	for _, other := range all {
		if other.Name == name {
			o.OperationDefinition = other
		}
		names = append(names, other.Name)
	}
	switch {
	case name == "" && len(all) == 1:
		o.OperationDefinition = all[0]
	case name == "":
		return plugin.Definitionf("operation_name", "is missing: the document has the operations %s", strings.Join(names, ", "))
	case o.OperationDefinition == nil:
		return plugin.Definitionf("operation_name", "there is no operation %q in the document, which has %s", name, strings.Join(names, ", "))
	}
	return nil
}

// validate finds what the schema does not have or allow. It changes the document:
// its fields know their definitions afterwards.
func (o *operation) validate(s *schema) error {
	o.schema = s
	if found := validator.ValidateWithRules(s.Schema, o.document, nil); len(found) > 0 {
		return o.mistakes(found)
	}
	values := make(map[string]any, len(o.variables))
	for name, raw := range o.variables {
		value, err := decode(raw)
		if err != nil {
			return plugin.Definitionf("variables."+name, "cannot be read: %w", err)
		}
		values[name] = value
	}
	_, err := validator.VariableValues(s.Schema, o.OperationDefinition, values)
	var wrong *gqlerror.Error
	if errors.As(err, &wrong) {
		at := strings.TrimPrefix(wrong.Path.String(), "variable.")
		name, _, _ := strings.Cut(strings.ReplaceAll(at, "[", "."), ".")
		return plugin.Definitionf("variables."+at, "%s", wrong.Message).
			WithHint("$%s is a %s in the operation", name, o.VariableDefinitions.ForName(name).Type)
	}
	return err
}

func declared(all ast.VariableDefinitionList) string {
	if len(all) == 0 {
		return "none"
	}
	var names []string
	for _, v := range all {
		names = append(names, "$"+v.Variable)
	}
	return strings.Join(names, ", ")
}

// decode reads JSON with numbers as they are written.
func decode(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	return v, d.Decode(&v)
}

// mistakes are what the parser or the validation found, each with its place in
// the query.
func (o *operation) mistakes(err error) *plugin.Error {
	var list gqlerror.List
	var single *gqlerror.Error
	if !errors.As(err, &list) && errors.As(err, &single) {
		list = gqlerror.List{single}
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *gqlerror.Error) int { return line(a) - line(b) })
	e := plugin.Definitionf(o.field(), "%s", o.mistake(list[0]))
	for i, one := range list {
		if i == maxFindings {
			e = e.WithDetails(fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		if i > 0 {
			e = e.WithDetails(o.mistake(one))
		}
		e = e.WithDetails(o.excerpt(one)...)
	}
	return e
}

func line(e *gqlerror.Error) int {
	if len(e.Locations) == 0 {
		return 0
	}
	return e.Locations[0].Line
}

// mistake is one sentence with its place: 3:5 for the query, shop.graphql:3:5 for
// a file.
func (o *operation) mistake(e *gqlerror.Error) string {
	message := strings.TrimSuffix(o.suggest(e.Message), ".")
	if len(e.Locations) == 0 {
		return message
	}
	at := fmt.Sprintf("%d:%d", e.Locations[0].Line, e.Locations[0].Column)
	if o.file != "" {
		at = string(o.file) + ":" + at
	}
	return at + ": " + message
}

// suggest adds the nearest name where the validation has none, and its order is
// that of a map.
func (o *operation) suggest(message string) string {
	for kind, names := range map[string]func() []string{
		"type": func() []string { return slices.Collect(maps.Keys(o.schema.Types)) },
		"fragment": func() []string {
			var names []string
			for _, f := range o.document.Fragments {
				names = append(names, f.Name)
			}
			return names
		},
	} {
		rest, is := strings.CutPrefix(message, "Unknown "+kind+` "`)
		if !is || o.schema == nil {
			continue
		}
		name, _, _ := strings.Cut(rest, `"`)
		all := names()
		slices.Sort(all)
		message = fmt.Sprintf("Unknown %s %q.", kind, name)
		if near := core.SuggestionList(name, all); len(near) > 0 {
			message += " Did you mean " + core.QuotedOrList(near[:min(len(near), maxSuggested)]...) + "?"
		}
	}
	return message
}

// maxSuggested bounds the names that a message proposes.
const maxSuggested = 3

// maxExcerpt bounds the columns of a line that is shown.
const maxExcerpt = 120

// excerpt is the line of a mistake with a mark below it.
func (o *operation) excerpt(e *gqlerror.Error) []string {
	if len(e.Locations) == 0 {
		return nil
	}
	at := e.Locations[0]
	lines := strings.Split(o.text, "\n")
	if at.Line < 1 || at.Line > len(lines) {
		return nil
	}
	text := []rune(strings.ReplaceAll(strings.TrimSuffix(lines[at.Line-1], "\r"), "\t", " "))
	column := min(max(at.Column-1, 0), len(text))
	width := 0
	for column+width < len(text) && isName(text[column+width]) {
		width++
	}
	if from := column - maxExcerpt/2; len(text) > maxExcerpt && from > 0 { // a query in one long line
		text, column = text[from:], column-from
	}
	number := fmt.Sprintf("%4d", at.Line)
	return []string{
		number + " │ " + string(text[:min(len(text), maxExcerpt)]),
		strings.Repeat(" ", len(number)) + " │ " + strings.Repeat(" ", column) + strings.Repeat("^", max(width, 1)),
	}
}

func isName(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
