package expr

import (
	"github.com/expr-lang/expr/ast"
)

// reserved are names that the grammar takes.
func reserved(name string) bool {
	switch name {
	case "true", "false", "nil", "null", "not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith",
		"let", "if", "else", "exists", "is", "starts_with", "ends_with", "FAKER":
		return true
	}
	return false
}

// fastPath compiles name.member.member without the lexer.
func (b *builder) fastPath(from, to int) node {
	text := b.unit.text
	for from < to && text[from] == ' ' {
		from++
	}
	for from < to && text[to-1] == ' ' {
		to--
	}
	if from == to || len(b.lets) > 0 || b.inside > 0 {
		return nil
	}
	start := from
	var p *path
	for i := from; ; i++ {
		if i < to && text[i] != '.' {
			c := text[i]
			word := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
			if !word && !(i > start && c >= '0' && c <= '9') {
				return nil
			}
			continue
		}
		if i == start {
			return nil
		}
		word := text[start:i]
		if p == nil {
			if reserved(word) {
				return nil
			}
			p = &path{span: span{from, to}, name: word, nameEnd: i}
		} else {
			p.segs = append(p.segs, seg{key: word, headers: b.headersBefore(p), end: i})
		}
		if i >= to {
			break
		}
		start = i + 1
	}
	b.addPath(p, false)
	return p
}

func (b *builder) headersBefore(p *path) bool {
	if len(p.segs) == 0 {
		return headerMap(p.name)
	}
	last := &p.segs[len(p.segs)-1]
	return !last.isIndex && headerMap(last.key)
}

// addPath notes what a path reads. It is called once its segments are known.
func (b *builder) addPath(p *path, guarded bool) {
	r := Ref{Name: p.name, Guarded: guarded, Offset: p.off, Length: p.end - p.off, Pos: b.unit.place(p.off)}
	for i := range p.segs {
		if p.segs[i].isIndex {
			break
		}
		r.Path = append(r.Path, p.segs[i].key)
	}
	b.refs = append(b.refs, r)
}

// member compiles x.name and x[i].
func (b *builder) member(n *ast.MemberNode, guarded bool) (node, error) {
	if name, ok := n.Property.(*ast.StringNode); ok {
		if f, ok, err := b.fake(n, name.Value); ok || err != nil {
			return f, err
		}
	}
	of, err := b.build(n.Node, guarded || n.Optional)
	if err != nil {
		return nil, err
	}
	if c, ok := of.(*chain); ok && !n.Optional && b.extended(n.Node) == c.span {
		// a?.b[0].c: the reach of ?. goes on to the end of the path.
		inner, err := b.step(n, c.of)
		return &chain{span: b.span(n), of: inner}, err
	}
	step, err := b.step(n, of)
	if err != nil || !n.Optional {
		return step, err
	}
	o := &option{span: b.span(n), of: of, step: step}
	if p, ok := step.(*path); ok { // one segment of it is what ?. asks about
		last := p.segs[len(p.segs)-1]
		o.step = &member{span: p.span, of: of, seg: last}
	}
	return o, nil
}

// step is the member access itself: a longer path where of is one.
func (b *builder) step(n *ast.MemberNode, of node) (node, error) {
	s := b.span(n)
	segment, static := b.segment(n)
	segment.end = s.end
	segment.headers = endsInHeaders(of)
	if !static {
		key, err := b.build(n.Property, false)
		if err != nil {
			return nil, err
		}
		if err := checkIndex(key); err != nil {
			return nil, err
		}
		return &index{span: s, of: of, key: key, headers: segment.headers}, nil
	}
	p, ok := of.(*path)
	if !ok || b.extended(n.Node) != p.span {
		return &member{span: s, of: of, seg: segment}, nil
	}
	longer := &path{span: s, name: p.name, nameEnd: p.nameEnd, segs: append(p.segs[:len(p.segs):len(p.segs)], segment)}
	b.lengthen(p, longer)
	return longer, nil
}

// lengthen makes the reference of a path that of the longer one.
func (b *builder) lengthen(p, longer *path) {
	r := &b.refs[len(b.refs)-1]
	if r.Offset != p.off || r.Length != p.end-p.off {
		return
	}
	segment := longer.segs[len(longer.segs)-1]
	for i := range p.segs {
		if p.segs[i].isIndex {
			segment.isIndex = true
		}
	}
	r.Length = longer.end - longer.off
	if !segment.isIndex {
		r.Path = append(r.Path[:len(r.Path):len(r.Path)], segment.key)
	}
}

// segment is the property where it is written out.
func (b *builder) segment(n *ast.MemberNode) (seg, bool) {
	switch p := n.Property.(type) {
	case *ast.StringNode:
		return seg{key: p.Value}, true
	case *ast.IntegerNode:
		return seg{index: int64(p.Value), isIndex: true}, true
	case *ast.UnaryNode:
		if i, ok := p.Node.(*ast.IntegerNode); ok && p.Operator == "-" {
			return seg{index: -int64(i.Value), isIndex: true}, true
		}
	}
	return seg{}, false
}

func endsInHeaders(of node) bool {
	switch of := of.(type) {
	case *path:
		if len(of.segs) == 0 {
			return headerMap(of.name)
		}
		last := of.segs[len(of.segs)-1]
		return !last.isIndex && headerMap(last.key)
	case *member:
		return !of.seg.isIndex && headerMap(of.seg.key)
	case *option:
		return endsInHeaders(of.step)
	case *chain:
		return endsInHeaders(of.of)
	}
	return false
}
