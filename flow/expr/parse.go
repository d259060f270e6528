package expr

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// The parser knows # and .field only inside a predicate; an expression inside
// a quoted text inside a predicate is shown to it in one.
const (
	predicateOpen  = "any([],("
	predicateClose = "))"
)

// parsed is expr-lang's tree of a text with the way back to that text.
type parsed struct {
	text   string
	tokens []token
	root   ast.Node
	shift  int // runes before the first token
}

// parse gives the tree. inPredicate allows # at the top.
func parse(text string, tokens []token, inPredicate bool) (p *parsed, err error) {
	shown := render(tokens)
	p = &parsed{text: text, tokens: tokens}
	if inPredicate {
		shown = predicateOpen + shown + predicateClose
		p.shift = len(predicateOpen)
	}
	defer func() {
		// The last resort: a text that makes the parser panic is a text that
		// does not parse.
		if r := recover(); r != nil {
			p, err = nil, syntaxErrorf(source.CodeExpr, tokens[0].off, tokens[len(tokens)-1].end, "the expression does not parse")
		}
	}()
	tree, err := parser.Parse(shown)
	if err != nil {
		return nil, p.translate(err)
	}
	p.root = tree.Node
	if inPredicate {
		p.root = tree.Node.(*ast.BuiltinNode).Arguments[1].(*ast.PredicateNode).Node
	}
	return p, nil
}

// index is the token that stands at a location of the parser's text.
func (p *parsed) index(at file.Location) int {
	want := at.From - p.shift
	i := sort.Search(len(p.tokens), func(i int) bool { return p.tokens[i].rune > want })
	return max(i-1, 0)
}

// translate says the parser's error in our words, at our place.
func (p *parsed) translate(err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return syntaxErrorf(source.CodeExpr, p.tokens[0].off, p.tokens[len(p.tokens)-1].end, "%s", err)
	}
	last := p.tokens[len(p.tokens)-1]
	if strings.Contains(at.Message, "(EOF)") || strings.HasSuffix(at.Message, " EOF") || at.From-p.shift >= last.rune+len(last.text) {
		return syntaxErrorf(source.CodeExpr, last.off, last.end, "the expression ends too early, after %q", p.text[last.off:last.end])
	}
	i := p.index(at.Location)
	t := p.tokens[i]
	written := p.text[t.off:t.end]
	switch {
	case strings.HasPrefix(at.Message, "unexpected token"):
		return p.unexpected(i, t, written)
	case strings.HasPrefix(at.Message, "expected at least"):
		return syntaxErrorf(source.CodeExpr, t.off, t.end, "an argument is missing before %q", written)
	case strings.HasPrefix(at.Message, "Operator"):
		return syntaxErrorf(source.CodeExpr, t.off, t.end, "?? next to %s needs brackets", written).
			hint("write (a ?? b) %s c", written)
	case at.Message == "expected name":
		return syntaxErrorf(source.CodeExpr, t.off, t.end, "a name is expected after the dot, not %q", written)
	case strings.Contains(at.Message, "maximum allowed nodes"):
		return syntaxErrorf(source.CodeLimit, t.off, t.end, "the expression has too many parts")
	}
	return syntaxErrorf(source.CodeExpr, t.off, t.end, "%s", at.Message)
}

// spellings are operators of other languages and what they are here.
func spelling(word string) string {
	switch strings.ToLower(word) {
	case "=", "===", "equals", "equal", "eq":
		return "=="
	case "!==", "<>", "ne", "neq":
		return "!="
	case "gt":
		return ">"
	case "ge", "gte":
		return ">="
	case "lt":
		return "<"
	case "le", "lte":
		return "<="
	case "and", "&":
		return "and"
	case "or":
		return "or"
	case "not", "isnt", "isn":
		return "not"
	case "like", "match", "=~", "~":
		return "matches"
	case "includes", "include", "contain", "has":
		return "contains"
	case "startswith", "begins_with":
		return "starts_with"
	case "endswith":
		return "ends_with"
	case "exist", "present", "defined":
		return "exists"
	case "div":
		return "/"
	case "mod":
		return "%"
	}
	return ""
}

// operators are the words that may stand between operands or after one.
var operators = []string{"and", "or", "not", "in", "contains", "starts_with", "ends_with", "matches", "exists", "is"}

func (p *parsed) unexpected(i int, t token, written string) error {
	afterOperand := i > 0 && (p.tokens[i-1].kind == lexer.Identifier || p.tokens[i-1].kind == lexer.Number ||
		p.tokens[i-1].kind == lexer.String || p.tokens[i-1].is(")") || p.tokens[i-1].is("]") || p.tokens[i-1].is("}"))
	if t.kind == lexer.Identifier && t.mark == plain && afterOperand {
		e := syntaxErrorf(source.CodeName, t.off, t.end, "unknown operator %q", written)
		if s := spelling(written); s != "" {
			return e.hint("did you mean %q?", s)
		}
		if s := value.Closest(written, operators); s != "" {
			return e.hint("did you mean %q?", s)
		}
		return e.hint("names with spaces or hyphens are written in brackets: steps[\"a-b\"]")
	}
	e := syntaxErrorf(source.CodeExpr, t.off, t.end, "unexpected %s", quoteShort(written))
	switch {
	case t.is("="):
		e.advise("values are compared with ==")
	case spelling(written) != "":
		e.advise("did you mean %q?", spelling(written))
	case t.is("#") || t.is("."):
		e.advise("# and .field stand for the element inside filter, map, any, all and the like")
	case strings.HasPrefix(written, ".") && len(written) > 1:
		e.advise("an index is written in brackets: [%s]", written[1:])
	case t.kind == lexer.String && afterOperand, t.kind == lexer.Number && afterOperand:
		e.advise("an operator is missing before it")
	}
	return e
}

func quoteShort(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%q…", cut(s, 40))
	}
	return fmt.Sprintf("%q", s)
}

// cut shortens a text at a rune.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xC0 == 0x80 {
		limit--
	}
	return s[:limit]
}
