package redis

import (
	"context"
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxResting bounds the connections of a pool that nobody uses: a run has
	// seldom more than ten steps at the same time.
	maxResting = 16
	// longRest is after how long a connection is asked whether it still lives:
	// firewalls forget one without a word.
	longRest = 30 * time.Second
)

// pool is a run's connections to one server.
type pool struct {
	target *target

	mu      sync.Mutex
	resting []*conn // the last one used last
	ended   bool
}

// poolOf is the pool of the run for what a config says.
func poolOf(ctx context.Context, call *plugin.Call, c connecting) (*pool, error) {
	t, err := c.target(call)
	if err != nil {
		return nil, err
	}
	key, err := t.key(call)
	if err != nil {
		return nil, err
	}
	return plugin.Keep(ctx, call, key, func() (*pool, func() error, error) {
		p := &pool{target: t}
		return p, p.close, nil
	})
}

// take gives a connection that nobody else has.
func (p *pool) take(ctx context.Context, call *plugin.Call) (*conn, error) {
	for {
		c := p.pop()
		if c == nil {
			return open(ctx, call, p.target)
		}
		if p.lives(ctx, c) {
			return c, nil
		}
		c.close()
	}
}

// lives tells whether a connection that rested can be used: one that the server
// has closed meanwhile can not, and nothing was sent on it yet.
func (p *pool) lives(ctx context.Context, c *conn) bool {
	news := c.net.look()
	if news == closedByPeer {
		return false
	}
	if news == nothing && time.Since(c.rested) < longRest {
		return true
	}
	limited, stop := context.WithTimeout(ctx, p.target.timeout)
	defer stop()
	return c.greet(limited, p.target) == nil
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.resting) - 1
	if last < 0 {
		return nil
	}
	c := p.resting[last]
	p.resting = p.resting[:last]
	return c
}

// give takes a connection back, which may be closed by now.
func (p *pool) give(c *conn) {
	p.mu.Lock()
	keep := !p.ended && len(p.resting) < maxResting && !c.net.closed.Load()
	if keep {
		c.rested = time.Now()
		p.resting = append(p.resting, c)
	}
	p.mu.Unlock()
	if !keep {
		c.close()
	}
}

func (p *pool) close() error {
	p.mu.Lock()
	resting := p.resting
	p.resting, p.ended = nil, true
	p.mu.Unlock()
	for _, c := range resting {
		c.close()
	}
	return nil
}
