package grpc

import (
	"encoding/json"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	echov1 "github.com/testmesh/testmesh/examples/demo/proto/echo/v1"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// BenchmarkBare is the floor: the same call by grpc-go with generated code.
func BenchmarkBare(b *testing.B) {
	cc, err := grpc.NewClient("passthrough:///"+echoServer(b, true), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer cc.Close()
	client := echov1.NewEchoServiceClient(cc)
	b.ReportAllocs()
	for b.Loop() {
		got, err := client.Echo(b.Context(), &echov1.EchoRequest{Value: &echov1.Everything{Text: "hello", Int64: 5, Texts: []string{"a", "b"}}})
		if err != nil || got.GetValue().GetInt64() != 5 {
			b.Fatal(got, err)
		}
	}
}

// BenchmarkCall is what grpc.call costs, to the JSON of its result.
func BenchmarkCall(b *testing.B) {
	p := New()
	defer p.Close()
	req := &plugin.Request{
		Action: "grpc.call", RunID: "run", StepID: "step", Try: 1,
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Config:      json.RawMessage(`{"address":"` + echoServer(b, true) + `","method":"` + echo + `","request":{"value":{"text":"hello","int64":5,"texts":["a","b"]}}}`),
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Execute(b.Context(), req, nil); err != nil {
			b.Fatal(err)
		}
	}
}
