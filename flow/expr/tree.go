package expr

import (
	"github.com/testmesh/testmesh/flow/source"
)

// Tree is a YAML value whose strings are templates, safe for concurrent use.
type Tree struct {
	node   *source.Node
	fixed  any // the value where static
	static bool
	leaf   *Template
	items  []*Tree
	keys   []string
	values []*Tree
}

// CompileTree compiles every string below n as a value field; keys are never expanded, `!raw` values are kept.
func CompileTree(n *source.Node, o Options) (*Tree, source.Problems) {
	var problems source.Problems
	return compileTree(n, o, &problems), problems
}

func compileTree(n *source.Node, o Options, problems *source.Problems) *Tree {
	t := &Tree{node: n}
	switch {
	case n == nil:
		t.static = true
	case n.Tag == "!raw":
		t.fixed, t.static = plainValue(n), true
	case n.Kind == source.List:
		t.static = true
		for _, item := range n.Items {
			child := compileTree(item, o, problems)
			t.items = append(t.items, child)
			t.static = t.static && child.static
		}
	case n.Kind == source.Map:
		t.static = true
		for _, entry := range n.Entries {
			child := compileTree(entry.Value, o, problems)
			t.keys = append(t.keys, entry.Key.Text)
			t.values = append(t.values, child)
			t.static = t.static && child.static
		}
	default:
		leaf, problem := CompileTemplateNode(n, o)
		if problem != nil {
			*problems = append(*problems, *problem)
			t.static = true
			return t
		}
		t.leaf = leaf
		t.fixed, t.static = leaf.Static()
	}
	if t.static && n != nil && n.Tag != "!raw" && t.leaf == nil {
		t.fixed = t.assemble(func(c *Tree) any { return c.fixed })
	}
	return t
}

// assemble makes the list or map of a tree from the values of its children.
func (t *Tree) assemble(of func(*Tree) any) any {
	if t.node.Kind == source.List {
		out := make([]any, len(t.items))
		for i, c := range t.items {
			out[i] = of(c)
		}
		return out
	}
	out := make(map[string]any, len(t.keys))
	for i, key := range t.keys {
		out[key] = of(t.values[i])
	}
	return out
}

// plainValue is a node's value, nothing expanded.
func plainValue(n *source.Node) any {
	switch {
	case n == nil:
		return nil
	case n.Kind == source.List:
		out := make([]any, len(n.Items))
		for i, item := range n.Items {
			out[i] = plainValue(item)
		}
		return out
	case n.Kind == source.Map:
		out := make(map[string]any, len(n.Entries))
		for _, entry := range n.Entries {
			out[entry.Key.Text] = plainValue(entry.Value)
		}
		return out
	}
	return n.Value
}

// Literal is a tree without placeholders.
func Literal(v any) *Tree { return &Tree{fixed: v, static: true} }

// Eval gives the expanded value.
func (t *Tree) Eval(env *Env) (any, error) {
	if t == nil {
		return nil, nil
	}
	if t.static {
		return t.fixed, nil
	}
	if t.leaf != nil {
		return t.leaf.Eval(env)
	}
	var failed error
	v := t.assemble(func(c *Tree) any {
		if failed != nil {
			return nil
		}
		v, err := c.Eval(env)
		failed = err
		return v
	})
	if failed != nil {
		return nil, failed
	}
	return v, nil
}

// Refs lists the free names with their places.
func (t *Tree) Refs() []Ref {
	if t == nil || t.static {
		return nil
	}
	if t.leaf != nil {
		return t.leaf.Refs()
	}
	var refs []Ref
	for _, c := range t.items {
		refs = append(refs, c.Refs()...)
	}
	for _, c := range t.values {
		refs = append(refs, c.Refs()...)
	}
	return refs
}

// Static is the value of a tree without placeholders.
func (t *Tree) Static() (any, bool) {
	if t == nil {
		return nil, true
	}
	return t.fixed, t.static
}

// Node is the YAML that it was made from; nil for literals.
func (t *Tree) Node() *source.Node {
	if t == nil {
		return nil
	}
	return t.node
}

// Child is the value of one key of a map, or nil: for readers that expand one
// key of a config before the others.
func (t *Tree) Child(key string) *Tree {
	if t == nil {
		return nil
	}
	for i, k := range t.keys {
		if k == key {
			return t.values[i]
		}
	}
	return nil
}
