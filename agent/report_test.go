package agent

import (
	"context"
	"errors"
	"testing"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/agent/lease"
	"github.com/testmesh/testmesh/flow/event"
)

// What ended with the lease is not a verdict; what was judged before it is one.
func TestALostLeaseIsNoVerdict(t *testing.T) {
	for name, test := range map[string]struct {
		why    error
		status event.Status
		want   bool
	}{
		"cancelled by the loss":           {lease.ErrLost, event.Cancelled, true},
		"errored by the loss":             {lease.ErrLost, event.Errored, true},
		"nothing was said":                {lease.ErrLost, "", true},
		"passed before it":                {lease.ErrLost, event.Passed, false},
		"failed before it":                {lease.ErrLost, event.Failed, false},
		"cancelled by somebody":           {errors.New("cancelled by ada"), event.Cancelled, false},
		"cancelled by the agent's ending": {lease.ErrStopped, event.Cancelled, false},
		"errored, with its lease":         {nil, event.Errored, false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, end := context.WithCancelCause(t.Context())
			defer end(nil)
			if test.why != nil {
				end(test.why)
			}
			if got := undecided(ctx, engine.Outcome{Status: test.status}); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// What the end of an agent cuts off is another's; what was judged before it is not.
func TestWhatTheEndOfAnAgentCutsOff(t *testing.T) {
	for name, test := range map[string]struct {
		why    error
		status event.Status
		want   bool
	}{
		"cancelled by the ending": {lease.ErrStopped, event.Cancelled, true},
		"passed before it":        {lease.ErrStopped, event.Passed, false},
		"failed before it":        {lease.ErrStopped, event.Failed, false},
		"errored before it":       {lease.ErrStopped, event.Errored, false},
		"cancelled by somebody":   {errors.New("cancelled by ada"), event.Cancelled, false},
		"cancelled by the loss":   {lease.ErrLost, event.Cancelled, false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, end := context.WithCancelCause(t.Context())
			end(test.why)
			if got := interrupted(ctx, engine.Outcome{Status: test.status}); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
