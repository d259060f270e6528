package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2/ast"
)

const (
	graphProtocol = "graphql-transport-ws"
	// initTimeout is how long a client may take to say connection_init.
	initTimeout = 3 * time.Second
	// writeTimeout bounds a client that does not read.
	writeTimeout = 10 * time.Second
	// maxSubscriptions bounds those of one connection.
	maxSubscriptions = 100
)

// The codes with which a connection is closed, as the protocol has them.
const (
	closeInvalid         = 4400
	closeUnauthorized    = 4401
	closeForbidden       = 4403
	closeNoSubprotocol   = 4406
	closeInitTimeout     = 4408
	closeSubscriberTaken = 4409
	closeTooManyInits    = 4429
)

// graphMessage is a message of the protocol, either way.
type graphMessage struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// graphSocket is one connection.
type graphSocket struct {
	call   *call
	graph  *graph
	closed bool
	conn   *websocket.Conn

	mu      sync.Mutex // of writing, and of running
	running map[string]context.CancelFunc
	works   sync.WaitGroup
}

func (c *call) serveGraphSocket(g *graph, closed bool) error {
	upgrader := websocket.Upgrader{Subprotocols: []string{graphProtocol}, CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(c.w, c.r, nil)
	if err != nil {
		return nil //nolint:nilerr // the upgrader has answered
	}
	s := &graphSocket{call: c, graph: g, closed: closed, conn: conn, running: map[string]context.CancelFunc{}}
	ctx, cancel := context.WithCancel(c.r.Context())
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the reading
	defer func() {
		stop()
		cancel()
		_ = conn.Close()
		s.works.Wait()
	}()
	if conn.Subprotocol() == "" {
		s.close(closeNoSubprotocol, "Subprotocol not acceptable")
		return nil
	}
	conn.SetReadLimit(maxJSON)
	s.serve(ctx)
	return nil
}

// closing is a mistake of the client that ends the connection.
type closing struct {
	code   int
	reason string
}

func (e *closing) Error() string { return e.reason }

func (s *graphSocket) serve(ctx context.Context) {
	acknowledged := false
	_ = s.conn.SetReadDeadline(time.Now().Add(initTimeout))
	for {
		_, text, err := s.conn.ReadMessage()
		if err != nil {
			if !acknowledged && ctx.Err() == nil {
				s.close(closeInitTimeout, "Connection initialisation timeout")
			}
			return
		}
		var m graphMessage
		if json.Unmarshal(text, &m) != nil || m.Type == "" {
			s.close(closeInvalid, "Invalid message received")
			return
		}
		err = s.take(ctx, m, &acknowledged)
		var ends *closing
		if errors.As(err, &ends) {
			s.close(ends.code, ends.reason)
			return
		}
	}
}

// take does what a message says.
func (s *graphSocket) take(ctx context.Context, m graphMessage, acknowledged *bool) error {
	switch {
	case m.Type == "connection_init":
		if *acknowledged {
			return &closing{closeTooManyInits, "Too many initialisation requests"}
		}
		if !s.welcome(m.Payload) {
			return &closing{closeForbidden, "Forbidden"}
		}
		*acknowledged = true
		_ = s.conn.SetReadDeadline(time.Time{})
		s.send(graphMessage{Type: "connection_ack"})
	case m.Type == "ping":
		s.send(graphMessage{Type: "pong", Payload: m.Payload})
	case m.Type == "pong":
	case !*acknowledged:
		return &closing{closeUnauthorized, "Unauthorized"}
	case m.Type == "subscribe" && m.ID != "":
		return s.subscribe(ctx, m)
	case m.Type == "complete" && m.ID != "":
		s.end(m.ID)
	default:
		return &closing{closeInvalid, "Invalid message received"}
	}
	return nil
}

// welcome refuses a token in the payload that no login gave.
func (s *graphSocket) welcome(payload json.RawMessage) bool {
	var params struct{ Token string }
	if len(payload) == 0 || json.Unmarshal(payload, &params) != nil || params.Token == "" {
		return true
	}
	s.call.tenant.mu.Lock()
	defer s.call.tenant.mu.Unlock()
	return s.call.tenant.sessions.get(params.Token) != nil
}

// subscribe listens before it returns, so that a pong to a ping after it says so.
func (s *graphSocket) subscribe(ctx context.Context, m graphMessage) error {
	var request graphRequest
	if err := json.Unmarshal(m.Payload, &request); err != nil {
		return &closing{closeInvalid, "Invalid message received"}
	}
	ctx, err := s.begin(ctx, m.ID)
	if err != nil {
		return err
	}
	x, operation, wrong := s.graph.prepare(s.call, request, s.closed)
	if wrong != nil {
		s.fail(m.ID, wrong)
		return nil
	}
	if operation.Operation != ast.Subscription {
		s.next(m.ID, x.answer(operation, struct{}{}))
		s.complete(m.ID)
		return nil
	}
	events, stop, err := x.subscribe(operation)
	if err != nil {
		s.fail(m.ID, []graphError{x.sourceError(operation, err)})
		return nil
	}
	s.works.Go(func() {
		defer stop()
		err := events(ctx, func(root any) { s.next(m.ID, x.answer(operation, root)) })
		if err != nil {
			s.fail(m.ID, []graphError{x.sourceError(operation, err)})
			return
		}
		s.complete(m.ID)
	})
	return nil
}

// begin takes the id of a subscription; the context lasts until end.
func (s *graphSocket) begin(ctx context.Context, id string) (context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.running[id]; taken || len(s.running) >= maxSubscriptions {
		return nil, &closing{closeSubscriberTaken, fmt.Sprintf("Subscriber for %s already exists", id)}
	}
	ctx, cancel := context.WithTimeout(ctx, maxStream)
	s.running[id] = cancel
	return ctx, nil
}

// end stops a subscription; false: it had ended.
func (s *graphSocket) end(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	cancel, running := s.running[id]
	delete(s.running, id)
	if running {
		cancel()
	}
	return running
}

func (s *graphSocket) next(id string, response graphResponse) {
	s.mu.Lock()
	_, running := s.running[id]
	s.mu.Unlock()
	if running { // after complete the client hears nothing more
		s.answer(id, "next", response)
	}
}

func (s *graphSocket) fail(id string, errors []graphError) {
	if s.end(id) {
		s.answer(id, "error", errors)
	}
}

func (s *graphSocket) complete(id string) {
	if s.end(id) {
		s.send(graphMessage{ID: id, Type: "complete"})
	}
}

func (s *graphSocket) answer(id, kind string, payload any) {
	text, err := encode(payload)
	if err != nil {
		s.call.app.config.Logger.Debug("encode message", "error", err)
		return
	}
	s.send(graphMessage{ID: id, Type: kind, Payload: text})
}

// send closes the connection of a client that does not read.
func (s *graphSocket) send(m graphMessage) {
	text, err := encode(m)
	if err != nil {
		s.call.app.config.Logger.Debug("encode message", "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err := s.conn.WriteMessage(websocket.TextMessage, text); err != nil {
		_ = s.conn.Close()
	}
}

func (s *graphSocket) close(code int, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deadline := time.Now().Add(writeTimeout)
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline)
}
