package agent

import (
	"context"
	"errors"
	"testing"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/agent/lease"
	"github.com/testmesh/testmesh/flow/event"
)

// What ended with the lease, or with the agent, is not a verdict, and another's; what was
// judged before it is one.
func TestWhatIsNoVerdict(t *testing.T) {
	for name, test := range map[string]struct {
		why                    error
		status                 event.Status
		undecided, interrupted bool
		hurried                bool
	}{
		"cancelled by the loss":           {lease.ErrLost, event.Cancelled, true, false, false},
		"errored by the loss":             {lease.ErrLost, event.Errored, true, false, false},
		"nothing was said":                {lease.ErrLost, "", true, false, false},
		"passed before the loss":          {lease.ErrLost, event.Passed, false, false, false},
		"failed before the loss":          {lease.ErrLost, event.Failed, false, false, false},
		"cancelled by the agent's ending": {lease.ErrStopped, event.Cancelled, false, true, false},
		"passed before the ending":        {lease.ErrStopped, event.Passed, false, false, false},
		"failed before the ending":        {lease.ErrStopped, event.Failed, false, false, false},
		"errored before the ending":       {lease.ErrStopped, event.Errored, false, false, false},
		"errored by its hurry":            {lease.ErrStopped, event.Errored, true, false, true},
		"cancelled by its hurry":          {lease.ErrStopped, event.Cancelled, true, true, true},
		"passed before its hurry":         {lease.ErrStopped, event.Passed, false, false, true},
		"cancelled by somebody, forced":   {errors.New("cancelled by ada"), event.Errored, false, false, true},
		"cancelled by somebody":           {errors.New("cancelled by ada"), event.Cancelled, false, false, false},
		"errored, with its lease":         {nil, event.Errored, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, end := context.WithCancelCause(t.Context())
			defer end(nil)
			if test.why != nil {
				end(test.why)
			}
			out := engine.Outcome{Status: test.status}
			if got := undecided(ctx, test.hurried, out); got != test.undecided {
				t.Errorf("undecided is %v", got)
			}
			if got := interrupted(ctx, out); got != test.interrupted {
				t.Errorf("interrupted is %v", got)
			}
		})
	}
}
