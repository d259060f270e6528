package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// patience bounds every wait for what must come.
const patience = 20 * time.Second

// fake is a plugin whose methods a test gives.
type fake struct {
	describe func() *testmeshv1.Descriptor
	execute  func(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error)
	call     func(ctx context.Context, req *plugin.FunctionRequest) (json.RawMessage, error)
	health   func(ctx context.Context) error

	mu    sync.Mutex
	host  plugin.Host
	ended []string
}

func (f *fake) Describe() *testmeshv1.Descriptor {
	if f.describe != nil {
		return f.describe()
	}
	return &testmeshv1.Descriptor{Name: "fake", Version: "1.2.3"}
}

func (f *fake) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	return f.execute(ctx, req, out)
}

func (f *fake) Call(ctx context.Context, req *plugin.FunctionRequest) (json.RawMessage, error) {
	return f.call(ctx, req)
}

func (f *fake) Configure(_ context.Context, host plugin.Host) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.host = host
	return nil
}

func (f *fake) Health(ctx context.Context) error {
	if f.health == nil {
		return nil
	}
	return f.health(ctx)
}

func (f *fake) EndRun(runID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = append(f.ended, runID)
}

func (f *fake) Close() error { return nil }

func (f *fake) runsEnded() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ended)
}

// dial serves a plugin in this process and gives a client of it, and what cuts
// the connection.
func dial(t *testing.T, p plugin.Plugin) (c *Client, cut func()) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	listener := bufconn.Listen(1 << 20)
	s := grpc.NewServer(grpc.MaxRecvMsgSize(MaxMessageBytes))
	pluginv1.RegisterPluginServiceServer(s, NewServer(p))
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:fake", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	cut = sync.OnceFunc(func() { _ = conn.Close() })
	t.Cleanup(func() {
		cut()
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return NewClient(conn), cut
}

func open(t *testing.T, c *Client, id, runID string) *Session {
	t.Helper()
	s, err := c.Open(context.Background(), id, runID, 3)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
	}
}

// recorder keeps what a call reports, in order.
type recorder struct {
	mu    sync.Mutex
	lines []string
	got   []plugin.Exchange
}

func (r *recorder) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *recorder) Log(level, message string)  { r.add(level + " " + message) }
func (r *recorder) Exchange(x plugin.Exchange) { r.got = append(r.got, x); r.add("exchange") }
func (r *recorder) Artifact(name, mediaType string, data []byte) {
	r.add(name + " " + mediaType + " " + string(data))
}

func TestATryCrossesWhole(t *testing.T) {
	want := &plugin.Request{
		Action: "fake.do", Config: json.RawMessage(`{"n": 12345678901234567890.10, "u": null}`), RunID: "run-1", Attempt: 3,
		StepID: "pay", Try: 2, TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		Root: "/project", Dir: "flows", WantExchange: true,
	}
	started := time.Date(2026, 5, 6, 7, 8, 9, 10, time.UTC)
	exchange := plugin.Exchange{
		Protocol: "FAKE/1", Summary: "DO → 1", Request: json.RawMessage(`{"a":1.10}`), Response: json.RawMessage(`[]`),
		Timings: map[string]float64{"total": 1.5}, Started: started, Curl: "curl x",
	}
	var got plugin.Request
	var host plugin.Host
	f := &fake{}
	f.execute = func(_ context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
		got, host = *req, f.host
		out.Log("warn", "bad byte \xff")
		out.(interface{ Progress(string) }).Progress("1 of 3")
		out.Log("TRACE", "a level of its own")
		out.Exchange(exchange)
		out.Artifact("a.png", "image/png", []byte{1, 2})
		return &plugin.Response{
			Members: members{"exact": json.RawMessage("1e400"), "text": "<&>", "none": nil}, Limited: "body over 10 MiB",
			Secrets: []plugin.Secret{{Name: "token", Value: "s3\xffcret"}}, RetryAfter: 1500 * time.Millisecond,
		}, nil
	}
	c, _ := dial(t, f)
	ctx := context.Background()
	d, err := c.Describe(ctx)
	if err != nil || !proto.Equal(d, f.Describe()) {
		t.Errorf("got descriptor %v, %v", d, err)
	}
	if err := c.Configure(ctx, plugin.Host{Version: "9.9.9", AgentName: "laptop", TempDir: "/tmp/x"}); err != nil {
		t.Fatal(err)
	}
	s := open(t, c, "s1", "run-1")
	var out recorder
	res, err := c.Execute(ctx, s.ID(), want, &out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*want, got, cmpopts.IgnoreFields(plugin.Request{}, "Mask")); diff != "" {
		t.Errorf("the request changed on the way (-sent +received):\n%s", diff)
	}
	if host != (plugin.Host{Version: "9.9.9", AgentName: "laptop", TempDir: "/tmp/x"}) {
		t.Errorf("got host %+v", host)
	}
	wantResult := &plugin.Response{
		Result: json.RawMessage(`{"exact":1e400,"none":null,"text":"<&>"}`), Limited: "body over 10 MiB",
		Secrets: []plugin.Secret{{Name: "token", Value: "s3\xffcret"}}, RetryAfter: 1500 * time.Millisecond,
	}
	if diff := cmp.Diff(wantResult, res); diff != "" {
		t.Errorf("the result changed on the way (-sent +received):\n%s", diff)
	}
	wantLines := []string{"warn bad byte \uFFFD", "debug 1 of 3", "info a level of its own", "exchange", "a.png image/png \x01\x02"}
	if diff := cmp.Diff(wantLines, out.lines); diff != "" {
		t.Errorf("the reports changed on the way (-sent +received):\n%s", diff)
	}
	if diff := cmp.Diff([]plugin.Exchange{exchange}, out.got); diff != "" {
		t.Errorf("the exchange changed on the way (-sent +received):\n%s", diff)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"run-1"}, f.runsEnded()); diff != "" {
		t.Errorf("runs that ended: %s", diff)
	}
}

