package expr

import (
	"errors"

	"github.com/testmesh/testmesh/flow/jsonpath"
	"github.com/testmesh/testmesh/flow/source"
)

// query is a text that is a JSONPath.
type query struct {
	span
	untyped
	path *jsonpath.Path
}

func parseJSONPath(text string) (*query, error) {
	p, err := jsonpath.Parse(text)
	if err != nil {
		return nil, pathError(err, 0)
	}
	return &query{span: span{0, len(text)}, path: p}, nil
}

// pathError makes jsonpath's error one of the unit, base bytes further on.
func pathError(err error, base int) error {
	var at *jsonpath.SyntaxError
	if !errors.As(err, &at) {
		return syntaxErrorf(source.CodeExpr, base, base, "%s", err)
	}
	return syntaxErrorf(source.CodeExpr, base+at.Offset, base+min(at.Offset+1, len(at.Text)), "not a JSONPath: %s", at.Message)
}

func (q *query) eval(e *evaluation) (any, error) {
	v, g, err := q.maybe(e)
	if g != nil {
		return nil, g.missing()
	}
	return v, err
}

func (q *query) maybe(e *evaluation) (any, *gap, error) {
	env := e.env
	if env.Answer == nil {
		return nil, nil, valueErrorAt(q.off, q.end, "there is no result here for a JSONPath")
	}
	root := env.Answer.Result()
	name, i, isIndex, first := q.path.First()
	if first {
		if _, ok := step(root, &seg{key: name, index: int64(i), isIndex: isIndex}); !ok || !container(root) {
			if body, ok := env.Answer.Body(); ok {
				if env.Cut != "" {
					return nil, nil, &CutError{Message: env.Cut}
				}
				root = body
			}
		}
	}
	if env.Cut != "" && (!first || name == env.CutKey) {
		return nil, nil, &CutError{Message: env.Cut}
	}
	return selectPath(q.span, q.path, root)
}

func container(v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return true
	}
	return false
}

// selectPath is the value of a singular path, else the list of values.
func selectPath(s span, p *jsonpath.Path, root any) (any, *gap, error) {
	if p.Singular() {
		v, ok := p.Get(root)
		if !ok {
			return nil, &gap{span: s, path: p.String(), note: jsonpath.Nearest(root, p)}, nil
		}
		return v, nil, nil
	}
	list, err := p.Values(root)
	if err != nil {
		return nil, nil, &LimitError{Message: err.Error()}
	}
	return list, nil, nil
}
