package graphql

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestAQueryBringsWhatTheServerAnswered(t *testing.T) {
	url := shop(t) + "/graphql"
	tests := map[string]struct {
		config             m
		data, errors, rest string
	}{
		"data":           {m{"query": `{product(id: "TEA-001") {name price}}`}, `{"product":{"name":"Darjeeling First Flush","price":29.90}}`, `[]`, ""},
		"exact numbers":  {m{"query": `{numbers {big decimal tiny}}`}, `{"numbers":{"big":9007199254740993,"decimal":0.1000000000000000055511151231257827,"tiny":1e-7}}`, `[]`, ""},
		"aliases":        {m{"query": `{a: __typename b: product(id: 1) {...F}} fragment F on Product {id}`}, `{"a":"Query","b":{"id":"1"}}`, `[]`, ""},
		"variables":      {m{"query": `query($n: Decimal, $l: [Int]) {echo(number: $n, list: $l) {number list}}`, "variables": m{"n": json.Number("1.10"), "l": []any{1, nil}}}, `{"echo":{"number":1.10,"list":[1,null]}}`, `[]`, ""},
		"one of several": {m{"query": `query A {a: __typename} query B {b: __typename}`, "operation_name": "B"}, `{"b":"Query"}`, `[]`, ""},
		"by GET":         {m{"query": `query Q($id: ID!) {product(id: $id) {id}}`, "variables": m{"id": "3"}, "method": "GET", "operation_name": "Q"}, `{"product":{"id":"3"}}`, `[]`, ""},
		"partial data": {
			m{"query": `{product(id: "COF-003") {name rating}}`},
			`{"product":{"name":"Decaf","rating":null}}`,
			`[{"message":"the service of ratings does not answer","locations":[{"line":1,"column":31}],"path":["product","rating"],"extensions":{"code":"UNAVAILABLE","service":"ratings"}}]`, "",
		},
		"errors without data": {
			m{"query": `{nope}`},
			`null`,
			`[{"message":"Cannot query field \"nope\" on type \"Query\". Did you mean \"node\"?","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]`, "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.config["url"] = url
			r := newRun(t)
			res := r.raw("query", test.config)
			if string(res["data"]) != test.data || string(res["errors"]) != test.errors {
				t.Errorf("got data %s and errors %s, want %s and %s", res["data"], res["errors"], test.data, test.errors)
			}
			if _, has := res["body"]; has {
				t.Errorf("a response has a body: %s", res["body"])
			}
		})
	}
}

