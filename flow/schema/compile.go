package schema

import (
	"errors"
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxSchemas bounds the subschemas of one compilation; the largest
	// published schemas have some tens of thousands.
	maxSchemas = 100_000
	// maxDocuments bounds the files of one compilation.
	maxDocuments = 1000
	// maxProblems bounds how much is reported of a broken schema.
	maxProblems = 20
	// maxHints bounds Unknown.
	maxHints = 100
)

// compiler is one call of Compile.
type compiler struct {
	opts      Options
	docs      []*document
	resources map[string]*resource
	nodes     map[spotKey]*node
	order     []*node
	pending   []pending
	scanned   int
	track     bool
	dynamic   bool // a $dynamicRef or $recursiveRef exists
	problems  []error
	known     map[string]bool // problems already told
	hints     []string
}

type spotKey struct {
	doc *document
	ptr string
}

type pending struct {
	node *node
	cur  cursor
}

func newCompiler(opts Options) *compiler {
	return &compiler{
		opts:      opts,
		resources: map[string]*resource{},
		nodes:     map[spotKey]*node{},
		known:     map[string]bool{},
	}
}

func (c *compiler) fail(where, format string, args ...any) {
	e := &DefinitionError{SchemaPath: where, Message: fmt.Sprintf(format, args...)}
	if len(c.problems) < maxProblems && !c.known[e.Error()] {
		c.known[e.Error()] = true
		c.problems = append(c.problems, e)
	}
}

func (c *compiler) hint(where, format string, args ...any) {
	if len(c.hints) < maxHints {
		c.hints = append(c.hints, where+": "+fmt.Sprintf(format, args...))
	}
}

func (c *compiler) compile(doc any, base string, named bool) (*Schema, error) {
	d := c.opts.Draft
	if d == 0 {
		d = Draft2020
	}
	if d < Draft4 || d > Draft2020 {
		return nil, fmt.Errorf("compile schema: unknown draft %d", d)
	}
	root := &document{uri: fileURI(base), root: doc}
	res, err := c.add(root, dialect{draft: d})
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	if !named && res.uri == root.uri {
		// Base is where the schema stands, not what that file holds.
		delete(c.resources, root.uri)
	}
	n := c.node(res.root)
	c.drain()
	for c.dynamic && c.anchorNodes() {
		c.drain()
	}
	if len(c.problems) == 0 {
		c.findCircle()
	}
	if len(c.problems) > 0 {
		return nil, fmt.Errorf("compile schema: %w", errors.Join(c.problems...))
	}
	return &Schema{root: n, track: c.track, unknown: c.hints}, nil
}

// node gives the node of a position; it is compiled by drain.
func (c *compiler) node(cur cursor) *node {
	key := spotKey{cur.doc, cur.ptr}
	if n := c.nodes[key]; n != nil {
		return n
	}
	n := &node{doc: cur.doc, ptr: cur.ptr, res: cur.res}
	c.nodes[key] = n
	c.order = append(c.order, n)
	if len(c.nodes) > maxSchemas {
		c.fail(cur.where(), "over %d schemas", maxSchemas)
		return n
	}
	c.pending = append(c.pending, pending{n, cur})
	return n
}

func (c *compiler) drain() {
	for len(c.pending) > 0 && len(c.problems) < maxProblems {
		next := c.pending[0]
		c.pending = c.pending[1:]
		c.fill(next.node, next.cur)
	}
}

// anchorNodes compiles what a dynamic reference may lead to while a validation
// runs; it tells whether there was anything new.
func (c *compiler) anchorNodes() bool {
	before := len(c.nodes)
	for _, doc := range c.docs {
		for _, res := range doc.resources {
			if res.recursive {
				c.node(res.root).named = true
			}
			for _, a := range res.anchors {
				if a.dynamic {
					c.node(a.at).named = true
				}
			}
		}
	}
	return len(c.nodes) > before
}

// builder compiles one schema.
type builder struct {
	c   *compiler
	n   *node
	cur cursor
	m   map[string]any
	d   dialect
	k   keyword // the one that is being built
}

func (c *compiler) fill(n *node, cur cursor) {
	if known, ok := cur.raw.(bool); ok {
		if cur.res.dialect.draft == Draft4 && cur.ptr == "" {
			c.fail(cur.where(), "true and false are no schemas in draft 4")
		}
		n.never = !known
		return
	}
	m, ok := cur.raw.(map[string]any)
	if !ok {
		c.fail(cur.where(), "want a schema: a map, true or false; found %s", describe(cur.raw))
		return
	}
	b := &builder{c: c, n: n, cur: cur, m: m, d: cur.res.dialect}
	found, hidden := b.d.present(m)
	for _, k := range found {
		raw := m[k.name]
		if problem := k.form.problem(raw, b.d.draft); problem != "" {
			if strings.HasPrefix(problem, "want") {
				problem += "; found " + describe(raw) + b.otherDraft(k, raw)
			}
			b.fail(k.name, "%s", problem)
			continue
		}
		b.flags(k, raw)
		if k.build == nil {
			continue
		}
		b.k = k
		if r := k.build(b, raw); r != nil {
			n.rules = append(n.rules, r)
		}
	}
	b.hints(hidden)
}

