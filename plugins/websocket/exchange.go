package websocket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

type exchangeIn struct {
	target
	Send []payload `json:"send,omitempty" doc:"What to send, one after the other, each with one of text, json, binary, text_file, binary_file, ping." maxItems:"10000"`
	wanted
	Quiet time.Duration `json:"quiet,omitempty" doc:"Wait until nothing has come for this long."`
}

type exchangeOut struct {
	handshake
	Messages []Message `json:"messages" doc:"The messages that match, as they came."`
	Count    int       `json:"count" doc:"How many there are."`
	Seen     int       `json:"seen" doc:"How many messages were looked at."`
	Closed   *closing  `json:"closed" doc:"How the connection was closed; null: the server refused it."`
}

func exchange(ctx context.Context, call *plugin.Call, in exchangeIn) (exchangeOut, error) {
	look, err := in.look("")
	if err != nil {
		return exchangeOut{}, err
	}
	if in.Quiet > 0 && in.Count == nil {
		look.none = true
	}
	var all []outgoing
	for i, p := range in.Send {
		out, err := p.load(call, fmt.Sprintf("send[%d].", i))
		if err != nil {
			return exchangeOut{}, err
		}
		all = append(all, out)
	}
	c, answer, err := in.connect(ctx, call, call.StepID())
	if err != nil {
		return exchangeOut{}, err
	}
	if c == nil { // refused
		return exchangeOut{handshake: *answer, Messages: []Message{}}, nil
	}
	defer c.giveUp()
	found, err := in.converse(ctx, call, c, all, look)
	if err != nil {
		return exchangeOut{}, err
	}
	end, err := c.closeWithin(ctx, websocket.CloseNormalClosure, "", in.Within)
	if err != nil {
		return exchangeOut{}, err
	}
	return exchangeOut{
		handshake: *answer, Messages: messages(call, found.Found), Count: len(found.Found), Seen: found.Seen, Closed: new(end.closing),
	}, nil
}

// converse sends and collects. The server may answer, or close, before all is
// sent: what it said counts then.
func (in *exchangeIn) converse(ctx context.Context, call *plugin.Call, c *conn, all []outgoing, look *look) (*inbox.Report[received], error) {
	deadline := time.Now().Add(in.Within)
	for _, out := range all {
		if err := c.sendWithin(ctx, call, out, in.Within); err != nil {
			var fault *plugin.Error
			if c.isOver() && look.close != nil && errors.As(err, &fault) {
				break // the close is what is waited for, and it says more
			}
			return nil, err
		}
	}
	if in.Quiet > 0 {
		if err := c.quiet(ctx, in.Quiet, deadline); err != nil {
			return nil, err
		}
	}
	look.query.Within = max(time.Until(deadline), 0)
	return look.wait(ctx, call, c)
}

// quiet waits until nothing has come for so long, or the connection has ended.
func (c *conn) quiet(ctx context.Context, still time.Duration, deadline time.Time) error {
	for had := c.inbox.Len(); ; had = c.inbox.Len() {
		if time.Now().Add(still).After(deadline) {
			return plugin.Failf("%s was not quiet for %s in the time given by within; %s came", c.shown, still, count(had, "message")).
				WithHint("it goes on sending: wait for a count, or for a message with where")
		}
		_, err := c.inbox.Wait(ctx, inbox.Query[received]{After: had, Within: still})
		switch {
		case err != nil:
			return err
		case c.inbox.Len() == had || c.isOver():
			return nil
		}
	}
}
