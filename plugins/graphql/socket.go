package graphql

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

const (
	newProtocol = "graphql-transport-ws"
	oldProtocol = "graphql-ws" // of subscriptions-transport-ws, which has no ping
	// writeTimeout bounds a server that does not read.
	writeTimeout = 5 * time.Second
	// goodbye bounds what is said at the end of a run, which waits for it.
	goodbye = 500 * time.Millisecond
	// operationID names the only operation of a connection.
	operationID = "1"
)

// frame is a message of either protocol, either way.
type frame struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// socket is a WebSocket with one subscription.
type socket struct {
	*subscription
	conn  *websocket.Conn
	write sync.Mutex

	acknowledged chan struct{} // closed by connection_ack
	pongs        chan struct{} // one for each pong, as far as somebody waits
	ended        chan struct{} // closed when nothing more is read
	err          error         // why it ended; read after ended
}

// overSocket begins the subscription over a WebSocket.
func (s *subscription) overSocket(ctx context.Context, call *plugin.Call, in *subscribeIn) (begun, func() error, error) {
	payload, err := s.operation.payload(in.OperationName)
	if err != nil {
		return begun{}, nil, err
	}
	w, err := s.dial(ctx, call, in)
	if err != nil {
		return begun{}, nil, err
	}
	got, err := w.begin(ctx, in, payload)
	w.report(call, in, payload, err)
	if err != nil {
		_ = w.stop()
		return got, nil, err
	}
	if got.confirmed && got.protocol == newProtocol {
		s.settle = w.settle
	}
	if !got.confirmed {
		call.Log("the server does not show that it has read the subscription: %s", notConfirmed(got.protocol))
	}
	return got, w.stop, nil
}

func notConfirmed(protocol string) string {
	if protocol == oldProtocol {
		return "the protocol graphql-ws has no ping"
	}
	return fmt.Sprintf("a ping was not answered within %s", pongTimeout)
}

// dial opens the connection and begins to read.
func (s *subscription) dial(ctx context.Context, call *plugin.Call, in *subscribeIn) (*socket, error) {
	t := s.target
	secure := t.secure.Clone()
	secure.NextProtos = nil // a WebSocket is HTTP/1.1
	dialer := websocket.Dialer{
		NetDialContext:  t.transport.DialContext,
		Proxy:           t.transport.Proxy,
		TLSClientConfig: secure,
		Subprotocols:    []string{newProtocol, oldProtocol},
	}
	address := *t.url
	address.Scheme = "ws" + strings.TrimPrefix(address.Scheme, "http")
	limited, cancel := context.WithTimeout(ctx, 2*in.ConnectTimeout) // for the connection and the handshake of TLS
	defer cancel()
	conn, res, err := dialer.DialContext(limited, address.String(), t.header) //nolint:bodyclose // the library has read what there is
	if err != nil {
		if ctx.Err() != nil {
			return nil, s.late(ctx, in, "before the WebSocket was open")
		}
		return nil, s.notOpened(limited, in, res, err)
	}
	if chosen := conn.Subprotocol(); chosen != newProtocol && chosen != oldProtocol {
		_ = conn.Close()
		return nil, plugin.Errorf(plugin.CodeProtocol, "%s opened a WebSocket that speaks neither %s nor %s: its subprotocol is %q", t, newProtocol, oldProtocol, chosen).
			WithHint("does this address take subscriptions? Many servers have another one for them, or take transport: sse")
	}
	conn.SetReadLimit(int64(in.MaxMessage))
	w := &socket{
		subscription: s, conn: conn,
		acknowledged: make(chan struct{}), pongs: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go w.read(in.MaxMessage)
	return w, nil
}

// notOpened gives a handshake that failed its words.
func (s *subscription) notOpened(ctx context.Context, in *subscribeIn, res *http.Response, err error) error {
	t := s.target
	if errors.Is(err, websocket.ErrBadHandshake) && res != nil {
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxMessage)) // the handshake has failed whatever it says
		code, hint := plugin.CodeProtocol, "does this address take WebSockets? Many servers have another one for subscriptions, or take transport: sse"
		if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
			code, hint = plugin.CodeAuth, "check auth, headers and the Origin that the server wants"
		}
		e := plugin.Errorf(code, "%s did not open a WebSocket: it answered %d %s", t, res.StatusCode, http.StatusText(res.StatusCode)).WithHint("%s", hint)
		if text := strings.TrimSpace(strings.ToValidUTF8(string(body), "�")); text != "" {
			e = e.WithDetails(text)
		}
		return e
	}
	if ctx.Err() != nil {
		return plugin.Errorf(plugin.CodeTimeout, "%s did not open a WebSocket within %s", t, 2*in.ConnectTimeout).
			WithHint("raise connect_timeout, or find out why the service does not take connections")
	}
	if e := tlsclient.Fault(err, t.url.Host); e != nil {
		return e
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return plugin.Errorf(plugin.CodeConn, "%s closed the connection before the WebSocket was open", t.url.Host).WithHint("look into the service's log")
	}
	return plugin.NetError(err, t.url.Host)
}

