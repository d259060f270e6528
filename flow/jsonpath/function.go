package jsonpath

import (
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/value"
)

// call is a function of RFC 9535 section 2.4 with its arguments. It is an
// operand too where it gives a value, a condition where it gives a logical.
type call interface{ name() string }

// function reads the arguments of word and checks that it is well-typed.
func (p *parser) function(at int, word string) (term, error) {
	args, err := p.arguments()
	if err != nil {
		return term{}, err
	}
	want := 1
	switch word {
	case "length", "count", "value":
	case "match", "search":
		want = 2
	default:
		message := "there is no function " + clip(word, 40) + "(); there are length, count, match, search and value"
		if near := value.Closest(word, []string{"count", "length", "match", "search", "value"}); near != "" {
			message = "there is no function " + word + "(); did you mean " + near + "?"
		}
		return term{}, p.fail(at, "%s", message)
	}
	if len(args) != want {
		return term{}, p.fail(at, "%s() takes %s, not %d", word, [...]string{1: "one argument", 2: "two arguments"}[want], len(args))
	}
	t := term{at: at, kind: callTerm}
	switch word {
	case "length":
		arg, err := p.valueArgument(word, args[0])
		t.call = &lengthCall{arg}
		return t, err
	case "count", "value":
		if args[0].kind != queryTerm {
			return t, p.fail(args[0].at, "%s() takes a query, as in %[1]s(@.items[*])", word)
		}
		if word == "count" {
			t.call = &countCall{args[0].query}
		} else {
			t.call = &valueCall{args[0].query}
		}
		return t, nil
	}
	t.call, err = p.matchArguments(word, args)
	return t, err
}

func (p *parser) arguments() ([]term, error) {
	open := p.pos
	p.pos++
	p.blanks()
	if p.take(")") {
		return nil, nil
	}
	var args []term
	for {
		arg, err := p.or()
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
		p.blanks()
		switch {
		case p.take(")"):
			return args, nil
		case p.take(","):
			p.blanks()
		case p.pos == len(p.text):
			return nil, p.fail(open, "the parenthesis that opens here is not closed; ) is missing")
		default:
			return nil, p.fail(p.pos, "an argument is followed by , or ), but %s", p.found())
		}
	}
}

func (p *parser) valueArgument(function string, t term) (operand, error) {
	switch t.kind {
	case literalTerm:
		return literal{t.literal}, nil
	case callTerm:
		if o, ok := t.call.(operand); ok {
			return o, nil
		}
		return nil, p.fail(t.at, "%s() takes a value; %s() gives none", function, t.call.name())
	case queryTerm:
		return p.singular(t, function+"() takes a query that finds one value at most; value(…) makes one of a list")
	}
	return nil, p.fail(t.at, "%s() takes a value, not a condition", function)
}

// matchArguments refuses a literal pattern that is not an I-Regexp. The RFC has
// it match nothing, and then `!match(…)` would hold for a typing error.
func (p *parser) matchArguments(word string, args []term) (call, error) {
	c := &matchCall{whole: word == "match"}
	var err error
	if c.text, err = p.valueArgument(word, args[0]); err != nil {
		return nil, err
	}
	if c.pattern, err = p.valueArgument(word, args[1]); err != nil {
		return nil, err
	}
	if text, ok := args[1].literal.(string); ok {
		if c.compiled, err = compile(text, c.whole); err != nil {
			return nil, p.fail(args[1].at, "%s", err)
		}
	}
	return c, nil
}

type lengthCall struct{ arg operand }

func (*lengthCall) name() string { return "length" }

func (c *lengthCall) value(e *evaluation, current any) (any, bool) {
	v, _ := c.arg.value(e, current)
	switch x := v.(type) {
	case string:
		e.charge(len(x) / bytesPerVisit)
		return int64(utf8.RuneCountInString(x)), true
	case []any:
		return int64(len(x)), true
	case map[string]any:
		return int64(len(x)), true
	}
	return nil, false
}

type countCall struct{ nodes *query }

func (*countCall) name() string { return "count" }

func (c *countCall) value(e *evaluation, current any) (any, bool) {
	n := int64(0)
	c.nodes.each(e, current, func(any) bool {
		n++
		return true
	})
	return n, true
}

type valueCall struct{ nodes *query }

func (*valueCall) name() string { return "value" }

// value is the value of the only node; of none or several there is none.
func (c *valueCall) value(e *evaluation, current any) (any, bool) {
	var only any
	n := 0
	c.nodes.each(e, current, func(v any) bool {
		only = v
		n++
		return n < 2
	})
	if n != 1 {
		return nil, false
	}
	return only, true
}

// matchCall is match() where whole is set, search() else.
type matchCall struct {
	whole         bool
	text, pattern operand
	compiled      *pattern // of a literal pattern
}

func (c *matchCall) name() string {
	if c.whole {
		return "match"
	}
	return "search"
}

func (c *matchCall) test(e *evaluation, current any) bool {
	v, _ := c.text.value(e, current)
	text, ok := v.(string)
	if !ok {
		return false
	}
	compiled := c.compiled
	if compiled == nil {
		v, _ := c.pattern.value(e, current)
		source, ok := v.(string)
		if !ok {
			return false
		}
		if compiled = e.compile(source, c.whole); compiled == nil {
			return false
		}
	}
	return e.charge(1+compiled.cost(len(text))) && compiled.re.MatchString(text)
}
