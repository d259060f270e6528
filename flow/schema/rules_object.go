package schema

import (
	"fmt"
	"regexp"

	"github.com/testmesh/testmesh/flow/value"
)

type requiredRule struct{ names []string }

func names(raw any) []string {
	var out []string
	for _, e := range raw.([]any) {
		out = append(out, e.(string))
	}
	return out
}

func buildRequired(_ *builder, raw any) rule { return requiredRule{names(raw)} }

func (rule requiredRule) check(r *run, s *spot) bool {
	return r.require(s, "required", rule.names, "")
}

// require fails for every name that the value lacks.
func (r *run) require(s *spot, keyword string, names []string, because string) bool {
	m, ok := s.v.(map[string]any)
	if !ok {
		return true
	}
	ok = true
	for _, name := range names {
		if _, has := m[name]; has {
			continue
		}
		ok = r.fail(s, keyword, s.at, func() string {
			hint := ""
			if near := value.Nearest(m, name); near != "" {
				hint = fmt.Sprintf(" (there is %q)", near)
			}
			return fmt.Sprintf("the property %q is missing%s%s", name, because, hint)
		})
	}
	return ok
}

type dependentRequiredRule struct {
	keyword string
	order   []string
	needs   map[string][]string
}

func buildDependentRequired(b *builder, raw any) rule {
	m := raw.(map[string]any)
	rule := dependentRequiredRule{keyword: b.k.name, order: value.Keys(m), needs: map[string][]string{}}
	for _, k := range rule.order {
		rule.needs[k] = names(m[k])
	}
	return rule
}

func (rule dependentRequiredRule) check(r *run, s *spot) bool {
	m, ok := s.v.(map[string]any)
	if !ok {
		return true
	}
	ok = true
	for _, k := range rule.order {
		if _, has := m[k]; has {
			ok = r.require(s, rule.keyword, rule.needs[k], fmt.Sprintf(" beside %q", k)) && ok
		}
	}
	return ok
}

type namedNode struct {
	name string
	node *node
}

type dependentSchemasRule struct{ list []namedNode }

func buildDependentSchemas(b *builder, raw any) rule {
	return dependentSchemasRule{b.named(raw)}
}

// named are the schemas of a map, by name in order.
func (b *builder) named(raw any) []namedNode {
	var out []namedNode
	for _, sub := range b.k.form.subschemas(raw) {
		out = append(out, namedNode{sub.tokens[0], b.child(sub.raw, b.k.name, sub.tokens[0])})
	}
	return out
}

func (rule dependentSchemasRule) check(r *run, s *spot) bool {
	m, ok := s.v.(map[string]any)
	if !ok {
		return true
	}
	ok = true
	for _, e := range rule.list {
		if _, has := m[e.name]; has {
			ok = r.apply(s, e.node) && ok
		}
	}
	return ok
}

// bothRules is dependencies, which mixes names and schemas.
type bothRules struct{ a, b rule }

func buildDependencies(b *builder, raw any) rule {
	lists := map[string]any{}
	for k, v := range raw.(map[string]any) {
		if _, ok := v.([]any); ok {
			lists[k] = v
		}
	}
	return bothRules{buildDependentRequired(b, lists), buildDependentSchemas(b, raw)}
}

func (rule bothRules) check(r *run, s *spot) bool {
	first := rule.a.check(r, s)
	return rule.b.check(r, s) && first
}

type propertiesRule struct{ list []namedNode }

func buildProperties(b *builder, raw any) rule { return propertiesRule{b.named(raw)} }

func (rule propertiesRule) check(r *run, s *spot) bool {
	m, ok := s.v.(map[string]any)
	if !ok {
		return true
	}
	ok = true
	for _, e := range rule.list {
		if v, has := m[e.name]; has {
			valid, _ := r.eval(e.node, v, s.at.member(e.name))
			ok = valid && ok
			s.seen.addProp(e.name)
		}
	}
	return ok
}

type patternNode struct {
	re   *regexp.Regexp
	node *node
}

