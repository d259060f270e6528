package grpc

import (
	"encoding/json"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/protovalue"
)

func (r *rpc) printer() *protovalue.Printer {
	return &protovalue.Printer{Types: r.schema.types, ProtoNames: r.in.FieldNames == "proto"}
}

// decode reads a message of the server.
func (r *rpc) decode(md protoreflect.MessageDescriptor, data []byte) (json.RawMessage, error) {
	m := dynamicpb.NewMessage(md)
	if err := (proto.UnmarshalOptions{Resolver: r.schema.types, AllowPartial: true}).Unmarshal(data, m); err != nil {
		return nil, r.unreadable(md, err)
	}
	p := r.printer()
	text, err := p.Append(nil, m)
	if err != nil {
		return nil, r.unreadable(md, err)
	}
	r.notice(p)
	return text, nil
}

// unreadable is a message of the server that is none.
func (r *rpc) unreadable(md protoreflect.MessageDescriptor, err error) error {
	return plugin.Errorf(plugin.CodeBody, "what %s answered to %s is no %s: %s", r.peer.address, r.name(), md.FullName(), protoWords(err)).
		WithHint("%s", r.schema.older)
}

// notice warns where an answer holds more than the step can see.
func (r *rpc) notice(p *protovalue.Printer) {
	if p.Unknown > 0 && !r.noticed {
		r.noticed = true
		r.call.Warn("the answer of %s has %d bytes of fields that are not in %s: %s", r.name(), p.Unknown, r.schema.source, r.schema.older)
	}
	if len(p.Nameless) > 0 && !r.nameless {
		r.nameless = true
		r.call.Warn("the answer of %s has a google.protobuf.Any of %s, which is not in %s: its bytes are given as base64", r.name(), p.Nameless[0], r.schema.source)
	}
}
