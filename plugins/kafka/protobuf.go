package kafka

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/testmesh/testmesh/sdk/plugin/protovalue"
)

const (
	// mainProto is the name that a schema is compiled under; the registry has none.
	mainProto = "schema.proto"
	// maxProtoDepth bounds the nesting of messages.
	maxProtoDepth = 200
)

// protoCodec turns values into a message of a .proto file and back. Unless it is
// bare, before the message stands which one of the file it is, as the registry's
// own clients write it.
type protoCodec struct {
	file  protoreflect.FileDescriptor
	types *dynamicpb.Types
	bare  protoreflect.MessageDescriptor
}

func newProtoCodec(in source) (codec, error) {
	sources := map[string]string{mainProto: in.text}
	for name, part := range in.parts {
		sources[name] = part
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(sources)}),
		MaxParallelism: 1,
	}
	files, err := compiler.Compile(context.Background(), mainProto)
	if err != nil {
		return nil, err
	}
	file := files.FindFileByPath(mainProto)
	if file.Messages().Len() == 0 {
		return nil, errors.New("it has no message")
	}
	all := new(protoregistry.Files)
	if err := registerAll(all, file); err != nil {
		return nil, err
	}
	c := &protoCodec{file: file, types: dynamicpb.NewTypes(all)}
	if in.bare {
		c.bare, err = c.named(in.message)
	}
	return c, err
}

// registerAll makes a file and its imports known.
func registerAll(all *protoregistry.Files, file protoreflect.FileDescriptor) error {
	if _, err := all.FindFileByPath(file.Path()); err == nil {
		return nil
	}
	for i := range file.Imports().Len() {
		if err := registerAll(all, file.Imports().Get(i).FileDescriptor); err != nil {
			return err
		}
	}
	return all.RegisterFile(file)
}

func (c *protoCodec) encode(v json.RawMessage, name string) ([]byte, error) {
	md := c.bare
	var err error
	if md == nil {
		if md, err = c.named(name); err != nil {
			return nil, err
		}
	}
	m := dynamicpb.NewMessage(md)
	if err := (protojson.UnmarshalOptions{Resolver: c.types, RecursionLimit: maxProtoDepth}).Unmarshal(v, m); err != nil {
		return nil, fmt.Errorf("is no %s: %s", md.FullName(), protoWords(err))
	}
	var out []byte
	if c.bare == nil {
		out = appendIndexes(out, md)
	}
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend(out, m)
}

// protoWords are an error's without what the library puts before them, in which
// blanks differ from build to build.
func protoWords(err error) string {
	return regexp.MustCompile(`^proto:[\s\x{a0}]*|\(line \d+:\d+\):[\s\x{a0}]*`).ReplaceAllString(err.Error(), "")
}

// named gives a message by its name, with or without its package; the first one
// where there is none.
func (c *protoCodec) named(name string) (protoreflect.MessageDescriptor, error) {
	if name == "" {
		return c.file.Messages().Get(0), nil
	}
	for _, full := range []string{name, string(c.file.Package()) + "." + name} {
		if t, err := c.types.FindMessageByName(protoreflect.FullName(full)); err == nil && t.Descriptor().ParentFile().Path() == mainProto {
			return t.Descriptor(), nil
		}
	}
	var names []string
	for i := range c.file.Messages().Len() {
		names = append(names, string(c.file.Messages().Get(i).Name()))
	}
	return nil, fmt.Errorf("the schema has no message %s: it has %s", name, strings.Join(names, ", "))
}

// appendIndexes writes which message of its file a message is: the index of each
// on the way to it, with their number before; the first of all is a single 0.
func appendIndexes(out []byte, md protoreflect.MessageDescriptor) []byte {
	var path []int64
	for d := protoreflect.Descriptor(md); ; d = d.Parent() {
		if _, isMessage := d.(protoreflect.MessageDescriptor); !isMessage {
			break
		}
		path = append([]int64{int64(d.Index())}, path...)
	}
	if len(path) == 1 && path[0] == 0 {
		return append(out, 0)
	}
	out = binary.AppendVarint(out, int64(len(path)))
	for _, index := range path {
		out = binary.AppendVarint(out, index)
	}
	return out
}

// readIndexes is the other way around.
func (c *protoCodec) readIndexes(in *fields) (protoreflect.MessageDescriptor, error) {
	count := in.varint()
	switch {
	case in.short:
		return nil, errShort
	case count == 0:
		return c.file.Messages().Get(0), nil
	}
	var md protoreflect.MessageDescriptor
	within := c.file.Messages()
	for ; count > 0; count-- {
		index := in.varint()
		if in.short {
			return nil, errShort
		}
		if index < 0 || index >= int64(within.Len()) {
			return nil, fmt.Errorf("it says that it is message %d of %d", index, within.Len())
		}
		md = within.Get(int(index))
		within = md.Messages()
	}
	if md == nil {
		return nil, errors.New("it does not say which message it is")
	}
	return md, nil
}

func (c *protoCodec) decode(data []byte) (json.RawMessage, error) {
	in := fields{rest: data}
	md := c.bare
	if md == nil {
		var err error
		if md, err = c.readIndexes(&in); err != nil {
			return nil, err
		}
	}
	m := dynamicpb.NewMessage(md)
	if err := (proto.UnmarshalOptions{Resolver: c.types, RecursionLimit: maxProtoDepth, AllowPartial: true}).Unmarshal(in.rest, m); err != nil {
		return nil, fmt.Errorf("it is no %s: %s", md.FullName(), protoWords(err))
	}
	return (&protovalue.Printer{Types: c.types}).Append(nil, m)
}
