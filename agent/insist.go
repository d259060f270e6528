package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"connectrpc.com/connect"
)

const (
	// insistFirst is the pause before the second try of a call; it grows to insistMost.
	insistFirst = 200 * time.Millisecond
	insistMost  = 10 * time.Second
	// insistCall bounds one try: a network that swallows everything is said to be one.
	insistCall = time.Minute
	// sayAgain is after how long the same trouble is logged again.
	sayAgain = time.Minute
)

// errEnds says that the agent is to end before it has greeted the control plane.
var errEnds = errors.New("the agent ends")

// Refused says whether the control plane has answered, and would give the same answer
// again: the token or the key is no good. What something between says is no such answer.
func Refused(err error) bool {
	if !connect.IsWireError(err) {
		return false
	}
	switch connect.CodeOf(err) {
	case connect.CodeUnauthenticated, connect.CodePermissionDenied, connect.CodeNotFound, connect.CodeInvalidArgument:
		return true
	default:
		return false
	}
}

// insist calls until the control plane has answered: a machine may start before its
// network does, and an agent outlives its control plane's absence. It returns errEnds
// where the agent is drained or stopped meanwhile, else what the control plane refused.
func (a *Agent) insist(ctx context.Context, call func(ctx context.Context) error) error {
	wait, said, at := insistFirst, "", time.Time{}
	for {
		err := within(ctx, insistCall, call)
		switch {
		case err == nil:
			a.health.trouble.Store(nil)
			return nil
		case Refused(err):
			return err
		case ctx.Err() != nil:
			return errEnds
		}
		text := err.Error()
		a.health.trouble.Store(&text)
		if text != said || time.Since(at) >= sayAgain {
			said, at = text, time.Now()
			a.cfg.Logger.Warn("the control plane cannot be reached; the agent waits and tries again", "server", a.cfg.Server, "error", err)
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)): // not all agents of a site at once
		case <-a.drained:
			return errEnds
		case <-ctx.Done():
			return errEnds
		}
		wait = min(2*wait, insistMost)
	}
}

func within(ctx context.Context, most time.Duration, call func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("no answer within %s", most))
	defer cancel()
	err := call(ctx)
	if err != nil && context.Cause(ctx) != nil && connect.CodeOf(err) == connect.CodeDeadlineExceeded {
		return context.Cause(ctx)
	}
	return err
}
