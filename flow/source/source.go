// Package source is the text of flow files: YAML as positioned nodes, and the
// problems found in it, each with file, line, column, the offending text and a
// hint. It knows nothing of what a flow means and never opens a file itself.
package source

import "fmt"

// Pos is a place in a file. Line and Column count from 1, columns in
// characters; the zero Pos means "nowhere".
type Pos struct {
	File   string
	Line   int
	Column int
}

// String prints file:line:column, leaving out what is not known.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Kind is the form of a node.
type Kind string

// The forms of a node.
const (
	Null    Kind = "null"
	Boolean Kind = "boolean"
	Number  Kind = "number"
	String  Kind = "string"
	List    Kind = "list"
	Map     Kind = "map"
)

// Node is one value of a YAML document with its place. Aliases are expanded
// (bounded: to at most ten times the file); duplicate keys are problems.
type Node struct {
	Kind    Kind
	Value   any     // scalars, in the model of package value; nil for Null, List, Map
	Text    string  // scalars: as written, without quotes
	Tag     string  // "!raw" or ""
	Items   []*Node // List
	Entries []Entry // Map, in file order
	Pos     Pos     // of the first character (of the quote, if quoted)
	// Style says how a String was written; At needs it.
	Style Style
	// lines maps a String's text back to the file for block styles.
	lines []lineStart
}

// Entry is one key of a map.
type Entry struct {
	Key   *Node
	Value *Node
}

// Style is how a scalar was written.
type Style int

// The styles of a scalar.
const (
	Plain Style = iota
	SingleQuoted
	DoubleQuoted
	Literal
	Folded
)

type lineStart struct {
	offset int // in Text
	pos    Pos
}

// Get is the value of key in a map, or nil.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for _, e := range n.Entries {
		if e.Key.Text == key {
			return e.Value
		}
	}
	return nil
}

// Severity tells what a problem does: an Error stops everything, a Note is said.
type Severity string

// The severities.
const (
	Error Severity = "error"
	Note  Severity = "note"
)

// Problem is one finding in a definition.
type Problem struct {
	Severity Severity `json:"severity"`
	Code     Code     `json:"code"`
	Pos      Pos      `json:"-"`
	// Text is the offending text as written; its length makes the carets.
	Text string `json:"text,omitempty"`
	// Message is one sentence without a full stop: `unknown variable "ordr_id"`.
	Message string `json:"message"`
	// Hint says what to do: `did you mean "order_id"? Step create saves it on line 14`.
	Hint string `json:"hint,omitempty"`
	// InScope lists the names that would have been possible, where that helps.
	InScope []string `json:"in_scope,omitempty"`
	// Fix is the corrected line, where one is certain.
	Fix string `json:"fix,omitempty"`
}

// Error prints the problem in one line: place, code, message, hint.
func (p Problem) Error() string {
	s := p.Message
	if where := p.Pos.String(); where != "" {
		s = where + ": " + s
	}
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// Problems are findings in file order. As an error they print the first one
// and the number of the others.
type Problems []Problem

// Error prints the first problem and how many more there are.
func (ps Problems) Error() string {
	switch len(ps) {
	case 0:
		return "no problems"
	case 1:
		return ps[0].Error()
	}
	return fmt.Sprintf("%s (and %d more)", ps[0].Error(), len(ps)-1)
}

// Errors are the problems that stop a run.
func (ps Problems) Errors() Problems {
	var out Problems
	for _, p := range ps {
		if p.Severity != Note {
			out = append(out, p)
		}
	}
	return out
}

// Err is ps as an error, or nil where none of them stops a run.
func (ps Problems) Err() error {
	if errs := ps.Errors(); len(errs) > 0 {
		return errs
	}
	return nil
}
