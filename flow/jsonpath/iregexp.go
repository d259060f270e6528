package jsonpath

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxPattern bounds the text of a regular expression.
	maxPattern = 4096
	// maxProgram bounds what it compiles to, roughly in instructions.
	maxProgram = 5000
	// maxRepeat is RE2's bound of {n,m}.
	maxRepeat = 1000
	// maxPatterns is how many patterns that come from documents one evaluation
	// keeps compiled.
	maxPatterns = 64
)

// pattern is a compiled I-Regexp.
type pattern struct {
	re   *regexp.Regexp
	size int // roughly, in instructions
}

type patternKey struct {
	text  string
	whole bool
}

// cost is how many visits it takes to match a text of so many bytes, at worst:
// RE2 may look at every instruction for every byte.
func (p *pattern) cost(bytes int) int { return bytes * (4 + p.size) / 32 }

// compile makes a pattern that matches a whole text, or is searched in it.
func compile(text string, whole bool) (*pattern, error) {
	source, size, err := translate(text)
	if err != nil {
		return nil, err
	}
	if whole {
		source = `\A(?:` + source + `)\z`
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, fmt.Errorf("the regular expression nests too deep or is too large")
	}
	return &pattern{re, size}, nil
}

// compile is for patterns that come from the document; nil for what is not an
// I-Regexp, which matches nothing.
func (e *evaluation) compile(text string, whole bool) *pattern {
	key := patternKey{text, whole}
	if p, ok := e.patterns[key]; ok {
		return p
	}
	if !e.charge(len(text)) {
		return nil
	}
	p, err := compile(text, whole)
	if err != nil {
		p = nil
	} else {
		e.charge(p.size * bytesPerVisit)
	}
	if e.patterns == nil || len(e.patterns) >= maxPatterns {
		e.patterns = make(map[patternKey]*pattern)
	}
	e.patterns[key] = p
	return p
}

// translator reads I-Regexp (RFC 9485 section 4) and writes RE2 as section 5.4
// says. It checks, as the RFC recommends: what other implementations would read
// differently is refused.
type translator struct {
	text string
	pos  int
	out  strings.Builder
}

func translate(text string) (source string, size int, err error) {
	if len(text) > maxPattern {
		return "", 0, fmt.Errorf("the regular expression is over %d bytes", maxPattern)
	}
	if !utf8.ValidString(text) {
		return "", 0, fmt.Errorf("the regular expression is not valid UTF-8")
	}
	t := translator{text: text}
	if size, err = t.alternatives(); err != nil {
		return "", 0, err
	}
	if t.pos < len(t.text) { // only a ) ends the alternatives early
		return "", 0, fmt.Errorf("the regular expression closes a ) that it does not open")
	}
	return t.out.String(), size, nil
}

func (t *translator) next() byte {
	if t.pos < len(t.text) {
		return t.text[t.pos]
	}
	return 0
}

// alternatives reads i-regexp up to its end or a closing parenthesis.
func (t *translator) alternatives() (size int, err error) {
	for t.pos < len(t.text) && t.text[t.pos] != ')' {
		if t.next() == '|' {
			t.pos++
			t.out.WriteByte('|')
			size++
			continue
		}
		atom, err := t.atom()
		if err != nil {
			return 0, err
		}
		before := t.pos
		times, err := t.quantifier()
		if err != nil {
			return 0, err
		}
		if t.pos > before {
			size++ // the loop or the choice
		}
		if size += atom * times; size > maxProgram {
			return 0, fmt.Errorf("the regular expression is too large")
		}
	}
	return size, nil
}

func (t *translator) atom() (size int, err error) {
	switch c := t.text[t.pos]; c {
	case '(':
		return t.group()
	case '[':
		return 2, t.class()
	case '.':
		t.pos++
		t.out.WriteString(`[^\n\r]`)
		return 1, nil
	case '^', '$':
		// Section 5 maps them as they are, so that they are anchors.
		t.pos++
		t.out.WriteByte(c)
		return 1, nil
	case '\\':
		if t.property() {
			return 2, nil
		}
		r, err := t.escaped()
		if err != nil {
			return 0, err
		}
		t.write(r)
		return 1, nil
	case '*', '+', '?', '{':
		return 0, fmt.Errorf("the regular expression has a %c with nothing before it to repeat; a %[1]c itself is written \\%[1]c", c)
	case '}', ']':
		return 0, fmt.Errorf("the regular expression has a %c that closes nothing; a %[1]c itself is written \\%[1]c", c)
	}
	t.write(t.rune())
	return 1, nil
}

func (t *translator) group() (int, error) {
	t.pos++
	if t.next() == '?' {
		return 0, fmt.Errorf("I-Regexp has no (?…): groups are ( ), without flags")
	}
	t.out.WriteString("(?:")
	size, err := t.alternatives()
	if err != nil {
		return 0, err
	}
	if t.next() != ')' {
		return 0, fmt.Errorf("the regular expression has a ( that is not closed")
	}
	t.pos++
	t.out.WriteByte(')')
	return max(size, 1), nil
}

