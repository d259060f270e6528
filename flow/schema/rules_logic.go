package schema

import "fmt"

type allOfRule struct{ list []*node }

func buildAllOf(b *builder, raw any) rule {
	list := b.nodes(raw)
	b.onward(list...)
	return allOfRule{list}
}

func (rule allOfRule) check(r *run, s *spot) bool {
	ok := true
	for _, n := range rule.list {
		ok = r.apply(s, n) && ok
	}
	return ok
}

type anyOfRule struct{ list []*node }

func buildAnyOf(b *builder, raw any) rule {
	list := b.nodes(raw)
	b.onward(list...)
	return anyOfRule{list}
}

func (rule anyOfRule) check(r *run, s *spot) bool {
	ok, nearest := r.alternatives(s, rule.list, nil)
	if ok > 0 || r.limit != nil {
		return ok > 0
	}
	return r.fail(s, "anyOf", s.at, func() string {
		return fmt.Sprintf("got %s, which matches none of %s%s", describe(s.v), plural(len(rule.list), "schema", "schemas"), quote(nearest))
	})
}

// alternatives applies all of list. It counts those that hold and gives the
// findings of the one that was nearest where none does.
func (r *run) alternatives(s *spot, list []*node, onMatch func(i int)) (matched int, nearest []finding) {
	best := 0
	for i, n := range list {
		ok, findings := r.aside(func() bool { return r.apply(s, n) })
		if ok {
			matched++
			if onMatch != nil {
				onMatch(i)
			}
			if s.seen == nil && onMatch == nil {
				return matched, nil // nobody asks what the others saw
			}
			continue
		}
		if score := badness(findings, s.at); len(findings) > 0 && (nearest == nil || score < best) {
			nearest, best = findings, score
		}
	}
	return matched, nearest
}

// quote renders what the nearest alternative says.
func quote(nearest []finding) string {
	if len(nearest) == 0 {
		return ""
	}
	more := ""
	if n := len(nearest) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	f := nearest[0]
	return fmt.Sprintf("; the nearest says %s: %s%s", f.at.path(), f.say(), more)
}

type oneOfRule struct{ list []*node }

func buildOneOf(b *builder, raw any) rule {
	list := b.nodes(raw)
	b.onward(list...)
	return oneOfRule{list}
}

func (rule oneOfRule) check(r *run, s *spot) bool {
	var which []int
	_, nearest := r.alternatives(s, rule.list, func(i int) { which = append(which, i) })
	if len(which) == 1 || r.limit != nil {
		return len(which) == 1
	}
	return r.fail(s, "oneOf", s.at, func() string {
		if len(which) > 1 {
			return fmt.Sprintf("got %s, which matches %d of the schemas, #%d and #%d, want exactly one", describe(s.v), len(which), which[0], which[1])
		}
		return fmt.Sprintf("got %s, which matches none of %s%s", describe(s.v), plural(len(rule.list), "schema", "schemas"), quote(nearest))
	})
}

type notRule struct{ not *node }

func buildNot(b *builder, raw any) rule {
	n := b.child(raw, "not")
	b.onward(n)
	return notRule{n}
}

func (rule notRule) check(r *run, s *spot) bool {
	if !r.holds(rule.not, s.v, s.at) {
		return true
	}
	return r.fail(s, "not", s.at, func() string {
		return fmt.Sprintf("got %s, which %s excludes", describe(s.v), rule.not.where())
	})
}

type ifRule struct{ cond, then, otherwise *node }

func buildIf(b *builder, raw any) rule {
	rule := ifRule{b.child(raw, "if"), b.sibling("then"), b.sibling("else")}
	b.onward(rule.cond)
	return rule
}

func (rule ifRule) check(r *run, s *spot) bool {
	branch := rule.otherwise
	if r.applyQuietly(s, rule.cond) {
		branch = rule.then
	}
	if branch == nil {
		return true
	}
	return r.apply(s, branch)
}
