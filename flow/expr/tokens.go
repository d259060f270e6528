package expr

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/parser/lexer"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Bounds of a definition; a person's expressions are a hundredth of them.
const (
	maxText    = 64 << 10 // bytes of one expression or template
	maxTokens  = 20_000   // bounds the recursion of the parser
	maxNesting = 250      // open brackets at one place
)

// mark says that a token is not what the parser was shown.
type mark int

const (
	plain     mark = iota
	isKind         // the right side of ==: `x is string`; word is the kind
	isPresent      // the right side of ==: `x exists`
	aNumber        // an identifier that stands for a number literal
	aTemplate      // an identifier that stands for a string literal with placeholders
	aDefault       // an identifier that stands for ${NAME:text}
	countBy        // groupBy that counts
)

// token is one token as the parser sees it, with the bytes of the original
// text that it stands for.
type token struct {
	kind     lexer.Kind
	text     string // what the parser is shown
	off, end int    // in the original text
	mark     mark
	word     string // for marks: the kind, the number, the string's value
	match    int    // of a bracket: the index of its partner
	rune     int    // where the parser was shown it
}

func (t *token) is(text string) bool { return t.text == text && t.kind != lexer.String }

// syntaxErrorf makes a definition error at bytes [off,end).
func syntaxErrorf(code source.Code, off, end int, format string, args ...any) *SyntaxError {
	return &SyntaxError{Code: code, Offset: off, Length: max(end-off, 0), Message: fmt.Sprintf(format, args...)}
}

// advise says what to do; hint is the same for a return.
func (e *SyntaxError) advise(format string, args ...any) { e.Hint = fmt.Sprintf(format, args...) }

func (e *SyntaxError) hint(format string, args ...any) *SyntaxError {
	e.advise(format, args...)
	return e
}

// rewriter turns our spellings into tokens of expr-lang's grammar, one by one:
// `x is not null` is shown to the parser as `x != mark`, so that its own rules
// of precedence find what x is.
type rewriter struct {
	text     string
	tokens   []token // of the lexer, byte offsets
	out      []token
	i        int
	closers  []closer // open brackets of tokens
	defaults []fallback
}

// closer is an open bracket: what its end is shown as, and how many tokens it is.
type closer struct {
	shown string
	width int // 2 for }}
	open  int // index in out
	orig  string
}

// scan lexes text[from:to] and rewrites it. Offsets are of text.
func scan(text string, from, to int) ([]token, []fallback, error) {
	if to-from > maxText {
		return nil, nil, syntaxErrorf(source.CodeLimit, from, from+1, "an expression of %d bytes; at most %d are allowed", to-from, maxText)
	}
	masked, defaults, err := maskDefaults(text, from, to)
	if err != nil {
		return nil, nil, err
	}
	tokens, err := lex(masked, from)
	if err != nil {
		return nil, nil, err
	}
	if len(tokens) > maxTokens {
		return nil, nil, syntaxErrorf(source.CodeLimit, from, to, "an expression of %d words and signs; at most %d are allowed", len(tokens), maxTokens)
	}
	if len(tokens) == 0 {
		return nil, nil, syntaxErrorf(source.CodeExpr, from, to, "an expression is missing")
	}
	r := rewriter{text: text, tokens: tokens, defaults: defaults, out: make([]token, 0, len(tokens)+4)}
	if err := r.run(); err != nil {
		return nil, nil, err
	}
	return r.out, defaults, nil
}

// operand tells whether the last shown token ends an operand, so that a word
// after it is an operator.
func (r *rewriter) operand() bool {
	if len(r.out) == 0 {
		return false
	}
	t := &r.out[len(r.out)-1]
	switch t.kind {
	case lexer.Identifier, lexer.Number, lexer.String, lexer.Bytes:
		return true
	case lexer.Bracket:
		return t.text == ")" || t.text == "]" || t.text == "}"
	}
	return t.is("#") || r.property(len(r.out)-1)
}

// property tells whether shown token i is a member name: after a dot.
func (r *rewriter) property(i int) bool {
	return i > 0 && (r.out[i-1].is(".") || r.out[i-1].is("?."))
}

func (r *rewriter) at(i int) *token {
	if i < len(r.tokens) {
		return &r.tokens[i]
	}
	return &token{off: len(r.text), end: len(r.text)}
}