// begin says connection_init, waits for its acknowledgement, subscribes, and
// makes sure as far as the protocol can that the server has read that.
func (w *socket) begin(ctx context.Context, in *subscribeIn, payload []byte) (begun, error) {
	got := begun{protocol: w.conn.Subprotocol()}
	if err := w.send(writeTimeout, frame{Type: "connection_init", Payload: in.ConnectionParams}); err != nil {
		return got, w.lost(err)
	}
	select {
	case <-w.acknowledged:
	case <-w.ended:
		return got, w.lost(nil)
	case <-ctx.Done():
		return got, w.late(ctx, in, "before connection_init was acknowledged")
	}
	word := "subscribe"
	if got.protocol == oldProtocol {
		word = "start"
	}
	if err := w.send(writeTimeout, frame{ID: operationID, Type: word, Payload: payload}); err != nil {
		return got, w.lost(err)
	}
	if got.protocol == newProtocol {
		var err error
		if got.confirmed, err = w.ping(ctx, pongTimeout); err != nil {
			return got, w.late(ctx, in, "while the subscription was confirmed")
		}
	}
	select {
	case <-w.ended:
		var refused *refusal
		if errors.As(w.err, &refused) {
			got.errors = refused.errors
		} else if w.err != nil {
			return got, w.err
		}
		got.confirmed = true
	default: // what comes is for an expect to see
	}
	return got, nil
}

// ping tells whether the server answers one, and with it all that was sent
// before.
func (w *socket) ping(ctx context.Context, within time.Duration) (answered bool, err error) {
	select {
	case <-w.pongs: // of a ping that nobody waited for any more
	default:
	}
	if err := w.send(writeTimeout, frame{Type: "ping"}); err != nil {
		_ = w.conn.Close()
		<-w.ended
		return false, nil //nolint:nilerr // the reading knows why, and has ended
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-w.pongs:
		return true, nil
	case <-w.ended:
		return false, nil
	case <-timer.C:
		return false, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// settle makes sure that what the server sent until now has been read.
func (w *socket) settle(ctx context.Context) error {
	answered, err := w.ping(ctx, settleTimeout)
	select {
	case <-w.ended:
		return nil // the inbox knows
	default:
	}
	if err == nil && !answered {
		return plugin.Errorf(plugin.CodeConn, "%s has not answered a ping within %s: whether something is under way is not known", w.target, settleTimeout)
	}
	return err
}

func (w *socket) send(within time.Duration, f frame) error {
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("print a message: %w", err)
	}
	w.write.Lock()
	defer w.write.Unlock()
	_ = w.conn.SetWriteDeadline(time.Now().Add(within))
	return w.conn.WriteMessage(websocket.TextMessage, text)
}

// stop ends the subscription and its connection.
func (w *socket) stop() error {
	word := "complete"
	if w.conn.Subprotocol() == oldProtocol {
		word = "stop"
	}
	select {
	case <-w.ended:
	default:
		// Said as a courtesy: the end of the connection says the same.
		if w.send(goodbye, frame{ID: operationID, Type: word}) == nil {
			_ = w.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(goodbye))
		}
	}
	_ = w.conn.Close()
	<-w.ended
	return nil
}

// read takes what comes until the connection ends.
func (w *socket) read(limit int) {
	defer close(w.ended)
	defer w.conn.Close()
	for {
		_, text, err := w.conn.ReadMessage()
		if err == nil {
			err = w.handle(text)
		} else {
			err = w.closed(err, limit)
		}
		if err != nil {
			if !errors.Is(err, errComplete) {
				w.err = err
			}
			w.inbox.End(w.err)
			return
		}
	}
}

