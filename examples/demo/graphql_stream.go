package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
)

// maxCount bounds what countdown and broken send.
const maxCount = 100_000

// errSlow ends a subscription whose client does not read.
var errSlow = errors.New("the subscription fell too far behind")

// source is where a subscription's events come from: each is the root value of
// one answer. It ends at the end of ctx. The events begin with the call, not
// with the first look at them.
type source func(ctx context.Context, send func(root any)) error

// subscribe starts to listen. What happens after it has returned is sent.
func (x *execution) subscribe(operation *ast.OperationDefinition) (source, func(), error) {
	asked := x.collect(x.graph.schema.Subscription, []ast.SelectionSet{operation.SelectionSet})
	field := asked[0].fields[0] // validation sees to it that there is one
	definition := x.graph.schema.Subscription.Fields.ForName(field.Name)
	if definition == nil {
		return nil, nil, refuseGraph("BAD_USER_INPUT", "%s cannot be subscribed to", field.Name)
	}
	args, err := x.arguments(definition.Arguments, field.Arguments)
	if err != nil {
		return nil, nil, err
	}
	switch field.Name {
	case "orderPlaced", "orderChanged":
		return x.orderEvents(func(e orderEvent) bool {
			return (e.placed || field.Name == "orderChanged") && (args["id"] == nil || args["id"] == e.order.ID)
		})
	}
	every, err := args.whole("everyMs", 0, 60_000)
	if err != nil {
		return nil, nil, err
	}
	pace := time.Duration(every) * time.Millisecond
	if field.Name == "countdown" {
		n, err := args.whole("from", 0, maxCount)
		return x.count(n, 0, -1, pace), func() {}, err
	}
	n, err := args.whole("after", 0, maxCount)
	return func(ctx context.Context, send func(any)) error {
		err := x.count(1, n, 1, pace)(ctx, send)
		if err == nil && wait(ctx, pace) {
			err = refuseGraph("BROKEN", "the subscription broke after %d, as it was asked to", n)
		}
		return err
	}, func() {}, err
}

func (x *execution) orderEvents(wanted func(orderEvent) bool) (source, func(), error) {
	events, stop := x.call.tenant.listeners.listen()
	if events == nil {
		return nil, nil, refuseGraph("TOO_MANY_SUBSCRIPTIONS", "there are %d subscriptions already", maxListeners)
	}
	return func(ctx context.Context, send func(any)) error {
		for {
			select {
			case e, ok := <-events:
				if !ok {
					return errSlow
				}
				if wanted(e) {
					send(e.order)
				}
			case <-ctx.Done():
				return nil
			}
		}
	}, stop, nil
}

func (x *execution) count(from, to, step int, every time.Duration) source {
	return func(ctx context.Context, send func(any)) error {
		for n := from; n*step <= to*step; n += step {
			if n != from && !wait(ctx, every) {
				return nil
			}
			send(n)
		}
		return nil
	}
}

// wait is false where ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// subscriptionResolvers give the event itself: it is the root value.
func subscriptionResolvers() map[string]resolver {
	all := map[string]resolver{}
	for _, name := range []string{"orderPlaced", "orderChanged", "countdown", "broken"} {
		all["Subscription."+name] = func(_ *execution, root any, _ arguments) (any, error) { return root, nil }
	}
	return all
}

// sourceError is the answer to a subscription that broke.
func (x *execution) sourceError(operation *ast.OperationDefinition, err error) graphError {
	x.errors = nil
	x.fail(&ast.Field{Position: operation.Position}, nil, err)
	return x.errors[0]
}

// streamGraph answers as server-sent events, in the mode of distinct connections
// of graphql-sse: next for each answer, complete at the end.
func (c *call) streamGraph(x *execution, operation *ast.OperationDefinition) error {
	if operation.Operation != ast.Subscription {
		c.beginStream()
		c.event("next", x.answer(operation, struct{}{}))
		c.event("complete", nil)
		return nil
	}
	events, stop, err := x.subscribe(operation)
	if err != nil {
		return c.graphAnswer(http.StatusBadRequest, graphResponse{Errors: []graphError{x.sourceError(operation, err)}}, nil)
	}
	defer stop()
	ctx, cancel := context.WithTimeout(c.r.Context(), maxStream)
	defer cancel()
	c.beginStream()
	err = events(ctx, func(root any) { c.event("next", x.answer(operation, root)) })
	if err != nil {
		c.event("next", graphResponse{Errors: []graphError{x.sourceError(operation, err)}})
	}
	c.event("complete", nil)
	return nil
}

// beginStream sends the head, by which the client knows that it is listened for.
func (c *call) beginStream() {
	c.w.Header().Set("Content-Type", asEvents+"; charset=utf-8")
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.WriteHeader(http.StatusOK)
	// Where it cannot be flushed, as in a recorder of tests, it is sent at the end.
	_ = http.NewResponseController(c.w).Flush()
	// The limit of a request's time is not one of the answer's.
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{})
}

func (c *call) event(name string, payload any) {
	data := []byte("\n")
	if payload != nil {
		var err error
		if data, err = encode(payload); err != nil {
			c.app.config.Logger.Debug("encode event", "error", err)
			return
		}
	}
	if _, err := fmt.Fprintf(c.w, "event: %s\ndata: %s\n", name, data); err != nil {
		c.app.config.Logger.Debug("write event", "error", err)
		return
	}
	_ = http.NewResponseController(c.w).Flush()
}
