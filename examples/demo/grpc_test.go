package demo

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	rpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	echov1 "github.com/testmesh/testmesh/examples/demo/proto/echo/v1"
	shopv1 "github.com/testmesh/testmesh/examples/demo/proto/shop/v1"
)

// dial runs the application and gives a client of its gRPC part.
func dial(t *testing.T) (*grpc.ClientConn, string) {
	t.Helper()
	app, err := New(Config{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, l) }()
	cc, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cc.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return cc, l.Addr().String()
}

func with(t *testing.T, pairs ...string) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), pairs...)
}

func TestTheShopOverGRPC(t *testing.T) {
	t.Parallel()
	cc, address := dial(t)
	shop := shopv1.NewShopServiceClient(cc)
	var header, trailer metadata.MD
	product, err := shop.GetProduct(t.Context(), &shopv1.GetProductRequest{Sku: "TEA-001"}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil || product.GetProduct().GetPrice().GetCents() != 2990 || product.GetProduct().GetCategory() != shopv1.Category_CATEGORY_TEA {
		t.Errorf("got %v, %v", product, err)
	}
	if header.Get("shop-region")[0] != "eu-1" || trailer.Get("shop-cost")[0] != "1" {
		t.Errorf("got %v, %v", header, trailer)
	}
	wrap, err := anypb.New(&shopv1.GiftWrap{Colour: "red"})
	if err != nil {
		t.Fatal(err)
	}
	asked := &shopv1.CreateOrderRequest{
		Lines: []*shopv1.Line{{Sku: "TEA-001", Qty: 2}, {Sku: "CUP-001"}}, Labels: map[string]string{"a": "b"},
		Payment: &shopv1.CreateOrderRequest_Card{Card: &shopv1.Card{Holder: "Ada"}}, Extras: []*anypb.Any{wrap},
	}
	made, err := shop.CreateOrder(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	o := made.GetOrder()
	if o.GetTotal().GetCents() != 7180 || o.GetCard().GetHolder() != "Ada" || o.GetNumber() < 1<<53 || o.GetChecksum() < 1<<63 || o.GetUserId() != nil || len(o.GetExtras()) != 1 {
		t.Errorf("got %v", o)
	}
	found, err := shop.GetOrder(t.Context(), &shopv1.GetOrderRequest{Id: o.GetId()})
	if err != nil || !proto.Equal(found.GetOrder(), o) {
		t.Errorf("got %v, %v, want %v", found, err, o)
	}
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	s := &server{t: t, url: "http://" + address, client: client}
	s.want("GET /orders/"+o.GetId(), "", 200, map[string]any{"total": "71.80"})
	if _, err := shop.GetOrder(with(t, "x-tenant", "other"), &shopv1.GetOrderRequest{Id: o.GetId()}); rpcstatus.Code(err) != codes.NotFound {
		t.Errorf("another tenant: got %v", err)
	}
	token := s.want("POST /login", `{"user":"ada","password":"correct-horse"}`, 200, nil).get(t, "access_token").(string)
	if me, err := shop.WhoAmI(with(t, "authorization", "Bearer "+token), &shopv1.WhoAmIRequest{}); err != nil || me.GetUser() != Username {
		t.Errorf("got %v, %v", me, err)
	}
	for _, ctx := range []context.Context{t.Context(), with(t, "authorization", "Bearer nonsense")} {
		if _, err := shop.WhoAmI(ctx, &shopv1.WhoAmIRequest{}); rpcstatus.Code(err) != codes.Unauthenticated {
			t.Errorf("got %v", err)
		}
	}
}

func TestWhatAnOrderLacksIsInItsDetails(t *testing.T) {
	t.Parallel()
	cc, _ := dial(t)
	_, err := shopv1.NewShopServiceClient(cc).CreateOrder(t.Context(), &shopv1.CreateOrderRequest{
		Lines:  []*shopv1.Line{{Sku: "NONE"}},
		Labels: map[string]string{"long": strings.Repeat("x", 2*maxAsked)},
	})
	st := rpcstatus.Convert(err)
	if st.Code() != codes.InvalidArgument || len(st.Details()) != 1 {
		t.Fatalf("got %v", err)
	}
	var at []string
	for _, v := range st.Details()[0].(*errdetails.BadRequest).GetFieldViolations() {
		at = append(at, v.GetField())
	}
	if diff := cmp.Diff([]string{"lines[0].sku", "labels"}, at); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestTheThreeStreams(t *testing.T) {
	t.Parallel()
	cc, _ := dial(t)
	shop := shopv1.NewShopServiceClient(cc)
	made, err := shop.CreateOrder(t.Context(), &shopv1.CreateOrderRequest{Lines: []*shopv1.Line{{Sku: "TEA-001"}}, Pending: true})
	if err != nil {
		t.Fatal(err)
	}
	watch, err := shop.WatchOrder(t.Context(), &shopv1.WatchOrderRequest{Id: made.GetOrder().GetId(), Every: durationpb.New(time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for {
		change, err := watch.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, strings.TrimPrefix(change.GetOrder().GetStatus().String(), "ORDER_STATUS_"))
	}
	if diff := cmp.Diff([]string{"PENDING", "PAID", "SHIPPED"}, seen); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	fill, err := shop.FillOrder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range maxItems {
		if err := fill.Send(&shopv1.FillOrderRequest{Sku: "CUP-001"}); err != nil {
			t.Fatal(err)
		}
	}
	if filled, err := fill.CloseAndRecv(); err != nil || filled.GetOrder().GetTotal().GetCents() != maxItems*1200 {
		t.Errorf("got %v, %v", filled, err)
	}
	quote, err := shop.Quote(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sku := range []string{"TEA-001", "NONE"} {
		if err := quote.Send(&shopv1.QuoteRequest{Sku: sku, Qty: 3}); err != nil {
			t.Fatal(err)
		}
	}
	if first, err := quote.Recv(); err != nil || first.GetTotal().GetCents() != 8970 {
		t.Errorf("got %v, %v", first, err)
	}
	if _, err := quote.Recv(); rpcstatus.Code(err) != codes.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestFaultsOfGRPC(t *testing.T) {
	t.Parallel()
	cc, _ := dial(t)
	shop := shopv1.NewShopServiceClient(cc)
	for fault, want := range map[string]struct {
		code codes.Code
		says string
	}{
		"status=503":        {codes.Unavailable, "503"},
		"drop":              {codes.Internal, "RST_STREAM"},
		"reset":             {codes.Unavailable, ""},
		"endless":           {codes.ResourceExhausted, "larger than max"},
		"truncate":          {codes.Internal, "unexpected EOF"},
		"malformed":         {codes.Internal, "unmarshal"},
		"drip":              {codes.InvalidArgument, "not for gRPC"},
		"nonsense":          {codes.InvalidArgument, "nonsense"},
		"latency=1ms":       {codes.OK, ""},
		"wrong-price":       {codes.OK, ""},
		"latency=1ms,reset": {codes.Unavailable, ""},
	} {
		made, err := shop.CreateOrder(with(t, "x-fault", fault), &shopv1.CreateOrderRequest{Lines: []*shopv1.Line{{Sku: "TEA-001"}}})
		if st := rpcstatus.Convert(err); st.Code() != want.code || !strings.Contains(st.Message(), want.says) {
			t.Errorf("%s: got %v, want %s with %q", fault, err, want.code, want.says)
		}
		if fault == "wrong-price" && made.GetOrder().GetTotal().GetCents() != 2990-int64(wrongBy) {
			t.Errorf("%s: got %v", fault, made.GetOrder().GetTotal())
		}
	}
	if _, err := shop.GetProduct(with(t, "x-tenant", strings.Repeat("x", 200)), &shopv1.GetProductRequest{}); rpcstatus.Code(err) != codes.InvalidArgument {
		t.Errorf("a long tenant: got %v", err)
	}
}

func TestTheEchoOverGRPC(t *testing.T) {
	t.Parallel()
	cc, _ := dial(t)
	echo := echov1.NewEchoServiceClient(cc)
	value := &echov1.Everything{Text: "hi", Int64: 1 << 60, Choice: &echov1.Everything_Number{Number: 5}}
	if got, err := echo.Echo(with(t, "x-a", "b"), &echov1.EchoRequest{Value: value}); err != nil || !proto.Equal(got.GetValue(), value) || got.GetMetadata()["x-a"] != "b" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := echo.Fail(t.Context(), &echov1.FailRequest{Code: 10, Message: "m"}); rpcstatus.Code(err) != codes.Aborted {
		t.Errorf("got %v", err)
	}
	if got, err := echo.Bytes(t.Context(), &echov1.BytesRequest{Size: 1000}); err != nil || len(got.GetData()) != 1000 {
		t.Errorf("got %d, %v", len(got.GetData()), err)
	}
	for name, wrong := range map[string]func() error{
		"no code":        func() error { _, err := echo.Fail(t.Context(), &echov1.FailRequest{}); return err },
		"too many bytes": func() error { _, err := echo.Bytes(t.Context(), &echov1.BytesRequest{Size: 1 << 40}); return err },
		"too long a delay": func() error {
			_, err := echo.Delay(t.Context(), &echov1.DelayRequest{Delay: durationpb.New(time.Hour)})
			return err
		},
	} {
		if err := wrong(); rpcstatus.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if got, err := healthpb.NewHealthClient(cc).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCallsEndWithTheApplication(t *testing.T) {
	t.Parallel()
	app, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, l) }()
	cc, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	numbers, err := echov1.NewEchoServiceClient(cc).Count(t.Context(), &echov1.CountRequest{Every: durationpb.New(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := numbers.Recv(); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(from); took > shutdownGrace+5*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// TestTheDescriptorSetOfTheExamplesIsOfTheseServices: flows in examples/flows use
// it in place of reflection. `make generate` writes it.
func TestTheDescriptorSetOfTheExamplesIsOfTheseServices(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../flows/schemas/shop.binpb")
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	for _, file := range []protoreflect.FileDescriptor{shopv1.File_shop_v1_shop_proto, echov1.File_echo_v1_echo_proto} {
		want, found := protodesc.ToFileDescriptorProto(file), false
		for _, got := range set.GetFile() {
			found = found || proto.Equal(got, want)
		}
		if !found {
			t.Errorf("%s in it is not the one that is served: make generate", file.Path())
		}
	}
}
