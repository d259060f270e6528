package catalog

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/schema"
	"github.com/testmesh/testmesh/flow/value"
)

// Action is one action, ready for the compiler and the engine. It is immutable
// and safe for concurrent use.
type Action struct {
	Name    string
	Plugin  string
	Spec    *testmeshv1.Action
	BodyKey string

	config  func() (*document, error)
	result  func() (*document, error)
	exact   func() (*schema.Schema, error) // the config schema, whole
	effects func() ([]effectRule, error)
	// remembered are effects of configs met before.
	remembered effectMemory
	keys       func() []string // of the result
	names      func() []string // of the step's own result
}

type effectRule struct {
	when   *expr.Expr // nil: always
	effect testmeshv1.Effect
}

func newAction(plugin string, spec *testmeshv1.Action) *Action {
	a := &Action{Name: spec.GetName(), Plugin: plugin, Spec: spec, BodyKey: spec.GetBodyKey()}
	a.config = sync.OnceValues(func() (*document, error) { return parseDocument(spec.GetConfigSchema()) })
	a.result = sync.OnceValues(func() (*document, error) { return parseDocument(spec.GetResultSchema()) })
	a.exact = sync.OnceValues(func() (*schema.Schema, error) {
		d, err := a.config()
		if err != nil {
			return nil, err
		}
		return schema.Compile(d.value, schema.Options{})
	})
	a.keys, a.names = sync.OnceValue(a.resultKeys), sync.OnceValue(a.resultNames)
	a.effects = sync.OnceValues(func() ([]effectRule, error) { return compileEffects(spec.GetEffects()) })
	return a
}

