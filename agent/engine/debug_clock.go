package engine

import (
	"context"
	"sync"
	"time"
)

// clock is the time of a run under a debugger: it stands still while the
// debugger is asked. Calls of plugins and waits that go on meanwhile, in steps
// side by side, have their limits moved too.
type clock struct {
	mu     sync.Mutex
	halts  int       // how many calls of the debugger last
	since  time.Time // when the first of them began
	stood  []still
	limits map[*pausable]struct{}
}

// still is a time in which the clock stood still.
type still struct{ from, to time.Time }

// shortest is the shortest halt that is counted: what is asked and does not stop
// leaves no trace.
const shortest = time.Millisecond

func (c *clock) halt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halts++; c.halts > 1 {
		return
	}
	c.since = time.Now()
	for l := range c.limits {
		l.stop(c.since)
	}
}

func (c *clock) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halts--; c.halts > 0 {
		return
	}
	now := time.Now()
	if now.Sub(c.since) >= shortest {
		c.stood = append(c.stood, still{c.since, now})
	}
	for l := range c.limits {
		l.start(now)
	}
}

// stoodSince is for how long the clock has stood still since t.
func (c *clock) stoodSince(t time.Time) (sum time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halts > 0 {
		sum = time.Since(later(c.since, t))
	}
	for i := len(c.stood) - 1; i >= 0 && c.stood[i].to.After(t); i-- {
		sum += c.stood[i].to.Sub(later(c.stood[i].from, t))
	}
	return max(sum, 0)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// pausable is a context that ends with cause once d of the run's time is over.
type pausable struct {
	context.Context // ended by cancel
	cancel          context.CancelCauseFunc
	cause           error
	clock           *clock
	// Under the clock's lock:
	left  time.Duration // when it was started
	began time.Time
	timer *time.Timer // nil: it stands still
}

func (c *clock) limit(parent context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	l := &pausable{Context: ctx, cancel: cancel, cause: cause, clock: c, left: d}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limits == nil {
		c.limits = map[*pausable]struct{}{}
	}
	c.limits[l] = struct{}{}
	if c.halts == 0 {
		l.start(time.Now())
	}
	return l, func() {
		c.mu.Lock()
		delete(c.limits, l)
		l.stop(time.Now())
		c.mu.Unlock()
		cancel(context.Canceled)
	}
}

func (l *pausable) start(now time.Time) {
	l.began = now
	l.timer = time.AfterFunc(l.left, func() { l.cancel(l.cause) })
}

func (l *pausable) stop(now time.Time) {
	if l.timer != nil {
		l.timer.Stop()
		l.timer, l.left = nil, max(l.left-now.Sub(l.began), 0)
	}
}

// Deadline is when the context ends if the clock does not stand still before.
func (l *pausable) Deadline() (time.Time, bool) {
	l.clock.mu.Lock()
	end := time.Now().Add(l.left)
	if l.timer != nil {
		end = l.began.Add(l.left)
	}
	l.clock.mu.Unlock()
	if outer, ok := l.Context.Deadline(); ok && outer.Before(end) {
		return outer, true
	}
	return end, true
}

// limit is context.WithTimeoutCause in the run's time.
func (x *run) limit(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	if x.debug == nil {
		return context.WithTimeoutCause(ctx, d, cause)
	}
	return x.debug.clock.limit(ctx, d, cause)
}

// since is how much of the run's time went by since t.
func (x *run) since(t time.Time) time.Duration {
	d := x.e.cfg.Now().Sub(t)
	if x.debug != nil {
		d = max(d-x.debug.clock.stoodSince(t), 0)
	}
	return d
}
