package plugintest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"

	"github.com/testmesh/testmesh/sdk/plugin/wire"
)

const (
	// startTimeout bounds the time from the start to the handshake.
	startTimeout = 10 * time.Second
	// maxTemp leaves room for what go-plugin puts behind it: the path of a Unix
	// socket has at most 104 bytes on macOS.
	maxTemp = 104 - len("/plugin-dir1234567890/plugin1234567890")
	// markerName is the variable by which the kit finds what a plugin left behind.
	markerName = "TESTMESH_CONFORMANCE"
)

// subject is a plugin that was started, and the connection to it.
type subject struct {
	api  pluginv1.PluginServiceClient
	conn *grpc.ClientConn

	process *process // nil in memory
	client  *goplugin.Client
	network string // where it listens
	address string
	sockets string // the folder that it was told to listen in
	temp    string // its Host.TempDir
	took    time.Duration
	synced  *record // what go-plugin carried of its standard output and error

	stop func() // of a plugin in memory
}

// launchOptions say how a plugin is started otherwise than a host does.
type launchOptions struct {
	versions []int // of the protocol that are offered; nil: ours
	shell    bool  // with a shell as its parent, for that to be killed
}

// launch starts the plugin's process and connects to it. The error says what the
// process did instead.
func (k *kit) launch(o launchOptions) (*subject, error) {
	temp, err := k.folder()
	if err != nil {
		return nil, err
	}
	s := &subject{temp: temp, synced: &record{}}
	handshake := wire.Handshake()
	if o.versions == nil {
		o.versions = []int{wire.Protocol}
	}
	handshake.ProtocolVersion = uint(o.versions[0]) //nolint:gosec // small numbers of our own
	offered := map[int]goplugin.PluginSet{}
	for _, version := range o.versions {
		offered[version] = goplugin.PluginSet{wire.Name: &wire.GRPC{}}
	}
	s.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  handshake,
		VersionedPlugins: offered,
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, dir string) (runner.Runner, error) {
			return s.run(k.config, spec.Env, dir, o.shell)
		},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     startTimeout,
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: temp},
		SyncStdout:       s.synced,
		SyncStderr:       s.synced,
		Logger:           hclog.NewNullLogger(),
	})
	if err := s.connect(); err != nil {
		s.kill()
		return s, fmt.Errorf("%s", s.diagnose(err))
	}
	return s, nil
}

// folder makes the folder of one process, with a path that is short enough for
// sockets below it.
func (k *kit) folder() (string, error) {
	parent := k.config.Temp
	const name = "/kit-1234567890"
	if parent == "" && len(os.TempDir())+len(name) >= maxTemp && runtime.GOOS != "windows" {
		parent = "/tmp"
	}
	temp, err := os.MkdirTemp(parent, "kit-")
	if err == nil && len(temp) >= maxTemp {
		_ = os.Remove(temp)
		return "", fmt.Errorf("the path %s is too long for sockets below it: choose another folder for what the kit writes", temp)
	}
	return temp, err
}

// connect waits for the handshake and opens the connection.
func (s *subject) connect() error {
	began := time.Now()
	if _, err := s.client.Start(); err != nil {
		return err
	}
	protocol, err := s.client.Client()
	if err != nil {
		return err
	}
	g, ok := protocol.(*goplugin.GRPCClient)
	if !ok {
		return errors.New("it does not speak gRPC")
	}
	s.took = time.Since(began)
	s.conn = g.Conn
	s.api = pluginv1.NewPluginServiceClient(s.conn)
	return nil
}

