// Package tag is the language of tags: which names a flow may carry, and the
// expressions that select flows and steps by them.
//
// It never knows what carries the tags, and no wildcard or prefix ever matches
// more than the one name that was written.
package tag

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// MinLength is the shortest a tag may be, in bytes.
	MinLength = 2
	// MaxLength is the longest a tag may be, in bytes.
	MaxLength = 50
)

// reserved are the prefixes of tags that TestMesh itself sets. Expressions may
// ask for them; a file may not set them.
var reserved = [...]string{"auto:", "system:", "meta:", "internal:"}

// Valid says why a flow or a step may not carry the tag; nil if it may.
func Valid(tag string) error {
	if prefix := reservedPrefix(tag); prefix != "" {
		return fmt.Errorf("tag %q: tags that begin with %s are reserved", clip(tag), prefix)
	}
	if problem := check(tag); problem != "" {
		return fmt.Errorf("tag %q: %s", clip(tag), problem)
	}
	return nil
}

func reservedPrefix(tag string) string {
	for _, prefix := range reserved {
		if strings.HasPrefix(tag, prefix) {
			return prefix
		}
	}
	return ""
}

// check says what is wrong with a tag that has no reserved prefix, or "".
func check(tag string) string {
	if at := strings.IndexFunc(tag, notTagRune); at >= 0 {
		// ToLower and the replacement may make a valid name of it: that is the hint.
		meant := strings.ToLower(strings.Join(strings.Fields(tag), "-"))
		if strings.IndexFunc(meant, notTagRune) < 0 && len(meant) >= MinLength && len(meant) <= MaxLength {
			return fmt.Sprintf("only a-z, 0-9, _ and - are allowed; did you mean %q?", meant)
		}
		return "only a-z, 0-9, _ and - are allowed"
	}
	if len(tag) < MinLength || len(tag) > MaxLength {
		return fmt.Sprintf("a tag has %d to %d characters", MinLength, MaxLength)
	}
	return ""
}

func notTagRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

// checkName is check for a name inside an expression, reserved or not.
func checkName(name string) string {
	prefix := reservedPrefix(name)
	if prefix == "" {
		if strings.Contains(name, ":") {
			return "a colon is only in " + strings.Join(reserved[:], " ")
		}
		return check(name)
	}
	rest := name[len(prefix):]
	switch {
	case rest == "":
		return "a name must follow " + prefix
	case len(rest) > MaxLength:
		return fmt.Sprintf("at most %d characters may follow %s", MaxLength, prefix)
	case strings.IndexFunc(rest, func(r rune) bool { return notTagRune(r) && r != ':' }) >= 0:
		return "only a-z, 0-9, _, - and : are allowed after " + prefix
	}
	return ""
}

func clip(s string) string {
	if len(s) <= 2*MaxLength {
		return s
	}
	return strings.ToValidUTF8(s[:2*MaxLength], "") + "…"
}

// Expr is a tag expression. It is immutable and may be used by many goroutines.
type Expr struct {
	kind  kind
	name  string  // of a tag
	parts []*Expr // one of a negation
}

type kind uint8

const (
	isTag kind = iota
	isNot
	isAnd
	isOr
)

// Any matches where at least one of the expressions does; without expressions
// nothing matches.
func Any(exprs ...*Expr) *Expr { return join(isOr, exprs) }

// All matches where every one of the expressions does; without expressions
// everything matches.
func All(exprs ...*Expr) *Expr { return join(isAnd, exprs) }

// join flattens parts of the same kind, so that a chain is one list.
func join(k kind, exprs []*Expr) *Expr {
	if len(exprs) == 1 {
		return exprs[0]
	}
	e := &Expr{kind: k}
	for _, part := range exprs {
		if part.kind == k && len(part.parts) > 0 {
			e.parts = append(e.parts, part.parts...)
		} else {
			e.parts = append(e.parts, part)
		}
	}
	return e
}

// negate makes !e, and e of !!e.
func negate(e *Expr) *Expr {
	if e.kind == isNot {
		return e.parts[0]
	}
	return &Expr{kind: isNot, parts: []*Expr{e}}
}

// Match tells whether something with exactly these tags is selected.
func (e *Expr) Match(tags []string) bool {
	switch e.kind {
	case isTag:
		return slices.Contains(tags, e.name)
	case isNot:
		return !e.parts[0].Match(tags)
	case isAnd:
		for _, part := range e.parts {
			if !part.Match(tags) {
				return false
			}
		}
		return true
	}
	for _, part := range e.parts {
		if part.Match(tags) {
			return true
		}
	}
	return false
}

// maxFacts bounds what Explain lists.
const maxFacts = 20

// Explain says why the expression matches these tags, or why not, by what is
// there and what is not: `has smoke, lacks critical`.
func (e *Expr) Explain(tags []string) string {
	var facts []string
	e.facts(tags, func(fact string) {
		if !slices.Contains(facts, fact) {
			facts = append(facts, fact)
		}
	})
	if more := len(facts) - maxFacts; more > 0 {
		facts = append(facts[:maxFacts], fmt.Sprintf("and %d more", more))
	}
	if len(facts) == 0 {
		return "the expression names no tag"
	}
	return strings.Join(facts, ", ")
}

// facts adds what decides: of alternatives of which some hold, only those.
func (e *Expr) facts(tags []string, add func(string)) {
	if e.kind == isTag {
		if e.Match(tags) {
			add("has " + e.name)
		} else {
			add("lacks " + e.name)
		}
		return
	}
	matched := e.Match(tags)
	for _, part := range e.parts {
		if e.kind == isOr && matched && !part.Match(tags) {
			continue
		}
		part.facts(tags, add)
	}
}

// String is the expression in its canonical form, with `,` `+` `!` and no
// parentheses but the needed: `(smoke,regression)+!flaky`.
func (e *Expr) String() string {
	var b strings.Builder
	e.write(&b)
	return b.String()
}

func (e *Expr) write(b *strings.Builder) {
	switch e.kind {
	case isTag:
		b.WriteString(e.name)
	case isNot:
		b.WriteByte('!')
		e.parts[0].writeInside(b, e.parts[0].kind != isTag)
	case isAnd:
		for i, part := range e.parts {
			if i > 0 {
				b.WriteByte('+')
			}
			part.writeInside(b, part.kind == isOr)
		}
	case isOr:
		for i, part := range e.parts {
			if i > 0 {
				b.WriteByte(',')
			}
			part.write(b)
		}
	}
}

func (e *Expr) writeInside(b *strings.Builder, parentheses bool) {
	if parentheses {
		b.WriteByte('(')
	}
	e.write(b)
	if parentheses {
		b.WriteByte(')')
	}
}
