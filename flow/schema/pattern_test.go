package schema

import (
	"strings"
	"testing"
)

func TestPatternsMeanWhatECMAMeans(t *testing.T) {
	tests := []struct {
		name, pattern, text string
		want                bool
	}{
		{"$ is the end, not a line's", `^a$`, "a\n", false},
		{". is not a line separator", `^.$`, "\u2028", false},
		{". is a whole character", `^.$`, "💩", true},
		{`\s is Unicode's`, `^\s$`, "\u00a0", true},
		{`\s is the byte order mark too`, `^\s$`, "\ufeff", true},
		{`\s is a vertical tab`, `^\s$`, "\v", true},
		{`\S is not Unicode's white space`, `^\S$`, "\u2003", false},
		{`\s inside of a class`, `^[\sa]+$`, "a \u3000", true},
		{`\S inside of a class`, `^[\S]$`, "é", true},
		{`\S inside of a class is no space`, `^[\S]$`, "\u00a0", false},
		{`both are everything`, `^[\s\S]$`, "\u2028", true},
		{`\w is ASCII's`, `^\w$`, "é", false},
		{`\d is ASCII's`, `^\d$`, "߀", false},
		{`\u escapes`, `^\u00e9$`, "é", true},
		{`surrogate pairs`, `^\ud83d\udca9$`, "💩", true},
		{`code points`, `^\u{1F4A9}$`, "💩", true},
		{`control characters`, `^\cC$`, "\x03", true},
		{`\0`, `^\0$`, "\x00", true},
		{`\x41`, `^\x41$`, "A", true},
		{`\b inside of a class is backspace`, `^[\b]$`, "\b", true},
		{`\b outside is a word's edge`, `a\b`, "a-", true},
		{`an escaped slash`, `^\/a\-b$`, "/a-b", true},
		{`[ inside of a class`, `^[[:a]+$`, "[:a", true},
		{`an empty class matches nothing`, `[]`, "a", false},
		{`a negated empty class matches all`, `^[^]$`, "\n", true},
		{`a script`, `^\p{Script=Greek}+$`, "αβ", true},
		{`a category by its long name`, `^\p{Letter}+$`, "aé", true},
		{`a negated property`, `^\P{L}$`, "1", true},
		{`a named group`, `^(?<year>\d{4})$`, "2026", true},
		{`a lazy repetition`, `^a+?b`, "aab", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			re, err := compilePattern(test.pattern)
			if err != nil {
				t.Fatal(err)
			}
			if got := re.MatchString(test.text); got != test.want {
				t.Errorf("%s matches %q: got %v, want %v (as %s)", test.pattern, test.text, got, test.want, re)
			}
		})
	}
}

func TestPatternsThatCannotRunSayWhy(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{`(?=a)`, "look-around (?=…) is not supported"},
		{`(?!a)`, "look-around (?!…) is not supported"},
		{`(?<=a)b`, "look-around (?<=…) is not supported"},
		{`(?<!a)b`, "look-around (?<!…) is not supported"},
		{`(a)\1`, `back reference \1 is not supported`},
		{`(?<n>a)\k<n>`, `back reference \k is not supported`},
		{`a{2000}`, "repeat counts over 1000 are not supported"},
		{`(?P<n>a)`, "a named group is (?<name>…)"},
		{`\Aa`, `unknown escape \A`},
		{`a\Z`, `unknown escape \Z`},
		{`a\`, `a lone \`},
		{`[a`, "the class at byte 0 is not closed"},
		{`a)`, "unexpected )"},
		{`*a`, "missing argument"},
		{`\p{Klingon}`, "invalid character class"},
		{strings.Repeat("a", maxPattern+1), "over 10000 bytes"},
	}
	for _, test := range tests {
		if _, err := compilePattern(test.pattern); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.20s: got %v, want …%s…", test.pattern, err, test.want)
		}
	}
}
