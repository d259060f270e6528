package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

const (
	// maxKept bounds the bytes of messages that one connection keeps.
	maxKept = 64 << 20
	// parting is how long a connection that is given up may take to say so to a
	// server that does not read.
	parting = 200 * time.Millisecond
	// noticing is how long a writer that failed waits for the reader to know why.
	noticing = time.Second
)

// conn is an open connection, and what came over it. It is read all the time,
// whether a step waits for something or not: pings are answered, and nothing that
// came before a step looked is lost to it.
type conn struct {
	id, step  string
	shown     string // the address, for messages
	ws        *websocket.Conn
	wire      *wire
	most      int64 // bytes of a message
	keepalive time.Duration
	inbox     *inbox.Inbox[received]
	writing   chan struct{} // holds a token while nobody writes

	done chan struct{} // closed when nothing will come any more; end is set then
	end  ending

	mu    sync.Mutex
	cut   *plugin.Error              // why we cut the connection off
	marks map[string]int             // how many messages had come when a step sent one
	seen  int                        // how many messages steps have looked at
	taken int                        // and how many a step of the old dialect has taken
	pongs map[string][]chan struct{} // by the data of the pings that are waited for
}

// ending is how a connection ended.
type ending struct {
	closing
	// err is nil where it was closed in order, whatever the code.
	err *plugin.Error
}

// closing is what a close says (RFC 6455 section 7.4).
type closing struct {
	Code   int    `json:"code" doc:"The code of the close: 1000 is normal, 1005 stands for none, 1006 for a connection that was dropped without a close."`
	Reason string `json:"reason" doc:"Its reason."`
}

func (c closing) String() string {
	text := fmt.Sprint(c.Code)
	if name := codeName(c.Code); name != "" {
		text += " (" + name + ")"
	}
	if c.Reason != "" {
		text += ": " + clip(c.Reason)
	}
	return text
}

func codeName(code int) string {
	return map[int]string{
		1000: "normal", 1001: "going away", 1002: "protocol error", 1003: "unsupported data", 1005: "no code", 1006: "dropped",
		1007: "invalid data", 1008: "policy violation", 1009: "message too big", 1010: "extension missing", 1011: "internal error",
		1012: "service restart", 1013: "try again later", 1014: "bad gateway",
	}[code]
}

// newConn begins to read.
func newConn(id, step string, t *target, a *address, ws *websocket.Conn, w *wire) *conn {
	c := &conn{
		id: id, step: step, shown: a.shown, ws: ws, wire: w, most: t.MaxMessage, keepalive: t.Keepalive,
		inbox:   inbox.New[received](inbox.Limits{Messages: t.MaxMessages, Bytes: max(maxKept, t.MaxMessage+overhead)}),
		writing: make(chan struct{}, 1), done: make(chan struct{}), marks: map[string]int{}, pongs: map[string][]chan struct{}{},
	}
	c.writing <- struct{}{}
	ws.SetReadLimit(c.most)
	ws.SetPongHandler(func(data string) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, waiting := range c.pongs[data] {
			close(waiting)
		}
		delete(c.pongs, data)
		return nil
	})
	go c.read()
	if c.keepalive > 0 {
		go c.stayAlive()
	}
	return c
}

// read keeps what comes until the connection ends.
func (c *conn) read() {
	err := c.receive()
	c.end = c.ended(err)
	_ = c.wire.Close()
	close(c.done) // first: whoever is told by the inbox may ask how it ended
	if c.end.err != nil {
		c.inbox.End(c.end.err)
	} else {
		c.inbox.End(nil)
	}
}

func (c *conn) receive() error {
	for number := 1; ; number++ {
		opcode, from, err := c.ws.NextReader()
		if err != nil {
			return err
		}
		// What is packed is bounded here, what is not by its announced length.
		data, err := io.ReadAll(io.LimitReader(from, c.most+1))
		if err != nil {
			return err
		}
		if int64(len(data)) > c.most {
			c.say(websocket.CloseMessageTooBig)
			return websocket.ErrReadLimit
		}
		if opcode == websocket.TextMessage && !utf8.Valid(data) {
			c.say(websocket.CloseInvalidFramePayloadData)
			return errNotText
		}
		c.inbox.Add(received{number: number, text: opcode == websocket.TextMessage, data: data, at: time.Now().UTC()}, len(data)+overhead)
	}
}

