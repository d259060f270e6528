package graphql

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin/serve"
	"github.com/testmesh/testmesh/sdk/plugintest"
)

// asPlugin makes this test's binary the plugin in a process of its own.
const asPlugin = "-serve-graphql"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asPlugin {
		os.Args = append(os.Args[:1], os.Args[2:]...)
		serve.Main(New())
	}
	os.Exit(m.Run())
}

// kitServer answers with the variable v, and subscriptions with the variable and
// nothing more.
func kitServer(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Variables map[string]json.RawMessage `json:"variables"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		v := body.Variables["v"]
		if v == nil {
			v = json.RawMessage("null")
		}
		if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: next\ndata: {\"data\":{\"v\":"+string(v)+"}}\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		says(200, "application/json", `{"data":{"v":`+string(v)+`}}`)(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func kitConfig(t *testing.T) plugintest.Config {
	t.Helper()
	call := func(action, config string) plugintest.Call {
		return plugintest.Call{Action: "graphql." + action, Config: json.RawMessage(config)}
	}
	const echo = `{"url": "${server}", "max_body": 67108864, "query": "query($v: V) {v(v: $v)}", "variables": {"v": "${payload}"}}`
	return plugintest.Config{
		Descriptor: New().Describe(),
		Vars:       map[string]any{"server": kitServer(t)},
		Conformance: plugintest.Conformance{
			Echo:    &plugintest.Echo{Call: call("query", echo), Result: "data.v"},
			JSON:    &plugintest.Echo{Call: call("query", echo), Result: "data.v"},
			Slow:    new(call("query", `{"url": "http://${tcp_silent}/", "query": "{v}"}`)),
			Bad:     &plugintest.Bad{Call: call("query", `{"url": "${server}", "query": "{v"}`), Field: "query"},
			Observe: &plugintest.Repeat{Call: call("query", `{"url": "${server}", "query": "{v}"}`), Ignore: []string{"time", "headers.Date"}},
			Secret: new(call("query", `{"url": "${server}", "query": "query($v: V) {v(v: $v)}", "variables": {"v": "${secret}"}, "headers": {"X-Key": "${secret}"},
				"auth": {"type": "bearer", "token": "${secret}"}}`)),
			Session: &plugintest.SessionPair{
				Write: call("subscribe", `{"url": "${server}", "transport": "sse", "query": "subscription($v: V) {v(v: $v)}", "variables": {"v": "${payload}"}}`),
				Read:  plugintest.Echo{Call: call("expect", `{"within": "1s"}`), Result: "messages.0.data.v"},
			},
			Without: map[string]string{"files": "what it reads is a query or a schema, which the kit's file is not; TestFilesOfTheProjectAlone", "binary": "GraphQL carries JSON, not bytes", "idempotent": "a mutation is done once"},
		},
	}
}

func TestItKeepsThePromisesOfTheWireInAProcess(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := kitConfig(t)
	c.Command = []string{exe, asPlugin}
	plugintest.Run(t, c)
}

func TestItKeepsThePromisesOfTheWireInMemory(t *testing.T) {
	c := kitConfig(t)
	c.Plugin = New
	plugintest.Run(t, c)
}
