package graphql

import (
	"context"
	"net/http"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type queryIn struct {
	endpoint
	request
	Method  string `json:"method" doc:"POST, or GET with the query in the address, for queries alone." enum:"POST|GET" default:"POST"`
	MaxBody int    `json:"max_body" doc:"Bytes of the answer that are read; an answer that is longer makes the step errored." min:"1" max:"268435456" default:"10485760"`
}

// query sends a query or a mutation.
func (g *plug) query(ctx context.Context, call *plugin.Call, in queryIn) (Answer, error) {
	o, err := in.read(call)
	if err != nil {
		return Answer{}, err
	}
	switch {
	case o.Operation == ast.Subscription:
		return Answer{}, plugin.Definitionf(o.field(), "is a subscription").WithHint("graphql.subscribe listens, and graphql.expect looks at what came")
	case o.Operation == ast.Mutation && in.Method == http.MethodGet:
		return Answer{}, plugin.Definitionf("method", "a mutation must not go by GET").WithHint("leave method out")
	}
	t, err := in.open(ctx, call)
	if err != nil {
		return Answer{}, err
	}
	if err := g.check(ctx, call, &in.request, o, t); err != nil {
		return Answer{}, err
	}
	if err := in.assert(o); err != nil {
		return Answer{}, err
	}
	answer, err := t.ask(ctx, call, o, in.Method, in.OperationName, in.MaxBody)
	if err == nil {
		o.cover(call, t, answer.Data)
	}
	return answer, err
}

// ask sends an operation and reads the answer.
func (t *target) ask(ctx context.Context, call *plugin.Call, o *operation, method, name string, limit int) (Answer, error) {
	body, err := o.payload(name)
	if err != nil {
		return Answer{}, err
	}
	x, err := t.newExchange(ctx, call, method, acceptJSON, body)
	if err != nil {
		return Answer{}, err
	}
	res, err := x.send(ctx)
	if err != nil {
		return Answer{}, err
	}
	return x.receive(ctx, res, limit)
}
