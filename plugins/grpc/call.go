package grpc

import (
	"context"
	"encoding/json"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type callIn struct {
	rpcIn
	Request json.RawMessage `json:"request,omitempty" doc:"The message as a map: names of fields as in the .proto file or as in JSON, numbers of 64 bits as numbers or texts, enums by name, bytes as base64, timestamps as RFC 3339. Left out it is empty."`
}

type callOut struct {
	Status   Status          `json:"status" doc:"How the server ended the call."`
	Response json.RawMessage `json:"response" doc:"The message of the server; null where the status is not OK."`
	answer
}

// unary is grpc.call.
func unary(ctx context.Context, call *plugin.Call, in callIn) (callOut, error) {
	r, err := begin(ctx, call, &in.rpcIn)
	if err != nil {
		return callOut{}, err
	}
	defer r.end()
	if r.method.IsStreamingClient() || r.method.IsStreamingServer() {
		return callOut{}, plugin.Definitionf("method", "%s streams", r.name()).WithHint("use grpc.stream")
	}
	request, err := r.schema.encode(r.method.Input(), in.Request, "request")
	if err != nil {
		return callOut{}, err
	}
	var data []byte
	invoked := r.link.cc.Invoke(r.ctx, r.path, request, &data, append(r.callOptions(), grpc.Header(&r.headers), grpc.Trailer(&r.trailers))...)
	said := conversation{request: shown(in.Request)}
	seen := r.trace.get()
	st := status.Convert(invoked)
	if invoked != nil && !r.answered(st, seen) {
		r.report(said, invoked)
		return callOut{}, r.fault(r.ctx, invoked, seen, r.name())
	}
	out := callOut{Status: r.status(st), answer: r.answer()}
	said.status = &out.Status
	if st.Code() == codes.OK {
		out.Response, err = r.decode(r.method.Output(), data)
		said.response = shown(out.Response)
	}
	r.report(said, err)
	return out, err
}
