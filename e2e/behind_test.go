package e2e

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// ender is a proxy that ends TLS, and sees all that goes through it.
type ender struct {
	*httptest.Server
	mu   sync.Mutex
	seen *http.Request // the last one that was signed and had a body
	body []byte
}

// endTLS puts one before a site, with the certificate that certify wrote.
func endTLS(t *testing.T, s *site) *ender {
	t.Helper()
	certify(t, s.dir, 1)
	cert, err := tls.LoadX509KeyPair(filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	e := &ender{}
	through := httputil.NewSingleHostReverseProxy(to)
	through.FlushInterval = -1
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost && req.Header.Get("TestMesh-Signature") != "" {
			body, err := io.ReadAll(req.Body)
			if err != nil {
				return // the agent has gone
			}
			e.mu.Lock()
			e.seen, e.body = req.Clone(t.Context()), body
			e.mu.Unlock()
			req.Body = io.NopCloser(bytes.NewReader(body))
		}
		through.ServeHTTP(w, req)
	}))
	e.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	e.StartTLS()
	t.Cleanup(e.Close)
	return e
}

// Behind a proxy that ends TLS an agent works when it trusts the proxy's authority, and
// what the proxy sees is good for nothing else.
func TestAnAgentBehindAProxyThatEndsTLS(t *testing.T) {
	s := newSite(t)
	e := endTLS(t, s)
	s.file("hello.testmesh.yaml", "flow:\n  name: Hello\n  steps:\n    - {id: greet, action: log, config: {message: hello}}\n")
	dir, listen := filepath.Join(s.dir, "a"), freeAddress(t)
	out := s.run(1, "agent", "doctor", "--server", e.URL, "--data", dir, "--token", "tmj_x")
	if !strings.Contains(out, "✗  TLS") || !strings.Contains(out, "ca_file") {
		t.Errorf("with an authority that is not known the doctor says %s", out)
	}
	a := s.process("agent", "--server", e.URL, "--ca-file", "cert.pem", "--token", strings.TrimSpace(s.run(0, "agents", "token")), "--data", dir, "--listen", listen)
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if code := <-s.background("hello.testmesh.yaml"); code != 0 {
		t.Fatalf("the batch ended with exit code %d", code)
	}
	var st struct {
		Server, Stream string
		Ready          bool
	}
	if s.decode(&st, "agent", "status", "--data", dir, "--listen", listen); !st.Ready || st.Server != e.URL || st.Stream != "websocket" {
		t.Errorf("got %+v", st)
	}
	e.mu.Lock()
	seen, body := e.seen, e.body
	e.mu.Unlock()
	for name, change := range map[string]func(req *http.Request){
		"again":            func(*http.Request) {},
		"with another":     func(req *http.Request) { req.Body = io.NopCloser(strings.NewReader("{}")); req.ContentLength = 2 },
		"at another place": func(req *http.Request) { req.URL.Path = "/testmesh.api.v1.GatewayService/Hello" },
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+seen.URL.RequestURI(), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = seen.Header.Clone()
		change(req)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close() // its status says enough
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("what the proxy has seen, %s: got %s", name, res.Status)
		}
	}
}

// An agent offers the plugins that a lock file names beside its own, and runs them: here
// the example of a plugin by an outsider, in Go.
func TestAnAgentWithAPluginOfSomebodyElse(t *testing.T) {
	s := newSite(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return // the test has ended
			}
			_, _ = io.WriteString(c, "220 ready\r\n")
			_ = c.Close()
		}
	}()
	flow := fmt.Sprintf(`flow:
  name: Greeting
  steps:
    - id: greeting
      action: tcp.exchange
      config: {address: %q, until: "\r\n"}
      assert: [reply == "220 ready"]
`, listener.Addr())
	plugged := s.project("plugged", map[string]string{"greeting.testmesh.yaml": flow})
	example, err := filepath.Abs("../examples/plugins/tcp")
	if err != nil {
		t.Fatal(err)
	}
	plugged.run(0, "plugin", "install", example)
	// Who has not the plugin may queue what others run, and is told who can.
	bare := s.project("bare", map[string]string{"greeting.testmesh.yaml": flow})
	bare.run(0, "push")
	s.agent("without")
	until(t, "the agent without it", func() error {
		out, err := s.output("agents", "match", "--flow", "greeting.testmesh.yaml")
		if err != nil || !strings.Contains(out, "it has no plugin tcp") {
			return errors.Join(err, errors.New(out))
		}
		return nil
	})
	a := s.process("agent", "--token", strings.TrimSpace(s.run(0, "agents", "token")), "--data", filepath.Join(s.dir, "with"), "--name", "with", "--plugins", plugged.dir)
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	bare.said(0, "PASS  1 passed", "run", "--remote", "--stored", "Greeting")
	if r := s.records(); len(r) != 1 || r[0].Status != "PASSED" || len(r[0].Attempts) != 1 || r[0].Attempts[0].AgentName != "with" {
		t.Errorf("got %v", r)
	}
	s.said(0, "tcp", "agents", "plugins")
}

// output is what a command prints, however it ends.
func (s *site) output(args ...string) (string, error) {
	out, err := (&nodes{site: s}).command(args...)
	return string(out), err
}
