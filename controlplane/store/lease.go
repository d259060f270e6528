package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

const (
	// poisonAfter and poisonWithin are when a run is suspected of killing agents: it
	// lost so many different ones, each so soon after its start.
	poisonAfter  = 2
	poisonWithin = 30 * time.Second
	// maxLosses bounds how often a run begins anew after a loss.
	maxLosses = 5
	// maxTeardowns bounds the tries of a teardown on other agents.
	maxTeardowns = 5
	// maxAttempts bounds the attempts that a record lists: the oldest that never
	// started go first.
	maxAttempts = 100
)

// How an attempt ended.
const (
	outcomeFinished = "finished"
	outcomeReturned = "returned" // it never started
	outcomeDrained  = "drained"
	outcomeLost     = "lost"
)

// close ends an attempt; nil: there is none.
func (a *applying) close(at *apiv1.Attempt, outcome, reason string) {
	if at == nil {
		return
	}
	at.Outcome, at.Reason, at.Ended = outcome, reason, a.command.GetTime()
	a.touched.agent(at.GetAgentId())
}

// leased finds a run by a lease that it has now; refused says that it has not. An
// incarnation of 0 is not compared: the fence is younger than any restore.
func (a *applying) leased(run string, attempt int32, fence, incarnation uint64) (s *state, refused *clusterv1.Answer) {
	if s = a.load(run); s == nil {
		return nil, notFound("run", run)
	}
	at := live(s.run)
	if at != nil && a.fault.Off("no_fence") {
		return s, nil
	}
	if at == nil || at.GetNumber() != attempt || at.GetFence() != fence || incarnation != 0 && at.GetIncarnation() != incarnation {
		return s, fault(codes.Aborted, "lease", "fenced", "attempt %d of run %s is not its lease any more", attempt, run)
	}
	return s, nil
}

func (a *applying) grantLeases(c *clusterv1.GrantLeases) *clusterv1.Answer {
	answer := &clusterv1.Answer{Incarnation: a.incarnation()}
	for _, g := range c.GetGrants() {
		s := a.load(g.GetRunId())
		if s == nil || !grantable(s, g) || !a.mayTake(g) {
			continue
		}
		r := s.run
		var agent apiv1.Agent
		a.record(&agent, "SELECT record FROM agents WHERE id = ?", g.GetAgentId())
		number := int32(1)
		if at := last(r); at != nil {
			number = at.GetNumber() + 1
		}
		r.Attempts = append(r.GetAttempts(), &apiv1.Attempt{
			Number: number, AgentId: g.GetAgentId(), AgentName: agent.GetName(), Fence: a.index, Incarnation: answer.GetIncarnation(),
			Granted: a.command.GetTime(), Home: g.GetHome(), TeardownOnly: g.GetTeardownOnly(),
		})
		trim(r)
		if !g.GetTeardownOnly() {
			r.Status = apiv1.RunStatus_RUN_STATUS_OFFERED
		}
		a.save(s)
		if a.command.GetVersion() >= keepsAgents {
			a.exec(addRunAgent, r.GetId(), g.GetAgentId(), r.GetCreated().AsTime().UnixMilli())
		}
		a.touched.agent(g.GetAgentId())
		answer.Runs = append(answer.Runs, r)
	}
	return answer
}

// keepsAgents is the version of commands from which on it is kept which agents had a run.
const keepsAgents = 2

func grantable(s *state, g *clusterv1.Grant) bool {
	r := s.run
	if live(r) != nil || r.GetQuarantined() || (last(r).GetNumber() != g.GetAttempts()) {
		return false
	}
	if g.GetTeardownOnly() {
		return r.GetStatus() == apiv1.RunStatus_RUN_STATUS_FINISHING
	}
	return r.GetStatus() == apiv1.RunStatus_RUN_STATUS_QUEUED
}

// mayTake: the session is the agent's newest one, and it takes work.
func (a *applying) mayTake(g *clusterv1.Grant) bool {
	var agent apiv1.Agent
	return a.record(&agent, "SELECT record FROM agents WHERE id = ? AND session = ?", g.GetAgentId(), g.GetSession()) &&
		agent.GetState() != apiv1.AgentState_AGENT_STATE_REVOKED && agent.GetState() != apiv1.AgentState_AGENT_STATE_DRAINING &&
		!a.paused(&agent)
}

func (a *applying) paused(agent *apiv1.Agent) bool {
	until := agent.GetPausedUntil()
	return agent.GetState() == apiv1.AgentState_AGENT_STATE_PAUSED && (until == nil || until.AsTime().After(a.command.GetTime().AsTime()))
}

func trim(r *apiv1.Run) {
	for len(r.GetAttempts()) > maxAttempts {
		i := slices.IndexFunc(r.GetAttempts(), func(at *apiv1.Attempt) bool { return at.GetOutcome() == outcomeReturned })
		r.Attempts = slices.Delete(r.GetAttempts(), max(i, 0), max(i, 0)+1)
	}
}

