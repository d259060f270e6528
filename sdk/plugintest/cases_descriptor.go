package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

func descriptorCases() []testCase {
	return []testCase{{
		id:    "descriptor",
		title: "the descriptor is complete: names, schemas, effects, examples",
		why:   "validation, completion, forms and reference pages are made from it alone; what it lacks, nobody can use",
		fix:   "give every action its full name, a summary, JSON Schemas of its config and result as objects with properties, an effect without a condition at the end, an example, and an expectation or a description of when it passes",
		run:   descriptorComplete,
	}, {
		id:    "descriptor-stable",
		title: "Describe gives the same every time, before Configure and after it",
		why:   "hosts compare it with the lock file before they use a plugin; one that changes is refused",
		fix:   "make the descriptor a constant: no times, no state, lists in a fixed order",
		run:   descriptorStable,
	}, {
		id:    "descriptor-locked",
		title: "Describe gives the descriptor that was written down at install",
		why:   "flows are checked against the descriptor of the lock file; a plugin that does something else would break them at run time",
		fix:   "write the lock file or the package again after a change, and raise the version",
		run:   descriptorLocked,
	}}
}

func (s *subject) describe(ctx context.Context) (*testmeshv1.Descriptor, error) {
	ctx, end := context.WithTimeout(ctx, answerTimeout)
	defer end()
	res, err := s.api.Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		return nil, fmt.Errorf("it did not answer Describe: %w", err)
	}
	if res.GetDescriptor_() == nil {
		return nil, errors.New("its answer to Describe holds no descriptor")
	}
	return res.GetDescriptor_(), nil
}

func descriptorComplete(ctx context.Context, k *kit) error {
	s, err := k.subject(ctx)
	if err != nil {
		return err
	}
	d, err := s.describe(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	note := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	note(isName(d.GetName()), "the plugin's name %q is not a lower-case word of letters, digits and _", d.GetName())
	note(isVersion(d.GetVersion()), "the version %q is not one of semver.org, like 1.2.3", d.GetVersion())
	note(d.GetSummary() != "", "the plugin has no summary")
	note(len(d.GetActions())+len(d.GetFunctions()) > 0, "the plugin has neither actions nor functions")
	seen := map[string]bool{}
	for _, a := range d.GetActions() {
		own, ok := strings.CutPrefix(a.GetName(), d.GetName()+".")
		note(ok && isName(own), "the action %q is not named %s.<word>", a.GetName(), d.GetName())
		note(!seen[a.GetName()], "the action %q is there twice", a.GetName())
		seen[a.GetName()] = true
		for _, problem := range actionProblems(a) {
			note(false, "%s %s", a.GetName(), problem)
		}
	}
	for _, f := range d.GetFunctions() {
		note(isName(f.GetName()), "the function %q is not a lower-case word of letters, digits and _", f.GetName())
		note(!seen["()"+f.GetName()], "the function %q is there twice", f.GetName())
		seen["()"+f.GetName()] = true
		note(f.GetSummary() != "", "the function %s has no summary", f.GetName())
	}
	return errors.Join(wrong...)
}

func actionProblems(a *testmeshv1.Action) []string {
	var wrong []string
	note := func(ok bool, problem string) {
		if !ok {
			wrong = append(wrong, problem)
		}
	}
	note(a.GetSummary() != "", "has no summary")
	note(a.GetExpectation() != "" || a.GetDescription() != "", "has no expectation, and no description that says when it passes")
	note(strings.Contains(a.GetExample(), a.GetName()), "has no example, or one that does not use it")
	if err := isObjectSchema(a.GetConfigSchema()); err != nil {
		note(false, "has a config schema that "+err.Error())
	}
	if err := isObjectSchema(a.GetResultSchema()); err != nil {
		note(false, "has a result schema that "+err.Error())
	}
	effects := a.GetEffects()
	note(len(effects) > 0, "declares no effect")
	for i, rule := range effects {
		last := i == len(effects)-1
		note(rule.GetEffect() != testmeshv1.Effect_EFFECT_UNSPECIFIED, "has an effect rule without an effect")
		note(!last || rule.GetWhen() == "", "has no effect for the case that none of its conditions holds")
		note(last || rule.GetWhen() != "", "has effect rules behind one that always holds")
	}
	return wrong
}

func isObjectSchema(text string) error {
	var schema struct {
		Type       string
		Properties map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		return fmt.Errorf("is not a JSON object: %w", err)
	}
	if schema.Type != "object" {
		return fmt.Errorf("has the type %q and not object", schema.Type)
	}
	return nil
}

// isName says whether a name is a lower-case letter followed by letters, digits
// and underscores.
func isName(name string) bool {
	for i, c := range name {
		if (c < 'a' || c > 'z') && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}

// isVersion says whether a text begins with three numbers, as semver.org 2.0
// wants, and what follows is a pre-release or a build.
func isVersion(text string) bool {
	core, _, _ := strings.Cut(text, "+")
	core, _, _ = strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	for _, part := range parts {
		if part == "" || strings.Trim(part, "0123456789") != "" || len(part) > 1 && part[0] == '0' {
			return false
		}
	}
	return len(parts) == 3
}

func descriptorStable(ctx context.Context, k *kit) error {
	var s *subject
	var err error
	if k.config.Plugin != nil {
		s, err = k.reside()
	} else {
		s, err = k.launch(launchOptions{})
	}
	if err != nil {
		return err
	}
	defer s.kill()
	first, err := s.describe(ctx)
	if err != nil {
		return err
	}
	second, err := s.describe(ctx)
	if err != nil {
		return err
	}
	if err := sameDescriptor("the second answer", second, "the first", first); err != nil {
		return err
	}
	if err := s.configure(ctx); err != nil {
		return err
	}
	after, err := s.describe(ctx)
	if err != nil {
		return err
	}
	return sameDescriptor("the answer after Configure", after, "the one before", first)
}

func descriptorLocked(ctx context.Context, k *kit) error {
	if k.config.Descriptor == nil {
		return missing("install the plugin or write its descriptor down, so that there is something to compare with")
	}
	s, err := k.subject(ctx)
	if err != nil {
		return err
	}
	d, err := s.describe(ctx)
	if err != nil {
		return err
	}
	return sameDescriptor("the plugin", d, "what was written down", k.config.Descriptor)
}

// sameDescriptor says where two descriptors differ first.
func sameDescriptor(name string, got *testmeshv1.Descriptor, other string, want *testmeshv1.Descriptor) error {
	if proto.Equal(got, want) {
		return nil
	}
	g, err := protojson.Marshal(got)
	if err != nil {
		return err
	}
	w, err := protojson.Marshal(want)
	if err != nil {
		return err
	}
	if err := sameJSON(g, w); err != nil {
		return fmt.Errorf("%s differs from %s: %w", name, other, err)
	}
	return fmt.Errorf("%s differs from %s", name, other)
}
