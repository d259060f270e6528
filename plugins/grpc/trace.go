package grpc

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/stats"
)

// trace is how far one call has come. It tells a status that the server sent
// from one that grpc-go made up.
type trace struct {
	mu     sync.Mutex
	events traced
}

type traced struct {
	sent    time.Time // the request's headers went out: there is a connection
	headers time.Time // of the answer
	message time.Time // the first one of the answer
	trailer time.Time // the server's own end, with its status
}

type traceKey struct{}

func (t *trace) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

func (t *trace) get() traced {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.events
}

// watcher fills the traces of all calls of a connection.
type watcher struct{}

// TagRPC has nothing to add: the trace is in the context already.
func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC notes what happened.
func (watcher) HandleRPC(ctx context.Context, s stats.RPCStats) {
	t, ok := ctx.Value(traceKey{}).(*trace)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := &t.events
	switch s.(type) {
	case *stats.Begin: // of another attempt, where the first one never reached the server
		*e = traced{}
	case *stats.OutHeader:
		e.sent = time.Now()
	case *stats.InHeader:
		e.headers = time.Now()
	case *stats.InPayload:
		if e.message.IsZero() {
			e.message = time.Now()
		}
	case *stats.InTrailer:
		e.trailer = time.Now()
	}
}

// TagConn has nothing to add.
func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn notes nothing: see met.
func (watcher) HandleConn(context.Context, stats.ConnStats) {}
