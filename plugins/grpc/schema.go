package grpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// maxNames bounds a list of names in a message.
const maxNames = 20

// schema is what services and messages there are. It does not change.
type schema struct {
	files  *protoregistry.Files
	source string // "shop.proto", "the reflection service of 127.0.0.1:7071", for messages
	older  string // what may be wrong where a message does not fit it
	// all are the names of all services, where files has not all of them.
	all []string
	types
}

// types resolves the types of google.protobuf.Any and of extensions: those of the
// schema, and those that errors have in common (google/rpc/error_details.proto).
type types struct {
	own    *dynamicpb.Types
	common *protoregistry.Types
}

func newSchema(files *protoregistry.Files, source, older string) *schema {
	return &schema{files: files, source: source, older: older, types: newTypes(files)}
}

func newTypes(files *protoregistry.Files) types {
	common := new(protoregistry.Types)
	messages := errdetails.File_google_rpc_error_details_proto.Messages()
	for i := range messages.Len() {
		_ = common.RegisterMessage(dynamicpb.NewMessageType(messages.Get(i))) // of one file, so no two are the same
	}
	return types{own: dynamicpb.NewTypes(files), common: common}
}

// FindMessageByName finds a message type.
func (t types) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	found, err := t.own.FindMessageByName(name)
	if errors.Is(err, protoregistry.NotFound) {
		if found, err = t.common.FindMessageByName(name); errors.Is(err, protoregistry.NotFound) {
			return protoregistry.GlobalTypes.FindMessageByName(name)
		}
	}
	return found, err
}

// FindMessageByURL finds the type of an Any: its name is what follows the last
// slash.
func (t types) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return t.FindMessageByName(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]))
}

// FindExtensionByName finds an extension.
func (t types) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return t.own.FindExtensionByName(name)
}

// FindExtensionByNumber finds an extension.
func (t types) FindExtensionByNumber(message protoreflect.FullName, field protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return t.own.FindExtensionByNumber(message, field)
}

// split reads the names of service and method out of a config.
func (p *procedure) split() (service, method string, err error) {
	method = strings.TrimPrefix(p.Method, "/")
	service, rest, both := strings.Cut(method, "/")
	if !both {
		service, rest = "", method
		if i := strings.LastIndexByte(method, '.'); i >= 0 && p.Service == "" {
			service, rest = method[:i], method[i+1:]
		}
	}
	switch {
	case service != "" && p.Service != "" && service != p.Service:
		return "", "", plugin.Definitionf("method", "names the service %s, and service is %s", service, p.Service).WithHint("give the method's name alone, or leave service out")
	case service == "" && p.Service == "":
		return "", "", plugin.Definitionf("method", "%q names no service", p.Method).WithHint("write package.Service/%s", rest)
	case service == "":
		service = p.Service
	}
	if rest == "" || !protoreflect.FullName(service).IsValid() || !protoreflect.Name(rest).IsValid() {
		return "", "", plugin.Definitionf("method", "%q is not a method", p.Method).WithHint("write package.Service/Method")
	}
	return service, rest, nil
}

// method finds a method, or says which there are.
func (s *schema) method(service, method string) (protoreflect.MethodDescriptor, error) {
	d, err := s.files.FindDescriptorByName(protoreflect.FullName(service))
	found, ok := d.(protoreflect.ServiceDescriptor)
	if err != nil || !ok {
		return nil, s.noService(service)
	}
	if m := found.Methods().ByName(protoreflect.Name(method)); m != nil {
		return m, nil
	}
	var names []string
	for i := range found.Methods().Len() {
		names = append(names, string(found.Methods().Get(i).Name()))
	}
	return nil, plugin.Definitionf("method", "%s has no method %s, says %s", service, method, s.source).
		WithHint("%s", suggestion(method, names)).WithDetails(listed("it has", names))
}

// noService says which services there are.
func (s *schema) noService(service string) error {
	all := s.all
	if all == nil {
		s.files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
			for i := range f.Services().Len() {
				all = append(all, string(f.Services().Get(i).FullName()))
			}
			return true
		})
		slices.Sort(all)
	}
	e := plugin.Definitionf("method", "there is no service %s, says %s", service, s.source).WithHint("%s", serviceSuggestion(service, all))
	if len(all) == 0 {
		return e.WithDetails("it has no services at all")
	}
	return e.WithDetails(listed("it has", all))
}

