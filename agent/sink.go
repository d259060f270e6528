package agent

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/agent/stream"
	"github.com/testmesh/testmesh/flow/event"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// sink writes events to the spool, and keeps what the record of the run has of them.
type sink struct {
	agent *Agent
	spool *stream.Spool
	ctx   context.Context

	mu        sync.Mutex
	summaries []*apiv1.StepSummary
	steps     int
	orphans   []string
	outputs   map[string]any
	duration  float64
}

// maxSummaries bounds the steps in the record of a run.
const maxSummaries = 200

// Wants all there is.
func (s *sink) Wants() event.Wants { return event.Wants{Exchanges: true, Results: true} }

// Emit records an event. An artifact's bytes are at the control plane before its event
// says so.
func (s *sink) Emit(_ context.Context, e *event.Event) error {
	if e.Type == event.TypeStepArtifact && e.Artifact.Data != nil {
		if err := s.artifact(e.Artifact); err != nil {
			return err
		}
	}
	s.note(e)
	needed := e.Type != event.TypeStepLog && e.Type != event.TypeStepExchange && e.Type != event.TypeStepRetrying
	if err := s.agent.cfg.Fault.Point("agent.spool"); err != nil {
		return err
	}
	err := s.spool.Write(append(event.AppendJSON(nil, e), '\n'), needed)
	s.agent.sender.Written()
	return err
}

func (s *sink) artifact(a *event.Artifact) (err error) {
	for wait := 200 * time.Millisecond; wait < 10*time.Second; wait *= 2 {
		if err = s.agent.store(context.WithoutCancel(s.ctx), s.spool.Lease, a.Data); err == nil {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-s.ctx.Done():
			return fmt.Errorf("store artifact %s: %w", a.Name, err)
		}
	}
	return fmt.Errorf("store artifact %s: %w", a.Name, err)
}

func (s *sink) note(e *event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Type {
	case event.TypeStepFinished:
		s.steps++
		f := e.StepFinished
		if len(s.summaries) < maxSummaries {
			s.summaries = append(s.summaries, &apiv1.StepSummary{
				StepId: e.Step.ID, Name: e.Step.Name, Action: e.Step.Action, Phase: string(e.Step.Phase), Path: e.Step.Path, Status: string(f.Status),
				Reason: f.Reason, Tries: int32(f.Tries), DurationMs: f.DurationMS, Message: message(f),
			})
		}
	case event.TypeResourceOrphaned:
		s.orphans = append(s.orphans, strings.TrimSpace(fmt.Sprintf("%s %s: %s", e.Resource.Type, e.Resource.ID, e.Resource.Reason)))
	case event.TypeRunFinished:
		s.outputs, s.duration = e.RunFinished.Outputs, e.RunFinished.DurationMS
	}
}

// message is the first words of why a step did not pass.
func message(f *event.StepFinished) string {
	const most = 200
	text := ""
	switch {
	case f.Status == event.Passed:
		return ""
	case f.Error != nil:
		text = f.Error.Message
	default:
		for _, a := range f.Assertions {
			if !a.Passed {
				text = a.Message
				if text == "" {
					text = a.Expression
				}
				break
			}
		}
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