// flags reports true and false in place of a schema in draft 4, where only
// additionalProperties and additionalItems may be so.
func (b *builder) flags(k keyword, raw any) {
	if b.d.draft != Draft4 || k.name == "additionalProperties" || k.name == "additionalItems" {
		return
	}
	for _, sub := range k.form.subschemas(raw) {
		if _, flag := sub.raw.(bool); flag {
			at := b.cur.child(sub.raw, append([]string{k.name}, sub.tokens...)...)
			b.c.fail(at.where(), "true and false are no schemas in draft 4")
		}
	}
}

// otherDraft says that a value would be right in another draft: the commonest
// cause, since a schema without $schema is read in the newest.
func (b *builder) otherDraft(k keyword, raw any) string {
	for _, d := range []Draft{Draft4, Draft7, Draft2019, Draft2020} {
		for _, other := range keywords() {
			if other.name == k.name && (dialect{draft: d}).has(other) && other.form != k.form && other.form.problem(raw, d) == "" {
				return fmt.Sprintf(" (%s has that form; the schema is read as %s)", d, b.d.draft)
			}
		}
	}
	return ""
}

func (b *builder) fail(keyword, format string, args ...any) {
	b.c.fail(b.cur.where()+"/"+escapeToken(keyword), format, args...)
}

// child is the node of a subschema, by the tokens that lead to it.
func (b *builder) child(raw any, tokens ...string) *node {
	return b.c.node(b.cur.child(raw, tokens...))
}

// sibling is the node of another keyword of the same schema, or nil.
func (b *builder) sibling(name string) *node {
	if raw, ok := b.lookup(name); ok {
		return b.child(raw, name)
	}
	return nil
}

// lookup gives another keyword of the schema, where the dialect has it and
// it is well formed.
func (b *builder) lookup(name string) (any, bool) {
	raw, ok := b.m[name]
	if !ok {
		return nil, false
	}
	k, ok := b.d.find(name)
	return raw, ok && k.form.problem(raw, b.d.draft) == ""
}

// onward notes nodes that apply to the same value unconditionally.
func (b *builder) onward(nodes ...*node) { b.n.onward = append(b.n.onward, nodes...) }

// nodes are the nodes of all schemas inside the keyword that is being built.
func (b *builder) nodes(raw any) []*node {
	var out []*node
	for _, sub := range b.k.form.subschemas(raw) {
		out = append(out, b.child(sub.raw, append([]string{b.k.name}, sub.tokens...)...))
	}
	return out
}

// buildNested compiles the schemas below a keyword that checks nothing itself,
// so that what is wrong in them is found.
func buildNested(b *builder, raw any) rule {
	b.nodes(raw)
	return nil
}

// hints notes what the standard ignores in silence.
func (b *builder) hints(hidden bool) {
	if b.cur.doc.ours {
		return
	}
	for _, name := range value.Keys(b.m) {
		if strings.HasPrefix(name, "x-") || name == "$ref" || name == "$schema" {
			continue
		}
		k, here := b.d.find(name)
		here = here && !(hidden && k.form != textForm && name != "definitions")
		elsewhere := len(keywordTable.places[name]) > 0
		where := b.cur.where() + "/" + escapeToken(name)
		switch {
		case here:
		case hidden:
			b.c.hint(where, "ignored beside $ref in %s", b.d.draft)
		case elsewhere:
			b.c.hint(where, "not a keyword of %s, ignored", b.d.draft)
		default:
			b.c.hint(where, "not a keyword of JSON Schema, ignored%s", didYouMean(name, b.names()))
		}
	}
}

// names are the keywords that the schema could hold.
func (b *builder) names() []string {
	var out []string
	for _, k := range keywords() {
		if b.d.has(k) {
			out = append(out, k.name)
		}
	}
	return out
}

// findCircle reports schemas that apply themselves to the same value for ever.
func (c *compiler) findCircle() {
	const (
		fresh = iota
		open
		done
	)
	state := map[*node]int{}
	type frame struct {
		n    *node
		next int
	}
	for _, start := range c.order {
		if state[start] != fresh {
			continue
		}
		state[start] = open
		stack := []frame{{n: start}}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.next == len(top.n.onward) {
				state[top.n] = done
				stack = stack[:len(stack)-1]
				continue
			}
			to := top.n.onward[top.next]
			top.next++
			switch state[to] {
			case open:
				c.fail(top.n.where(), "the schema refers back to itself (%s) without looking any deeper into the value", to.where())
				return
			case fresh:
				state[to] = open
				stack = append(stack, frame{n: to})
			}
		}
	}
}
