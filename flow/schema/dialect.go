package schema

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/flow/value"
)

// vocabulary is a set of keywords that a metaschema switches on as one (JSON
// Schema 2019-09 and later, core section 8.1.2).
type vocabulary string

const (
	core        vocabulary = "core"
	applicator  vocabulary = "applicator"
	unevaluated vocabulary = "unevaluated"
	validation  vocabulary = "validation"
	metaData    vocabulary = "meta-data"
	formats     vocabulary = "format"
	content     vocabulary = "content"
)

// dialect is a draft with the vocabularies that are switched on.
type dialect struct {
	draft Draft
	// off are the vocabularies that a custom metaschema leaves out.
	off map[vocabulary]bool
	// assertFormats is set by the vocabulary format-assertion.
	assertFormats bool
}

func (d dialect) has(k keyword) bool {
	return d.draft >= k.from && (k.to == 0 || d.draft <= k.to) && !d.off[k.vocabulary]
}

// idKeyword is the keyword that names a schema.
func (d dialect) idKeyword() string {
	if d.draft == Draft4 {
		return "id"
	}
	return "$id"
}

// keyword is what the standard says of one keyword: since and until when it
// exists, what its value looks like, and how it is compiled.
type keyword struct {
	name       string
	from, to   Draft // to 0: until today
	vocabulary vocabulary
	form       form
	build      func(b *builder, raw any) rule // nil for annotations and for companions of another keyword
}

// keywords are all keywords in the order in which they are checked: what looks
// at the value first, unevaluated* last, since they ask what the others saw.
//
// The table is made at first use; a sync.OnceValue would be a cycle of
// initialization, since the builders read the table.
func keywords() []keyword {
	keywordTable.once.Do(func() {
		keywordTable.all = makeKeywords()
		keywordTable.places = map[string][]int{}
		for i, k := range keywordTable.all {
			keywordTable.places[k.name] = append(keywordTable.places[k.name], i)
		}
	})
	return keywordTable.all
}

var keywordTable struct {
	once   sync.Once
	all    []keyword
	places map[string][]int // in all, by name
}

// find gives the keyword of a name, where the dialect has it.
func (d dialect) find(name string) (keyword, bool) {
	all := keywords()
	for _, i := range keywordTable.places[name] {
		if d.has(all[i]) {
			return all[i], true
		}
	}
	return keyword{}, false
}

// present lists the keywords of a schema in the order of the table. Where a
// $ref hides its siblings, only definitions are left beside it.
func (d dialect) present(m map[string]any) (found []keyword, hidden bool) {
	_, hidden = m["$ref"].(string)
	hidden = hidden && d.draft <= Draft7
	all := keywords()
	places := make([]int, 0, len(m))
	for name := range m {
		if hidden && name != "$ref" && name != "definitions" {
			continue
		}
		for _, i := range keywordTable.places[name] {
			if d.has(all[i]) {
				places = append(places, i)
			}
		}
	}
	slices.Sort(places)
	found = make([]keyword, len(places))
	for i, at := range places {
		found[i] = all[at]
	}
	return found, hidden
}

