package jsonpath

import (
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// term is what stands in a filter before its place decides its type: a literal,
// a query, a call or a condition.
type term struct {
	at   int
	kind termKind
	// literal, query or call is set, or condition.
	literal   any
	query     *query
	call      call
	condition condition
}

type termKind uint8

const (
	literalTerm termKind = iota
	queryTerm
	callTerm
	conditionTerm
)

// or reads logical-or-expr. A single term comes back as it is, so that a
// function argument keeps its type.
func (p *parser) or() (term, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > MaxDepth {
		return term{}, p.fail(p.pos, "the path nests deeper than %d", MaxDepth)
	}
	return p.chain("||", p.and, func(list []condition) condition { return anyOf(list) })
}

func (p *parser) and() (term, error) {
	return p.chain("&&", p.basic, func(list []condition) condition { return allOf(list) })
}

// chain reads parts that the operator joins.
func (p *parser) chain(operator string, part func() (term, error), join func([]condition) condition) (term, error) {
	first, err := part()
	if err != nil {
		return term{}, err
	}
	last := first
	var list []condition
	for {
		before := p.pos
		p.blanks()
		if !p.take(operator) {
			if p.peek() == operator[0] {
				return term{}, p.fail(p.pos, "%c is not an operator; write %s", operator[0], operator)
			}
			p.pos = before
			break
		}
		c, err := p.condition(last)
		if err != nil {
			return term{}, err
		}
		list = append(list, c)
		p.blanks()
		if last, err = part(); err != nil {
			return term{}, err
		}
	}
	if list == nil {
		return first, nil
	}
	c, err := p.condition(last)
	if err != nil {
		return term{}, err
	}
	return term{at: first.at, kind: conditionTerm, condition: join(append(list, c))}, nil
}

// basic reads paren-expr, comparison-expr or test-expr.
func (p *parser) basic() (term, error) {
	at := p.pos
	negated := p.take("!")
	if negated {
		p.blanks()
		if p.peek() == '!' {
			return term{}, p.fail(p.pos, "one ! is enough")
		}
	}
	if p.peek() == '(' {
		t, err := p.parenthesized()
		if err != nil || !negated {
			return t, err
		}
		return term{at: at, kind: conditionTerm, condition: not{t.condition}}, nil
	}
	left, err := p.operand()
	if err != nil {
		return term{}, err
	}
	if negated {
		c, err := p.condition(left)
		if err != nil {
			return term{}, err
		}
		return term{at: at, kind: conditionTerm, condition: not{c}}, nil
	}
	before := p.pos
	p.blanks()
	op := p.comparisonOperator()
	if op == "" {
		p.pos = before
		return left, nil
	}
	p.blanks()
	right, err := p.operand()
	if err != nil {
		return term{}, err
	}
	c := comparison{op: op}
	if c.left, err = p.comparable(left); err != nil {
		return term{}, err
	}
	if c.right, err = p.comparable(right); err != nil {
		return term{}, err
	}
	return term{at: at, kind: conditionTerm, condition: &c}, nil
}

func (p *parser) parenthesized() (term, error) {
	open := p.pos
	p.pos++
	p.blanks()
	inner, err := p.or()
	if err != nil {
		return term{}, err
	}
	c, err := p.condition(inner)
	if err != nil {
		return term{}, err
	}
	p.blanks()
	if !p.take(")") {
		if p.pos == len(p.text) || p.peek() == ']' {
			return term{}, p.fail(open, "the parenthesis that opens here is not closed; ) is missing")
		}
		return term{}, p.afterSelector(selector{kind: filterSelector})
	}
	return term{at: open, kind: conditionTerm, condition: c}, nil
}

func (p *parser) comparisonOperator() string {
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if p.take(op) {
			return op
		}
	}
	return ""
}