func compileEffects(specs []*testmeshv1.EffectRule) ([]effectRule, error) {
	rules := make([]effectRule, 0, len(specs))
	for i, spec := range specs {
		rule := effectRule{effect: spec.GetEffect()}
		if rule.effect == testmeshv1.Effect_EFFECT_UNSPECIFIED {
			return nil, fmt.Errorf("effect rule %d has no effect", i+1)
		}
		if spec.GetWhen() != "" {
			var err error
			if rule.when, err = expr.Compile(spec.GetWhen(), expr.Options{}); err != nil {
				return nil, fmt.Errorf("effect rule %d: compile %q: %w", i+1, spec.GetWhen(), err)
			}
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// check compiles all that is compiled lazily otherwise.
func (a *Action) check() error {
	for _, side := range [...]struct {
		name string
		load func() (*document, error)
	}{{"config", a.config}, {"result", a.result}} {
		d, err := side.load()
		if err == nil {
			err = d.checkRefs(d.value)
		}
		if err == nil {
			_, err = schema.Compile(d.value, schema.Options{})
		}
		if err != nil {
			return fmt.Errorf("%s schema: %w", side.name, err)
		}
	}
	if _, err := a.effects(); err != nil {
		return err
	}
	if text := a.ExpectationText(); text != "" {
		if _, err := expr.Compile(text, expr.Options{}); err != nil {
			return fmt.Errorf("compile expectation %q: %w", text, err)
		}
	}
	for _, list := range [...][]*testmeshv1.KeyAlias{a.Spec.GetKeyAliases(), a.Spec.GetResultAliases()} {
		for _, alias := range list {
			if alias.GetFrom() == "" || alias.GetTo() == "" || alias.GetFrom() == alias.GetTo() {
				return fmt.Errorf("alias %q of %q says nothing", alias.GetFrom(), alias.GetTo())
			}
		}
	}
	return nil
}

// ExpectationText is the expression over the result that must hold where a
// step has no assertions; empty: the action completed.
func (a *Action) ExpectationText() string { return a.Spec.GetExpectation() }

// EffectOf is the effect of the action with this expanded config: the first
// rule that holds. Where none does the effect is `once`, the careful one; a
// rule whose condition reads what the config does not have does not hold.
func (a *Action) EffectOf(config any) (testmeshv1.Effect, error) {
	rules, err := a.effects()
	if err != nil {
		return testmeshv1.Effect_EFFECT_ONCE, fmt.Errorf("effect of %s: %w", a.Name, err)
	}
	d, err := a.config()
	if err != nil {
		return testmeshv1.Effect_EFFECT_ONCE, fmt.Errorf("effect of %s: %w", a.Name, err)
	}
	m, _ := config.(map[string]any)
	key, short := a.remembered.key(rules, m)
	if short {
		if effect, ok := a.remembered.get(key); ok {
			return effect, nil
		}
	}
	effect := effectOf(rules, &expr.Env{Scope: configScope{d, m}})
	if short {
		a.remembered.put(key, effect)
	}
	return effect, nil
}

func effectOf(rules []effectRule, env *expr.Env) testmeshv1.Effect {
	for _, rule := range rules {
		if rule.when == nil {
			return rule.effect
		}
		v, err := rule.when.Eval(env)
		if err == nil && v == true {
			return rule.effect
		}
	}
	return testmeshv1.Effect_EFFECT_ONCE
}

// configScope shows an effect rule the config, with the defaults of its schema.
type configScope struct {
	d      *document
	config map[string]any
}

func (s configScope) Lookup(name string) (any, bool, error) {
	if name == "config" {
		return s.config, s.config != nil, nil
	}
	if v, ok := s.config[name]; ok {
		return v, true, nil
	}
	if p := s.d.property(s.d.root, name, 0); p != nil && p.hasDefault {
		return p.byDefault, true, nil
	}
	return nil, false, nil
}

// HasConfigKey tells whether the config's schema names this top-level key.
func (a *Action) HasConfigKey(key string) bool {
	d, err := a.config()
	if err != nil {
		return false
	}
	root := d.resolve(d.root)
	return root != nil && (root.properties[key] != nil || d.inAlternative(root, key))
}

// ResultKeys are the top-level properties of the result in alphabetical order;
// the caller does not change them.
func (a *Action) ResultKeys() []string { return a.keys() }

func (a *Action) resultKeys() []string {
	d, err := a.result()
	if err != nil {
		return nil
	}
	return d.propertyNames(d.root)
}

// ResultClosed tells that a result has no other keys than ResultKeys.
func (a *Action) ResultClosed() bool {
	d, err := a.result()
	if err != nil {
		return false
	}
	root := d.resolve(d.root)
	return root != nil && root.closed && !root.patterned
}

// ResultAliases are other names of results in accepted dialects.
func (a *Action) ResultAliases() []*testmeshv1.KeyAlias { return a.Spec.GetResultAliases() }

// ResultNames are the names that a step's own assertions and output see: the
// keys of its result, their aliases, `result`, `response` and `duration_ms`. The
// caller does not change them.
func (a *Action) ResultNames() []string { return a.names() }

func (a *Action) resultNames() []string {
	names := slices.Clone(a.keys())
	seen := map[string]bool{}
	for _, n := range names {
		seen[n] = true
	}
	more := []string{"result", "response", "duration_ms"}
	for _, alias := range a.ResultAliases() {
		first, _, _ := strings.Cut(alias.GetFrom(), ".")
		more = append(more, first)
	}
	for _, n := range more {
		if !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	return names
}

// ResultName looks a name up in a result as ResultNames lists them; the caller
// knows `duration_ms` where the result has no such key. Aliases below `result`
// and `response` are added to the whole that these names mean.
func (a *Action) ResultName(result any, name string) (v any, ok bool) {
	m, _ := result.(map[string]any)
	if name == "result" {
		return a.withAliases(result, "result"), true
	}
	if v, ok := m[name]; ok {
		return v, true
	}
	if name == "response" {
		return a.withAliases(result, "response"), true
	}
	var nested map[string]any
	for _, alias := range a.ResultAliases() {
		first, rest, deep := strings.Cut(alias.GetFrom(), ".")
		if first != name {
			continue
		}
		target, found := dig(result, alias.GetTo())
		switch {
		case !found:
		case !deep:
			return target, true
		default:
			nested = graft(nested, rest, target)
		}
	}
	return nested, nested != nil
}

// withAliases is the whole result with the aliases that stand below name.
func (a *Action) withAliases(result any, name string) any {
	m, isMap := result.(map[string]any)
	if !isMap {
		return result
	}
	out := m
	for _, alias := range a.ResultAliases() {
		first, rest, deep := strings.Cut(alias.GetFrom(), ".")
		if first != name || !deep {
			continue
		}
		if _, taken := dig(m, rest); taken {
			continue
		}
		if target, found := dig(m, alias.GetTo()); found {
			out = graft(out, rest, target)
		}
	}
	return out
}

// graft is m with v at a path of keys; m itself is not changed.
func graft(m map[string]any, path string, v any) map[string]any {
	out := make(map[string]any, len(m)+1)
	for k, e := range m {
		out[k] = e
	}
	key, rest, deep := strings.Cut(path, ".")
	if deep {
		below, _ := m[key].(map[string]any)
		out[key] = graft(below, rest, v)
	} else {
		out[key] = v
	}
	return out
}

// dig follows a path of keys and list indices with dots.
func dig(v any, path string) (any, bool) {
	for _, key := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			e, ok := x[key]
			if !ok {
				return nil, false
			}
			v = e
		case []any:
			n, err := value.ParseNumber(key)
			i, isInt := n.(int64)
			if err != nil || !isInt || i < 0 || int(i) >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// CheckedWhole tells that CheckConfig judges a config without placeholders as
// completely as CheckValue does.
func (a *Action) CheckedWhole() bool {
	d, err := a.config()
	return err == nil && !d.partial
}

// CheckValue judges the expanded config as a plugin will get it; the error, a
// *ConfigError, names the field. Nothing is compiled before the first call.
func (a *Action) CheckValue(v any) error {
	d, err := a.config()
	if err != nil {
		return fmt.Errorf("config schema of %s: %w", a.Name, err)
	}
	if v == nil {
		v = map[string]any{}
	}
	if !d.partial && d.accepts(d.root, v, 0) {
		return nil
	}
	c := checker{d: d, action: a.Name}
	c.check(d.root, nodeOf(v), "config", 0)
	if len(c.problems) > 0 {
		return &ConfigError{Action: a.Name, Message: c.problems[0].Message, Hint: c.problems[0].Hint, More: len(c.problems) - 1}
	}
	s, err := a.exact()
	if err != nil {
		return fmt.Errorf("config schema of %s: %w", a.Name, err)
	}
	findings := s.Validate(v)
	if len(findings) == 0 {
		return nil
	}
	message := "config" + strings.TrimPrefix(findings[0].Message, "$")
	return &ConfigError{Action: a.Name, Message: message, More: len(findings) - 1}
}

// ConfigError is a config value that the action does not take.
type ConfigError struct {
	Action  string
	Message string // begins with the field: config.headers.X-A must be a string
	Hint    string
	More    int // further findings
}

// Error says the field and what is wrong with it.
func (e *ConfigError) Error() string {
	s := e.Action + ": " + e.Message
	if e.More > 0 {
		s += fmt.Sprintf(" (and %d more)", e.More)
	}
	return s
}
