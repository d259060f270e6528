package websocket

import (
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/serve"
	"github.com/testmesh/testmesh/sdk/plugintest"
)

// asPlugin makes this test's binary the plugin in a process of its own.
const asPlugin = "-serve-websocket"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asPlugin {
		os.Args = append(os.Args[:1], os.Args[2:]...)
		serve.Main(New())
	}
	os.Exit(m.Run())
}

// kitServer says what its query asks for, and then echoes.
func kitServer(t *testing.T) string {
	t.Helper()
	return conversing(t, &websocket.Upgrader{}, func(c *websocket.Conn, r *http.Request) {
		if text := r.URL.Query().Get("say"); r.URL.Query().Has("say") {
			_ = c.WriteMessage(websocket.TextMessage, []byte(text))
		}
		echo(c)
	})
}

func kitConfig(t *testing.T) plugintest.Config {
	t.Helper()
	call := func(action, config string) plugintest.Call {
		return plugintest.Call{Action: "websocket." + action, Config: json.RawMessage(config)}
	}
	exchange := func(config string) plugintest.Call { return call("exchange", config) }
	const large = `"max_message": 67108864, "within": "60s"`
	return plugintest.Config{
		Descriptor: New().Describe(),
		Vars:       map[string]any{"ws": kitServer(t)},
		Conformance: plugintest.Conformance{
			Echo:    &plugintest.Echo{Call: exchange(`{"url": "${ws}", "send": [{"text": "${payload}"}], ` + large + `}`), Result: "messages.0.text"},
			JSON:    &plugintest.Echo{Call: exchange(`{"url": "${ws}", "send": [{"json": "${payload}"}], ` + large + `}`), Result: "messages.0.json"},
			Binary:  &plugintest.Echo{Call: exchange(`{"url": "${ws}", "send": [{"binary": "${payload}"}], ` + large + `}`), Result: "messages.0.binary"},
			Slow:    new(exchange(`{"url": "ws://${tcp_silent}/", "handshake_timeout": "60s"}`)),
			Bad:     &plugintest.Bad{Call: exchange(`{"url": "${ws}", "tls": {"min_version": "0.9"}}`), Field: "tls.min_version"},
			Observe: &plugintest.Repeat{Call: exchange(`{"url": "${ws}?say=hello"}`), Ignore: []string{"time", "headers", "messages.0.at"}},
			Secret:  new(exchange(`{"url": "${ws}?token=x", "headers": {"Authorization": "Bearer ${secret}"}, "query": {"access_token": "${secret}"}, "cookies": {"session": "${secret}"}, "count": 0}`)),
			Session: &plugintest.SessionPair{
				Write: call("connect", `{"name": "kept", "url": "${ws}", "query": {"say": "${payload}"}}`),
				Read:  plugintest.Echo{Call: call("expect", `{"from": "kept"}`), Result: "messages.0.text"},
			},
			File: new(exchange(`{"url": "${ws}", "send": [{"binary_file": "${file}"}]}`)),
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
	c.Plugin = func() plugin.Plugin { return New() }
	plugintest.Run(t, c)
}