// raw is a result with its members as they were printed.
func (r *run) raw(action string, config m) map[string]json.RawMessage {
	r.t.Helper()
	_, res, err := r.do(action, config)
	if err != nil {
		r.t.Fatalf("%s: %+v", action, err)
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(res.Result, &out); err != nil {
		r.t.Fatal(err)
	}
	return out
}

func TestExtensionsOfAResponse(t *testing.T) {
	url := answers(t, says(200, "application/json", `{"data":{"a":1},"extensions":{"cost":1.50}}`))
	if got := newRun(t).raw("query", m{"url": url, "query": "{a}"}); string(got["extensions"]) != `{"cost":1.50}` {
		t.Errorf("got %s", got["extensions"])
	}
}

func TestWhatIsNoGraphQLResponseCanBeAssertedAndItsDataCannot(t *testing.T) {
	tests := map[string]struct {
		handle http.HandlerFunc
		status string
		body   string
		why    string
	}{
		"a page of a gateway":        {says(502, "text/html", "<h1>Bad gateway</h1>"), "502", `"<h1>Bad gateway</h1>"`, "the answer is 502 Bad Gateway of the type text/html, and no GraphQL response"},
		"an error in another form":   {says(401, "application/json", `{"error":"who are you?"}`), "401", `{"error":"who are you?"}`, "the answer is 401 Unauthorized with JSON that has neither errors nor a result, and no GraphQL response"},
		"a list":                     {says(200, "application/json", `[1.0]`), "200", `[1.0]`, "the answer is 200 OK with JSON that has neither"},
		"errors that are no list":    {says(200, "application/json", `{"data":{},"errors":"no"}`), "200", `{"data":{},"errors":"no"}`, "the answer is 200 OK with JSON that has neither"},
		"null without a reason":      {says(200, "application/json", `{"data":null}`), "200", `{"data":null}`, "the answer is 200 OK with JSON that has neither"},
		"no errors and no data":      {says(200, "application/json", `{"errors":[]}`), "200", `{"errors":[]}`, "the answer is 200 OK with JSON that has neither"},
		"a status that is an error":  {says(500, "application/json", `{"data":{"a":1}}`), "500", `{"data":{"a":1}}`, "the answer is 500 Internal Server Error with JSON that has neither"},
		"another case":               {says(200, "application/json", `{"DATA":{"a":1}}`), "200", `{"DATA":{"a":1}}`, "the answer is 200 OK with JSON that has neither"},
		"broken JSON":                {says(200, "application/json", `{"data":{"a"`), "200", `"{\"data\":{\"a\""`, "the answer is 200 OK with JSON that is broken after 12 bytes: unexpected end of JSON input"},
		"two values":                 {says(200, "application/graphql-response+json", `{"data":{}} {"data":{}}`), "200", `"{\"data\":{}} {\"data\":{}}"`, "the answer is 200 OK with JSON that is broken after 13 bytes: "},
		"bytes that are no text":     {says(200, "image/png", "\x89PNG\xff"), "200", `"�PNG�"`, "of the type image/png"},
		"nothing":                    {says(204, "", ""), "204", "", "the answer is 204 No Content without a body"},
		"a redirect, not followed":   {http.RedirectHandler("/login", http.StatusFound).ServeHTTP, "302", "", "the answer is 302 Found, a redirect to /login, and no GraphQL response: write that address in url"},
		"a page that is cut in what": {says(200, "text/html", strings.Repeat("ä", maxOther)), "200", `"` + strings.Repeat("ä", maxOther/2) + `… (131072 bytes)"`, "of the type text/html"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, res, err := newRun(t).do("query", m{"url": answers(t, test.handle), "query": "{a}"})
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]json.RawMessage
			if err := json.Unmarshal(res.Result, &got); err != nil {
				t.Fatal(err)
			}
			var why string
			if err := json.Unmarshal(got["body_error"], &why); err != nil || !strings.HasPrefix(why, test.why) && !strings.HasSuffix(why, test.why) && !strings.Contains(why, test.why) {
				t.Errorf("got %q, want %q", why, test.why)
			}
			if string(got["status"]) != test.status || string(got["body"]) != test.body || string(got["data"]) != "null" || string(got["errors"]) != "null" {
				t.Errorf("got %.300s", res.Result)
			}
			if res.Limited != why {
				t.Errorf("its data may be judged: %q", res.Limited)
			}
		})
	}
}

func TestAResponseCountsWhateverItsStatus(t *testing.T) {
	for _, status := range []int{200, 400, 401, 500} {
		url := answers(t, says(status, "application/graphql-response+json", `{"errors":[{"message":"no"}],"data":null}`))
		got := newRun(t).must("query", m{"url": url, "query": "{a}"})
		if text(t, got["errors"]) != `[{"message":"no"}]` || got["body_error"] != nil {
			t.Errorf("%d: got %v", status, got)
		}
	}
}

