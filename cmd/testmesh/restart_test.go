package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// way is what lies between agents and the control plane: it can lose what a test says.
type way struct {
	*url.URL
	lose atomic.Pointer[func(path string) bool]
}

func (m *fleet) way(t *testing.T) *way {
	t.Helper()
	to, err := url.Parse(m.address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	w := &way{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(res http.ResponseWriter, req *http.Request) {
		if lose := w.lose.Load(); lose != nil && (*lose)(req.URL.Path) {
			res.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(res, req)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	w.URL, err = url.Parse("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *way) loses(paths ...string) {
	lose := func(path string) bool {
		for _, p := range paths {
			if strings.Contains(path, p) {
				return true
			}
		}
		return false
	}
	w.lose.Store(&lose)
}

// one waits until there is one run of a batch for which check holds.
func (m *fleet) one(t *testing.T, batch string, check func(r *apiv1.Run) error) (run *apiv1.Run) {
	t.Helper()
	until(t, "the run", 30*time.Second, func() error {
		list, err := m.client.Runs.ListRuns(t.Context(), &apiv1.ListRunsRequest{BatchId: batch})
		if err != nil || len(list.GetRuns()) != 1 {
			return fmt.Errorf("got %v (%w)", list, errors.Join(err))
		}
		run = list.GetRuns()[0]
		return check(run)
	})
	return run
}

func TestAVerdictThatCouldNotBeToldIsToldByTheNextProcess(t *testing.T) {
	w := newWitness(t)
	m := startTimed(t, t.TempDir(), short)
	defer m.stop()
	between := m.way(t)
	direct := m.address
	m.address = between.String()
	first := m.start(t, "one", nil)
	between.loses("/Finish")
	flow := "flow:\n  name: Once\n  steps:\n    - {id: pay, action: http.request, config: {method: POST, url: \"" + w.URL + "/pay\"}}\n    - {id: no, action: assert, assert: [\"1 == 2\"]}\n"
	m.address = direct
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "once.yaml"}}}, map[string]string{"once.yaml": flow})
	until(t, "the end that is written down", 30*time.Second, func() error {
		ends, err := filepath.Glob(filepath.Join(m.dir, "agent-one", "spool", "*.end"))
		if err != nil || len(ends) != 1 {
			return fmt.Errorf("got %v (%w)", ends, errors.Join(err))
		}
		text, err := os.ReadFile(ends[0])
		if err == nil && strings.Contains(string(text), "pay") {
			return errors.New("the end is written down in the clear")
		}
		return err
	})
	first.kill()
	between.loses()
	m.address = between.String()
	m.start(t, "one", nil)
	_, runs := m.ended(t, b.GetId())
	if r := runs[0]; r.GetStatus() != apiv1.RunStatus_RUN_STATUS_FAILED || len(r.GetAttempts()) != 1 {
		t.Errorf("the run is %s (%s) after %d attempts, want failed after one", r.GetStatus(), r.GetReason(), len(r.GetAttempts()))
	}
	if n := w.count("POST /pay"); n != 1 {
		t.Errorf("it was paid %d times", n)
	}
	until(t, "an empty spool", 10*time.Second, func() error {
		left, err := filepath.Glob(filepath.Join(m.dir, "agent-one", "spool", "*"))
		if err != nil || len(left) != 0 {
			return fmt.Errorf("%v (%w)", left, errors.Join(err))
		}
		return nil
	})
}

func TestWhatARunDidBeforeItsAgentWasKilledIsSentByTheNextProcess(t *testing.T) {
	w := newWitness(t)
	m := startTimed(t, t.TempDir(), short)
	defer m.stop()
	between := m.way(t)
	between.loses("/agent/stream", "/Append")
	direct := m.address
	m.address = between.String()
	first := m.start(t, "one", nil)
	m.address = direct
	flow := "flow:\n  name: Cut\n  steps:\n    - {id: said, action: log, config: {message: before the end}}\n    - {id: pay, action: http.request, config: {method: POST, url: \"" + w.URL + "/pay\"}}\n    - {id: hang, action: http.request, timeout: 5m, config: {url: \"" + w.URL + "/hold\"}}\n"
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "cut.yaml"}}}, map[string]string{"cut.yaml": flow})
	until(t, "the step that hangs", 30*time.Second, func() error {
		if n := w.count("GET /hold"); n != 1 {
			return fmt.Errorf("%q", w.all())
		}
		return nil
	})
	run := m.one(t, b.GetId(), func(r *apiv1.Run) error { return nil })
	if got := m.snapshot(t, run.GetId()); len(got) != 0 {
		t.Fatalf("%d events came although nothing was let through", len(got))
	}
	first.kill()
	between.loses()
	m.address = between.String()
	m.start(t, "one", nil)
	_, runs := m.ended(t, b.GetId())
	if r := runs[0]; r.GetStatus() != apiv1.RunStatus_RUN_STATUS_ERRORED || !strings.Contains(r.GetReason(), "indeterminate") {
		t.Errorf("the run is %s (%s)", r.GetStatus(), r.GetReason())
	}
	said := false
	for _, e := range m.stream(t, run.GetId()) {
		said = said || e.Type == event.TypeStepLog && e.Log.Message == "before the end"
	}
	if !said {
		t.Error("what it said before it was killed is lost")
	}
}

