package graphql

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/testmesh/testmesh/examples/demo"
	jsonschema "github.com/testmesh/testmesh/flow/schema"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

type m = map[string]any

// shop is the demo application.
func shop(t testing.TB) string {
	t.Helper()
	app, err := demo.New(demo.Config{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

// answers is a server with one answer to everything.
func answers(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(func() {
		server.CloseClientConnections() // a handler may wait for its client to go
		server.Close()
	})
	return server.URL
}

// says answers with a status, a media type and a body.
func says(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// run executes the steps of one run, and holds every result to its schema.
type run struct {
	t      testing.TB
	plugin plugin.Plugin
	req    plugin.Request
	heard  heard
}

func newRun(t testing.TB) *run {
	t.Helper()
	p := New()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &run{t: t, plugin: p, req: plugin.Request{RunID: "run", StepID: "step", Try: 1, Attempt: 1, WantExchange: true}}
}

// heard keeps what a step reported.
type heard struct {
	mu        sync.Mutex
	logs      []string
	exchanges []plugin.Exchange
	artifacts map[string]string
	covered   []plugin.Coverage
}

func (h *heard) Covered(c plugin.Coverage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.covered = append(h.covered, c)
}

func (h *heard) Log(level, message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logs = append(h.logs, level+": "+message)
}

func (h *heard) Exchange(x plugin.Exchange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.exchanges = append(h.exchanges, x)
}

func (h *heard) Artifact(name, _ string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.artifacts == nil {
		h.artifacts = map[string]string{}
	}
	h.artifacts[name] = string(data)
}

// do executes a step; its id is the action's name unless step says another.
func (r *run) do(action string, config m) (m, *plugin.Response, error) {
	return r.doAs(r.t.Context(), action, action, config)
}

func (r *run) doAs(ctx context.Context, step, action string, config m) (m, *plugin.Response, error) {
	r.t.Helper()
	req := r.req
	req.Action, req.StepID = "graphql."+action, step
	var err error
	if req.Config, err = json.Marshal(config); err != nil {
		r.t.Fatal(err)
	}
	res, err := r.plugin.Execute(ctx, &req, &r.heard)
	if err != nil {
		return nil, nil, err
	}
	r.fits(req.Action, res.Result)
	d := json.NewDecoder(strings.NewReader(string(res.Result)))
	d.UseNumber()
	var out m
	if err := d.Decode(&out); err != nil {
		r.t.Fatal(err)
	}
	return out, res, nil
}

// fits holds a result to the descriptor.
func (r *run) fits(action string, result json.RawMessage) {
	r.t.Helper()
	for _, a := range r.plugin.Describe().GetActions() {
		if a.GetName() != action {
			continue
		}
		declared, err := value.Decode([]byte(a.GetResultSchema()))
		if err != nil {
			r.t.Fatal(err)
		}
		s, err := jsonschema.Compile(declared, jsonschema.Options{})
		if err != nil {
			r.t.Fatal(err)
		}
		v, err := value.Decode(result)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, finding := range s.Validate(v) {
			r.t.Errorf("the result of %s: %s", action, finding.Message)
		}
	}
}

// must executes a step that works.
func (r *run) must(action string, config m) m {
	r.t.Helper()
	return r.mustAs(action, action, config)
}

func (r *run) mustAs(step, action string, config m) m {
	r.t.Helper()
	got, _, err := r.doAs(r.t.Context(), step, action, config)
	if err != nil {
		r.t.Fatalf("%s: %+v", action, err)
	}
	return got
}

// fault executes a step that has no result.
func (r *run) fault(action string, config m) *plugin.Error {
	r.t.Helper()
	got, _, err := r.do(action, config)
	return faultOf(r.t, got, err)
}

func faultOf(t testing.TB, got any, err error) *plugin.Error {
	t.Helper()
	var known *plugin.Error
	if !errors.As(err, &known) {
		t.Fatalf("got %v, %v, want a fault", got, err)
	}
	return known
}

// text is a value as JSON.
func text(t testing.TB, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// listens takes connections and does with them what handle does.
func listens(t *testing.T, handle func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// nobody is an address that nothing listens at.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// rawMap is a map with its values as JSON.
func rawMap(t testing.TB, values m) (map[string]json.RawMessage, error) {
	t.Helper()
	var out map[string]json.RawMessage
	return out, json.Unmarshal([]byte(text(t, values)), &out)
}

// gzipped is n zero bytes, packed.
func gzipped(t testing.TB, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	for chunk := make([]byte, 1<<20); n > 0; n -= len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