func TestRequestsAreWhatTheFlowSays(t *testing.T) {
	type sent struct {
		Method, Path string
		Header       map[string]string
		Body         string
	}
	var got sent
	url := answers(t, func(w http.ResponseWriter, r *http.Request) {
		got = sent{r.Method, r.URL.RequestURI(), map[string]string{}, ""}
		for _, name := range []string{"Accept", "Content-Type", "Authorization", "X-Key", "X-Many", "Cookie", "Traceparent", "User-Agent"} {
			if values := r.Header.Values(name); len(values) > 0 {
				got.Header[name] = strings.Join(values, "|")
			}
		}
		if r.Method == http.MethodPost {
			var body json.RawMessage
			_ = json.NewDecoder(r.Body).Decode(&body)
			got.Body = string(body)
		}
		says(200, "application/json", `{"data":{}}`)(w, r)
	})
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	usual := func(more ...string) map[string]string {
		out := map[string]string{"Accept": acceptJSON, "Content-Type": "application/json", "Traceparent": trace, "User-Agent": "TestMesh/"}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	const body = `{"query":"{a}"}`
	tests := map[string]struct {
		config m
		want   sent
	}{
		"nothing more": {m{}, sent{"POST", "/graphql", usual(), body}},
		"all of it": {
			m{"query": "query A($a: X, $b: X) {a(a: $a b: $b)}", "operation_name": "A", "variables": m{"a": json.Number("1.0"), "b": "ä"}},
			sent{"POST", "/graphql", usual(), `{"query":"query A($a: X, $b: X) {a(a: $a b: $b)}","operationName":"A","variables":{"a":1.0,"b":"ä"}}`},
		},
		"headers":               {m{"headers": m{"x-key": 5, "X-Many": []any{"a", true}, "User-Agent": nil, "Accept": "application/json"}}, sent{"POST", "/graphql", map[string]string{"Accept": "application/json", "Content-Type": "application/json", "Traceparent": trace, "X-Key": "5", "X-Many": "a|true"}, body}},
		"without traceparent":   {m{"traceparent": false}, sent{"POST", "/graphql", map[string]string{"Accept": acceptJSON, "Content-Type": "application/json", "User-Agent": "TestMesh/"}, body}},
		"a bearer token":        {m{"auth": m{"type": "bearer", "token": "t0k3n"}}, sent{"POST", "/graphql", usual("Authorization", "Bearer t0k3n"), body}},
		"basic":                 {m{"auth": m{"type": "basic", "username": "ada", "password": "pass"}}, sent{"POST", "/graphql", usual("Authorization", "Basic YWRhOnBhc3M="), body}},
		"basic, in the address": {m{"url": "http://ada:pass@HOST/graphql"}, sent{"POST", "/graphql", usual("Authorization", "Basic YWRhOnBhc3M="), body}},
		"a key in a header":     {m{"auth": m{"type": "api_key", "name": "X-Key", "value": "k3y0"}}, sent{"POST", "/graphql", usual("X-Key", "k3y0"), body}},
		"a key in the query":    {m{"auth": m{"type": "api_key", "name": "key", "value": "k&y0", "location": "query"}}, sent{"POST", "/graphql?key=k%26y0", usual(), body}},
		"a key in a cookie":     {m{"auth": m{"type": "api_key", "name": "key", "value": "k3y0", "location": "cookie"}}, sent{"POST", "/graphql", usual("Cookie", "key=k3y0"), body}},
		"none":                  {m{"auth": m{"type": "none"}}, sent{"POST", "/graphql", usual(), body}},
		"in the address": {
			m{"method": "GET", "query": "query A($a: X) {a(a: $a)}", "operation_name": "A", "variables": m{"a": json.Number("1.0")}},
			sent{"GET", "/graphql?operationName=A&query=query+A%28%24a%3A+X%29+%7Ba%28a%3A+%24a%29%7D&variables=%7B%22a%22%3A1.0%7D", map[string]string{"Accept": acceptJSON, "Traceparent": trace, "User-Agent": "TestMesh/"}, ""},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t)
			r.req.TraceParent = trace
			if test.config["url"] == nil {
				test.config["url"] = url + "/graphql"
			} else {
				test.config["url"] = strings.Replace(test.config["url"].(string), "HOST", strings.TrimPrefix(url, "http://"), 1)
			}
			if test.config["query"] == nil {
				test.config["query"] = "{a}"
			}
			r.must("query", test.config)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestConfigsThatCannotBeSent(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "q.graphql"), []byte("{\n  a(\n}"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		action string
		config m
		field  string
		words  string
	}{
		"no query":                    {"query", m{}, "query", "is missing"},
		"two of them":                 {"query", m{"query": "{a}", "query_file": "q.graphql"}, "query_file", "is given beside query"},
		"a file that is not there":    {"query", m{"query_file": "no.graphql"}, "", "there is no file no.graphql"},
		"a mistake in a file":         {"query", m{"query_file": "q.graphql"}, "query_file", "q.graphql:3:1: Expected Name, found }"},
		"fragments alone":             {"query", m{"query": "fragment F on X {a}"}, "query", "has no operation, only fragments"},
		"several operations":          {"query", m{"query": "query A {a} query B {b}"}, "operation_name", "is missing: the document has the operations A, B"},
		"an operation it has not":     {"query", m{"query": "query A {a} query B {b}", "operation_name": "C"}, "operation_name", `there is no operation "C" in the document, which has A, B`},
		"a subscription":              {"query", m{"query": "subscription {a}"}, "query", "is a subscription"},
		"a mutation by GET":           {"query", m{"query": "mutation {a}", "method": "GET"}, "method", "must not go by GET"},
		"a variable it has not":       {"query", m{"query": "query($a: X, $b: X) {a(b: $a, c: $b)}", "variables": m{"c": 1}}, "variables.c", "declares no variable $c"},
		"schema and introspect":       {"query", m{"query": "{a}", "schema": "q.graphql", "introspect": true}, "introspect", "is given beside schema"},
		"an address without a scheme": {"query", m{"query": "{a}", "url": "localhost/graphql"}, "url", "is not an http or https URL"},
		"an address without a host":   {"query", m{"query": "{a}", "url": "http:///graphql"}, "url", "has no host"},
		"an address that is none":     {"query", m{"query": "{a}", "url": "http://a b:\x7f"}, "url", "it is not a URL"},
		"a header that is none":       {"query", m{"query": "{a}", "headers": m{"a b": "x"}}, "headers", "is not the name of a header"},
		"a map for a header":          {"query", m{"query": "{a}", "headers": m{"a": m{}}}, "headers.a", "must be a text"},
		"a line break in a header":    {"query", m{"query": "{a}", "headers": m{"a": "b\r\nc: d"}}, "headers.a", "holds a line break"},
		"bearer without a token":      {"query", m{"query": "{a}", "auth": m{"type": "bearer"}}, "auth.token", "is missing, which bearer needs"},
		"basic with a token":          {"query", m{"query": "{a}", "auth": m{"type": "basic", "username": "a", "token": "tttt"}}, "auth.token", "is no key of basic"},
		"a key that is no header":     {"query", m{"query": "{a}", "auth": m{"type": "api_key", "name": "a b", "value": "vvvv"}}, "auth.name", "is not the name of a header"},
		"a proxy that is none":        {"query", m{"query": "{a}", "proxy": "nowhere"}, "proxy", "it is not a URL"},
		"a query as a subscription":   {"subscribe", m{"query": "{a}"}, "query", "is a query"},
		"params of another transport": {"subscribe", m{"query": "subscription {a}", "transport": "sse", "connection_params": m{}}, "connection_params", "are of a WebSocket"},
		"no subscription":             {"expect", nil, "from", "is missing, and the run has 0 subscriptions"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t)
			r.req.Root = root
			if test.config == nil {
				test.config = m{}
			} else if test.config["url"] == nil {
				test.config["url"] = "http://" + nobody(t)
			}
			if got := r.fault(test.action, test.config); got.Field != test.field || !strings.Contains(got.Message, test.words) || got.Blame != plugin.BlameDefinition || got.Failed {
				t.Errorf("got %s of %s: %s, want %s: %s", got.Field, got.Blame, got.Message, test.field, test.words)
			}
		})
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	url := answers(t, func(w http.ResponseWriter, r *http.Request) {
		says(200, "application/json", text(t, m{"data": m{"seen": r.Header.Get("Authorization") + r.Header.Get("X-Key")}}))(w, r)
	})
	for _, auth := range []m{{"type": "bearer", "token": "s3cr3t-t0k3n"}, {"type": "api_key", "name": "X-Key", "value": "s3cr3t-t0k3n"}} {
		r := newRun(t)
		_, res, err := r.do("query", m{"url": url, "query": "{seen}", "auth": auth})
		if err != nil || len(r.heard.exchanges) != 1 || len(res.Secrets) != 1 {
			t.Fatalf("got %v, %d exchanges, secrets %v", err, len(r.heard.exchanges), res.Secrets)
		}
		if shown := text(t, r.heard.exchanges[0]); strings.Contains(shown, "s3cr3t") || !strings.Contains(shown, "‹secret") {
			t.Errorf("the exchange shows %s", shown)
		}
	}
}

func TestAnExchangeIsRecorded(t *testing.T) {
	r := newRun(t)
	r.must("query", m{"url": shop(t) + "/graphql", "query": `{product(id: "TEA-001") {name}}`})
	x := r.heard.exchanges[0]
	var request, response m
	if json.Unmarshal(x.Request, &request) != nil || json.Unmarshal(x.Response, &response) != nil {
		t.Fatalf("got %s, %s", x.Request, x.Response)
	}
	if !strings.HasSuffix(x.Summary, "/graphql → 200") || request["body"] != `{"query":"{product(id: \"TEA-001\") {name}}"}` || !strings.Contains(response["body"].(string), "Darjeeling") {
		t.Errorf("got %+v", x)
	}
	if !strings.Contains(x.Curl, `--data-raw '{"query":"{product(id: \"TEA-001\") {name}}"}'`) || x.Timings["total"] <= 0 || x.Timings["first_byte"] <= 0 {
		t.Errorf("got %s, %v", x.Curl, x.Timings)
	}
	r.req.WantExchange = false
	r.must("query", m{"url": shop(t) + "/graphql", "query": `{__typename}`})
	if len(r.heard.exchanges) != 1 {
		t.Error("there is an exchange that nobody wants")
	}
}

func TestConnectionsAreUsedAgainWithinARun(t *testing.T) {
	seen := map[string]bool{}
	url := answers(t, func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		says(200, "application/json", `{"data":{"a":1}}`)(w, r)
	})
	r := newRun(t)
	for range 3 {
		r.must("query", m{"url": url, "query": "{a}"})
	}
	if len(seen) != 1 {
		t.Errorf("got %d connections, want 1", len(seen))
	}
	r.plugin.EndRun("run")
	r.must("query", m{"url": url, "query": "{a}"})
	if len(seen) != 2 {
		t.Errorf("got %d connections after the end of the run, want 2", len(seen))
	}
}

func TestFilesOfTheProjectAlone(t *testing.T) {
	outside := t.TempDir()
	root := t.TempDir()
	for name, folder := range map[string]string{"q.graphql": root, "secret.graphql": outside} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("{__typename}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(outside, "secret.graphql"), filepath.Join(root, "link.graphql")); err != nil {
		t.Fatal(err)
	}
	r := newRun(t)
	r.req.Root = root
	url := shop(t) + "/graphql"
	r.must("query", m{"url": url, "query_file": "q.graphql"})
	for _, name := range []string{"link.graphql", filepath.Join(outside, "secret.graphql"), "../" + filepath.Base(outside) + "/secret.graphql"} {
		for _, key := range []string{"query_file", "schema"} {
			config := m{"url": url, key: name}
			if key == "schema" {
				config["query"] = "{__typename}"
			}
			if got := r.fault("query", config); got.Blame != plugin.BlameDefinition {
				t.Errorf("%s %s: got %+v", key, name, got)
			}
		}
	}
}
