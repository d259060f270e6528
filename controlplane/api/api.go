// Package api serves the control plane to people, programs and agents: Connect, gRPC
// and gRPC-Web from one set of handlers, REST beside them. It checks who may do what
// and that a request is one; what happens, commands decide.
package api

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"connectrpc.com/validate"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/sdk/fault"
)

// Proposer has commands applied.
type Proposer interface {
	// Propose gives the answer of a command once it is committed.
	Propose(ctx context.Context, c *clusterv1.Command) (*clusterv1.Answer, error)
	// Read returns once this node has everything that was committed before.
	Read(ctx context.Context) error
	// Applied is the index that this node has.
	Applied() uint64
}

// Config is what the API is made of.
type Config struct {
	Proposer    Proposer
	Runs        Runs
	Flows       Flows
	Agents      Agents
	Queue       Queue
	Streams     Streams
	Blobs       Blobs
	Catalog     Catalog
	Seal        Seal
	Checkpoints Checkpoints
	// NotFound is the error of those that read what is not there.
	NotFound  error
	Members   Members
	Guard     Guard
	Logger    *slog.Logger
	Now       func() time.Time
	NewID     func() string
	NewSecret func() string // 32 random bytes, printed
	Version   string
	Timing    Timing
	// Origins are the pages that may call from a browser: "https://mesh.example.com";
	// "*" are all. None: only what comes from no other page.
	Origins []string
	// Sockets counts the live sockets, which outlive the server of their requests; nil:
	// nobody waits for them.
	Sockets *sync.WaitGroup
	// Stopping is closed when the node is about to end; nil: never.
	Stopping <-chan struct{}
	// Page are the files of the page for browsers; nil: there is none.
	Page fs.FS
	// Fault is nil but in test builds.
	Fault *fault.Set
}

// Timing is what agents are told about leases.
type Timing struct{ TTL, Renew time.Duration }

// Guard knows who calls.
type Guard interface {
	Authenticate(next http.Handler) http.Handler
	// Allow refuses a caller without the permission of a method.
	Allow(ctx context.Context, procedure string) error
	// Require checks the permission of an address that is no method.
	Require(p apiv1.Permission, next http.HandlerFunc) http.HandlerFunc
	// Who is the actor of a command, and the id and session of an agent.
	Who(ctx context.Context) (actor, id, session string)
}

// maxRequest bounds a request of a method, after decompression.
const maxRequest = 8 << 20

// packFrom is the size of an answer that is compressed: a smaller one is one packet
// anyway.
const packFrom = 1400

// gzipFast compresses at a fraction of what the standard library's usual level takes.
func gzipFast() connect.HandlerOption {
	return connect.WithCompression("gzip",
		func() connect.Decompressor { return &gzip.Reader{} },
		func() connect.Compressor {
			w, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
			if err != nil {
				panic(err) // there is such a level
			}
			return w
		})
}

// workspace is the only one there is so far.
const workspace = "default"

// server implements the services.
type server struct {
	Config
	named listings
}

// New is the API as a handler.
func New(cfg Config) (http.Handler, error) {
	s := &server{Config: cfg}
	opts := []connect.HandlerOption{
		connect.WithInterceptors(faults{s.Logger}, validate.NewInterceptor()),
		connect.WithReadMaxBytes(maxRequest), connect.WithRecover(s.recovered), gzipFast(), connect.WithCompressMinBytes(packFrom),
	}
	mux, methods := http.NewServeMux(), http.NewServeMux()
	for _, one := range []func() (string, http.Handler){
		func() (string, http.Handler) { return apiv1connect.NewFlowServiceHandler(s, opts...) },
		func() (string, http.Handler) { return apiv1connect.NewEnvironmentServiceHandler(s, opts...) },
		func() (string, http.Handler) { return apiv1connect.NewRunServiceHandler(s, opts...) },
		func() (string, http.Handler) { return apiv1connect.NewAgentServiceHandler(s, opts...) },
		func() (string, http.Handler) { return apiv1connect.NewLogServiceHandler(s, opts...) },
		func() (string, http.Handler) { return apiv1connect.NewPluginServiceHandler(s, opts...) },
		func() (string, http.Handler) { return apiv1connect.NewClusterServiceHandler(s, opts...) },
		func() (string, http.Handler) { return apiv1connect.NewGatewayServiceHandler(s, opts...) },
	} {
		path, handler := one()
		methods.Handle(path, handler)
		mux.Handle(path, s.permitted(handler))
	}
	paths, err := s.rest(methods)
	if err != nil {
		return nil, err
	}
	packed, err := gzhttp.NewWrapper()
	if err != nil {
		return nil, fmt.Errorf("compress answers: %w", err)
	}
	mux.Handle(root, packed(paths))
	mux.Handle("GET "+root+"openapi.json", packed(http.HandlerFunc(openapi)))
	reflection(mux)
	s.addresses(mux)
	s.live(mux)
	servePage(mux, cfg.Page, packed)
	return s.identified(crossOrigin(cfg.Origins, liveKey(cfg.Guard.Authenticate(s.stalls(stallAfter, mux))))), nil
}

// services are what reflection tells of.
var services = [...]string{
	apiv1connect.FlowServiceName, apiv1connect.EnvironmentServiceName, apiv1connect.RunServiceName, apiv1connect.AgentServiceName,
	apiv1connect.LogServiceName, apiv1connect.PluginServiceName, apiv1connect.ClusterServiceName, apiv1connect.GatewayServiceName,
}

// reflection tells tools like grpcurl which methods there are. Like the OpenAPI
// document it is the same at every installation, and so is for everybody.
func reflection(mux *http.ServeMux) {
	r := grpcreflect.NewStaticReflector(services[:]...)
	mux.Handle(grpcreflect.NewHandlerV1(r))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(r)) // which older tools ask
}

// document is generated from the proto: see controlplane/api/openapi.
//
//go:embed openapi.json
var document []byte

func openapi(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document) // the caller has gone
}

// recovered turns a panic of a handler into an error, and keeps what it said.
func (s *server) recovered(_ context.Context, spec connect.Spec, _ http.Header, r any) error {
	s.Logger.Error("a handler panicked", "procedure", spec.Procedure, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	return errors.New("panic")
}

// command stamps what every command has: the time, who asked, and by which key it is
// applied once. The request as it came is what a repeated key must bring again.
func (s *server) command(ctx context.Context, key string, req proto.Message) (*clusterv1.Command, error) {
	actor, _, _ := s.Guard.Who(ctx)
	c := &clusterv1.Command{Version: 1, Workspace: workspace, Actor: actor, Time: timestamppb.New(s.Now())}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	sum := sha256.Sum256(raw)
	c.RequestDigest = sum[:]
	if key == "" {
		// Tried again within this call it is still applied once.
		c.RequestId = "call/" + s.NewID()
	} else {
		c.RequestId = fmt.Sprintf("key/%s/%s/%s", actor, req.ProtoReflect().Descriptor().Name(), key)
	}
	return c, nil
}

// propose has a command applied; a refusal is an error.
func (s *server) propose(ctx context.Context, c *clusterv1.Command) (*clusterv1.Answer, error) {
	a, err := s.Proposer.Propose(ctx, c)
	if err != nil {
		return nil, err
	}
	if f := a.GetFault(); f != nil {
		return nil, &Refusal{f}
	}
	return a, nil
}

// fresh makes sure of a strong read.
func (s *server) fresh(ctx context.Context, read apiv1.Read) error {
	if read == apiv1.Read_READ_STRONG {
		return s.Proposer.Read(ctx)
	}
	return nil
}
