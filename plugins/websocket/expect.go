package websocket

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/flow/match"
	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

// wanted is what a step waits for.
type wanted struct {
	Within time.Duration   `json:"within" doc:"For how long to wait." default:"10s"`
	Where  json.RawMessage `json:"where,omitempty" doc:"A pattern that a message must match: {json: {type: order.created}}, {text: hello}, {type: binary}. Without it every message counts." example:"{\"json\": {\"type\": \"order.created\"}}"`
	Count  *int            `json:"count,omitempty" doc:"How many messages are wanted at least: 1, or 0 where the step waits for the close." min:"0"`
	Close  json.RawMessage `json:"close,omitempty" doc:"Wait until the server closes: true, its code, or a pattern of code and reason. 1006 stands for a connection that is dropped." example:"1000"`
}

type expectIn struct {
	From  string `json:"from,omitempty" doc:"Name of the connection, or the id of the step that opened it. May be left out where the run has exactly one."`
	Since string `json:"since,omitempty" doc:"The id of a step that sent a message: what had come before it does not count."`
	wanted
	Absent bool `json:"absent,omitempty" doc:"None may come within the time."`
}

type expectOut struct {
	Messages []Message `json:"messages" doc:"The messages that match, as they came."`
	Count    int       `json:"count" doc:"How many there are."`
	Seen     int       `json:"seen" doc:"How many messages were looked at."`
	Closed   *closing  `json:"closed" doc:"How the server closed the connection; null: it is open."`
}

func expect(ctx context.Context, call *plugin.Call, in expectIn) (expectOut, error) {
	c, err := find(call, "from", in.From)
	if err != nil {
		return expectOut{}, err
	}
	look, err := in.look("")
	if err != nil {
		return expectOut{}, err
	}
	if look.query.Absent = in.Absent; in.Absent && c.keepalive > 0 {
		look.query.Settle = c.settle
	}
	if in.Absent && (len(in.Close) > 0 || in.Count != nil) {
		return expectOut{}, plugin.Definitionf("absent", "is given beside count or close: keep one of them")
	}
	if in.Since != "" {
		if look.query.After, err = c.mark(in.Since); err != nil {
			return expectOut{}, err
		}
	}
	call.Progress("waiting for %s", c.shown)
	found, err := look.wait(ctx, call, c)
	if err != nil {
		return expectOut{}, err
	}
	return expectOut{Messages: messages(call, found.Found), Count: len(found.Found), Seen: found.Seen, Closed: c.closed()}, nil
}

// look is what a step waits for, ready to be looked for.
type look struct {
	query inbox.Query[received]
	none  bool           // no message is needed
	close *match.Pattern // nil: the close is not waited for
	code  string         // the pattern as it is written
}

func (w *wanted) look(at string) (*look, error) {
	judge, err := judge(at+"where", w.Where)
	if err != nil {
		return nil, err
	}
	l := &look{query: inbox.Query[received]{Judge: judge, Count: 1, Within: w.Within}, code: string(w.Close)}
	if l.close, err = closePattern(at+"close", w.Close); err != nil {
		return nil, err
	}
	switch {
	case w.Count != nil:
		l.query.Count, l.none = *w.Count, *w.Count == 0
	case l.close != nil && judge == nil:
		l.none = true
	}
	return l, nil
}

// closePattern reads what is wanted of a close; nil: nothing is.
func closePattern(field string, want json.RawMessage) (*match.Pattern, error) {
	text := strings.TrimSpace(string(want))
	switch {
	case text == "" || text == "false" || text == "null":
		return nil, nil
	case text == "true":
		text = `{"code": "#(_ != 1006)"}`
	case text[0] >= '0' && text[0] <= '9':
		text = `{"code": ` + text + `}`
	}
	const hint = "it is true, a code, or a pattern: {code: 1008, reason: \"#regex policy\"}"
	if text[0] != '{' {
		return nil, plugin.Definitionf(field, "%s says nothing of a close", clip(text)).WithHint(hint)
	}
	pattern, err := match.CompileJSON([]byte(text))
	if err != nil {
		return nil, plugin.Definitionf(field, "%s", err).WithHint(hint)
	}
	return pattern, nil
}

// wait looks at what came, and for what comes, until all that is wanted is there.
func (l *look) wait(ctx context.Context, call *plugin.Call, c *conn) (*inbox.Report[received], error) {
	began := time.Now()
	deadline := began.Add(l.query.Within)
	found, err := l.messages(ctx, c)
	if err == nil && l.close != nil {
		if err = l.closed(ctx, c, deadline); err == nil {
			// What came until the close belongs to it.
			last := l.query
			last.Within = 0
			*found, err = c.inbox.Wait(ctx, last)
		}
	}
	c.saw(l.query.After + found.Seen + found.Lost)
	shown := found.Found
	if err != nil {
		shown = c.latest(ctx)
	}
	recordCame(call, c, shown, began)
	return found, err
}

