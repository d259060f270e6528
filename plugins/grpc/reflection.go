package grpc

import (
	"context"
	"errors"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// reflectionServices are the two names of one service, the newer first: their
// messages are the same on the wire (grpc/reflection/v1/reflection.proto).
var reflectionServices = [...]string{"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}

// maxReflected bounds the files that a server describes one service with.
const maxReflected = 2_000

// reflect asks the server what a service is.
func (r *rpc) reflect(ctx context.Context, service string) (*schema, error) {
	for _, name := range reflectionServices {
		a := &asking{rpc: r, method: "/" + name + "/ServerReflectionInfo"}
		s, err := a.service(ctx, service)
		if !a.isOff(err) {
			return s, err
		}
	}
	return nil, plugin.Definitionf("proto_file", "%s has no reflection service, and the step does not say what the messages of %s are", r.peer.address, service).
		WithHint("give proto_file or descriptor_set, or switch reflection on in the server")
}

// asking is a conversation with a reflection service.
type asking struct {
	*rpc
	method string
	trace  trace
	stream grpc.ClientStream
}

// isOff tells whether the server has no such service: it said so itself.
func (a *asking) isOff(err error) bool {
	return status.Code(err) == codes.Unimplemented && !a.trace.get().trailer.IsZero()
}

func (a *asking) service(ctx context.Context, service string) (*schema, error) {
	ctx, cancel := context.WithCancel(a.trace.with(ctx))
	defer cancel()
	err := a.open(ctx)
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	first, err := a.filesOf(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service},
	})
	var refused *refusal
	if errors.As(err, &refused) && refused.code == codes.NotFound {
		all, err := a.services()
		if err != nil {
			return nil, a.fault(ctx, err)
		}
		return nil, (&schema{source: a.source(), all: all}).noService(service)
	}
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	set, err := a.withImports(first)
	if err != nil {
		return nil, a.fault(ctx, err)
	}
	files, err := assemble(set)
	if err != nil {
		return nil, plugin.Errorf(plugin.CodeProtocol, "what %s says of %s does not fit together: %w", a.source(), service, err).
			WithHint("give proto_file or descriptor_set")
	}
	return newSchema(files, a.source(), "look into the service's log: its reflection says something else than it sends"), nil
}

func (a *asking) source() string { return "the reflection service of " + a.peer.address }

func (a *asking) open(ctx context.Context) error {
	var err error
	a.stream, err = a.link.cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, a.method,
		grpc.WaitForReady(a.in.WaitForReady), grpc.MaxCallRecvMsgSize(maxSet))
	return err
}

// refusal is a question that the service did not answer.
type refusal struct {
	code    codes.Code
	message string
}

func (r *refusal) Error() string { return r.message }

func (a *asking) ask(question *reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error) {
	// The stream's own error comes from RecvMsg.
	_ = a.stream.SendMsg(question)
	answer := new(reflectionpb.ServerReflectionResponse)
	if err := a.stream.RecvMsg(answer); err != nil {
		return nil, err
	}
	if e := answer.GetErrorResponse(); e != nil {
		return nil, &refusal{codes.Code(e.GetErrorCode()), e.GetErrorMessage()}
	}
	return answer, nil
}

func (a *asking) filesOf(question *reflectionpb.ServerReflectionRequest) ([]*descriptorpb.FileDescriptorProto, error) {
	answer, err := a.ask(question)
	if err != nil {
		return nil, err
	}
	var files []*descriptorpb.FileDescriptorProto
	for _, data := range answer.GetFileDescriptorResponse().GetFileDescriptorProto() {
		file := new(descriptorpb.FileDescriptorProto)
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, file); err != nil {
			return nil, &refusal{codes.Internal, "it sent a file that is none: " + err.Error()}
		}
		files = append(files, file)
	}
	return files, nil
}

// withImports asks for what the files import, and what that imports.
func (a *asking) withImports(set []*descriptorpb.FileDescriptorProto) ([]*descriptorpb.FileDescriptorProto, error) {
	has := map[string]bool{}
	for _, file := range set {
		has[file.GetName()] = true
	}
	for i := 0; i < len(set); i++ { // it grows
		for _, name := range set[i].GetDependency() {
			if has[name] || wellKnown(name) != nil {
				continue
			}
			more, err := a.filesOf(&reflectionpb.ServerReflectionRequest{
				MessageRequest: &reflectionpb.ServerReflectionRequest_FileByFilename{FileByFilename: name},
			})
			if err != nil {
				return nil, err
			}
			for _, file := range more {
				if !has[file.GetName()] {
					set, has[file.GetName()] = append(set, file), true
				}
			}
			if !has[name] {
				return nil, &refusal{codes.NotFound, "it has no " + name}
			}
			if len(set) > maxReflected {
				return nil, &refusal{codes.ResourceExhausted, "it describes the service with too many files"}
			}
		}
	}
	return set, nil
}

func (a *asking) services() ([]string, error) {
	answer, err := a.ask(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: "*"},
	})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, s := range answer.GetListServicesResponse().GetService() {
		if !strings.HasPrefix(s.GetName(), "grpc.reflection.") {
			names = append(names, s.GetName())
		}
	}
	slices.Sort(names)
	return names, nil
}

// fault says why the service did not answer. Nothing about the method was asked
// yet, so that nothing can be judged.
func (a *asking) fault(ctx context.Context, err error) error {
	const instead = "give proto_file or descriptor_set, or look into the server's log"
	var refused *refusal
	if errors.As(err, &refused) {
		return plugin.Errorf(plugin.CodeProtocol, "%s did not answer: %s: %s", a.source(), codeName(refused.code), refused.message).WithHint(instead)
	}
	if a.isOff(err) {
		return err
	}
	seen := a.trace.get()
	if st := status.Convert(err); a.answered(st, seen) {
		code := plugin.CodeProtocol
		if st.Code() == codes.Unauthenticated || st.Code() == codes.PermissionDenied {
			code = plugin.CodeAuth
		}
		return plugin.Errorf(code, "%s refused to answer: %s: %s", a.source(), codeName(st.Code()), st.Message()).WithHint(instead)
	}
	return a.rpc.fault(ctx, err, seen, "the reflection service")
}
