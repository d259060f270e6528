package jsonpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parser reads one text from left to right; its methods are named for the
// productions of RFC 9535 appendix A.
type parser struct {
	text  string
	pos   int
	depth int
}

func (p *parser) fail(at int, format string, args ...any) error {
	return &SyntaxError{Offset: at, Text: p.text, Message: fmt.Sprintf(format, args...)}
}

// peek is the next byte, 0 at the end. A NUL in the text is no token either.
func (p *parser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

// take consumes the token if it is next.
func (p *parser) take(token string) bool {
	if strings.HasPrefix(p.text[p.pos:], token) {
		p.pos += len(token)
		return true
	}
	return false
}

// blanks skips S of the grammar.
func (p *parser) blanks() bool {
	start := p.pos
	for p.pos < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.pos]) >= 0 {
		p.pos++
	}
	return p.pos > start
}

// found names what stands at pos, for messages.
func (p *parser) found() string {
	if p.pos >= len(p.text) {
		return "the path ends"
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	return fmt.Sprintf("%q is there", string(r))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }

func isNameStart(c byte) bool {
	return isLower(c) || c >= 'A' && c <= 'Z' || c == '_' || c >= utf8.RuneSelf
}

// name reads member-name-shorthand; "" if there is none.
func (p *parser) name() string {
	start := p.pos
	for p.pos < len(p.text) {
		if c := p.text[p.pos]; !isNameStart(c) && (p.pos == start || !isDigit(c)) {
			break
		}
		p.pos++
	}
	return p.text[start:p.pos]
}

// maxInteger is the largest integer that I-JSON (RFC 7493) keeps exact.
const maxInteger = 1<<53 - 1

// integer reads int: no sign +, no leading zero, no -0.
func (p *parser) integer() (int64, error) {
	start := p.pos
	p.take("-")
	digits := p.pos
	for isDigit(p.peek()) {
		p.pos++
	}
	text := p.text[start:p.pos]
	switch {
	case p.pos == digits:
		return 0, p.fail(p.pos, "a whole number is needed here, but %s", p.found())
	case p.text[digits] == '0' && p.pos > digits+1:
		return 0, p.fail(start, "%s begins with a zero; write it without", clip(text, 40))
	case text == "-0":
		return 0, p.fail(start, "-0 is not an index; write 0")
	case p.peek() == '.' || p.peek() == 'e' || p.peek() == 'E':
		return 0, p.fail(start, "an index is a whole number, without fraction or exponent")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > maxInteger || n < -maxInteger {
		return 0, p.fail(start, "%s is out of range; integers go to %d", clip(text, 40), int64(maxInteger))
	}
	return n, nil
}

// quoted reads string-literal, with its quotes.
func (p *parser) quoted() (string, error) {
	start := p.pos
	quote := p.text[p.pos]
	p.pos++
	var b strings.Builder
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == quote:
			p.pos++
			return b.String(), nil
		case c == '\\':
			r, err := p.escape(quote)
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		case c < ' ':
			return "", p.fail(p.pos, "a control character inside a string must be written as an escape: \\u%04x", c)
		default:
			b.WriteByte(c)
			p.pos++
		}
	}
	return "", p.fail(start, "the string that begins here is not closed; %c is missing", quote)
}

// escape reads one escape sequence, a surrogate pair as one.
func (p *parser) escape(quote byte) (rune, error) {
	start := p.pos
	p.pos++
	c := p.peek()
	p.pos++
	switch c {
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case '/', '\\', quote:
		return rune(c), nil
	case 'u':
		return p.unicodeEscape(start)
	case 0:
		return 0, p.fail(start, "the path ends inside an escape")
	case '\'', '"':
		return 0, p.fail(start, "\\%c is not an escape inside %c…%c; write %c", c, quote, quote, c)
	}
	p.pos = start + 1
	return 0, p.fail(start, "a backslash may only be followed by b f n r t / \\ uXXXX or the quote, but %s; write \\\\ for a backslash", p.found())
}

func (p *parser) unicodeEscape(start int) (rune, error) {
	high, err := p.hex4(start)
	switch {
	case err != nil || !utf16.IsSurrogate(high):
		return high, err
	case high >= 0xDC00 || !p.take(`\u`):
		return 0, p.fail(start, "\\u%04X is half of a surrogate pair", high)
	}
	low, err := p.hex4(start)
	if err != nil {
		return 0, err
	}
	if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
		return r, nil
	}
	return 0, p.fail(start, "\\u%04X\\u%04X is not a surrogate pair", high, low)
}

func (p *parser) hex4(start int) (rune, error) {
	if p.pos+4 <= len(p.text) {
		// ParseUint takes no sign, and base 16 no prefix and no underscore.
		if n, err := strconv.ParseUint(p.text[p.pos:p.pos+4], 16, 32); err == nil {
			p.pos += 4
			return rune(n), nil
		}
	}
	return 0, p.fail(start, "\\u needs four hexadecimal digits")
}
