package match

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// markers are the words after `#` that take no argument, with what they accept.
// `present` and `absent` are judged before, where nothing may be there at all.
func markerFits(word string, v any) bool {
	switch word {
	case "any", "present":
		return true
	case "null":
		return v == nil
	case "notnull":
		return v != nil
	case "string", "number", "boolean", "array", "object":
		return string(value.KindOf(v)) == word
	case "integer":
		return value.IsInteger(v)
	}
	s, ok := v.(string)
	if !ok {
		return false
	}
	switch word {
	case "uuid":
		return isUUID(s)
	case "date":
		_, err := time.Parse(time.DateOnly, s)
		return err == nil
	case "datetime":
		_, err := time.Parse(time.RFC3339Nano, s)
		return err == nil
	case "email":
		return isEmail(s)
	case "uri":
		u, err := url.Parse(s)
		return err == nil && u.Scheme != ""
	}
	return false
}

// Markers are the plain markers, in the order of the reference.
func Markers() []string {
	return []string{
		"string", "number", "integer", "boolean", "array", "object", "null", "notnull",
		"present", "absent", "any", "uuid", "date", "datetime", "email", "uri",
	}
}

// isUUID accepts the 8-4-4-4-12 form of RFC 9562 in either case, any version.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return false
			}
		}
	}
	return true
}

// isEmail accepts what the HTML standard's e-mail state accepts, with a dot in
// the domain not required; quoted local parts are not mail that tests meet.
func isEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || domain == "" || len(s) > 254 {
		return false
	}
	for _, r := range local {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`"(),:;<>@[\]`, r) {
			return false
		}
	}
	for _, label := range strings.Split(domain, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r < 0x80 && r != '-' && !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
				return false
			}
		}
	}
	return true
}

// marker is a string pattern that begins with `#`.
type marker struct {
	pos      source.Pos
	text     string
	optional bool // `##`: may be absent or null
	word     string
}

func (n *marker) where() source.Pos { return n.pos }
func (n *marker) written() string   { return n.text }

func (n *marker) check(m *matching, path string, actual any, present bool) {
	switch {
	case n.optional && (!present || actual == nil):
	case n.word == "absent":
		if present {
			m.fail(n, path, actual, true, path+": want nothing there, "+got(actual))
		}
	case !present, !markerFits(n.word, actual):
		m.fail(n, path, actual, present, fmt.Sprintf("%s: want #%s, %s", path, n.word, got(actual)))
	}
}

// pattern is `#regex`.
type pattern struct {
	marker
	re   *regexp.Regexp // nil with a template
	tmpl *expr.Template
}

func (n *pattern) check(m *matching, path string, actual any, present bool) {
	if n.optional && (!present || actual == nil) {
		return
	}
	re := n.re
	if re == nil {
		text, err := n.tmpl.Text(m.env)
		if err == nil {
			re, err = regexp.Compile(text)
		}
		if err != nil {
			m.err = err
			return
		}
	}
	s, ok := actual.(string)
	if !present || !ok || !re.MatchString(s) {
		m.fail(n, path, actual, present, fmt.Sprintf("%s: want a string that matches %s, %s", path, re, got(actual)))
	}
}

// condition is `#(expression over _)`.
type condition struct {
	marker
	cond *expr.Expr
}

func (n *condition) check(m *matching, path string, actual any, present bool) {
	if n.optional && (!present || actual == nil) {
		return
	}
	if !present {
		m.fail(n, path, actual, false, "")
		return
	}
	env := *m.env
	env.Scope = &under{outer: m.env.Scope, v: actual}
	v, err := n.cond.Eval(&env)
	if err != nil {
		if expr.IsWrongAnswer(err) {
			m.fail(n, path, actual, true, fmt.Sprintf("%s: %s: %s", path, n.text, err))
			return
		}
		m.err = err
		return
	}
	if v != true {
		m.fail(n, path, actual, true, fmt.Sprintf("%s: want %s to hold, %s", path, n.text, got(actual)))
	}
}

// under adds the name `_` to a scope.
type under struct {
	outer expr.Scope
	v     any
}

func (s *under) Lookup(name string) (any, bool, error) {
	if name == "_" {
		return s.v, true, nil
	}
	if s.outer == nil {
		return nil, false, nil
	}
	return s.outer.Lookup(name)
}

// length is `#[]`, `#[3]`, `#[1..5]`, with an optional marker for each element.
type length struct {
	marker
	low, high int // high -1: any
	element   node
}

func (n *length) check(m *matching, path string, actual any, present bool) {
	if n.optional && (!present || actual == nil) {
		return
	}
	have, ok := actual.([]any)
	if !present || !ok {
		m.fail(n, path, actual, present, path+": want a list, "+got(actual))
		return
	}
	if len(have) < n.low || n.high >= 0 && len(have) > n.high {
		m.fail(n, path, actual, true, fmt.Sprintf("%s: want %s elements, got %d", path, n.size(), len(have)))
	}
	if n.element == nil {
		return
	}
	for i, v := range have {
		m.compare(n.element, fmt.Sprintf("%s[%d]", path, i), v, true)
	}
}

func (n *length) size() string {
	switch {
	case n.high < 0:
		return fmt.Sprintf("at least %d", n.low)
	case n.low == n.high:
		return fmt.Sprintf("exactly %d", n.low)
	case n.low == 0:
		return fmt.Sprintf("at most %d", n.high)
	}
	return fmt.Sprintf("%d to %d", n.low, n.high)
}

// parseLength reads what stands between the brackets: "", "3", "1..", "..5", "1..5".
func parseLength(text string) (low, high int, ok bool) {
	if text == "" {
		return 0, -1, true
	}
	from, to, isRange := strings.Cut(text, "..")
	number := func(s string, absent int) int {
		if s == "" {
			return absent
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || s[0] == '+' {
			ok = false
		}
		return n
	}
	ok = true
	if !isRange {
		low = number(from, 0)
		return low, low, ok
	}
	if from == "" && to == "" {
		return 0, 0, false
	}
	low, high = number(from, 0), number(to, -1)
	return low, high, ok && (high < 0 || low <= high)
}
