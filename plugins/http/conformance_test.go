package http

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/serve"
	"github.com/testmesh/testmesh/sdk/plugintest"
)

// asPlugin makes this test's binary the plugin in a process of its own.
const asPlugin = "-serve-http"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asPlugin {
		os.Args = append(os.Args[:1], os.Args[2:]...)
		serve.Main(New(Config{}))
	}
	os.Exit(m.Run())
}

// kitServer is what the conformance kit's requests go to.
func kitServer(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("/keep", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "kept", Value: r.URL.Query().Get("value"), Path: "/"})
	})
	mux.HandleFunc("/kept", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("kept"); err == nil {
			_, _ = io.WriteString(w, c.Value)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func kitConfig(t *testing.T) plugintest.Config {
	t.Helper()
	call := func(config string) plugintest.Call {
		return plugintest.Call{Action: "http.request", Config: json.RawMessage(config)}
	}
	slow := call(`{"url": "http://${tcp_silent}/"}`)
	secret := call(`{"method": "POST", "url": "${server}/echo?token=${secret}", "headers": {"Authorization": "Bearer ${secret}"}, "cookies": {"c": "x"}, "body": "it is ${secret}"}`)
	file := call(`{"method": "POST", "url": "${server}/echo", "body_file": "${file}"}`)
	times := []string{"time", "timings", "headers.Date", "header_values.Date"}
	return plugintest.Config{
		Descriptor: Descriptor(),
		Vars:       map[string]any{"server": kitServer(t).URL},
		Conformance: plugintest.Conformance{
			Echo:       &plugintest.Echo{Call: call(`{"method": "POST", "url": "${server}/echo", "json": "${payload}"}`), Result: "body"},
			JSON:       &plugintest.Echo{Call: call(`{"method": "POST", "url": "${server}/echo", "json": "${payload}"}`), Result: "body"},
			Binary:     &plugintest.Echo{Call: call(`{"method": "POST", "url": "${server}/echo", "body_base64": "${payload}", "response": "bytes"}`), Result: "body"},
			Slow:       &slow,
			Bad:        &plugintest.Bad{Call: call(`{"url": "${server}/", "tls": {"min_version": "0.9"}}`), Field: "tls.min_version"},
			Observe:    &plugintest.Repeat{Call: call(`{"url": "${server}/kept"}`), Ignore: times},
			Idempotent: &plugintest.Repeat{Call: call(`{"method": "PUT", "url": "${server}/echo", "body": "x"}`), Ignore: times},
			Secret:     &secret,
			Session: &plugintest.SessionPair{
				Write: call(`{"url": "${server}/keep", "query": {"value": "${payload}"}}`),
				Read:  plugintest.Echo{Call: call(`{"url": "${server}/kept"}`), Result: "body"},
			},
			File: &file,
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
	c.Plugin = func() plugin.Plugin { return New(Config{}) }
	plugintest.Run(t, c)
}

// TestTheWireCostsLittle holds a process to ten times the goals, because the
// machines of CI are shared: 50 ms to the first answer, 0.2 ms a call.
func TestTheWireCostsLittle(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := kitConfig(t)
	c.Command, c.Only = []string{exe, asPlugin}, []string{"handshake", "concurrent"}
	all, err := plugintest.Check(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	bounds := map[string]float64{"start": 500, "a small call": 2} // ms
	for _, o := range all {
		for _, f := range o.Figures {
			t.Log(f)
			if most, ok := bounds[f.Name]; ok && f.Value > most*patiently {
				t.Errorf("%s: got %v %s, want %v at most", f.Name, f.Value, f.Unit, most*patiently)
			}
			delete(bounds, f.Name)
		}
	}
	if len(bounds) > 0 {
		t.Errorf("nobody measured %v", bounds)
	}
}
