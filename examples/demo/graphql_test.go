package demo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
)

// ask posts a query and gives what came, without the line end.
func (s *server) ask(query string, variables any, headers ...string) answer {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		s.t.Fatal(err)
	}
	a := s.do("POST /graphql", string(body), headers...)
	a.body = strings.TrimSpace(a.body)
	return a
}

func TestGraphQLExecutesAsTheSpecificationSays(t *testing.T) {
	t.Parallel()
	s := start(t)
	tests := map[string]struct {
		query     string
		variables map[string]any
		want      string
	}{
		"keys keep the order of the query": {
			`{b: product(id: "TEA-001") {sku name} a: product(id: 2) {name id}}`, nil,
			`{"data":{"b":{"sku":"TEA-001","name":"Darjeeling First Flush"},"a":{"name":"Sencha","id":"2"}}}`,
		},
		"fragments are merged, each field once": {
			`{product(id: 1) {name ...F ... on Node {id}}} fragment F on Product {name price}`, nil,
			`{"data":{"product":{"name":"Darjeeling First Flush","price":29.90,"id":"1"}}}`,
		},
		"selections of one field are merged": {
			`{product(id: 1) {supplier {name}} product(id: 1) {supplier {country}}}`, nil,
			`{"data":{"product":{"supplier":{"name":"Himalaya Tea Gardens","country":"NP"}}}}`,
		},
		"fragments of other types are left out": {
			`{search(text: "tea pot") {__typename ... on User {email} ... on Product {sku}}}`, nil,
			`{"data":{"search":[{"__typename":"Product","sku":"POT-001"}]}}`,
		},
		"skip and include": {
			`query($no: Boolean!) {product(id: 1) {id @skip(if: true) sku @include(if: $no) name @skip(if: $no) @include(if: true)}}`,
			map[string]any{"no": false},
			`{"data":{"product":{"name":"Darjeeling First Flush"}}}`,
		},
		"variables have defaults": {
			`query($n: Int! = 1, $sort: ProductSort! = PRICE_DESCENDING) {products(first: $n, sort: $sort) {nodes {sku}}}`, nil,
			`{"data":{"products":{"nodes":[{"sku":"POT-001"}]}}}`,
		},
		"a variable that is left out leaves the default of the argument": {
			`query($n: Int) {echo(list: [$n]) {list flag}}`, nil,
			`{"data":{"echo":{"list":[null],"flag":true}}}`,
		},
		"one value is a list of one": {
			`query($l: [Int]) {a: echo(list: 1) {list} b: echo(list: $l) {list}}`,
			map[string]any{"l": 2},
			`{"data":{"a":{"list":[1]},"b":{"list":[2]}}}`,
		},
		"null is not left out": {
			`{a: echo(text: null) {text} b: echo {text}}`, nil,
			`{"data":{"a":{"text":null},"b":{"text":null}}}`,
		},
		"numbers keep their digits": {
			`query($n: Decimal) {numbers {big decimal} echo(number: $n) {number}}`,
			map[string]any{"n": json.Number("1.10")},
			`{"data":{"numbers":{"big":9007199254740993,"decimal":0.1000000000000000055511151231257827},"echo":{"number":1.10}}}`,
		},
		"ids are texts, whole numbers are taken": {
			`query($id: ID!) {product(id: $id) {id}}`,
			map[string]any{"id": 3},
			`{"data":{"product":{"id":"3"}}}`,
		},
		"what is not there is null": {
			`{product(id: "no") {name} node(id: "no") {id}}`, nil,
			`{"data":{"product":null,"node":null}}`,
		},
		"a page with its cursor": {
			`{products(first: 1, after: "TEA-001", filter: {category: TEA, inStock: true}) {totalCount edges {cursor node {id}} pageInfo {hasNextPage endCursor}}}`, nil,
			`{"data":{"products":{"totalCount":3,"edges":[{"cursor":"TEA-002","node":{"id":"2"}}],"pageInfo":{"hasNextPage":true,"endCursor":"TEA-002"}}}}`,
		},
		"an error of a field that may be null": {
			`{product(id: "COF-003") {name rating}}`, nil,
			`{"errors":[{"message":"the service of ratings does not answer","locations":[{"line":1,"column":31}],"path":["product","rating"],"extensions":{"code":"UNAVAILABLE","service":"ratings"}}],"data":{"product":{"name":"Decaf","rating":null}}}`,
		},
		"an error of a field that may not": {
			`{product(id: "POT-002") {name supplier {name}} other: product(id: 1) {id}}`, nil,
			`{"errors":[{"message":"POT-002 has no supplier any more","locations":[{"line":1,"column":31}],"path":["product","supplier"],"extensions":{"code":"NOT_FOUND"}}],"data":{"product":null,"other":{"id":"1"}}}`,
		},
		"an error in a list goes up to what may be null": {
			`{articles {sku supplier {name}}}`, nil,
			`{"errors":[{"message":"POT-002 has no supplier any more","locations":[{"line":1,"column":16}],"path":["articles",10,"supplier"],"extensions":{"code":"NOT_FOUND"}}],"data":null}`,
		},
		"an error of an argument": {
			`{products(first: 101) {totalCount}}`, nil,
			`{"errors":[{"message":"first must be from 0 to 100, is 101","locations":[{"line":1,"column":2}],"path":["products"],"extensions":{"code":"BAD_USER_INPUT"}}],"data":null}`,
		},
		"an unknown field": {
			`{product(id: 1) {nam}}`, nil,
			`{"errors":[{"message":"Cannot query field \"nam\" on type \"Product\". Did you mean \"name\"?","locations":[{"line":1,"column":18}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`,
		},
		"a query that is none": {
			`{product(`, nil,
			`{"errors":[{"message":"Expected Name, found <EOF>","locations":[{"line":1,"column":10}],"extensions":{"code":"GRAPHQL_PARSE_FAILED"}}]}`,
		},
		"a variable of another type": {
			`mutation($o: NewOrder!) {placeOrder(input: $o) {id}}`,
			map[string]any{"o": map[string]any{"items": []any{map[string]any{"sku": "TEA-001", "qty": "two"}}}},
			`{"errors":[{"message":"variable $o.items[0].qty: \"two\" is no Int","locations":[{"line":1,"column":10}],"extensions":{"code":"BAD_USER_INPUT"}}]}`,
		},
		"a variable with a field that its type has not": {
			`mutation($o: NewOrder!) {placeOrder(input: $o) {id}}`,
			map[string]any{"o": map[string]any{"lines": nil}},
			`{"errors":[{"message":"variable $o: NewOrder has no field lines","locations":[{"line":1,"column":10}],"extensions":{"code":"BAD_USER_INPUT"}}]}`,
		},
		"a variable that is missing": {
			`query($id: ID!) {product(id: $id) {id}}`, nil,
			`{"errors":[{"message":"variable $id of type ID! was not given","locations":[{"line":1,"column":7}],"extensions":{"code":"BAD_USER_INPUT"}}]}`,
		},
		"mutations are executed one after the other": {
			`mutation {a: createUser(input: {name: "Ada", email: "ada@example.com", roles: [ADMIN]}) {roles version} b: createUser(input: {name: "Eve", email: "ada@example.com"}) {id}}`, nil,
			`{"errors":[{"message":"the email ada@example.com belongs to another user","locations":[{"line":1,"column":105}],"path":["b"],"extensions":{"code":"CONFLICT"}}],"data":null}`,
		},
		"an invalid order says what is wrong": {
			`mutation {placeOrder(input: {items: [{sku: "TEA-009"}]}) {id}}`, nil,
			`{"errors":[{"message":"the order is not valid","locations":[{"line":1,"column":11}],"path":["placeOrder"],"extensions":{"code":"INVALID","fields":[{"field":"items[0].sku","message":"there is no product \"TEA-009\""}]}}],"data":null}`,
		},
		"me without a token": {
			`{me {name}}`, nil,
			`{"errors":[{"message":"a bearer token is needed; the mutation login gives one","locations":[{"line":1,"column":2}],"path":["me"],"extensions":{"code":"UNAUTHENTICATED"}}],"data":null}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := s.ask(test.query, test.variables, "X-Tenant", name); got.body != test.want || got.status != http.StatusOK {
				t.Errorf("got status %d and\n%s, want\n%s", got.status, got.body, test.want)
			}
		})
	}
}

func TestGraphQLAndRESTAreOneShop(t *testing.T) {
	t.Parallel()
	s := start(t)
	made := s.ask(`mutation {createUser(input: {name: "Ada"}) {id} placeOrder(input: {items: [{sku: "TEA-001", qty: 2}]}) {id total status}}`, nil)
	id := made.get(t, "data.placeOrder.id").(string)
	s.want("GET /orders/"+id, "", 200, map[string]any{"total": "59.80", "status": "confirmed"})
	s.want("GET /users/"+made.get(t, "data.createUser.id").(string), "", 200, map[string]any{"name": "Ada", "roles": []any{"customer"}})
	s.want("POST /orders/"+id+"/pay", "", 200, nil)
	if got := s.ask(fmt.Sprintf(`{order(id: %q) {status items {qty total product {name}}}}`, id), nil).body; got != `{"data":{"order":{"status":"PAID","items":[{"qty":2,"total":59.80,"product":{"name":"Darjeeling First Flush"}}]}}}` {
		t.Errorf("got %s", got)
	}
	if got := s.ask(fmt.Sprintf(`{order(id: %q) {id}}`, id), nil, "X-Tenant", "other").body; got != `{"data":{"order":null}}` {
		t.Errorf("another tenant sees %s", got)
	}
	token := s.ask(`mutation {login(user: "ada", password: "correct-horse") {token}}`, nil).get(t, "data.login.token").(string)
	if got := s.ask(`{me {name roles}}`, nil, "Authorization", "Bearer "+token).body; got != `{"data":{"me":{"name":"ada","roles":["ADMIN"]}}}` {
		t.Errorf("got %s", got)
	}
}

func TestGraphQLOverHTTP(t *testing.T) {
	t.Parallel()
	s := start(t)
	query := url.QueryEscape(`query A {product(id: 1) {id}} query B($id: ID!) {product(id: $id) {id}} mutation M {deleteUser(id: 1)}`)
	const newer = "application/graphql-response+json"
	tests := map[string]struct {
		request, body string
		headers       []string
		status        int
		want          string
		media         string
	}{
		"a query in the address":          {"GET /graphql?operationName=B&variables=%7B%22id%22:2%7D&query=" + query, "", nil, 200, `{"data":{"product":{"id":"2"}}}`, "application/json"},
		"a mutation in the address":       {"GET /graphql?operationName=M&query=" + query, "", nil, 405, "", "application/json"},
		"no operation is chosen":          {"GET /graphql?query=" + query, "", nil, 200, "3 operations", "application/json"},
		"an operation that is not there":  {"GET /graphql?operationName=C&query=" + query, "", nil, 200, "there is no operation", "application/json"},
		"an invalid one, newer media":     {"POST /graphql", `{"query":"{nope}"}`, []string{"Accept", newer}, 400, "Cannot query field", newer},
		"a valid one with errors, newer":  {"POST /graphql", `{"query":"{me{name}}"}`, []string{"Accept", newer}, 200, "UNAUTHENTICATED", newer},
		"a subscription without a stream": {"POST /graphql", `{"query":"subscription {countdown}"}`, []string{"Accept", newer}, 400, "WebSocket", newer},
		"no JSON":                         {"POST /graphql", `{"query"`, nil, 400, "is not the JSON", "application/json"},
		"no query":                        {"POST /graphql", `{}`, nil, 400, "there is no query", "application/json"},
		"another media type":              {"POST /graphql", `query`, []string{"Content-Type", "text/plain"}, 415, "application/json", "application/json"},
		"introspection where it is off":   {"POST /graphql/closed", `{"query":"{__schema{description}}"}`, nil, 200, `"code":"INTROSPECTION_DISABLED"`, "application/json"},
		"a type name where it is off":     {"POST /graphql/closed", `{"query":"{__typename}"}`, nil, 200, `{"data":{"__typename":"Query"}}`, "application/json"},
		"too large":                       {"POST /graphql", `{"query":"{__typename ` + strings.Repeat(" ", maxJSON) + `}"}`, nil, 413, "too large", "application/json"},
		"too many tokens":                 {"POST /graphql", `{"query":"{` + strings.Repeat("id ", maxTokens) + `}"}`, nil, 200, "exceeded token limit", "application/json"},
		"too many fields":                 {"POST /graphql", `{"query":"` + bomb() + `"}`, nil, 200, "more than 100000 fields", "application/json"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := s.do(test.request, test.body, test.headers...)
			if got.status != test.status || !strings.Contains(got.body, test.want) || !strings.HasPrefix(got.header.Get("Content-Type"), test.media) {
				t.Errorf("got status %d, %s: %.300s, want %d, %s: %s", got.status, got.header.Get("Content-Type"), got.body, test.status, test.media, test.want)
			}
		})
	}
}

// bomb is a short query with a long answer.
func bomb() string {
	return "{articles {...A}} fragment A on Product {a:related(first:9){...B} b:related(first:9){...B}} fragment B on Product {a:related(first:9){...C} b:related(first:9){...C}} " +
		"fragment C on Product {a:related(first:9){...D} b:related(first:9){...D}} fragment D on Product {a:related(first:9){...E} b:related(first:9){...E}} fragment E on Product {a:related(first:9){id name} b:related(first:9){id name}}"
}

func TestIntrospectionDescribesTheSchema(t *testing.T) {
	t.Parallel()
	s := start(t)
	got := s.ask(`{
		__schema {queryType {name} mutationType {name} subscriptionType {name} directives {name locations args {name type {kind ofType {name}}}}}
		product: __type(name: "Product") {kind fields {name type {kind name ofType {kind name ofType {kind name ofType {name}}}}} interfaces {name} enumValues {name}}
		node: __type(name: "Node") {kind possibleTypes {name}}
		role: __type(name: "Role") {kind enumValues {name isDeprecated} fields {name}}
		input: __type(name: "NewUser") {kind inputFields {name defaultValue}}
		query: __type(name: "Query") {fields(includeDeprecated: true) {name isDeprecated deprecationReason args {name defaultValue}}}
		nothing: __type(name: "Nothing") {name}
	}`, nil)
	for path, want := range map[string]any{
		"data.__schema.queryType.name":                         "Query",
		"data.__schema.mutationType.name":                      "Mutation",
		"data.__schema.subscriptionType.name":                  "Subscription",
		"data.__schema.directives.2.name":                      "skip",
		"data.__schema.directives.2.args.0.type.kind":          "NON_NULL",
		"data.product.kind":                                    "OBJECT",
		"data.product.fields.6.name":                           "tags",
		"data.product.fields.6.type.kind":                      "NON_NULL",
		"data.product.fields.6.type.ofType.kind":               "LIST",
		"data.product.fields.6.type.ofType.ofType.ofType.name": "String",
		"data.product.interfaces.0.name":                       "Node",
		"data.product.enumValues":                              nil,
		"data.node.kind":                                       "INTERFACE",
		"data.node.possibleTypes.2.name":                       "User",
		"data.role.enumValues.0.name":                          "ADMIN",
		"data.role.fields":                                     nil,
		"data.input.inputFields.2.defaultValue":                "[CUSTOMER]",
		"data.query.fields.0.args.2.defaultValue":              "10",
		"data.query.fields.11.name":                            "articles",
		"data.query.fields.11.isDeprecated":                    true,
		"data.query.fields.11.deprecationReason":               "use products",
		"data.nothing":                                         nil,
	} {
		if diff := cmp.Diff(want, got.get(t, path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// TestEveryFieldOfTheSchemaIsAnswered finds one that was added without code.
func TestEveryFieldOfTheSchemaIsAnswered(t *testing.T) {
	t.Parallel()
	g := newGraph()
	for name, d := range g.schema.Types {
		if d.Kind != "OBJECT" {
			continue
		}
		for _, f := range d.Fields {
			if g.resolvers[name+"."+f.Name] == nil {
				t.Errorf("%s.%s has no resolver", name, f.Name)
			}
		}
	}
	for name := range g.resolvers {
		typ, field, _ := strings.Cut(name, ".")
		if d := g.schema.Types[typ]; d == nil || d.Fields.ForName(field) == nil {
			t.Errorf("%s is answered, and the schema does not have it", name)
		}
	}
}

// stream subscribes by server-sent events and gives its lines.
func (s *server) stream(query string) (*http.Response, *bufio.Scanner) {
	s.t.Helper()
	body, _ := json.Marshal(map[string]string{"query": query})
	r, err := http.NewRequestWithContext(s.t.Context(), "POST", s.url+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	res, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	return res, bufio.NewScanner(res.Body)
}

// lines reads n of them that are not empty.
func lines(t *testing.T, in *bufio.Scanner, n int) string {
	t.Helper()
	var all []string
	for len(all) < n && in.Scan() {
		if in.Text() != "" {
			all = append(all, in.Text())
		}
	}
	if len(all) < n {
		t.Fatalf("the stream ended after %q: %v", all, in.Err())
	}
	return strings.Join(all, "\n")
}

func TestSubscriptionsAsServerSentEvents(t *testing.T) {
	t.Parallel()
	s := start(t)
	res, in := s.stream(`subscription {countdown(from: 1)}`)
	if got := res.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" {
		t.Errorf("got %s", got)
	}
	const counted = "event: next\ndata: {\"data\":{\"countdown\":1}}\nevent: next\ndata: {\"data\":{\"countdown\":0}}\nevent: complete\ndata: "
	if got := lines(t, in, 6); got != counted {
		t.Errorf("got\n%s", got)
	}
	_, in = s.stream(`subscription {broken(after: 0)}`)
	if got := lines(t, in, 4); !strings.HasPrefix(got, `event: next`+"\n"+`data: {"errors":[{"message":"the subscription broke after 0`) || !strings.Contains(got, "event: complete") {
		t.Errorf("got\n%s", got)
	}
	_, in = s.stream(`{product(id: 1) {id}}`)
	if got := lines(t, in, 4); got != "event: next\ndata: {\"data\":{\"product\":{\"id\":\"1\"}}}\nevent: complete\ndata: " {
		t.Errorf("got\n%s", got)
	}
	res, _ = s.stream(`subscription {nope}`)
	if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != "application/json; charset=utf-8" {
		t.Errorf("a subscription that is none: got %d, %s", res.StatusCode, got)
	}
	// An order placed by REST as soon as the head of the answer is here is told.
	_, in = s.stream(`subscription {orderPlaced {total items {sku}}}`)
	s.want("POST /orders", twoTeas, 201, nil, "X-Tenant", "other")
	s.want("POST /orders", twoTeas, 201, nil)
	if got := lines(t, in, 2); got != "event: next\ndata: {\"data\":{\"orderPlaced\":{\"total\":59.80,\"items\":[{\"sku\":\"TEA-001\"}]}}}" {
		t.Errorf("got\n%s", got)
	}
}

// socket opens a connection; the first message sent is connection_init unless
// raw.
func (s *server) socket(raw bool, protocols ...string) *websocket.Conn {
	s.t.Helper()
	dialer := websocket.Dialer{Subprotocols: protocols}
	conn, res, err := dialer.DialContext(s.t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/graphql", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	s.t.Cleanup(func() { conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if !raw {
		s.say(conn, `{"type":"connection_init"}`)
		s.hear(conn, `{"type":"connection_ack"}`)
	}
	return conn
}

func (s *server) say(conn *websocket.Conn, messages ...string) {
	s.t.Helper()
	for _, m := range messages {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *server) hear(conn *websocket.Conn, messages ...string) {
	s.t.Helper()
	for _, want := range messages {
		_, got, err := conn.ReadMessage()
		if err != nil {
			s.t.Fatalf("%v, want %s", err, want)
		}
		if strings.TrimSpace(string(got)) != want {
			s.t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSubscriptionsOverAWebSocket(t *testing.T) {
	t.Parallel()
	s := start(t)
	conn := s.socket(false, "other", graphProtocol)
	s.say(conn, `{"id":"1","type":"subscribe","payload":{"query":"subscription {countdown(from: 1)}"}}`)
	s.hear(conn, `{"id":"1","type":"next","payload":{"data":{"countdown":1}}}`, `{"id":"1","type":"next","payload":{"data":{"countdown":0}}}`, `{"id":"1","type":"complete"}`)
	s.say(conn, `{"id":"2","type":"subscribe","payload":{"query":"{product(id: 1) {id}}"}}`)
	s.hear(conn, `{"id":"2","type":"next","payload":{"data":{"product":{"id":"1"}}}}`, `{"id":"2","type":"complete"}`)
	s.say(conn, `{"id":"3","type":"subscribe","payload":{"query":"subscription {broken(after: 1)}"}}`)
	s.hear(conn, `{"id":"3","type":"next","payload":{"data":{"broken":1}}}`,
		`{"id":"3","type":"error","payload":[{"message":"the subscription broke after 1, as it was asked to","locations":[{"line":1,"column":1}],"extensions":{"code":"BROKEN"}}]}`)
	s.say(conn, `{"id":"4","type":"subscribe","payload":{"query":"subscription {nope}"}}`)
	s.hear(conn, `{"id":"4","type":"error","payload":[{"message":"Cannot query field \"nope\" on type \"Subscription\".","locations":[{"line":1,"column":15}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`)
	// What is asked after subscribe is answered once the subscription listens.
	s.say(conn, `{"id":"5","type":"subscribe","payload":{"query":"subscription {orderChanged {status}}"}}`, `{"type":"ping"}`)
	s.hear(conn, `{"type":"pong"}`)
	made := s.want("POST /orders", twoTeas, 201, nil)
	s.want("POST /orders/"+made.get(t, "id").(string)+"/pay", "", 200, nil)
	s.hear(conn, `{"id":"5","type":"next","payload":{"data":{"orderChanged":{"status":"CONFIRMED"}}}}`, `{"id":"5","type":"next","payload":{"data":{"orderChanged":{"status":"PAID"}}}}`)
	s.say(conn, `{"id":"5","type":"complete"}`, `{"type":"ping"}`)
	s.hear(conn, `{"type":"pong"}`)
	s.want("POST /orders", twoTeas, 201, nil)
	s.say(conn, `{"type":"ping","payload":{"n":1}}`)
	s.hear(conn, `{"type":"pong","payload":{"n":1}}`)
}

func TestAWebSocketThatBreaksTheProtocolIsClosedWithItsCode(t *testing.T) {
	t.Parallel()
	s := start(t)
	const endless = `{"id":"1","type":"subscribe","payload":{"query":"subscription {orderPlaced {id}}"}}`
	tests := map[string]struct {
		raw      bool
		protocol string
		say      []string
		code     int
	}{
		"a subprotocol that it has not": {true, "graphql-ws", nil, closeNoSubprotocol},
		"no JSON":                       {false, graphProtocol, []string{`hello`}, closeInvalid},
		"an unknown type":               {false, graphProtocol, []string{`{"type":"start"}`}, closeInvalid},
		"subscribe before init":         {true, graphProtocol, []string{endless}, closeUnauthorized},
		"init twice":                    {false, graphProtocol, []string{`{"type":"connection_init"}`}, closeTooManyInits},
		"an id twice":                   {false, graphProtocol, []string{endless, endless}, closeSubscriberTaken},
		"a token that nobody gave":      {true, graphProtocol, []string{`{"type":"connection_init","payload":{"token":"no"}}`}, closeForbidden},
		"no init at all":                {true, graphProtocol, nil, closeInitTimeout},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := s.socket(test.raw, test.protocol)
			s.say(conn, test.say...)
			var err error
			for err == nil {
				_, _, err = conn.ReadMessage()
			}
			if !websocket.IsCloseError(err, test.code) {
				t.Errorf("got %v, want %d", err, test.code)
			}
		})
	}
}

func TestWhoListensWithoutReadingIsLetGo(t *testing.T) {
	t.Parallel()
	var l listeners
	events, stop := l.listen()
	defer stop()
	for range maxUnread + 1 {
		l.tell(orderEvent{})
	}
	n := 0
	for range events {
		n++
	}
	if n != maxUnread || len(l.all) != 0 {
		t.Errorf("got %d events and %d listeners, want %d and none", n, len(l.all), maxUnread)
	}
	for range maxListeners {
		l.listen()
	}
	if events, _ := l.listen(); events != nil {
		t.Errorf("there are more than %d listeners", maxListeners)
	}
}
