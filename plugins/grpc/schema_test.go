package grpc

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	echov1 "github.com/testmesh/testmesh/examples/demo/proto/echo/v1"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// project writes files, by path, and gives their root.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// descriptors is echo.proto as a descriptor set, with what it imports or without.
func descriptors(t *testing.T) string {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(echov1.File_echo_v1_echo_proto)}}
	data, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const echoProto = "../../examples/demo/proto/echo/v1/echo.proto"

// splitEcho is EchoService with a part of its messages in a file of their own.
var splitEcho = map[string]string{
	"api/echo/v1/echo.proto": `syntax = "proto3"; package echo.v1; import "echo/v1/part/value.proto";
service EchoService { rpc Echo(EchoRequest) returns (EchoResponse); rpc New(EchoRequest) returns (EchoResponse); }
message EchoRequest { part.Everything value = 1; } message EchoResponse { part.Everything value = 1; }`,
	"api/echo/v1/part/value.proto": `syntax = "proto3"; package echo.v1.part; message Everything { string text = 1; int64 int64 = 5; }`,
	"flow.yaml":                    "",
}

func TestWhatKnowsTheMessages(t *testing.T) {
	bare := echoServer(t, false)
	set := project(t, map[string]string{"echo.binpb": descriptors(t), "protos/echo.proto": read(t, echoProto)})
	split := project(t, splitEcho)
	tests := map[string]struct {
		root   string
		config fields
	}{
		"a .proto file":                        {set, fields{"proto_file": "protos/echo.proto"}},
		"a list of them":                       {set, fields{"proto_file": []any{"protos/echo.proto"}}},
		"a descriptor set":                     {set, fields{"descriptor_set": "echo.binpb"}},
		"imports below a folder above":         {split, fields{"proto_file": "api/echo/v1/echo.proto"}},
		"imports below a folder that is named": {split, fields{"proto_file": "api/echo/v1/echo.proto", "import_paths": []any{"api"}}},
		"both files":                           {split, fields{"proto_file": []any{"api/echo/v1/echo.proto", "api/echo/v1/part/value.proto"}, "import_paths": []any{"./api/"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := against(t, bare)
			s.root = test.root
			test.config["method"], test.config["request"] = echo, fields{"value": fields{"text": "hi", "int64": 5}}
			if got := s.do("call", test.config); got.get("response.value.text") != "hi" || got.get("response.value.int64") != "5" {
				t.Errorf("got %v", got.fields)
			}
		})
	}
}

// older hides the newer of the two reflection services.
func older(t *testing.T) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	s := grpc.NewServer(grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if strings.HasPrefix(info.FullMethod, "/grpc.reflection.v1.") {
			return status.Errorf(codes.Unimplemented, "unknown service %s", info.FullMethod)
		}
		asked.Add(1)
		return next(srv, stream)
	}))
	echov1.RegisterEchoServiceServer(s, echoing{})
	reflection.Register(s)
	return serveOn(t, listening(t), s), asked
}

