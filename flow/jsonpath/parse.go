package jsonpath

import (
	"strings"
	"unicode/utf8"
)

// parse reads jsonpath-query: the whole text.
func (p *parser) parse() (*query, error) {
	if !utf8.ValidString(p.text) {
		at := 0
		for r, size := utf8.DecodeRuneInString(p.text); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRuneInString(p.text[at:]) {
			at += size
		}
		return nil, p.fail(at, "the path is not valid UTF-8")
	}
	if p.text == "" {
		return nil, p.fail(0, "the path is empty; $ is the whole document")
	}
	if p.peek() != '$' {
		if p.blanks() {
			return nil, p.fail(0, "a JSONPath begins with $, without blanks before it")
		}
		return nil, p.fail(0, "a JSONPath begins with $, but %s", p.found())
	}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.text) {
		return nil, p.trailing()
	}
	return q, nil
}

// trailing says what is wrong with text behind a complete query.
func (p *parser) trailing() error {
	at := p.pos
	if p.blanks() && p.pos == len(p.text) {
		return p.fail(at, "blanks at the end of the path")
	}
	switch c := p.peek(); {
	case c == '-' && p.pos == at && (isNameStart(p.text[at-1]) || isDigit(p.text[at-1])):
		start, end := at, at
		for start > 0 && p.text[start-1] != '.' && p.text[start-1] != ']' {
			start--
		}
		for end < len(p.text) && (p.text[end] == '-' || isNameStart(p.text[end]) || isDigit(p.text[end])) {
			end++
		}
		return p.fail(at, "a name with - is written in brackets: ['%s']", clip(p.text[start:end], 40))
	case c == '(':
		return p.fail(p.pos, "functions are only for filters: $[?length(@.a) > 1]")
	case c == '=' || c == '!' || c == '<' || c == '>':
		return p.fail(p.pos, "a comparison is only for filters: $[?@.a == 1]")
	case c == '^':
		return p.fail(p.pos, "there is no parent operator in JSONPath; select the parent with a filter: $[?@.child]")
	}
	return p.fail(p.pos, "a segment begins with . or [, but %s", p.found())
}

// query reads the identifier at pos and its segments.
func (p *parser) query() (*query, error) {
	q := &query{at: p.pos, absolute: p.text[p.pos] == '$'}
	p.pos++
	for {
		before := p.pos
		p.blanks()
		if c := p.peek(); c != '.' && c != '[' {
			p.pos = before
			return q, nil
		}
		s, err := p.segment()
		if err != nil {
			return nil, err
		}
		q.segments = append(q.segments, s)
	}
}

func (p *parser) segment() (segment, error) {
	if p.peek() == '[' {
		return p.bracketed(segment{})
	}
	var s segment
	dots := "."
	if p.take("..") {
		s.descendant, dots = true, ".."
		if p.peek() == '[' {
			return p.bracketed(s)
		}
	} else {
		p.take(".")
	}
	if p.take("*") {
		s.selectors = []selector{{kind: wildcardSelector}}
		return s, nil
	}
	at := p.pos
	name := p.name()
	if name != "" {
		s.selectors = []selector{{kind: nameSelector, name: name}}
		return s, nil
	}
	switch c := p.peek(); {
	case p.pos == len(p.text):
		return s, p.fail(at, "a name, * or [ must follow %s, but the path ends", dots)
	case c == '[':
		return s, p.fail(at, "no dot before [")
	case isDigit(c):
		for isDigit(p.peek()) {
			p.pos++
		}
		return s, p.fail(at, "an index is written in brackets: [%s]; so is a name that begins with a digit: ['%[1]s']", clip(p.text[at:p.pos], 40))
	case c == '\'' || c == '"':
		return s, p.fail(at, "a quoted name is written in brackets: ['name']")
	case p.blanks():
		return s, p.fail(at, "no blank after %s", dots)
	}
	return s, p.fail(at, "a name, * or [ must follow %s, but %s; other names are written ['name']", dots, p.found())
}

