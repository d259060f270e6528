package graphql

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type introspectIn struct {
	endpoint
	MaxBody int `json:"max_body" doc:"Bytes of the answer that are read; an answer that is longer makes the step errored." min:"1" max:"268435456" default:"33554432"`
}

// Introspected is a schema that a server described.
type Introspected struct {
	SDL       *string            `json:"sdl" doc:"The schema in the schema definition language; null where the server did not give it."`
	Types     *int               `json:"types" doc:"How many types it has, without those of introspection and the built-in scalars."`
	Fields    *int               `json:"fields" doc:"How many fields a query can reach."`
	Errors    *[]json.RawMessage `json:"errors" doc:"The errors of the response; null where the answer is no GraphQL response."`
	Status    int                `json:"status" doc:"HTTP status."`
	Headers   map[string]string  `json:"headers" doc:"Headers of the answer; several of one name are joined by a comma. Names ignore case."`
	Time      float64            `json:"time" doc:"Milliseconds from the start of the request to the end of the answer."`
	Body      json.RawMessage    `json:"body,omitempty" doc:"The answer where it is no GraphQL response: JSON as a value, anything else as text."`
	BodyError string             `json:"body_error,omitempty" doc:"Why the answer has no schema."`
}

// offHint is what to do where a server keeps its schema to itself.
const offHint = "introspection is often switched off in production: give the schema as a file with schema, in SDL or as the JSON of an introspection"

// introspect asks for the schema and stores it as a file of the run.
func (g *plug) introspect(ctx context.Context, call *plugin.Call, in introspectIn) (Introspected, error) {
	t, err := in.open(ctx, call)
	if err != nil {
		return Introspected{}, err
	}
	a, err := t.introspection(ctx, call, in.MaxBody)
	if err != nil {
		return Introspected{}, err
	}
	out := Introspected{Errors: a.Errors, Status: a.Status, Headers: a.Headers, Time: a.Time, Body: a.Body, BodyError: a.BodyError}
	if a.BodyError != "" || len(*a.Errors) > 0 {
		why := a.BodyError
		if why == "" {
			why = messages(*a.Errors)
		}
		out.BodyError = fmt.Sprintf("%s did not give its schema: %s; %s", t, why, offHint)
		call.Limited(out.BodyError)
		return out, nil
	}
	d, err := readIntrospection(a.Data)
	if err != nil {
		return Introspected{}, plugin.Errorf(plugin.CodeProtocol, "%s answered the introspection without a schema: %w", t, err)
	}
	sdl := d.sdl()
	out.SDL, out.Types = &sdl, new(len(d.own()))
	s, err := parseSchema([]byte(sdl))
	if err != nil {
		call.Warn("queries cannot be checked against this schema: %s", err)
	} else {
		out.Fields = new(len(s.fields))
	}
	call.Artifact(call.StepID()+".graphql", "text/plain; charset=utf-8", []byte(sdl))
	return out, nil
}

func (t *target) introspection(ctx context.Context, call *plugin.Call, limit int) (Answer, error) {
	return t.ask(ctx, call, &operation{text: introspectionQuery}, http.MethodPost, "IntrospectionQuery", limit)
}

// schema asks the server once a run.
func (t *target) schema(ctx context.Context, call *plugin.Call) (*schema, error) {
	return plugin.Keep(ctx, call, "schema:"+t.String(), func() (*schema, func() error, error) {
		a, err := t.introspection(ctx, call, maxSchema)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case a.BodyError != "":
			return nil, nil, plugin.Errorf(plugin.CodeProtocol, "%s did not give its schema: %s", t, a.BodyError).WithHint("%s", offHint)
		case len(*a.Errors) > 0:
			return nil, nil, plugin.Errorf(plugin.CodeReply, "%s did not give its schema: %s", t, messages(*a.Errors)).WithHint("%s", offHint)
		}
		s, err := parseSchema(a.Data)
		if err != nil {
			return nil, nil, plugin.Errorf(plugin.CodeProtocol, "the schema of %s cannot be used: %w", t, err).WithHint("give it as a file with schema")
		}
		return s, nil, nil
	})
}
