package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// leaseOf reads which of its leases an agent asks for: ?run=ID&attempt=N&fence=N, which
// its signature covers.
func leaseOf(req *http.Request) (*apiv1.Lease, error) {
	q := req.URL.Query()
	attempt, err := strconv.ParseInt(q.Get("attempt"), 10, 32)
	fence, err2 := strconv.ParseUint(q.Get("fence"), 10, 64)
	if err != nil || err2 != nil || q.Get("run") == "" {
		return nil, denied("an agent says for which of its runs: ?run=ID&attempt=N&fence=N")
	}
	return &apiv1.Lease{RunId: q.Get("run"), Attempt: int32(attempt), Fence: fence}, nil
}

// mine lets an agent have a content of one of its runs, and nobody else's: what is read
// must be named by a run that it has now, and what is written be of one that nobody else
// has. It answers, where it may not.
func (s *server) mine(may func(ctx context.Context, r *apiv1.Run, at *apiv1.Attempt, sum string) error, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		_, id, session := s.Guard.Who(req.Context())
		if id == "" || session == "" {
			next(w, req)
			return
		}
		if err := s.entitled(req, may); err != nil {
			writeError(w, 0, fromConnect(faults{s.Logger}.answer(req.Context(), req.URL.Path, err)))
			return
		}
		next(w, req)
	}
}

func (s *server) entitled(req *http.Request, may func(ctx context.Context, r *apiv1.Run, at *apiv1.Attempt, sum string) error) error {
	l, err := leaseOf(req)
	if err != nil {
		return err
	}
	if err := s.own(req.Context(), l); err != nil {
		return of(err, "run", "run", l.GetRunId())
	}
	r, err := s.Runs.Run(req.Context(), l.GetRunId())
	if err != nil {
		return err
	}
	at := r.GetAttempts()[len(r.GetAttempts())-1]
	if at.GetNumber() != l.GetAttempt() {
		return ended(r, l.GetAttempt())
	}
	return may(req.Context(), r, at, req.PathValue("sha256"))
}

func denied(format string, args ...any) error {
	return &Error{Kind: Denied, Message: fmt.Sprintf(format, args...)}
}

func ended(r *apiv1.Run, attempt int32) error {
	return denied("attempt %d of run %s has ended", attempt, r.GetId())
}

// reads: the run is the agent's now, and its bundle has the file, or it goes on from it.
func (s *server) reads(ctx context.Context, r *apiv1.Run, at *apiv1.Attempt, sum string) error {
	if at.GetOutcome() != "" {
		return ended(r, at.GetNumber())
	}
	named, err := s.named.of(ctx, s.Flows, r.GetSpec().GetBundle())
	if err != nil {
		return err
	}
	if named[sum] {
		return nil
	}
	b, err := s.Runs.Batch(ctx, r.GetBatchId())
	if err != nil {
		return err
	}
	if saved := b.GetSource().GetSavedContext(); saved == "" || saved != sum {
		return denied("run %s names no such file", r.GetId())
	}
	return nil
}

// writes: the run is the agent's, or was lost and nobody else has it yet, as for its
// events.
func (s *server) writes(_ context.Context, r *apiv1.Run, at *apiv1.Attempt, _ string) error {
	if at.GetOutcome() != "" && at.GetOutcome() != "lost" {
		return ended(r, at.GetNumber())
	}
	return nil
}

// keptListings is of how many bundles it is remembered what they name: an agent fetches
// the files of one after the other.
const keptListings = 16

// listings are the contents that bundles name, which never change.
type listings struct {
	mu    sync.Mutex
	known map[string]map[string]bool
}

func (l *listings) of(ctx context.Context, from Flows, digest string) (map[string]bool, error) {
	l.mu.Lock()
	sums := l.known[digest]
	l.mu.Unlock()
	if sums != nil {
		return sums, nil
	}
	files, err := from.Bundle(ctx, digest)
	if err != nil {
		return nil, err
	}
	sums = make(map[string]bool, len(files))
	for _, f := range files {
		sums[f.GetSha256()] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known) >= keptListings || l.known == nil {
		l.known = map[string]map[string]bool{} // some of them are read again
	}
	l.known[digest] = sums
	return sums, nil
}
