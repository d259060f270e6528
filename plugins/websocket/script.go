package websocket

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/flow/match"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// runIn is the form of older documents: a list of actions over one connection,
// or one action a step with connection_id.
type runIn struct {
	URL        string            `json:"url,omitempty" doc:"Address of the server, where the step connects."`
	Protocols  []string          `json:"protocols,omitempty" doc:"Subprotocols to offer."`
	Headers    map[string]string `json:"headers,omitempty" doc:"Headers of the handshake."`
	TLS        *tlsclient.Config `json:"tls,omitempty" doc:"TLS settings of wss."`
	Connection string            `json:"connection_id,omitempty" doc:"Name of a connection that lasts for the run."`
	Actions    []scripted        `json:"actions,omitempty" doc:"What to do, one after the other. The connection is opened before the first, and closed after the last." maxItems:"10000"`
	Action     string            `json:"action,omitempty" doc:"The one thing to do, over the connection of connection_id." enum:"connect|send|receive|wait_for|close"`
	scriptedKeys
}

// scripted is one action of a list.
type scripted struct {
	Type string `json:"type" doc:"What to do." enum:"connect|send|receive|wait_for|close"`
	scriptedKeys
}

// scriptedKeys are what one action needs.
type scriptedKeys struct {
	Message     json.RawMessage `json:"message,omitempty" doc:"send: a text, or any other value as JSON. wait_for: the pattern of what is waited for."`
	MessageType string          `json:"message_type" doc:"What a text is sent as; binary is base64." enum:"text|binary" default:"text"`
	Expected    json.RawMessage `json:"expected,omitempty" doc:"receive: the pattern that the message must match."`
	Timeout     time.Duration   `json:"timeout" doc:"Limit of this action." default:"10s"`
	Count       int             `json:"count" doc:"receive: how many messages." min:"1" default:"1"`
	Code        int             `json:"code" doc:"close: its code." min:"1000" max:"4999" default:"1000"`
	Reason      string          `json:"reason,omitempty" doc:"close: its reason."`
}

type runOut struct {
	Connected    bool   `json:"connected" doc:"Whether there is a connection when the step ends."`
	ConnectionID string `json:"connection_id" doc:"The name of the connection."`
	Status       int    `json:"status,omitempty" doc:"Status of the handshake, where the step connected."`
	Subprotocol  string `json:"subprotocol" doc:"The subprotocol that the server chose."`
	Messages     []any  `json:"messages" doc:"What receive and wait_for took: values where they are JSON, else texts; base64 of binary messages."`
	Message      any    `json:"message" doc:"The last of them."`
	Count        int    `json:"count" doc:"How many there are."`
}

// script is a run of a list under way.
type script struct {
	call *plugin.Call
	in   *runIn
	c    *conn
	out  runOut
}

func run(ctx context.Context, call *plugin.Call, in runIn) (runOut, error) {
	if (in.Action == "") == (len(in.Actions) == 0) {
		return runOut{}, plugin.Definitionf("actions", "are needed: what to do").WithHint("or action and connection_id, one a step")
	}
	s := &script{call: call, in: &in, out: runOut{Messages: []any{}}}
	do := s.one
	if len(in.Actions) > 0 {
		do = s.list
	}
	err := do(ctx)
	if s.c != nil {
		s.out.Connected, s.out.ConnectionID = !s.c.isOver(), s.c.id
	}
	s.out.Count = len(s.out.Messages)
	if s.out.Count > 0 {
		s.out.Message = s.out.Messages[s.out.Count-1]
	}
	return s.out, err
}

// list does all actions over a connection that belongs to the step.
func (s *script) list(ctx context.Context) error {
	if s.in.URL == "" {
		return plugin.Definitionf("url", "is needed: a list of actions has a connection of its own")
	}
	defer func() {
		if s.c != nil {
			s.c.giveUp()
		}
	}()
	for i, action := range s.in.Actions {
		if action.Type == "connect" && i > 0 {
			return plugin.Definitionf(fmt.Sprintf("actions[%d].type", i), "connect comes first, and once")
		}
		if i == 0 {
			var limit time.Duration
			if action.Type == "connect" {
				limit = action.Timeout
			}
			if err := s.connect(ctx, limit, s.call.StepID()); err != nil {
				return err
			}
		}
		if err := s.do(ctx, action.Type, &action.scriptedKeys, fmt.Sprintf("actions[%d].", i)); err != nil {
			return err
		}
	}
	if s.c.isOver() {
		return nil
	}
	_, err := s.c.closeWithin(ctx, websocket.CloseNormalClosure, "", defaultWithin)
	return err
}

// What the config of other actions gives by default.
const (
	defaultWithin     = 10 * time.Second
	defaultKeepalive  = 30 * time.Second
	defaultMaxMessage = 10 << 20
)

// one does the action of the step, over a connection of the run.
func (s *script) one(ctx context.Context) error {
	if s.in.Action != "connect" {
		var err error
		if s.c, err = find(s.call, "connection_id", s.in.Connection); err != nil {
			return err
		}
		return s.do(ctx, s.in.Action, &s.in.scriptedKeys, "")
	}
	if s.in.URL == "" {
		return plugin.Definitionf("url", "is needed to connect")
	}
	name := s.in.Connection
	if name == "" {
		name = s.call.StepID()
	}
	kept, err := connectionsOf(ctx, s.call)
	if err != nil {
		return err
	}
	if err := kept.room(s.call, name); err != nil {
		return err
	}
	if err := s.connect(ctx, s.in.Timeout, name); err != nil {
		return err
	}
	return kept.add(s.c)
}

