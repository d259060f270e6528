package syntax

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Action is what the JSON Schema says about an action of a plugin.
type Action struct {
	Name         string
	Summary      string
	ConfigSchema string            // JSON Schema, draft 2020-12 or older, as text
	Aliases      []string          // other names of the action
	KeyAliases   map[string]string // other names of config keys, at the top level
}

// CatalogView is the set of known plugins. Actions may be called any number of
// times; the order does not matter.
type CatalogView interface {
	Actions() iter.Seq[Action]
}

// object is a JSON Schema, or a part of one.
type object = map[string]any

// Schema writes the JSON Schema (draft-07, which every editor knows) of flow
// files, made from the keys that Parse knows and the configs of the actions. It
// accepts both dialects, and a placeholder wherever a value is expanded. cat may
// be nil: then only control actions have a checked config.
func Schema(cat CatalogView, w io.Writer) error {
	definitions := object{}
	for _, s := range language() {
		if s.name == "file" {
			continue
		}
		definitions[s.name] = sectionSchema(s)
	}
	definitions["assertion"] = assertionSchema()
	definitions["data_source"] = object{
		"type": "object", "description": "Dialect: loads a file as the name data.", "required": []any{"file"}, "additionalProperties": false,
		"properties": object{"type": object{"type": "string"}, "file": object{"type": "string"}},
	}
	if err := actionSchemas(cat, definitions); err != nil {
		return err
	}
	root := object{
		"$schema":     "http://json-schema.org/draft-07/schema#",
		"title":       "TestMesh flow",
		"description": "A flow file of TestMesh.",
		"type":        "object",
		"definitions": definitions,
		"if":          object{"required": []any{"flow"}},
		"then": object{
			"properties":           object{"flow": ref("flow")},
			"additionalProperties": false,
		},
		"else": ref("flow"),
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return fmt.Errorf("write the schema: %w", err)
	}
	if _, err := w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("write the schema: %w", err)
	}
	return nil
}

func ref(name string) object {
	return object{"$ref": "#/definitions/" + strings.ReplaceAll(name, " ", "%20")}
}

