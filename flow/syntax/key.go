package syntax

import (
	"slices"
	"sync"
)

// Type is what the value of a key is made of.
type Type string

// The types of keys. Only Template, Expression, Outputs, Asserts, Values and
// Any hold what is expanded; everything else is known before the run.
const (
	Text       Type = "text"        // a string as it stands
	Name       Type = "name"        // a string that Pattern or Enum limits
	Bool       Type = "boolean"     // true or false
	Int        Type = "integer"     // a whole number
	Num        Type = "number"      //
	Duration   Type = "duration"    // 500ms, 30s, 1m30s, 2h
	Names      Type = "names"       // a list of strings
	Template   Type = "template"    // a string with placeholders
	Templates  Type = "templates"   // a list of strings with placeholders
	Expression Type = "expression"  // a bare expression
	Exprs      Type = "expressions" // a list of expressions
	Asserts    Type = "assertions"  // a list of assertions
	Outputs    Type = "outputs"     // names to expressions
	Values     Type = "values"      // names to any values
	Any        Type = "any"         // any value, with placeholders
	Steps      Type = "steps"       // a list of steps
	Step1      Type = "step"        // one step
	Section    Type = "section"     // a map whose keys Of names
	Sections   Type = "sections"    // a list of such maps
	Named      Type = "named"       // names to such maps
)

// Key documents one key: the parser, the JSON Schema and the reference read it.
type Key struct {
	Name     string
	Type     Type
	Of       string // the section of Section, Sections and Named
	Doc      string
	Enum     []string
	Pattern  string // of Name, and of each of Names; a regular expression
	Default  string
	Required bool
	Min, Max int  // of Int: the least and the greatest; Max 0: none
	List     bool // Section: a list of them is allowed too
}

// KeyDoc is a key with its place, for the reference.
type KeyDoc struct {
	Where string // the section: "step", "config of for_each"
	Key
}

// section is a map of the language and its keys.
type section struct {
	name string // "step", "retry", "for_each"
	what string // in messages: "a step", "retry", "the config of for_each"
	doc  string
	keys []Key
	// oldKeys are the spellings of the dialects that stand in this map: valid,
	// and noted.
	oldKeys []oldKey
	// gone are documented keys that TestMesh does not have, with what to use.
	gone map[string]string
}

// oldKey is a spelling of a dialect.
type oldKey struct {
	name string
	typ  Type
	now  string // the canonical spelling
}

func (s *section) key(name string) *Key {
	for i := range s.keys {
		if s.keys[i].Name == name {
			return &s.keys[i]
		}
	}
	return nil
}

func (s *section) names() []string {
	out := make([]string, len(s.keys))
	for i, k := range s.keys {
		out[i] = k.Name
	}
	return out
}

// language is every section by name.
var language = sync.OnceValue(func() map[string]*section {
	out := map[string]*section{}
	for _, list := range [][]*section{flowSections(), stepSections(), controlSections()} {
		for _, s := range list {
			out[s.name] = s
		}
	}
	return out
})

// Reference lists every key of the language, section after section, for the
// generated page.
func Reference() []KeyDoc {
	var out []KeyDoc
	for _, list := range [][]*section{flowSections(), stepSections(), controlSections()} {
		for _, s := range list {
			for _, k := range s.keys {
				out = append(out, KeyDoc{Where: s.what, Key: k})
			}
		}
	}
	return out
}

// controls are the control actions: those without a dot.
var controls = sync.OnceValue(func() []string {
	var out []string
	for _, s := range controlSections() {
		if isControlSection(s.name) {
			out = append(out, s.name)
		}
	}
	return out
})

func isControlSection(name string) bool {
	return !slices.Contains([]string{"range", "branch", "operation"}, name)
}

// control is the section of a control action's config, or nil. A set has any
// keys, so that its section is empty.
func control(action string) *section {
	if !slices.Contains(controls(), action) {
		return nil
	}
	return language()[action]
}
