package schema

import (
	"strings"
)

// The metaschemas are made from the table of keywords when a schema refers to
// one: the table says what they say, and so the two cannot disagree.

// canonical gives the URI of a metaschema as the standard writes it, without
// fragment; other URIs are given back.
func canonical(uri string) string {
	_, rest, ok := strings.Cut(strings.TrimSuffix(uri, "#"), "://json-schema.org/")
	switch {
	case !ok:
		return uri
	case strings.HasPrefix(rest, "draft-0"):
		return "http://json-schema.org/" + rest
	}
	return "https://json-schema.org/" + rest
}

// metaschema gives the document of a canonical URI, or nil.
func metaschema(uri string) any {
	if d, ok := draftByURI(uri); ok {
		if d <= Draft7 {
			return oldMetaschema(d, uri)
		}
		return newMetaschema(d, uri)
	}
	for _, d := range []Draft{Draft2019, Draft2020} {
		name, ok := strings.CutPrefix(uri, "https://json-schema.org/draft/"+d.String()+"/meta/")
		if !ok {
			continue
		}
		for _, voc := range vocabulariesOf(d) {
			if voc == name {
				return vocabularySchema(d, name)
			}
		}
	}
	return nil
}

func vocabulariesOf(d Draft) []string {
	if d == Draft2019 {
		return []string{"core", "applicator", "validation", "meta-data", "format", "content"}
	}
	return []string{"core", "applicator", "unevaluated", "validation", "meta-data", "format-annotation", "format-assertion", "content"}
}

// oldMetaschema is the one document of drafts 4 to 7.
func oldMetaschema(d Draft, uri string) any {
	self := map[string]any{"$ref": "#"}
	properties := map[string]any{}
	for _, k := range keywords() {
		if (dialect{draft: d}).has(k) {
			properties[k.name] = k.form.schema(self, "#/definitions/", d)
		}
	}
	if d == Draft4 {
		either := map[string]any{"anyOf": []any{map[string]any{"type": "boolean"}, self}}
		properties["additionalProperties"], properties["additionalItems"] = either, either
	}
	m := map[string]any{
		"$schema": uri + "#", dialect{draft: d}.idKeyword(): uri + "#",
		"type":        []any{"object", "boolean"},
		"properties":  properties,
		"definitions": definitions(self, "#/definitions/", d),
	}
	if d == Draft4 {
		m["type"] = "object"
		m["dependencies"] = map[string]any{
			"exclusiveMinimum": []any{"minimum"},
			"exclusiveMaximum": []any{"maximum"},
		}
	}
	return m
}

// newMetaschema joins the vocabularies of 2019-09 and 2020-12.
func newMetaschema(d Draft, uri string) any {
	m := map[string]any{"$schema": uri, "$id": uri, "type": []any{"object", "boolean"}}
	used := map[string]any{}
	var parts []any
	for _, name := range vocabulariesOf(d) {
		if name == "format-assertion" {
			continue // only for metaschemas that ask for it
		}
		used[strings.Replace(uri, "/schema", "/vocab/"+name, 1)] = d == Draft2020 || name != "format"
		parts = append(parts, map[string]any{"$ref": "meta/" + name})
	}
	self := anchorSelf(m, d)
	m["$vocabulary"], m["allOf"] = used, parts
	m["properties"] = map[string]any{
		"definitions":  schemaMapForm.schema(self, "", d),
		"dependencies": dependenciesForm.schema(self, "meta/validation#/$defs/", d),
	}
	return m
}

// anchorSelf marks m as extensible and gives the reference to "any schema".
func anchorSelf(m map[string]any, d Draft) map[string]any {
	if d == Draft2019 {
		m["$recursiveAnchor"] = true
		return map[string]any{"$recursiveRef": "#"}
	}
	m["$dynamicAnchor"] = "meta"
	return map[string]any{"$dynamicRef": "#meta"}
}

