package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/testmesh/testmesh/cli/mesh"
	"github.com/testmesh/testmesh/controlplane"
	"github.com/testmesh/testmesh/controlplane/dispatch"
	"github.com/testmesh/testmesh/flow/event"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// asProgram makes this test binary be the program itself.
const asProgram = "TESTMESH_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" || len(os.Args) > 2 && os.Args[1] == "plugin" && os.Args[2] == "serve" { // a plugin inherits no variable
		main() // which exits
	}
	os.Exit(m.Run())
}

// short are the times of leases in tests that lose agents.
var short = dispatch.Timing{TTL: 2 * time.Second, Grace: time.Second, Renew: 400 * time.Millisecond}

// startTimed is startMesh with other times.
func startTimed(t *testing.T, dir string, timing dispatch.Timing) *fleet {
	t.Helper()
	return startKeyed(t, dir, timing, "")
}

// startKeyed wants a key of whoever is no agent; none: it is open to this machine.
func startKeyed(t *testing.T, dir string, timing dispatch.Timing, key string) *fleet {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	node, err := controlplane.New(controlplane.Config{
		Dir: filepath.Join(dir, "server"), Listener: l, Open: key == "", AdminKey: key, Version: "test", Logger: logger(t, "server"), Timing: timing,
		Builtins: descriptors(), Exit: func(why string) { t.Errorf("the node ended: %s", why) },
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &fleet{dir: dir, address: "http://" + l.Addr().String()}
	if m.client, err = client.New(client.Config{Address: m.address, Key: key}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	m.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	return m
}

// agentProcess is an agent in a process of its own.
type agentProcess struct {
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan struct{}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start starts an agent; what it prints is shown where the test fails.
func (m *fleet) start(t *testing.T, name string, env []string, args ...string) *agentProcess {
	t.Helper()
	token, err := m.client.Agents.CreateJoinToken(t.Context(), &apiv1.CreateJoinTokenRequest{Pins: map[string]string{"zone": name}})
	if err != nil {
		t.Fatal(err)
	}
	p := &agentProcess{out: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0], append([]string{"agent", "--server", m.address, "--token", token.GetSecret(), "--data", filepath.Join(m.dir, "agent-"+name), "--name", name}, args...)...)
	p.cmd.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.done); _ = p.cmd.Wait() }()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("agent %s said:\n%s", name, p.out)
		}
	})
	return p
}

// kill ends it as a machine that loses its power does.
func (p *agentProcess) kill() {
	_ = p.cmd.Process.Kill() // which may have ended
	<-p.done
}

// until polls for what must come, and says the last reason why not.
func until(t *testing.T, what string, within time.Duration, check func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come within %s: %v", what, within, err)
		}
		<-tick.C
	}
}

// witness is a system under test that remembers what it was asked.
type witness struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
	hold chan struct{} // /hold answers once it is closed
}

func newWitness(t *testing.T) *witness {
	w := &witness{hold: make(chan struct{})}
	w.Server = httptest.NewServer(http.HandlerFunc(func(res http.ResponseWriter, req *http.Request) {
		w.mu.Lock()
		w.seen = append(w.seen, fmt.Sprintf("%s %s %s", req.Method, req.URL.RequestURI(), req.Header.Get("X-Who")))
		n := len(w.seen)
		w.mu.Unlock()
		if strings.HasPrefix(req.URL.Path, "/hold") {
			select {
			case <-w.hold:
			case <-req.Context().Done():
			}
		}
		res.Header().Set("Content-Type", "application/json")
		if req.URL.Path == "/who" {
			fmt.Fprintf(res, `{"id":"someone-secret-%d"}`, n)
			return
		}
		fmt.Fprintf(res, `{"id":"o-%d"}`, n)
	}))
	t.Cleanup(func() {
		w.CloseClientConnections()
		w.Close()
	})
	return w
}

func (w *witness) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.seen...)
}

// count is how many requests begin so.
func (w *witness) count(prefix string) (n int) {
	for _, one := range w.all() {
		if strings.HasPrefix(one, prefix) {
			n++
		}
	}
	return n
}

// snapshot are the events of a run's newest attempt so far.
func (m *fleet) snapshot(t *testing.T, run string) []*event.Event {
	t.Helper()
	list, err := mesh.Events(t.Context(), m.client, run)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// freeze stops it where it is; nothing but kill goes on with it.
func (p *agentProcess) freeze(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}