func makeKeywords() []keyword {
	all := []keyword{
		{"$ref", Draft4, 0, core, textForm, buildRef},
		{"$recursiveRef", Draft2019, Draft2019, core, textForm, buildRecursiveRef},
		{"$dynamicRef", Draft2020, 0, core, textForm, buildDynamicRef},
		{"id", Draft4, Draft4, core, textForm, nil},
		{"$id", Draft6, 0, core, textForm, nil},
		{"$schema", Draft4, 0, core, textForm, nil},
		{"$anchor", Draft2019, 0, core, anchorForm, nil},
		{"$recursiveAnchor", Draft2019, Draft2019, core, flagForm, nil},
		{"$dynamicAnchor", Draft2020, 0, core, anchorForm, nil},
		{"$vocabulary", Draft2019, 0, core, flagsForm, nil},
		{"$comment", Draft7, 0, core, textForm, nil},
		{"$defs", Draft2019, 0, core, schemaMapForm, buildNested},
		// definitions outlived its renaming: the metaschemas still allow it.
		{"definitions", Draft4, 0, core, schemaMapForm, buildNested},
	}
	all = append(all, assertions()...)
	all = append(all, applicators()...)
	return append(all,
		keyword{"title", Draft4, 0, metaData, textForm, nil},
		keyword{"description", Draft4, 0, metaData, textForm, nil},
		keyword{"default", Draft4, 0, metaData, anyForm, nil},
		keyword{"examples", Draft6, 0, metaData, listForm, nil},
		keyword{"readOnly", Draft7, 0, metaData, flagForm, nil},
		keyword{"writeOnly", Draft7, 0, metaData, flagForm, nil},
		keyword{"deprecated", Draft2019, 0, metaData, flagForm, nil},
		keyword{"contentMediaType", Draft7, 0, content, textForm, nil},
		keyword{"contentEncoding", Draft7, 0, content, textForm, nil},
		keyword{"contentSchema", Draft2019, 0, content, schemaForm, buildNested},
		keyword{"unevaluatedItems", Draft2019, 0, unevaluated, schemaForm, buildUnevaluatedItems},
		keyword{"unevaluatedProperties", Draft2019, 0, unevaluated, schemaForm, buildUnevaluatedProperties},
	)
}

func assertions() []keyword {
	return []keyword{
		{"type", Draft4, 0, validation, typesForm, buildType},
		{"const", Draft6, 0, validation, anyForm, buildConst},
		{"enum", Draft4, 0, validation, enumForm, buildEnum},
		{"multipleOf", Draft4, 0, validation, positiveForm, buildMultipleOf},
		{"minimum", Draft4, 0, validation, numberForm, buildMinimum},
		{"exclusiveMinimum", Draft4, Draft4, validation, flagForm, nil},
		{"exclusiveMinimum", Draft6, 0, validation, numberForm, buildExclusiveMinimum},
		{"maximum", Draft4, 0, validation, numberForm, buildMaximum},
		{"exclusiveMaximum", Draft4, Draft4, validation, flagForm, nil},
		{"exclusiveMaximum", Draft6, 0, validation, numberForm, buildExclusiveMaximum},
		{"minLength", Draft4, 0, validation, countForm, buildMinLength},
		{"maxLength", Draft4, 0, validation, countForm, buildMaxLength},
		{"pattern", Draft4, 0, validation, patternForm, buildPattern},
		{"format", Draft4, 0, formats, textForm, buildFormat},
		{"minItems", Draft4, 0, validation, countForm, buildMinItems},
		{"maxItems", Draft4, 0, validation, countForm, buildMaxItems},
		{"uniqueItems", Draft4, 0, validation, flagForm, buildUniqueItems},
		{"minProperties", Draft4, 0, validation, countForm, buildMinProperties},
		{"maxProperties", Draft4, 0, validation, countForm, buildMaxProperties},
		{"required", Draft4, 0, validation, namesForm, buildRequired},
		{"dependentRequired", Draft2019, 0, validation, namesMapForm, buildDependentRequired},
		{"minContains", Draft2019, 0, validation, countForm, nil},
		{"maxContains", Draft2019, 0, validation, countForm, nil},
	}
}

func applicators() []keyword {
	return []keyword{
		{"properties", Draft4, 0, applicator, schemaMapForm, buildProperties},
		{"patternProperties", Draft4, 0, applicator, patternMapForm, buildPatternProperties},
		{"additionalProperties", Draft4, 0, applicator, schemaForm, buildAdditionalProperties},
		{"propertyNames", Draft6, 0, applicator, schemaForm, buildPropertyNames},
		// dependencies was split in 2019-09; ignoring it there would let pass
		// what an author meant to forbid, so that it is still honoured.
		{"dependencies", Draft4, 0, applicator, dependenciesForm, buildDependencies},
		{"dependentSchemas", Draft2019, 0, applicator, schemaMapForm, buildDependentSchemas},
		{"prefixItems", Draft2020, 0, applicator, schemaListForm, buildPrefixItems},
		{"items", Draft4, Draft2019, applicator, itemsForm, buildItemsOrList},
		{"items", Draft2020, 0, applicator, schemaForm, buildItems},
		{"additionalItems", Draft4, Draft2019, applicator, schemaForm, buildAdditionalItems},
		{"contains", Draft6, 0, applicator, schemaForm, buildContains},
		{"allOf", Draft4, 0, applicator, schemaListForm, buildAllOf},
		{"anyOf", Draft4, 0, applicator, schemaListForm, buildAnyOf},
		{"oneOf", Draft4, 0, applicator, schemaListForm, buildOneOf},
		{"not", Draft4, 0, applicator, schemaForm, buildNot},
		{"if", Draft7, 0, applicator, schemaForm, buildIf},
		{"then", Draft7, 0, applicator, schemaForm, buildNested},
		{"else", Draft7, 0, applicator, schemaForm, buildNested},
	}
}

