// Package jsonpath is RFC 9535, whole: it parses JSONPath queries and answers
// them over the values of flow/value, members in alphabetical order so that
// the same document always gives the same list.
//
// A query is checked completely when it is parsed (grammar, function types,
// regular expressions that are literals); what is left to go wrong while it is
// answered is only its size, which is bounded. The package never changes a
// document and never reads anything but its arguments.
package jsonpath

import (
	"errors"
	"fmt"
	"math"
)

// Bounds. They are far past what a test needs and keep a hostile document or
// path from holding a run.
const (
	// MaxDepth is how deep filters, parentheses and function arguments of a
	// path may nest.
	MaxDepth = 100
	// MaxVisits is how many nodes the answer to one path may visit, filters
	// included; long texts, deep comparisons and regular expressions count as
	// several. It is about a second of work.
	MaxVisits = 5_000_000
	// MaxNodes is how many nodes the answer may hold.
	MaxNodes = 1_000_000
)

// ErrTooLarge is what Select and Values give when a bound is reached: there is
// no answer then, never a part of one.
var ErrTooLarge = errors.New("the path visits too many nodes of this document")

// SyntaxError says why a text is not a JSONPath.
type SyntaxError struct {
	Offset  int    // in bytes into Text
	Text    string // the whole path
	Message string // a sentence for a person, often with what to write instead
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("JSONPath %q, at byte %d: %s", clip(e.Text, 200), e.Offset, e.Message)
}

// Path is a parsed query. It is immutable and may be used by many goroutines.
type Path struct {
	text  string
	query query
}

// Node is one place that a path selects.
type Node struct {
	Path  string // the normalized path, RFC 9535 section 2.7: $['a'][0]
	Value any
}

// Parse reads a query. Every error is a *SyntaxError.
func Parse(text string) (*Path, error) {
	p := parser{text: text}
	q, err := p.parse()
	if err != nil {
		return nil, err
	}
	return &Path{text: text, query: *q}, nil
}

// String is the path as it was written.
func (p *Path) String() string { return p.text }

// Singular tells whether the path can select at most one node: names and
// single indexes only.
func (p *Path) Singular() bool { return p.query.singular() }

// First gives the name or the index that the first segment selects; ok is false
// unless that segment is exactly one name or one index.
func (p *Path) First() (segment string, index int, isIndex, ok bool) {
	if len(p.query.segments) == 0 || !p.query.segments[0].singular() {
		return "", 0, false, false
	}
	s := &p.query.segments[0].selectors[0]
	if s.kind == nameSelector {
		return s.name, 0, false, true
	}
	return "", int(min(max(s.index, math.MinInt), math.MaxInt)), true, true
}

// Get gives the node of a singular path. A path that is not singular finds
// nothing: ask Singular first.
func (p *Path) Get(root any) (v any, found bool) {
	if !p.query.singular() {
		return nil, false
	}
	return get(p.query.segments, root)
}

// Values gives the values of all nodes that the path selects, in the order of
// the RFC; an empty list where there are none. The error is ErrTooLarge.
func (p *Path) Values(root any) ([]any, error) { return p.values(root, MaxVisits) }

func (p *Path) values(root any, visits int) ([]any, error) {
	e := evaluation{root: root, left: visits}
	values := []any{}
	e.walk(p.query.segments, root, func(v any) bool {
		if len(values) == MaxNodes {
			return e.charge(visits + 1)
		}
		values = append(values, v)
		return true
	})
	if e.left < 0 {
		return nil, ErrTooLarge
	}
	return values, nil
}

// Select is Values with the place of each node.
func (p *Path) Select(root any) ([]Node, error) { return p.nodes(root, MaxVisits) }

func (p *Path) nodes(root any, visits int) ([]Node, error) {
	e := evaluation{root: root, left: visits}
	nodes := []Node{}
	e.walk(p.query.segments, root, func(v any) bool {
		if len(nodes) == MaxNodes {
			return e.charge(visits + 1)
		}
		path := e.normalizedPath()
		nodes = append(nodes, Node{path, v})
		return e.charge(len(path) / bytesPerVisit)
	})
	if e.left < 0 {
		return nil, ErrTooLarge
	}
	return nodes, nil
}

// clip cuts a text for a message, at a rune.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xC0 == 0x80 {
		limit--
	}
	return s[:limit] + "…"
}
