package store

import (
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

func (a *applying) putBundle(c *clusterv1.PutBundle) *clusterv1.Answer {
	// The digest is of the listing, so one that is there is the same.
	a.exec("INSERT OR IGNORE INTO bundles (digest, files) VALUES (?, ?)", c.GetDigest(), a.packed(&clusterv1.PutBundle{Files: c.GetFiles()}))
	a.exec("INSERT OR REPLACE INTO bundle_times (digest, time) VALUES (?, ?)", c.GetDigest(), a.now())
	return &clusterv1.Answer{Id: c.GetDigest()}
}

func (a *applying) workspace() (revision int64, bundle string) {
	a.one("SELECT revision, bundle FROM workspaces WHERE name = ?", []any{a.command.GetWorkspace()}, &revision, &bundle)
	return revision, bundle
}

func (a *applying) pushFlows(c *clusterv1.PushFlows) *clusterv1.Answer {
	if !a.has("SELECT 1 FROM bundles WHERE digest = ?", c.GetBundle()) {
		return fault(codes.FailedPrecondition, "bundle", "no_bundle", "the bundle %s is not stored", c.GetBundle())
	}
	revision, _ := a.workspace()
	if c.GetBase() != revision && !c.GetForce() {
		return fault(codes.Aborted, "base", "stale_revision", "the workspace is at revision %d, and this push knows revision %d", revision, c.GetBase())
	}
	revision++
	if a.command.GetVersion() >= keepsRevisions {
		answer := a.pushRevisions(c, revision)
		a.exec("INSERT OR REPLACE INTO workspaces (name, revision, bundle) VALUES (?, ?, ?)", a.command.GetWorkspace(), revision, c.GetBundle())
		return answer
	}
	answer := &clusterv1.Answer{Revision: revision}
	pushed := map[place]bool{}
	for _, f := range c.GetFlows() {
		pushed[place{f.GetFile(), f.GetIndex()}] = true
		old := &apiv1.Flow{}
		if a.record(old, "SELECT record FROM flows WHERE workspace = ? AND file = ? AND number = ?", a.command.GetWorkspace(), f.GetFile(), f.GetIndex()) {
			if same(old, f) {
				continue
			}
			answer.Changed++
		} else {
			answer.Added++
		}
		next := proto.CloneOf(f)
		next.Workspace, next.Bundle, next.Revision, next.Updated = a.command.GetWorkspace(), c.GetBundle(), revision, a.command.GetTime()
		a.exec("INSERT OR REPLACE INTO flows (workspace, file, number, name, record) VALUES (?, ?, ?, ?, ?)",
			next.GetWorkspace(), next.GetFile(), next.GetIndex(), next.GetName(), a.packed(next))
	}
	for _, f := range a.flows() {
		if !pushed[place{f.GetFile(), f.GetIndex()}] {
			a.exec("DELETE FROM flows WHERE workspace = ? AND file = ? AND number = ?", f.GetWorkspace(), f.GetFile(), f.GetIndex())
			answer.Deleted++
		}
	}
	a.exec("INSERT OR REPLACE INTO workspaces (name, revision, bundle) VALUES (?, ?, ?)", a.command.GetWorkspace(), revision, c.GetBundle())
	return answer
}

// same: what a push brings is what there is.
func same(old, pushed *apiv1.Flow) bool {
	return old.GetName() == pushed.GetName() && old.GetDescription() == pushed.GetDescription() && old.GetSuite() == pushed.GetSuite() &&
		slices.Equal(old.GetTags(), pushed.GetTags()) && old.GetBundle() == pushed.GetBundle()
}

func (a *applying) flows() (list []*apiv1.Flow) {
	for _, raw := range a.texts("SELECT record FROM flows WHERE workspace = ? ORDER BY file, number", a.command.GetWorkspace()) {
		f := &apiv1.Flow{}
		if err := proto.Unmarshal([]byte(raw), f); err != nil {
			a.fail(err)
		}
		list = append(list, f)
	}
	return list
}

func (a *applying) putEnvironment(c *clusterv1.PutEnvironment) *clusterv1.Answer {
	workspace := a.command.GetWorkspace()
	e := &apiv1.Environment{}
	a.record(e, "SELECT record FROM environments WHERE workspace = ? AND name = ?", workspace, c.GetName())
	if c.GetBase() != 0 && c.GetBase() != e.GetRevision() {
		return fault(codes.Aborted, "base", "stale_revision", "the environment %q is at revision %d, and this change knows revision %d", c.GetName(), e.GetRevision(), c.GetBase())
	}
	for _, name := range slices.Sorted(maps.Keys(c.GetSecrets())) {
		if sealed := c.GetSecrets()[name]; len(sealed) > 0 {
			a.exec("INSERT OR REPLACE INTO secrets (workspace, environment, name, sealed) VALUES (?, ?, ?, ?)", workspace, c.GetName(), name, sealed)
			continue
		}
		a.exec("DELETE FROM secrets WHERE workspace = ? AND environment = ? AND name = ?", workspace, c.GetName(), name)
	}
	e = &apiv1.Environment{
		Workspace: workspace, Name: c.GetName(), Text: c.GetText(), Revision: e.GetRevision() + 1, Updated: a.command.GetTime(),
		Secrets: a.texts("SELECT name FROM secrets WHERE workspace = ? AND environment = ? ORDER BY name", workspace, c.GetName()),
	}
	a.exec("INSERT OR REPLACE INTO environments (workspace, name, record) VALUES (?, ?, ?)", workspace, e.GetName(), a.packed(e))
	return &clusterv1.Answer{Environment: e}
}

func (a *applying) deleteEnvironment(c *clusterv1.DeleteEnvironment) *clusterv1.Answer {
	workspace := a.command.GetWorkspace()
	if a.exec("DELETE FROM environments WHERE workspace = ? AND name = ?", workspace, c.GetName()) == 0 {
		return notFound("environment", c.GetName())
	}
	a.exec("DELETE FROM secrets WHERE workspace = ? AND environment = ?", workspace, c.GetName())
	return &clusterv1.Answer{}
}
