package controlplane

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"

	"github.com/testmesh/testmesh/controlplane/archive"
)

// Retention says what is kept, and for how long.
type Retention struct {
	// HotRuns is how many ended runs stay in the state, the newest; 0: 200,000. Older ones
	// move to files of the blob store.
	HotRuns int
	// Days is for how long runs are kept in all, with their streams and artifacts; 0: for
	// ever.
	Days int
	// Every is how often it is looked; 0: a minute.
	Every time.Duration
}

const (
	// DefaultHotRuns keeps the state below its bound of 2 GiB.
	DefaultHotRuns = 200_000
	// keepAnswers is for how long a request with an idempotency key is answered again.
	keepAnswers = 24 * time.Hour
	// grace is how much older than necessary a blob or bundle is when it is removed: what
	// is being uploaded is not named by anything yet.
	grace = 24 * time.Hour
	// sweepEvery is how often the blob store is looked through for what nothing names.
	sweepEvery = 6 * time.Hour
	// maxState is the size of the state that the control plane is made for.
	maxState = 2 << 30
	// movesAtOnce bounds the files that are written one after the other, so that others
	// get their turn.
	movesAtOnce = 20
	// removeVersion is that of commands which forget of a run who had it, too.
	removeVersion = 2
	workspaceOf   = "default" // the only one there is so far
)

func (r Retention) filled() Retention {
	if r.HotRuns <= 0 {
		r.HotRuns = DefaultHotRuns
	}
	if r.Every <= 0 {
		r.Every = time.Minute
	}
	return r
}

// cutoff is when the runs were made that are kept no longer; false: all are kept.
func (r Retention) cutoff(now time.Time) (time.Time, bool) {
	return now.Add(-time.Duration(r.Days) * 24 * time.Hour), r.Days > 0
}

// retain moves and removes what is old for as long as this node leads.
func (n *Node) retain(ctx context.Context) {
	keep := n.cfg.Retention.filled()
	tick := time.NewTicker(keep.Every)
	defer tick.Stop()
	warned := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := n.retainOnce(ctx, keep, n.cfg.Now()); err != nil && ctx.Err() == nil {
				n.cfg.Logger.Warn("old runs could not be moved or removed: it is tried again", "error", err)
			}
			if size, err := n.store.Size(); err == nil && size > maxState/10*8 && time.Since(warned) > time.Hour {
				warned = time.Now()
				n.cfg.Logger.Warn("the state comes near the size that it is made for: keep fewer runs in it", "bytes", size, "limit", int64(maxState), "setting", "retention.hot_runs")
			}
		}
	}
}

// retainOnce does what is due at a time.
func (n *Node) retainOnce(ctx context.Context, keep Retention, now time.Time) error {
	for range movesAtOnce {
		moved, err := n.move(ctx, keep, now)
		if err != nil {
			return err
		}
		if !moved {
			break
		}
	}
	p := &clusterv1.Prune{AnswersBefore: timestamppb.New(now.Add(-keepAnswers))}
	if before, ends := keep.cutoff(now); ends {
		p.ArchivesBefore, p.BatchesBefore, p.BundlesBefore = timestamppb.New(before), timestamppb.New(before), timestamppb.New(before.Add(-grace))
	}
	for range movesAtOnce { // one command removes a bounded number of each
		if err := n.decide(ctx, &clusterv1.Command{Version: removeVersion, Body: &clusterv1.Command_Prune{Prune: p}}); err != nil {
			return err
		}
		if more, err := n.store.HasAnswers(ctx, p.GetAnswersBefore().AsTime()); err != nil || !more {
			return err
		}
	}
	return nil
}

// move moves the oldest runs that have ended to a file, where there are enough of them
// or they are too old; it says whether it did. The file is there, whole, before the
// state forgets them: a crash in between leaves a file that nothing names.
func (n *Node) move(ctx context.Context, keep Retention, now time.Time) (bool, error) {
	ended, err := n.store.Ended(ctx, workspaceOf)
	if err != nil {
		return false, err
	}
	runs, err := n.store.Movable(ctx, workspaceOf, archive.MaxRuns, archive.MaxBytes)
	if err != nil || len(runs) == 0 {
		return false, err
	}
	day := 0
	before, ends := keep.cutoff(now)
	old := ends && runs[0].GetCreated().AsTime().Before(before)
	for day < len(runs) && archive.Day(runs[day]) == archive.Day(runs[0]) {
		day++
	}
	// A file is worth it once it is full, but for the end of a day.
	if over := ended - keep.HotRuns; !old && over < min(day, archive.MaxRuns) {
		return false, nil
	}
	runs = runs[:day]
	f, err := archive.Pack(runs)
	if err != nil {
		return false, err
	}
	if err := n.cfg.Fault.Point("retain.file.before"); err != nil {
		return false, err
	}
	if err := n.blobs.Put(ctx, f.Key, bytes.NewReader(f.Data)); err != nil {
		return false, err
	}
	if err := n.cfg.Fault.Point("retain.file.after"); err != nil {
		return false, err
	}
	c := &clusterv1.ArchiveRuns{Key: f.Key, Sha256: f.SHA256, Size: int64(len(f.Data)), Day: archive.Day(runs[0])}
	for _, r := range runs {
		c.RunIds = append(c.RunIds, r.GetId())
	}
	if err := n.decide(ctx, &clusterv1.Command{Version: removeVersion, Body: &clusterv1.Command_ArchiveRuns{ArchiveRuns: c}}); err != nil {
		return false, fmt.Errorf("move %d runs out of the state: %w", len(runs), err)
	}
	n.cfg.Logger.Info("runs were moved out of the state", "runs", len(runs), "day", c.GetDay())
	return true, nil
}

// sweeps looks through the blob store now and then: the leader where all nodes share
// it, else each node through its own.
func (n *Node) sweeps(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, leads := n.cluster.Leader(); !leads && n.cfg.Blobs.Shared() {
				continue
			}
			removed, err := n.sweep(ctx, n.cfg.Retention.filled(), n.cfg.Now())
			if err != nil && ctx.Err() == nil {
				n.cfg.Logger.Warn("the blob store could not be looked through: it is tried again", "error", err)
			}
			if removed > 0 {
				n.cfg.Logger.Info("blobs that nothing names were removed", "blobs", removed)
			}
		}
	}
}
