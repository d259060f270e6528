package expr

import "github.com/testmesh/testmesh/flow/value"

// literal is a value that is written out.
type literal struct {
	span
	v any
}

func (l *literal) eval(*evaluation) (any, error) { return l.v, nil }
func (l *literal) kind() value.Kind              { return kindOf(l.v) }

type arrayNode struct {
	span
	items []node
	fixed []any // the value where it is written out; nil: it is made each time
}

func newArray(s span, items []node) *arrayNode {
	a := &arrayNode{span: s, items: items}
	if len(items) == 0 {
		return a
	}
	fixed := make([]any, len(items))
	for i, n := range items {
		l, ok := n.(*literal)
		if !ok {
			return a
		}
		fixed[i] = model(l.v)
	}
	a.fixed = fixed
	return a
}

func (*arrayNode) kind() value.Kind { return value.Array }

func (a *arrayNode) eval(e *evaluation) (any, error) {
	if a.fixed != nil {
		return a.fixed, nil
	}
	if err := e.produce(16 * len(a.items)); err != nil {
		return nil, err
	}
	out := make([]any, len(a.items))
	for i, n := range a.items {
		v, err := e.value(n)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

type mapNode struct {
	span
	keys, values []node
}

func (*mapNode) kind() value.Kind { return value.Object }

func (m *mapNode) eval(e *evaluation) (any, error) {
	if err := e.produce(48 * len(m.keys)); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(m.keys))
	for i, n := range m.keys {
		k, err := e.value(n)
		if err != nil {
			return nil, err
		}
		key, ok := k.(string)
		if !ok {
			off, end := n.bytes()
			return nil, valueErrorAt(off, end, "a key is a string, got %s", describe(k))
		}
		v, err := e.value(m.values[i])
		if err != nil {
			return nil, err
		}
		out[key] = v
	}
	return out, nil
}