// quantifier reads what may follow an atom and says how often it is written out.
func (t *translator) quantifier() (times int, err error) {
	start := t.pos
	times = 1
	switch t.next() {
	case '*', '+', '?':
		t.pos++
	case '{':
		t.pos++
		low, err := t.count()
		if err != nil {
			return 0, err
		}
		times = low
		if t.next() == ',' {
			t.pos++
			if t.next() != '}' {
				if times, err = t.count(); err != nil {
					return 0, err
				}
				if times < low {
					return 0, fmt.Errorf("the regular expression repeats {%d,%d}, the larger number first", low, times)
				}
			}
		}
		if t.next() != '}' {
			return 0, fmt.Errorf("the regular expression has a { that is not closed")
		}
		t.pos++
	default:
		return 1, nil
	}
	t.out.WriteString(t.text[start:t.pos])
	if t.next() == '?' {
		return 0, fmt.Errorf("I-Regexp has no lazy %s?; whether it matches does not depend on it", t.text[start:t.pos])
	}
	return max(times, 1), nil
}

func (t *translator) count() (int, error) {
	start := t.pos
	for isDigit(t.next()) {
		t.pos++
	}
	n, err := strconv.Atoi(t.text[start:t.pos])
	switch {
	case t.pos == start:
		return 0, fmt.Errorf("the regular expression has a { without a number; a { itself is written \\{")
	case err != nil || n > maxRepeat:
		return 0, fmt.Errorf("the regular expression repeats more than %d times", maxRepeat)
	}
	return n, nil
}

// class reads charClassExpr.
func (t *translator) class() error {
	t.pos++
	t.out.WriteByte('[')
	if t.next() == '^' {
		t.pos++
		t.out.WriteByte('^')
	}
	for first := true; ; first = false {
		switch {
		case t.pos == len(t.text):
			return fmt.Errorf("the regular expression has a [ that is not closed")
		case t.next() == ']' && first:
			return fmt.Errorf("the regular expression has an empty [ ]; a ] itself is written \\]")
		case t.next() == ']':
			t.pos++
			t.out.WriteByte(']')
			return nil
		case t.next() == '-':
			t.pos++
			if !first && t.next() != ']' {
				return fmt.Errorf("the regular expression has a - inside [ ] that is neither a range nor at an end; a - itself is written \\-")
			}
			t.out.WriteString(`\-`)
		case t.property():
		default:
			if err := t.classRange(); err != nil {
				return err
			}
		}
	}
}

// classRange reads one character of a class, or two with - between.
func (t *translator) classRange() error {
	low, err := t.classRune()
	if err != nil {
		return err
	}
	t.write(low)
	if t.next() != '-' || strings.HasPrefix(t.text[t.pos:], "-]") {
		return nil
	}
	t.pos++
	if t.pos == len(t.text) {
		return fmt.Errorf("the regular expression has a [ that is not closed")
	}
	high, err := t.classRune()
	if err != nil {
		return err
	}
	if high < low {
		return fmt.Errorf("the regular expression has a range %c-%c, the larger character first", low, high)
	}
	t.out.WriteByte('-')
	t.write(high)
	return nil
}

func (t *translator) classRune() (rune, error) {
	switch c := t.next(); c {
	case '\\':
		return t.escaped()
	case '[', '-':
		return 0, fmt.Errorf("the regular expression has a %c inside [ ]; a %[1]c itself is written \\%[1]c", c)
	}
	return t.rune(), nil
}

func (t *translator) rune() rune {
	r, size := utf8.DecodeRuneInString(t.text[t.pos:])
	t.pos += size
	return r
}

// escaped reads SingleCharEsc. `\$` is no escape of the RFC, but since section 5
// makes an anchor of $, there has to be one.
func (t *translator) escaped() (rune, error) {
	t.pos++
	if t.pos == len(t.text) {
		return 0, fmt.Errorf("the regular expression ends with a backslash")
	}
	switch r := t.rune(); r {
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case '(', ')', '*', '+', '-', '.', '?', '[', '\\', ']', '^', '{', '|', '}', '$':
		return r, nil
	case 'd':
		return 0, fmt.Errorf(`I-Regexp has no \d; write [0-9]`)
	case 'w':
		return 0, fmt.Errorf(`I-Regexp has no \w; write [A-Za-z0-9_]`)
	case 's':
		return 0, fmt.Errorf(`I-Regexp has no \s; write [ \t\n\r]`)
	case 'b':
		return 0, fmt.Errorf(`I-Regexp has no \b; spell out what may stand before and after`)
	case 'p', 'P':
		return 0, fmt.Errorf(`\%c is followed by a general category of Unicode in braces: \p{L}, \p{Lu}, \p{Nd}`, r)
	default:
		return 0, fmt.Errorf(`I-Regexp has no \%c`, r)
	}
}

// property reads catEsc and complEsc; false, and nothing read, for anything else.
func (t *translator) property() bool {
	rest := t.text[t.pos:]
	if !strings.HasPrefix(rest, `\p{`) && !strings.HasPrefix(rest, `\P{`) {
		return false
	}
	end := strings.IndexByte(rest, '}')
	if end < 4 || end > 5 {
		return false
	}
	minor, ok := "", true
	switch rest[3] {
	case 'L':
		minor = "lmotu"
	case 'M':
		minor = "cen"
	case 'N':
		minor = "dlo"
	case 'P':
		minor = "cdefios"
	case 'Z':
		minor = "lps"
	case 'S':
		minor = "ckmo"
	case 'C':
		minor = "cfno"
	default:
		ok = false
	}
	if !ok || end == 5 && strings.IndexByte(minor, rest[4]) < 0 {
		return false
	}
	t.out.WriteString(rest[:end+1])
	t.pos += end + 1
	return true
}

// write writes one character that stands for itself.
func (t *translator) write(r rune) {
	if isNameStart(byte(min(r, utf8.RuneSelf))) || r <= '9' && r >= '0' {
		t.out.WriteRune(r)
		return
	}
	fmt.Fprintf(&t.out, `\x{%x}`, r)
}