func (a *applying) returnLease(c *clusterv1.ReturnLease) *clusterv1.Answer {
	s, refused := a.leased(c.GetRunId(), c.GetAttempt(), c.GetFence(), 0)
	if refused != nil {
		return refused
	}
	at := live(s.run)
	if at.GetStarted() != nil && !c.GetDrained() {
		return fault(codes.FailedPrecondition, "lease", "started", "attempt %d of run %s has started", c.GetAttempt(), c.GetRunId())
	}
	a.giveBack(s, at, c)
	return &clusterv1.Answer{Run: s.run}
}

// giveBack queues a run again that its agent did not lose: the attempt is not held
// against it.
func (a *applying) giveBack(s *state, at *apiv1.Attempt, c *clusterv1.ReturnLease) {
	outcome := outcomeReturned
	if at.GetStarted() != nil {
		outcome = outcomeDrained
	}
	a.close(at, outcome, c.GetReason())
	a.unclaim(s.run.GetId())
	switch {
	case at.GetTeardownOnly():
		a.teardownAgain(s)
		return
	case s.run.GetCancelling():
		a.end(s, apiv1.RunStatus_RUN_STATUS_CANCELLED, s.run.GetCancelReason(), nil)
		return
	case at.GetDirty() && !s.run.GetSpec().GetRerunOnLoss():
		a.end(s, apiv1.RunStatus_RUN_STATUS_ERRORED, fmt.Sprintf("indeterminate: agent %s ended after step %s began, and was torn down in order", at.GetAgentName(), at.GetDirtyStep()), nil)
		return
	}
	a.queue(s)
}

// queue puts a run back where agents find it.
func (a *applying) queue(s *state) {
	s.run.Status, s.run.Started = apiv1.RunStatus_RUN_STATUS_QUEUED, nil
	s.verdict, s.why = 0, ""
	a.exec("DELETE FROM locks WHERE run = ?", s.run.GetId())
	a.exec("DELETE FROM tokens WHERE run = ?", s.run.GetId())
	a.exec("DELETE FROM checkpoints WHERE run = ?", s.run.GetId())
	a.save(s)
}

func (a *applying) startRun(c *clusterv1.StartRun) *clusterv1.Answer {
	s, refused := a.leased(c.GetRunId(), c.GetAttempt(), c.GetFence(), c.GetIncarnation())
	if refused != nil {
		return refused
	}
	r, at := s.run, live(s.run)
	if at.GetStarted() != nil { // its answer got lost
		a.exec("UPDATE tokens SET sha256 = ? WHERE run = ?", c.GetTokenSha256(), r.GetId())
		return &clusterv1.Answer{Run: r}
	}
	r.Locks = c.GetLocks()
	if held := a.heldByOthers(r); len(held) > 0 && !at.GetTeardownOnly() {
		a.close(at, outcomeReturned, "locks are held by others: "+held[0])
		a.queue(s)
		return &clusterv1.Answer{Locked: true, Run: r, Missing: held}
	}
	for _, name := range sorted(r.GetLocks()) {
		a.exec("INSERT OR IGNORE INTO locks (workspace, name, run) VALUES (?, ?, ?)", r.GetWorkspace(), name, r.GetId())
	}
	at.Started = a.command.GetTime()
	if !at.GetTeardownOnly() {
		r.Status, r.Reason = apiv1.RunStatus_RUN_STATUS_RUNNING, ""
	}
	if r.GetStarted() == nil {
		r.Started = a.command.GetTime()
	}
	a.exec("INSERT OR REPLACE INTO tokens (run, sha256) VALUES (?, ?)", r.GetId(), bytesOf(c.GetTokenSha256()))
	a.save(s)
	return &clusterv1.Answer{Run: r}
}

