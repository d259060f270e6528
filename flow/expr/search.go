package expr

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// Bounds of regular expressions: RE2's time is the text's length times the
// program's, so both together are bounded; the product is some ten seconds.
const (
	maxPattern = 10_000 // bytes of a pattern
	maxSearch  = 1 << 30
)

// pattern is a compiled regular expression with the size of its program.
type pattern struct {
	*regexp.Regexp
	size int
}

// contains is `a contains b` and, turned round, `b in a`.
type contains struct {
	span
	in          bool // as `needle in haystack`
	hay, needle node
}

func (*contains) kind() value.Kind { return value.Boolean }

func (c *contains) eval(e *evaluation) (any, error) {
	first, second := c.hay, c.needle
	if c.in {
		first, second = second, first
	}
	x, err := e.value(first)
	if err != nil {
		return nil, err
	}
	y, err := e.value(second)
	if err != nil {
		return nil, err
	}
	if c.in {
		x, y = y, x
	}
	return c.find(e, x, y)
}

func (c *contains) find(e *evaluation, hay, needle any) (any, error) {
	switch h := hay.(type) {
	case []any:
		e.steps += len(h)
		for _, v := range h {
			if value.Equal(v, needle) {
				return true, nil
			}
		}
		return false, nil
	case map[string]any:
		key, ok := needle.(string)
		if !ok {
			return nil, valueErrorAt(c.off, c.end, "an object's keys are strings, got %s", describe(needle))
		}
		_, ok = h[key]
		return ok, nil
	case string:
		if c.in {
			return nil, valueErrorAt(c.off, c.end, "in needs an array or an object on its right, got %s; text is searched with contains", describe(hay))
		}
		if s, ok := needle.(string); ok {
			return strings.Contains(h, s), nil
		}
		return nil, valueErrorAt(c.off, c.end, "a string contains strings, got %s", describe(needle))
	}
	if c.in {
		return nil, valueErrorAt(c.off, c.end, "in needs an array or an object on its right, got %s", describe(hay))
	}
	return nil, valueErrorAt(c.off, c.end, "contains needs a string, an array or an object on its left, got %s", describe(hay))
}

// affix is starts_with and ends_with.
type affix struct {
	span
	op        string
	of, fixed node
}

func (*affix) kind() value.Kind { return value.Boolean }

func (a *affix) eval(e *evaluation) (any, error) {
	l, err := e.value(a.of)
	if err != nil {
		return nil, err
	}
	r, err := e.value(a.fixed)
	if err != nil {
		return nil, err
	}
	s, okS := l.(string)
	fixed, okF := r.(string)
	if !okS || !okF {
		return nil, valueErrorAt(a.off, a.end, "%s needs two strings, got %s and %s", a.op, describe(l), describe(r))
	}
	if a.op == "starts_with" {
		return strings.HasPrefix(s, fixed), nil
	}
	return strings.HasSuffix(s, fixed), nil
}

// matches searches a string for a regular expression of RE2.
type matches struct {
	span
	of, pattern node
	compiled    *pattern // where the pattern is constant
}

func (*matches) kind() value.Kind { return value.Boolean }

func (m *matches) eval(e *evaluation) (any, error) {
	v, err := e.value(m.of)
	if err != nil {
		return nil, err
	}
	s, ok := v.(string)
	if !ok {
		return nil, valueErrorAt(m.off, m.end, "matches needs a string, got %s", describe(v))
	}
	re := m.compiled
	if re == nil {
		p, err := e.value(m.pattern)
		if err != nil {
			return nil, err
		}
		off, end := m.pattern.bytes()
		text, ok := p.(string)
		if !ok {
			return nil, valueErrorAt(off, end, "a regular expression is a string, got %s", describe(p))
		}
		if re, err = compilePattern(text); err != nil {
			return nil, valueErrorAt(off, end, "%s", err)
		}
	}
	if len(s) > maxSearch/re.size {
		return nil, &LimitError{Message: fmt.Sprintf("a text of %d bytes is too long for this regular expression", len(s))}
	}
	e.steps += len(s) / 64
	return re.MatchString(s), nil
}

// compilePattern is regexp.Compile with a bound and our sentence.
func compilePattern(text string) (*pattern, error) {
	if len(text) > maxPattern {
		return nil, valueErrorf("a regular expression of %d bytes; at most %d are allowed", len(text), maxPattern)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, valueErrorf("not a regular expression of RE2: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return &pattern{re, programSize(text)}, nil
}

// programSize is how many instructions a pattern compiles to: x{1000} is a
// short pattern and a long program.
func programSize(text string) int {
	if !strings.ContainsRune(text, '{') {
		return len(text) + 1
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return len(text) + 1
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return len(text) + 1
	}
	return len(program.Inst) + 1
}
