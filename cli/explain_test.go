package cli

import (
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	for claim, c := range map[string]struct {
		args []string
		env  []string
		code int
		says string
	}{
		"a code":                  {[]string{"E-CONN"}, nil, 0, "E-CONN\n\nNo connection:"},
		"a code as people type":   {[]string{"conn"}, nil, 0, "E-CONN\n"},
		"a topic":                 {[]string{"exit-codes"}, nil, 0, "130   interrupted"},
		"all that there is":       {nil, nil, 0, "E-YAML        The file is not YAML that can be read.\n"},
		"the topics are there":    {nil, nil, 0, "\nTopics\n  environment   "},
		"ASCII where it must be":  {[]string{"verdicts"}, []string{"LC_ALL=C"}, 0, "Verdicts\n"},
		"colour":                  {[]string{"--color", "always", "verdicts"}, nil, 0, "\x1b[1mVerdicts\x1b[0m"},
		"a typo has a suggestion": {[]string{"E-CNON"}, nil, 2, `did you mean "E-CONN"?`},
		"nonsense has a way out":  {[]string{"zzzzzz"}, nil, 2, "testmesh explain lists all"},
	} {
		t.Run(claim, func(t *testing.T) {
			out, errs, code := command(t, t.TempDir(), c.env, append([]string{"explain"}, c.args...)...)
			if code != c.code || !strings.Contains(out+errs, c.says) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", code, c.code, c.says, out, errs)
			}
		})
	}
}