func (r *rewriter) show(t token) { r.out = append(r.out, t) }

func (r *rewriter) run() error {
	for r.i < len(r.tokens) {
		t := r.tokens[r.i]
		var err error
		switch {
		case r.property(len(r.out)) && (t.kind == lexer.Identifier || t.kind == lexer.Operator && t.text[0] >= 'a'):
			r.show(t)
			r.i++
		case t.kind == lexer.Bracket:
			err = r.bracket(t)
		case t.kind == lexer.Number:
			r.number(t)
		case t.kind == lexer.String:
			r.str(t)
		case t.kind == lexer.Identifier || t.is("not"):
			err = r.word(t)
		default:
			r.show(t)
			r.i++
		}
		if err != nil {
			return err
		}
	}
	if n := len(r.closers); n > 0 {
		open := r.out[r.closers[n-1].open]
		return syntaxErrorf(source.CodeExpr, open.off, open.end, "%q is not closed", r.text[open.off:open.end])
	}
	return nil
}

func (r *rewriter) bracket(t token) error {
	next := r.at(r.i + 1)
	switch {
	case t.text == "{" && next.is("{") && next.off == t.end && !r.isMap(r.i+1):
		return r.open(token{kind: lexer.Bracket, text: "(", off: t.off, end: next.end}, closer{shown: ")", width: 2, orig: "}"}, 2)
	case t.text == "{":
		return r.open(t, closer{shown: "}", width: 1, orig: "}"}, 1)
	case t.text == "(":
		return r.open(t, closer{shown: ")", width: 1, orig: ")"}, 1)
	case t.text == "[":
		return r.open(t, closer{shown: "]", width: 1, orig: "]"}, 1)
	}
	n := len(r.closers)
	if n == 0 || r.closers[n-1].orig != t.text {
		e := syntaxErrorf(source.CodeExpr, t.off, t.end, "%q closes nothing", t.text)
		if n > 0 {
			open := r.out[r.closers[n-1].open]
			e.advise("%q is still open", r.text[open.off:open.end])
		}
		return e
	}
	c := r.closers[n-1]
	end := t.end
	if c.width == 2 {
		if !next.is("}") || next.off != t.end {
			return syntaxErrorf(source.CodeExpr, t.off, t.end, "a placeholder that begins with {{ ends with }}")
		}
		end = next.end
	}
	r.closers = r.closers[:n-1]
	r.out[c.open].match = len(r.out)
	r.show(token{kind: lexer.Bracket, text: c.shown, off: t.off, end: end, match: c.open})
	r.i += c.width
	return nil
}

func (r *rewriter) open(t token, c closer, width int) error {
	if len(r.closers) == maxNesting {
		return syntaxErrorf(source.CodeLimit, t.off, t.end, "brackets nest deeper than %d", maxNesting)
	}
	c.open = len(r.out)
	r.closers = append(r.closers, c)
	r.show(t)
	r.i += width
	return nil
}

// isMap tells whether the bracket at i opens a map: `{{a: 1}}` in a predicate
// is one, `{{ a }}` is a placeholder.
func (r *rewriter) isMap(i int) bool {
	key, colon := r.at(i+1), r.at(i+2)
	if key.is("}") {
		return true
	}
	return colon.is(":") && (key.kind == lexer.Identifier || key.kind == lexer.String || key.kind == lexer.Number)
}

// mapKey tells whether the token at hand is a key of a map.
func (r *rewriter) mapKey() bool {
	if len(r.out) == 0 || len(r.closers) == 0 || r.closers[len(r.closers)-1].shown != "}" {
		return false
	}
	last := &r.out[len(r.out)-1]
	return (last.is("{") || last.is(",")) && r.at(r.i+1).is(":")
}

// number shows integers of the parser's kind as they are and everything else
// as a name: its own reading would lose digits.
func (r *rewriter) number(t token) {
	r.i++
	small := len(t.text) <= 18
	for i := 0; i < len(t.text); i++ {
		small = small && t.text[i] >= '0' && t.text[i] <= '9'
	}
	if !small && !(len(r.out) > 0 && r.at(r.i).is(":") && r.mapKeyBefore()) {
		t.kind, t.mark, t.word, t.text = lexer.Identifier, aNumber, t.text, "__number"
	}
	r.show(t)
}

