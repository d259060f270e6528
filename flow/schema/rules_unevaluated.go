package schema

import "fmt"

type unevaluatedPropertiesRule struct{ rest *node }

func buildUnevaluatedProperties(b *builder, raw any) rule {
	b.c.track = true
	return unevaluatedPropertiesRule{b.child(raw, "unevaluatedProperties")}
}

func (rule unevaluatedPropertiesRule) check(r *run, s *spot) bool {
	m, ok := s.v.(map[string]any)
	if !ok || s.seen.allProps {
		return true
	}
	extra := map[string]any{}
	for k, v := range m {
		if !s.seen.props[k] {
			extra[k] = v
		}
	}
	ok = r.others(s, "unevaluatedProperties", extra, rule.rest, nil)
	s.seen.allProps = true
	return ok
}

type unevaluatedItemsRule struct{ rest *node }

func buildUnevaluatedItems(b *builder, raw any) rule {
	b.c.track = true
	return unevaluatedItemsRule{b.child(raw, "unevaluatedItems")}
}

func (rule unevaluatedItemsRule) check(r *run, s *spot) bool {
	list, ok := s.v.([]any)
	if !ok || s.seen.allItems {
		return true
	}
	ok = true
	for i := s.seen.items; i < len(list); i++ {
		if s.seen.picked[i] {
			continue
		}
		if rule.rest.never {
			ok = r.fail(s, "unevaluatedItems", s.at.item(i), func() string {
				return fmt.Sprintf("no other keyword allows the item; got %s", describe(list[i]))
			})
			continue
		}
		valid, _ := r.eval(rule.rest, list[i], s.at.item(i))
		ok = valid && ok
	}
	s.seen.allItems = true
	return ok
}