func sorted(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

func (a *applying) heldByOthers(r *apiv1.Run) (held []string) {
	for _, name := range sorted(r.GetLocks()) {
		var run string
		if a.one("SELECT run FROM locks WHERE workspace = ? AND name = ?", []any{r.GetWorkspace(), name}, &run) && run != r.GetId() {
			held = append(held, fmt.Sprintf("%s: run %s", name, run))
		}
	}
	return held
}

func (a *applying) markDirty(c *clusterv1.MarkDirty) *clusterv1.Answer {
	s, refused := a.leased(c.GetRunId(), c.GetAttempt(), c.GetFence(), c.GetIncarnation())
	if refused != nil {
		return refused
	}
	at := live(s.run)
	if at.GetStarted() == nil {
		return fault(codes.FailedPrecondition, "lease", "not_started", "attempt %d of run %s has not started", c.GetAttempt(), c.GetRunId())
	}
	if !at.GetDirty() {
		at.Dirty, at.DirtyStep = true, c.GetStepId()
		a.save(s)
	}
	return &clusterv1.Answer{}
}

func (a *applying) putCheckpoint(c *clusterv1.PutCheckpoint) *clusterv1.Answer {
	s, refused := a.leased(c.GetRunId(), c.GetAttempt(), c.GetFence(), c.GetIncarnation())
	if refused != nil {
		return refused
	}
	at := live(s.run)
	if !slices.Equal(at.GetResources(), c.GetResources()) {
		at.Resources = c.GetResources()
		a.save(s)
	}
	if len(c.GetSealed()) == 0 { // what a teardown would need stays with the agent
		a.exec("DELETE FROM checkpoints WHERE run = ?", s.run.GetId())
		return &clusterv1.Answer{}
	}
	a.exec(`INSERT INTO checkpoints (run, attempt, number, sealed) VALUES (?, ?, ?, ?)
		ON CONFLICT (run) DO UPDATE SET attempt = excluded.attempt, number = excluded.number, sealed = excluded.sealed
		WHERE excluded.attempt > attempt OR excluded.attempt = attempt AND excluded.number > number`,
		s.run.GetId(), c.GetAttempt(), c.GetNumber(), bytesOf(c.GetSealed()))
	return &clusterv1.Answer{}
}

func (a *applying) finishRun(c *clusterv1.FinishRun) *clusterv1.Answer {
	s := a.load(c.GetRunId())
	if s == nil {
		return notFound("run", c.GetRunId())
	}
	r, at := s.run, last(s.run)
	if at != nil && a.fault.Off("no_fence") {
		c.Attempt, c.Fence, c.Incarnation = at.GetNumber(), at.GetFence(), at.GetIncarnation()
	}
	fenced := fault(codes.Aborted, "lease", "fenced", "attempt %d of run %s is not its lease any more", c.GetAttempt(), c.GetRunId())
	if at == nil || at.GetNumber() != c.GetAttempt() || at.GetFence() != c.GetFence() || at.GetIncarnation() != c.GetIncarnation() || at.GetStarted() == nil {
		return fenced
	}
	switch at.GetOutcome() {
	case outcomeFinished: // its answer got lost
		return &clusterv1.Answer{Run: r}
	case "", outcomeLost: // also late: nobody has begun anew, so its word counts
	default:
		return fenced
	}
	if terminal(r.GetStatus()) || r.GetQuarantined() || !terminal(c.GetStatus()) {
		return fenced
	}
	a.close(at, outcomeFinished, c.GetReason())
	at.StreamBytes, at.StreamSha256 = c.GetStreamBytes(), c.GetStreamSha256()
	r.Orphans = append(r.GetOrphans(), c.GetOrphans()...)
	if at.GetTeardownOnly() {
		a.tornDown(s)
		return &clusterv1.Answer{Run: r}
	}
	r.DurationMs, r.Steps, r.Assertions, r.StepCount = c.GetDurationMs(), c.GetSteps(), c.GetAssertions(), c.GetStepCount()
	a.exec("INSERT OR REPLACE INTO details (run, record) VALUES (?, ?)", r.GetId(),
		a.packed(&apiv1.Run{Id: r.GetId(), Outputs: c.GetOutputs(), StepSummaries: c.GetStepSummaries()}))
	if len(c.GetVariables()) > 0 {
		a.exec("INSERT OR REPLACE INTO variables (run, sealed) VALUES (?, ?)", r.GetId(), c.GetVariables())
	}
	a.end(s, c.GetStatus(), c.GetReason(), nil)
	return &clusterv1.Answer{Run: r}
}

// tornDown goes on with a run whose teardown has run on another agent.
func (a *applying) tornDown(s *state) {
	if s.verdict == 0 {
		a.queue(s)
		return
	}
	a.end(s, s.verdict, s.why, nil)
}

func (a *applying) expireLeases(c *clusterv1.ExpireLeases) *clusterv1.Answer {
	answer := &clusterv1.Answer{}
	for _, e := range c.GetExpiries() {
		s, refused := a.leased(e.GetRunId(), e.GetAttempt(), e.GetFence(), 0)
		if refused != nil {
			continue
		}
		a.lose(s, live(s.run), e.GetReason())
		answer.Runs = append(answer.Runs, s.run)
	}
	return answer
}

// lose ends a lease whose agent is gone. It is never a verdict on the system.
func (a *applying) lose(s *state, at *apiv1.Attempt, reason string) {
	r := s.run
	if at.GetStarted() == nil {
		a.giveBack(s, at, &clusterv1.ReturnLease{Reason: reason})
		return
	}
	a.close(at, outcomeLost, reason)
	if at.GetTeardownOnly() {
		a.teardownAgain(s)
		return
	}
	a.loseOnce(r, at)
	s.verdict, s.why = a.afterLoss(r, at)
	if r.GetCancelling() {
		s.verdict, s.why = apiv1.RunStatus_RUN_STATUS_CANCELLED, r.GetCancelReason()+"; agent "+at.GetAgentName()+" was lost before it confirmed"
	}
	kept := a.has("SELECT 1 FROM checkpoints WHERE run = ? AND attempt = ?", r.GetId(), at.GetNumber())
	if !kept {
		r.Orphans = append(r.GetOrphans(), at.GetResources()...)
	}
	switch {
	case kept && (at.GetDirty() || len(at.GetResources()) > 0):
		r.Status = apiv1.RunStatus_RUN_STATUS_FINISHING
		a.save(s)
	case s.verdict != 0:
		a.end(s, s.verdict, s.why, nil)
	default:
		r.Quarantined = poisonous(r) && !a.fault.Off("no_quarantine")
		if r.GetQuarantined() {
			r.Reason = fmt.Sprintf("quarantined: it lost %d different agents within %s of its start", poisonAfter, poisonWithin)
		}
		a.queue(s)
	}
}

// afterLoss is how a run ends that lost its agent; status 0: it begins anew.
func (a *applying) afterLoss(r *apiv1.Run, at *apiv1.Attempt) (apiv1.RunStatus, string) {
	if at.GetDirty() && !r.GetSpec().GetRerunOnLoss() {
		return apiv1.RunStatus_RUN_STATUS_ERRORED, fmt.Sprintf("indeterminate: agent %s was lost after step %s began", at.GetAgentName(), at.GetDirtyStep())
	}
	if n := losses(r); n >= maxLosses {
		return apiv1.RunStatus_RUN_STATUS_ERRORED, fmt.Sprintf("agent_lost: %d agents were lost while they ran it", n)
	}
	return 0, ""
}

func losses(r *apiv1.Run) (n int) {
	for _, at := range r.GetAttempts() {
		if at.GetOutcome() == outcomeLost && !at.GetTeardownOnly() {
			n++
		}
	}
	return n
}

// poisonous: different agents were lost soon after they had started it.
func poisonous(r *apiv1.Run) bool {
	agents := map[string]bool{}
	for _, at := range r.GetAttempts() {
		if at.GetOutcome() == outcomeLost && soon(at.GetStarted(), at.GetEnded()) {
			agents[at.GetAgentId()] = true
		}
	}
	return len(agents) >= poisonAfter
}

// soon compares with the time that a loss takes to be noticed: the last renewal is
// not in the state, so the whole lease counts as silence.
func soon(started, ended *timestamppb.Timestamp) bool {
	return ended.AsTime().Sub(started.AsTime()) < poisonWithin+leaseSilence
}

// leaseSilence is how long a lost agent is silent before its lease ends: term and grace.
const leaseSilence = 45 * time.Second

// loseOnce settles what a lost attempt was executing for its whole batch: where a step
// that may not be repeated had begun nobody executes it again, else the next one does.
func (a *applying) loseOnce(r *apiv1.Run, at *apiv1.Attempt) {
	if !at.GetDirty() || r.GetSpec().GetRerunOnLoss() {
		a.unclaim(r.GetId())
		return
	}
	outcome := fmt.Sprintf(`{"status":"errored","reason":"once","error":{"code":"E-CONN","blame":"agent","message":"indeterminate: agent %s was lost while run %s executed it"}}`, strings.Map(plain, at.GetAgentName()), r.GetId())
	a.exec("UPDATE once SET settled = 1, outcome = ? WHERE run = ? AND settled = 0", outcome, r.GetId())
}

// plain leaves out what would have to be quoted.
func plain(c rune) rune {
	if c < ' ' || c == '"' || c == '\\' {
		return -1
	}
	return c
}

// teardownAgain has another agent try, or lists what is left.
func (a *applying) teardownAgain(s *state) {
	n := 0
	var left []string
	for _, at := range s.run.GetAttempts() {
		if at.GetTeardownOnly() && (at.GetOutcome() == outcomeLost || at.GetOutcome() == outcomeReturned) {
			n++
		}
		if len(at.GetResources()) > 0 || !at.GetTeardownOnly() || at.GetStarted() != nil {
			left = at.GetResources() // what was last heard of
		}
	}
	if n < maxTeardowns {
		a.save(s)
		return
	}
	s.run.Orphans = append(append(s.run.GetOrphans(), left...), fmt.Sprintf("teardown: %d agents did not complete it", n))
	if s.verdict == 0 {
		s.verdict, s.why = apiv1.RunStatus_RUN_STATUS_ERRORED, "teardown did not complete on any agent"
	}
	a.end(s, s.verdict, s.why, nil)
}