func (r *rewriter) mapKeyBefore() bool {
	r.i--
	defer func() { r.i++ }()
	return r.mapKey()
}

func (r *rewriter) str(t token) {
	key := r.mapKey()
	r.i++
	if !key && (strings.Contains(t.text, "${") || strings.Contains(t.text, "{{")) {
		t.kind, t.mark, t.word, t.text = lexer.Identifier, aTemplate, t.text, "__text"
	}
	r.show(t)
}

// kinds are the words after `is`, with the kinds that they mean.
func kindWord(word string) (value.Kind, bool) {
	switch word {
	case "null", "nil":
		return value.Null, true
	case "boolean", "bool":
		return value.Boolean, true
	case "number":
		return value.Number, true
	case "integer", "int":
		return "integer", true
	case "string":
		return value.String, true
	case "array", "list":
		return value.Array, true
	case "object", "map":
		return value.Object, true
	}
	return "", false
}

func (r *rewriter) word(t token) error {
	next := r.at(r.i + 1)
	switch {
	case t.text == "$" && next.is("{") && next.off == t.end:
		return r.open(token{kind: lexer.Bracket, text: "(", off: t.off, end: next.end}, closer{shown: ")", width: 1, orig: "}"}, 2)
	case r.mapKey():
	case t.text == "exists" && r.operand():
		r.postfix("==", 1, token{mark: isPresent, text: "__exists"})
		return nil
	case t.text == "not" && r.operand() && next.is("exists"):
		r.postfix("!=", 2, token{mark: isPresent, text: "__exists"})
		return nil
	case t.text == "is" && r.operand():
		return r.is()
	case t.text == "starts_with" && (r.operand() || r.lastIs("not")):
		t.kind, t.text = lexer.Operator, "startsWith"
	case t.text == "ends_with" && (r.operand() || r.lastIs("not")):
		t.kind, t.text = lexer.Operator, "endsWith"
	case t.text == "null":
		t.text = "nil"
	case t.text == "countBy" && next.is("("):
		t.text, t.mark = "groupBy", countBy
	case strings.HasPrefix(t.text, defaultName):
		if d := r.fallbackAt(t.off); d >= 0 {
			t.mark, t.word, t.end = aDefault, strconv.Itoa(d), r.defaults[d].end
		}
	case strings.Contains(t.text, "$"):
		e := syntaxErrorf(source.CodeExpr, t.off, t.end, "%q is not a name", t.text)
		if t.text == "$" {
			return e.hint("a JSONPath stands alone in output, transforms, operations and items; elsewhere write jsonpath(result, \"$...\")")
		}
		return e.hint("a placeholder inside an expression is ${name} or just name")
	}
	r.show(t)
	r.i++
	return nil
}

func (r *rewriter) lastIs(text string) bool {
	return len(r.out) > 0 && r.out[len(r.out)-1].is(text)
}

// postfix shows the next width words as a comparison with a mark.
func (r *rewriter) postfix(operator string, width int, right token) {
	first, last := r.at(r.i), r.at(r.i+width-1)
	r.show(token{kind: lexer.Operator, text: operator, off: first.off, end: last.end})
	right.kind, right.off, right.end = lexer.Identifier, first.off, last.end
	r.show(right)
	r.i += width
}

func (r *rewriter) is() error {
	operator, width := "==", 2
	if r.at(r.i + 1).is("not") {
		operator, width = "!=", 3
	}
	t := *r.at(r.i + width - 1)
	kind, ok := kindWord(t.text)
	if !ok || t.kind != lexer.Identifier {
		end := max(t.end, r.at(r.i).end)
		e := syntaxErrorf(source.CodeName, min(t.off, end), end, "unknown kind %q after is", r.text[min(t.off, end):t.end])
		if near := value.Closest(t.text, []string{"null", "string", "number", "integer", "boolean", "array", "object"}); near != "" {
			return e.hint("did you mean %q?", near)
		}
		return e.hint("the kinds are null, string, number, integer, boolean, array, object; values are compared with ==")
	}
	r.postfix(operator, width, token{mark: isKind, word: string(kind), text: "__kind"})
	return nil
}

func (r *rewriter) fallbackAt(off int) int {
	for i := range r.defaults {
		if r.defaults[i].off == off {
			return i
		}
	}
	return -1
}