var errNotText = errors.New("a text message is not UTF-8")

// say sends a close, if the server still reads.
func (c *conn) say(code int) {
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(parting))
}

// ended describes the error that ended the reading.
func (c *conn) ended(err error) ending {
	c.mu.Lock()
	cut := c.cut
	c.mu.Unlock()
	var closed *websocket.CloseError
	dropped := ending{closing: closing{Code: websocket.CloseAbnormalClosure}}
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		return ending{closing: closing{closed.Code, closed.Text}}
	case cut != nil:
		dropped.err = cut
		return dropped
	case errors.Is(err, websocket.ErrReadLimit):
		dropped.Code = websocket.CloseMessageTooBig
		dropped.err = plugin.Errorf(plugin.CodeBody, "%s sent a message over the limit of %s (max_message), and the connection was closed with 1009", c.shown, size(c.most)).
			WithHint("raise max_message of the step that connects, up to 64 MiB, if such messages are meant")
	case errors.Is(err, errNotText):
		dropped.Code = websocket.CloseInvalidFramePayloadData
		dropped.err = plugin.Errorf(plugin.CodeProtocol, "%s sent a text message that is not UTF-8, and the connection was closed with 1007", c.shown).
			WithHint("the service has to send bytes as a binary message")
	case errors.As(err, &closed):
		dropped.err = plugin.Errorf(plugin.CodeConn, "%s dropped the connection without a close (1006)", c.shown).
			WithHint("look into the service's log: it ended, or a proxy in between cut the connection off")
	case isClosed(err) && c.wire.broken.Load():
		dropped.err = plugin.Errorf(plugin.CodeConn, "the connection to %s broke without a close (1006): %s", c.shown, innermost(err)).
			WithHint("look into the service's log: it ended, or a proxy in between cut the connection off")
	default:
		dropped.Code = websocket.CloseProtocolError
		dropped.err = plugin.Errorf(plugin.CodeProtocol, "%s broke the protocol, and the connection was closed with 1002: %s", c.shown, violation(err)).
			WithHint("this is a fault of the service, or of a proxy in between (RFC 6455 section 5)")
	}
	dropped.err.Cause = err
	return dropped
}

// sever cuts the connection off and says why; the reader then ends.
func (c *conn) sever(why *plugin.Error) {
	c.mu.Lock()
	if c.cut == nil {
		c.cut = why
	}
	c.mu.Unlock()
	_ = c.wire.Close()
}

// stayAlive pings the server until the connection has ended.
func (c *conn) stayAlive() {
	ticks := time.NewTicker(c.keepalive)
	defer ticks.Stop()
	heard := int64(-1) // bytes that had come at the last ping
	for {
		select {
		case <-c.done:
			return
		case <-ticks.C:
		}
		if came := c.wire.came.Load(); came != heard {
			heard = came
		} else {
			c.sever(plugin.Errorf(plugin.CodeConn, "%s is dead: nothing came from it for %s after a ping", c.shown, c.keepalive).
				WithHint("the service does not answer pings (RFC 6455 section 5.5.3), or hangs; keepalive: 0s pings never"))
			return
		}
		_ = c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(parting))
	}
}

