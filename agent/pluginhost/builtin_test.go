package pluginhost

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/plugins"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// builtins is the catalog of the plugins that come with the binary.
func builtins(t *testing.T) *catalog.Catalog {
	t.Helper()
	var descriptors []*testmeshv1.Descriptor
	for _, b := range plugins.Builtins("test") {
		descriptors = append(descriptors, b.Descriptor)
	}
	c, err := catalog.New(descriptors...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	return c
}

func action(t *testing.T, name string) *catalog.Action {
	t.Helper()
	a, _, ok := builtins(t).Action(name)
	if !ok {
		t.Fatalf("no action %s", name)
	}
	return a
}

func node(t *testing.T, text string) *source.Node {
	t.Helper()
	docs, problems := source.Load("step.yaml", []byte(text))
	if len(problems) > 0 || len(docs) != 1 {
		t.Fatalf("%d documents in %q: %v", len(docs), text, problems)
	}
	return docs[0]
}

func TestEveryActionHasAnExampleThatFitsItsSchema(t *testing.T) {
	c := builtins(t)
	for _, b := range plugins.Builtins("test") {
		for _, spec := range b.Descriptor.GetActions() {
			step := node(t, spec.GetExample())
			if step.Kind != source.List || len(step.Items) != 1 {
				t.Fatalf("the example of %s is not one step", spec.GetName())
			}
			a, alias, ok := c.Action(step.Items[0].Get("action").Text)
			if !ok || alias || a.Name != spec.GetName() {
				t.Errorf("the example of %s is of another action", spec.GetName())
				continue
			}
			config, notes := a.NormalizeConfig(step.Items[0].Get("config"))
			if problems := a.CheckConfig(config, step.Pos); len(problems)+len(notes) > 0 {
				t.Errorf("the example of %s: %v %v", spec.GetName(), notes, problems)
			}
		}
	}
}

func TestDocumentedConfigsOfHTTPAreRewritten(t *testing.T) {
	tests := map[string]struct{ old, want string }{
		"params":                 {`{url: u, params: {a: "1"}}`, `{"query":{"a":"1"},"url":"u"}`},
		"query_params":           {`{url: u, query_params: {a: 1}}`, `{"query":{"a":1},"url":"u"}`},
		"form_data":              {`{url: u, form_data: {a: b}}`, `{"form":{"a":"b"},"url":"u"}`},
		"TLS":                    {`{url: u, verify_ssl: false, client_cert: c.pem, client_key: k.pem}`, `{"tls":{"cert_file":"c.pem","key_file":"k.pem","verify":false},"url":"u"}`},
		"TLS beside its map":     {`{url: u, tls: {min_version: 1.2}, verify_ssl: true}`, `{"tls":{"min_version":1.2,"verify":true},"url":"u"}`},
		"a key as documented":    {`{url: u, auth: {type: api_key, key: k, location: query, name: X}}`, `{"auth":{"location":"query","name":"X","type":"api_key","value":"k"},"url":"u"}`},
		"a key as OpenAPI says":  {`{url: u, auth: {type: api_key, value: k, in: query, name: X}}`, `{"auth":{"location":"query","name":"X","type":"api_key","value":"k"},"url":"u"}`},
		"scopes":                 {`{url: u, auth: {type: oauth2, token_url: t, client_id: c, scopes: [a, b]}}`, `{"auth":{"client_id":"c","scope":["a","b"],"token_url":"t","type":"oauth2"},"url":"u"}`},
		"nothing that is old":    {`{url: u, cookies: {a: 1}, timeout: 5s, follow_redirects: false, max_redirects: 3}`, `{"cookies":{"a":1},"follow_redirects":false,"max_redirects":3,"timeout":"5s","url":"u"}`},
		"versions without quote": {`{url: u, http_version: 2}`, `{"http_version":2,"url":"u"}`},
	}
	a := action(t, "http_request")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, notes := a.NormalizeConfig(node(t, test.old))
			if notes.Err() != nil || value.Compact(got.Plain()) != test.want {
				t.Errorf("got %s, want %s (%v)", value.Compact(got.Plain()), test.want, notes)
			}
			if problems := a.CheckConfig(got, got.Pos); len(problems) > 0 {
				t.Errorf("what it became does not fit: %v", problems)
			}
			if err := a.CheckValue(got.Plain()); err != nil {
				t.Errorf("nor its value: %v", err)
			}
		})
	}
}

