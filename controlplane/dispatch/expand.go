package dispatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

const (
	// chunk is how many runs one command makes.
	chunk = 500
	// chunkBytes bounds a command of runs well below what the log takes.
	chunkBytes = 256 << 10
)

// expandOne makes the next runs of a batch. What was acknowledged is made, however
// often the leader changes meanwhile: the command says which run is its first.
func (l *lead) expandOne(ctx context.Context) error {
	l.mu.Lock()
	ids := slices.Sorted(maps.Keys(l.expand))
	l.mu.Unlock()
	for _, id := range ids {
		if err := l.expandBatch(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (l *lead) expandBatch(ctx context.Context, id string) error {
	b, err := l.cfg.State.Batch(ctx, id)
	if err != nil {
		return fmt.Errorf("read batch %s: %w", id, err)
	}
	made, err := l.cfg.State.Unexpanded(ctx)
	if err != nil {
		return err
	}
	at, open := made[id]
	if !open || b.GetExpanded() {
		l.mu.Lock()
		delete(l.expand, id)
		l.mu.Unlock()
		return nil
	}
	if err := l.cfg.Fault.Point("dispatch.expand.before"); err != nil {
		return err
	}
	runs, err := l.cfg.Expander.Expand(ctx, b)
	var problem string
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, ErrAgain):
		l.cfg.Logger.Warn("a batch cannot be expanded yet", "batch", id, "error", err)
		return nil // it stays in the list
	case err != nil:
		problem, runs = err.Error(), nil
	}
	for {
		part, done := next(runs[min(at, len(runs)):])
		e := &clusterv1.ExpandBatch{BatchId: id, First: int32(at + 1), Runs: part, Done: done, Problem: problem}
		if _, err := l.propose(ctx, &clusterv1.Command{Workspace: b.GetWorkspace(), Body: &clusterv1.Command_ExpandBatch{ExpandBatch: e}}); err != nil {
			return err
		}
		if err := l.cfg.Fault.Point("dispatch.expand.after"); err != nil {
			return err
		}
		at += len(part)
		if done || problem != "" {
			break
		}
	}
	l.mu.Lock()
	delete(l.expand, id)
	l.mu.Unlock()
	return nil
}

// ErrAgain is an error of an Expander that says nothing about the batch: the blobs
// cannot be read at the moment.
var ErrAgain = errors.New("try again")

// next are the runs of one command.
func next(runs []*clusterv1.NewRun) (part []*clusterv1.NewRun, done bool) {
	size := 0
	for i, r := range runs {
		size += len(r.GetId()) + 64 + sizeOf(r)
		if i == chunk || size > chunkBytes && i > 0 {
			return runs[:i], false
		}
	}
	return runs, true
}

func sizeOf(r *clusterv1.NewRun) int { return proto.Size(r.GetSpec()) }
