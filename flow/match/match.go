// Package match is the structural matching of the flow language: deep subset,
// markers and list operators (FLOW.md "Match"). It never judges a step; it says
// where an answer differs from a pattern.
package match

import (
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// MaxMismatches bounds the list that Match gives back: past it nobody reads on.
const MaxMismatches = 100

// Mismatch is one place where the answer differs.
type Mismatch struct {
	Path     string // of the answer: $.body.id
	Expected string // the pattern there, as written: "#uuid", "201", "exactly 3 elements"
	Want     any    // the value itself, where the pattern is one; see Exact
	Exact    bool   // the pattern is the value Want
	Actual   any
	Missing  bool   // the answer has nothing there
	Message  string // one sentence
	Pos      source.Pos
}

// Pattern is a compiled pattern, safe for concurrent use.
type Pattern struct {
	root node
	refs []expr.Ref
}

// Refs lists the names that its placeholders and expressions read.
func (p *Pattern) Refs() []expr.Ref { return p.refs }

// Match compares actual with the pattern; no mismatches: it matches. Errors are
// those of placeholders and of `#(expression)`, located where they can be.
func (p *Pattern) Match(actual any, env *expr.Env) ([]Mismatch, error) {
	m := &matching{env: env}
	m.compare(p.root, "$", actual, true)
	return m.found, m.err
}

// node is one compiled part of a pattern.
type node interface {
	// check compares what the answer has at path; present false: nothing.
	check(m *matching, path string, actual any, present bool)
	where() source.Pos
	// written is the pattern as the author wrote it.
	written() string
}

// matching is one comparison under way.
type matching struct {
	env   *expr.Env
	found []Mismatch
	err   error
	// exact: maps may hold nothing that the pattern does not name.
	exact bool
	// foldCase: the keys of the map at hand are header names.
	foldCase bool
}

func (m *matching) compare(n node, path string, actual any, present bool) {
	if m.err == nil && len(m.found) < MaxMismatches {
		n.check(m, path, actual, present)
	}
}

func (m *matching) fail(n node, path string, actual any, present bool, message string) {
	if !present {
		message = path + " is missing, want " + n.written()
	}
	m.found = append(m.found, Mismatch{
		Path: path, Expected: n.written(), Actual: actual, Missing: !present,
		Message: message, Pos: n.where(),
	})
}

// matches tells whether actual fits n, recording nothing.
func (m *matching) matches(n node, actual any) bool {
	trial := &matching{env: m.env, exact: m.exact}
	trial.compare(n, "$", actual, true)
	if trial.err != nil && m.err == nil {
		m.err = trial.err
	}
	return trial.err == nil && len(trial.found) == 0
}

const shown = 80 // bytes of a value in a message

func got(actual any) string { return "got " + value.Describe(actual, shown) }

// literal is a scalar, or a text with placeholders.
type literal struct {
	pos  source.Pos
	text string
	v    any
	tmpl *expr.Template
}

func (n *literal) where() source.Pos { return n.pos }
func (n *literal) written() string   { return n.text }

func (n *literal) check(m *matching, path string, actual any, present bool) {
	want := n.v
	if n.tmpl != nil {
		v, err := n.tmpl.Eval(m.env)
		if err != nil {
			m.err = err
			return
		}
		want = v
	}
	if present && value.Equal(want, actual) {
		return
	}
	shownAs := n
	if n.tmpl != nil {
		shownAs = &literal{pos: n.pos, text: value.Compact(want)}
	}
	m.fail(shownAs, path, actual, present,
		fmt.Sprintf("%s: want %s, %s", path, value.Describe(want, shown), got(actual)))
	last := &m.found[len(m.found)-1]
	last.Want, last.Exact = want, true
}

// object is a map pattern: the answer may hold more, unless exact.
type object struct {
	pos    source.Pos
	keys   []string
	values []node
}

func (n *object) where() source.Pos { return n.pos }
func (n *object) written() string   { return "an object" }

func (n *object) check(m *matching, path string, actual any, present bool) {
	have, ok := actual.(map[string]any)
	if !present || !ok {
		m.fail(n, path, actual, present, path+": want an object, "+got(actual))
		return
	}
	fold := m.foldCase
	m.foldCase = false
	used := make(map[string]bool, len(n.keys))
	for i, key := range n.keys {
		name, found := key, false
		if _, found = have[key]; !found && fold {
			for k := range have {
				if strings.EqualFold(k, key) {
					name, found = k, true
				}
			}
		}
		used[name] = true
		m.foldCase = strings.EqualFold(key, "headers") || strings.EqualFold(key, "header_values")
		m.compareKey(n.values[i], value.Member(path, name), have, name, found)
		m.foldCase = false
	}
	if !m.exact {
		return
	}
	for _, k := range value.Keys(have) {
		if !used[k] {
			at := value.Member(path, k)
			m.found = append(m.found, Mismatch{
				Path: at, Expected: "#absent", Actual: have[k], Pos: n.pos,
				Message: at + " is not in the pattern, and the match is exact",
			})
		}
	}
}

func (m *matching) compareKey(n node, path string, have map[string]any, key string, found bool) {
	before := len(m.found)
	m.compare(n, path, have[key], found)
	if found || len(m.found) == before {
		return
	}
	if near := value.Nearest(have, key); near != "" {
		m.found[len(m.found)-1].Message += fmt.Sprintf("; did you mean %q?", near)
	}
}

// list is a list pattern: order and length.
type list struct {
	pos   source.Pos
	items []node
}

func (n *list) where() source.Pos { return n.pos }
func (n *list) written() string   { return fmt.Sprintf("a list of %d", len(n.items)) }

func (n *list) check(m *matching, path string, actual any, present bool) {
	have, ok := actual.([]any)
	if !present || !ok {
		m.fail(n, path, actual, present, path+": want a list, "+got(actual))
		return
	}
	for i, item := range n.items {
		if i < len(have) {
			m.compare(item, fmt.Sprintf("%s[%d]", path, i), have[i], true)
		}
	}
	if len(have) != len(n.items) {
		m.fail(n, path, actual, true,
			fmt.Sprintf("%s: want %d elements, got %d", path, len(n.items), len(have)))
	}
}

// exactly is {$exact: pattern}: nothing more at any depth.
type exactly struct {
	pos   source.Pos
	inner node
}

func (n *exactly) where() source.Pos { return n.pos }
func (n *exactly) written() string   { return "$exact " + n.inner.written() }

func (n *exactly) check(m *matching, path string, actual any, present bool) {
	outer := m.exact
	m.exact = true
	m.compare(n.inner, path, actual, present)
	m.exact = outer
}

// each is {$each: pattern}: holds for the empty list.
type each struct {
	pos   source.Pos
	inner node
}

func (n *each) where() source.Pos { return n.pos }
func (n *each) written() string   { return "a list" }

func (n *each) check(m *matching, path string, actual any, present bool) {
	have, ok := actual.([]any)
	if !present || !ok {
		m.fail(n, path, actual, present, path+": want a list, "+got(actual))
		return
	}
	for i, v := range have {
		m.compare(n.inner, fmt.Sprintf("%s[%d]", path, i), v, true)
	}
}
