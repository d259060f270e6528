// Command openapi is a plugin of protoc and buf: it writes the OpenAPI document of the
// control plane's API.
package main

import (
	"fmt"
	"io"
	"os"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	_ "google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/testmesh/testmesh/controlplane/api/openapi"
)

// source is the file whose services are the API.
const source = "testmesh/api/v1/api.proto"

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	raw, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	req := &pluginpb.CodeGeneratorRequest{}
	if err := proto.Unmarshal(raw, req); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	files, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: req.GetProtoFile()})
	if err != nil {
		return fmt.Errorf("read the proto: %w", err)
	}
	file, err := files.FindFileByPath(source)
	if err != nil {
		return fmt.Errorf("find %s: %w", source, err)
	}
	doc, err := openapi.Document(file)
	if err != nil {
		return err
	}
	res := &pluginpb.CodeGeneratorResponse{
		SupportedFeatures: proto.Uint64(uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL)),
		File:              []*pluginpb.CodeGeneratorResponse_File{{Name: proto.String("openapi.json"), Content: proto.String(string(doc))}},
	}
	raw, err = proto.Marshal(res)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	_, err = out.Write(raw)
	return err
}
