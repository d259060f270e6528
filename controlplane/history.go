package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"

	"github.com/testmesh/testmesh/controlplane/api"
	"github.com/testmesh/testmesh/controlplane/archive"
	"github.com/testmesh/testmesh/controlplane/store"
)

// filesAPage bounds the files that one page of a list looks through: the next page goes
// on behind them.
const filesAPage = 40

// history reads the runs that were moved out of the state. A run is in the state or in a
// file; who reads the state first and the files then misses none that moves meanwhile.
type history struct {
	store *store.Store
	blobs blobStore
}

func (h history) read(ctx context.Context, a *clusterv1.Archive, visit func(*apiv1.Run) error) error {
	r, err := h.blobs.Get(ctx, a.GetKey())
	if err != nil {
		return fmt.Errorf("read the runs of %s: %w", a.GetDay(), err)
	}
	defer r.Close()
	return archive.Read(r, a.GetSha256(), visit)
}

// run finds one run, whole.
func (h history) run(ctx context.Context, id string) (run *apiv1.Run, err error) {
	files, err := h.store.ArchivesOf(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, a := range files {
		err := h.read(ctx, a, func(r *apiv1.Run) error {
			if r.GetId() == id {
				run = r
				return archive.Stop()
			}
			return nil
		})
		if err != nil || run != nil {
			return run, err
		}
	}
	return nil, store.ErrNotFound
}

// ofBatch are the runs of a batch that are in files.
func (h history) ofBatch(ctx context.Context, b *apiv1.Batch) (runs []*apiv1.Run, err error) {
	to := time.Time{}
	if b.GetFinished() != nil {
		to = b.GetFinished().AsTime()
	}
	files, err := h.store.Archives(ctx, b.GetWorkspace(), b.GetCreated().AsTime(), to)
	if err != nil {
		return nil, err
	}
	for _, a := range files {
		err := h.read(ctx, a, func(r *apiv1.Run) error {
			if r.GetBatchId() == b.GetId() {
				runs = append(runs, r)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// page is a part of a list: what is in it, where it ends, whether there is more.
type page struct {
	runs []*apiv1.Run
	end  api.Cursor
	more bool
}

func cursorOf(r *apiv1.Run) api.Cursor {
	return api.Cursor{Created: r.GetCreated().AsTime().UnixMilli(), ID: r.GetId()}
}

// after says whether a place comes after another in a list of newest first.
func after(a, b api.Cursor) bool {
	return a.Created < b.Created || a.Created == b.Created && a.ID < b.ID
}

// list adds to a page of the state what of its list is in files.
func (h history) list(ctx context.Context, q api.RunQuery, have page) (page, error) {
	from, to := q.Since, q.Until
	if q.Before.ID != "" && (to.IsZero() || to.UnixMilli() > q.Before.Created) {
		to = time.UnixMilli(q.Before.Created)
	}
	if have.more && time.UnixMilli(have.end.Created).After(from) {
		from = time.UnixMilli(have.end.Created) // what is older belongs to a later page
	}
	files, err := h.store.Archives(ctx, q.Workspace, from, to)
	if err != nil || len(files) == 0 {
		return have, err
	}
	out := page{runs: have.runs, end: have.end, more: have.more}
	for i, a := range files {
		if len(out.runs) >= q.Limit && out.runs[q.Limit-1].GetCreated().AsTime().UnixMilli() > a.GetLast() {
			out.more = true // the page is full of newer ones
			break
		}
		if i == filesAPage {
			// All that is newer than this file was looked at.
			out.end, out.more = api.Cursor{Created: a.GetLast(), ID: "~"}, true
			return out.cut(q.Limit), nil
		}
		if err := h.read(ctx, a, func(r *apiv1.Run) error { out.take(q, have, r); return nil }); err != nil {
			return page{}, err
		}
		slices.SortFunc(out.runs, archive.Compare)
		out.runs = slices.CompactFunc(out.runs, func(a, b *apiv1.Run) bool { return a.GetId() == b.GetId() })
		if len(out.runs) > q.Limit {
			out.runs, out.more = out.runs[:q.Limit:q.Limit], true
		}
	}
	if !have.more && len(out.runs) > 0 {
		out.end = cursorOf(out.runs[len(out.runs)-1])
	}
	return out.cut(q.Limit), nil
}

// cut keeps to a limit.
func (p page) cut(limit int) page {
	if len(p.runs) > limit {
		p.runs, p.more = p.runs[:limit], true
	}
	if len(p.runs) == limit && limit > 0 {
		p.end = cursorOf(p.runs[limit-1])
	}
	return p
}

// take adds a run of a file that belongs to the page.
func (p *page) take(q api.RunQuery, have page, r *apiv1.Run) {
	at := cursorOf(r)
	if q.Before.ID != "" && !after(at, q.Before) || have.more && after(at, have.end) || !fits(q, r) {
		return
	}
	r.Outputs, r.StepSummaries = "", nil // as lists have it
	p.runs = append(p.runs, r)
}

// fits is what the state's query asks, of a run that was in it.
func fits(q api.RunQuery, r *apiv1.Run) bool {
	created := r.GetCreated().AsTime()
	s := r.GetSpec()
	return r.GetWorkspace() == q.Workspace &&
		(len(q.Status) == 0 || slices.Contains(q.Status, r.GetStatus())) &&
		(q.Environment == "" || s.GetEnvironment() == q.Environment) &&
		(q.Flow == "" || s.GetFlow() == q.Flow) &&
		(q.Batch == "" || r.GetBatchId() == q.Batch) &&
		(q.Agent == "" || slices.ContainsFunc(r.GetAttempts(), func(at *apiv1.Attempt) bool { return at.GetAgentId() == q.Agent })) &&
		(q.Since.IsZero() || created.UnixMilli() >= q.Since.UnixMilli()) &&
		(q.Until.IsZero() || created.UnixMilli() < q.Until.UnixMilli()) &&
		(q.Tags == nil || q.Tags(s.GetTags()))
}

// whole adds to the runs of a batch that are in the state those that are in files.
func (h history) whole(ctx context.Context, batch string, have []*apiv1.Run) ([]*apiv1.Run, error) {
	b, err := h.store.Batch(ctx, batch)
	if errors.Is(err, store.ErrNotFound) {
		return have, nil
	}
	if err != nil || !b.GetExpanded() || len(have) >= int(b.GetRuns()) {
		return have, err
	}
	old, err := h.ofBatch(ctx, b)
	if err != nil {
		return nil, err
	}
	all := append(old, have...)
	slices.SortFunc(all, func(a, b *apiv1.Run) int { return int(a.GetNumber()) - int(b.GetNumber()) })
	return slices.CompactFunc(all, func(a, b *apiv1.Run) bool { return a.GetId() == b.GetId() }), nil
}
