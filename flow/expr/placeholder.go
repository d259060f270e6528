package expr

import (
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"

	"github.com/testmesh/testmesh/flow/source"
)

// placeholderEnd is where the closing braces of the placeholder that opens at
// off stand. Braces in quotes and of maps are not them, so the lexer looks.
func placeholderEnd(text string, off int, closing string) (int, error) {
	from := off + 2
	if i := strings.IndexAny(text[from:], "}\"'`{/"); i >= 0 && strings.HasPrefix(text[from+i:], closing) {
		return from + i, nil
	}
	l := lexer.New()
	l.Reset(file.NewSource(text[from:]))
	var open []string
	at := cursor{text: text[from:]}
	for {
		t, err := l.Next()
		if err != nil {
			return 0, unclosed(text, off, closing, err)
		}
		if t.Kind == lexer.EOF {
			return 0, unclosed(text, off, closing, nil)
		}
		if t.Kind != lexer.Bracket {
			continue
		}
		switch t.Value {
		case "(", "[", "{":
			if open = append(open, t.Value); len(open) > maxNesting {
				return 0, syntaxErrorf(source.CodeLimit, off, off+2, "brackets nest deeper than %d", maxNesting)
			}
			continue
		}
		if len(open) > 0 {
			open = open[:len(open)-1]
			continue
		}
		place := from + at.byteOf(t.From)
		if strings.HasPrefix(text[place:], closing) {
			return place, nil
		}
		return 0, syntaxErrorf(source.CodeExpr, place, place+1, "unexpected %q in a placeholder", t.Value).
			hint("the placeholder at the start ends with %s; for literal braces write $${ or \\{{", closing)
	}
}

func unclosed(text string, off int, closing string, err error) error {
	end := min(off+2, len(text))
	e := syntaxErrorf(source.CodeExpr, off, end, "the placeholder is not closed")
	e.advise("end it with %s; for literal braces write $${ or \\{{", closing)
	if err != nil && !strings.Contains(err.Error(), "terminated") {
		e.Message = "the placeholder is not an expression"
	}
	return e
}

// cursor turns the lexer's rune positions into bytes, going forward only.
type cursor struct {
	text        string
	byte, runes int
}

func (c *cursor) byteOf(runes int) int {
	for c.runes < runes && c.byte < len(c.text) {
		_, size := utf8.DecodeRuneInString(c.text[c.byte:])
		c.byte += size
		c.runes++
	}
	return c.byte
}
