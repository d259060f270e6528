package store

import (
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// state is a run with what only the state machine knows of it.
type state struct {
	run *apiv1.Run
	// verdict and why are how the run will have ended once its teardown has run on
	// another agent; verdict 0: it is queued again instead.
	verdict apiv1.RunStatus
	why     string
}

// load reads a run, nil where there is none.
func (a *applying) load(id string) *state {
	var raw []byte
	s := &state{run: &apiv1.Run{}}
	if !a.one("SELECT verdict, why, record FROM runs WHERE id = ?", []any{id}, &s.verdict, &s.why, &raw) {
		return nil
	}
	if err := proto.Unmarshal(raw, s.run); err != nil {
		a.fail(fmt.Errorf("decode run %s: %w", id, err))
	}
	return s
}

func (a *applying) save(s *state) {
	r := s.run
	agent := ""
	if at := live(r); at != nil {
		agent = at.GetAgentId()
	}
	a.exec("UPDATE runs SET status = ?, agent = ?, quarantined = ?, verdict = ?, why = ?, record = ? WHERE id = ?",
		int(r.GetStatus()), agent, r.GetQuarantined(), int(s.verdict), s.why, a.packed(r), r.GetId())
	a.touched.run(r.GetId())
}

// last is the newest attempt, nil where there is none.
func last(r *apiv1.Run) *apiv1.Attempt {
	if n := len(r.GetAttempts()); n > 0 {
		return r.GetAttempts()[n-1]
	}
	return nil
}

// live is the lease that a run has, nil where it has none.
func live(r *apiv1.Run) *apiv1.Attempt {
	if at := last(r); at != nil && at.GetOutcome() == "" {
		return at
	}
	return nil
}

// end gives a run its end. It is the only place that does. A batch that is given is
// changed and not stored: the caller does that.
func (a *applying) end(s *state, status apiv1.RunStatus, reason string, of *apiv1.Batch) {
	r := s.run
	if terminal(r.GetStatus()) {
		return
	}
	r.Status, r.Reason, r.Finished = status, reason, a.command.GetTime()
	r.Cancelling, r.Quarantined = false, false
	s.verdict, s.why = 0, ""
	for _, table := range []string{"checkpoints", "tokens"} {
		a.exec("DELETE FROM "+table+" WHERE run = ?", r.GetId())
	}
	a.exec("DELETE FROM locks WHERE run = ?", r.GetId())
	a.unclaim(r.GetId())
	a.save(s)
	b, made := of, 0
	if of == nil {
		b, made = a.batch(r.GetBatchId())
	}
	if b.GetCounts() == nil {
		b.Counts = &apiv1.Counts{}
	}
	add(b.GetCounts(), status)
	if of == nil {
		a.saveBatch(b, made)
	}
}

// unclaim lets others execute what the run had claimed and not settled.
func (a *applying) unclaim(run string) {
	a.exec("DELETE FROM once WHERE run = ? AND settled = 0", run)
}

func add(c *apiv1.Counts, status apiv1.RunStatus) {
	switch status {
	case apiv1.RunStatus_RUN_STATUS_PASSED:
		c.Passed++
	case apiv1.RunStatus_RUN_STATUS_FAILED:
		c.Failed++
	case apiv1.RunStatus_RUN_STATUS_SKIPPED:
		c.Skipped++
	case apiv1.RunStatus_RUN_STATUS_CANCELLED:
		c.Cancelled++
	default: // also what nobody knows: it is not green
		c.Errored++
	}
}

// named are the runs that a command is about.
func (a *applying) named(ids []string, batch string) []*state {
	if batch != "" {
		ids = append(slices.Clone(ids), a.texts("SELECT id FROM runs WHERE batch = ? AND status < 5 ORDER BY number", batch)...)
	}
	var list []*state
	for _, id := range ids {
		if s := a.load(id); s != nil && s.run.GetWorkspace() == a.command.GetWorkspace() {
			list = append(list, s)
		}
	}
	return list
}

func (a *applying) cancelRuns(c *clusterv1.CancelRuns) *clusterv1.Answer {
	reason := c.GetReason()
	if reason == "" {
		reason = "cancelled by " + a.command.GetActor()
	}
	answer := &clusterv1.Answer{}
	if id := c.GetBatchId(); id != "" {
		b, made := a.batch(id)
		if b == nil || b.GetWorkspace() != a.command.GetWorkspace() {
			return notFound("batch", id)
		}
		if !b.GetExpanded() { // what is made of it from now on is cancelled too
			b.Reason = reason
			a.saveBatch(b, made)
		}
	}
	for _, s := range a.named(c.GetRunIds(), c.GetBatchId()) {
		r := s.run
		switch {
		case terminal(r.GetStatus()):
			continue
		case r.GetStatus() == apiv1.RunStatus_RUN_STATUS_QUEUED, r.GetStatus() == apiv1.RunStatus_RUN_STATUS_OFFERED:
			a.close(live(r), "returned", reason)
			a.end(s, apiv1.RunStatus_RUN_STATUS_CANCELLED, reason, nil)
		case !r.GetCancelling():
			r.Cancelling, r.CancelReason = true, reason
			if s.verdict == 0 && live(r) == nil { // it waits for a teardown elsewhere, and would begin anew after it
				s.verdict, s.why = apiv1.RunStatus_RUN_STATUS_CANCELLED, reason
			}
			a.save(s)
		default:
			continue
		}
		answer.Changed++
		answer.Runs = append(answer.Runs, r)
	}
	return answer
}

func (a *applying) setPriority(c *clusterv1.SetPriority) *clusterv1.Answer {
	answer := &clusterv1.Answer{}
	for _, s := range a.named(c.GetRunIds(), c.GetBatchId()) {
		if !terminal(s.run.GetStatus()) && s.run.GetPriority() != c.GetPriority() {
			s.run.Priority = c.GetPriority()
			a.save(s)
			answer.Changed++
		}
	}
	return answer
}

func (a *applying) releaseRun(c *clusterv1.ReleaseRun) *clusterv1.Answer {
	s := a.load(c.GetRunId())
	switch {
	case s == nil:
		return notFound("run", c.GetRunId())
	case !s.run.GetQuarantined():
		return fault(codes.FailedPrecondition, "run_id", "not_quarantined", "run %s is not in quarantine", c.GetRunId())
	}
	s.run.Quarantined, s.run.Reason = false, ""
	a.save(s)
	return &clusterv1.Answer{Run: s.run}
}

// endRuns ends what never ran: its leader saw why, and the state looks again.
func (a *applying) endRuns(c *clusterv1.EndRuns) *clusterv1.Answer {
	answer := &clusterv1.Answer{}
	for _, e := range c.GetRuns() {
		s := a.load(e.GetRunId())
		if s == nil || s.run.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED {
			continue
		}
		switch e.GetStatus() {
		case apiv1.RunStatus_RUN_STATUS_SKIPPED, apiv1.RunStatus_RUN_STATUS_ERRORED, apiv1.RunStatus_RUN_STATUS_CANCELLED:
			a.end(s, e.GetStatus(), e.GetReason(), nil)
			answer.Runs = append(answer.Runs, s.run)
		}
	}
	return answer
}

func (a *applying) onceClaim(c *clusterv1.OnceClaim) *clusterv1.Answer {
	s, refused := a.leased(c.GetRunId(), c.GetAttempt(), c.GetFence(), 0)
	if refused != nil {
		return refused
	}
	var run, outcome string
	var attempt, settled int
	if !a.one("SELECT run, attempt, settled, outcome FROM once WHERE batch = ? AND key = ?", []any{s.run.GetBatchId(), c.GetKey()}, &run, &attempt, &settled, &outcome) {
		a.exec("INSERT INTO once (batch, key, run, attempt, settled, outcome) VALUES (?, ?, ?, ?, 0, '')", s.run.GetBatchId(), c.GetKey(), c.GetRunId(), c.GetAttempt())
		return &clusterv1.Answer{Claimed: true}
	}
	return &clusterv1.Answer{Claimed: settled == 0 && run == c.GetRunId() && attempt == int(c.GetAttempt()), Settled: settled == 1, Outcome: outcome}
}

func (a *applying) onceSettle(c *clusterv1.OnceSettle) *clusterv1.Answer {
	s := a.load(c.GetRunId())
	if s == nil {
		return notFound("run", c.GetRunId())
	}
	a.exec("UPDATE once SET settled = 1, outcome = ? WHERE batch = ? AND key = ? AND run = ? AND settled = 0", c.GetOutcome(), s.run.GetBatchId(), c.GetKey(), c.GetRunId())
	a.touched.batch(s.run.GetBatchId())
	return &clusterv1.Answer{}
}
