package graphql

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

const (
	// subscriptionKey is what a run keeps its subscriptions under, with the id of
	// the step.
	subscriptionKey = "subscription:"
	// maxKept bounds what a subscription keeps: a plugin's process has a gibibyte
	// for all that it does.
	maxKept = 64 << 20
	// pongTimeout is how long a server may take to answer a ping: some do not.
	pongTimeout = time.Second
	// settleTimeout is how long it may take where the answer decides on an absence: a
	// server under load gets more time before nothing can be said.
	settleTimeout = 5 * time.Second
)

type subscribeIn struct {
	endpoint
	request
	Transport        string          `json:"transport" doc:"ws: a WebSocket, by graphql-transport-ws or the older graphql-ws, as the server chooses; sse: server-sent events, by graphql-sse with a connection for each subscription." enum:"ws|sse" default:"ws"`
	ConnectionParams json.RawMessage `json:"connection_params,omitempty" doc:"Payload of connection_init over a WebSocket: where many servers look for a token." example:"{\"token\": \"t0k3n\"}"`
	Within           time.Duration   `json:"within" doc:"Limit of what the server acknowledges." default:"10s"`
	MaxMessage       int             `json:"max_message" doc:"Bytes of one message; a message that is longer ends the subscription." min:"1" max:"67108864" default:"10485760"`
}

// Subscribed is a subscription that began.
type Subscribed struct {
	Protocol  string            `json:"protocol" doc:"How the server talks: graphql-transport-ws, graphql-ws, graphql-sse."`
	Confirmed bool              `json:"confirmed" doc:"Whether the server has shown that it read the subscription: over graphql-transport-ws it answered a ping that was sent after it, as server-sent events it began the stream. The older graphql-ws has nothing to show it by."`
	Errors    []json.RawMessage `json:"errors" doc:"The errors with which the server refused the subscription; [] where it did not."`
	Time      float64           `json:"time" doc:"Milliseconds until it began."`
}

// subscription is what a run keeps of one.
type subscription struct {
	inbox     *inbox.Inbox[json.RawMessage]
	source    string // for messages
	operation *operation
	target    *target
	// settle makes sure that what the server sent until now has come; nil: the
	// protocol has nothing to make it sure by.
	settle func(context.Context) error
}

// begun is how a subscription began: with errors it did not.
type begun struct {
	protocol  string
	confirmed bool
	errors    []json.RawMessage
}

// subscribe listens until the run ends.
func (g *plug) subscribe(ctx context.Context, call *plugin.Call, in subscribeIn) (Subscribed, error) {
	began := time.Now()
	o, err := in.read(call)
	if err != nil {
		return Subscribed{}, err
	}
	if o.Operation != ast.Subscription {
		return Subscribed{}, plugin.Definitionf(o.field(), "is a %s", o.Operation).WithHint("graphql.query sends it")
	}
	if len(in.ConnectionParams) > 0 && in.Transport == "sse" {
		return Subscribed{}, plugin.Definitionf("connection_params", "are of a WebSocket").WithHint("server-sent events have headers and auth")
	}
	t, err := in.open(ctx, call)
	if err != nil {
		return Subscribed{}, err
	}
	if err := g.check(ctx, call, &in.request, o, t); err != nil {
		return Subscribed{}, err
	}
	if err := in.assert(o); err != nil {
		return Subscribed{}, err
	}
	s := &subscription{
		inbox: inbox.New[json.RawMessage](inbox.Limits{Bytes: maxKept}), source: fmt.Sprintf("%s at %s", o.title(), t),
		operation: o, target: t,
	}
	got, err := s.keep(ctx, call, &in)
	if err != nil {
		return Subscribed{}, err
	}
	if got.errors == nil {
		got.errors = []json.RawMessage{}
	}
	return Subscribed{Protocol: got.protocol, Confirmed: got.confirmed, Errors: got.errors, Time: ms(time.Since(began))}, nil
}

// title names a subscription in messages: its name, else its first field.
func (o *operation) title() string {
	if o.Name != "" {
		return o.Name
	}
	for _, selection := range o.SelectionSet {
		if field, ok := selection.(*ast.Field); ok {
			return field.Name
		}
	}
	return "without a name"
}

// errRefused keeps nothing of a subscription that the server refused.
var errRefused = fmt.Errorf("the subscription was refused")

// keep begins the subscription and keeps it for the run. A step that subscribes
// again, in a loop, ends what it had.
func (s *subscription) keep(ctx context.Context, call *plugin.Call, in *subscribeIn) (got begun, err error) {
	key := subscriptionKey + call.StepID()
	if _, again := plugin.Kept[*subscription](call, key); again {
		call.Log("the subscription that this step had is ended")
		if err := plugin.Drop(call, key); err != nil {
			return got, err
		}
	}
	begin := s.overSocket
	if in.Transport == "sse" {
		begin = s.overEvents
	}
	_, err = plugin.Keep(ctx, call, key, func() (*subscription, func() error, error) {
		limited, cancel := context.WithTimeoutCause(ctx, in.Within, errWithin)
		defer cancel()
		var stop func() error
		var err error
		got, stop, err = begin(limited, call, in)
		if err == nil && got.errors != nil {
			err = stop()
			if err == nil {
				err = errRefused
			}
		}
		return s, stop, err
	})
	if err == errRefused { //nolint:errorlint // it is ours, and comes as it went
		err = nil
	}
	return got, err
}

// errWithin tells our own limit from the step's.
var errWithin = fmt.Errorf("within is over")

// late is a server that did not acknowledge in time.
func (s *subscription) late(ctx context.Context, in *subscribeIn, waited string) error {
	if context.Cause(ctx) != errWithin { //nolint:errorlint // it is ours, and comes as it went
		return context.Cause(ctx)
	}
	return plugin.Errorf(plugin.CodeTimeout, "%s did not answer within %s: the time ran out %s", s.target, in.Within, waited).
		WithHint("raise within, or find out why the service is slow")
}

// take keeps a payload of next, which is JSON, and owns it.
func (s *subscription) take(payload json.RawMessage) error {
	if !bytes.HasPrefix(payload, []byte("{")) {
		return plugin.Errorf(plugin.CodeProtocol, "%s sent a message that is no GraphQL response: %s", s.target, cut(payload, maxMessage))
	}
	s.inbox.Add(payload, len(payload))
	return nil
}

// refusal is the end of a subscription by errors of the server.
type refusal struct{ errors []json.RawMessage }

func (r *refusal) Error() string { return messages(r.errors) }

// refuse keeps the errors that end the subscription, as a message that an expect
// can look at.
func (s *subscription) refuse(payload json.RawMessage) error {
	errors := errorsOf(payload)
	text, err := json.Marshal(map[string]any{"errors": errors})
	if err != nil {
		return fmt.Errorf("print errors: %w", err)
	}
	s.inbox.Add(text, len(text))
	return &refusal{errors}
}

// errorsOf reads the payload of an error: a list, or a single one in the older
// protocol.
func errorsOf(payload json.RawMessage) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(payload, &list) == nil && len(list) > 0 {
		return list
	}
	if len(payload) == 0 {
		payload = json.RawMessage(`{"message":"the server gave no reason"}`)
	}
	return []json.RawMessage{payload}
}