func TestTwoProcessesAreNotOneAgent(t *testing.T) {
	m := startTimed(t, t.TempDir(), short)
	defer m.stop()
	first := m.start(t, "one", nil, "--listen", "127.0.0.1:0")
	var address string
	until(t, "its address", 20*time.Second, func() error {
		_, rest, ok := strings.Cut(first.out.String(), "address=")
		if !ok || !strings.Contains(first.out.String(), "takes work") {
			return errors.New(first.out.String())
		}
		address, _, _ = strings.Cut(rest, "\n")
		return nil
	})
	second := m.start(t, "one", nil)
	<-second.done
	if !strings.Contains(second.out.String(), "is in use by another agent") {
		t.Errorf("the second said %s", second.out)
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": "testmesh_agent_slots 4\n", "/status": `"ready":true`} {
		res, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: got %s (%v), want %s in it", path, text, err, want)
		}
		_ = res.Body.Close()
	}
}

func TestEgressRulesOfAnAgentHoldForEveryStep(t *testing.T) {
	w := newWitness(t)
	target, err := url.Parse(w.URL)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := newWitness(t) // to which the first one would lead
	redirect := http.NewServeMux()
	redirect.HandleFunc("/", func(res http.ResponseWriter, req *http.Request) {
		http.Redirect(res, req, elsewhere.URL+"/led", http.StatusFound)
	})
	leads := newRedirect(t, redirect)
	m := startTimed(t, t.TempDir(), short)
	defer m.stop()
	lead, err := url.Parse(leads)
	if err != nil {
		t.Fatal(err)
	}
	m.start(t, "one", nil, "--egress", "allow 127.0.0.1:"+target.Port(), "--egress", "allow 127.0.0.1:"+lead.Port(), "--egress", "deny *")
	host := elsewhere.Listener.Addr().String()
	steps := map[string]string{
		"allowed":   `{id: s, action: http.request, config: {url: "` + w.URL + `/fine"}}`,
		"http":      `{id: s, action: http.request, config: {url: "` + elsewhere.URL + `"}}`,
		"redirect":  `{id: s, action: http.request, config: {url: "` + leads + `", follow_redirects: true}}`,
		"wait_for":  `{id: s, action: wait_for, config: {url: "tcp://` + host + `", timeout: 1s}}`,
		"graphql":   `{id: s, action: graphql.query, config: {url: "` + elsewhere.URL + `", query: "{a}"}}`,
		"grpc":      `{id: s, action: grpc.call, config: {address: "` + host + `", service: a.B, method: C}}`,
		"websocket": `{id: s, action: websocket.connect, config: {url: "ws://` + host + `"}}`,
		"redis":     `{id: s, action: redis.get, config: {connection: {url: "redis://` + host + `"}, key: k}}`,
		"postgres":  `{id: s, action: sql.query, config: {connection: "postgres://u:p@` + host + `/d?sslmode=disable", query: "select 1"}}`,
		"mysql":     `{id: s, action: sql.query, config: {connection: "mysql://u:p@` + host + `/d", query: "select 1"}}`,
		"kafka":     `{id: s, action: kafka.topics, config: {brokers: ["` + host + `"]}}`,
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "a.yaml"}}}, map[string]string{"a.yaml": "flow:\n  name: A\n  config: {timeout: 30s}\n  steps:\n    - " + step + "\n"})
			_, runs := m.ended(t, b.GetId())
			if name == "allowed" {
				if runs[0].GetStatus() != apiv1.RunStatus_RUN_STATUS_PASSED {
					t.Errorf("it is %s: %s", runs[0].GetStatus(), runs[0].GetReason())
				}
				return
			}
			codes := ""
			for _, e := range m.stream(t, runs[0].GetId()) {
				if e.Type == event.TypeStepFinished && e.StepFinished.Error != nil {
					codes = e.StepFinished.Error.Code + " " + e.StepFinished.Error.Message
				}
			}
			if runs[0].GetStatus() != apiv1.RunStatus_RUN_STATUS_ERRORED || !strings.HasPrefix(codes, "E-EGRESS") {
				t.Errorf("it is %s with %q", runs[0].GetStatus(), codes)
			}
		})
	}
	if seen := elsewhere.all(); len(seen) != 0 {
		t.Errorf("it was reached: %q", seen)
	}
}

