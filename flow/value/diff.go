package value

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// Change is one difference between an expected and an actual value, by path.
type Change struct {
	Path string // JSONPath from the root that was compared: $.items[1].qty
	// Expected and Actual are the values; the missing side's flag is set
	// instead where the path exists on one side only.
	Expected, Actual               any
	ExpectedMissing, ActualMissing bool
}

// Diff lists how actual differs from expected, in path order, at most limit
// changes; more says how many were left out.
func Diff(expected, actual any, limit int) (changes []Change, more int) {
	d := differ{limit: limit}
	d.walk("$", expected, actual)
	return d.changes, d.more
}

type differ struct {
	changes []Change
	limit   int
	more    int
}

func (d *differ) add(c Change) {
	if len(d.changes) >= d.limit {
		d.more++
		return
	}
	d.changes = append(d.changes, c)
}

func (d *differ) walk(path string, expected, actual any) {
	switch e := expected.(type) {
	case map[string]any:
		if a, ok := actual.(map[string]any); ok {
			d.walkObject(path, e, a)
			return
		}
	case []any:
		if a, ok := actual.([]any); ok {
			for i := range max(len(e), len(a)) {
				at := fmt.Sprintf("%s[%d]", path, i)
				switch {
				case i >= len(a):
					d.add(Change{Path: at, Expected: e[i], ActualMissing: true})
				case i >= len(e):
					d.add(Change{Path: at, Actual: a[i], ExpectedMissing: true})
				default:
					d.walk(at, e[i], a[i])
				}
			}
			return
		}
	}
	if !Equal(expected, actual) {
		d.add(Change{Path: path, Expected: expected, Actual: actual})
	}
}

func (d *differ) walkObject(path string, expected, actual map[string]any) {
	keys := Keys(expected)
	for k := range actual {
		if _, ok := expected[k]; !ok {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		e, hasE := expected[k]
		a, hasA := actual[k]
		if hasE && hasA {
			d.walk(Member(path, k), e, a)
			continue
		}
		d.add(Change{Path: Member(path, k), Expected: e, Actual: a, ExpectedMissing: !hasE, ActualMissing: !hasA})
	}
}

// Member writes the path of key below path: $.a, or $["x-y"] where key is not
// a plain name.
func Member(path, key string) string {
	plain := key != ""
	for i := 0; i < len(key); i++ {
		c := key[i]
		if !(c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9') {
			plain = false
		}
	}
	if plain {
		return path + "." + key
	}
	return path + "[" + Compact(key) + "]"
}

// Nearest names the closest existing key to a missing one, or "".
func Nearest(m map[string]any, key string) string {
	keys := Keys(m)
	for _, k := range keys {
		if strings.EqualFold(k, key) {
			return k
		}
	}
	return Closest(key, keys)
}

// Closest is the did-you-mean rule of every message: the candidate within two
// edits (one for names under five characters; a swap of neighbours is one
// edit), the nearest first, or "".
func Closest(name string, candidates []string) string {
	best, bestDistance := "", 3
	if utf8.RuneCountInString(name) < 5 {
		bestDistance = 2
	}
	for _, c := range candidates {
		if d := distance(name, c); d < bestDistance && c != name {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the optimal string alignment distance, cut off at 3.
func distance(a, b string) int {
	const far = 3
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) >= far || len(y)-len(x) >= far || len(x) > 200 {
		return far
	}
	var before []int
	last := make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row := make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}