func TestErrorsOfAPluginCrossWithWhoIsToBlame(t *testing.T) {
	tests := map[string]struct {
		err  error
		want *plugin.Error
	}{
		"a full one": {
			&plugin.Error{
				Code: plugin.CodeWait, Message: "no message came", Hint: "look at the topic", Blame: plugin.BlameSystem, Field: "match.id",
				Details: []string{"3 seen"}, Cause: errors.New("eof"), Failed: true, RetryAfter: time.Second,
			},
			&plugin.Error{
				Code: plugin.CodeWait, Message: "no message came", Hint: "look at the topic", Blame: plugin.BlameSystem, Field: "match.id",
				Details: []string{"3 seen"}, Failed: true, RetryAfter: time.Second,
			},
		},
		"the zero blame is the system": {
			&plugin.Error{Code: plugin.CodeConn, Message: "refused"},
			&plugin.Error{Code: plugin.CodeConn, Message: "refused", Blame: plugin.BlameSystem},
		},
		"the agent":                      {&plugin.Error{Code: "E-X", Message: "m", Blame: plugin.BlameAgent}, &plugin.Error{Code: "E-X", Message: "m", Blame: plugin.BlameAgent}},
		"the definition":                 {&plugin.Error{Code: "E-X", Message: "m", Blame: plugin.BlameDefinition}, &plugin.Error{Code: "E-X", Message: "m", Blame: plugin.BlameDefinition}},
		"a plugin has no bugs of ours":   {&plugin.Error{Code: "E-X", Message: "m", Blame: plugin.BlameTestMesh}, &plugin.Error{Code: "E-X", Message: "m", Blame: plugin.BlamePlugin}},
		"an error without words":         {errors.New("index out of range"), &plugin.Error{Code: plugin.CodePlugin, Message: "index out of range", Blame: plugin.BlamePlugin}},
		"an error that says nothing":     {&plugin.Error{}, &plugin.Error{Code: plugin.CodePlugin, Message: "the plugin gave no reason", Blame: plugin.BlameSystem}},
		"bytes that are no text survive": {errors.New("a\xffb"), &plugin.Error{Code: plugin.CodePlugin, Message: "a\uFFFDb", Blame: plugin.BlamePlugin}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := dial(t, &fake{
				execute: func(context.Context, *plugin.Request, plugin.Stream) (*plugin.Response, error) { return nil, test.err },
				call:    func(context.Context, *plugin.FunctionRequest) (json.RawMessage, error) { return nil, test.err },
			})
			s := open(t, c, "s1", "run-1")
			_, err := c.Execute(context.Background(), s.ID(), &plugin.Request{}, nil)
			if diff := cmp.Diff(error(test.want), err); diff != "" {
				t.Errorf("of an action (-want +got):\n%s", diff)
			}
			_, err = c.Call(context.Background(), &plugin.FunctionRequest{})
			if diff := cmp.Diff(error(test.want), err); diff != "" {
				t.Errorf("of a function (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPanicIsTheFaultOfItsOwnCall(t *testing.T) {
	boom := func() { panic("boom") }
	f := &fake{
		execute: func(_ context.Context, req *plugin.Request, _ plugin.Stream) (*plugin.Response, error) {
			if req.Action == "fake.boom" {
				boom()
			}
			return &plugin.Response{Result: json.RawMessage(`{}`)}, nil
		},
		call:   func(context.Context, *plugin.FunctionRequest) (json.RawMessage, error) { boom(); return nil, nil },
		health: func(context.Context) error { boom(); return nil },
	}
	c, _ := dial(t, f)
	ctx := context.Background()
	s := open(t, c, "s1", "run-1")
	_, err := c.Execute(ctx, s.ID(), &plugin.Request{Action: "fake.boom"}, nil)
	_, callErr := c.Call(ctx, &plugin.FunctionRequest{Function: "f"})
	for _, err := range []error{err, callErr} {
		var e *plugin.Error
		if !errors.As(err, &e) || e.Blame != plugin.BlamePlugin || e.Message != "the plugin panicked: boom" {
			t.Fatalf("got %v", err)
		}
		if words := strings.Join(e.Details, "\n"); !strings.Contains(words, "wire_test.go") {
			t.Errorf("the last words do not name the place: %s", words)
		}
	}
	if h, err := c.Health(ctx); err != nil || h.GetReady() || !strings.Contains(h.GetDetail(), "boom") {
		t.Errorf("got health %v, %v", h, err)
	}
	if _, err := c.Execute(ctx, s.ID(), &plugin.Request{Action: "fake.fine"}, nil); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

// members are a result whose members are there.
type members map[string]any

func (m members) Names() []string { return slices.Sorted(maps.Keys(m)) }

func (m members) Member(name string) (any, bool) { v, ok := m[name]; return v, ok }

func (m members) Size() int { return 100 }

func TestWhatAPluginOwesIsItsFault(t *testing.T) {
	tests := map[string]struct {
		res  *plugin.Response
		want string
	}{
		"nothing at all":            {nil, "neither a result nor an error"},
		"members that cannot print": {&plugin.Response{Members: members{"f": func() {}}}, "print result"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := dial(t, &fake{execute: func(context.Context, *plugin.Request, plugin.Stream) (*plugin.Response, error) { return test.res, nil }})
			_, err := c.Execute(context.Background(), open(t, c, "s1", "run-1").ID(), &plugin.Request{}, nil)
			var e *plugin.Error
			if !errors.As(err, &e) || e.Blame != plugin.BlamePlugin || !strings.Contains(e.Message, test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestTheEndOfTheContextReachesThePluginWithItsCause(t *testing.T) {
	started, cause := make(chan struct{}), make(chan error, 1)
	f := &fake{execute: func(ctx context.Context, _ *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
		close(started)
		<-ctx.Done()
		cause <- context.Cause(ctx)
		out.Log("info", "how far it came")
		return nil, &plugin.Error{Code: plugin.CodeTimeout, Message: "while connecting"}
	}}
	c, _ := dial(t, f)
	s := open(t, c, "s1", "run-1")
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { <-started; cancel(errors.New("a person wanted it")) }()
	var out recorder
	_, err := c.Execute(ctx, s.ID(), &plugin.Request{}, &out)
	if err == nil || err.Error() != "while connecting" {
		t.Errorf("got %v, want what the plugin had to say", err)
	}
	if got := <-cause; got.Error() != "a person wanted it" {
		t.Errorf("got cause %v", got)
	}
	if len(out.lines) != 1 {
		t.Errorf("got %v, want what was said after the cancellation too", out.lines)
	}
}

func TestADeadlineIsThePluginsOwn(t *testing.T) {
	f := &fake{execute: func(ctx context.Context, _ *plugin.Request, _ plugin.Stream) (*plugin.Response, error) {
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, errors.New("it was cancelled before its time was over")
		}
		return nil, &plugin.Error{Code: plugin.CodeTimeout, Message: "time is over"}
	}}
	c, _ := dial(t, f)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Execute(ctx, open(t, c, "s1", "run-1").ID(), &plugin.Request{}, nil)
	if err == nil || (err.Error() != "time is over" && !strings.Contains(err.Error(), "cancelled before")) {
		t.Errorf("got %v, want the plugin's own words", err)
	}
}

func TestACallThatDoesNotEndIsLeftBehind(t *testing.T) {
	release := make(chan struct{})
	f := &fake{execute: func(context.Context, *plugin.Request, plugin.Stream) (*plugin.Response, error) {
		<-release
		return &plugin.Response{}, nil
	}}
	c, _ := dial(t, f)
	s := open(t, c, "s1", "run-1")
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	began := time.Now()
	_, err := c.Execute(ctx, s.ID(), &plugin.Request{}, nil)
	var lost *Lost
	if !errors.As(err, &lost) || !lost.Hung {
		t.Errorf("got %v, want a call that hangs", err)
	}
	if took := time.Since(began); took < Grace || took > 10*Grace {
		t.Errorf("left behind after %v, want %v", took, Grace)
	}
}

func TestACutConnectionEndsTheSessionAndItsCalls(t *testing.T) {
	started, ended := make(chan struct{}), make(chan error, 1)
	f := &fake{execute: func(ctx context.Context, _ *plugin.Request, _ plugin.Stream) (*plugin.Response, error) {
		close(started)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}}
	c, cut := dial(t, f)
	s := open(t, c, "s1", "run-1")
	go func() { <-started; cut() }()
	_, err := c.Execute(context.Background(), s.ID(), &plugin.Request{}, nil)
	var lost *Lost
	if !errors.As(err, &lost) || lost.Hung {
		t.Errorf("got %v, want a lost call", err)
	}
	closed(t, "the end of the session", s.Done())
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the plugin's call ended with %v", err)
	}
	for deadline := time.Now().Add(patience); len(f.runsEnded()) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the plugin still holds what it kept for the run")
		}
	}
}

func TestSessions(t *testing.T) {
	f := &fake{execute: func(context.Context, *plugin.Request, plugin.Stream) (*plugin.Response, error) {
		return &plugin.Response{Result: json.RawMessage(`{}`)}, nil
	}}
	c, _ := dial(t, f)
	ctx := context.Background()
	first := open(t, c, "s1", "run-1")
	if _, err := c.Open(ctx, "s1", "run-2", 1); err == nil {
		t.Error("a second session took the name of an open one")
	}
	if _, err := c.Open(ctx, "s2", "run-1", 1); err == nil {
		t.Error("a run has two sessions")
	}
	second := open(t, c, "s2", "run-2")
	if h, err := c.Health(ctx); err != nil || !h.GetReady() || h.GetSessions() != 2 || h.GetExecuting() != 0 {
		t.Errorf("got health %v, %v", h, err)
	}
	if err := first.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(ctx); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if _, err := c.Execute(ctx, "s1", &plugin.Request{}, nil); err == nil || !strings.Contains(err.Error(), "no session") {
		t.Errorf("a call of a closed session: %v", err)
	}
	if _, err := c.Execute(ctx, second.ID(), &plugin.Request{}, nil); err != nil {
		t.Errorf("the other session: %v", err)
	}
	if diff := cmp.Diff([]string{"run-1"}, f.runsEnded()); diff != "" {
		t.Error(diff)
	}
	open(t, c, "s1", "run-1") // again, once the first is over
}

func TestFunctions(t *testing.T) {
	var got plugin.FunctionRequest
	c, _ := dial(t, &fake{call: func(_ context.Context, req *plugin.FunctionRequest) (json.RawMessage, error) {
		got = *req
		return json.RawMessage(`0.10`), nil
	}})
	want := plugin.FunctionRequest{Function: "f", Args: json.RawMessage(`[1.0, null]`), RunID: "r", Root: "/p", Dir: "d"}
	res, err := c.Call(context.Background(), &want)
	if err != nil || string(res) != "0.10" {
		t.Errorf("got %s, %v", res, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLargeResultsCross(t *testing.T) {
	text := json.RawMessage(`"` + strings.Repeat("x", 32<<20) + `"`)
	c, _ := dial(t, &fake{execute: func(_ context.Context, req *plugin.Request, _ plugin.Stream) (*plugin.Response, error) {
		return &plugin.Response{Result: req.Config}, nil
	}})
	res, err := c.Execute(context.Background(), open(t, c, "s1", "r").ID(), &plugin.Request{Config: text}, nil)
	if err != nil || string(res.Result) != string(text) {
		t.Errorf("32 MiB did not come back: %v", err)
	}
}

// A goroutine of a plugin that goes on must not write into a call that ended.
func TestReportsAfterTheEndAreNotHeard(t *testing.T) {
	late := make(chan plugin.Stream, 1)
	c, _ := dial(t, &fake{execute: func(_ context.Context, _ *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
		late <- out
		return &plugin.Response{Result: json.RawMessage(`{}`)}, nil
	}})
	var out recorder
	s := open(t, c, "s1", "r")
	if _, err := c.Execute(context.Background(), s.ID(), &plugin.Request{}, &out); err != nil {
		t.Fatal(err)
	}
	(<-late).Log("info", "too late")
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(out.lines) != 0 {
		t.Errorf("got %v", out.lines)
	}
}

func TestLostSaysWhy(t *testing.T) {
	for _, lost := range []*Lost{{Err: io.EOF}, {Err: io.EOF, Hung: true}} {
		if !errors.Is(lost, io.EOF) || !strings.Contains(lost.Error(), "EOF") {
			t.Errorf("%v hides its cause", lost)
		}
	}
}
