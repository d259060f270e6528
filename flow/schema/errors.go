package schema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// Error is one finding of a validation.
type Error struct {
	Path       string // JSONPath of the value: $.items[1].qty
	Pointer    string // the same as a JSON Pointer: /items/1/qty
	SchemaPath string // where the keyword stands: #/properties/qty/minimum
	Keyword    string // the keyword that failed; "" where the schema is false
	Message    string // a sentence with the path and the actual value
	// Limit says that this is no finding: the validation stopped at a bound
	// or in a loop of the schema, and whether the value is valid is not known.
	Limit bool
}

// Error is the message.
func (e Error) Error() string { return e.Message }

// DefinitionError is something wrong in the schema itself.
type DefinitionError struct {
	SchemaPath string // #/properties/a/type, after the file's name where it is another
	Message    string
}

// Error is the message after the place.
func (e *DefinitionError) Error() string { return "schema " + e.SchemaPath + ": " + e.Message }

// describeBytes bounds an actual value inside a message.
const describeBytes = 120

// describe prints a value for a message. What is large is only named: printing
// tens of megabytes in order to cut them off would cost seconds.
func describe(v any) string {
	room := 64 << 10
	if fits(v, &room) {
		return value.Describe(v, describeBytes)
	}
	switch x := v.(type) {
	case []any:
		return "a list of " + plural(len(x), "item", "items")
	case map[string]any:
		return "an object of " + plural(len(x), "property", "properties")
	}
	return value.Describe(v, describeBytes)
}

// fits tells whether v is at most about room bytes long, without going on
// after that.
func fits(v any, room *int) bool {
	*room -= 8
	switch x := v.(type) {
	case string:
		*room -= len(x)
	case []any:
		for _, e := range x {
			if *room < 0 || !fits(e, room) {
				return false
			}
		}
	case map[string]any:
		for k, e := range x {
			*room -= len(k)
			if *room < 0 || !fits(e, room) {
				return false
			}
		}
	}
	return *room >= 0
}

// place is where in the instance a validation stands. Places are shared by
// pointer: two evaluations at the same pointer look at the same value.
type place struct {
	parent *place
	key    string
	index  int
	isItem bool
}

func (p *place) member(key string) *place { return &place{parent: p, key: key} }

func (p *place) item(i int) *place { return &place{parent: p, index: i, isItem: true} }

// chain lists the places from the root's child down to p.
func (p *place) chain() []*place {
	var chain []*place
	for ; p.parent != nil; p = p.parent {
		chain = append(chain, p)
	}
	for i, j := 0, len(chain)-1; i < j; i, j = i+1, j-1 {
		chain[i], chain[j] = chain[j], chain[i]
	}
	return chain
}

func (p *place) path() string {
	path := "$"
	for _, step := range p.chain() {
		if step.isItem {
			path += "[" + strconv.Itoa(step.index) + "]"
		} else {
			path = value.Member(path, step.key)
		}
	}
	return path
}

func (p *place) pointer() string {
	pointer := ""
	for _, step := range p.chain() {
		if step.isItem {
			pointer += "/" + strconv.Itoa(step.index)
		} else {
			pointer += "/" + escapeToken(step.key)
		}
	}
	return pointer
}

func escapeToken(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}

func unescapeToken(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}

// finding is an Error before it is written out: most findings of alternatives
// are dropped again, so the sentence is made last.
type finding struct {
	at      *place
	node    *node
	keyword string
	limit   bool
	say     func() string
}

func (f finding) render() Error {
	path := f.at.path()
	where := f.node.where()
	if f.keyword != "" {
		where += "/" + escapeToken(f.keyword)
	}
	return Error{
		Path:       path,
		Pointer:    f.at.pointer(),
		SchemaPath: where,
		Keyword:    f.keyword,
		Message:    path + ": " + f.say(),
		Limit:      f.limit,
	}
}

// badness orders alternatives by how far the value is from them: a wrong type
// or a wrong discriminator says that the alternative was not meant at all.
func badness(findings []finding, at *place) int {
	score := len(findings)
	for _, f := range findings {
		switch {
		case f.keyword == "type" && f.at == at:
			score += 10 * MaxErrors
		case f.keyword == "const" || f.keyword == "enum":
			score += 2 * MaxErrors
		}
	}
	return score
}

func plural(n int, one, many string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %s", n, many)
}
