// Package serve runs a plugin as the process that a TestMesh host starts: its
// Main is all that an author's main calls. It never talks to a system under test
// and never outlives its host.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/wire"
)

const (
	// watchEvery is how often a plugin looks whether its host still lives; it is
	// gone well within three seconds of the host.
	watchEvery = 500 * time.Millisecond
	// closeGrace bounds the plugin's own Close at the end.
	closeGrace = 2 * time.Second
)

// Exit codes of a plugin's process.
const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 2
)

// Main serves the plugin until the host ends it, and exits the process. With the
// argument "describe" it prints the descriptor as JSON instead; started by hand
// it says what it is.
func Main(p plugin.Plugin) {
	os.Exit(run(p, os.Args[1:], os.Stdout, os.Stderr))
}

func run(p plugin.Plugin, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "describe" {
		if err := Describe(p, stdout); err != nil {
			fmt.Fprintln(stderr, "describe:", err)
			return exitFault
		}
		return exitOK
	}
	handshake := wire.Handshake()
	if os.Getenv(handshake.MagicCookieKey) != handshake.MagicCookieValue {
		d := p.Describe()
		fmt.Fprintf(stderr, "This is the TestMesh plugin %s %s. It is started by testmesh, not by hand.\n"+
			"  hint: testmesh plugin install DIR makes it known to a project; with the argument describe it prints what it can do\n",
			d.GetName(), d.GetVersion())
		return exitUsage
	}
	go watchHost(os.Getppid, time.NewTicker(watchEvery).C, func() { os.Exit(exitFault) })
	Serve(p)
	return exitOK
}

// Describe prints the descriptor of a plugin as JSON, for packages, lock files
// and pages, without a host.
func Describe(p plugin.Plugin, w io.Writer) error {
	d := p.Describe()
	if d == nil {
		return errors.New("the plugin has no descriptor")
	}
	text, err := protojson.MarshalOptions{Multiline: true, Indent: "  "}.Marshal(d)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// Serve serves the plugin to the host that started this process and returns when
// the host, or SIGTERM, has ended it. What the plugin prints to standard output
// after the handshake reaches the host's log. It does not watch the host's life;
// Main does.
func Serve(p plugin.Plugin) {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	served := make(chan struct{})
	// go-plugin sends what is printed to os.Stderr over the wire, where the last
	// words before an os.Exit are lost; the host reads the real one as well.
	stderr := os.Stderr
	restore := sync.OnceFunc(func() { os.Stderr = stderr })
	go func() {
		defer close(served)
		goplugin.Serve(&goplugin.ServeConfig{
			HandshakeConfig:  wire.Handshake(),
			VersionedPlugins: map[int]goplugin.PluginSet{wire.Protocol: {wire.Name: &wire.GRPC{Impl: p}}},
			GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
				return grpc.NewServer(append(options,
					grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes),
					// The first call of any host comes before the first Execute.
					grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
						restore()
						return next(ctx, req)
					}))...)
			},
			// Why it cannot serve, if it cannot: a socket's path that is too long.
			Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: stderr}),
		})
	}()
	select {
	case <-served:
	case <-terminated:
	}
	closed := make(chan struct{})
	go func() { defer close(closed); _ = p.Close() }()
	select {
	case <-closed:
	case <-time.After(closeGrace):
	}
}

// watchHost calls gone once the parent of this process is another than it was.
// In a PID namespace of its own the plugin sees no parent; there the kernel ends
// it with its host.
func watchHost(parent func() int, ticks <-chan time.Time, gone func()) {
	was := parent()
	if was == 0 {
		return
	}
	for range ticks {
		if parent() != was {
			gone()
			return
		}
	}
}
