package redis

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// pollTime is how long Redis waits for an entry before it says that there is
	// none: so often a follower shows that it lives.
	pollTime = 250 * time.Millisecond
	// pollCount bounds the entries of one answer.
	pollCount = 1000
	// pollGrace is how long Redis may take to answer beyond pollTime.
	pollGrace = 10 * time.Second
)

// follower reads the entries that are added to streams.
type follower struct {
	*subscription
	target *target
	conn   *conn
	after  map[string]string // the last id of each stream that was read
	limit  int64
	done   chan struct{}

	mu    sync.Mutex
	asked time.Time     // when the last question was asked that is answered
	news  chan struct{} // closed when asked changes
}

// follow begins to read streams behind what they hold now.
func (p *pool) follow(ctx context.Context, call *plugin.Call, in *subscribeIn, s *subscription) (from map[string]string, release func() error, err error) {
	from = make(map[string]string, len(in.Streams))
	for _, name := range in.Streams {
		if from[name], err = p.lastID(ctx, call, name); err != nil {
			return nil, nil, err
		}
	}
	c, err := open(ctx, call, p.target)
	if err != nil {
		return nil, nil, err
	}
	f := &follower{
		subscription: s, target: p.target, conn: c, after: maps.Clone(from), limit: in.MaxBytes,
		done: make(chan struct{}), news: make(chan struct{}),
	}
	s.source, s.settle = naming("stream", in.Streams, "", nil), f.settle
	reading, stop := context.WithCancel(context.Background())
	go f.receive(reading)
	return from, func() error { stop(); <-f.done; c.close(); return nil }, nil
}

// lastID is the id of the last entry of a stream, or the one before all.
func (p *pool) lastID(ctx context.Context, call *plugin.Call, stream string) (string, error) {
	a, err := p.must(ctx, call, maxCounted, "XREVRANGE", stream, "+", "-", "COUNT", 1)
	if err != nil {
		return "", err
	}
	found, err := appendEntries(nil, stream, a.value)
	if err != nil {
		return "", plugin.Errorf(plugin.CodeProtocol, "%s did not answer XREVRANGE with entries: %w", p.target.address, err)
	}
	if len(found) == 0 {
		return "0-0", nil
	}
	return found[0].id, nil
}

func (f *follower) receive(ctx context.Context) {
	defer close(f.done)
	for {
		asked := time.Now()
		if err := f.read(ctx); err != nil {
			f.box.End(err)
			return
		}
		f.mu.Lock()
		f.asked = asked
		close(f.news)
		f.news = make(chan struct{})
		f.mu.Unlock()
	}
}

func (f *follower) read(ctx context.Context) error {
	began := time.Now()
	limited, stop := context.WithTimeout(ctx, pollTime+pollGrace)
	defer stop()
	args := append([]any{"XREAD", "COUNT", pollCount, "BLOCK", pollTime.Milliseconds()}, afterIDs(f.after)...)
	a, err := f.conn.ask(limited, f.limit, args)
	switch {
	case err != nil:
		return f.target.commandFault(limited, err, "XREAD", began)
	case a.refusal != "":
		return a.refusal.fault(f.target.address, "XREAD")
	}
	if a.cut > 0 {
		f.cut.Store(max(f.cut.Load(), a.cut))
	}
	found, err := rawEntries(a.value)
	if err != nil {
		return plugin.Errorf(plugin.CodeProtocol, "%s did not answer XREAD with entries: %w", f.target.address, err)
	}
	for _, e := range found {
		r := received{entry: &e}
		f.box.Add(r, r.size())
		f.after[e.stream] = e.id
	}
	return nil
}

// settle waits for the answer to a question that was asked from now on.
func (f *follower) settle(ctx context.Context) error {
	began := time.Now()
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	for {
		f.mu.Lock()
		asked, news := f.asked, f.news
		f.mu.Unlock()
		if asked.After(began) {
			return nil
		}
		select {
		case <-news:
		case <-f.done: // the inbox knows why
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return silent(f.target, f.source)
		}
	}
}
