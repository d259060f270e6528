package sql

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxSessions bounds the connections of a run to one database. A run has as many as
	// steps that use it at the same time, by default ten at most; servers allow a
	// hundred and more.
	maxSessions = 64
	// maxIdle is how long a connection is trusted without asking the server.
	maxIdle = time.Second
	// settleTime bounds what is done with a connection after a step, or at the end.
	settleTime = time.Second
)

// database is where sessions are opened.
type database interface {
	open(ctx context.Context) (session, error)
}

// pool is the sessions of one run with one database. It is safe for concurrent
// use.
type pool struct {
	server   *server
	database database
	slots    chan struct{} // one for every session that there may be

	mu     sync.Mutex
	idle   []idling          // the last used comes last
	held   map[string]string // transactions that hold a session, with the steps that began them
	closed bool
}

type idling struct {
	session session
	since   time.Time
}

func newPool(s *server, d database) *pool {
	most := maxSessions
	if s.inMemory() {
		most = 1 // every connection would see a database of its own
	}
	return &pool{server: s, database: d, slots: make(chan struct{}, most), held: map[string]string{}}
}

// take gives a session that nobody else has, and waits for one where all are in
// use. The caller gives it back.
func (p *pool) take(ctx context.Context) (session, error) {
	select {
	case p.slots <- struct{}{}:
	default:
		if err := p.wait(ctx); err != nil {
			return nil, err
		}
	}
	s, err := p.ready(ctx)
	if err != nil {
		<-p.slots
	}
	return s, err
}

// wait waits for a slot, but not where only a transaction of the run can free it.
func (p *pool) wait(ctx context.Context) error {
	p.mu.Lock()
	held := make([]string, 0, len(p.held))
	for name, step := range p.held {
		held = append(held, name+" (begun by "+step+")")
	}
	p.mu.Unlock()
	if len(held) == cap(p.slots) {
		if cap(p.slots) == 1 {
			return plugin.Definitionf("transaction", "is missing: the database in memory has one connection, which the transaction %s holds", held[0]).
				WithHint("name it, or end it before with sql.commit or sql.rollback")
		}
		return plugin.Definitionf("transaction", "is missing, or too many are open: the %d connections of the run are held by %s", len(held), strings.Join(held, ", ")).
			WithHint("end some with sql.commit or sql.rollback")
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return plugin.Errorf(plugin.CodeTimeout, "no connection to %s became free in time: the run uses all %d", p.server.name(), cap(p.slots)).
			WithHint("other steps of the run use them: raise the step's timeout, or run fewer at once")
	}
}

// ready is a session that works: one that is idle, or a new one.
func (p *pool) ready(ctx context.Context) (session, error) {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return p.open(ctx)
		}
		last := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if time.Since(last.since) < maxIdle || last.session.ping(ctx) == nil {
			return last.session, nil
		}
		last.session.close()
	}
}

func (p *pool) open(ctx context.Context) (session, error) {
	within, release := context.WithTimeout(ctx, connectTime)
	defer release()
	s, err := p.database.open(within)
	if err != nil {
		return nil, p.server.notConnected(ctx, err)
	}
	return s, nil
}

// give gives a session back, and says whether a transaction was left open in it,
// which is rolled back. A session that is broken, or comes after the end, is
// closed.
func (p *pool) give(s session) (open bool) {
	if s.state() == inTransaction {
		open = true
		ctx, release := context.WithTimeout(context.Background(), settleTime)
		defer release()
		_ = exec(ctx, s, p.server.kind, "ROLLBACK") // where it errors, the state says so
	}
	works := s.state() == ready
	p.mu.Lock()
	if works && !p.closed {
		p.idle = append(p.idle, idling{s, time.Now()})
		s = nil
	}
	p.mu.Unlock()
	if s != nil {
		s.close()
	}
	<-p.slots
	return open
}

// giveBack is give of a session that may have been made to refuse changes for a
// while.
func (p *pool) giveBack(s session, guarded bool) (open bool) {
	if guarded && s.state() != gone {
		ctx, release := context.WithTimeout(context.Background(), settleTime)
		defer release()
		if exec(ctx, s, p.server.kind, "PRAGMA query_only = 0") != nil {
			s.close()
		}
	}
	return p.give(s)
}

// hold says that a transaction keeps a session, release that it does not.
func (p *pool) hold(transaction, step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[transaction] = step
}

func (p *pool) release(transaction string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.held, transaction)
}

// close closes what is idle; sessions in use are closed when they are given back.
func (p *pool) close() error {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, i := range idle {
		i.session.close()
	}
	return nil
}
