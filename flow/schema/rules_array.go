package schema

import (
	"fmt"
	"math"
	"strconv"

	"github.com/testmesh/testmesh/flow/value"
)

// prefixRule is prefixItems and the list form of items.
type prefixRule struct{ list []*node }

func buildPrefixItems(b *builder, raw any) rule { return prefixRule{b.nodes(raw)} }

func (rule prefixRule) check(r *run, s *spot) bool {
	list, ok := s.v.([]any)
	if !ok {
		return true
	}
	ok = true
	n := min(len(list), len(rule.list))
	for i := range n {
		valid, _ := r.eval(rule.list[i], list[i], s.at.item(i))
		ok = valid && ok
	}
	if s.seen != nil {
		s.seen.items = max(s.seen.items, n)
	}
	return ok
}

// itemsRule is what holds for all items from one on.
type itemsRule struct {
	keyword string
	from    int
	rest    *node
}

func buildItemsOrList(b *builder, raw any) rule {
	if _, isList := raw.([]any); isList {
		return buildPrefixItems(b, raw)
	}
	return itemsRule{"items", 0, b.child(raw, "items")}
}

func buildItems(b *builder, raw any) rule {
	rule := itemsRule{"items", 0, b.child(raw, "items")}
	if prefix, ok := b.lookup("prefixItems"); ok {
		rule.from = len(prefix.([]any))
	}
	return rule
}

func buildAdditionalItems(b *builder, raw any) rule {
	rest := b.child(raw, "additionalItems")
	items, ok := b.lookup("items")
	prefix, isList := items.([]any)
	if !ok || !isList {
		return nil // without a list of items the keyword says nothing
	}
	return itemsRule{"additionalItems", len(prefix), rest}
}

func (rule itemsRule) check(r *run, s *spot) bool {
	list, ok := s.v.([]any)
	if !ok {
		return true
	}
	if rule.rest.never && len(list) > rule.from {
		return r.fail(s, rule.keyword, s.at.item(rule.from), func() string {
			return fmt.Sprintf("item not allowed; got a list of %d, want at most %d", len(list), rule.from)
		})
	}
	ok = true
	for i := rule.from; i < len(list); i++ {
		valid, _ := r.eval(rule.rest, list[i], s.at.item(i))
		ok = valid && ok
	}
	if s.seen != nil {
		s.seen.allItems = true
	}
	return ok
}

type containsRule struct {
	match    *node
	min, max any  // counts; max nil: unbounded
	asked    bool // minContains is given
	sees     bool // what matched counts as evaluated: from 2020-12
}

func buildContains(b *builder, raw any) rule {
	rule := containsRule{match: b.child(raw, "contains"), min: int64(1), sees: b.d.draft >= Draft2020}
	if n, ok := b.lookup("minContains"); ok {
		rule.min, rule.asked = n, true
	}
	if n, ok := b.lookup("maxContains"); ok {
		rule.max = n
	}
	return rule
}

func (rule containsRule) check(r *run, s *spot) bool {
	list, ok := s.v.([]any)
	if !ok {
		return true
	}
	var n int64
	for i, e := range list {
		if r.holds(rule.match, e, s.at.item(i)) {
			n++
			if rule.sees {
				s.seen.addItem(i)
			}
		}
	}
	if order, _ := value.CompareNumbers(n, rule.min); order < 0 {
		keyword := "contains"
		if rule.asked {
			keyword = "minContains"
		}
		return r.fail(s, keyword, s.at, func() string {
			return fmt.Sprintf("%d of %s as %s#%s/contains asks, want at least %s; got %s",
				n, plural(len(list), "item is", "items are"), s.node.doc.name, s.node.ptr, value.Compact(rule.min), describe(s.v))
		})
	}
	if rule.max != nil {
		if order, _ := value.CompareNumbers(n, rule.max); order > 0 {
			return r.fail(s, "maxContains", s.at, func() string {
				return fmt.Sprintf("%d of %s as %s#%s/contains asks, want at most %s; got %s",
					n, plural(len(list), "item is", "items are"), s.node.doc.name, s.node.ptr, value.Compact(rule.max), describe(s.v))
			})
		}
	}
	return true
}

type uniqueItemsRule struct{}

func buildUniqueItems(_ *builder, raw any) rule {
	if raw != true {
		return nil
	}
	return uniqueItemsRule{}
}

func (uniqueItemsRule) check(r *run, s *spot) bool {
	list, ok := s.v.([]any)
	if !ok {
		return true
	}
	i, j, ok := duplicate(list, func(steps int) bool { return r.spend(steps, s.node, s.at) })
	if !ok {
		return false
	}
	if i < 0 {
		return true
	}
	return r.fail(s, "uniqueItems", s.at, func() string {
		return fmt.Sprintf("the items [%d] and [%d] are the same: %s", i, j, describe(list[i]))
	})
}

// duplicate finds the first two equal elements, or -1, -1. Elements are put
// into buckets by a key that equal values share, so that long lists cost no
// square. ok is false where spend stopped it.
func duplicate(list []any, spend func(steps int) bool) (i, j int, ok bool) {
	if len(list) < 2 {
		return -1, -1, true
	}
	buckets := make(map[string][]int, len(list))
	var key []byte
	for j, e := range list {
		key = appendKey(key[:0], e)
		same := buckets[string(key)]
		if spend != nil && !spend(1+len(key)/textStep+len(same)) {
			return -1, -1, false
		}
		for _, i := range same {
			if value.Equal(list[i], e) {
				return i, j, true
			}
		}
		buckets[string(key)] = append(same, j)
	}
	return -1, -1, true
}

// appendKey writes v so that equal values are written alike; numbers that are
// not equal may be too.
func appendKey(dst []byte, v any) []byte {
	switch x := v.(type) {
	case []any:
		dst = append(dst, '[')
		for _, e := range x {
			dst = append(appendKey(dst, e), ',')
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for _, k := range value.Keys(x) {
			dst = append(value.AppendString(dst, k), ':')
			dst = append(appendKey(dst, x[k]), ',')
		}
		return append(dst, '}')
	}
	if f, ok := value.Float(v); ok {
		return strconv.AppendUint(append(dst, '#'), math.Float64bits(f+0), 16) // -0 + 0 is 0
	}
	return value.Append(dst, v)
}
