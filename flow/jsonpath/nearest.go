package jsonpath

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxSuggested bounds how many names are compared for did-you-mean.
	maxSuggested = 1000
	// maxListed is how many names a message lists where none is near.
	maxListed = 5
	// maxShown bounds a name in a message, in bytes.
	maxShown = 60
)

// Nearest says where a path leaves the document, as a part of a sentence:
// `$.body.items[0] has no "prize"; did you mean "price"?`. Of a path that is
// not singular the segments before the first that may select several are
// followed. It is empty where nothing is missing.
func Nearest(root any, p *Path) string {
	at, v := "$", root
	for i := range p.query.segments {
		s := &p.query.segments[i]
		if !s.singular() {
			return ""
		}
		child, ok := get(p.query.segments[i:i+1], v)
		if !ok {
			return missing(at, v, &s.selectors[0])
		}
		if sel := &s.selectors[0]; sel.kind == nameSelector {
			at = value.Member(at, sel.name)
		} else {
			at += "[" + strconv.FormatInt(sel.index, 10) + "]"
		}
		v = child
	}
	return ""
}

func missing(at string, v any, s *selector) string {
	want := strconv.Quote(clip(s.name, maxShown))
	if s.kind == indexSelector {
		want = fmt.Sprintf("[%d]", s.index)
	}
	switch x := v.(type) {
	case map[string]any:
		return missingMember(at, x, s, want)
	case []any:
		if s.kind == indexSelector {
			return fmt.Sprintf("%s has %s, so no %s", at, plural(len(x), "element"), want)
		}
		if len(x) > 0 {
			if m, ok := x[0].(map[string]any); ok {
				if _, ok := m[s.name]; ok {
					return fmt.Sprintf("%s is an array, which has no %s; did you mean %s?", at, want, clip(value.Member(at+"[0]", s.name), 4*maxShown))
				}
			}
		}
		return fmt.Sprintf("%s is an array of %s, which has no %s", at, plural(len(x), "element"), want)
	case nil:
		return fmt.Sprintf("%s is null, which has no %s", at, want)
	}
	return fmt.Sprintf("%s is a %s, which has no %s", at, value.KindOf(v), want)
}

func missingMember(at string, m map[string]any, s *selector, want string) string {
	if s.kind == indexSelector {
		return fmt.Sprintf("%s is an object, which has no %s", at, want)
	}
	if len(m) == 0 {
		return fmt.Sprintf("%s has no %s; it is an empty object", at, want)
	}
	keys := value.Keys(m)
	if near := nearestName(s.name, keys); near != "" {
		return fmt.Sprintf("%s has no %s; did you mean %q?", at, want, near)
	}
	listed := make([]string, 0, maxListed)
	for _, k := range keys[:min(len(keys), maxListed)] {
		listed = append(listed, strconv.Quote(clip(k, maxShown)))
	}
	text := fmt.Sprintf("%s has no %s; it has %s", at, want, strings.Join(listed, ", "))
	if more := len(keys) - len(listed); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func nearestName(name string, keys []string) string {
	keys = keys[:min(len(keys), maxSuggested)]
	for _, k := range keys {
		if strings.EqualFold(k, name) {
			return k
		}
	}
	return value.Closest(name, keys)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
