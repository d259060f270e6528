package schema

import (
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/value"
)

// sizeRule is minLength, maxItems and their like.
type sizeRule struct {
	keyword    string
	limit      any
	sign       int // of size minus limit where it is allowed
	size       func(v any) (n int, ok bool)
	noun, many string
}

func lengthOf(v any) (int, bool) {
	s, ok := v.(string)
	if !ok {
		return 0, false
	}
	return utf8.RuneCountInString(s), true
}

func itemsOf(v any) (int, bool) {
	list, ok := v.([]any)
	return len(list), ok
}

func propertiesOf(v any) (int, bool) {
	m, ok := v.(map[string]any)
	return len(m), ok
}

func buildMinLength(_ *builder, raw any) rule {
	return sizeRule{"minLength", raw, 1, lengthOf, "character", "characters"}
}

func buildMaxLength(_ *builder, raw any) rule {
	return sizeRule{"maxLength", raw, -1, lengthOf, "character", "characters"}
}

func buildMinItems(_ *builder, raw any) rule {
	return sizeRule{"minItems", raw, 1, itemsOf, "item", "items"}
}

func buildMaxItems(_ *builder, raw any) rule {
	return sizeRule{"maxItems", raw, -1, itemsOf, "item", "items"}
}

func buildMinProperties(_ *builder, raw any) rule {
	return sizeRule{"minProperties", raw, 1, propertiesOf, "property", "properties"}
}

func buildMaxProperties(_ *builder, raw any) rule {
	return sizeRule{"maxProperties", raw, -1, propertiesOf, "property", "properties"}
}

func (rule sizeRule) check(r *run, s *spot) bool {
	n, ok := rule.size(s.v)
	if !ok {
		return true
	}
	if order, _ := value.CompareNumbers(int64(n), rule.limit); order == 0 || order == rule.sign {
		return true
	}
	return r.fail(s, rule.keyword, s.at, func() string {
		want := "at least"
		if rule.sign < 0 {
			want = "at most"
		}
		return fmt.Sprintf("got %s with %s, want %s %s", describe(s.v), plural(n, rule.noun, rule.many), want, value.Compact(rule.limit))
	})
}

type patternRule struct {
	re     *regexp.Regexp
	source string
}

func buildPattern(b *builder, raw any) rule {
	re, err := compilePattern(raw.(string))
	if err != nil {
		b.fail("pattern", "%v", err)
		return nil
	}
	return patternRule{re, raw.(string)}
}

// textStep is how many bytes of text count as one step.
const textStep = 256

func (rule patternRule) check(r *run, s *spot) bool {
	text, ok := s.v.(string)
	if !ok {
		return true
	}
	if !r.spend(len(text)/textStep, s.node, s.at) {
		return false
	}
	if rule.re.MatchString(text) {
		return true
	}
	return r.fail(s, "pattern", s.at, func() string {
		return "got " + describe(s.v) + ", which does not match the pattern " + value.Compact(rule.source)
	})
}

type formatRule struct {
	name string
	test func(string) error
}

func buildFormat(b *builder, raw any) rule {
	name := raw.(string)
	test := formatTest(name)
	if test == nil {
		if name != "" && !b.cur.doc.ours {
			b.c.hint(b.cur.where()+"/format", "unknown format %q, never checked%s", name, didYouMean(name, formatNames))
		}
		return nil
	}
	if b.c.opts.AnnotateFormats && !b.d.assertFormats {
		return nil
	}
	return formatRule{name, test}
}

func (rule formatRule) check(r *run, s *spot) bool {
	text, ok := s.v.(string)
	if !ok {
		return true
	}
	err := rule.test(text)
	if err == nil {
		return true
	}
	return r.fail(s, "format", s.at, func() string {
		return fmt.Sprintf("got %s, want the format %s: %v", describe(s.v), rule.name, err)
	})
}
