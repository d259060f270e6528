package websocket

import (
	"context"
	"errors"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type connectIn struct {
	Name string `json:"name,omitempty" doc:"Name of the connection for later steps; by default the step's id." maxLength:"200"`
	target
}

type connectOut struct {
	ConnectionID string `json:"connection_id" doc:"The name of the connection; empty where the server refused."`
	handshake
}

func connect(ctx context.Context, call *plugin.Call, in connectIn) (connectOut, error) {
	if in.Name == "" {
		in.Name = call.StepID()
	}
	kept, err := connectionsOf(ctx, call)
	if err != nil {
		return connectOut{}, err
	}
	if err := kept.room(call, in.Name); err != nil {
		return connectOut{}, err
	}
	c, answer, err := in.connect(ctx, call, in.Name)
	if err != nil {
		return connectOut{}, err
	}
	if c == nil { // refused
		return connectOut{handshake: *answer}, nil
	}
	return connectOut{ConnectionID: in.Name, handshake: *answer}, kept.add(c)
}

// connect opens a connection and begins to read it; nil: the server refused.
func (t *target) connect(ctx context.Context, call *plugin.Call, name string) (*conn, *handshake, error) {
	a, err := t.address()
	if err != nil {
		return nil, nil, err
	}
	ws, w, answer, err := t.shake(ctx, call, a)
	if err != nil {
		return nil, nil, err
	}
	if ws == nil {
		call.Warn("%s refused the connection: %d %s; %s", a.shown, answer.Status, answer.StatusText, answer.advice())
		return nil, answer, nil
	}
	return newConn(name, call.StepID(), t, a, ws, w), answer, nil
}

type sendIn struct {
	Connection string `json:"connection,omitempty" doc:"Name of the connection, or the id of the step that opened it. May be left out where the run has exactly one."`
	payload
	Within time.Duration `json:"within" doc:"For how long to wait for the pong of a ping." default:"10s"`
}

type sendOut struct {
	Type  string  `json:"type" doc:"What was sent." enum:"text|binary|ping"`
	Bytes int     `json:"bytes" doc:"Its length."`
	Time  float64 `json:"time" doc:"Milliseconds that it took: those until the pong of a ping."`
}

func send(ctx context.Context, call *plugin.Call, in sendIn) (sendOut, error) {
	c, err := find(call, "connection", in.Connection)
	if err != nil {
		return sendOut{}, err
	}
	out, err := in.load(call, "")
	if err != nil {
		return sendOut{}, err
	}
	began := time.Now()
	err = c.sendWithin(ctx, call, out, in.Within)
	return sendOut{Type: out.kind(), Bytes: len(out.data), Time: ms(time.Since(began))}, err
}

// sendWithin sends a message, and gives a ping its time.
func (c *conn) sendWithin(ctx context.Context, call *plugin.Call, out outgoing, within time.Duration) error {
	began := time.Now()
	limited := ctx
	if out.kind() == "ping" {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, within)
		defer cancel()
	}
	err := c.send(limited, call.StepID(), out)
	recordSent(call, c, out, began)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return plugin.Failf("%s did not answer a ping within %s", c.shown, within).
			WithHint("every WebSocket endpoint answers pings (RFC 6455 section 5.5.3): does the service hang?")
	}
	return err
}

type closeIn struct {
	Connection string        `json:"connection,omitempty" doc:"Name of the connection, or the id of the step that opened it. May be left out where the run has exactly one."`
	Code       int           `json:"code" doc:"Code of the close: 1000 is normal; 3000 to 4999 are for applications." min:"1000" max:"4999" default:"1000"`
	Reason     string        `json:"reason,omitempty" doc:"Its reason, up to 123 bytes."`
	Within     time.Duration `json:"within" doc:"For how long to wait for the server's close." default:"10s"`
}

type closeOut struct {
	closing
	Unread int `json:"unread" doc:"How many messages came that no step looked at."`
}

// maxReason is what a close has room for beside its code.
const maxReason = 123

func closeNow(ctx context.Context, call *plugin.Call, in closeIn) (closeOut, error) {
	c, err := find(call, "connection", in.Connection)
	if err != nil {
		return closeOut{}, err
	}
	if err := checkClose("", in.Code, in.Reason); err != nil {
		return closeOut{}, err
	}
	return c.closeWithin(ctx, in.Code, in.Reason, in.Within)
}

// checkClose refuses what cannot be sent (RFC 6455 section 7.4); at is where it
// stands in the config.
func checkClose(at string, code int, reason string) error {
	switch {
	case code < 1000, code == 1004, code == 1005, code == 1006, code > 1014 && code < 3000, code > 4999:
		return plugin.Definitionf(at+"code", "%d cannot be sent", code).WithHint("1000 is normal; applications have 3000 to 4999")
	case len(reason) > maxReason:
		return plugin.Definitionf(at+"reason", "is %d bytes long; a close has room for %d", len(reason), maxReason)
	}
	return nil
}

func (c *conn) closeWithin(ctx context.Context, code int, reason string, within time.Duration) (closeOut, error) {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	end, err := c.close(limited, code, reason)
	out := closeOut{closing: end.closing, Unread: c.unseen()}
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return out, ctx.Err()
	}
	return out, plugin.Errorf(plugin.CodeTimeout, "%s did not answer the close within %s", c.shown, within).
		WithHint("the service never completes a close (RFC 6455 section 7.1.2): does it hang, or not read? the connection was cut off")
}
