package plugintest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/serve"
	"github.com/testmesh/testmesh/sdk/plugin/wire"
)

// asPlugin makes this test's binary a plugin, with the fault that follows.
const asPlugin = "-as-plugin"

// Who breaks a promise ends by syscall.Exit: what os.Exit runs last prints a line of
// its own to standard error where coverage is counted.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == asPlugin {
		fault := os.Args[2]
		os.Args = append(os.Args[:1], os.Args[3:]...)
		servePlugin(fault)
		return
	}
	os.Exit(m.Run())
}

// servePlugin serves the victim as an author would, but for faults of the
// process and of the wire.
func servePlugin(fault string) {
	v := newVictim(fault)
	if len(os.Args) > 1 || os.Getenv(wire.Handshake().MagicCookieKey) == "" {
		withoutHost(fault)
		serve.Main(v)
	}
	switch fault {
	case "banner":
		fmt.Println("Starting up...")
	case "never-shakes-hands":
		<-time.After(time.Minute)
	case "floods":
		for {
			if _, err := fmt.Print("no line ends here "); err != nil {
				syscall.Exit(1)
			}
		}
	case "dies-at-start":
		fmt.Fprintln(os.Stderr, "no such library: libkit.so")
		syscall.Exit(127)
	case "exits-on-interrupt":
		interrupts := make(chan os.Signal, 1)
		signal.Notify(interrupts, os.Interrupt)
		go func() { <-interrupts; syscall.Exit(0) }()
	case "leaves-a-child":
		child := exec.Command("/bin/sleep", "30")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			panic(err)
		}
	case "ignores-sigterm":
		signal.Ignore(syscall.SIGTERM)
		serveRaw(v)
		return
	case "outlives-its-host", "any-version", "open-door", "elsewhere", "small-messages", "not-serving",
		"two-results", "no-end", "keeps-cut-sessions", "miscounts", "deaf-to-cancel", "silent-when-refusing", "one-version-only", "latest-version":
		serveRaw(v)
		return
	}
	serve.Main(v)
}

// withoutHost is what a careless plugin does when a person starts it.
func withoutHost(fault string) {
	switch fault {
	case "hangs-by-hand":
		<-time.After(time.Minute)
	case "silent-by-hand":
		syscall.Exit(1)
	case "cheerful-by-hand":
		fmt.Println("Hello, I am a plugin.")
		syscall.Exit(0)
	case "handshake-by-hand":
		fmt.Println("1|1|unix|/tmp/nothing|grpc|")
		syscall.Exit(1)
	case "describes-garbage":
		fmt.Println("kit 1.2.3")
		syscall.Exit(0)
	case "describes-another":
		serve.Main(newVictim("no-example"))
	case "describes-nothing":
		syscall.Exit(1)
	}
}

// serveRaw serves with go-plugin alone, so that the process and the wire can be
// wrong.
func serveRaw(v *victim) {
	versions := map[int]goplugin.PluginSet{wire.Protocol: {wire.Name: &rawGRPC{victim: v}}}
	options := []grpc.ServerOption{grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes)}
	switch v.fault {
	case "any-version":
		for text := range strings.SplitSeq(os.Getenv("PLUGIN_PROTOCOL_VERSIONS"), ",") {
			if version, err := strconv.Atoi(text); err == nil {
				versions[version] = versions[wire.Protocol]
			}
		}
	case "latest-version":
		if os.Getenv("PLUGIN_PROTOCOL_VERSIONS") == "9999" {
			versions[9999] = versions[wire.Protocol]
		}
	case "silent-when-refusing":
		if os.Getenv("PLUGIN_PROTOCOL_VERSIONS") == "9999" {
			syscall.Exit(1)
		}
	case "one-version-only":
		if os.Getenv("PLUGIN_PROTOCOL_VERSIONS") != strconv.Itoa(wire.Protocol) {
			syscall.Exit(1)
		}
	case "open-door":
		_ = os.Unsetenv("PLUGIN_CLIENT_CERT")
	case "elsewhere":
		_ = os.Unsetenv(goplugin.EnvUnixSocketDir)
	case "small-messages":
		options = nil
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: versions,
		Logger:           hclog.NewNullLogger(),
		GRPCServer: func(more []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(append(options, more...), grpc.UnaryInterceptor(v.intercept))...)
		},
	})
}

func (v *victim) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	switch {
	case v.fault == "not-serving" && strings.HasPrefix(info.FullMethod, "/grpc.health"):
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}, nil
	case v.fault == "deaf-to-cancel" && strings.HasSuffix(info.FullMethod, "/Cancel"):
		return &pluginv1.CancelResponse{}, nil
	}
	res, err := next(ctx, req)
	if h, ok := res.(*pluginv1.HealthResponse); ok && v.fault == "miscounts" {
		h.Executing, h.Sessions = 0, 0
	}
	return res, err
}

type rawGRPC struct {
	goplugin.NetRPCUnsupportedPlugin
	victim *victim
}

func (g *rawGRPC) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	pluginv1.RegisterPluginServiceServer(s, &rawServer{PluginServiceServer: wire.NewServer(g.victim), fault: g.victim.fault})
	return nil
}

func (g *rawGRPC) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("this is the plugin's side")
}

// rawServer breaks the order of streams.
type rawServer struct {
	pluginv1.PluginServiceServer
	fault string
}

func (r *rawServer) Execute(req *pluginv1.ExecuteRequest, stream grpc.ServerStreamingServer[pluginv1.ExecuteResponse]) error {
	switch r.fault {
	case "two-results":
		result := &pluginv1.ExecuteResponse{Event: &pluginv1.ExecuteResponse_Result{Result: &pluginv1.Result{ResultJson: []byte(`{}`)}}}
		return errors.Join(stream.Send(result), stream.Send(result))
	case "no-end":
		return nil
	}
	return r.PluginServiceServer.Execute(req, stream)
}

// uncut hides from a stream that it was cut.
type uncut struct {
	grpc.ServerStreamingServer[pluginv1.OpenSessionResponse]
	ctx context.Context
}

func (u uncut) Context() context.Context { return u.ctx }

func (r *rawServer) OpenSession(req *pluginv1.OpenSessionRequest, stream grpc.ServerStreamingServer[pluginv1.OpenSessionResponse]) error {
	if r.fault == "keeps-cut-sessions" {
		stream = uncut{stream, context.WithoutCancel(stream.Context())}
	}
	return r.PluginServiceServer.OpenSession(req, stream)
}

// victimConfig is a run of the kit on the victim as a process.
func victimConfig(t *testing.T, fault string, only ...string) Config {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	temp, err := os.MkdirTemp("", "kit") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("the kit left %v, %v", left, err)
		}
		_ = os.RemoveAll(temp)
	})
	return Config{
		Command: []string{exe, asPlugin, fault}, Temp: temp, Only: only,
		Descriptor: newVictim("").Describe(), Conformance: exercise(),
	}
}

// residentConfig is the same in memory.
func residentConfig(t *testing.T, fault string, only ...string) Config {
	t.Helper()
	c := victimConfig(t, fault, only...)
	c.Command = nil
	c.Plugin = func() plugin.Plugin { return newVictim(fault) }
	return c
}