func (s *script) connect(ctx context.Context, limit time.Duration, name string) error {
	if limit == 0 {
		limit = defaultWithin
	}
	t := target{
		URL: s.in.URL, Headers: s.in.Headers, Subprotocols: s.in.Protocols, TLS: s.in.TLS,
		ConnectTimeout: limit, HandshakeTimeout: limit, Keepalive: defaultKeepalive, MaxMessage: defaultMaxMessage,
	}
	c, answer, err := t.connect(ctx, s.call, name)
	if err != nil {
		return err
	}
	s.out.Status, s.out.Subprotocol = answer.Status, answer.Subprotocol
	if c == nil {
		return plugin.Failf("%s refused the connection: %d %s", clip(s.in.URL), answer.Status, answer.StatusText).WithHint("%s", answer.advice()).WithDetails(answer.preview())
	}
	s.c = c
	return nil
}

// do does one action over the connection; at is where it stands in the config.
func (s *script) do(ctx context.Context, action string, keys *scriptedKeys, at string) error {
	switch action {
	case "send":
		out, err := keys.outgoing(at)
		if err != nil {
			return err
		}
		return s.c.sendWithin(ctx, s.call, out, keys.Timeout)
	case "receive":
		return s.receive(ctx, keys, at)
	case "wait_for":
		return s.waitFor(ctx, keys, at)
	case "close":
		if err := checkClose(at, keys.Code, keys.Reason); err != nil {
			return err
		}
		_, err := s.c.closeWithin(ctx, keys.Code, keys.Reason, keys.Timeout)
		return err
	}
	return nil // connect, which is done
}

func (k *scriptedKeys) outgoing(at string) (outgoing, error) {
	text, isText := "", false
	if v, err := value.Decode(k.Message); err == nil {
		text, isText = v.(string)
	}
	p := payload{JSON: k.Message}
	switch {
	case len(k.Message) == 0:
		return outgoing{}, plugin.Definitionf(at+"message", "is missing: there is nothing to send")
	case isText && k.MessageType == "binary":
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return outgoing{}, plugin.Definitionf(at+"message", "is not base64, as a binary message is written")
		}
		p = payload{Binary: data}
	case isText:
		p = payload{Text: &text}
	}
	return p.load(nil, at)
}

// receive takes the next messages, which must be as expected.
func (s *script) receive(ctx context.Context, keys *scriptedKeys, at string) error {
	pattern, err := contentPattern(at+"expected", keys.Expected)
	if err != nil {
		return err
	}
	found, err := s.take(ctx, inbox.Query[received]{Count: keys.Count, Within: keys.Timeout})
	if err != nil {
		return err
	}
	for _, r := range found {
		if pattern == nil {
			break
		}
		j, err := pattern(r)
		if err != nil {
			return err
		}
		if !j.Fits {
			return plugin.Failf("%s is not as expected: %s", r, j.Miss)
		}
	}
	return nil
}

// waitFor takes messages until one matches.
func (s *script) waitFor(ctx context.Context, keys *scriptedKeys, at string) error {
	pattern, err := contentPattern(at+"message", keys.Message)
	if err != nil {
		return err
	}
	_, err = s.take(ctx, inbox.Query[received]{Judge: pattern, Count: 1, Within: keys.Timeout})
	return err
}

// take waits for messages that nobody has taken yet, and takes them and those
// before them.
func (s *script) take(ctx context.Context, q inbox.Query[received]) ([]received, error) {
	began := time.Now()
	s.c.mu.Lock()
	q.After = s.c.taken
	s.c.mu.Unlock()
	report, err := s.c.inbox.Wait(ctx, q)
	if err != nil {
		return nil, err
	}
	if fault := report.Fault(s.c.shown, received.String); fault != nil {
		recordCame(s.call, s.c, s.c.latest(ctx), began)
		return nil, s.c.explain(ctx, fault, &report)
	}
	found := report.Found[:max(q.Count, 1)]
	s.c.mu.Lock()
	s.c.taken = max(s.c.taken, found[len(found)-1].number)
	s.c.mu.Unlock()
	recordCame(s.call, s.c, found, began)
	for _, r := range found {
		s.out.Messages = append(s.out.Messages, r.content())
	}
	return found, nil
}

// content is a message in the form of older documents: what it holds.
func (r received) content() any {
	m := r.message()
	switch {
	case m.JSON != nil:
		return m.JSON
	case m.Text != nil:
		return *m.Text
	}
	return deref(m.Binary)
}

// contentPattern judges what a message holds; nil: every one fits.
func contentPattern(field string, want json.RawMessage) (func(received) (inbox.Judgement, error), error) {
	if len(bytes.TrimSpace(want)) == 0 {
		return nil, nil
	}
	pattern, err := match.CompileJSON(want)
	if err != nil {
		return nil, plugin.Definitionf(field, "%s", err)
	}
	return judgement(field, pattern, func(r received) any { return r.content() }), nil
}