func (p *parser) bracketed(s segment) (segment, error) {
	open := p.pos
	p.pos++
	s.blanks = p.blanks()
	for {
		if p.pos == len(p.text) {
			return s, p.fail(open, "the bracket that opens here is not closed; ] is missing")
		}
		sel, err := p.selector()
		if err != nil {
			return s, err
		}
		s.selectors = append(s.selectors, sel)
		s.blanks = p.blanks() || s.blanks
		switch {
		case p.take("]"):
			return s, nil
		case p.take(","):
			p.blanks()
		case p.pos == len(p.text):
			return s, p.fail(open, "the bracket that opens here is not closed; ] is missing")
		default:
			return s, p.afterSelector(sel)
		}
	}
}

func (p *parser) afterSelector(s selector) error {
	switch c := p.peek(); {
	case s.kind == filterSelector && c == '=' && !strings.HasPrefix(p.text[p.pos:], "=="):
		return p.fail(p.pos, "= is not an operator; == compares, and match() and search() take regular expressions")
	case s.kind == filterSelector && isNameStart(c):
		at := p.pos
		if word := strings.ToLower(p.name()); word == "and" || word == "or" {
			return p.fail(at, "%s is written %s", word, map[string]string{"and": "&&", "or": "||"}[word])
		}
		p.pos = at
	case s.kind == filterSelector && strings.IndexByte("=!<>", c) >= 0:
		return p.fail(p.pos, "a comparison has two sides; join comparisons with && and put ! before parentheses: !(@.a == 1)")
	case s.kind == filterSelector && strings.IndexByte("+-*/%", c) >= 0:
		return p.fail(p.pos, "JSONPath has no arithmetic")
	}
	return p.fail(p.pos, "a selector is followed by , or ], but %s", p.found())
}

func (p *parser) selector() (selector, error) {
	at := p.pos
	switch c := p.peek(); {
	case c == '\'' || c == '"':
		name, err := p.quoted()
		return selector{kind: nameSelector, name: name}, err
	case c == '*':
		p.pos++
		return selector{kind: wildcardSelector}, nil
	case c == ':' || c == '-' || isDigit(c):
		return p.indexOrSlice()
	case c == '?':
		p.pos++
		p.blanks()
		t, err := p.or()
		if err != nil {
			return selector{}, err
		}
		filter, err := p.condition(t)
		return selector{kind: filterSelector, filter: filter}, err
	case c == ']' || c == ',':
		return selector{}, p.fail(at, "a selector is missing before %c", c)
	case c == '@' || c == '$':
		return selector{}, p.fail(at, "a filter begins with ?: [?%c…]", c)
	case c == '(':
		return selector{}, p.fail(at, "a script is not a selector; a filter begins with ?, and the last element is [-1]")
	case c == '+':
		return selector{}, p.fail(at, "an index has no sign +")
	case isNameStart(c):
		name := p.name()
		return selector{}, p.fail(at, "a name in brackets is quoted: ['%s']", clip(name, 40))
	}
	return selector{}, p.fail(at, "a quoted name, an index, a slice, * or ?filter is needed here, but %s", p.found())
}

// indexOrSlice reads `1`, or a slice, of which each part may be left out.
func (p *parser) indexOrSlice() (selector, error) {
	var s slice
	var err error
	if p.peek() != ':' {
		if s.start, err = p.integer(); err != nil {
			return selector{}, err
		}
		s.hasStart = true
	}
	before := p.pos
	p.blanks()
	if !p.take(":") {
		p.pos = before
		return selector{kind: indexSelector, index: s.start}, nil
	}
	p.blanks()
	if c := p.peek(); c == '-' || isDigit(c) {
		if s.end, err = p.integer(); err != nil {
			return selector{}, err
		}
		s.hasEnd = true
	}
	before = p.pos
	p.blanks()
	if !p.take(":") {
		p.pos = before
		return selector{kind: sliceSelector, slice: s}, nil
	}
	before = p.pos
	p.blanks()
	if c := p.peek(); c == '-' || isDigit(c) {
		if s.step, err = p.integer(); err != nil {
			return selector{}, err
		}
		s.hasStep = true
	} else {
		p.pos = before
	}
	return selector{kind: sliceSelector, slice: s}, nil
}
