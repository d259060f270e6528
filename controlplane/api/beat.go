package api

import (
	"context"
	"sync"
	"time"
)

// beatEvery is how long a stream may be quiet before it gives a sign of life, so that
// whoever reads it, and each proxy between, tells a quiet run from a dead node.
const beatEvery = 10 * time.Second

// beats is the one sender of a stream.
type beats[T any] struct {
	send  func(*T) error
	after func(*T) *T
	stop  func()
	over  sync.WaitGroup

	mu     sync.Mutex
	next   *T // the next sign of life
	spoke  time.Time
	failed error
}

// beating sends sign wherever a stream is quiet, until end is called. after makes the
// sign that may follow something that was sent; nil: it stays the same.
func beating[T any](ctx context.Context, send func(*T) error, sign *T, after func(*T) *T) *beats[T] {
	ctx, stop := context.WithCancel(ctx)
	b := &beats[T]{send: send, after: after, stop: stop, next: sign, spoke: time.Now()}
	b.over.Go(func() {
		timer := time.NewTimer(beatEvery)
		defer timer.Stop()
		for {
			select {
			case <-timer.C:
				timer.Reset(b.beat())
			case <-ctx.Done():
				return
			}
		}
	})
	return b
}

// beat gives a sign where it is time for one, and says when to look again.
func (b *beats[T]) beat() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if quiet := time.Since(b.spoke); quiet < beatEvery {
		return beatEvery - quiet
	}
	if b.failed == nil {
		b.failed = b.send(b.next)
	}
	b.spoke = time.Now()
	return beatEvery
}

// give sends what the stream has to say.
func (b *beats[T]) give(m *T) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed != nil {
		return b.failed
	}
	b.failed = b.send(m)
	b.spoke = time.Now()
	if b.after != nil {
		b.next = b.after(m)
	}
	return b.failed
}

// end waits for a sign that is on its way. None comes any more.
func (b *beats[T]) end() {
	b.stop()
	b.over.Wait()
}
