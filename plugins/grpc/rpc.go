package grpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// rpc is one call of a step under way.
type rpc struct {
	call   *plugin.Call
	in     *rpcIn
	peer   *peer
	link   *link
	parent context.Context // of the step
	ctx    context.Context // with the deadline, the metadata and the trace
	cancel context.CancelFunc

	schema *schema
	method protoreflect.MethodDescriptor
	path   string // "/shop.v1.ShopService/GetProduct"

	sent     metadata.MD
	headers  metadata.MD
	trailers metadata.MD
	trace    trace
	began    time.Time

	noticed, nameless bool // what was warned about
}

// begin finds the server, and what the method's messages are. The caller ends it.
func begin(ctx context.Context, call *plugin.Call, in *rpcIn) (*rpc, error) {
	service, method, err := in.split()
	if err != nil {
		return nil, err
	}
	r := &rpc{call: call, in: in, parent: ctx, began: time.Now(), path: "/" + service + "/" + method}
	if r.sent, err = in.outgoing(call); err != nil {
		return nil, err
	}
	if r.peer, err = peerOf(ctx, call, &in.server); err != nil {
		return nil, err
	}
	if r.link, err = r.peer.take(); err != nil {
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancel(metadata.NewOutgoingContext(ctx, r.sent))
	if in.Deadline > 0 {
		r.ctx, r.cancel = context.WithTimeout(r.ctx, in.Deadline) //nolint:govet // the one below it ends with its parent, or the call
	}
	if r.schema, err = r.schemaOf(r.ctx, service); err == nil {
		r.method, err = r.schema.method(service, method)
	}
	if err != nil {
		r.end()
		return nil, err
	}
	r.ctx = r.trace.with(r.ctx)
	return r, nil
}

func (r *rpc) end() {
	r.cancel()
	r.peer.release(r.link)
}

// name is the method as people write it.
func (r *rpc) name() string { return r.path[1:] }

// answered tells whether the server ended the call. Where our own limit passed,
// it is what ended it: the server may have noticed first, or not.
func (r *rpc) answered(st *status.Status, seen traced) bool {
	return answered(st, seen) && (st.Code() != codes.DeadlineExceeded || !r.passed())
}

// passed tells whether a time limit of ours has.
func (r *rpc) passed() bool {
	deadline, ok := r.ctx.Deadline()
	return ok && time.Until(deadline) < clockSkew
}

// clockSkew is how long before our limit a server may say that it has passed: it
// counts from when the request came, in whole units of grpc-timeout.
const clockSkew = 50 * time.Millisecond

// callOptions are those of the call itself.
func (r *rpc) callOptions() []grpc.CallOption {
	options := []grpc.CallOption{
		grpc.ForceCodecV2(bytesCodec{}),
		grpc.MaxCallRecvMsgSize(r.in.MaxMessage),
		grpc.WaitForReady(r.in.WaitForReady),
	}
	if r.in.Compression == "gzip" {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	return options
}

// answer is what came back beside messages.
type answer struct {
	Headers       map[string]string   `json:"headers" doc:"Metadata before the first message; several values of a name are joined by a comma, those of names that end in -bin are base64."`
	HeaderValues  map[string][]string `json:"header_values" doc:"The same as lists."`
	Trailers      map[string]string   `json:"trailers" doc:"Metadata after the last message."`
	TrailerValues map[string][]string `json:"trailer_values" doc:"The same as lists."`
	Time          float64             `json:"time" doc:"Milliseconds that the call took, with its connection and schema where it needed them."`
}

func (r *rpc) answer() answer {
	a := answer{Time: float64(time.Since(r.began).Microseconds()) / 1000}
	a.Headers, a.HeaderValues = shownMetadata(r.headers)
	a.Trailers, a.TrailerValues = shownMetadata(r.trailers)
	return a
}

// bytesCodec leaves messages as they are on the wire: they are made and read
// where their faults have words. Its name is none, so that the content type is
// application/grpc.
type bytesCodec struct{}

// Marshal sends bytes.
func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

// Unmarshal keeps bytes.
func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// Name is empty.
func (bytesCodec) Name() string { return "" }