// serviceSuggestion also finds a service whose package was left out.
func serviceSuggestion(service string, all []string) string {
	last := func(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
	for _, name := range all {
		if strings.EqualFold(last(name), last(service)) {
			return fmt.Sprintf("did you mean %s?", name)
		}
	}
	return suggestion(service, all)
}

func suggestion(name string, all []string) string {
	if near := nearest(name, all); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return ""
}

// nearest is the name that was probably meant, or nothing.
func nearest(name string, all []string) string {
	for _, other := range all {
		if strings.EqualFold(name, other) {
			return other
		}
	}
	return value.Closest(name, all)
}

func listed(lead string, names []string) string {
	more := ""
	if len(names) > maxNames {
		more = fmt.Sprintf(" and %d more", len(names)-maxNames)
		names = names[:maxNames]
	}
	return lead + " " + strings.Join(names, ", ") + more
}

// missingImport is a file that others import and nobody has.
type missingImport struct{ name, by string }

func (m *missingImport) Error() string { return fmt.Sprintf("%s, which %s imports", m.name, m.by) }

// assemble makes files that find each other. Those of google/protobuf come with
// us where a set leaves them out.
func assemble(set []*descriptorpb.FileDescriptorProto) (*protoregistry.Files, error) {
	has := map[string]bool{}
	set = slices.DeleteFunc(set, func(file *descriptorpb.FileDescriptorProto) bool {
		twice := has[file.GetName()]
		has[file.GetName()] = true
		return twice
	})
	for i := 0; i < len(set); i++ { // it grows
		for _, name := range set[i].GetDependency() {
			if has[name] {
				continue
			}
			file := wellKnown(name)
			if file == nil {
				return nil, &missingImport{name, set[i].GetName()}
			}
			set, has[name] = append(set, file), true
		}
	}
	return protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: set})
}

// wellKnown is a file of google/protobuf, or nil.
func wellKnown(name string) *descriptorpb.FileDescriptorProto {
	if !strings.HasPrefix(name, "google/protobuf/") {
		return nil
	}
	d, err := protoregistry.GlobalFiles.FindFileByPath(name)
	if err != nil {
		return nil
	}
	return protodesc.ToFileDescriptorProto(d)
}

// schemaOf gives what the step says of its messages; it is read once a run.
func (r *rpc) schemaOf(ctx context.Context, service string) (*schema, error) {
	p := r.in.procedure
	given := p.files()
	reflect := p.UseReflection != nil && *p.UseReflection
	switch {
	case len(given) > 0 && p.DescriptorSet != "":
		return nil, plugin.Definitionf("descriptor_set", "is given beside a .proto file: keep one of them")
	case reflect && (len(given) > 0 || p.DescriptorSet != ""):
		return nil, plugin.Definitionf("use_reflection", "is true, and a file with the messages is given too: keep one of them")
	case len(given) == 0 && len(p.ImportPaths) > 0:
		return nil, plugin.Definitionf("import_paths", "is for proto_file, which is not given")
	case len(given) > 0:
		return plugin.Keep(ctx, r.call, "proto:"+key(r.call.Dir(), given, p.ImportPaths), kept(func() (*schema, error) {
			return compileProto(ctx, r.call, given, p.ImportPaths)
		}))
	case p.DescriptorSet != "":
		return plugin.Keep(ctx, r.call, "set:"+key(r.call.Dir(), p.DescriptorSet), kept(func() (*schema, error) {
			return readSet(r.call, p.DescriptorSet)
		}))
	case p.UseReflection != nil && !reflect:
		return nil, plugin.Definitionf("use_reflection", "is false, and nothing else says what the messages of %s are", service).
			WithHint("give proto_file or descriptor_set")
	}
	alike := r.in.server
	alike.WaitForReady = false
	return plugin.Keep(ctx, r.call, "reflection:"+key(r.call.Dir(), alike, service), kept(func() (*schema, error) {
		return r.reflect(ctx, service)
	}))
}

// kept has nothing to close.
func kept(open func() (*schema, error)) func() (*schema, func() error, error) {
	return func() (*schema, func() error, error) {
		s, err := open()
		return s, nil, err
	}
}