func vocabularySchema(d Draft, name string) any {
	base := "https://json-schema.org/draft/" + d.String()
	m := map[string]any{
		"$schema": base + "/schema", "$id": base + "/meta/" + name,
		"$vocabulary": map[string]any{base + "/vocab/" + name: true},
		"type":        []any{"object", "boolean"},
	}
	self := anchorSelf(m, d)
	properties := map[string]any{}
	for _, k := range keywords() {
		in := string(k.vocabulary)
		if in == "unevaluated" && d == Draft2019 {
			in = "applicator"
		}
		renamed := k.name == "definitions" || k.name == "dependencies"
		if (dialect{draft: d}).has(k) && !renamed && (in == name || in == "format" && strings.HasPrefix(name, "format-")) {
			properties[k.name] = k.form.schema(self, "#/$defs/", d)
		}
	}
	m["properties"], m["$defs"] = properties, definitions(self, "#/$defs/", d)
	return m
}

// definitions are the named parts of a metaschema.
func definitions(self map[string]any, prefix string, d Draft) map[string]any {
	types := []any{}
	for _, name := range typeNames {
		types = append(types, name)
	}
	count := map[string]any{"type": "integer", "minimum": int64(0)}
	names := map[string]any{"type": "array", "items": map[string]any{"type": "string"}, "uniqueItems": true}
	out := map[string]any{
		"schemaArray": map[string]any{"type": "array", "minItems": int64(1), "items": self},
		"simpleTypes": map[string]any{"enum": types},
		"stringArray": names,
	}
	if d == Draft4 {
		names["minItems"] = int64(1)
		out["positiveInteger"] = count
		out["positiveIntegerDefault0"] = map[string]any{"allOf": []any{map[string]any{"$ref": prefix + "positiveInteger"}, map[string]any{"default": int64(0)}}}
		return out
	}
	out["nonNegativeInteger"] = count
	out["nonNegativeIntegerDefault0"] = map[string]any{"allOf": []any{map[string]any{"$ref": prefix + "nonNegativeInteger"}, map[string]any{"default": int64(0)}}}
	return out
}

// schema is the form as a schema.
func (f form) schema(self map[string]any, prefix string, d Draft) any {
	named := func(name string) map[string]any { return map[string]any{"$ref": prefix + name} }
	mapOf := func(of any) map[string]any { return map[string]any{"type": "object", "additionalProperties": of} }
	list := map[string]any{"type": "array"}
	switch f {
	case textForm:
		return map[string]any{"type": "string"}
	case anchorForm:
		if d == Draft2019 {
			return map[string]any{"type": "string", "pattern": "^[A-Za-z][-A-Za-z0-9.:_]*$"}
		}
		return map[string]any{"type": "string", "pattern": "^[A-Za-z_][-A-Za-z0-9._]*$"}
	case patternForm:
		return map[string]any{"type": "string", "format": "regex"}
	case flagForm:
		return map[string]any{"type": "boolean"}
	case flagsForm:
		return mapOf(map[string]any{"type": "boolean"})
	case numberForm:
		return map[string]any{"type": "number"}
	case positiveForm:
		if d == Draft4 {
			return map[string]any{"type": "number", "minimum": int64(0), "exclusiveMinimum": true}
		}
		return map[string]any{"type": "number", "exclusiveMinimum": int64(0)}
	case countForm:
		if d == Draft4 {
			return named("positiveInteger")
		}
		return named("nonNegativeInteger")
	case enumForm:
		if d <= Draft6 {
			list["minItems"], list["uniqueItems"] = int64(1), true
		}
		return list
	case listForm:
		return list
	case namesForm:
		return named("stringArray")
	case namesMapForm:
		return mapOf(named("stringArray"))
	case typesForm:
		several := map[string]any{"type": "array", "items": named("simpleTypes"), "minItems": int64(1), "uniqueItems": true}
		return map[string]any{"anyOf": []any{named("simpleTypes"), several}}
	case schemaForm:
		return self
	case schemaListForm:
		return named("schemaArray")
	case schemaMapForm:
		return mapOf(self)
	case patternMapForm:
		m := mapOf(self)
		if d >= Draft6 {
			m["propertyNames"] = map[string]any{"format": "regex"}
		}
		return m
	case itemsForm:
		return map[string]any{"anyOf": []any{self, named("schemaArray")}}
	case dependenciesForm:
		return mapOf(map[string]any{"anyOf": []any{self, named("stringArray")}})
	}
	if d == Draft4 {
		return map[string]any{}
	}
	return true
}
