package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// jsonProtocol is the subprotocol in which /ws/echo says what it got, as JSON.
const jsonProtocol = "json.v1"

func socketRoutes() []Route {
	return []Route{
		{"GET", "/ws/echo", "WebSocket: each message comes back; with the subprotocol json.v1 as JSON that describes it. Has echo.v1 too, and compression", nil, "", "", []int{101, 400, 403, 426}, socketEcho},
		{"GET", "/ws/events", "WebSocket: the orders of this tenant from now on, as order.created, order.paid, order.shipped; of one type with ?type=", []string{"type"}, "", "", []int{101, 400, 403, 426, 503}, socketEvents},
		{"GET", "/ws/faults", "WebSocket: a message, hello, and then what ?fault= says: " + socketFaultNames(), []string{"fault", "code", "reason", "ms", "n"}, "", "", []int{101, 400, 403, 426}, socketFaults},
	}
}

// upgrade makes a WebSocket of the request. Where it cannot, it has answered, and
// ok is false. The connection ends with the application; the caller closes it.
func (c *call) upgrade(header http.Header, protocols ...string) (conn *websocket.Conn, ok bool) {
	if !websocket.IsWebSocketUpgrade(c.r) {
		c.w.Header().Set("Upgrade", "websocket")
		c.w.Header().Set("Connection", "Upgrade")
		c.answerError(refuse(http.StatusUpgradeRequired, "upgrade_required", "%s speaks WebSocket: a request for it has Upgrade: websocket", c.r.URL.Path))
		return nil, false
	}
	upgrader := websocket.Upgrader{
		Subprotocols: protocols, EnableCompression: true,
		Error: func(_ http.ResponseWriter, _ *http.Request, status int, reason error) {
			c.answerError(refuse(status, "bad_handshake", "%s", reason))
		},
	}
	conn, err := upgrader.Upgrade(c.w, c.r, header)
	if err != nil {
		c.app.config.Logger.Debug("upgrade", "error", err)
		return nil, false
	}
	conn.SetReadLimit(maxBody)
	return conn, true
}

// untilStopped ends a connection when the application stops, or after maxStream
// without a sign of the client; stop takes that back.
func (c *call) untilStopped(conn *websocket.Conn) (alive func(), stop func() bool) {
	alive = func() { _ = conn.SetReadDeadline(time.Now().Add(maxStream)) }
	alive()
	answer := conn.PingHandler()
	conn.SetPingHandler(func(data string) error {
		alive()
		return answer(data)
	})
	return alive, context.AfterFunc(c.r.Context(), func() {
		c.sayClose(conn, websocket.CloseGoingAway, "the application stops")
		_ = conn.Close()
	})
}

// sayClose begins the end of a connection in order.
func (c *call) sayClose(conn *websocket.Conn, code int, reason string) {
	message := websocket.FormatCloseMessage(code, reason)
	if err := conn.WriteControl(websocket.CloseMessage, message, time.Now().Add(time.Second)); err != nil {
		c.app.config.Logger.Debug("close WebSocket", "error", err)
	}
}

// socketEcho gives each message back.
func socketEcho(c *call) error {
	conn, ok := c.upgrade(nil, jsonProtocol, "echo.v1")
	if !ok {
		return nil
	}
	defer conn.Close()
	alive, stop := c.untilStopped(conn)
	defer stop()
	for n := 1; ; n++ {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			return nil // the client closed, or its connection broke
		}
		alive()
		if kind == websocket.TextMessage && !utf8.Valid(data) {
			c.sayClose(conn, websocket.CloseInvalidFramePayloadData, "the text is not UTF-8")
			return nil
		}
		if conn.Subprotocol() == jsonProtocol {
			if data, err = described(n, kind, data); err != nil {
				return err
			}
			kind = websocket.TextMessage
		}
		_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err := conn.WriteMessage(kind, data); err != nil {
			return nil
		}
	}
}

// described is a message as JSON, its number from 1.
func described(n, kind int, data []byte) ([]byte, error) {
	about := map[string]any{"n": n, "type": "binary", "size": len(data)}
	if kind == websocket.TextMessage {
		about["type"], about["text"] = "text", string(data)
		if json.Valid(data) {
			about["json"] = json.RawMessage(data)
		}
	} else {
		about["base64"] = data
	}
	return line(about)
}

// line is v as JSON without the end of the line that answers have.
func line(v any) ([]byte, error) {
	text, err := encode(v)
	return bytes.TrimSuffix(text, []byte("\n")), err
}

// socketEvents tells of the tenant's orders. It listens before it answers the
// handshake: whoever is connected misses nothing.
func socketEvents(c *call) error {
	events, unlisten := c.tenant.listeners.listen()
	defer unlisten()
	if events == nil {
		return refuse(http.StatusServiceUnavailable, "too_many", "%d listen already", maxListeners)
	}
	conn, ok := c.upgrade(nil, "events.v1")
	if !ok {
		return nil
	}
	_, stop := c.untilStopped(conn)
	defer stop()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for { // pings and the client's close are answered by reading
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	}()
	defer func() {
		_ = conn.Close()
		<-gone
	}()
	wanted := c.r.URL.Query().Get("type")
	for {
		select {
		case e, ok := <-events:
			if !ok {
				c.sayClose(conn, websocket.CloseTryAgainLater, "more than "+strconv.Itoa(maxUnread)+" events were not read")
				return nil
			}
			if err := tellOrder(conn, e, wanted); err != nil {
				return nil
			}
		case <-gone:
			return nil
		}
	}
}

// tellOrder sends an event unless another type is wanted.
func tellOrder(conn *websocket.Conn, e orderEvent, wanted string) error {
	kind := "order." + e.order.Status
	if e.placed {
		kind = "order.created"
	}
	if wanted != "" && wanted != kind {
		return nil
	}
	text, err := line(struct {
		Type  string `json:"type"`
		Order order  `json:"order"`
	}{kind, e.order})
	if err != nil {
		return err
	}
	_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return conn.WriteMessage(websocket.TextMessage, text)
}
