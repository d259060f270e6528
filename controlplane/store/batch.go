package store

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// maxExpand bounds the runs of one ExpandBatch, so that an entry stays small.
const maxExpand = 500

func (a *applying) createBatch(c *clusterv1.CreateBatch) *clusterv1.Answer {
	if !a.has("SELECT 1 FROM bundles WHERE digest = ?", c.GetSource().GetBundle()) {
		return fault(codes.FailedPrecondition, "source.bundle", "no_bundle", "the bundle %s is not stored", c.GetSource().GetBundle())
	}
	if env := c.GetSource().GetEnvironment(); env != "" && !a.has("SELECT 1 FROM environments WHERE workspace = ? AND name = ?", a.command.GetWorkspace(), env) {
		return fault(codes.NotFound, "source.environment", "no_environment", "there is no environment %q in the workspace", env)
	}
	b := &apiv1.Batch{
		Id: c.GetId(), Workspace: a.command.GetWorkspace(), Status: apiv1.BatchStatus_BATCH_STATUS_ACTIVE,
		Counts: &apiv1.Counts{}, Created: a.command.GetTime(), Actor: a.command.GetActor(),
	}
	if len(c.GetRuns()) > maxExpand {
		return tooMany()
	}
	a.exec("INSERT INTO sources (batch, source) VALUES (?, ?)", b.GetId(), a.packed(c.GetSource()))
	a.exec("INSERT INTO bundle_uses (bundle, batch) VALUES (?, ?)", c.GetSource().GetBundle(), b.GetId())
	// The chain takes a batch and its runs as two steps, as other programs of this version
	// of commands do them; it is written once.
	a.note("INSERT INTO batches (id, workspace, created, status, expanded, made, record) VALUES (?, ?, ?, ?, 0, 0, ?)",
		[]any{b.GetId(), b.GetWorkspace(), a.now(), int(b.GetStatus()), a.packed(b)})
	runs := a.makeRuns(b, 0, c.GetRuns(), a.priority(c.GetSource()))
	b.Runs, b.Expanded = int32(len(runs)), len(runs) > 0
	record := a.packed(b)
	if len(runs) > 0 {
		a.note(updateBatch, []any{int(b.GetStatus()), b.GetExpanded(), len(runs), record, b.GetId()})
	}
	a.quiet("INSERT INTO batches (id, workspace, created, status, expanded, made, record) VALUES (?, ?, ?, ?, ?, ?, ?)",
		b.GetId(), b.GetWorkspace(), a.now(), int(b.GetStatus()), b.GetExpanded(), len(runs), record)
	a.touched.batch(b.GetId())
	b.Source = c.GetSource()
	if len(runs) > 0 {
		a.touched.whole(b, runs)
	}
	return &clusterv1.Answer{Batch: b}
}

func tooMany() *clusterv1.Answer {
	return fault(codes.InvalidArgument, "runs", "too_many", "at most %d runs can be added at once", maxExpand)
}

// makeRuns adds runs to a batch that has so many.
func (a *applying) makeRuns(b *apiv1.Batch, made int, list []*clusterv1.NewRun, priority int32) []*apiv1.Run {
	runs := make([]*apiv1.Run, len(list))
	for i, n := range list {
		r := &apiv1.Run{
			Id: n.GetId(), Workspace: b.GetWorkspace(), BatchId: b.GetId(), Number: int32(made + i + 1), Spec: n.GetSpec(),
			Status: apiv1.RunStatus_RUN_STATUS_QUEUED, Priority: priority, Created: a.command.GetTime(),
			RerunOf: n.GetRerunOf(), Locks: n.GetSpec().GetLocks(),
		}
		a.exec(`INSERT INTO runs (id, workspace, batch, number, status, created, flow, environment, agent, quarantined, verdict, why, record)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0, '', ?)`, r.GetId(), r.GetWorkspace(), r.GetBatchId(), r.GetNumber(), int(r.GetStatus()),
			a.now(), r.GetSpec().GetFlow(), r.GetSpec().GetEnvironment(), a.packed(r))
		a.touched.run(r.GetId())
		runs[i] = r
	}
	return runs
}

