package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

func effectCases() []testCase {
	return []testCase{{
		id:    "observe",
		title: "an action that observes changes nothing: done twice, it gives the same",
		why:   "what observes is polled and retried without a second thought",
		fix:   "declare the effect that the action has, once where in doubt; name in ignore what differs by nature, such as times",
		run: func(ctx context.Context, k *kit) error {
			return k.twice(ctx, "observe", k.config.Conformance.Observe, testmeshv1.Effect_EFFECT_OBSERVE)
		},
	}, {
		id:    "idempotent",
		title: "an action that is idempotent does the same when it is done again",
		why:   "a run that lost its agent repeats such steps on another one",
		fix:   "declare the effect that the action has, once where in doubt; give conformance.idempotent.check, a step that reads what it changes",
		run: func(ctx context.Context, k *kit) error {
			return k.twice(ctx, "idempotent", k.config.Conformance.Idempotent, testmeshv1.Effect_EFFECT_IDEMPOTENT)
		},
	}, {
		id:    "functions",
		title: "functions give what they should, the same every time, also fifty at once",
		why:   "assertions are made of them",
		fix:   "let a function depend on its arguments alone",
		run:   functions,
	}, {
		id:    "function-arguments",
		title: "arguments that do not fit are an error of the definition",
		why:   "the person who wrote the expression must read what is wrong with it",
		fix:   "check number and kind of the arguments, and answer with a fault of blame definition",
		run:   functionArguments,
	}}
}

// declares says whether an action declares an effect, among others.
func declares(d *testmeshv1.Descriptor, action string, effect testmeshv1.Effect) error {
	for _, a := range d.GetActions() {
		if a.GetName() != action {
			continue
		}
		if slices.ContainsFunc(a.GetEffects(), func(r *testmeshv1.EffectRule) bool { return r.GetEffect() == effect }) {
			return nil
		}
		return fmt.Errorf("the descriptor of %s does not declare this effect", action)
	}
	return fmt.Errorf("the manifest's conformance uses %s, which the descriptor does not have", action)
}

// twice does a step two times and compares.
func (k *kit) twice(ctx context.Context, section string, r *Repeat, effect testmeshv1.Effect) error {
	if r == nil {
		return k.unless(ctx, "no action declares this effect", func(d *testmeshv1.Descriptor) bool {
			return slices.ContainsFunc(d.GetActions(), func(a *testmeshv1.Action) bool { return declares(d, a.GetName(), effect) == nil })
		}, missing(fmt.Sprintf("add conformance.%s: {action, config}, a step whose effect is %[1]s", section)))
	}
	st, err := k.step(r.Call, map[string]json.RawMessage{"payload": json.RawMessage(`"payload"`)})
	if err != nil {
		return err
	}
	var look *step
	if r.Check != nil {
		check, err := k.step(*r.Check, map[string]json.RawMessage{"payload": json.RawMessage(`"payload"`)})
		if err != nil {
			return err
		}
		look = &check
	}
	return k.with(ctx, func(s *subject, in *session) error {
		d, err := s.describe(ctx)
		if err != nil {
			return err
		}
		if err := declares(d, st.action, effect); err != nil {
			return err
		}
		var results []json.RawMessage
		for range 2 {
			out, err := in.succeed(ctx, st)
			if err == nil && look != nil {
				out, err = in.succeed(ctx, *look)
			}
			if err != nil {
				return err
			}
			result, err := without(out.result, r.Ignore)
			if err != nil {
				return err
			}
			results = append(results, result)
		}
		if err := sameJSON(results[1], results[0]); err != nil {
			return fmt.Errorf("the second time differs from the first: %w", err)
		}
		return nil
	})
}

// functionCalls are those of the manifest, one of each function at least, their
// placeholders filled and their arguments of a wrong kind made where none are
// given.
func (k *kit) functionCalls(ctx context.Context) (*subject, []FunctionCall, error) {
	s, err := k.subject(ctx)
	if err != nil {
		return nil, nil, err
	}
	d, err := s.describe(ctx)
	if err != nil {
		return nil, nil, err
	}
	calls := slices.Clone(k.config.Conformance.Functions)
	if len(d.GetFunctions())+len(calls) == 0 {
		return nil, nil, inapplicable("the plugin has no functions")
	}
	for _, f := range d.GetFunctions() {
		if !slices.ContainsFunc(calls, func(c FunctionCall) bool { return c.Name == f.GetName() }) {
			return nil, nil, missing(fmt.Sprintf("add conformance.functions: {name: %s, args: […], result: …}", f.GetName()))
		}
	}
	for i := range calls {
		c := &calls[i]
		at := slices.IndexFunc(d.GetFunctions(), func(f *testmeshv1.Function) bool { return f.GetName() == c.Name })
		if at < 0 {
			return nil, nil, fmt.Errorf("the manifest's conformance uses the function %s, which the descriptor does not have", c.Name)
		}
		if c.BadArgs == nil && len(d.GetFunctions()[at].GetParameters()) > 0 {
			c.BadArgs = json.RawMessage(`[]`)
		}
		for _, text := range []*json.RawMessage{&c.Args, &c.Result, &c.BadArgs} {
			if *text == nil {
				continue
			}
			if *text, err = k.fillJSON(*text, nil); err != nil {
				return nil, nil, fmt.Errorf("the manifest's call of the function %s: %w", c.Name, err)
			}
		}
	}
	return s, calls, nil
}

func functions(ctx context.Context, k *kit) error {
	s, calls, err := k.functionCalls(ctx)
	if err != nil {
		return err
	}
	gives := func(c FunctionCall) error {
		got, f, err := s.call(ctx, c.Name, c.Args)
		switch {
		case err != nil:
			return err
		case f != nil:
			return fmt.Errorf("%s%s ended with %s", c.Name, c.Args, faultText(f))
		}
		if err := sameJSON(got, c.Result); err != nil {
			return fmt.Errorf("%s%s: %w", c.Name, c.Args, err)
		}
		return nil
	}
	for _, c := range calls {
		if err := errors.Join(gives(c), gives(c)); err != nil {
			return err
		}
		if err := atOnce(callsAtOnce, func(int) error { return gives(c) }); err != nil {
			return fmt.Errorf("%d at once: %w", callsAtOnce, err)
		}
	}
	return nil
}

func functionArguments(ctx context.Context, k *kit) error {
	s, calls, err := k.functionCalls(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	for _, c := range calls {
		// What is no list at all comes from no host, and must not crash either.
		for _, args := range []json.RawMessage{c.BadArgs, json.RawMessage(`{}`), json.RawMessage(`[`)} {
			if args == nil {
				continue // a function without parameters has nothing to leave out
			}
			got, f, err := s.call(ctx, c.Name, args)
			switch {
			case err != nil:
				wrong = append(wrong, fmt.Errorf("%s with the arguments %s: %w", c.Name, args, err))
			case f == nil:
				wrong = append(wrong, fmt.Errorf("%s with the arguments %s gave %s", c.Name, args, cut(string(got), 100)))
			default:
				if err := ofDefinition(f); err != nil {
					wrong = append(wrong, fmt.Errorf("%s with the arguments %s: %w", c.Name, args, err))
				}
			}
		}
	}
	return errors.Join(wrong...)
}
