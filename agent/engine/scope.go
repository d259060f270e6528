package engine

import (
	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/source"
)

// scope gives an expression its names, in the order of FLOW.md "Names an
// expression can see". It is used by one evaluation at a time.
type scope struct {
	f *frame
	l *layer
	// own is the result of the step itself; nil where it is not seen.
	own *ownResult
	// tracked is the result of the step that registered a clean-up.
	tracked *ownResult
	// env is the value of `env` that is being made, where one is.
	env *envChain
}

// ownResult is what a step's own assertions and outputs see first.
type ownResult struct {
	spec     *catalog.Action // nil on control actions
	declared map[string]bool // names that the result's schema declares
	result   result
	duration float64
	flow     map[string]any // of run_flow: the called flow's status and output
	// code is the code of the try's error, for retry_on; isRetry makes the names
	// timeout and connection_error seen.
	code    string
	isRetry bool
	// extra are names that come before the result's: the element of a map or
	// filter. saved come after them: what a transform made so far.
	extra, saved map[string]any
}

func (o *ownResult) lookup(name string) (v any, ok, mine bool) {
	if v, ok := o.extra[name]; ok {
		return v, true, true
	}
	if o.isRetry {
		switch name {
		case "timeout":
			return o.code == string(source.CodeTimeout), true, true
		case "connection_error":
			return o.code == string(source.CodeConn) || o.code == string(source.CodeDNS) || o.code == string(source.CodeTLS), true, true
		}
	}
	if v, ok := o.member(name); ok {
		return v, true, true
	}
	switch name {
	case "result", "response":
		return o.result.whole(), o.result.has, true
	case "duration_ms":
		return o.duration, true, true
	case "flow":
		if o.flow != nil {
			return o.flow, true, true
		}
	}
	if v, ok := o.saved[name]; ok {
		return v, true, true
	}
	// A declared key that this answer does not have is missing; it is not
	// somebody else's name.
	return nil, false, o.declared[name]
}

// member is what a name means in the result: a key of it, or what its action
// declares besides.
func (o *ownResult) member(name string) (v any, ok bool) {
	if !o.result.has {
		return nil, false
	}
	if o.spec == nil {
		return o.result.member(name)
	}
	if name != "result" { // which has aliases below it, whatever the keys are
		if v, ok := o.result.member(name); ok {
			return v, true
		}
	}
	if !o.declared[name] || name == "duration_ms" {
		return nil, false
	}
	return o.spec.ResultName(o.result.whole(), name)
}

// Result implements expr.Answer.
func (o *ownResult) Result() any { return o.result.whole() }

// Body implements expr.Answer.
func (o *ownResult) Body() (any, bool) {
	if o.spec == nil || o.spec.BodyKey == "" {
		return nil, false
	}
	body, _ := o.result.member(o.spec.BodyKey)
	switch body.(type) {
	case map[string]any, []any:
		return body, true
	}
	return nil, false
}

// Lookup gives the value of a top-level name.
func (s *scope) Lookup(name string) (any, bool, error) {
	for _, own := range [...]*ownResult{s.own, s.tracked} {
		if own == nil {
			continue
		}
		if v, ok, mine := own.lookup(name); mine {
			return v, ok, nil
		}
	}
	if v, ok := s.l.name(name); ok {
		return v, true, nil
	}
	if w, ok := s.l.output(name); ok {
		return w.value, true, nil
	}
	if name == "steps" {
		return s.l.all(), true, nil
	}
	if r := s.l.step(name); r != nil {
		if v, ok := r.value(); ok {
			return v, true, nil
		}
	}
	return s.f.lookup(name, s.env)
}

// Member gives one member of the names whose members are made when they are
// read. ok is false for every other name, and where there is no such member.
func (s *scope) Member(name, member string) (v any, ok bool, err error) {
	switch name {
	case "env", "secret", "steps":
	default:
		r := s.l.step(name)
		if r == nil || s.shadowed(name) {
			return nil, false, nil
		}
		v, ok = r.member(member)
		return v, ok, nil
	}
	if s.shadowed(name) {
		return nil, false, nil
	}
	switch name {
	case "env":
		return s.f.env.get(member, s.env)
	case "secret":
		return s.f.run.secret(member)
	}
	if r := s.l.step(member); r != nil {
		v, ok = r.value()
	}
	return v, ok, nil
}

// shadowed tells whether a name means something nearer.
func (s *scope) shadowed(name string) bool {
	for _, own := range [...]*ownResult{s.own, s.tracked} {
		if own != nil {
			if _, _, mine := own.lookup(name); mine {
				return true
			}
		}
	}
	if _, ok := s.l.name(name); ok {
		return true
	}
	_, ok := s.l.output(name)
	return ok
}

// Outcome is the status of an earlier step, for outcome("id").
func (s *scope) Outcome(id string) (string, bool) {
	if r := s.l.step(id); r != nil {
		return string(r.status), true
	}
	return "", false
}
