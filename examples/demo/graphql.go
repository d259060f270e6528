package demo

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
)

//go:embed graphql_schema.graphql
var graphSDL string

const (
	asGraphQL = "application/graphql-response+json"
	asEvents  = "text/event-stream"
	// maxTokens bounds a query before it is validated.
	maxTokens = 10_000
)

func graphQLRoutes() []Route {
	query := []string{"query", "operationName", "variables"}
	shared := sync.OnceValue(newGraph)
	open, closed := graphQL(shared, false), graphQL(shared, true)
	return []Route{
		{"POST", "/graphql", "The shop as GraphQL: queries, mutations; subscriptions where Accept is text/event-stream", nil, asJSON, asJSON, []int{200, 400, 413, 415}, open},
		{"GET", "/graphql", "Queries in the address, subscriptions as text/event-stream or over a WebSocket (graphql-transport-ws)", query, "", asJSON, []int{200, 400, 405}, open},
		{"POST", "/graphql/closed", "The same without introspection", nil, asJSON, asJSON, []int{200, 400, 413, 415}, closed},
		{"GET", "/graphql/closed", "The same without introspection", query, "", asJSON, []int{200, 400, 405}, closed},
	}
}

// newGraph reads the schema. Its text is a part of the program: a mistake in it
// shows in the first test.
func newGraph() *graph {
	return &graph{gqlparser.MustLoadSchema(&ast.Source{Name: "graphql_schema.graphql", Input: graphSDL}), resolvers()}
}

// graphRequest is what a client sends, in whatever way.
type graphRequest struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

// graphResponse is what it gets. Data is left out where nothing was executed.
type graphResponse struct {
	Errors []graphError    `json:"errors,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
}

// graphQL serves the schema; closed: without introspection.
func graphQL(shared func() *graph, closed bool) handler {
	return func(c *call) error {
		g := shared()
		if strings.EqualFold(c.r.Header.Get("Upgrade"), "websocket") {
			return c.serveGraphSocket(g, closed)
		}
		request, err := c.readGraphRequest()
		if err != nil {
			return c.graphAnswer(http.StatusBadRequest, graphResponse{Errors: []graphError{{Message: err.Error(), Extensions: map[string]any{"code": "BAD_REQUEST"}}}}, err)
		}
		x, operation, wrong := g.prepare(c, request, closed)
		switch {
		case wrong != nil:
			return c.graphAnswer(http.StatusBadRequest, graphResponse{Errors: wrong}, nil)
		case c.r.Method == http.MethodGet && operation.Operation == ast.Mutation:
			c.w.Header().Set("Allow", "POST")
			return refuse(http.StatusMethodNotAllowed, "method_not_allowed", "a mutation goes by POST")
		case strings.Contains(c.r.Header.Get("Accept"), asEvents):
			return c.streamGraph(x, operation)
		case operation.Operation == ast.Subscription:
			return c.graphAnswer(http.StatusBadRequest, graphResponse{Errors: []graphError{{
				Message: "a subscription goes over a WebSocket, or with Accept: text/event-stream", Extensions: map[string]any{"code": "BAD_REQUEST"},
			}}}, nil)
		}
		return c.graphAnswer(http.StatusOK, x.answer(operation, struct{}{}), nil)
	}
}

// readGraphRequest reads the body, or the address of a GET.
func (c *call) readGraphRequest() (r graphRequest, err error) {
	query := c.r.URL.Query()
	if c.r.Method == http.MethodGet {
		r.Query, r.OperationName = query.Get("query"), query.Get("operationName")
		if variables := query.Get("variables"); variables != "" {
			err = decodeGraph(strings.NewReader(variables), &r.Variables)
		}
	} else {
		media, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
		if media != asJSON {
			return r, refuse(http.StatusUnsupportedMediaType, "unsupported", "the body must be application/json, is %q", media)
		}
		err = decodeGraph(http.MaxBytesReader(c.w, c.r.Body, maxJSON), &r)
	}
	if err == nil && strings.TrimSpace(r.Query) == "" {
		err = errors.New("there is no query")
	}
	return r, err
}

// decodeGraph keeps numbers as they are written.
func decodeGraph(in io.Reader, v any) error {
	d := json.NewDecoder(in)
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("the request is not the JSON expected here: %w", err)
	}
	return nil
}

// graphAnswer answers in the media type that the client takes. Under the older
// one, errors of the request have the status 200 too, as the specification of
// GraphQL over HTTP has it; err is a problem with a status of its own.
func (c *call) graphAnswer(status int, response graphResponse, err error) error {
	media := asJSON
	if strings.Contains(c.r.Header.Get("Accept"), asGraphQL) {
		media = asGraphQL
	} else {
		status = http.StatusOK
	}
	var known *problem
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		status = known.status
	case errors.As(err, &tooLarge):
		status = http.StatusRequestEntityTooLarge
	case err != nil:
		status = http.StatusBadRequest
	}
	body, err := encode(response)
	if err != nil {
		return err
	}
	return c.body(status, media+"; charset=utf-8", body)
}

// prepare parses, validates and coerces; wrong is why it cannot be executed.
func (g *graph) prepare(c *call, r graphRequest, closed bool) (x *execution, operation *ast.OperationDefinition, wrong []graphError) {
	document, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: r.Query}, maxTokens)
	if err != nil {
		return nil, nil, requestErrors("GRAPHQL_PARSE_FAILED", err)
	}
	if invalid := validator.ValidateWithRules(g.schema, document, nil); len(invalid) > 0 {
		return nil, nil, requestErrors("GRAPHQL_VALIDATION_FAILED", invalid)
	}
	refused := func(format string, args ...any) []graphError {
		return []graphError{{Message: fmt.Sprintf(format, args...), Extensions: map[string]any{"code": "OPERATION_RESOLUTION_FAILURE"}}}
	}
	switch operation = document.Operations.ForName(r.OperationName); {
	case len(document.Operations) == 0:
		return nil, nil, refused("the document has no operation")
	case operation == nil && r.OperationName == "":
		return nil, nil, refused("the document has %d operations, and operationName chooses none", len(document.Operations))
	case operation == nil:
		return nil, nil, refused("there is no operation %q", r.OperationName)
	}
	variables, bad := g.coerceVariables(operation, r.Variables)
	if bad != nil {
		return nil, nil, []graphError{*bad}
	}
	return &execution{graph: g, call: c, document: document, variables: variables, closed: closed}, operation, nil
}

// requestErrors are those of the parser or the validation.
func requestErrors(code string, err error) []graphError {
	var many gqlerror.List
	var single *gqlerror.Error
	if errors.As(err, &single) && !errors.As(err, &many) {
		many = gqlerror.List{single}
	}
	var out []graphError
	for _, e := range many {
		made := graphError{Message: e.Message, Extensions: map[string]any{"code": code}}
		for _, l := range e.Locations {
			made.Locations = append(made.Locations, place{l.Line, l.Column})
		}
		out = append(out, made)
	}
	return out
}

// answer executes an operation once.
func (x *execution) answer(operation *ast.OperationDefinition, root any) graphResponse {
	x.errors, x.fields = nil, 0
	data, err := encode(x.run(operation, root))
	if err != nil {
		return graphResponse{Errors: []graphError{{Message: err.Error()}}}
	}
	return graphResponse{Errors: x.errors, Data: data[:len(data)-1]}
}
