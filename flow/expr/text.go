package expr

import (
	"errors"
	"math/big"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// parseNumber reads a number literal: digits with _ between them, 0x 0o 0b,
// fractions and exponents, all exactly.
func parseNumber(word string) (any, error) {
	text := strings.ReplaceAll(word, "_", "")
	if len(text) > 1 && text[0] == '0' && strings.IndexByte("xXoObB", text[1]) >= 0 {
		n, ok := new(big.Int).SetString(text, 0)
		if !ok {
			return nil, valueErrorf("not a number")
		}
		text = n.String()
	}
	if strings.HasPrefix(text, ".") {
		text = "0" + text
	}
	if i := strings.IndexByte(text, '.'); i >= 0 && (i+1 == len(text) || text[i+1] < '0' || text[i+1] > '9') {
		text = text[:i+1] + "0" + text[i+1:]
	}
	digits := strings.TrimLeft(text, "0")
	if digits == "" || digits[0] < '0' || digits[0] > '9' {
		digits = "0" + digits
	}
	return value.ParseNumber(digits)
}

// textNode is a string literal with placeholders.
type textNode struct {
	span
	template *Template
	shift    int // of the template's offsets to the unit's; -1 where escapes moved them
}

func (t *textNode) kind() value.Kind {
	if t.template.single != nil {
		return t.template.single.kind()
	}
	return value.String
}

func (t *textNode) eval(e *evaluation) (any, error) {
	outer := e.text
	e.text = t.template.text
	v, err := t.template.in(e)
	e.text = outer
	if err != nil {
		return nil, t.move(err)
	}
	return v, nil
}

// move makes the place of an error inside the literal one of the unit.
func (t *textNode) move(err error) error {
	place := func(off, length *int) {
		if t.shift >= 0 {
			*off += t.shift
		} else {
			*off, *length = t.off, t.end-t.off
		}
	}
	var missing *MissingError
	var wrong *ValueError
	var other *placed
	switch {
	case errors.As(err, &missing):
		place(&missing.Offset, &missing.Length)
	case errors.As(err, &wrong):
		place(&wrong.Offset, &wrong.Length)
	case errors.As(err, &other):
		length := other.end - other.off
		place(&other.off, &length)
		other.end = other.off + length
	}
	return err
}

// quoted compiles a string literal with placeholders.
func (b *builder) quoted(s span, text string) (node, error) {
	if b.nested == maxQuoted {
		return nil, b.fail(s, "E-LIMIT", "placeholders nest in quotes deeper than %d", maxQuoted)
	}
	shift := s.off + 1
	if inner := b.unit.text[s.off:s.end]; len(inner) < 2 || inner[1:len(inner)-1] != text {
		shift = -1
	}
	t := &Template{unit: unit{text: text}}
	inner := scope{lets: b.lets[:len(b.lets):len(b.lets)], inside: b.inside, nested: b.nested + 1}
	if err := t.compile(b.options, inner); err != nil {
		return nil, b.moveSyntax(err, s, shift)
	}
	if v, ok := t.Static(); ok {
		return &literal{s, v}, nil
	}
	for _, r := range t.refs {
		if shift >= 0 {
			r.Offset += shift
		} else {
			r.Offset, r.Length = s.off, s.end-s.off
		}
		r.Pos = b.unit.place(r.Offset)
		b.refs = append(b.refs, r)
	}
	b.impure = b.impure || t.impure
	return &textNode{span: s, template: t, shift: shift}, nil
}

func (b *builder) moveSyntax(err error, s span, shift int) error {
	var e *SyntaxError
	if !errors.As(err, &e) {
		return err
	}
	if shift >= 0 {
		e.Offset += shift
	} else {
		e.Offset, e.Length = s.off, s.end-s.off
	}
	return e
}

// defaulted is ${NAME:text}: text where NAME is missing or null. An empty
// string is a value and stays.
type defaulted struct {
	span
	untyped
	of    node
	other any
}

func (d *defaulted) eval(e *evaluation) (any, error) {
	v, g, err := e.maybe(d.of)
	if err != nil {
		return nil, err
	}
	if g != nil || v == nil {
		return d.other, nil
	}
	return v, nil
}

// defaulted compiles a default that was found by hand.
func (b *builder) defaulted(f *fallback) (node, error) {
	parts := strings.Split(f.name, ".")
	end := f.nameOff + len(parts[0])
	if parts[0] == "FAKER" {
		return nil, b.fail(span{f.off, f.end}, "E-EXPR", "fake data needs no default")
	}
	s := span{f.off, f.end}
	var of node
	for slot := len(b.lets) - 1; slot >= 0 && of == nil; slot-- {
		if b.lets[slot] == parts[0] {
			of = &local{span: span{f.nameOff, end}, slot: slot}
		}
	}
	if of == nil {
		p := &path{span: span{f.nameOff, f.nameOff + len(f.name)}, name: parts[0], nameEnd: end}
		for _, key := range parts[1:] {
			end += 1 + len(key)
			p.segs = append(p.segs, seg{key: key, headers: b.headersBefore(p), end: end})
		}
		b.addPath(p, true)
		return &defaulted{span: s, of: p, other: f.value}, nil
	}
	for _, key := range parts[1:] {
		end += 1 + len(key)
		of = &member{span: span{f.nameOff, end}, of: of, seg: seg{key: key, headers: endsInHeaders(of), end: end}}
	}
	return &defaulted{span: s, of: of, other: f.value}, nil
}
