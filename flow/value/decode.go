package value

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth bounds how deep a decoded document may nest.
const MaxDepth = 1000

// Decode reads one JSON document (RFC 8259) with every number exact. Duplicate
// keys are an error, since which one a system reads is anyone's guess; invalid
// UTF-8 is replaced by U+FFFD as browsers do.
//
// The decoder is our own because it is on the path of every step: it makes the
// values of the model at once, where a tokenizer would make them twice.
func Decode(text []byte) (any, error) { return decode(text, false) }

// DecodeLenient is Decode for what a system answered: of duplicate keys the
// last wins, as in every common client.
func DecodeLenient(text []byte) (any, error) { return decode(text, true) }

func decode(text []byte, duplicates bool) (any, error) {
	d := decoder{text: text, duplicates: duplicates}
	d.blanks()
	v, err := d.value(0)
	if err == nil {
		d.blanks()
		if d.at < len(text) {
			err = fmt.Errorf("more text after the document, at byte %d", d.at)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("decode JSON: %w", err)
	}
	return v, nil
}

// decoder is one document being read.
type decoder struct {
	text       []byte
	at         int
	duplicates bool // of two equal keys the last wins
	keys       [64]string
}

func (d *decoder) blanks() {
	for d.at < len(d.text) {
		switch d.text[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// unexpected says what stands where it has no place.
func (d *decoder) unexpected(want string) error {
	if d.at >= len(d.text) {
		return fmt.Errorf("the document ends early, at byte %d", len(d.text))
	}
	r, _ := utf8.DecodeRune(d.text[d.at:])
	return fmt.Errorf("unexpected %q at byte %d, want %s", r, d.at, want)
}

func (d *decoder) value(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	if d.at >= len(d.text) {
		return nil, d.unexpected("a value")
	}
	switch c := d.text[d.at]; c {
	case '{':
		return d.object(depth)
	case '[':
		return d.array(depth)
	case '"':
		return d.string()
	case 't':
		return true, d.word("true")
	case 'f':
		return false, d.word("false")
	case 'n':
		return nil, d.word("null")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return d.number()
		}
	}
	return nil, d.unexpected("a value")
}

func (d *decoder) word(word string) error {
	for i := 0; i < len(word); i++ {
		if d.at >= len(d.text) || d.text[d.at] != word[i] {
			return d.unexpected(word)
		}
		d.at++
	}
	return nil
}

// number reads the longest run that the grammar of numbers accepts.
func (d *decoder) number() (any, error) {
	start := d.at
	negative := d.text[d.at] == '-'
	if negative {
		d.at++
	}
	digits := d.at
	var n int64
	for d.at < len(d.text) && d.text[d.at] >= '0' && d.text[d.at] <= '9' {
		n = n*10 + int64(d.text[d.at]-'0') // overflows past 18 digits, which are read below
		d.at++
	}
	switch {
	case d.at == digits:
		return nil, d.unexpected("a digit")
	case d.text[digits] == '0' && d.at > digits+1:
		d.at = digits + 1 // a leading zero ends the number: what follows is more text
		n = 0
	}
	if whole := d.at >= len(d.text) || d.text[d.at] != '.' && d.text[d.at] != 'e' && d.text[d.at] != 'E'; whole && d.at-digits <= 18 {
		if negative {
			n = -n
		}
		if n != 0 || !negative {
			return n, nil
		}
	}
	if err := d.fraction(); err != nil {
		return nil, err
	}
	return ParseNumber(string(d.text[start:d.at]))
}

// fraction reads what may follow the digits of an integer.
func (d *decoder) fraction() error {
	run := func() error {
		from := d.at
		for d.at < len(d.text) && d.text[d.at] >= '0' && d.text[d.at] <= '9' {
			d.at++
		}
		if d.at == from {
			return d.unexpected("a digit")
		}
		return nil
	}
	if d.at < len(d.text) && d.text[d.at] == '.' {
		d.at++
		if err := run(); err != nil {
			return err
		}
	}
	if d.at < len(d.text) && (d.text[d.at] == 'e' || d.text[d.at] == 'E') {
		d.at++
		if d.at < len(d.text) && (d.text[d.at] == '+' || d.text[d.at] == '-') {
			d.at++
		}
		return run()
	}
	return nil
}

func (d *decoder) array(depth int) (any, error) {
	d.at++
	list := []any{}
	d.blanks()
	if d.at < len(d.text) && d.text[d.at] == ']' {
		d.at++
		return list, nil
	}
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if done, err := d.next(']'); done || err != nil {
			return list, err
		}
	}
}

// next reads the comma before another element, or the end.
func (d *decoder) next(end byte) (done bool, err error) {
	d.blanks()
	if d.at >= len(d.text) || d.text[d.at] != ',' && d.text[d.at] != end {
		return false, d.unexpected("a comma or " + string(end))
	}
	done = d.text[d.at] == end
	d.at++
	if !done {
		d.blanks()
	}
	return done, nil
}

func (d *decoder) object(depth int) (any, error) {
	d.at++
	m := make(map[string]any)
	d.blanks()
	if d.at < len(d.text) && d.text[d.at] == '}' {
		d.at++
		return m, nil
	}
	for {
		if d.at >= len(d.text) || d.text[d.at] != '"' {
			return nil, d.unexpected("a key in double quotes")
		}
		place := d.at
		key, err := d.key()
		if err != nil {
			return nil, err
		}
		d.blanks()
		if d.at >= len(d.text) || d.text[d.at] != ':' {
			return nil, d.unexpected("a colon")
		}
		d.at++
		d.blanks()
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if !d.duplicates {
			if _, twice := m[key]; twice {
				return nil, fmt.Errorf("duplicate key %q at byte %d", key, place)
			}
		}
		m[key] = v
		if done, err := d.next('}'); done || err != nil {
			return m, err
		}
	}
}

// key reads a key. Lists of objects repeat their keys, so that one string
// serves all that stand in the same slot.
func (d *decoder) key() (string, error) {
	raw, plain, err := d.plain()
	if err != nil || !plain {
		if err == nil {
			return d.escaped(raw)
		}
		return "", err
	}
	if len(raw) == 0 {
		return "", nil
	}
	slot := &d.keys[(len(raw)*7+int(raw[0])*3+int(raw[len(raw)-1]))%len(d.keys)]
	if *slot != string(raw) {
		*slot = string(raw)
	}
	return *slot, nil
}

func (d *decoder) string() (any, error) {
	raw, plain, err := d.plain()
	if err != nil {
		return nil, err
	}
	if plain {
		return string(raw), nil
	}
	return d.escaped(raw)
}

// plain reads a string up to its end. Where it has no escape and is UTF-8, raw
// is all of it; else raw is its beginning, and escaped reads on.
func (d *decoder) plain() (raw []byte, plain bool, err error) {
	start := d.at + 1
	ascii := true
	for i := start; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == '"':
			if raw = d.text[start:i]; !ascii && !utf8.Valid(raw) {
				d.at = start
				return nil, false, nil
			}
			d.at = i + 1
			return raw, true, nil
		case c == '\\':
			d.at = start
			return nil, false, nil
		case c < ' ':
			return nil, false, fmt.Errorf("a control character in a string at byte %d: it must be escaped", i)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	d.at = len(d.text)
	return nil, false, d.unexpected(`"`)
}

// escaped reads a string with escapes, or one that is not UTF-8, from its first
// character.
func (d *decoder) escaped(out []byte) (string, error) {
	for d.at < len(d.text) {
		switch c := d.text[d.at]; {
		case c == '"':
			d.at++
			return string(out), nil
		case c == '\\':
			r, err := d.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		case c < ' ':
			return "", fmt.Errorf("a control character in a string at byte %d: it must be escaped", d.at)
		case c < utf8.RuneSelf:
			out = append(out, c)
			d.at++
		default:
			r, size := utf8.DecodeRune(d.text[d.at:])
			out = utf8.AppendRune(out, r)
			d.at += size
		}
	}
	return "", d.unexpected(`"`)
}

// escape reads one escape; half a surrogate pair is U+FFFD.
func (d *decoder) escape() (rune, error) {
	d.at++
	if d.at >= len(d.text) {
		return 0, d.unexpected("an escape")
	}
	c := d.text[d.at]
	switch c {
	case '"', '\\', '/':
		d.at++
		return rune(c), nil
	case 'b', 'f', 'n', 'r', 't':
		d.at++
		return rune("\b\f\n\r\t"[strings.IndexByte("bfnrt", c)]), nil
	case 'u':
		d.at++
		r, err := d.hex()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if d.at+1 < len(d.text) && d.text[d.at] == '\\' && d.text[d.at+1] == 'u' {
			back := d.at
			d.at += 2
			low, err := d.hex()
			if err != nil {
				return 0, err
			}
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, nil
			}
			d.at = back // the second is a character of its own
		}
		return utf8.RuneError, nil
	}
	return 0, d.unexpected("an escape")
}

func (d *decoder) hex() (rune, error) {
	if d.at+4 > len(d.text) {
		d.at = len(d.text)
		return 0, d.unexpected("four hexadecimal digits")
	}
	n, err := strconv.ParseUint(string(d.text[d.at:d.at+4]), 16, 16)
	if err != nil || d.text[d.at] == '+' {
		return 0, d.unexpected("four hexadecimal digits")
	}
	d.at += 4
	return rune(n), nil
}
