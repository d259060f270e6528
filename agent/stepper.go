package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// stepper tells the control plane, before the first step that may not be repeated
// begins, that one does: without its word the step does not begin.
type stepper struct {
	Host
	work *work
	once sync.Mutex
	told bool
	// keeper sends what a teardown elsewhere needs, before the first such step begins.
	keeper *keeper
}

func (s *stepper) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	if (req.Effect == "once" || req.Effect == "consume") && !s.work.agent.cfg.Fault.Off("no_dirty") {
		if err := s.dirty(ctx, req.StepID); err != nil {
			return nil, &plugin.Error{
				Code: plugin.CodePlugin, Blame: plugin.BlameAgent, Cause: err,
				Message: "the control plane was not told that this step begins, so it did not begin: " + err.Error(),
			}
		}
	}
	l := s.work.offer.GetLease()
	req.Lease = fmt.Sprintf("%s/%d/%d", l.GetRunId(), l.GetAttempt(), l.GetFence())
	return s.Host.Execute(ctx, req, out)
}

func (s *stepper) dirty(ctx context.Context, step string) error {
	s.once.Lock()
	defer s.once.Unlock()
	if s.told || s.work.offer.GetTeardownOnly() { // a teardown is repeated in any case
		return nil
	}
	if err := s.keeper.flush(ctx); err != nil {
		return err
	}
	faults := s.work.agent.cfg.Fault
	if err := faults.Point("agent.dirty.before"); err != nil {
		return err
	}
	for {
		_, err := s.work.agent.gateway.Dirty(ctx, &apiv1.DirtyRequest{Lease: s.work.offer.GetLease(), StepId: step})
		if err == nil {
			s.told = true
			return faults.Point("agent.dirty.after")
		}
		if final(err) {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// final says whether asking the control plane again cannot help: it has refused. Every
// other error, as an answer that was cut in its middle, says nothing about the run; the
// end of the lease is what bounds the tries.
func final(err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeAborted, connect.CodeNotFound, connect.CodeInvalidArgument, connect.CodeFailedPrecondition,
		connect.CodePermissionDenied, connect.CodeUnauthenticated, connect.CodeUnimplemented:
		return true
	}
	return false
}