// messages waits for those that are wanted.
func (l *look) messages(ctx context.Context, c *conn) (*inbox.Report[received], error) {
	if l.none && l.close != nil {
		return &inbox.Report[received]{}, nil
	}
	q := l.query
	if l.none {
		q.Within = 0
	}
	found, err := c.inbox.Wait(ctx, q)
	if err != nil || l.none {
		return &found, err
	}
	if fault := found.Fault(c.shown, received.String); fault != nil {
		return &found, c.explain(ctx, fault, &found)
	}
	return &found, nil
}

// explain adds to a fault what this protocol knows of it.
func (c *conn) explain(ctx context.Context, fault *plugin.Error, found *inbox.Report[received]) error {
	if broke := c.endFault(found); broke != nil {
		fault = plugin.Errorf(broke.Code, "%w; %s had come", broke, count(c.inbox.Len(), "message")).WithHint("%s", broke.Hint).WithDetails(fault.Details...)
	} else if found.Ended {
		fault = fault.WithDetails("the server closed with " + c.end.String())
	}
	if found.Lost > 0 && fault.Code == plugin.CodeBody {
		fault.Hint = "raise max_messages of the step that connects, or look sooner"
	}
	if found.Nearest == nil {
		all := c.latest(ctx)
		for _, r := range all[max(0, len(all)-3):] {
			fault = fault.WithDetails("came: " + r.String())
		}
	}
	return fault
}

// endFault is what broke the connection while it was waited for; nil: nothing.
func (c *conn) endFault(found *inbox.Report[received]) *plugin.Error {
	if !found.Ended || found.Err == nil {
		return nil
	}
	return c.end.err
}

// latest are the messages that are kept.
func (c *conn) latest(ctx context.Context) []received {
	all, err := c.inbox.Wait(ctx, inbox.Query[received]{})
	if err != nil {
		return nil
	}
	return all.Found
}

// closed waits for the server's close and compares it.
func (l *look) closed(ctx context.Context, c *conn, deadline time.Time) error {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-c.done:
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		if !c.isOver() {
			return c.explain(ctx, plugin.Failf("%s did not close the connection within %s; %s came", c.shown, l.query.Within, count(c.inbox.Len(), "message")), &inbox.Report[received]{})
		}
	}
	if c.end.err != nil && c.end.Code != websocket.CloseAbnormalClosure {
		return c.end.err // it was us who closed, because of a fault of the server
	}
	text, err := json.Marshal(c.end.closing)
	if err != nil {
		return fmt.Errorf("print the close: %w", err)
	}
	differs, err := l.close.MatchJSON(text)
	switch {
	case err != nil:
		return plugin.Definitionf("close", "%s", err)
	case len(differs) == 0:
		return nil
	case c.end.err != nil: // it was no close
		return c.end.err
	}
	return plugin.Failf("%s closed with %s, and %s is wanted", c.shown, c.end.closing, l.code).WithDetails(differs[0].Message)
}

// settling is how long a server may take to show that it still sends.
const settling = 5 * time.Second

// settle makes sure that what the server sent until now has come: its pong comes
// behind that. Of a server that hangs nobody knows what it would have sent.
func (c *conn) settle(ctx context.Context) error {
	if c.isOver() {
		return nil // which the last look finds
	}
	limited, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	answered, err := c.ping(limited, fmt.Sprintf("settle-%d", c.inbox.Len()))
	if err == nil {
		err = c.pong(limited, answered)
	}
	if err == nil || ctx.Err() != nil || c.isOver() {
		return ctx.Err()
	}
	return plugin.Errorf(plugin.CodeTimeout, "nothing can be said of what did not come: %s did not answer a ping within %s", c.shown, settling).
		WithHint("every WebSocket endpoint answers pings (RFC 6455 section 5.5.3): does the service hang? keepalive: 0s of the step that connects does without")
}

// closed is how the connection was closed; nil: it is open.
func (c *conn) closed() *closing {
	if !c.isOver() {
		return nil
	}
	return new(c.end.closing)
}

// saw remembers that the first n messages were looked at.
func (c *conn) saw(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = max(c.seen, n)
}

// mark is how many messages had come when a step sent one.
func (c *conn) mark(step string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.marks[step]
	if !ok {
		known := "none has sent any"
		if len(c.marks) > 0 {
			known = "these have: " + strings.Join(slices.Sorted(maps.Keys(c.marks)), ", ")
		}
		return 0, plugin.Definitionf("since", "no step %q has sent a message over %q; %s", clip(step), c.id, known)
	}
	return n, nil
}
