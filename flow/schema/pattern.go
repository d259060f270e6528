package schema

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/value"
)

// maxPattern bounds a pattern's length.
const maxPattern = 10_000

// compilePattern compiles an ECMA-262 pattern (with the flag u, as JSON Schema
// asks) for RE2. What RE2 cannot do, look-around and back references, is an
// error: leaving it out would let pass what the author forbade.
func compilePattern(source string) (*regexp.Regexp, error) {
	if len(source) > maxPattern {
		return nil, fmt.Errorf("pattern over %d bytes", maxPattern)
	}
	t := translator{source: source}
	if err := t.translate(); err != nil {
		return nil, fmt.Errorf("pattern %s: %w", value.Compact(source), err)
	}
	re, err := regexp.Compile(t.out.String())
	if err != nil {
		reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		if strings.Contains(reason, "invalid repeat count") {
			reason = "repeat counts over 1000 are not supported"
		}
		return nil, fmt.Errorf("pattern %s: %s", value.Compact(source), reason)
	}
	return re, nil
}

// What ECMA's classes mean, as the inside of an RE2 class. \s is Unicode's
// white space there and ASCII's in RE2.
const (
	spaces    = `\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`
	notSpaces = `\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}` +
		`\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}`
)

type translator struct {
	source string
	at     int
	out    strings.Builder
}

func (t *translator) translate() error {
	for t.at < len(t.source) {
		switch c := t.source[t.at]; {
		case c == '\\':
			if err := t.escape(false); err != nil {
				return err
			}
		case c == '[':
			if err := t.class(); err != nil {
				return err
			}
		case c == '(':
			if err := t.group(); err != nil {
				return err
			}
		case c == '.':
			t.out.WriteString(`[^\n\r\x{2028}\x{2029}]`)
			t.at++
		default:
			t.out.WriteByte(c)
			t.at++
		}
	}
	return nil
}

func (t *translator) group() error {
	rest := t.source[t.at:]
	for _, look := range []string{"(?=", "(?!", "(?<=", "(?<!"} {
		if strings.HasPrefix(rest, look) {
			return fmt.Errorf("look-around %s…) is not supported by RE2; say it with allOf and not instead", look)
		}
	}
	if strings.HasPrefix(rest, "(?P") {
		return fmt.Errorf("(?P…) is not ECMA-262; a named group is (?<name>…)")
	}
	t.out.WriteByte('(')
	t.at++
	return nil
}

// class translates [...].
func (t *translator) class() error {
	start := t.at
	t.at++
	negated := strings.HasPrefix(t.source[t.at:], "^")
	if negated {
		t.at++
	}
	if strings.HasPrefix(t.source[t.at:], "]") { // empty in ECMA, a member in RE2
		t.at++
		if negated {
			t.out.WriteString(`[\x{0}-\x{10ffff}]`)
		} else {
			t.out.WriteString(`[^\x{0}-\x{10ffff}]`)
		}
		return nil
	}
	t.out.WriteByte('[')
	if negated {
		t.out.WriteByte('^')
	}
	for t.at < len(t.source) {
		switch c := t.source[t.at]; c {
		case ']':
			t.out.WriteByte(']')
			t.at++
			return nil
		case '\\':
			if err := t.escape(true); err != nil {
				return err
			}
		case '[': // RE2 reads [: as the start of a POSIX class
			t.out.WriteString(`\[`)
			t.at++
		default:
			t.out.WriteByte(c)
			t.at++
		}
	}
	return fmt.Errorf("the class at byte %d is not closed", start)
}

// escape translates one backslash sequence.
func (t *translator) escape(inClass bool) error {
	rest := t.source[t.at+1:]
	if rest == "" {
		return fmt.Errorf("a lone \\ at the end")
	}
	write := func(text string, size int) error {
		t.out.WriteString(text)
		t.at += 1 + size
		return nil
	}
	switch c := rest[0]; {
	case c == 's' && inClass:
		return write(spaces, 1)
	case c == 'S' && inClass:
		return write(notSpaces, 1)
	case c == 's':
		return write("["+spaces+"]", 1)
	case c == 'S':
		return write("["+notSpaces+"]", 1)
	case c == 'b' && inClass:
		return write(`\x08`, 1)
	case (c == 'b' || c == 'B') && !inClass, strings.IndexByte("dDwWtnvfr", c) >= 0:
		return write(`\`+rest[:1], 1)
	}
	return t.rareEscape(rest, inClass)
}

// rareEscape translates the escapes that name a character or a property.
func (t *translator) rareEscape(rest string, inClass bool) error {
	write := func(text string, size int) error {
		t.out.WriteString(text)
		t.at += 1 + size
		return nil
	}
	switch c := rest[0]; {
	case c == 'c' && len(rest) > 1 && isLetter(rest[1]):
		return write(fmt.Sprintf(`\x{%x}`, rest[1]&31), 2)
	case c == '0' && (len(rest) == 1 || rest[1] < '0' || rest[1] > '9'):
		return write(`\x{0}`, 1)
	case c >= '0' && c <= '9' || c == 'k':
		return fmt.Errorf("the back reference \\%c is not supported by RE2", c)
	case c == 'x' && len(rest) >= 3:
		if n, err := strconv.ParseUint(rest[1:3], 16, 8); err == nil {
			return write(fmt.Sprintf(`\x{%x}`, n), 3)
		}
	case c == 'u':
		if r, size, ok := unicodeEscape(rest); ok {
			return write(fmt.Sprintf(`\x{%x}`, r), size)
		}
	case c == 'p' || c == 'P':
		end := strings.IndexByte(rest, '}')
		if strings.HasPrefix(rest[1:], "{") && end > 0 {
			name := rest[2:end]
			if _, script, ok := strings.Cut(name, "="); ok {
				name = script
			}
			return write(`\`+rest[:1]+`{`+name+`}`, end+1)
		}
	case c == '-' && inClass, strings.IndexByte(`^$\.*+?()[]{}|/`, c) >= 0:
		return write(`\`+rest[:1], 1)
	case c < utf8.RuneSelf && !isLetter(c):
		// With the flag u an error, without it the character itself: many
		// patterns in the wild escape '-', '@' or '"' outside of classes.
		return write(regexp.QuoteMeta(rest[:1]), 1)
	}
	return fmt.Errorf("unknown escape \\%s", firstRune(rest))
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func firstRune(s string) string {
	_, size := utf8.DecodeRuneInString(s)
	return s[:size]
}

// unicodeEscape reads u0041, u{1F600} or a pair of surrogates.
func unicodeEscape(s string) (r rune, size int, ok bool) {
	if strings.HasPrefix(s, "u{") {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return 0, 0, false
		}
		n, err := strconv.ParseUint(s[2:end], 16, 32)
		return rune(n), end + 1, err == nil && n <= utf8.MaxRune
	}
	unit := func(s string) (uint64, bool) {
		if len(s) < 5 || s[0] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(s[1:5], 16, 16)
		return n, err == nil
	}
	high, ok := unit(s)
	if !ok {
		return 0, 0, false
	}
	if high >= 0xD800 && high < 0xDC00 && strings.HasPrefix(s[5:], `\`) {
		if low, ok := unit(s[6:]); ok && low >= 0xDC00 && low < 0xE000 {
			return rune(0x10000 + (high-0xD800)<<10 + low - 0xDC00), 11, true
		}
	}
	return rune(high), 5, true
}