// run starts the process with the environment that go-plugin wants it to have.
func (s *subject) run(c Config, env []string, dir string, shell bool) (*starter, error) {
	argv := c.Command
	var pids *os.File
	if shell {
		target, err := command(argv, c.Dir)
		if err != nil {
			return nil, err
		}
		argv = slices.Concat([]string{"/bin/sh", "-c", `"$@" 3>&- & echo $! >&3; exec 3>&-; wait`, "sh", target.Path}, argv[1:])
	}
	cmd, err := command(argv, c.Dir)
	if err != nil {
		return nil, err
	}
	marker := markerName + "=" + randomHex()
	cmd.Env = slices.Concat([]string{"HOME=" + s.temp, "TMPDIR=" + s.temp}, c.Env, env, []string{marker})
	if shell {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer write.Close()
		defer read.Close()
		cmd.ExtraFiles = []*os.File{write}
		pids = read
	}
	s.sockets = dir
	if s.process, err = start(cmd, marker); err != nil {
		return nil, err
	}
	if pids != nil {
		if _, err := fmt.Fscan(pids, &s.process.pid); err != nil {
			return nil, fmt.Errorf("start behind a shell: %w", err)
		}
	}
	return &starter{subject: s}, nil
}

// starter is the process as go-plugin wants to run it. It was started before, so
// that a failure to start shows where it happens.
type starter struct{ subject *subject }

func (r *starter) Start(context.Context) error     { return nil }
func (r *starter) Diagnose(context.Context) string { return "" }
func (r *starter) Stdout() io.ReadCloser           { return r.subject.process.firstLine }
func (r *starter) Stderr() io.ReadCloser           { return io.NopCloser(strings.NewReader("")) }
func (r *starter) Name() string                    { return r.subject.process.cmd.Path }
func (r *starter) ID() string                      { return fmt.Sprint(r.subject.process.cmd.Process.Pid) }

func (r *starter) Wait(context.Context) error {
	<-r.subject.process.exited
	return nil
}

func (r *starter) Kill(context.Context) error {
	r.subject.process.killGroup()
	return nil
}

func (r *starter) PluginToHost(network, address string) (string, string, error) {
	r.subject.network, r.subject.address = network, address
	return network, address, nil
}

func (r *starter) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// diagnose says what a process did in place of the handshake.
func (s *subject) diagnose(err error) string {
	p := s.process
	if p == nil {
		return err.Error()
	}
	line := strings.TrimSpace(p.first.String())
	switch {
	case line == "":
		return fmt.Sprintf("no handshake came on standard output within %v: %s", startTimeout, p.lastWords())
	case !strings.HasPrefix(line, "1|"):
		return fmt.Sprintf("the first line on standard output is %q and not the handshake", tail(line))
	}
	return fmt.Sprintf("the handshake is %q: %s", cut(line, 60), err)
}

// cut shortens a text for a message.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// gone says whether the plugin's process has ended by itself.
func (s *subject) gone() bool { return s.process != nil && s.process.over() }

// shutDown asks for the end as a host does and waits for it.
func (s *subject) shutDown(within time.Duration) error {
	protocol, err := s.client.Client()
	if err != nil {
		return err
	}
	_ = protocol.Close() // what it says is that the process has gone
	if !s.process.ends(within) {
		return fmt.Errorf("it went on for %v after the host asked it to end", within)
	}
	return nil
}

// kill ends whatever is left and removes its folder.
func (s *subject) kill() {
	switch {
	case s.stop != nil:
		s.stop()
		return
	case s.process != nil:
		s.process.killGroup()
		for _, pid := range s.process.left() {
			if stray, err := os.FindProcess(pid); err == nil {
				_ = stray.Kill()
			}
		}
		s.client.Kill()
	}
	_ = os.RemoveAll(s.temp)
}

// reside serves the plugin in this process over a wire in memory.
func (k *kit) reside() (*subject, error) {
	began := time.Now()
	const buffer = 1 << 20
	listener := bufconn.Listen(buffer)
	p := k.config.Plugin()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes))
	pluginv1.RegisterPluginServiceServer(server, wire.NewServer(p))
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)))
	stop := func() {
		if conn != nil {
			_ = conn.Close()
		}
		server.Stop()
		_ = p.Close()
	}
	if err != nil {
		stop()
		return nil, err
	}
	return &subject{api: pluginv1.NewPluginServiceClient(conn), conn: conn, took: time.Since(began), stop: stop}, nil
}

func randomHex() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // which never fails
	return hex.EncodeToString(b[:])
}