type patternPropertiesRule struct{ list []patternNode }

func (b *builder) patterns(raw any) []patternNode {
	var out []patternNode
	m := raw.(map[string]any)
	for _, source := range value.Keys(m) {
		n := b.child(m[source], "patternProperties", source)
		re, err := compilePattern(source)
		if err != nil {
			b.c.fail(b.cur.where()+"/patternProperties/"+escapeToken(source), "%v", err)
			continue
		}
		out = append(out, patternNode{re, n})
	}
	return out
}

func buildPatternProperties(b *builder, raw any) rule {
	return patternPropertiesRule{b.patterns(raw)}
}

func (rule patternPropertiesRule) check(r *run, s *spot) bool {
	m, ok := s.v.(map[string]any)
	if !ok {
		return true
	}
	ok = true
	for _, k := range value.Keys(m) {
		for _, p := range rule.list {
			if !r.spend(1+len(k)/textStep, s.node, s.at) {
				return false
			}
			if p.re.MatchString(k) {
				valid, _ := r.eval(p.node, m[k], s.at.member(k))
				ok = valid && ok
				s.seen.addProp(k)
			}
		}
	}
	return ok
}

type additionalPropertiesRule struct {
	known    map[string]bool
	names    []string
	patterns []patternNode
	rest     *node
}

func buildAdditionalProperties(b *builder, raw any) rule {
	rule := additionalPropertiesRule{known: map[string]bool{}, rest: b.child(raw, "additionalProperties")}
	if properties, ok := b.lookup("properties"); ok {
		rule.names = value.Keys(properties.(map[string]any))
		for _, k := range rule.names {
			rule.known[k] = true
		}
	}
	if patterns, ok := b.lookup("patternProperties"); ok {
		rule.patterns = b.patterns(patterns)
	}
	return rule
}

func (rule additionalPropertiesRule) covers(k string) bool {
	if rule.known[k] {
		return true
	}
	for _, p := range rule.patterns {
		if p.re.MatchString(k) {
			return true
		}
	}
	return false
}

func (rule additionalPropertiesRule) check(r *run, s *spot) bool {
	m, ok := s.v.(map[string]any)
	if !ok {
		return true
	}
	extra := map[string]any{}
	for k, v := range m {
		if !rule.covers(k) {
			extra[k] = v
		}
	}
	if !r.spend(len(m)*len(rule.patterns), s.node, s.at) {
		return false
	}
	return r.others(s, "additionalProperties", extra, rule.rest, rule.names)
}

// others applies the schema for the properties that no other keyword covers.
func (r *run) others(s *spot, keyword string, extra map[string]any, rest *node, names []string) bool {
	ok := true
	for _, k := range value.Keys(extra) {
		at := s.at.member(k)
		if rest.never {
			ok = r.fail(s, keyword, at, func() string {
				hint := didYouMean(k, names)
				return fmt.Sprintf("the property %q is not allowed%s; got %s", k, hint, describe(extra[k]))
			})
			continue
		}
		valid, _ := r.eval(rest, extra[k], at)
		ok = valid && ok
		s.seen.addProp(k)
	}
	return ok
}

type propertyNamesRule struct{ names *node }

func buildPropertyNames(b *builder, raw any) rule {
	return propertyNamesRule{b.child(raw, "propertyNames")}
}

func (rule propertyNamesRule) check(r *run, s *spot) bool {
	m, ok := s.v.(map[string]any)
	if !ok {
		return true
	}
	ok = true
	for _, k := range value.Keys(m) {
		at := s.at.member(k)
		valid, why := r.aside(func() bool {
			valid, _ := r.eval(rule.names, k, at)
			return valid
		})
		if !valid {
			ok = r.fail(s, "propertyNames", at, func() string { return "the property's name is not allowed" + reason(why) })
		}
	}
	return ok
}

// reason quotes the first of some findings.
func reason(findings []finding) string {
	if len(findings) == 0 {
		return ""
	}
	return ": " + findings[0].say()
}
