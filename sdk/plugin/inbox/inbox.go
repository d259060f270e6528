// Package inbox keeps what a subscription receives until steps look for it, so
// that a message cannot come between the step that subscribes and the step that
// expects it. It never takes a message away: every look sees all that came since
// the subscription was ready.
package inbox

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// Bounds of an Inbox whose Limits say nothing: a test that receives more looks
// for it in a narrower subscription.
const (
	DefaultMessages = 100_000
	DefaultBytes    = 256 << 20
)

// Limits bound what is kept. Past one of them the oldest messages go, and
// whoever looks is told how many.
type Limits struct {
	Messages int   // 0: DefaultMessages
	Bytes    int64 // 0: DefaultBytes
}

// Inbox is what one subscription has received. It is safe for concurrent use.
type Inbox[M any] struct {
	limits Limits

	mu    sync.Mutex
	kept  []entry[M]
	bytes int64
	lost  int  // taken out by a limit: the number of kept[0] is lost
	ended bool // nothing more will come
	err   error
	news  chan struct{} // closed when anything above changes
}

type entry[M any] struct {
	message M
	size    int64
}

// New makes an empty inbox.
func New[M any](l Limits) *Inbox[M] {
	if l.Messages <= 0 {
		l.Messages = DefaultMessages
	}
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	return &Inbox[M]{limits: l, news: make(chan struct{})}
}

// Add keeps a message of so many bytes. It never waits. After End it does nothing.
func (b *Inbox[M]) Add(m M, size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	b.kept = append(b.kept, entry[M]{m, int64(size)})
	b.bytes += int64(size)
	for len(b.kept) > 1 && (len(b.kept) > b.limits.Messages || b.bytes > b.limits.Bytes) {
		b.bytes -= b.kept[0].size
		b.kept[0] = entry[M]{}
		b.kept = b.kept[1:]
		b.lost++
	}
	b.tell()
}

// End says that nothing more will come, and why: nil where that is in order. The
// first call counts.
func (b *Inbox[M]) End(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	b.ended, b.err = true, err
	b.tell()
}

// Len is how many messages came, those that went by a limit too.
func (b *Inbox[M]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost + len(b.kept)
}

func (b *Inbox[M]) tell() {
	close(b.news)
	b.news = make(chan struct{})
}

// Judgement is how well a message fits what is looked for.
type Judgement struct {
	Fits bool
	// Differences is in how many places it does not fit, and Miss the first of them
	// in words. The message with the fewest is the nearest miss.
	Differences int
	Miss        string
}

// Query is one look.
type Query[M any] struct {
	// Judge says whether a message is one; nil: every one is. Each message is
	// judged once.
	Judge func(M) (Judgement, error)
	// Count is how many are wanted at least; 0: one.
	Count int
	// Absent wants that none comes within the time.
	Absent bool
	// Within is for how long to wait, from now on.
	Within time.Duration
	// After leaves out the first messages of the inbox, by their number.
	After int
	// Settle is called once when the time is over, before the last look: it makes
	// sure that the subscription still listens, and that what was sent until then
	// has come. Its error ends the wait, since nothing can be judged. May be nil.
	Settle func(ctx context.Context) error
}

// Report is what a look found.
type Report[M any] struct {
	// Met says that the query is: enough came, or none where none was wanted.
	Met   bool
	Found []M
	// Seen is how many messages were looked at, Lost how many had gone by a limit
	// before that.
	Seen, Lost int
	// Nearest is the message that fits best of those that do not; nil: there is none.
	Nearest *Near[M]
	// Ended: the subscription ended before the query was met. Err is why; nil: in order.
	Ended bool
	Err   error
	// Waited is how long the look took.
	Waited time.Duration
	within time.Duration
	want   int
	absent bool
}

// Near is a message that does not fit.
type Near[M any] struct {
	Message M
	Number  int // of the inbox, from 0
	Judgement
}

