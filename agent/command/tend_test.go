package command

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
)

// gateway is a control plane that has no work.
type gateway struct {
	apiv1connect.UnimplementedGatewayServiceHandler
	refuse error

	mu     sync.Mutex
	greets []string // label site of each greeting
}

func (g *gateway) Join(context.Context, *apiv1.JoinRequest) (*apiv1.JoinResponse, error) {
	if g.refuse != nil {
		return nil, g.refuse
	}
	return &apiv1.JoinResponse{AgentId: "agent-1", Name: "one"}, nil
}

func (g *gateway) Hello(_ context.Context, req *apiv1.HelloRequest) (*apiv1.HelloResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.greets = append(g.greets, req.GetFacts()["site"])
	return &apiv1.HelloResponse{}, nil
}

func (g *gateway) Poll(ctx context.Context, _ *apiv1.PollRequest) (*apiv1.PollResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (g *gateway) greeted() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.greets, ",")
}

// serve answers at an address.
func (g *gateway) serve(t *testing.T, l net.Listener) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(apiv1connect.NewGatewayServiceHandler(g))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// service is an agent under a service manager.
type service struct {
	t       *testing.T
	told    *net.UnixConn
	signals chan os.Signal
	hangups chan os.Signal
	ended   chan error
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t *testing.T, env map[string]string, args ...string) *service {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t, l, make(chan os.Signal, 2), make(chan os.Signal, 1), make(chan error, 1), &lockedBuffer{}}
	cmd := New(Config{
		Name: "testmesh-agent", Stdout: s.log, Stderr: s.log, Version: "1.2.3", Executable: "/bin/true", Signals: s.signals,
		Hangups: func() <-chan os.Signal { return s.hangups },
		LookupEnv: func(name string) (string, bool) {
			if name == "NOTIFY_SOCKET" {
				return socket, true
			}
			v, ok := env[name]
			return v, ok
		},
	})
	cmd.SetArgs(append([]string{"--data", t.TempDir()}, args...))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	go func() { s.ended <- cmd.ExecuteContext(context.Background()) }()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("it said:\n%s", s.log)
		}
	})
	return s
}

// hears waits until the service manager is told something.
func (s *service) hears(want string) {
	s.t.Helper()
	buf, last := make([]byte, 4096), ""
	if err := s.told.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	for {
		n, err := s.told.Read(buf)
		if err != nil {
			s.t.Fatalf("%q was not told, %q was: %v", want, last, err)
		}
		if last = string(buf[:n]); strings.Contains(last, want) {
			return
		}
	}
}

// says waits until the log has something.
func (s *service) says(want string) {
	s.t.Helper()
	look, over := time.NewTicker(5*time.Millisecond), time.After(30*time.Second)
	defer look.Stop()
	for !strings.Contains(s.log.String(), want) {
		select {
		case <-look.C:
		case <-over:
			s.t.Fatalf("the log does not say %q", want)
		}
	}
}

// ends waits for the end of the service.
func (s *service) ends() error {
	s.t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(30 * time.Second):
		s.t.Fatal("it does not end")
		return nil
	}
}

func TestAServiceWaitsForItsControlPlane(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil { // nobody is there yet
		t.Fatal(err)
	}
	s := start(t, map[string]string{"TESTMESH_JOIN_TOKEN": "tmj_x"}, "--server", "http://"+at)
	s.hears("READY=1\nSTATUS=waiting for the control plane at http://" + at)
	if l, err = net.Listen("tcp", at); err != nil {
		t.Fatal(err)
	}
	new(gateway).serve(t, l)
	s.hears("STATUS=ready: 0 of 4 runs")
	s.signals <- syscall.SIGTERM
	s.hears("STOPPING=1")
	if err := s.ends(); err != nil {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(s.log.String(), "the agent waits and tries again") {
		t.Error("the log does not say that it waits")
	}
}

func TestAServiceThatWaitsEndsWhenItIsTold(t *testing.T) {
	s := start(t, map[string]string{"TESTMESH_JOIN_TOKEN": "tmj_x"}, "--server", "http://127.0.0.1:1")
	s.hears("READY=1")
	s.signals <- syscall.SIGTERM
	if err := s.ends(); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestWhatStartingAgainWouldNotChange(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{refuse: connect.NewError(connect.CodeUnauthenticated, errors.New("the join token was revoked"))}
	g.serve(t, l)
	server := "http://" + l.Addr().String()
	for want, test := range map[string]struct {
		env  map[string]string
		args []string
	}{
		"the join token was revoked":         {map[string]string{"TESTMESH_JOIN_TOKEN": "tmj_x"}, []string{"--server", server}},
		"this agent has not joined yet":      {nil, []string{"--server", server}},
		"which control plane":                {nil, nil},
		"no such file":                       {map[string]string{"TESTMESH_JOIN_TOKEN_FILE": "/nowhere"}, []string{"--server", server}},
		"\"many\" is no whole number":        {map[string]string{"TESTMESH_AGENT_SLOTS": "many"}, []string{"--server", server}},
		"there is no plugins.lock":           {nil, []string{"--server", server, "--plugins", t.TempDir()}},
		"read settings: open /nowhere/agent": {nil, []string{"--config", "/nowhere/agent.yaml"}},
	} {
		t.Run(want, func(t *testing.T) {
			err := start(t, test.env, test.args...).ends()
			if err == nil || code(err) != ExitLasting || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, exit code %d", err, code(err))
			}
		})
	}
}

func TestAServiceReadsItsSettingsAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{}
	g.serve(t, l)
	file := filepath.Join(t.TempDir(), "agent.yaml")
	say := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	say("label: {site: harbour}\n")
	s := start(t, map[string]string{"TESTMESH_JOIN_TOKEN": "tmj_x"}, "--server", "http://"+l.Addr().String(), "--config", file)
	s.hears("STATUS=ready")
	say("lable: {site: nowhere}\n")
	s.hangups <- syscall.SIGHUP
	s.says("there is no setting \\\"lable\\\"")
	say("label: {site: airport}\n")
	s.hangups <- syscall.SIGHUP
	s.hears("RELOADING=1")
	s.hears("READY=1")
	s.signals <- syscall.SIGTERM
	if err := s.ends(); err != nil {
		t.Errorf("got %v", err)
	}
	if got := g.greeted(); got != "harbour,airport" {
		t.Errorf("it greeted as %s", got)
	}
}
