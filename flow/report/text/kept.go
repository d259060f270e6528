package text

import (
	"cmp"
	"slices"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
)

const (
	// maxFailures bounds how many failures are printed in full; the others are
	// counted, and every other report has them.
	maxFailures = 50
	// maxSame bounds how many places of one error are named.
	maxSame = 8
)

// failure is a failed step of a run, or with a nil Step the run as a whole.
type failure struct {
	*cause.Failure
	run   *event.Event
	order int // in its run

	more  []*failure // where the same error was met again
	moreN int
}

// kept are the failures of a batch that will be printed.
type kept struct {
	list []*failure
	same map[string]*failure // by what was said: printed once
	more int                 // past maxFailures
}

// add keeps a failure. An error that was met before is counted there: a server
// that is down fails many flows for one cause.
func (k *kept) add(f *failure) {
	if said := f.said(); said != "" {
		if first, ok := k.same[said]; ok {
			first.moreN++
			if len(first.more) < maxSame {
				first.more = append(first.more, f)
			}
			return
		}
		if k.same == nil {
			k.same = map[string]*failure{}
		}
		if len(k.same) < maxFailures {
			k.same[said] = f
		}
	}
	if len(k.list) >= maxFailures {
		k.more++
		return
	}
	k.list = append(k.list, f)
}

// said identifies an error by what it says; "" where a failure is its own.
func (f *failure) said() string {
	if f.Step == nil || f.End.Status != event.Errored || f.End.Error == nil || f.Ignored || f.Handler {
		return ""
	}
	return f.End.Error.Code + "\x00" + f.End.Error.Message
}

// inOrder sorts failures as the files stand in the batch, whatever order the
// runs ended in: the same batch prints the same report.
func (w *Writer) inOrder() []*failure {
	list := slices.Clone(w.kept.list)
	slices.SortStableFunc(list, func(a, b *failure) int {
		return cmp.Or(
			cmp.Compare(w.rank(a), w.rank(b)),
			cmp.Compare(a.run.Flow, b.run.Flow),
			cmp.Compare(row(a), row(b)),
			cmp.Compare(a.run.RunStarted.Iteration, b.run.RunStarted.Iteration),
			cmp.Compare(a.run.RunID, b.run.RunID),
			cmp.Compare(a.order, b.order),
		)
	})
	return list
}

func (w *Writer) rank(f *failure) int {
	if at, ok := w.files[f.run.RunStarted.File]; ok {
		return at
	}
	return len(w.files)
}

func row(f *failure) int {
	if r := f.run.RunStarted.Row; r != nil {
		return r.Index
	}
	return -1
}