// priority of the runs of a source; in a test build they may all be alike.
func (a *applying) priority(s *apiv1.Source) int32 {
	if a.fault.Off("no_priority") {
		return 0
	}
	return s.GetPriority()
}

func (a *applying) has(text string, args ...any) bool {
	var one int
	return a.one(text, args, &one)
}

func (a *applying) batch(id string) (b *apiv1.Batch, made int) {
	b = &apiv1.Batch{}
	var raw []byte
	if !a.one("SELECT record, made FROM batches WHERE id = ?", []any{id}, &raw, &made) {
		return nil, 0
	}
	if err := proto.Unmarshal(raw, b); err != nil {
		a.fail(err)
	}
	return b, made
}

const updateBatch = "UPDATE batches SET status = ?, expanded = ?, made = ?, record = ? WHERE id = ?"

// saveBatch derives the status of a batch and stores it.
func (a *applying) saveBatch(b *apiv1.Batch, made int) {
	if b.GetExpanded() && int(b.GetRuns()) == ended(b.GetCounts()) && b.GetFinished() == nil {
		b.Finished = a.command.GetTime()
		b.Status = verdict(b.GetCounts())
		if b.GetReason() != "" {
			b.Status = apiv1.BatchStatus_BATCH_STATUS_ERRORED
		}
		a.exec("DELETE FROM once WHERE batch = ?", b.GetId())
	}
	a.exec(updateBatch, int(b.GetStatus()), b.GetExpanded(), made, a.packed(b), b.GetId())
	a.touched.batch(b.GetId())
}

func ended(c *apiv1.Counts) int {
	return int(c.GetPassed() + c.GetFailed() + c.GetErrored() + c.GetSkipped() + c.GetCancelled())
}

// verdict is that of the runs together: the rule of `testmesh run`.
func verdict(c *apiv1.Counts) apiv1.BatchStatus {
	switch {
	case c.GetFailed() > 0:
		return apiv1.BatchStatus_BATCH_STATUS_FAILED
	case c.GetErrored() > 0:
		return apiv1.BatchStatus_BATCH_STATUS_ERRORED
	case c.GetCancelled() > 0:
		return apiv1.BatchStatus_BATCH_STATUS_CANCELLED
	case c.GetPassed() > 0:
		return apiv1.BatchStatus_BATCH_STATUS_PASSED
	}
	return apiv1.BatchStatus_BATCH_STATUS_SKIPPED
}

func (a *applying) expandBatch(c *clusterv1.ExpandBatch) *clusterv1.Answer {
	b, made := a.batch(c.GetBatchId())
	switch {
	case b == nil:
		return notFound("batch", c.GetBatchId())
	case b.GetExpanded(), int(c.GetFirst()) != made+1:
		return &clusterv1.Answer{Batch: b} // it was applied before
	case len(c.GetRuns()) > maxExpand:
		return tooMany()
	}
	source := &apiv1.Source{}
	a.record(source, "SELECT source FROM sources WHERE batch = ?", b.GetId())
	for _, r := range a.makeRuns(b, made, c.GetRuns(), a.priority(source)) {
		if b.GetReason() != "" { // it was cancelled while its runs were made
			a.end(&state{run: r}, apiv1.RunStatus_RUN_STATUS_CANCELLED, b.GetReason(), b)
		}
	}
	made += len(c.GetRuns())
	b.Runs = int32(made)
	b.Expanded = c.GetDone()
	if c.GetProblem() != "" {
		b.Expanded, b.Reason = true, c.GetProblem()
	}
	a.saveBatch(b, made)
	return &clusterv1.Answer{Batch: b}
}
