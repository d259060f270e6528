package plugin

import (
	"errors"
	"fmt"
	"strings"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// Option says more of an action or function.
type Option interface {
	// apply writes it down; result is the shape of an action's result, nil where
	// that has mistakes of its own.
	apply(spec *testmeshv1.Action, result *shape) error
}

type option func(spec *testmeshv1.Action, result *shape) error

func (f option) apply(spec *testmeshv1.Action, result *shape) error { return f(spec, result) }

// EffectOption says what an action does to the system under test, which decides
// what may be repeated. Where none holds it is Once.
type EffectOption struct {
	when   string
	effect testmeshv1.Effect
}

func (o EffectOption) apply(spec *testmeshv1.Action, _ *shape) error {
	rules := spec.GetEffects()
	if len(rules) > 0 && rules[len(rules)-1].GetWhen() == "" {
		return errors.New("an effect follows one that always holds: give that one last")
	}
	spec.Effects = append(rules, &testmeshv1.EffectRule{When: o.when, Effect: o.effect})
	return nil
}

// Observes says that the action reads only, and that doing it twice gives the same.
func Observes() EffectOption { return EffectOption{effect: testmeshv1.Effect_EFFECT_OBSERVE} }

// Idempotent says that it changes something, and that doing it twice is doing it once.
func Idempotent() EffectOption { return EffectOption{effect: testmeshv1.Effect_EFFECT_IDEMPOTENT} }

// Once says that it changes something, and that doing it twice is twice.
func Once() EffectOption { return EffectOption{effect: testmeshv1.Effect_EFFECT_ONCE} }

// Consumes says that it takes something away by reading it, as from a queue.
func Consumes() EffectOption { return EffectOption{effect: testmeshv1.Effect_EFFECT_CONSUME} }

// Loads says that it produces load.
func Loads() EffectOption { return EffectOption{effect: testmeshv1.Effect_EFFECT_LOAD} }

// Removes says that it removes what a test made.
func Removes() EffectOption { return EffectOption{effect: testmeshv1.Effect_EFFECT_TEARDOWN} }

// When gives an effect where an expression over the config holds: keys that are
// left out have their default. Effects are tried in the order of the options.
func When(expression string, effect EffectOption) EffectOption {
	effect.when = expression
	return effect
}

// Expect is the expression over the result that must hold where a step has no
// assertions of its own.
func Expect(expression string) Option {
	return option(func(spec *testmeshv1.Action, _ *shape) error {
		if spec.GetExpectation() != "" {
			return errors.New("there are two expectations: join them by and")
		}
		spec.Expectation = expression
		return nil
	})
}

// Description is Markdown for the reference page.
func Description(markdown string) Option {
	return option(func(spec *testmeshv1.Action, _ *shape) error {
		spec.Description = markdown
		return nil
	})
}

// Example is a complete step in YAML, as a list of one, for the reference page.
func Example(step string) Option {
	return option(func(spec *testmeshv1.Action, _ *shape) error {
		spec.Example = strings.TrimPrefix(step, "\n")
		if !strings.HasPrefix(spec.GetExample(), "- ") {
			return errors.New("an example is a list of one step, without indentation: - action: …")
		}
		return nil
	})
}

// Alias is another whole name of the action.
func Alias(names ...string) Option {
	return option(func(spec *testmeshv1.Action, _ *shape) error {
		spec.Aliases = append(spec.Aliases, names...)
		return nil
	})
}

// KeyAlias is another name of a config key; both are paths of keys with dots.
func KeyAlias(from, to string) Option {
	return option(func(spec *testmeshv1.Action, _ *shape) error {
		spec.KeyAliases = append(spec.KeyAliases, &testmeshv1.KeyAlias{From: from, To: to})
		return alias(from, to)
	})
}

// ResultAlias is another name of a result; both are paths of keys with dots.
func ResultAlias(from, to string) Option {
	return option(func(spec *testmeshv1.Action, _ *shape) error {
		spec.ResultAliases = append(spec.ResultAliases, &testmeshv1.KeyAlias{From: from, To: to})
		return alias(from, to)
	})
}

func alias(from, to string) error {
	if from == "" || to == "" || from == to {
		return fmt.Errorf("the alias %q of %q says nothing", from, to)
	}
	return nil
}

// BodyKey is the key of the result that holds what the system answered: a
// JSONPath that the result does not know is taken there.
func BodyKey(key string) Option {
	return option(func(spec *testmeshv1.Action, result *shape) error {
		spec.BodyKey = key
		if result == nil || result.kind != kindStruct {
			return nil
		}
		for _, name := range result.names() {
			if name == key {
				return nil
			}
		}
		return fmt.Errorf("the body key %q is no key of the result, which has %s", key, strings.Join(result.names(), ", "))
	})
}