// sectionSchema is the schema of a map of the language.
func sectionSchema(s *section) object {
	properties := object{}
	var required []any
	for _, k := range s.keys {
		properties[k.Name] = keySchema(k)
		if k.Required && !hasOld(s, k.Name) {
			required = append(required, k.Name)
		}
	}
	for _, old := range s.oldKeys {
		schema := typeSchema(Key{Name: old.name, Type: old.typ, Of: old.name})
		schema["description"] = "Older spelling of " + old.now + "."
		if old.now == "" {
			schema["description"] = "Accepted for older flows."
		}
		properties[old.name] = schema
	}
	out := object{"type": "object", "description": s.doc, "properties": properties, "additionalProperties": false}
	if s.name == "set" {
		out["additionalProperties"] = true
	}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// hasOld tells whether a required key may be missing, since a dialect has it in
// another spelling or another place.
func hasOld(s *section, name string) bool {
	if s.name == "condition" {
		return true // `when` beside config
	}
	return slices.ContainsFunc(s.oldKeys, func(o oldKey) bool { return o.now == name || strings.HasPrefix(o.now, name+".") })
}

// keySchema is the schema of one key with its description.
func keySchema(k Key) object {
	out := typeSchema(k)
	doc := k.Doc
	if k.Default != "" {
		doc += " Default: " + k.Default + "."
	}
	if _, isRef := out["$ref"]; isRef { // draft-07 ignores what stands beside a $ref
		out = object{"allOf": []any{out}}
	}
	out["description"] = doc
	return out
}

// scalars are the types of a value that a person may write without quotes.
func scalars() []any { return []any{"string", "number", "boolean"} }

func typeSchema(k Key) object {
	switch k.Type {
	case Text, Template, Expression:
		out := object{"type": scalars()}
		if k.Name == "name" && k.Required {
			out["minLength"], out["maxLength"] = 1, maxName
		}
		return out
	case Name:
		return nameSchema(k)
	case Bool:
		return object{"type": "boolean"}
	case Int:
		out := object{"type": "integer", "minimum": k.Min}
		if k.Max > 0 {
			out["maximum"] = k.Max
		}
		return out
	case Num:
		return object{"type": "number", "minimum": 0, "maximum": 1}
	case Duration:
		return object{"anyOf": []any{object{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`}, object{"const": 0}}}
	case Names:
		item := object{"type": scalars()}
		if k.Pattern == tagPattern {
			item = object{"type": "string", "pattern": tagPattern}
		}
		return object{"type": "array", "items": item}
	case Templates, Exprs:
		return object{"type": "array", "items": object{"type": scalars()}}
	case Asserts:
		return object{"type": "array", "items": ref("assertion")}
	case Outputs:
		return object{
			"type": "object", "propertyNames": object{"pattern": outputPattern},
			"additionalProperties": object{"anyOf": []any{object{"type": scalars()}, ref("output value")}},
		}
	case Values:
		return object{"type": "object"}
	case Steps:
		return object{"type": "array", "items": ref("step")}
	case Step1:
		return ref("step")
	case Section:
		return sectionRef(k)
	case Sections:
		return object{"type": "array", "items": ref(k.Of)}
	case Named:
		return object{"type": "object", "additionalProperties": object{"anyOf": []any{ref(k.Of), object{"type": "null"}}}}
	}
	return object{} // Any
}

func sectionRef(k Key) object {
	if language()[k.Of] == nil && k.Of != "data_source" {
		return object{"type": "object"} // a dialect's own map
	}
	if k.List {
		return object{"anyOf": []any{ref(k.Of), object{"type": "array", "items": ref(k.Of)}}}
	}
	return ref(k.Of)
}

func nameSchema(k Key) object {
	switch {
	case len(k.Enum) > 0:
		enum := make([]any, len(k.Enum))
		for i, e := range k.Enum {
			enum[i] = e
		}
		return object{"enum": enum}
	case k.Pattern == idPattern:
		return object{"type": "string", "pattern": oldIDPattern}
	case k.Pattern != "":
		return object{"type": "string", "pattern": k.Pattern}
	}
	return object{"type": scalars()}
}

// assertionSchema is an expression, or one of the forms of maps.
func assertionSchema() object {
	return object{
		"description": "An expression that must hold; or {expression, message}; or a subject and what it must match: {body matches_schema: …}.",
		"anyOf": []any{
			object{"type": scalars()},
			object{"type": "object", "minProperties": 1, "maxProperties": 2, "properties": object{
				"expression": object{"type": scalars(), "description": "The expression."},
				"message":    object{"type": scalars(), "description": "What a failure says."},
			}},
		},
	}
}

// actionSchemas gives a step its action, and each action its config.
func actionSchemas(cat CatalogView, definitions object) error {
	step := definitions["step"].(object)
	var names []any
	var rules []any
	rule := func(actions []string, config string) {
		consts := make([]any, len(actions))
		for i, a := range actions {
			consts[i] = a
		}
		rules = append(rules, object{
			"if":   object{"properties": object{"action": object{"enum": consts}}, "required": []any{"action"}},
			"then": object{"properties": object{"config": ref(config)}},
		})
		names = append(names, consts...)
	}
	for _, name := range controls() {
		rule([]string{name}, name)
	}
	if cat != nil {
		actions := slices.SortedFunc(cat.Actions(), func(a, b Action) int { return strings.Compare(a.Name, b.Name) })
		for _, a := range actions {
			schema, err := configSchema(a)
			if err != nil {
				return fmt.Errorf("config of %s: %w", a.Name, err)
			}
			definitions["config of "+a.Name] = schema
			rule(append([]string{a.Name}, a.Aliases...), "config of "+a.Name)
		}
	}
	action := step["properties"].(object)["action"].(object)
	delete(action, "pattern")
	delete(action, "type")
	action["anyOf"] = []any{object{"enum": names}, object{"type": "string", "pattern": actionPattern}}
	step["allOf"] = rules
	return nil
}

// configSchema brings the schema of a plugin's config into draft-07, with
// placeholders allowed and what the dialects write into a config.
func configSchema(a Action) (object, error) {
	if a.ConfigSchema == "" {
		return object{"type": "object", "description": a.Summary}, nil
	}
	var schema any
	if err := json.Unmarshal([]byte(a.ConfigSchema), &schema); err != nil {
		return nil, fmt.Errorf("read its JSON Schema: %w", err)
	}
	root, ok := schema.(object)
	if !ok {
		return object{"type": "object", "description": a.Summary}, nil
	}
	out := convert(root, "#/definitions/config%20of%20"+a.Name)
	out["description"] = a.Summary
	properties, _ := out["properties"].(object)
	if properties == nil {
		properties = object{}
		out["properties"] = properties
	}
	for from, to := range a.KeyAliases {
		if strings.Contains(from, ".") || strings.Contains(to, ".") || properties[to] == nil || properties[from] != nil {
			continue
		}
		properties[from] = properties[to]
		if required, ok := out["required"].([]any); ok {
			out["required"] = slices.DeleteFunc(slices.Clone(required), func(r any) bool { return r == to })
		}
	}
	for _, lifted := range []string{"assert", "retry", "poll", "save_to_file"} {
		if properties[lifted] == nil {
			properties[lifted] = object{"description": "Older place of a key of the step."}
		}
	}
	return out, nil
}

// older brings a schema of draft 2020-12 into draft-07, below the address base,
// and allows a placeholder wherever it wants something else than a string.
func older(schema any, base string) any {
	s, ok := schema.(object)
	if !ok {
		return schema // true, false
	}
	out := convert(s, base)
	if !wantsOther(out) {
		return out
	}
	described := object{"anyOf": []any{out, object{"type": "string", "pattern": `\$\{|\{\{`}}}
	if doc, ok := out["description"]; ok {
		described["description"] = doc
		delete(out, "description")
	}
	return described
}

// convert is older without the placeholder.
func convert(s object, base string) object {
	out := object{}
	for key, val := range s {
		switch key {
		case "$schema", "$id", "$comment", "$anchor", "$dynamicAnchor", "$vocabulary":
		case "$defs", "definitions":
			out["definitions"] = each(val, base, out["definitions"])
		case "properties", "patternProperties", "dependentSchemas":
			out[key] = each(val, base, nil)
		case "$ref", "$dynamicRef":
			text, _ := val.(string)
			if rest, local := strings.CutPrefix(text, "#"); local {
				out["$ref"] = base + strings.Replace(rest, "/$defs/", "/definitions/", 1)
			}
		case "prefixItems":
			out["items"] = list(val, base)
			if rest, ok := s["items"]; ok {
				out["additionalItems"] = older(rest, base)
			}
		case "items":
			if s["prefixItems"] == nil {
				out["items"] = older(val, base)
			}
		case "allOf", "anyOf", "oneOf":
			out[key] = list(val, base)
		case "not", "if", "then", "else", "additionalProperties", "contains", "propertyNames", "additionalItems":
			out[key] = older(val, base)
		case "unevaluatedProperties", "unevaluatedItems", "minContains", "maxContains", "dependentRequired", "contentSchema":
			// draft-07 has no word for them: the compiler checks them
		default:
			out[key] = val
		}
	}
	return out
}

// wantsOther tells whether a schema refuses strings, or all but some: there a
// placeholder must be allowed too.
func wantsOther(s object) bool {
	_, enum := s["enum"]
	_, pattern := s["pattern"]
	_, format := s["format"]
	if _, isConst := s["const"]; isConst {
		return false // the word that tells one branch from another
	}
	switch t := s["type"].(type) {
	case string:
		return t != "string" || enum || pattern || format
	case []any:
		return !slices.Contains(t, any("string")) || enum || pattern || format
	}
	return enum || pattern || format
}

func each(val any, base string, into any) object {
	out, _ := into.(object)
	if out == nil {
		out = object{}
	}
	from, _ := val.(object)
	for _, name := range slices.Sorted(maps.Keys(from)) {
		out[name] = older(from[name], base)
	}
	return out
}

func list(val any, base string) []any {
	items, _ := val.([]any)
	out := make([]any, len(items))
	for i, item := range items {
		out[i] = older(item, base)
	}
	return out
}
