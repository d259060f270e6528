package schema

// refRule is $ref: the schema that it names applies to the same value.
type refRule struct{ to *node }

func buildRef(b *builder, raw any) rule {
	to, _, ok := b.follow(raw)
	if !ok {
		return nil
	}
	b.onward(to)
	return refRule{to}
}

// follow resolves a reference and gives its node.
func (b *builder) follow(raw any) (to *node, name string, ok bool) {
	target, name, err := b.c.resolve(raw.(string), b.cur)
	if err != nil {
		b.fail(b.k.name, "%v", err)
		return nil, "", false
	}
	switch target.raw.(type) {
	case map[string]any:
	case bool:
		if target.res.dialect.draft == Draft4 {
			b.fail(b.k.name, "%s is no schema in draft 4", target.where())
			return nil, "", false
		}
	default:
		b.fail(b.k.name, "%s is no schema but %s", target.where(), describe(target.raw))
		return nil, "", false
	}
	b.c.discover(target)
	to = b.c.node(target)
	to.named = true
	return to, name, true
}

func (rule refRule) check(r *run, s *spot) bool { return r.apply(s, rule.to) }

// dynamicRule is $dynamicRef and $recursiveRef: the outermost schema on the way
// here that has the anchor decides where it leads (2020-12 core, section
// 8.2.3.2).
type dynamicRule struct {
	to *node
	// name is the anchor; "" is the root with $recursiveAnchor.
	name  string
	nodes map[spotKey]*node
}

func buildRecursiveRef(b *builder, raw any) rule {
	if raw != "#" {
		b.fail(b.k.name, "$recursiveRef can only be \"#\", found %s", describe(raw))
		return nil
	}
	to, _, ok := b.follow(raw)
	if !ok {
		return nil
	}
	if !to.res.recursive {
		b.onward(to)
		return refRule{to}
	}
	b.c.dynamic = true
	return dynamicRule{to, "", b.c.nodes}
}

func buildDynamicRef(b *builder, raw any) rule {
	to, name, ok := b.follow(raw)
	if !ok {
		return nil
	}
	if name == "" || !to.res.anchors[name].dynamic {
		b.onward(to)
		return refRule{to}
	}
	b.c.dynamic = true
	return dynamicRule{to, name, b.c.nodes}
}

func (rule dynamicRule) check(r *run, s *spot) bool {
	for _, res := range r.scope {
		at := res.root
		if rule.name != "" {
			a, ok := res.anchors[rule.name]
			if !ok || !a.dynamic {
				continue
			}
			at = a.at
		} else if !res.recursive {
			continue
		}
		if n := rule.nodes[spotKey{at.doc, at.ptr}]; n != nil {
			return r.apply(s, n)
		}
	}
	return r.apply(s, rule.to)
}
