package schema

import (
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// form is what the value of a keyword looks like. It drives the checks of a
// schema, the search for subschemas and the metaschemas.
type form int

const (
	anyForm form = iota
	textForm
	anchorForm
	flagForm
	flagsForm // a map of flags
	numberForm
	positiveForm
	countForm
	patternForm
	listForm
	enumForm
	namesForm    // a list of different strings
	namesMapForm // a map of namesForm
	typesForm
	schemaForm
	schemaListForm
	schemaMapForm
	patternMapForm   // a map of schemas by pattern
	itemsForm        // a schema or a list of them
	dependenciesForm // a map of schemas or namesForm
)

// problem says what is wrong with raw, or "". Subschemas are not looked into.
func (f form) problem(raw any, d Draft) string {
	switch f {
	case textForm, patternForm:
		if _, ok := raw.(string); !ok {
			return "want a string"
		}
	case anchorForm:
		if s, ok := raw.(string); !ok || !plainName(s, d) {
			return "want a name: a letter, then letters, digits, '-', '_' and '.'"
		}
	case flagForm:
		if _, ok := raw.(bool); !ok {
			return "want true or false"
		}
	case numberForm, positiveForm, countForm:
		return f.numberProblem(raw)
	case listForm, enumForm, namesForm:
		return f.listProblem(raw, d)
	case typesForm:
		return typesProblem(raw)
	case flagsForm, namesMapForm:
		return f.mapProblem(raw, d)
	case schemaForm:
		return schemaProblem(raw)
	case schemaListForm:
		return schemaListProblem(raw, 1)
	case itemsForm:
		if _, ok := raw.([]any); ok {
			return schemaListProblem(raw, 1)
		}
		return schemaProblem(raw)
	case schemaMapForm, patternMapForm, dependenciesForm:
		return f.mapProblem(raw, d)
	}
	return ""
}

func (f form) numberProblem(raw any) string {
	if value.KindOf(raw) != value.Number {
		return "want a number"
	}
	sign, _ := value.CompareNumbers(raw, int64(0))
	if f == positiveForm && sign <= 0 {
		return "want a number above 0"
	}
	if f == countForm && (sign < 0 || !value.IsInteger(raw)) {
		return "want a whole number from 0"
	}
	return ""
}

func (f form) listProblem(raw any, d Draft) string {
	list, ok := raw.([]any)
	if !ok {
		return "want a list"
	}
	if f == listForm || f == enumForm && d >= Draft7 {
		return ""
	}
	if len(list) == 0 && (f == enumForm || d == Draft4) {
		return "want at least one element"
	}
	for _, e := range list {
		if _, ok := e.(string); !ok && f == namesForm {
			return "an element that is no string: " + describe(e)
		}
	}
	if i, j, _ := duplicate(list, nil); i >= 0 {
		return fmt.Sprintf("the same element twice: [%d] and [%d]", i, j)
	}
	return ""
}

func (f form) mapProblem(raw any, d Draft) string {
	m, ok := raw.(map[string]any)
	if !ok {
		return "want a map"
	}
	for _, k := range value.Keys(m) {
		problem := ""
		_, isList := m[k].([]any)
		switch {
		case f == flagsForm:
			problem = flagForm.problem(m[k], d)
		case f == namesMapForm || f == dependenciesForm && isList:
			problem = namesForm.problem(m[k], d)
		}
		if problem != "" {
			return fmt.Sprintf("%q: %s", k, problem)
		}
	}
	return ""
}

var typeNames = []string{"array", "boolean", "integer", "null", "number", "object", "string"}

func typesProblem(raw any) string {
	list, isList := raw.([]any)
	if !isList {
		list = []any{raw}
	}
	if len(list) == 0 {
		return "want at least one type"
	}
	for _, e := range list {
		name, ok := e.(string)
		if !ok {
			return describe(e) + " is not the name of a type"
		}
		if typeBit(name) == 0 {
			return fmt.Sprintf("unknown type %q%s; types are %s", name, didYouMean(name, typeNames), strings.Join(typeNames, ", "))
		}
	}
	if i, j, _ := duplicate(list, nil); i >= 0 {
		return fmt.Sprintf("the same type twice: [%d] and [%d]", i, j)
	}
	return ""
}

func didYouMean(name string, candidates []string) string {
	if best := value.Closest(name, candidates); best != "" {
		return fmt.Sprintf(" (did you mean %q?)", best)
	}
	return ""
}

// schemaProblem only looks at the kind; whether true and false are schemas
// depends on the draft and the keyword.
func schemaProblem(raw any) string {
	switch raw.(type) {
	case map[string]any, bool:
		return ""
	}
	return "want a schema: a map, true or false"
}

func schemaListProblem(raw any, minimum int) string {
	list, ok := raw.([]any)
	if !ok {
		return "want a list of schemas"
	}
	if len(list) < minimum {
		return "want at least one schema"
	}
	return ""
}

// plainName is the grammar of $anchor: XML's NCName in ASCII, with ":" in
// 2019-09 but no "_" in front.
func plainName(s string, d Draft) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		first := letter || c == '_' && d >= Draft2020
		later := letter || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == ':' && d == Draft2019
		if i == 0 && !first || i > 0 && !later {
			return false
		}
	}
	return s != ""
}

// subschema is one schema inside the value of a keyword.
type subschema struct {
	tokens []string // from the keyword's value; none for the value itself
	raw    any
}

// subschemas lists the schemas inside raw in a stable order.
func (f form) subschemas(raw any) []subschema {
	var out []subschema
	list, isList := raw.([]any)
	m, isMap := raw.(map[string]any)
	switch {
	case f == schemaForm || f == itemsForm && !isList:
		out = append(out, subschema{raw: raw})
	case (f == schemaListForm || f == itemsForm) && isList:
		for i, e := range list {
			out = append(out, subschema{[]string{fmt.Sprint(i)}, e})
		}
	case (f == schemaMapForm || f == patternMapForm || f == dependenciesForm) && isMap:
		for _, k := range value.Keys(m) {
			if _, isNames := m[k].([]any); isNames && f == dependenciesForm {
				continue
			}
			out = append(out, subschema{[]string{k}, m[k]})
		}
	}
	return out
}
