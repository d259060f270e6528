package websocket

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/testmesh/testmesh/examples/demo"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// shop runs the demo application and gives its address, without the scheme.
func shop(t *testing.T) string {
	t.Helper()
	app, err := demo.New(demo.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	res, err := http.Get("http://" + l.Addr().String() + "/healthz") // it runs now
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	return l.Addr().String()
}

// speaks serves WebSocket with a conversation, and gives the address. At the end
// of the test it drops its connections.
func speaks(t *testing.T, upgrader *websocket.Upgrader, talk func(*websocket.Conn)) string {
	t.Helper()
	if upgrader == nil {
		upgrader = &websocket.Upgrader{EnableCompression: true}
	}
	return conversing(t, upgrader, func(c *websocket.Conn, _ *http.Request) { talk(c) })
}

func conversing(t *testing.T, upgrader *websocket.Upgrader, talk func(*websocket.Conn, *http.Request)) string {
	t.Helper()
	var talks sync.WaitGroup
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		talks.Add(1)
		defer talks.Done()
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		ended := make(chan struct{})
		defer close(ended)
		talks.Go(func() { // what was hijacked, no server closes
			select {
			case <-over:
				_ = conn.Close()
			case <-ended:
			}
		})
		talk(conn, r)
	}))
	t.Cleanup(func() {
		close(over)
		server.Close()
		talks.Wait()
	})
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// raw serves one TCP connection after the other with a function.
func raw(t *testing.T, serve func(net.Conn)) string {
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
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// echo gives every message back until the client closes.
func echo(c *websocket.Conn) {
	for {
		kind, data, err := c.ReadMessage()
		if err != nil || c.WriteMessage(kind, data) != nil {
			return
		}
	}
}

// untilGone reads until the client has gone.
func untilGone(c *websocket.Conn) {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return
		}
	}
}

type fields = map[string]any

// player is a run of the plugin.
type player struct {
	t     *testing.T
	p     plugin.Plugin
	run   string
	root  string // of the project; empty: there is none
	heard *listener
}

// play gives a plugin whose goroutines have all ended when the test has.
func play(t *testing.T) *player {
	t.Helper()
	before := goleak.IgnoreCurrent()
	p := &player{t: t, p: New(), run: "run", heard: &listener{}}
	t.Cleanup(func() {
		if err := p.p.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, before)
	})
	return p
}

// listener keeps what a step reports.
type listener struct {
	mu        sync.Mutex
	exchanges []plugin.Exchange
	logs      []string
}

func (l *listener) Log(_, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs = append(l.logs, message)
}

func (*listener) Artifact(string, string, []byte) {}

func (l *listener) Exchange(x plugin.Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.exchanges = append(l.exchanges, x)
}

// step is one step: "feed = connect" has an id.
func (p *player) step(ctx context.Context, name string, config fields) (fields, *plugin.Response, error) {
	p.t.Helper()
	res, err := p.execute(ctx, name, 1, config)
	if err != nil {
		return nil, nil, err
	}
	var result fields
	d := json.NewDecoder(bytes.NewReader(res.Result))
	d.UseNumber()
	if err := d.Decode(&result); err != nil {
		p.t.Fatal(err)
	}
	return result, res, nil
}

func (p *player) execute(ctx context.Context, name string, try int, config fields) (*plugin.Response, error) {
	p.t.Helper()
	id, action, found := strings.Cut(name, " = ")
	if !found {
		id, action = name, name
	}
	text, err := json.Marshal(config)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.p.Execute(ctx, &plugin.Request{
		Action: "websocket." + action, RunID: p.run, StepID: id, Try: try, Config: text, WantExchange: true, Root: p.root,
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}, p.heard)
}

// do is a step that has to give a result.
func (p *player) do(name string, config fields) fields {
	p.t.Helper()
	got, _, err := p.step(p.t.Context(), name, config)
	if err != nil {
		p.t.Fatalf("%s: %v", name, words(err))
	}
	return got
}

// fault is a step that has to end in one.
func (p *player) fault(name string, config fields) *plugin.Error {
	p.t.Helper()
	got, _, err := p.step(p.t.Context(), name, config)
	if err == nil {
		p.t.Fatalf("%s: got %v, want a fault", name, got)
	}
	return faultOf(p.t, err)
}

func faultOf(t *testing.T, err error) *plugin.Error {
	t.Helper()
	var known *plugin.Error
	if !errors.As(err, &known) {
		t.Fatalf("got %v, want a *plugin.Error", err)
	}
	return known
}

// words are all that a person reads of an error.
func words(err error) string {
	var e *plugin.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	out := e.Code + " " + string(e.Blame) + ": " + e.Message
	if e.Failed {
		out = "failed " + out
	}
	if e.Field != "" {
		out += " [" + e.Field + "]"
	}
	return strings.Join(append([]string{out}, append(e.Details, "hint: "+e.Hint)...), "\n")
}

// at reads a member of a result by its path.
func at(v any, path ...any) any {
	for _, key := range path {
		switch parent := v.(type) {
		case fields:
			v = parent[key.(string)]
		case []any:
			i, _ := key.(int)
			if i >= len(parent) {
				return nil
			}
			v = parent[i]
		default:
			return nil
		}
	}
	return v
}

// eventually polls until a claim holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("still not: %s", what)
		}
	}
}

// served gives the ws address of an HTTP server.
func served(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// acceptKey is the answer to a handshake's key (RFC 6455 section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
