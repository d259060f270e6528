package expr

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"

	"github.com/testmesh/testmesh/flow/source"
)

// lex is expr-lang's lexer with byte offsets, base added.
func lex(text string, base int) ([]token, error) {
	raw, err := lexer.Lex(file.NewSource(text))
	offset := byteOffsets(text)
	if err != nil {
		return nil, lexError(err, text, base, offset)
	}
	tokens := make([]token, 0, len(raw))
	for _, t := range raw {
		if t.Kind != lexer.EOF {
			tokens = append(tokens, token{kind: t.Kind, text: t.Value, off: base + offset(t.From), end: base + offset(t.To), match: -1})
		}
	}
	return tokens, nil
}

// byteOffsets maps the lexer's rune positions to bytes.
func byteOffsets(text string) func(runes int) int {
	if utf8.RuneCountInString(text) == len(text) {
		return func(r int) int { return min(max(r, 0), len(text)) }
	}
	starts := make([]int, 0, len(text))
	for i := range text {
		starts = append(starts, i)
	}
	return func(r int) int {
		if r < 0 || len(starts) == 0 {
			return 0
		}
		if r >= len(starts) {
			return len(text)
		}
		return starts[r]
	}
}

func lexError(err error, text string, base int, offset func(int) int) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return syntaxErrorf(source.CodeExpr, base, base+len(text), "%s", err)
	}
	off := offset(at.From)
	end := max(offset(at.To), min(off+1, len(text)))
	switch {
	case strings.Contains(at.Message, "not terminated"):
		start := strings.LastIndexAny(text[:min(off+1, len(text))], "\"'`")
		if start < 0 {
			start = off
		}
		return syntaxErrorf(source.CodeExpr, base+start, base+len(text), "a quote is not closed").
			hint("write the same quote at the end; a quote inside is written \\\" or \\'")
	case strings.HasPrefix(at.Message, "unrecognized character"):
		e := syntaxErrorf(source.CodeExpr, base+off, base+end, "unexpected %q", text[off:end])
		if text[off:end] == "~" {
			return e.hint("a regular expression is tested with: text matches \"pattern\"")
		}
		return e
	case strings.Contains(at.Message, "escape"):
		return syntaxErrorf(source.CodeExpr, base+off, base+end, "a backslash with an unknown letter in a quoted text").
			hint("write two backslashes for one, or quote the text with backticks")
	}
	return syntaxErrorf(source.CodeExpr, base+off, base+end, "%s", at.Message)
}

// render writes the tokens for the parser and notes where each stands.
func render(tokens []token) string {
	var b strings.Builder
	runes := 0
	for i := range tokens {
		t := &tokens[i]
		if i > 0 && (t.off > tokens[i-1].end || t.mark != plain || tokens[i-1].mark != plain || wordy(t) && wordy(&tokens[i-1])) {
			b.WriteByte(' ')
			runes++
		}
		t.rune = runes
		text := t.text
		if t.kind == lexer.String {
			text = quote(t.text)
		} else if t.kind == lexer.Bytes {
			text = "b" + quoteBytes(t.text)
		}
		b.WriteString(text)
		runes += utf8.RuneCountInString(text)
	}
	return b.String()
}

func wordy(t *token) bool {
	return t.kind != lexer.Operator && t.kind != lexer.Bracket || t.text[0] >= 'a'
}

// quote writes any text as a raw string of the lexer.
func quote(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

func quoteBytes(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	b.WriteByte('"')
	return b.String()
}