// draftByURI reads $schema. Scheme and an empty fragment do not matter.
func draftByURI(uri string) (Draft, bool) {
	uri = strings.TrimSuffix(uri, "#")
	uri = strings.TrimPrefix(strings.TrimPrefix(uri, "https://"), "http://")
	switch uri {
	case "json-schema.org/schema":
		return Draft2020, true
	case "json-schema.org/draft-04/schema":
		return Draft4, true
	case "json-schema.org/draft-06/schema":
		return Draft6, true
	case "json-schema.org/draft-07/schema":
		return Draft7, true
	case "json-schema.org/draft/2019-09/schema":
		return Draft2019, true
	case "json-schema.org/draft/2020-12/schema":
		return Draft2020, true
	}
	return 0, false
}

// dialectOf finds the dialect that a $schema names, reading a custom
// metaschema where it is one.
func (c *compiler) dialectOf(uri, base string, hops int) (dialect, error) {
	if d, ok := draftByURI(uri); ok {
		return dialect{draft: d}, nil
	}
	unknown := fmt.Errorf("unknown $schema %q; known are drafts 4, 6, 7, 2019-09 and 2020-12, such as https://json-schema.org/draft/2020-12/schema", uri)
	if hops > 8 {
		return dialect{}, fmt.Errorf("$schema %q: metaschemas refer to each other", uri)
	}
	abs, err := join(base, strings.TrimSuffix(uri, "#"))
	if err != nil {
		return dialect{}, unknown
	}
	doc, err := c.read(abs)
	if err != nil {
		return dialect{}, unknown
	}
	m, _ := doc.(map[string]any)
	parent, _ := m["$schema"].(string)
	if parent == "" || parent == uri {
		return dialect{}, unknown
	}
	d, err := c.dialectOf(parent, abs, hops+1)
	if err != nil {
		return dialect{}, err
	}
	vocabularies, ok := m["$vocabulary"].(map[string]any)
	if !ok || d.draft < Draft2019 {
		return d, nil
	}
	return d.restrict(vocabularies)
}

// restrict applies a metaschema's $vocabulary.
func (d dialect) restrict(vocabularies map[string]any) (dialect, error) {
	d.off = map[vocabulary]bool{applicator: true, unevaluated: true, validation: true, metaData: true, formats: true, content: true}
	if d.draft == Draft2019 {
		delete(d.off, unevaluated) // part of its applicators
	}
	prefix := "https://json-schema.org/draft/" + d.draft.String() + "/vocab/"
	for _, uri := range value.Keys(vocabularies) {
		name, ours := strings.CutPrefix(uri, prefix)
		switch {
		case ours && name == "format-annotation":
			delete(d.off, formats)
		case ours && name == "format-assertion":
			delete(d.off, formats)
			d.assertFormats = true
		case ours && (name == string(core) || d.off[vocabulary(name)]):
			delete(d.off, vocabulary(name))
			if d.draft == Draft2019 && name == string(formats) && vocabularies[uri] == true {
				d.assertFormats = true
			}
		case vocabularies[uri] == true:
			return dialect{}, fmt.Errorf("the metaschema requires the vocabulary %q, which is not known", uri)
		}
	}
	if d.draft == Draft2019 && d.off[applicator] {
		d.off[unevaluated] = true
	}
	return d, nil
}