// Wait looks at all messages since the beginning and at those to come, until the
// query is met, its time is over, the subscription has ended or ctx has. Its
// error is that of Judge or Settle, or of ctx.
func (b *Inbox[M]) Wait(ctx context.Context, q Query[M]) (Report[M], error) {
	began := time.Now()
	r := Report[M]{within: q.Within, want: max(q.Count, 1), absent: q.Absent}
	timer := time.NewTimer(q.Within)
	defer timer.Stop()
	next := q.After
	over := false
	for {
		fresh, first, news, ended, endErr := b.since(next)
		r.Lost += first - next
		for i, e := range fresh {
			if err := r.look(q, e.message, first+i); err != nil {
				return r, err
			}
		}
		next = first + len(fresh)
		r.Waited = time.Since(began)
		switch {
		case q.Absent && len(r.Found) > 0:
			return r, nil
		case !q.Absent && len(r.Found) >= r.want:
			r.Met = true
			return r, nil
		case ended:
			r.Ended, r.Err = true, endErr
			r.Met = q.Absent && endErr == nil
			return r, nil
		case over:
			r.Met = q.Absent
			return r, nil
		}
		select {
		case <-news:
		case <-timer.C:
			over = true // one more look: what came at the last moment came
			if q.Settle == nil {
				continue
			}
			if err := q.Settle(ctx); err != nil {
				return r, err
			}
		case <-ctx.Done():
			return r, context.Cause(ctx)
		}
	}
}

func (r *Report[M]) look(q Query[M], m M, number int) error {
	r.Seen++
	j := Judgement{Fits: true}
	if q.Judge != nil {
		var err error
		if j, err = q.Judge(m); err != nil {
			return err
		}
	}
	switch {
	case j.Fits:
		r.Found = append(r.Found, m)
	case r.Nearest == nil || j.Differences <= r.Nearest.Differences: // of equal ones the latest
		r.Nearest = &Near[M]{Message: m, Number: number, Judgement: j}
	}
	return nil
}

// since gives the messages from number next on, with the number of the first.
func (b *Inbox[M]) since(next int) (fresh []entry[M], first int, news <-chan struct{}, ended bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first = max(next, b.lost)
	if skip := first - b.lost; skip < len(b.kept) {
		fresh = append(fresh, b.kept[skip:]...)
	}
	return fresh, first, b.news, b.ended, b.err
}

// Fault says why the query was not met, nil where it was. A wait that ended
// without what it waited for is failed; where messages were lost or the
// subscription broke nothing can be judged, and it is errored. source says where
// the messages come from ("topic orders.v1"), describe names one of them
// ("partition 0, offset 41").
func (r *Report[M]) Fault(source string, describe func(M) string) *plugin.Error {
	if r.Met && (!r.absent || r.Lost == 0) {
		return nil
	}
	came := r.came(source)
	var e *plugin.Error
	switch {
	case r.absent && len(r.Found) > 0:
		e = plugin.Failf("a message that should not come came after %s: %s", shown(r.Waited), describe(r.Found[0]))
	case r.Err != nil:
		e = plugin.Errorf(plugin.CodeConn, "the subscription to %s ended while it was waited for: %w", source, r.Err)
	case r.Lost > 0:
		e = plugin.Errorf(plugin.CodeBody, "%d messages of %s were dropped at the limit of the subscription before anybody looked at them", r.Lost, source).
			WithHint("subscribe later, or to less, or raise its limits")
	case r.Ended:
		e = plugin.Failf("%s ended after %s, and %s", source, shown(r.Waited), came)
	default:
		e = plugin.Failf("%s within %s", came, shown(r.within))
	}
	if r.Nearest != nil && !r.absent {
		e = e.WithDetails(fmt.Sprintf("nearest miss: %s", describe(r.Nearest.Message)), "  "+r.Nearest.Miss)
	}
	return e
}

func (r *Report[M]) came(source string) string {
	var b strings.Builder
	switch {
	case r.Seen == 0:
		fmt.Fprintf(&b, "no message came from %s", source)
	case len(r.Found) == 0:
		fmt.Fprintf(&b, "%s came from %s since the subscription, and none fits", count(r.Seen), source)
	default:
		fmt.Fprintf(&b, "%s came from %s since the subscription, and %d of the %d that are wanted fit", count(r.Seen), source, len(r.Found), r.want)
	}
	return b.String()
}

func count(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

func shown(d time.Duration) string {
	if d >= time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}