// isOver tells whether the connection has ended.
func (c *conn) isOver() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// send sends one message and remembers under the step's name what had come
// before. A ping waits for its pong, until ctx ends.
func (c *conn) send(ctx context.Context, step string, out outgoing) error {
	select {
	case <-c.writing:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	c.marks[step] = c.inbox.Len()
	c.mu.Unlock()
	var answered chan struct{}
	var err error
	if out.opcode == websocket.PingMessage {
		answered, err = c.ping(ctx, string(out.data))
	} else {
		err = c.write(ctx, out)
	}
	c.writing <- struct{}{}
	if err != nil || answered == nil {
		return err
	}
	return c.pong(ctx, answered)
}

// write sends a message. One that cannot be sent to its end takes the connection
// with it.
func (c *conn) write(ctx context.Context, out outgoing) error {
	if c.isOver() {
		return c.overFault()
	}
	stop := context.AfterFunc(ctx, func() {
		c.sever(plugin.Errorf(plugin.CodeConn, "the connection to %s was given up, because it did not take a message in time", c.shown))
	})
	err := c.ws.WriteMessage(out.opcode, out.data)
	switch {
	case stop():
		return c.writeFault(err)
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	}
	return plugin.Errorf(plugin.CodeTimeout, "%s did not take the message of %d bytes in the step's time", c.shown, len(out.data)).
		WithHint("the service has stopped reading: look into its log, or raise the step's timeout")
}

// ping sends a ping; answered is closed by its pong.
func (c *conn) ping(ctx context.Context, data string) (answered chan struct{}, err error) {
	if c.isOver() {
		return nil, c.overFault()
	}
	answered = make(chan struct{})
	c.mu.Lock()
	c.pongs[data] = append(c.pongs[data], answered)
	c.mu.Unlock()
	until := time.Now().Add(noticing)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	return answered, c.writeFault(c.ws.WriteControl(websocket.PingMessage, []byte(data), until))
}

func (c *conn) pong(ctx context.Context, answered chan struct{}) error {
	select {
	case <-answered:
		return nil
	case <-c.done:
		return c.overFault()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeFault says why something could not be sent; the reader often knows more
// than the writer, a moment later.
func (c *conn) writeFault(err error) error {
	if err == nil {
		return nil
	}
	timer := time.NewTimer(noticing)
	defer timer.Stop()
	select {
	case <-c.done:
		return c.overFault()
	case <-timer.C:
		return plugin.NetError(err, c.shown)
	}
}

// overFault says that the connection has ended, and how.
func (c *conn) overFault() error {
	if e := c.end.err; e != nil {
		return plugin.Errorf(e.Code, "nothing can be sent any more: %w", e).WithHint("%s", e.Hint)
	}
	return plugin.Errorf(plugin.CodeConn, "nothing can be sent any more: %s was closed with %s", c.shown, c.end.closing).
		WithHint("websocket.expect still sees what had come; connect again to go on")
}

// close ends the connection in order and waits for the server's close, until ctx
// ends.
func (c *conn) close(ctx context.Context, code int, reason string) (ending, error) {
	if !c.isOver() {
		err := c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(noticing))
		if err != nil && !errors.Is(err, websocket.ErrCloseSent) {
			c.sever(plugin.Errorf(plugin.CodeConn, "%s did not take the close: %s", c.shown, innermost(err)).
				WithHint("the service has stopped reading: look into its log"))
		}
	}
	select {
	case <-c.done:
		return c.end, nil
	case <-ctx.Done():
		c.sever(plugin.Errorf(plugin.CodeConn, "the connection to %s was given up, because the server did not answer the close", c.shown))
		<-c.done
		return c.end, ctx.Err()
	}
}

// giveUp ends the connection at the end of a run, without waiting for the server.
func (c *conn) giveUp() {
	if !c.isOver() {
		c.say(websocket.CloseGoingAway)
	}
	c.sever(plugin.Errorf(plugin.CodeConn, "the run has ended"))
	<-c.done
}

// unseen is how many messages came that no step looked at.
func (c *conn) unseen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.inbox.Len()-max(c.seen, c.taken), 0)
}

// violation is an error of the library in words.
func violation(err error) string {
	text := innermost(err)
	for from, to := range map[string]string{
		"websocket: bad MASK":                            "a frame is masked, as only those of clients may be",
		"websocket: invalid utf8 payload in close frame": "the reason of its close is not UTF-8",
		"websocket: continuation after FIN":              "a frame goes on with a message that has ended",
		"websocket: data before FIN":                     "a message begins before the one before it has ended",
		"websocket: FIN not set on control":              "a control frame is in pieces",
		"websocket: len > 125 for control":               "a control frame is over 125 bytes",
	} {
		if text == from {
			return to
		}
	}
	return clip(cutPrefix(text, "websocket: "))
}
