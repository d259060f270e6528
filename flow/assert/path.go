package assert

import (
	"errors"
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/jsonpath"
)

// pathClaim is {json_path: "$.id exists"}: a JSONPath, and what must hold of
// the value it finds.
type pathClaim struct {
	find *expr.Expr
	// claim is an expression over `_`, the found value; nil: it must exist.
	claim *expr.Expr
}

func (p *pathClaim) refs() []expr.Ref {
	if p.claim == nil {
		return nil
	}
	var refs []expr.Ref
	for _, r := range p.claim.Refs() {
		if r.Name != "_" {
			refs = append(refs, r)
		}
	}
	return refs
}

// newPathClaim splits a text into the longest JSONPath it begins with and the
// claim behind it.
func newPathClaim(text string, o expr.Options) (*pathClaim, error) {
	text = strings.TrimSpace(text)
	end := len(text)
	for {
		if _, err := jsonpath.Parse(text[:end]); err == nil {
			break
		}
		cut := strings.LastIndexAny(text[:end], " \t")
		if cut < 0 {
			return nil, &expr.SyntaxError{
				Length: len(text), Message: fmt.Sprintf("%q does not begin with a JSONPath", text),
				Hint: `write it as "$.id exists" or "$.items[0].price > 0"`,
			}
		}
		end = len(strings.TrimRight(text[:cut], " \t"))
	}
	o.JSONPath = true
	find, err := expr.Compile(text[:end], o)
	if err != nil {
		return nil, err
	}
	out := &pathClaim{find: find}
	if rest := strings.TrimSpace(text[end:]); rest != "" {
		o.JSONPath = false
		if out.claim, err = expr.Compile("_ "+rest, o); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *pathClaim) check(out *event.Assertion, env *expr.Env) {
	found, err := p.find.Eval(env)
	var missing *expr.MissingError
	absent := errors.As(err, &missing)
	if err != nil && (!absent || p.claim == nil) {
		explainError(out, err)
		return
	}
	if p.claim == nil {
		out.Passed = true
		return
	}
	inner := *env
	inner.Scope = &foundScope{outer: env.Scope, v: found, present: !absent}
	checkClaim(out, p.claim, &inner)
	if !out.Passed && absent {
		out.Message = err.Error()
	}
}

// foundScope is a scope with the found value as `_`.
type foundScope struct {
	outer   expr.Scope
	v       any
	present bool
}

func (s *foundScope) Lookup(name string) (any, bool, error) {
	if name == "_" {
		return s.v, s.present, nil
	}
	if s.outer == nil {
		return nil, false, nil
	}
	return s.outer.Lookup(name)
}

// at reads a normalized path of a schema's error.
func at(v any, path string) (any, bool) {
	p, err := jsonpath.Parse(path)
	if err != nil {
		return nil, false
	}
	return p.Get(v)
}