func TestMistakesInConfigsOfHTTPAreNamed(t *testing.T) {
	tests := map[string]struct{ config, message, hint string }{
		"a typo":               {`{url: u, heders: {}}`, `unknown key "heders" in config`, `did you mean "headers"?`},
		"no URL":               {`{method: GET}`, `http.request needs the key "url"`, ""},
		"no unit":              {`{url: u, timeout: 30}`, "config.timeout must be a string, not 30", "write a unit"},
		"a typo in auth":       {`{url: u, auth: {type: basic, username: a, pasword: b}}`, `unknown key "pasword" in config.auth`, `did you mean "password"?`},
		"a bearer of nothing":  {`{url: u, auth: {type: bearer}}`, `config.auth needs the key "token"`, ""},
		"a key of another":     {`{url: u, auth: {type: bearer, token: t, username: a}}`, `unknown key "username" in config.auth`, ""},
		"a kind of nobody":     {`{url: u, auth: {type: kerberos}}`, "config.auth.type must be", ""},
		"a part's typo":        {`{url: u, multipart: [{nam: a}]}`, `unknown key "nam" in config.multipart[0]`, `did you mean "name"?`},
		"a version of nothing": {`{url: u, http_version: 3}`, "config.http_version must be auto, 1.1", ""},
	}
	a := action(t, "http.request")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			problems := a.CheckConfig(node(t, test.config), source.Pos{})
			if len(problems) == 0 {
				t.Fatal("it was accepted")
			}
			if p := problems[0]; !strings.Contains(p.Message, test.message) || !strings.Contains(p.Hint, test.hint) {
				t.Errorf("got %q (%s), want %q (%s)", p.Message, p.Hint, test.message, test.hint)
			}
		})
	}
}

func TestEffectsOfHTTP(t *testing.T) {
	tests := map[string]struct{ config, want string }{
		"nothing said":             {`{url: u}`, "observe"},
		"GET":                      {`{url: u, method: GET}`, "observe"},
		"head":                     {`{url: u, method: head}`, "observe"},
		"OPTIONS":                  {`{url: u, method: OPTIONS}`, "observe"},
		"PUT":                      {`{url: u, method: PUT}`, "idempotent"},
		"delete":                   {`{url: u, method: delete}`, "idempotent"},
		"POST":                     {`{url: u, method: POST}`, "once"},
		"PATCH":                    {`{url: u, method: PATCH, headers: {A: b}}`, "once"},
		"POST with a key":          {`{url: u, method: POST, headers: {idempotency-KEY: k}}`, "idempotent"},
		"a method of one's own":    {`{url: u, method: PURGE}`, "once"},
		"GET with a key is no one": {`{url: u, method: GET, headers: {Idempotency-Key: k}}`, "observe"},
	}
	a := action(t, "http")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			effect, err := a.EffectOf(node(t, test.config).Plain())
			if got := catalog.EffectName(effect); err != nil || got != test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestOldNamesOfHTTPsResults(t *testing.T) {
	a := action(t, "http.request")
	answer := map[string]any{"status": int64(200), "time": 1.5, "body": "x"}
	for name, want := range map[string]any{"status": int64(200), "status_code": int64(200), "response_time": 1.5, "body": "x"} {
		if got, ok := a.ResultName(answer, name); !ok || !value.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, ok, want)
		}
	}
	if got, ok := a.ResultName(answer, "response"); !ok || !value.Equal(got, answer) {
		t.Errorf("response: got %v, want the whole", got)
	}
}

// What the engine cannot decode would be reported as the plugin's fault; no
// answer of a system may lead there.
func TestWhateverASystemAnswersTheEngineCanDecode(t *testing.T) {
	bodies := map[string]string{
		"nested to the brim": strings.Repeat("[", 900) + strings.Repeat("]", 900),
		"nested too deep":    strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000),
		"long numbers":       "[" + strings.Repeat("7", 3000) + ",0." + strings.Repeat("7", 2998) + "e-999,1e999,-1E-999]",
		"longer numbers":     strings.Repeat("7", 10000),
		"a long fraction":    "0." + strings.Repeat("0", 9000) + "1",
		"exponents":          `[1e4097, 1e-4097, 1e99999999999]`,
		"duplicate keys":     `{"a":1,"a":{"b":2}}`,
		"surrogates alone":   `["\ud800", "\udc00x"]`,
		"bytes that are not": "{\"a\": \"\xff\xfe\"}",
		"zeros":              "\x00\x00",
		"a comment":          `{/* */}`,
		"numbers of others":  `[NaN, 0x10, 01, .5, +1]`,
		"a lone text":        `"x"`,
		"nothing but spaces": " \n\t ",
	}
	for name, body := range bodies {
		for _, kind := range []string{"application/json", "", "text/plain", "application/xml", "application/octet-stream", "text/plain; charset=utf-16"} {
			t.Run(name+" as "+kind, func(t *testing.T) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header()["Content-Type"] = []string{kind}
					_, _ = io.WriteString(w, body)
				}))
				defer server.Close()
				h := New(Config{Resident: map[string]func() plugin.Plugin{"http": plugins.Builtins("test")[0].New}})
				defer h.Close()
				config, err := json.Marshal(map[string]any{"url": server.URL})
				if err != nil {
					t.Fatal(err)
				}
				res, err := h.Execute(context.Background(), &plugin.Request{Action: "http.request", Config: config}, nil)
				if err != nil {
					t.Fatal(err)
				}
				text, err := res.JSON()
				if err != nil {
					t.Fatal(err)
				}
				got, err := value.DecodeLenient(text)
				if err != nil {
					t.Fatalf("the engine cannot decode it: %v", err)
				}
				keys := got.(map[string]any)
				if keys["status"] != int64(200) {
					t.Errorf("got status %v, want 200", keys["status"])
				}
			})
		}
	}
}
