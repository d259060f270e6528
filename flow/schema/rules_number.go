package schema

import (
	"github.com/testmesh/testmesh/flow/value"
)

// boundRule is minimum, maximum and their exclusive forms.
type boundRule struct {
	keyword   string
	bound     any
	sign      int // of value minus bound where it is allowed
	exclusive bool
}

func buildMinimum(b *builder, raw any) rule {
	return boundRule{"minimum", raw, 1, b.m["exclusiveMinimum"] == true}
}

func buildMaximum(b *builder, raw any) rule {
	return boundRule{"maximum", raw, -1, b.m["exclusiveMaximum"] == true}
}

func buildExclusiveMinimum(_ *builder, raw any) rule {
	return boundRule{"exclusiveMinimum", raw, 1, true}
}

func buildExclusiveMaximum(_ *builder, raw any) rule {
	return boundRule{"exclusiveMaximum", raw, -1, true}
}

func (rule boundRule) check(r *run, s *spot) bool {
	order, ok := value.CompareNumbers(s.v, rule.bound)
	if !ok || order == rule.sign || order == 0 && !rule.exclusive {
		return true
	}
	return r.fail(s, rule.keyword, s.at, func() string {
		want := ", want at least "
		switch {
		case rule.exclusive && rule.sign > 0:
			want = ", want more than "
		case rule.exclusive:
			want = ", want less than "
		case rule.sign < 0:
			want = ", want at most "
		}
		return "got " + describe(s.v) + want + value.Compact(rule.bound)
	})
}

type multipleOfRule struct{ of any }

func buildMultipleOf(_ *builder, raw any) rule { return multipleOfRule{raw} }

func (rule multipleOfRule) check(r *run, s *spot) bool {
	if value.KindOf(s.v) != value.Number || value.IsMultiple(s.v, rule.of) {
		return true
	}
	return r.fail(s, "multipleOf", s.at, func() string {
		return "got " + describe(s.v) + ", want a multiple of " + value.Compact(rule.of)
	})
}
