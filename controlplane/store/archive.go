package store

import (
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// archiveRuns takes runs out of the state whose file is in the blob store. All of them
// must have ended, as their batches have: such a run never changes, so the file says
// what the state said. In the same transaction the state learns of the file.
func (a *applying) archiveRuns(c *clusterv1.ArchiveRuns) *clusterv1.Answer {
	if a.has("SELECT 1 FROM archives WHERE key = ?", c.GetKey()) {
		return &clusterv1.Answer{} // it was applied before
	}
	if n := len(c.GetRunIds()); n == 0 || n > maxPrune {
		return fault(codes.InvalidArgument, "run_ids", "count", "an archive has 1 to %d runs", maxPrune)
	}
	made := &clusterv1.Archive{
		Key: c.GetKey(), Sha256: c.GetSha256(), Size: c.GetSize(), Workspace: a.command.GetWorkspace(), Day: c.GetDay(), Runs: int32(len(c.GetRunIds())),
		FirstId: slices.Min(c.GetRunIds()), LastId: slices.Max(c.GetRunIds()),
	}
	for i, id := range c.GetRunIds() {
		var workspace string
		var status, batch int
		var created int64
		found := a.one("SELECT r.workspace, r.status, r.created, b.status FROM runs r JOIN batches b ON b.id = r.batch WHERE r.id = ?", []any{id}, &workspace, &status, &created, &batch)
		if !found || workspace != made.GetWorkspace() || !terminal(apiv1.RunStatus(status)) || apiv1.BatchStatus(batch) == apiv1.BatchStatus_BATCH_STATUS_ACTIVE {
			return fault(codes.FailedPrecondition, "run_ids", "not_ended", "run %s cannot be archived: it is not in the state, or it or its batch has not ended", id)
		}
		if i == 0 {
			made.First, made.Last = created, created
		}
		made.First, made.Last = min(made.GetFirst(), created), max(made.GetLast(), created)
	}
	for _, id := range c.GetRunIds() {
		a.remove(id)
	}
	a.exec("INSERT INTO archives (key, workspace, first, last, first_id, last_id, record) VALUES (?, ?, ?, ?, ?, ?, ?)",
		made.GetKey(), made.GetWorkspace(), made.GetFirst(), made.GetLast(), made.GetFirstId(), made.GetLastId(), a.packed(made))
	return &clusterv1.Answer{Changed: made.GetRuns()}
}

// remove takes a run out of the state.
func (a *applying) remove(id string) {
	for _, table := range []string{"details", "variables"} {
		a.exec("DELETE FROM "+table+" WHERE run = ?", id)
	}
	if a.command.GetVersion() >= keepsAgents {
		a.exec("DELETE FROM run_agents WHERE run = ?", id)
	}
	a.exec("DELETE FROM runs WHERE id = ?", id)
}

// pruneOld removes what is older than the leader says: first what names a thing, then
// the thing.
func (a *applying) pruneOld(c *clusterv1.Prune, answer *clusterv1.Answer) {
	if before := c.GetArchivesBefore(); before != nil {
		a.exec("DELETE FROM archives WHERE key IN (SELECT key FROM archives WHERE last < ? ORDER BY key LIMIT ?)", before.AsTime().UnixMilli(), maxPrune)
	}
	if before := c.GetBatchesBefore(); before != nil {
		old := a.texts(`SELECT id FROM batches WHERE workspace = ? AND created < ? AND status <> ? AND NOT EXISTS (SELECT 1 FROM runs WHERE batch = batches.id)
			ORDER BY created, id LIMIT ?`, a.command.GetWorkspace(), before.AsTime().UnixMilli(), int(apiv1.BatchStatus_BATCH_STATUS_ACTIVE), maxPrune)
		for _, id := range old {
			for _, text := range []string{
				"DELETE FROM bundle_uses WHERE batch = ?", "DELETE FROM sources WHERE batch = ?", "DELETE FROM once WHERE batch = ?", "DELETE FROM batches WHERE id = ?",
			} {
				a.exec(text, id)
			}
			answer.Deleted++
		}
	}
	if before := c.GetBundlesBefore(); before != nil {
		a.pruneRevisions(before.AsTime().UnixMilli(), answer)
		a.pruneBundles(before.AsTime().UnixMilli(), answer)
	}
}

// pruneBundles removes bundles that no batch and no stored flow is of.
func (a *applying) pruneBundles(before int64, answer *clusterv1.Answer) {
	pushed := map[string]bool{}
	for _, digest := range a.texts("SELECT bundle FROM workspaces ORDER BY name") {
		pushed[digest] = true
	}
	for _, raw := range a.texts("SELECT record FROM flows ORDER BY workspace, file, number") {
		f := &apiv1.Flow{}
		if err := proto.Unmarshal([]byte(raw), f); err != nil {
			a.fail(err)
		}
		pushed[f.GetBundle()] = true
	}
	for _, raw := range a.texts("SELECT record FROM revisions ORDER BY workspace, file, number, revision") {
		p := &clusterv1.PushedFlow{}
		if err := proto.Unmarshal([]byte(raw), p); err != nil {
			a.fail(err)
		}
		if len(p.GetFiles()) == 0 { // its bundle is all that it has
			pushed[p.GetFlow().GetBundle()] = true
		}
	}
	old := a.texts(`SELECT digest FROM bundle_times WHERE time < ? AND NOT EXISTS (SELECT 1 FROM bundle_uses WHERE bundle = digest)
		ORDER BY digest LIMIT ?`, before, maxPrune)
	for _, digest := range old {
		if !pushed[digest] {
			a.exec("DELETE FROM bundles WHERE digest = ?", digest)
			a.exec("DELETE FROM bundle_times WHERE digest = ?", digest)
			answer.Deleted++
		}
	}
}
