package expr

import (
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Template is a text with placeholders, safe for concurrent use.
type Template struct {
	unit
	parts  []part // nil where single is set
	single node   // the text is exactly one placeholder
	refs   []Ref
	impure bool
	fixed  any // the value where there are no placeholders
	static bool
}

// part is a stretch of literal text, or a placeholder.
type part struct {
	literal string
	node    node
}

// maxParts bounds the placeholders of one text.
const maxParts = 10_000

// CompileTemplate compiles a value field's text.
func CompileTemplate(text string, o Options) (*Template, error) {
	t := &Template{unit: unit{text: text}}
	if err := t.compile(o, scope{}); err != nil {
		return nil, err
	}
	return t, nil
}

// CompileTemplateNode compiles a scalar node's text as a value field. A scalar
// that is no string is its own value, and so is one tagged !raw.
func CompileTemplateNode(n *source.Node, o Options) (*Template, *source.Problem) {
	t := &Template{unit: unit{text: n.Text, node: n}}
	switch {
	case n.Kind == source.List || n.Kind == source.Map:
		return nil, t.problem(syntaxErrorf(source.CodeType, 0, 0, "a text is expected here, not a %s", n.Kind))
	case n.Kind != source.String || n.Tag == "!raw":
		t.fixed, t.static = n.Value, true
		return t, nil
	}
	if err := t.compile(o, scope{}); err != nil {
		return nil, t.problem(err)
	}
	return t, nil
}

// compile finds the placeholders. The end of each is found by the lexer.
func (t *Template) compile(o Options, around scope) error {
	text := t.text
	if len(text) > maxTemplate {
		return syntaxErrorf(source.CodeLimit, 0, 1, "a text of %d bytes; at most %d are allowed", len(text), maxTemplate)
	}
	if !strings.Contains(text, "${") && !strings.Contains(text, "{{") {
		t.fixed, t.static = text, true
		return nil
	}
	b := builder{unit: &t.unit, options: o, lets: around.lets, inside: around.inside, nested: around.nested}
	var lit strings.Builder
	for i := 0; i < len(text); {
		opening, skip := openingAt(text[i:], o.Late)
		if opening == "" {
			lit.WriteString(text[i : i+skip])
			i += skip
			continue
		}
		if skip > 0 { // an escape: the braces stand for themselves
			lit.WriteString(opening)
			i += skip
			continue
		}
		if len(t.parts) >= maxParts {
			return syntaxErrorf(source.CodeLimit, i, i+2, "a text with more than %d placeholders", maxParts/2)
		}
		if lit.Len() > 0 {
			t.parts = append(t.parts, part{literal: lit.String()})
			lit.Reset()
		}
		n, end, err := b.placeholder(i, opening)
		if err != nil {
			return err
		}
		t.parts = append(t.parts, part{node: n})
		i = end
	}
	t.refs, t.impure = b.refs, b.impure
	switch {
	case len(t.parts) == 0:
		t.fixed, t.static = lit.String(), true
	case len(t.parts) == 1 && t.parts[0].node != nil && lit.Len() == 0:
		t.single, t.parts = t.parts[0].node, nil
	case lit.Len() > 0:
		t.parts = append(t.parts, part{literal: lit.String()})
	}
	return nil
}

// maxTemplate bounds the text of one value: a flow file has at most 1 MiB.
const maxTemplate = 1 << 20

// openingAt tells what stands at the start of text: a placeholder's opening
// (skip 0), an escaped one (skip is the escape's length), or skip bytes of
// literal text.
func openingAt(text string, late bool) (opening string, skip int) {
	switch {
	case strings.HasPrefix(text, "$${"):
		return "${", 3
	case strings.HasPrefix(text, "${"):
		return "${", 0
	case !late && strings.HasPrefix(text, `\{{`):
		return "{{", 3
	case !late && strings.HasPrefix(text, "{{"):
		return "{{", 0
	}
	if i := strings.IndexAny(text[1:], `$\{`); i >= 0 {
		return "", i + 1
	}
	return "", len(text)
}

// placeholder compiles the one that opens at off and gives the byte after it.
func (b *builder) placeholder(off int, opening string) (node, int, error) {
	text := b.unit.text
	closing := "}"
	if opening == "{{" {
		closing = "}}"
	}
	f, ok, err := readDefault(text, off, off+2, len(text), closing)
	if err != nil {
		return nil, 0, err
	}
	if ok {
		n, err := b.defaulted(&f)
		return n, f.end, err
	}
	inner, err := placeholderEnd(text, off, closing)
	if err != nil {
		return nil, 0, err
	}
	if strings.TrimSpace(text[off+2:inner]) == "" {
		return nil, 0, syntaxErrorf(source.CodeExpr, off, inner+len(closing), "an empty placeholder").
			hint("write %s for literal braces", map[string]string{"}": "$${", "}}": `\{{`}[closing])
	}
	n, err := b.compile(off+2, inner)
	return n, inner + len(closing), err
}

// Text gives the printed text.
func (t *Template) Text(env *Env) (string, error) {
	if t.static {
		return value.Text(t.fixed), nil
	}
	e := newEvaluation(env, t.text)
	if t.single == nil {
		v, err := t.in(e)
		e.end()
		if err != nil {
			return "", t.locate(err)
		}
		return v.(string), nil
	}
	v, err := e.printed(t.single)
	e.end()
	if err != nil {
		return "", t.locate(err)
	}
	return v, nil
}

// Each is Text with the text of every placeholder put through escape: how a text
// of another format escapes what stands in it. An error of escape ends it.
func (t *Template) Each(env *Env, escape func(text string) (string, error)) (string, error) {
	if t.static {
		return value.Text(t.fixed), nil
	}
	e := newEvaluation(env, t.text)
	parts := t.parts
	if t.single != nil {
		parts = []part{{node: t.single}}
	}
	var b strings.Builder
	for i := range parts {
		text := parts[i].literal
		if n := parts[i].node; n != nil {
			printed, err := e.printed(n)
			if err != nil {
				return "", t.locate(err)
			}
			if text, err = escape(printed); err != nil {
				return "", err
			}
		}
		if err := e.produce(len(text)); err != nil {
			return "", t.locate(err)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// Eval gives the value with its type where the text is exactly one placeholder, else a string.
func (t *Template) Eval(env *Env) (any, error) {
	if t.static {
		return t.fixed, nil
	}
	e := newEvaluation(env, t.text)
	v, err := t.in(e)
	e.end()
	if err != nil {
		return nil, t.locate(err)
	}
	return v, nil
}

// in evaluates the template as a part of e, whose text is the template's.
func (t *Template) in(e *evaluation) (any, error) {
	if t.single != nil {
		return e.value(t.single)
	}
	var b strings.Builder
	for i := range t.parts {
		p := &t.parts[i]
		text := p.literal
		if p.node != nil {
			var err error
			if text, err = e.printed(p.node); err != nil {
				return nil, err
			}
		}
		if err := e.produce(len(text)); err != nil {
			return nil, err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// printed is a value inside a text. Null fails: nobody means the word "null" in
// a URL.
func (e *evaluation) printed(n node) (string, error) {
	v, err := e.value(n)
	if err != nil {
		return "", err
	}
	if v == nil {
		off, end := n.bytes()
		return "", &MissingError{Path: e.written(n), Null: true, Offset: off, Length: end - off}
	}
	return value.Text(v), nil
}

// Refs lists the free names.
func (t *Template) Refs() []Ref { return t.refs }

// Static is the value of a template without placeholders.
func (t *Template) Static() (any, bool) { return t.fixed, t.static }

// Source is the template as written.
func (t *Template) Source() string { return t.text }

// Pos is where it stands.
func (t *Template) Pos() source.Pos { return t.place(0) }

// StaticKind is the kind of the value where it is known before a run, else "".
func (t *Template) StaticKind() string {
	switch {
	case t.static:
		return string(value.KindOf(t.fixed))
	case t.single != nil:
		return string(t.single.kind())
	}
	return string(value.String)
}