func TestReflectionIsAskedOnceARun(t *testing.T) {
	address, asked := older(t)
	s := against(t, address)
	for range 3 {
		if got := s.do("call", fields{"method": echo, "request": fields{"value": fields{"text": "hi"}}}); got.get("response.value.text") != "hi" {
			t.Errorf("got %v", got.fields)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the reflection service was asked %d times, want 1", n)
	}
	s.p.EndRun("run")
	s.do("call", fields{"method": echo, "use_reflection": true})
	if n := asked.Load(); n != 2 {
		t.Errorf("another run: the reflection service was asked %d times, want 2", n)
	}
}

// lying is a reflection service that says whatever a test wants.
type lying struct {
	reflectionpb.UnimplementedServerReflectionServer
	answer func(*reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error)
}

func (l lying) ServerReflectionInfo(stream reflectionpb.ServerReflection_ServerReflectionInfoServer) error {
	for {
		question, err := stream.Recv()
		if err != nil {
			return nil
		}
		answer, err := l.answer(question)
		if err != nil {
			return err
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func files(data ...[]byte) *reflectionpb.ServerReflectionResponse {
	return &reflectionpb.ServerReflectionResponse{MessageResponse: &reflectionpb.ServerReflectionResponse_FileDescriptorResponse{
		FileDescriptorResponse: &reflectionpb.FileDescriptorResponse{FileDescriptorProto: data},
	}}
}

func TestReflectionThatDoesNotHelp(t *testing.T) {
	imports := func(name string, of ...string) []byte {
		data, err := proto.Marshal(&descriptorpb.FileDescriptorProto{Name: proto.String(name), Dependency: of})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	n := 0
	tests := map[string]struct {
		answer func(*reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error)
		code   string
		parts  []string
	}{
		"it wants credentials": {func(*reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error) {
			return nil, status.Error(codes.Unauthenticated, "who are you?")
		}, plugin.CodeAuth, []string{"refused to answer: UNAUTHENTICATED: who are you?", "proto_file"}},
		"it fails": {func(*reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error) {
			return nil, status.Error(codes.Internal, "oops")
		}, plugin.CodeProtocol, []string{"refused to answer: INTERNAL: oops"}},
		"it sends what is no file": {func(*reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error) {
			return files([]byte{0xff}), nil
		}, plugin.CodeProtocol, []string{"it sent a file that is none"}},
		"it does not know an import": {func(q *reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error) {
			if q.GetFileByFilename() != "" {
				return &reflectionpb.ServerReflectionResponse{MessageResponse: &reflectionpb.ServerReflectionResponse_ErrorResponse{
					ErrorResponse: &reflectionpb.ErrorResponse{ErrorCode: 5, ErrorMessage: "no " + q.GetFileByFilename()},
				}}, nil
			}
			return files(imports("a.proto", "gone.proto")), nil
		}, plugin.CodeProtocol, []string{"did not answer: NOT_FOUND: no gone.proto"}},
		"it sends another file": {func(*reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error) {
			return files(imports("a.proto", "b.proto")), nil
		}, plugin.CodeProtocol, []string{"it has no b.proto"}},
		"imports without end": {func(*reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error) {
			n++
			name := func(i int) string { return strings.Repeat("x", i) + ".proto" }
			return files(imports(name(n), name(n+1))), nil
		}, plugin.CodeProtocol, []string{"too many files"}},
		"files that do not fit together": {func(*reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error) {
			data, err := proto.Marshal(&descriptorpb.FileDescriptorProto{Name: proto.String("a.proto"), Service: []*descriptorpb.ServiceDescriptorProto{{
				Name: proto.String("S"), Method: []*descriptorpb.MethodDescriptorProto{{Name: proto.String("M"), InputType: proto.String(".gone"), OutputType: proto.String(".gone")}},
			}}})
			return files(data), err
		}, plugin.CodeProtocol, []string{"does not fit together"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := grpc.NewServer()
			reflectionpb.RegisterServerReflectionServer(server, lying{answer: test.answer})
			s := against(t, serveOn(t, listening(t), server))
			wants(t, s.fault("call", fields{"method": echo}), test.code, append(test.parts, "the reflection service of")...)
		})
	}
}

func TestSchemasThatCannotBe(t *testing.T) {
	address := shop(t)
	bare := echoServer(t, false)
	root := project(t, map[string]string{
		"echo.proto":   read(t, echoProto),
		"broken.proto": "syntax = \"proto3\";\nmessage X {\n  strin name = 1;\n  Gone gone = 2;\n}\n",
		"lacks.proto":  `syntax = "proto3"; import "nowhere/gone.proto";`,
		"twice.proto":  read(t, echoProto),
		"set.binpb":    descriptors(t), "text.binpb": "hello",
		"empty.binpb": "",
	})
	tests := map[string]struct {
		config fields
		field  string
		parts  []string
	}{
		"a misspelt method":             {fields{"method": "shop.v1.ShopService/GetProducts"}, "method", []string{"has no method GetProducts", "did you mean GetProduct?", "it has GetProduct, CreateOrder"}},
		"a misspelt service":            {fields{"method": "shop.v1.ShopServise/GetProduct"}, "method", []string{"there is no service shop.v1.ShopServise", "did you mean shop.v1.ShopService?", "it has echo.v1.EchoService"}},
		"a service without its package": {fields{"method": "ShopService/GetProduct"}, "method", []string{"did you mean shop.v1.ShopService?"}},
		"a method without its service":  {fields{"method": "GetProduct"}, "method", []string{`"GetProduct" names no service`, "write package.Service/GetProduct"}},
		"two services":                  {fields{"method": getProduct, "service": "other.Service"}, "method", []string{"names the service shop.v1.ShopService, and service is other.Service"}},
		"no method":                     {fields{"method": "shop.v1.ShopService/"}, "method", []string{"is not a method"}},
		"a stream":                      {fields{"method": "shop.v1.ShopService/Quote"}, "method", []string{"streams", "use grpc.stream"}},
		"reflection that is off":        {fields{"address": bare, "method": echo}, "proto_file", []string{"has no reflection service", "give proto_file or descriptor_set"}},
		"nothing at all":                {fields{"method": echo, "use_reflection": false}, "use_reflection", []string{"nothing else says what the messages of echo.v1.EchoService are"}},
		"two sources":                   {fields{"method": echo, "proto_file": "echo.proto", "descriptor_set": "set.binpb"}, "descriptor_set", []string{"keep one of them"}},
		"a file and reflection":         {fields{"method": echo, "proto_file": "echo.proto", "use_reflection": true}, "use_reflection", []string{"keep one of them"}},
		"folders without a file":        {fields{"method": echo, "import_paths": []any{"."}}, "import_paths", []string{"is for proto_file"}},
		"a file that is not there":      {fields{"method": echo, "proto_file": "gone.proto"}, "", []string{"there is no file gone.proto"}},
		"a file outside":                {fields{"method": echo, "proto_file": "../x.proto"}, "", []string{"../x.proto"}},
		"a file with mistakes":          {fields{"method": echo, "proto_file": "broken.proto"}, "proto_file", []string{"broken.proto does not compile: broken.proto:3:3:", "broken.proto:4:3:"}},
		"an import that is not there":   {fields{"method": echo, "proto_file": "lacks.proto"}, "proto_file", []string{"nowhere/gone.proto", "import_paths"}},
		"one file by two names":         {fields{"method": echo, "proto_file": []any{"echo.proto", "twice.proto"}}, "proto_file", []string{"already defined"}},
		"a service of another file":     {fields{"method": "shop.v1.ShopService/GetProduct", "proto_file": "echo.proto"}, "method", []string{"there is no service shop.v1.ShopService, says echo.proto", "it has echo.v1.EchoService"}},
		"what is no descriptor set":     {fields{"method": echo, "descriptor_set": "text.binpb"}, "descriptor_set", []string{"is no descriptor set", "buf build"}},
		"an empty descriptor set":       {fields{"method": echo, "descriptor_set": "empty.binpb"}, "descriptor_set", []string{"is no descriptor set"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := against(t, address)
			s.root = root
			e := s.fault("call", test.config)
			if e.Blame != plugin.BlameDefinition || test.field != "" && e.Field != test.field {
				t.Errorf("got %s", words(e))
			}
			wants(t, e, plugin.CodeConfig, test.parts...)
		})
	}
}

func TestADescriptorSetWithoutItsImportsIsNamed(t *testing.T) {
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{Name: proto.String("a.proto"), Dependency: []string{"b/c.proto"}}}}
	data, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	s := against(t, "127.0.0.1:1")
	s.root = project(t, map[string]string{"a.binpb": string(data)})
	wants(t, s.fault("call", fields{"method": echo, "descriptor_set": "a.binpb"}), plugin.CodeConfig, "a.binpb lacks b/c.proto, which a.proto imports", "--include_imports")
}

func TestAMethodThatTheServerDoesNotHaveIsItsAnswer(t *testing.T) {
	s := against(t, echoServer(t, false))
	s.root = project(t, splitEcho)
	got := s.do("call", fields{"method": "echo.v1.EchoService/New", "proto_file": "api/echo/v1/echo.proto"})
	if got.get("status.name") != "UNIMPLEMENTED" || got.get("status.message") != "unknown method New for service echo.v1.EchoService" {
		t.Errorf("got %v", got.fields)
	}
}

func TestMethodsAreNamedInManyWays(t *testing.T) {
	tests := map[string]procedure{
		"with a slash":         {Method: "shop.v1.ShopService/GetProduct"},
		"as a path":            {Method: "/shop.v1.ShopService/GetProduct"},
		"with a dot":           {Method: "shop.v1.ShopService.GetProduct"},
		"beside its service":   {Method: "GetProduct", Service: "shop.v1.ShopService"},
		"both, as they should": {Method: "shop.v1.ShopService/GetProduct", Service: "shop.v1.ShopService"},
	}
	for name, p := range tests {
		t.Run(name, func(t *testing.T) {
			service, method, err := p.split()
			if err != nil || service != "shop.v1.ShopService" || method != "GetProduct" {
				t.Errorf("got %s, %s, %v", service, method, err)
			}
		})
	}
}

// TestFieldsThatTheSchemaDoesNotHaveAreSaid: else a step would not see what its
// server sends, and nobody would know.
func TestFieldsThatTheSchemaDoesNotHaveAreSaid(t *testing.T) {
	s := against(t, shop(t))
	s.root = project(t, map[string]string{"old.proto": `syntax = "proto3"; package shop.v1;
service ShopService { rpc GetProduct(GetProductRequest) returns (GetProductResponse); }
message GetProductRequest { string sku = 1; } message GetProductResponse { Product product = 1; } message Product { string sku = 2; }`})
	out := &heard{}
	s.out = out
	got := s.do("call", fields{"method": getProduct, "proto_file": "old.proto", "request": fields{"sku": "TEA-001"}})
	if got.get("response.product.sku") != "TEA-001" || len(out.lines) != 1 || !strings.Contains(out.lines[0], "fields that are not in old.proto: is old.proto of the same version as the server?") {
		t.Errorf("got %v, %q", got.fields, out.lines)
	}
}
