package store

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

const (
	// keepsRevisions is the version of pushes from which on revisions are kept. One that is
	// older is applied as it always was, so that all nodes write the same.
	keepsRevisions = 2
	// maxRevisions bounds those of one flow: a listing of its files each, a few hundred bytes.
	maxRevisions = 100
)

// place names a flow of a workspace.
type place struct {
	file  string
	index int32
}

// pushRevisions makes the flows of a push those of the workspace, and keeps what each of
// them was. One whose files are as they were is not changed.
func (a *applying) pushRevisions(c *clusterv1.PushFlows, revision int64) *clusterv1.Answer {
	answer := &clusterv1.Answer{Revision: revision}
	pushed := map[place]bool{}
	for _, p := range c.GetPushed() {
		at := place{p.GetFlow().GetFile(), p.GetFlow().GetIndex()}
		pushed[at] = true
		old := &apiv1.Flow{}
		found := a.record(old, "SELECT record FROM flows WHERE workspace = ? AND file = ? AND number = ?", a.command.GetWorkspace(), at.file, at.index)
		switch {
		case found && unchanged(old, p.GetFlow()):
			continue
		case found && old.GetDigest() == "": // of before revisions were kept: its bundle is all that is known
			a.keep(&clusterv1.PushedFlow{Flow: old})
			answer.Changed++
		case found:
			answer.Changed++
		default:
			answer.Added++
		}
		next := proto.CloneOf(p)
		f := next.GetFlow()
		f.Workspace, f.Bundle, f.Revision, f.Updated, f.Actor = a.command.GetWorkspace(), c.GetBundle(), revision, a.command.GetTime(), a.command.GetActor()
		a.exec("INSERT OR REPLACE INTO flows (workspace, file, number, name, record) VALUES (?, ?, ?, ?, ?)", f.GetWorkspace(), f.GetFile(), f.GetIndex(), f.GetName(), a.packed(f))
		a.keep(next)
	}
	for _, f := range a.flows() {
		if !pushed[place{f.GetFile(), f.GetIndex()}] { // its revisions stay: it may come again
			a.exec("DELETE FROM flows WHERE workspace = ? AND file = ? AND number = ?", f.GetWorkspace(), f.GetFile(), f.GetIndex())
			answer.Deleted++
		}
	}
	return answer
}

// unchanged: what a push brings is what there is.
func unchanged(old, pushed *apiv1.Flow) bool {
	return old.GetDigest() == pushed.GetDigest() && old.GetName() == pushed.GetName() && old.GetDescription() == pushed.GetDescription() &&
		old.GetSuite() == pushed.GetSuite() && slices.Equal(old.GetTags(), pushed.GetTags())
}

// keep adds a revision of a flow, and removes what is beyond their bound.
func (a *applying) keep(p *clusterv1.PushedFlow) {
	f := p.GetFlow()
	a.exec("INSERT OR REPLACE INTO revisions (workspace, file, number, revision, pushed, record) VALUES (?, ?, ?, ?, ?, ?)",
		f.GetWorkspace(), f.GetFile(), f.GetIndex(), f.GetRevision(), f.GetUpdated().AsTime().UnixMilli(), a.packed(p))
	a.exec(`DELETE FROM revisions WHERE workspace = ? AND file = ? AND number = ? AND revision IN
		(SELECT revision FROM revisions WHERE workspace = ? AND file = ? AND number = ? ORDER BY revision DESC LIMIT -1 OFFSET ?)`,
		f.GetWorkspace(), f.GetFile(), f.GetIndex(), f.GetWorkspace(), f.GetFile(), f.GetIndex(), maxRevisions)
}

// pruneRevisions removes those of flows that are stored no more, once the newest of them
// is old.
func (a *applying) pruneRevisions(before int64, answer *clusterv1.Answer) {
	gone := a.texts(`SELECT file FROM revisions r WHERE workspace = ? AND NOT EXISTS (SELECT 1 FROM flows f WHERE f.workspace = r.workspace AND f.file = r.file AND f.number = r.number)
		GROUP BY file, number HAVING max(pushed) < ? ORDER BY file, number LIMIT ?`, a.command.GetWorkspace(), before, maxPrune)
	for _, file := range slices.Compact(gone) {
		answer.Deleted += int32(a.exec(`DELETE FROM revisions WHERE workspace = ? AND file = ? AND number IN
			(SELECT r.number FROM revisions r WHERE r.workspace = ? AND r.file = ? AND NOT EXISTS (SELECT 1 FROM flows f WHERE f.workspace = r.workspace AND f.file = r.file AND f.number = r.number)
			GROUP BY r.number HAVING max(r.pushed) < ?)`, a.command.GetWorkspace(), file, a.command.GetWorkspace(), file, before))
	}
}

// Revisions are what is kept of a flow, newest first: those before one, 0 being the
// newest.
func (s *Store) Revisions(ctx context.Context, workspace, file string, index int32, before int64, limit int) ([]*clusterv1.PushedFlow, error) {
	if before == 0 {
		before = 1<<63 - 1
	}
	return list[clusterv1.PushedFlow](ctx, s, "SELECT record FROM revisions WHERE workspace = ? AND file = ? AND number = ? AND revision < ? ORDER BY revision DESC LIMIT ?",
		workspace, file, index, before, limit)
}

// Revision is one of them.
func (s *Store) Revision(ctx context.Context, workspace, file string, index int32, revision int64) (*clusterv1.PushedFlow, error) {
	return single[clusterv1.PushedFlow](ctx, s, "SELECT record FROM revisions WHERE workspace = ? AND file = ? AND number = ? AND revision = ?", workspace, file, index, revision)
}
