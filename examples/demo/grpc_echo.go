package demo

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	rpcstatus "google.golang.org/grpc/status"

	echov1 "github.com/testmesh/testmesh/examples/demo/proto/echo/v1"
)

const (
	// maxMessage bounds a message of EchoService.Bytes.
	maxMessage = 64 << 20
	// maxDelay bounds how long EchoService.Delay waits.
	maxDelay = time.Minute
)

type echoService struct {
	echov1.UnimplementedEchoServiceServer
}

func (echoService) Echo(ctx context.Context, in *echov1.EchoRequest) (*echov1.EchoResponse, error) {
	if err := errors.Join(grpc.SetHeader(ctx, metadata.New(in.GetHeaders())), grpc.SetTrailer(ctx, metadata.New(in.GetTrailers()))); err != nil {
		return nil, err
	}
	came := map[string]string{}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		for _, name := range slices.Sorted(maps.Keys(md)) {
			came[name] = strings.ToValidUTF8(strings.Join(md[name], ", "), "?")
		}
	}
	return &echov1.EchoResponse{Value: in.GetValue(), Metadata: came}, nil
}

func (echoService) Fail(ctx context.Context, in *echov1.FailRequest) (*echov1.FailResponse, error) {
	if in.GetCode() < 1 || in.GetCode() > int32(codes.Unauthenticated) {
		return nil, rpcstatus.Errorf(codes.InvalidArgument, "the code %d is none of 1 to 16", in.GetCode())
	}
	if err := grpc.SetTrailer(ctx, metadata.New(in.GetTrailers())); err != nil {
		return nil, err
	}
	return nil, rpcstatus.FromProto(&statuspb.Status{Code: in.GetCode(), Message: in.GetMessage(), Details: in.GetDetails()}).Err()
}

func (echoService) Delay(ctx context.Context, in *echov1.DelayRequest) (*echov1.DelayResponse, error) {
	if in.GetDelay().AsDuration() > maxDelay {
		return nil, rpcstatus.Errorf(codes.InvalidArgument, "the delay is longer than %s", maxDelay)
	}
	if err := pause(ctx, in.GetDelay().AsDuration()); err != nil {
		return nil, err
	}
	return &echov1.DelayResponse{}, nil
}

// pause ends early, with a status, where the call does.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return rpcstatus.FromContextError(ctx.Err()).Err()
	}
}

func (echoService) Bytes(_ context.Context, in *echov1.BytesRequest) (*echov1.BytesResponse, error) {
	if in.GetSize() > maxMessage {
		return nil, rpcstatus.Errorf(codes.InvalidArgument, "%d bytes are more than %d", in.GetSize(), maxMessage)
	}
	return &echov1.BytesResponse{Data: make([]byte, in.GetSize())}, nil
}

func (echoService) Count(in *echov1.CountRequest, out grpc.ServerStreamingServer[echov1.CountResponse]) error {
	ctx, cancel := context.WithTimeout(out.Context(), maxStream)
	defer cancel()
	for n := uint64(1); in.GetTo() == 0 || n <= in.GetTo(); n++ {
		if n > 1 && in.GetEvery().AsDuration() > 0 {
			if err := pause(ctx, in.GetEvery().AsDuration()); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return rpcstatus.FromContextError(err).Err()
		}
		if err := out.Send(&echov1.CountResponse{Number: n}); err != nil {
			return err
		}
		if n == in.GetFailAfter() {
			return rpcstatus.Errorf(codes.Aborted, "this is the failure that was asked for, after %d", n)
		}
	}
	return nil
}

func (echoService) Chat(both grpc.BidiStreamingServer[echov1.ChatRequest, echov1.ChatResponse]) error {
	for n := uint64(1); ; n++ {
		said, err := both.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := both.Send(&echov1.ChatResponse{Number: n, Text: said.GetText()}); err != nil {
			return err
		}
	}
}
