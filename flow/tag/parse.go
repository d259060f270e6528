package tag

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/value"
)

const (
	// MaxText bounds an expression, in bytes.
	MaxText = 4096
	// MaxDepth bounds how deep parentheses and negations nest.
	MaxDepth = 100
)

// SyntaxError says why a text is not a tag expression.
type SyntaxError struct {
	Offset  int    // in bytes into Text
	Text    string // the whole expression
	Message string // a sentence for a person
	Hint    string // what to write instead, or ""
}

func (e *SyntaxError) Error() string {
	text := fmt.Sprintf("tag expression %q, at byte %d: %s", clip(e.Text), e.Offset, e.Message)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Parse reads an expression. `,` `||` `or` join alternatives, `+` `&&` `and`
// bind tighter, `!` `not` tightest; words in any case. Every error is a
// *SyntaxError.
func Parse(text string) (*Expr, error) {
	p := parser{text: text}
	if len(text) > MaxText {
		return nil, p.fail(MaxText, "", "the expression is longer than %d bytes", MaxText)
	}
	if !utf8.ValidString(text) {
		return nil, p.fail(firstInvalid(text), "", "the expression is not valid UTF-8")
	}
	p.next()
	if p.token == end {
		return nil, p.fail(0, "name a tag: smoke", "the expression is empty")
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	switch p.token {
	case end:
		return e, nil
	case closing:
		return nil, p.fail(p.at, "", "this ) closes nothing")
	case word, not, opening:
		return nil, p.fail(p.at, "join tags with , (or) or + (and)", "an operator is missing before %s", p.found())
	}
	return nil, p.unexpected()
}

func firstInvalid(text string) int {
	for at, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[at:]); size == 1 {
				return at
			}
		}
	}
	return len(text)
}

type token uint8

const (
	end token = iota
	word
	or
	and
	not
	opening
	closing
	unknown
)

// parser holds one token ahead: its kind, where it begins and its text.
type parser struct {
	text  string
	pos   int
	depth int
	token token
	at    int
	lit   string
}

func (p *parser) fail(at int, hint, format string, args ...any) error {
	return &SyntaxError{Offset: at, Text: p.text, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func (p *parser) next() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
	p.at, p.token = p.pos, unknown
	if p.pos == len(p.text) {
		p.token, p.lit = end, ""
		return
	}
	for p.pos < len(p.text) && isWord(p.text[p.pos]) {
		p.pos++
	}
	if p.lit = p.text[p.at:p.pos]; p.lit != "" {
		switch strings.ToLower(p.lit) {
		case "or":
			p.token = or
		case "and":
			p.token = and
		case "not":
			p.token = not
		default:
			p.token = word
		}
		return
	}
	rest := p.text[p.at:]
	_, size := utf8.DecodeRuneInString(rest)
	switch {
	case strings.HasPrefix(rest, "||"):
		p.token, size = or, 2
	case strings.HasPrefix(rest, "&&"):
		p.token, size = and, 2
	case rest[0] == ',':
		p.token = or
	case rest[0] == '+':
		p.token = and
	case rest[0] == '!':
		p.token = not
	case rest[0] == '(':
		p.token = opening
	case rest[0] == ')':
		p.token = closing
	}
	p.pos += size
	p.lit = rest[:size]
}

// isWord takes letters of other alphabets in too, so that a message can name
// the whole word.
func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '_' || c == '-' || c == ':' || c >= utf8.RuneSelf
}

func (p *parser) found() string {
	if p.token == end {
		return "the end"
	}
	return fmt.Sprintf("%q", clip(p.lit))
}

// unexpected says what is wrong with a token that can stand nowhere here.
func (p *parser) unexpected() error {
	hint := ""
	switch p.lit {
	case "*", "?":
		hint = "a tag is written out; there are no wildcards"
	case "&", "|":
		hint = "write " + p.lit + p.lit
	case "\"", "'":
		hint = "tags are written without quotes"
	case "@", "#":
		hint = "tags are written without " + p.lit
	case ";", "/":
		hint = "join tags with , (or) or + (and)"
	}
	return p.fail(p.at, hint, "unexpected %s", p.found())
}

func (p *parser) or() (*Expr, error) { return p.chain(or, isOr, p.and) }

func (p *parser) and() (*Expr, error) { return p.chain(and, isAnd, p.not) }

func (p *parser) chain(operator token, k kind, part func() (*Expr, error)) (*Expr, error) {
	var parts []*Expr
	for {
		e, err := part()
		if err != nil {
			return nil, err
		}
		parts = append(parts, e)
		if p.token != operator {
			return join(k, parts), nil
		}
		p.next()
	}
}

func (p *parser) not() (*Expr, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > MaxDepth {
		return nil, p.fail(p.at, "", "the expression nests deeper than %d", MaxDepth)
	}
	switch p.token {
	case not:
		p.next()
		e, err := p.not()
		if err != nil {
			return nil, err
		}
		return negate(e), nil
	case opening:
		return p.parenthesized()
	case word:
		return p.tag()
	case unknown:
		return nil, p.unexpected()
	}
	return nil, p.fail(p.at, "", "a tag is missing before %s", p.found())
}

func (p *parser) parenthesized() (*Expr, error) {
	open := p.at
	p.next()
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	switch p.token {
	case closing:
		p.next()
		return e, nil
	case end:
		return nil, p.fail(open, "", "this ( is not closed")
	case unknown:
		return nil, p.unexpected()
	}
	return nil, p.fail(p.at, "join tags with , (or) or + (and)", "an operator is missing before %s", p.found())
}

// tag reads a name. One that no flow can carry is an error, since the
// expression would silently select nothing, or exclude nothing.
func (p *parser) tag() (*Expr, error) {
	name := p.lit
	if problem := checkName(name); problem != "" {
		hint := ""
		if i := strings.IndexByte(name, ':'); i >= 0 && reservedPrefix(name) == "" {
			if near := value.Closest(name[:i+1], reserved[:]); near != "" {
				hint = fmt.Sprintf("did you mean %s%s?", near, clip(name[i+1:]))
			}
		}
		return nil, p.fail(p.at, hint, "%q is not a tag: %s", clip(name), problem)
	}
	p.next()
	return &Expr{kind: isTag, name: name}, nil
}
