package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
)

func TestATimeLimitKeepsWhatAPluginSaidOfIt(t *testing.T) {
	limit := event.Error{Code: "E-TIMEOUT", Message: "no answer within 2s", Blame: "system", Hint: "raise `timeout`"}
	tests := map[string]struct {
		had  *event.Error
		want event.Error
	}{
		"nothing was said": {nil, limit},
		"the plugin knows the phase": {
			&event.Error{Code: "E-TIMEOUT", Message: "while connecting", Blame: "system"},
			event.Error{Code: "E-TIMEOUT", Message: "while connecting", Blame: "system"},
		},
		"another error does not hide the limit": {&event.Error{Code: "E-CONN", Message: "refused", Blame: "system"}, limit},
		"a plugin that hangs, with its last words": {
			&event.Error{Code: "E-PLUGIN", Message: "it was left behind", Blame: "plugin", Details: []string{"about to hang"}},
			event.Error{Code: "E-TIMEOUT", Message: "no answer within 2s", Blame: "plugin", Hint: "it was left behind", Details: []string{"about to hang"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			now := limit
			if diff := cmp.Diff(&test.want, keepBlame(test.had, &now)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
