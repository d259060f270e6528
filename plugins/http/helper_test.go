package http

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/schema"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// m and l shorten what tests write and read as JSON.
type (
	m = map[string]any
	l = []any
)

// caller executes steps of one run as the engine does, and checks that every
// config and result is what the schemas say.
type caller struct {
	t      *testing.T
	plugin *Plugin
	req    plugin.Request
	stream recorder
}

func newCaller(t *testing.T, c Config) *caller {
	t.Helper()
	p := New(c)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &caller{t: t, plugin: p, req: plugin.Request{Action: "http.request", RunID: "run-1", Attempt: 1, StepID: "step", Try: 1, WantExchange: true}}
}

type recorder struct {
	mu        sync.Mutex
	exchanges []plugin.Exchange
}

func (*recorder) Log(string, string) {}

func (r *recorder) Exchange(e plugin.Exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exchanges = append(r.exchanges, e)
}

func (*recorder) Artifact(string, string, []byte) {}

var schemas = sync.OnceValue(func() [2]*schema.Schema {
	var out [2]*schema.Schema
	for i, text := range []string{configSchema, resultSchema} {
		var doc any
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			panic(err)
		}
		s, err := schema.Compile(doc, schema.Options{})
		if err != nil {
			panic(err)
		}
		out[i] = s
	}
	return out
})

func fits(t *testing.T, s *schema.Schema, what string, text []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s is not JSON: %v\n%s", what, err, text)
	}
	for _, finding := range s.Validate(v) {
		t.Errorf("%s does not fit its schema: %v", what, finding)
	}
}

// do executes a request that gets an answer.
func (c *caller) do(config m) m {
	c.t.Helper()
	res, err := c.try(context.Background(), config)
	if err != nil {
		c.t.Fatalf("got error %v, want an answer", err)
	}
	return result(c.t, res)
}

// result reads a result, after its schema had a look at it.
func result(t *testing.T, res *plugin.Response) m {
	t.Helper()
	text, err := res.JSON()
	if err != nil {
		t.Fatal(err)
	}
	fits(t, schemas()[1], "result", text)
	var out m
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// fail executes a request that ends in words for the author of the flow.
func (c *caller) fail(config m) *plugin.Error {
	c.t.Helper()
	return c.failIn(context.Background(), config)
}

func (c *caller) failIn(ctx context.Context, config m) *plugin.Error {
	c.t.Helper()
	res, err := c.try(ctx, config)
	var known *plugin.Error
	if !errors.As(err, &known) {
		c.t.Fatalf("got response %+v and error %v, want a *plugin.Error", res, err)
	}
	if known.Message == "" || known.Code == "" {
		c.t.Errorf("an error without words or code: %+v", known)
	}
	return known
}

func (c *caller) try(ctx context.Context, config m) (*plugin.Response, error) {
	c.t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		c.t.Fatal(err)
	}
	req := c.req
	req.Config = text
	return c.plugin.Execute(ctx, &req, &c.stream)
}

// lastExchange is what the step reported.
func (c *caller) lastExchange() plugin.Exchange {
	c.t.Helper()
	c.stream.mu.Lock()
	defer c.stream.mu.Unlock()
	if len(c.stream.exchanges) == 0 {
		c.t.Fatal("no exchange was reported")
	}
	return c.stream.exchanges[len(c.stream.exchanges)-1]
}

// seen is one request as a server got it.
type seen struct {
	Method, URI, Host, Body, Proto string
	Header                         http.Header
}

// recordingServer keeps the requests it gets and answers by f.
type recordingServer struct {
	*httptest.Server
	mu   sync.Mutex
	list []seen
}

func record(t *testing.T, f http.HandlerFunc) *recordingServer {
	t.Helper()
	s := &recordingServer{}
	s.Server = httptest.NewUnstartedServer(s.handler(f))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *recordingServer) handler(f http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.list = append(s.list, seen{r.Method, r.RequestURI, r.Host, string(body), r.Proto, r.Header.Clone()})
		s.mu.Unlock()
		if f != nil {
			f(w, r)
		}
	})
}

func (s *recordingServer) all() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.list...)
}

func (s *recordingServer) last(t *testing.T) seen {
	t.Helper()
	all := s.all()
	if len(all) == 0 {
		t.Fatal("the server got no request")
	}
	return all[len(all)-1]
}

// rawServer answers each connection by f, below HTTP.
func rawServer(t *testing.T, f func(net.Conn)) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	open.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { c.Close() })
			open.Go(func() {
				defer stop()
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		cancel()
		open.Wait()
	})
	return "http://" + listener.Addr().String()
}

// readHead reads a request without a body.
func readHead(c net.Conn) string {
	var head strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		if _, err := c.Read(b); err != nil {
			break
		}
		head.Write(b)
	}
	return head.String()
}

// hold keeps a connection open until the test ends or the client leaves.
func hold(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// within fails a test whose step hangs.
func within(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	started := time.Now()
	f()
	if took := time.Since(started); took > limit {
		t.Errorf("it took %s, want less than %s", took, limit)
	}
}

func contains(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("got %q, want it to contain %q", got, want)
	}
}