// operand reads a literal, a query or a call.
func (p *parser) operand() (term, error) {
	at := p.pos
	switch c := p.peek(); {
	case p.pos == len(p.text):
		return term{}, p.fail(at, "the path ends where a value is needed")
	case c == '@' || c == '$':
		q, err := p.query()
		return term{at: at, kind: queryTerm, query: q}, err
	case c == '\'' || c == '"':
		s, err := p.quoted()
		return term{at: at, kind: literalTerm, literal: s}, err
	case c == '-' || isDigit(c):
		return p.number()
	case isNameStart(c):
		return p.word()
	case c == '!':
		return term{}, p.fail(at, "a comparison takes values; ! stands before a condition: !(@.a == 1)")
	case c == '(':
		return term{}, p.fail(at, "a comparison takes values; parentheses only join conditions")
	case c == '+':
		return term{}, p.fail(at, "a number has no sign +")
	case c == '[' || c == '{':
		return term{}, p.fail(at, "a literal is a number, a string, true, false or null")
	}
	return term{}, p.fail(at, "a value is needed here (@…, $…, a literal or a function), but %s", p.found())
}

// number reads number; value.ParseNumber has the grammar of RFC 8259, which is
// the same.
func (p *parser) number() (term, error) {
	at := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		exponent := p.pos > at && (p.text[p.pos-1] == 'e' || p.text[p.pos-1] == 'E')
		if !isDigit(c) && c != '.' && c != 'e' && c != 'E' && c != '-' && (c != '+' || !exponent) {
			break
		}
		p.pos++
	}
	text := p.text[at:p.pos]
	n, err := value.ParseNumber(text)
	if err != nil {
		return term{}, p.fail(at, "%q is not a number that JSONPath knows", clip(text, 40))
	}
	return term{at: at, kind: literalTerm, literal: n}, nil
}

// word reads true, false, null or function-expr.
func (p *parser) word() (term, error) {
	at := p.pos
	word := p.name()
	if p.peek() == '(' {
		return p.function(at, word)
	}
	t := term{at: at, kind: literalTerm}
	switch word {
	case "true", "false":
		t.literal = word == "true"
		return t, nil
	case "null":
		return t, nil
	}
	switch lower := strings.ToLower(word); lower {
	case "true", "false", "null":
		return t, p.fail(at, "%s is written %s", word, lower)
	case "not":
		return t, p.fail(at, "not is written !")
	}
	end := p.pos
	if p.blanks() && p.peek() == '(' {
		return t, p.fail(end, "no blank between a function and its parenthesis")
	}
	return t, p.fail(at, "%s means nothing here; a member is written @.%[1]s, a string '%[1]s'", clip(word, 40))
}

// condition makes a test of a term: a query tests that it finds something.
func (p *parser) condition(t term) (condition, error) {
	switch t.kind {
	case queryTerm:
		return exists{t.query}, nil
	case conditionTerm:
		return t.condition, nil
	case callTerm:
		if c, ok := t.call.(condition); ok {
			return c, nil
		}
		return nil, p.fail(t.at, "what %s() gives must be compared with something", t.call.name())
	}
	return nil, p.fail(t.at, "a literal must be compared with something")
}

// comparable makes one side of a comparison of a term.
func (p *parser) comparable(t term) (operand, error) {
	switch t.kind {
	case literalTerm:
		return literal{t.literal}, nil
	case callTerm:
		if o, ok := t.call.(operand); ok {
			return o, nil
		}
		return nil, p.fail(t.at, "%s() is a condition by itself and is not compared", t.call.name())
	case queryTerm:
		return p.singular(t, "a comparison takes a query that finds one value at most; to look among several, filter them: @.tags[?@ == 'x']")
	}
	return nil, p.fail(t.at, "a comparison takes values, not conditions")
}

func (p *parser) singular(t term, message string) (operand, error) {
	if !t.query.singular() {
		return nil, p.fail(t.at, "%s", message)
	}
	for i := range t.query.segments {
		if t.query.segments[i].blanks {
			return nil, p.fail(t.at, "no blanks inside the brackets of a query that stands for one value")
		}
	}
	return t.query, nil
}
