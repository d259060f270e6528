package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// settleTime is how long a subscription may take to show that it still listens.
const settleTime = 2 * time.Second

// listener receives the messages of channels.
type listener struct {
	*subscription
	target *target
	conn   *conn
	redis  *goredis.PubSub
	done   chan struct{} // closed when nothing more will come

	mu    sync.Mutex
	pings int
	pongs map[string]chan struct{} // closed when the answer has come
}

// listen subscribes to channels and patterns. It gives the subscription back
// once Redis has confirmed each of them.
func (p *pool) listen(ctx context.Context, call *plugin.Call, in *subscribeIn, s *subscription) (release func() error, err error) {
	within := p.target.within(ctx)
	limited, stop := context.WithTimeout(ctx, within.timeout)
	defer stop()
	began := time.Now()
	c, err := link(limited, call, within)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	c.net.limit = in.MaxBytes
	l := &listener{
		subscription: s, target: p.target, conn: c, done: make(chan struct{}), pongs: map[string]chan struct{}{},
		redis: c.client.Subscribe(limited), // to nothing: it opens no connection
	}
	s.source, s.settle = naming("channel", in.Channels, "pattern", in.Patterns), l.settle
	err = c.run(limited, func() error { return l.confirmed(limited, in) })
	if call.WantsExchange() {
		call.Exchange(p.exchange(append([]any{"SUBSCRIBE"}, anys(append(in.Channels, in.Patterns...))...), answer{value: "confirmed"}, err, began))
	}
	if err != nil {
		_ = l.redis.Close()
		c.close()
		return nil, stopped(ctx, within.greetFault(err, "SUBSCRIBE", c.net.refusal))
	}
	go l.receive()
	return l.close, nil
}

// confirmed subscribes and waits until Redis has said so of each.
func (l *listener) confirmed(ctx context.Context, in *subscribeIn) error {
	var faults []error
	if len(in.Channels) > 0 {
		faults = append(faults, l.redis.Subscribe(ctx, in.Channels...))
	}
	if len(in.Patterns) > 0 {
		faults = append(faults, l.redis.PSubscribe(ctx, in.Patterns...))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for missing := len(in.Channels) + len(in.Patterns); missing > 0; {
		m, err := l.redis.Receive(ctx)
		if err != nil {
			return err
		}
		if _, ok := m.(*goredis.Subscription); ok {
			missing--
			continue
		}
		l.take(m) // of the first channel, before the second is confirmed
	}
	return nil
}

// receive keeps what comes until the connection ends.
func (l *listener) receive() {
	defer close(l.done)
	for {
		var m any
		err := l.conn.run(context.Background(), func() (err error) {
			m, err = l.redis.Receive(context.Background())
			return err
		})
		if err != nil {
			l.box.End(l.ended(err))
			return
		}
		l.take(m)
	}
}

func (l *listener) take(m any) {
	if n := l.conn.net.cut; n > 0 {
		l.cut.Store(max(l.cut.Load(), n))
		l.conn.net.cut = 0
	}
	switch m := m.(type) {
	case *goredis.Message:
		r := received{channel: m.Channel, pattern: m.Pattern, text: m.Payload}
		l.box.Add(r, r.size())
	case *goredis.Pong:
		l.mu.Lock()
		defer l.mu.Unlock()
		if pong := l.pongs[m.Payload]; pong != nil {
			close(pong)
			delete(l.pongs, m.Payload)
		}
	}
}

// ended says why a subscription is over.
func (l *listener) ended(err error) error {
	if isClosed(err) {
		return plugin.Errorf(plugin.CodeConn, "%s closed the connection", l.target.address)
	}
	return l.target.answerFault(err, "a subscription")
}

// settle sends a PING. Redis answers it behind all messages that were published
// before.
func (l *listener) settle(ctx context.Context) error {
	pong := make(chan struct{})
	l.mu.Lock()
	l.pings++
	name := strconv.Itoa(l.pings)
	l.pongs[name] = pong
	l.mu.Unlock()
	if err := l.redis.Ping(ctx, name); err != nil {
		_ = l.conn.net.Close() // receive says what is wrong with it
	}
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-pong:
	case <-l.done: // the inbox knows why
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return silent(l.target, l.source)
	}
	return nil
}

func silent(t *target, source string) error {
	return plugin.Errorf(plugin.CodeTimeout, "%s no longer answers on the subscription to %s: what came of it is unknown", t.address, source).
		WithHint("see whether Redis still runs, and whether this machine still reaches it")
}

func (l *listener) close() error {
	l.conn.close()
	_ = l.redis.Close()
	<-l.done
	return nil
}

// naming is what is subscribed to, in words: "channels a, b and pattern c.*".
func naming(one string, names []string, other string, more []string) string {
	var parts []string
	for _, kind := range []struct {
		word  string
		names []string
	}{{one, names}, {other, more}} {
		switch len(kind.names) {
		case 0:
		case 1:
			parts = append(parts, kind.word+" "+kind.names[0])
		default:
			parts = append(parts, fmt.Sprintf("%ss %s", kind.word, clip(strings.Join(kind.names, ", "))))
		}
	}
	return strings.Join(parts, " and ")
}

func anys(texts []string) []any {
	out := make([]any, len(texts))
	for i, text := range texts {
		out[i] = text
	}
	return out
}
