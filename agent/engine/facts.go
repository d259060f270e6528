package engine

import (
	"encoding/json"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/assert"
	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

// facts are what every run of a step shares: nobody changes them.
type facts struct {
	step *flow.Step
	// first names it in the events of its first try, at the top of a flow; nil
	// where its name has placeholders.
	first *event.Step
	// declared are the names that the result of its action has.
	declared map[string]bool
	// sent is its config for the plugin; nil where it has placeholders.
	sent *sent
	// claims all must hold; held is what they say where they do.
	claims []*assert.Assertion
	held   []event.Assertion
}

// sent is a config as a plugin gets it, and what it does to the system. A plugin
// reads what it is given, and never writes to it.
type sent struct {
	config json.RawMessage
	effect string
}

// facts are those of the step as it is executed; a debugger may exchange it.
func (r *stepRun) facts() *facts {
	if r.known == nil || r.known.step != r.s {
		r.known = r.p.f.run.e.factsOf(r.s, r.p.phase)
	}
	return r.known
}

// introduce names the step in its events.
func (r *stepRun) introduce() {
	r.first = r.facts().first
	if r.first == nil || r.first.Phase != r.p.phase || len(r.p.path) > 0 {
		r.first = r.p.eventStep(r.s, 1)
	}
	r.ev = r.first
}

func (e *Engine) factsOf(s *flow.Step, phase event.Phase) *facts {
	if known, ok := e.facts.Load(s); ok {
		return known.(*facts)
	}
	f := &facts{step: s, claims: claims(s)}
	for _, a := range f.claims {
		f.held = append(f.held, a.Held())
	}
	if name, ok := staticName(s); ok {
		f.first = newEventStep(s, name, phase, []string{s.ID}, 1)
	}
	if s.Spec != nil {
		f.declared = map[string]bool{}
		for _, name := range s.Spec.ResultNames() {
			f.declared[name] = true
		}
		if config, ok := staticConfig(s); ok {
			f.sent = &sent{value.Append(nil, config), effectOf(s, config)}
		}
	}
	known, _ := e.facts.LoadOrStore(s, f)
	return known.(*facts)
}

// claims are the assertions of a step that all must hold: its own, or its
// action's expectation where it has none at all.
func claims(s *flow.Step) []*assert.Assertion {
	if len(s.Assert)+len(s.AssertAny)+len(s.AssertNone) == 0 && s.Match == nil && s.Expectation != nil {
		return []*assert.Assertion{s.Expectation}
	}
	return s.Assert
}

// staticConfig is the config of a step without placeholders.
func staticConfig(s *flow.Step) (any, bool) {
	if s.Config == nil {
		return map[string]any{}, true
	}
	v, ok := s.Config.Static()
	if ok && v == nil {
		v = map[string]any{}
	}
	return v, ok
}

// effectOf is what a try does to the system: the author's word, else the
// plugin's rule.
func effectOf(s *flow.Step, config any) string {
	effect := s.Effect
	if effect == testmeshv1.Effect_EFFECT_UNSPECIFIED {
		var err error
		if effect, err = s.Spec.EffectOf(config); err != nil {
			effect = testmeshv1.Effect_EFFECT_ONCE
		}
	}
	return catalog.EffectName(effect)
}
