package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// greeting bounds what Redis answers to HELLO: it is some 200 bytes.
	greeting = 64 << 10
	// keepAlive finds a peer that went without a word: a subscription sends nothing.
	keepAlive = 15 * time.Second
)

// conn is one connection to Redis. go-redis speaks the protocol on it, by a
// client that has this connection and gets no other: a read of go-redis does not
// end with its context, so that whoever waits must know which connection to
// close; and a second connection in the place of a broken one would hide what
// was lost with it.
type conn struct {
	net    *bounded
	client *goredis.Client
	rested time.Time // since when it waits for its next use
}

// link dials and shakes hands. Each phase has its words.
func link(ctx context.Context, call *plugin.Call, t *target) (*conn, error) {
	var secure *tls.Config
	if t.tls != nil {
		var err error
		if secure, err = t.tls.Client(call, "connection.tls", t.host()); err != nil {
			return nil, err
		}
	}
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 2}}
	raw, err := call.Host().Egress.Dial(ctx, &dialer, t.network, t.address)
	if err != nil {
		return nil, t.dialFault(err)
	}
	stream := raw
	if secure != nil {
		secured := tls.Client(raw, secure)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, t.handshakeFault(err)
		}
		stream = secured
	}
	c := &conn{net: newBounded(stream)}
	c.net.limit = greeting
	c.client = goredis.NewClient(t.options(c.net))
	return c, nil
}

// errGone is what go-redis hears when it wants another connection.
var errGone = errors.New("the connection is gone")

// options are those of a client of exactly one connection: no second try of
// anything, and no time limits but that of the step.
func (t *target) options(only net.Conn) *goredis.Options {
	ready := make(chan net.Conn, 1)
	ready <- only
	return &goredis.Options{
		Network: t.network, Addr: t.address, Username: t.username, Password: t.password, DB: t.db,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			select {
			case c := <-ready:
				return c, nil
			default:
				return nil, errGone
			}
		},
		DialerRetries: 1, MaxRetries: -1, ReadTimeout: -2, WriteTimeout: -2,
		PoolSize: 1, PipelinePoolSize: -1, ConnMaxIdleTime: -1, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// open is a connection that Redis has answered on.
func open(ctx context.Context, call *plugin.Call, t *target) (*conn, error) {
	t = t.within(ctx)
	limited, stop := context.WithTimeout(ctx, t.timeout)
	defer stop()
	c, err := link(limited, call, t)
	if err == nil {
		err = c.greet(limited, t)
	}
	if err != nil {
		return nil, stopped(ctx, err)
	}
	return c, nil
}

// within is the target with no more time than ctx has.
func (t *target) within(ctx context.Context) *target {
	less := *t
	if deadline, ok := ctx.Deadline(); ok {
		less.timeout = min(t.timeout, rounded(time.Until(deadline)))
	}
	return &less
}

// stopped is err, but where the step was cancelled: whoever did that knows why.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && !isLate(ctx) {
		return ctx.Err()
	}
	return err
}

// greet lets go-redis say HELLO, which goes with its first command.
func (c *conn) greet(ctx context.Context, t *target) error {
	err := c.run(ctx, func() error { return c.client.Ping(ctx).Err() })
	if refusal, ok := refusalOf(err); ok && refusal.kind() == "NOPERM" {
		return nil // it knows who we are; PING is not theirs
	}
	if err != nil {
		c.close()
		return t.greetFault(err, "our greeting", c.net.refusal)
	}
	return nil
}

// run executes f, which waits for the connection, and closes the connection
// where ctx ends first: f returns then, and run once the connection is closed. Redis
// would give somebody who waits at it what comes in between.
func (c *conn) run(ctx context.Context, f func() error) error {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = c.net.Close()
	})
	err := sound(f)
	if !stop() {
		<-closed
	}
	if _, answered := refusalOf(err); err == nil || answered || errors.Is(err, goredis.Nil) {
		return err
	}
	_ = c.net.Close() // who knows what would come next on it
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// sound executes f. go-redis takes the shape of some answers for granted, those
// to a subscription, and panics where it is another.
func sound(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &malformed{fmt.Sprint(r)}
		}
	}()
	return f()
}

func (c *conn) close() {
	_ = c.net.Close()
	_ = c.client.Close()
}
