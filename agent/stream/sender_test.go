package stream

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// poster takes frames, once it has refused some calls, and acknowledges them at once.
type poster struct {
	mu      sync.Mutex
	refuses int
	next    int64
	want    int64
	all     chan struct{} // closed once it has what it wants
}

func (p *poster) Append(_ context.Context, req *apiv1.AppendRequest) (*apiv1.AppendResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses > 0 {
		p.refuses--
		return nil, errors.New("connection reset")
	}
	res := &apiv1.AppendResponse{}
	for _, f := range req.GetFrames() {
		if f.GetOffset() == p.next {
			if p.next += int64(f.GetLength()); p.next == p.want {
				close(p.all)
			}
		}
		res.Acks = append(res.Acks, &apiv1.Ack{RunId: f.GetLease().GetRunId(), Attempt: f.GetLease().GetAttempt(), Durable: p.next})
	}
	return res, nil
}

// What was refused for a while is sent at full pace once it is taken again: the pauses
// between tries grow with errors, and are over with the first answer.
func TestPostingIsAtFullPaceAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const refuses = 4
		p := &poster{refuses: refuses, all: make(chan struct{})}
		s, err := NewSender(Config{Poster: p, PostOnly: true, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		spool, err := Create(filepath.Join(t.TempDir(), "spool"), &apiv1.Lease{RunId: "r", Attempt: 1, Fence: 7}, NewBudget(0, nil), 0)
		if err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 64<<10)
		for range 160 { // forty frames
			if err := spool.Write(line, true); err != nil {
				t.Fatal(err)
			}
		}
		length, _, _ := spool.Complete()
		p.want = length
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		began := time.Now()
		s.Add(spool)
		go func() { defer close(done); s.Run(ctx) }()
		if fenced, err := s.Sent(ctx, spool); fenced || err != nil {
			t.Fatalf("got fenced %v and %v", fenced, err)
		}
		<-p.all
		took := time.Since(began)
		cancel()
		<-done
		outage := time.Duration(0)
		for i := range refuses {
			outage += retry << (i + 1)
		}
		if took < outage || took > outage+2*time.Second {
			t.Errorf("%d bytes took %s, want little more than the %s of the outage", length, took, outage)
		}
		if err := spool.Remove(); err != nil {
			t.Error(err)
		}
	})
}