func newRedirect(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

// nearby knows one name, which nobody else does: it is this machine.
func nearby(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, strings.Replace(address, "mesh.test", "127.0.0.1", 1))
}

// connectProxy is a real proxy by CONNECT that wants a login.
func connectProxy(t *testing.T, refuseUpgrades bool) (address string, tunnels *atomic.Int64) {
	t.Helper()
	tunnels = &atomic.Int64{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(res http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Proxy-Authorization") != "Basic dTpw" {
			res.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if req.Method != http.MethodConnect {
			if req.Header.Get("Upgrade") != "" && refuseUpgrades {
				res.WriteHeader(http.StatusForbidden)
				return
			}
			tunnels.Add(1)
			(&httputil.ReverseProxy{Transport: &http.Transport{DialContext: nearby}, Rewrite: func(r *httputil.ProxyRequest) { r.Out.Header.Del("Proxy-Authorization") }}).ServeHTTP(res, req)
			return
		}
		if refuseUpgrades {
			res.WriteHeader(http.StatusForbidden)
			return
		}
		tunnels.Add(1)
		beyond, err := nearby(req.Context(), "tcp", req.Host)
		if err != nil {
			res.WriteHeader(http.StatusBadGateway)
			return
		}
		res.WriteHeader(http.StatusOK)
		conn, rw, err := http.NewResponseController(res).Hijack()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(beyond, rw); _ = beyond.Close() }()
		_, _ = io.Copy(conn, bufio.NewReader(beyond))
		_ = conn.Close()
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "http://u:p@" + l.Addr().String(), tunnels
}

func TestAnAgentWorksThroughAProxy(t *testing.T) {
	for name, refuses := range map[string]bool{"that lets WebSockets through": false, "that does not": true} {
		t.Run(name, func(t *testing.T) {
			m := startKeyed(t, t.TempDir(), short, "tma_of-this-test-alone")
			defer m.stop()
			proxy, tunnels := connectProxy(t, refuses)
			direct, err := url.Parse(m.address)
			if err != nil {
				t.Fatal(err)
			}
			// Addresses of this machine go past proxies, so it has another name.
			m.address = "http://mesh.test:" + direct.Port()
			p := m.start(t, "one", []string{"HTTP_PROXY=" + proxy, "HTTPS_PROXY=" + proxy, "http_proxy=", "https_proxy=", "NO_PROXY=", "no_proxy="}, "--listen", "127.0.0.1:0")
			b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "hello.yaml"}}}, map[string]string{"hello.yaml": hello})
			if got, _ := m.ended(t, b.GetId()); got.GetStatus() != apiv1.BatchStatus_BATCH_STATUS_PASSED {
				t.Errorf("got %v", got)
			}
			if tunnels.Load() == 0 {
				t.Error("nothing went through the proxy")
			}
			_, rest, _ := strings.Cut(p.out.String(), "address=")
			address, _, _ := strings.Cut(rest, "\n")
			res, err := http.Get("http://" + address + "/status")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			var status struct{ Stream string }
			if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
				t.Fatal(err)
			}
			want := map[bool]string{false: "websocket", true: "requests"}[refuses]
			if status.Stream != want {
				t.Errorf("events go by %q, want %q", status.Stream, want)
			}
		})
	}
}

func TestACopiedKeyIsExposedAndTold(t *testing.T) {
	m := startTimed(t, t.TempDir(), short)
	defer m.stop()
	first := m.start(t, "one", nil)
	joined := func(p *agentProcess) func() error {
		return func() error {
			if !strings.Contains(p.out.String(), "takes work") {
				return errors.New(p.out.String())
			}
			return nil
		}
	}
	until(t, "the first", 20*time.Second, joined(first))
	key, err := os.ReadFile(filepath.Join(m.dir, "agent-one", "key.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(m.dir, "agent-copy"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.dir, "agent-copy", "key.json"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	second := m.start(t, "copy", nil)
	until(t, "the second", 20*time.Second, joined(second))
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "hello.yaml"}}, Repeat: 4}, map[string]string{"hello.yaml": hello})
	m.ended(t, b.GetId())
	until(t, "the word of it", 40*time.Second, func() error {
		list, err := m.client.Agents.ListAgents(t.Context(), &apiv1.ListAgentsRequest{})
		if err != nil || len(list.GetAgents()) != 1 || !list.GetAgents()[0].GetCloned() {
			return fmt.Errorf("got %v (%w)", list, errors.Join(err))
		}
		return nil
	})
	<-first.done
	if !strings.Contains(first.out.String(), "its key was copied") {
		t.Errorf("the first said %s", first.out)
	}
}
