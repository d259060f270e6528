package demo

import (
	"encoding/binary"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// socketFault is one way in which a WebSocket server can be wrong. strike gets
// the connection after hello was sent, and the client is cut off when it returns.
type socketFault struct {
	name, summary string
	strike        func(*call, *websocket.Conn) error
	// handshake strikes in place of the answer to the handshake.
	handshake func(*call) error
}

func socketFaultKinds() []socketFault {
	return []socketFault{
		{name: "close", summary: "closes with ?code=1000 and ?reason=", strike: socketClose},
		{name: "drop", summary: "drops the connection without a close", strike: func(*call, *websocket.Conn) error { return nil }},
		{name: "reset", summary: "resets it (TCP RST)", strike: socketReset},
		{name: "drip", summary: "sends a message byte by byte, ?ms=20 apart, and closes", strike: socketDrip},
		{name: "stall", summary: "begins a message and does not end it", strike: raw(0x81, 100, 'h', 'a', 'l', 'f')},
		{name: "malformed", summary: "sends a frame with reserved bits", strike: raw(0xF1, 2, 'h', 'i')},
		{name: "masked", summary: "sends a masked frame, as only clients may", strike: raw(0x81, 0x82, 0, 0, 0, 0, 'h', 'i')},
		{name: "not-text", summary: "sends a text that is not UTF-8", strike: raw(0x81, 2, 0xff, 0xfe)},
		{name: "huge", summary: "announces a message of a gibibyte", strike: raw(binary.BigEndian.AppendUint64([]byte{0x82, 127}, 1<<30)...)},
		{name: "flood", summary: "sends ?n=1000 numbered messages", strike: socketFlood},
		{name: "deaf", summary: "reads nothing any more", strike: func(c *call, _ *websocket.Conn) error { return c.linger() }},
		{name: "silent", summary: "reads, but answers neither pings nor a close", strike: socketSilent},
		{name: "no-answer", summary: "does not answer the handshake", handshake: (*call).linger},
		{name: "wrong-accept", summary: "answers the handshake with a wrong key", handshake: wrongAccept},
		{name: "wrong-subprotocol", summary: "chooses a subprotocol that nobody asked for", handshake: wrongSubprotocol},
	}
}

func socketFaultNames() string {
	var all []string
	for _, kind := range socketFaultKinds() {
		all = append(all, kind.name+" "+kind.summary)
	}
	return strings.Join(all, "; ")
}

func socketFaults(c *call) error {
	kinds := socketFaultKinds()
	name := c.r.URL.Query().Get("fault")
	at := slices.IndexFunc(kinds, func(k socketFault) bool { return k.name == name })
	if at < 0 {
		return badRequest("?fault=%.40s is none of these: %s", name, socketFaultNames())
	}
	kind := kinds[at]
	if kind.handshake != nil && websocket.IsWebSocketUpgrade(c.r) {
		return kind.handshake(c)
	}
	for _, query := range []struct {
		name      string
		low, high int
	}{{"code", 0, 65535}, {"ms", 0, 10_000}, {"n", 0, 1_000_000}} {
		if _, err := c.query(query.name, query.low, query.low, query.high); err != nil {
			return err // before the handshake, while it can be said
		}
	}
	conn, ok := c.upgrade(nil)
	if !ok {
		return nil
	}
	defer conn.Close()
	defer c.bounded()()
	_, stop := c.untilStopped(conn)
	defer stop()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		return nil
	}
	if err := kind.strike(c, conn); err != nil {
		c.app.config.Logger.Debug("fault of a WebSocket", "fault", name, "error", err)
	}
	return nil
}

// linger waits until the application is done with it.
func (c *call) linger() error {
	c.wait(maxStream)
	return nil
}

// raw sends bytes past the protocol, and then reads until the client has gone.
func raw(data ...byte) func(*call, *websocket.Conn) error {
	return func(_ *call, conn *websocket.Conn) error {
		if _, err := conn.NetConn().Write(data); err != nil {
			return err
		}
		return untilGone(conn)
	}
}

func untilGone(conn *websocket.Conn) error {
	for {
		if _, _, err := conn.NextReader(); err != nil {
			return err
		}
	}
}

func socketClose(c *call, conn *websocket.Conn) error {
	code, err := c.query("code", websocket.CloseNormalClosure, 0, 65535)
	if err != nil {
		return err
	}
	reason := c.r.URL.Query().Get("reason")
	c.sayClose(conn, code, reason[:min(len(reason), 123)]) // more does not fit a frame
	return untilGone(conn)
}

func socketReset(_ *call, conn *websocket.Conn) error {
	if tcp, ok := conn.NetConn().(*net.TCPConn); ok {
		return tcp.SetLinger(0) // closing then sends RST
	}
	return nil
}

func socketDrip(c *call, conn *websocket.Conn) error {
	apart, err := c.query("ms", 20, 0, 10_000)
	if err != nil {
		return err
	}
	const text = "drip by drip"
	for _, b := range append([]byte{0x81, byte(len(text))}, text...) {
		if !c.wait(time.Duration(apart) * time.Millisecond) {
			return nil
		}
		if _, err := conn.NetConn().Write([]byte{b}); err != nil {
			return err
		}
	}
	c.sayClose(conn, websocket.CloseNormalClosure, "")
	return untilGone(conn)
}

func socketFlood(c *call, conn *websocket.Conn) error {
	n, err := c.query("n", 1000, 0, 1_000_000)
	if err != nil {
		return err
	}
	for i := range n {
		_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err := conn.WriteMessage(websocket.TextMessage, []byte(strconv.Itoa(i+1))); err != nil {
			return err
		}
	}
	return untilGone(conn)
}

func socketSilent(_ *call, conn *websocket.Conn) error {
	buffer := make([]byte, 1024)
	for { // past the protocol, so that nothing is answered
		if _, err := conn.NetConn().Read(buffer); err != nil {
			return err
		}
	}
}

func wrongAccept(c *call) error {
	conn, out, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = out.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm90IHlvdXJz\r\n\r\n")
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		c.app.config.Logger.Debug("write answer", "error", err)
	}
	return nil
}

func wrongSubprotocol(c *call) error {
	conn, ok := c.upgrade(http.Header{"Sec-Websocket-Protocol": {"nobody.asked"}})
	if !ok {
		return nil
	}
	defer conn.Close()
	_, stop := c.untilStopped(conn)
	defer stop()
	_ = untilGone(conn)
	return nil
}
