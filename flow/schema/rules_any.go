package schema

import (
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// types is a set of the type names.
type types uint8

const (
	typeNull types = 1 << iota
	typeBoolean
	typeInteger
	typeNumber
	typeString
	typeArray
	typeObject
)

// typeBit gives the type of a name, or 0.
func typeBit(name string) types {
	switch name {
	case "null":
		return typeNull
	case "boolean":
		return typeBoolean
	case "integer":
		return typeInteger
	case "number":
		return typeNumber
	case "string":
		return typeString
	case "array":
		return typeArray
	case "object":
		return typeObject
	}
	return 0
}

type typeRule struct {
	allowed types
	names   string
}

func buildType(_ *builder, raw any) rule {
	list, ok := raw.([]any)
	if !ok {
		list = []any{raw}
	}
	var rule typeRule
	var names []string
	for _, e := range list {
		rule.allowed |= typeBit(e.(string))
		names = append(names, e.(string))
	}
	rule.names = strings.Join(names, " or ")
	return rule
}

func (rule typeRule) check(r *run, s *spot) bool {
	// 1.0 is an integer in every draft here: a number is one by its value.
	if rule.allowed&typeBit(string(value.KindOf(s.v))) != 0 ||
		rule.allowed&typeInteger != 0 && value.IsInteger(s.v) {
		return true
	}
	return r.fail(s, "type", s.at, func() string { return "got " + describe(s.v) + ", want " + rule.names })
}

type constRule struct{ want any }

func buildConst(_ *builder, raw any) rule { return constRule{raw} }

func (rule constRule) check(r *run, s *spot) bool {
	if value.Equal(s.v, rule.want) {
		return true
	}
	return r.fail(s, "const", s.at, func() string { return "got " + describe(s.v) + ", want " + describe(rule.want) })
}

type enumRule struct {
	list  []any
	texts map[string]bool // the strings of a long list
}

// longEnum is from where looking texts up pays.
const longEnum = 16

func buildEnum(_ *builder, raw any) rule {
	rule := enumRule{list: raw.([]any)}
	if len(rule.list) >= longEnum {
		rule.texts = map[string]bool{}
		for _, e := range rule.list {
			if s, ok := e.(string); ok {
				rule.texts[s] = true
			}
		}
	}
	return rule
}

func (rule enumRule) check(r *run, s *spot) bool {
	text, isText := s.v.(string)
	if isText && rule.texts != nil {
		if rule.texts[text] {
			return true
		}
	} else {
		if !r.spend(len(rule.list)/8, s.node, s.at) {
			return false
		}
		for _, e := range rule.list {
			if value.Equal(s.v, e) {
				return true
			}
		}
	}
	return r.fail(s, "enum", s.at, func() string { return rule.say(s.v) })
}

func (rule enumRule) say(v any) string {
	const shown = 12
	var all, texts []string
	for i, e := range rule.list {
		if i < shown {
			all = append(all, value.Describe(e, describeBytes))
		}
		if t, ok := e.(string); ok {
			texts = append(texts, t)
		}
	}
	for i, e := range rule.list[:len(all)] {
		if value.KindOf(e) != value.Null {
			all[i] = strings.TrimSuffix(all[i], " ("+string(value.KindOf(e))+")")
		}
	}
	more := ""
	if n := len(rule.list) - len(all); n > 0 {
		more = fmt.Sprintf(" … (%d more)", n)
	}
	text, _ := v.(string)
	return fmt.Sprintf("got %s, want one of %s%s%s", describe(v), strings.Join(all, ", "), more, didYouMean(text, texts))
}
