package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/gorilla/websocket"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const (
	// LiveProtocol is what a page and this server speak with each other.
	LiveProtocol = "testmesh.live.v1"
	// KeyProtocol begins a second name that a page may offer: its key, because a page
	// cannot send a header with the request that opens a socket.
	KeyProtocol = "testmesh.key."

	liveVersion = 1
	// liveSubscriptions bounds those of one socket: a page shows less.
	liveSubscriptions = 64
	// liveRequestBytes bounds one message of a page.
	liveRequestBytes = 64 << 10
	// livePace is the least time between two updates of one subscription.
	livePace = 100 * time.Millisecond
	// liveBeat is how often a page is told that the socket lives; it is dead to the
	// server after three of them without an answer to a ping.
	liveBeat = 10 * time.Second
	// liveStall is how long a page may not read: then it is cut, and resumes.
	liveStall = 15 * time.Second
	// liveItems bounds the records of one message; more of them come in several.
	liveItems = 500
)

// Close codes of a live socket, beside those of RFC 6455.
const (
	closeRefused = 4000 // what was sent is no request of this protocol
	closeStalled = 4008 // the page did not read: subscribe again, from where it is
)

// liveRequest is what a page sends.
type liveRequest struct {
	Op string `json:"op"` // subscribe, unsubscribe
	// ID names a subscription of this socket, as the page likes.
	ID    string `json:"id"`
	Topic string `json:"topic"`
	// Request is the request of the topic's method, as JSON.
	Request json.RawMessage `json:"request"`
	// Version is the last that the page has of a list.
	Version string `json:"version"`
}

// liveFrame is what a page is sent.
type liveFrame struct {
	V    int    `json:"v"`
	Type string `json:"type"`
	ID   string `json:"id,omitempty"`

	// Of hello.
	Server string `json:"server,omitempty"`
	BeatMS int64  `json:"beat_ms,omitempty"`

	// Of snapshot, delta and same.
	Version string            `json:"version,omitempty"`
	Index   uint64            `json:"index,omitempty"`
	Items   []json.RawMessage `json:"items,omitempty"`
	Gone    []string          `json:"gone,omitempty"`
	Order   []string          `json:"order,omitempty"`
	Value   json.RawMessage   `json:"value,omitempty"`
	More    bool              `json:"more,omitempty"`

	// Of stream, restarted and end.
	Attempt int32  `json:"attempt,omitempty"`
	Offset  *int64 `json:"offset,omitempty"`
	Next    *int64 `json:"next,omitempty"`
	Text    string `json:"text,omitempty"`
	Base64  []byte `json:"base64,omitempty"`

	Error *RESTError `json:"error,omitempty"`
}

// live serves the socket of pages.
func (s *server) live(mux *http.ServeMux) {
	mux.HandleFunc("GET "+root+"live", s.Guard.Require(apiv1.Permission_PERMISSION_READ, s.openLive))
}

// liveKey takes the key of a page from where it can put it.
func liveKey(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == root+"live" && req.Header.Get("Authorization") == "" {
			for _, name := range websocket.Subprotocols(req) {
				if key, ok := strings.CutPrefix(name, KeyProtocol); ok {
					req = req.Clone(req.Context())
					req.Header.Set("Authorization", "Bearer "+key)
				}
			}
		}
		next.ServeHTTP(w, req)
	})
}

// fromHere says whether the page that opens a socket is this server's or one of the
// configured origins; a program that is no page says no origin.
func (s *server) fromHere(req *http.Request) bool {
	origin := req.Header.Get("Origin")
	if origin == "" || slices.Contains(s.Origins, origin) || slices.Contains(s.Origins, "*") {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, req.Host)
}

func (s *server) openLive(w http.ResponseWriter, req *http.Request) {
	up := websocket.Upgrader{
		CheckOrigin: s.fromHere, Subprotocols: []string{LiveProtocol}, ReadBufferSize: 4 << 10, WriteBufferSize: 32 << 10,
		Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
			code := connect.CodeInvalidArgument
			if status == http.StatusForbidden {
				code, reason = connect.CodePermissionDenied, errors.New("a page of another origin may not open this socket: the server's setting of origins names those that may")
			}
			writeError(w, status, &RESTError{Code: code.String(), Message: reason.Error()})
		},
	}
	if s.Sockets != nil {
		s.Sockets.Add(1)
		defer s.Sockets.Done()
	}
	conn, err := up.Upgrade(w, req, nil)
	if err != nil {
		return // it was answered
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(req.Context()))
	l := &liveSocket{server: s, conn: conn, ctx: ctx, cancel: cancel, subscribed: map[string]*subscription{}}
	l.work.Go(l.beat)
	l.receive()
	cancel()
	_ = conn.Close() // the page opens another
	l.work.Wait()
}