// errComplete is the end of a subscription in order.
var errComplete = errors.New("complete")

// handle does what a message says.
func (w *socket) handle(text []byte) error {
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		return plugin.Errorf(plugin.CodeProtocol, "%s sent what is no message of %s: %s", w.target, w.conn.Subprotocol(), cut(text, maxMessage))
	}
	switch f.Type {
	case "connection_ack":
		select {
		case <-w.acknowledged:
		default:
			close(w.acknowledged)
		}
	case "ping":
		return w.send(writeTimeout, frame{Type: "pong", Payload: f.Payload})
	case "pong":
		select {
		case w.pongs <- struct{}{}:
		default:
		}
	case "ka", "connection_keep_alive":
	case "next", "data":
		return w.take(f.Payload)
	case "error", "connection_error":
		return w.refuse(f.Payload)
	case "complete":
		return errComplete
	default:
		return plugin.Errorf(plugin.CodeProtocol, "%s sent a message of the type %q, which %s does not have", w.target, cut([]byte(f.Type), maxMessage), w.conn.Subprotocol())
	}
	return nil
}

// closed gives the end of the connection its words.
func (w *socket) closed(err error, limit int) error {
	var ended *websocket.CloseError
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		return plugin.Errorf(plugin.CodeBody, "a message of %s is over %s (max_message)", w.target, size(limit)).WithHint("ask for less, or raise max_message")
	case errors.As(err, &ended) && ended.Code == websocket.CloseAbnormalClosure, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return plugin.Errorf(plugin.CodeConn, "%s dropped the connection", w.target).WithHint("look into the service's log")
	case errors.As(err, &ended):
		return w.closeFault(ended)
	}
	return plugin.NetError(err, w.target.url.Host)
}

func (w *socket) closeFault(c *websocket.CloseError) error {
	code, hint := plugin.CodeProtocol, ""
	switch c.Code {
	case 4401, 4403:
		code, hint = plugin.CodeAuth, "check connection_params and auth"
	case websocket.CloseGoingAway, websocket.CloseServiceRestart, websocket.CloseNormalClosure, websocket.CloseTryAgainLater:
		code = plugin.CodeConn
	}
	words := strings.TrimSpace(fmt.Sprintf("%d %s", c.Code, cut([]byte(c.Text), maxMessage)))
	e := plugin.Errorf(code, "%s closed the connection: %s", w.target, words)
	if hint != "" {
		e = e.WithHint("%s", hint)
	}
	return e
}

// lost is why a connection ended before the subscription began.
func (w *socket) lost(err error) error {
	if err != nil { // writing failed: reading knows better
		timer := time.NewTimer(writeTimeout)
		defer timer.Stop()
		select {
		case <-w.ended:
		case <-timer.C:
			return plugin.NetError(err, w.target.url.Host)
		}
	}
	var refused *refusal
	switch {
	case errors.As(w.err, &refused):
		return plugin.Errorf(plugin.CodeAuth, "%s refused the connection: %s", w.target, messages(refused.errors)).WithHint("check connection_params and auth")
	case w.err != nil:
		return w.err
	}
	return plugin.Errorf(plugin.CodeProtocol, "%s ended the subscription before it had begun", w.target)
}

// report records the handshake for people who debug.
func (w *socket) report(call *plugin.Call, in *subscribeIn, payload []byte, err error) {
	if !call.WantsExchange() {
		return
	}
	var response bytes.Buffer
	answer := map[string]any{"subprotocol": w.conn.Subprotocol(), "acknowledged": isClosed(w.acknowledged)}
	if err != nil {
		answer["error"] = err.Error()
	}
	response.Write(shown(answer))
	call.Exchange(plugin.Exchange{
		Protocol: w.conn.Subprotocol(), Summary: "subscribe " + w.operation.title() + " at " + w.target.String(), Started: time.Now(),
		Request: shown(map[string]any{
			"url": w.target.String(), "headers": flat(w.target.header), "connection_init": in.ConnectionParams, "subscribe": cut(payload, maxShown),
		}),
		Response: response.Bytes(),
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
