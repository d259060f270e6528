package syntax

import (
	"regexp"
	"strings"
	"testing"
)

func TestNamesAreJudgedAsTheirPatternsSay(t *testing.T) {
	words := []string{"", "\n", "a\n", "é", "a.é", strings.Repeat("a", 50), strings.Repeat("a", 51), strings.Repeat("a", 64), strings.Repeat("a", 65)}
	const signs = "aZ0_-. A/{`[@:z9"
	for _, a := range signs {
		words = append(words, string(a))
		for _, b := range signs {
			words = append(words, string([]rune{a, b}))
			for _, c := range signs {
				words = append(words, string([]rune{a, b, c}), string([]rune{'b', a, '.', b, c}))
			}
		}
	}
	for _, pattern := range []string{idPattern, oldIDPattern, suitePattern, tagPattern, actionPattern, namePattern, outputPattern} {
		compiled := regexp.MustCompile(pattern)
		for _, word := range words {
			if got, want := fitsPattern(pattern, word), compiled.MatchString(word); got != want {
				t.Errorf("%q and %s: got %t, want %t", word, pattern, got, want)
			}
		}
	}
}