// liveSocket is the socket of one page.
type liveSocket struct {
	*server
	conn   *websocket.Conn
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	write  sync.Mutex

	mu         sync.Mutex
	subscribed map[string]*subscription
}

// subscription is one that runs.
type subscription struct{ cancel context.CancelFunc }

// send writes a frame. There is no queue: who is slow waits here, with the one frame
// that it has made, and goes on from what there is then.
func (l *liveSocket) send(f liveFrame) error {
	f.V = liveVersion
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	l.write.Lock()
	defer l.write.Unlock()
	if err := l.ctx.Err(); err != nil {
		return err
	}
	err = errors.Join(l.conn.SetWriteDeadline(time.Now().Add(liveStall)), l.conn.WriteMessage(websocket.TextMessage, data))
	if err != nil {
		l.Logger.Info("a live socket was cut: its page does not read", "error", err)
		l.end(closeStalled, "you did not read: subscribe again from where you are")
	}
	return err
}

// end closes the socket, with a word where it still fits.
func (l *liveSocket) end(code int, why string) {
	_ = l.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), time.Now().Add(100*time.Millisecond))
	l.cancel()
	_ = l.conn.Close()
}

// beat tells the page that the socket lives, and finds out whether the page does.
func (l *liveSocket) beat() {
	tick := time.NewTicker(liveBeat)
	defer tick.Stop()
	if l.send(liveFrame{Type: "hello", Server: l.Version, BeatMS: liveBeat.Milliseconds()}) != nil {
		return
	}
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.Stopping:
			l.end(websocket.CloseGoingAway, "this node ends: another is there, or this one again soon")
			return
		case <-tick.C:
			_ = l.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) // a dead one shows by its silence
			if l.send(liveFrame{Type: "beat", Index: l.Proposer.Applied()}) != nil {
				return
			}
		}
	}
}

func (l *liveSocket) receive() {
	l.conn.SetReadLimit(liveRequestBytes)
	alive := func() { _ = l.conn.SetReadDeadline(time.Now().Add(3 * liveBeat)) } // a closed one says so next
	alive()
	l.conn.SetPongHandler(func(string) error { alive(); return nil })
	for {
		kind, data, err := l.conn.ReadMessage()
		if err != nil {
			return
		}
		alive()
		var r liveRequest
		if kind != websocket.TextMessage || json.Unmarshal(data, &r) != nil || len(r.ID) > 100 {
			l.end(closeRefused, "a message is a JSON object with op, id, topic and request")
			return
		}
		if err := l.take(r); err != nil {
			if l.refuse(r.ID, err) != nil {
				return
			}
		}
	}
}

// refuse tells a subscription that there is none, or none any more.
func (l *liveSocket) refuse(id string, err error) error {
	return l.send(liveFrame{Type: "error", ID: id, Error: fromConnect(faults{l.Logger}.answer(l.ctx, "live", err))})
}

func (l *liveSocket) take(r liveRequest) error {
	switch r.Op {
	case "unsubscribe":
		l.forget(r.ID)
		return nil
	case "subscribe":
		return l.subscribe(r)
	}
	return invalid("op", "there is no op %q: there are subscribe and unsubscribe", r.Op)
}

func (l *liveSocket) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sub := l.subscribed[id]; sub != nil {
		sub.cancel()
		delete(l.subscribed, id)
	}
}

// ended forgets a subscription that has nothing more to say.
func (l *liveSocket) ended(id string, sub *subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sub.cancel()
	if l.subscribed[id] == sub {
		delete(l.subscribed, id)
	}
}

func (l *liveSocket) subscribe(r liveRequest) error {
	t, known := topics()[r.Topic]
	if !known {
		return invalid("topic", "there is no topic %q: there are %s", r.Topic, topicNames())
	}
	if err := l.Guard.Allow(l.ctx, t.method); err != nil {
		return err
	}
	run, err := t.open(l.server, r)
	if err != nil {
		return err
	}
	l.forget(r.ID)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.subscribed) >= liveSubscriptions {
		return &Error{Kind: Conflict, Field: "id", Message: "this socket has as many subscriptions as one may: unsubscribe from what is not shown"}
	}
	ctx, cancel := context.WithCancel(l.ctx)
	sub := &subscription{cancel}
	l.subscribed[r.ID] = sub
	l.work.Go(func() {
		defer l.ended(r.ID, sub)
		err := run(ctx, func(f liveFrame) error {
			f.ID = r.ID
			if err := ctx.Err(); err != nil {
				return err
			}
			return l.send(f)
		})
		if err != nil && ctx.Err() == nil {
			l.ended(r.ID, sub)      // who hears of it may take another in its place
			_ = l.refuse(r.ID, err) // the socket has gone
		}
	})
	return nil
}
