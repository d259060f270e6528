package protovalue

import (
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestMessagesAsValues(t *testing.T) {
	packed, err := anypb.New(wrapperspb.Int64(math.MaxInt64))
	if err != nil {
		t.Fatal(err)
	}
	named, err := anypb.New(&descriptorpb.EnumValueDescriptorProto{Name: proto.String("A")})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		message proto.Message
		names   bool
		want    string
	}{
		"integers of 64 bits are numbers":   {wrapperspb.Int64(math.MaxInt64), false, `9223372036854775807`},
		"without a sign, too":               {wrapperspb.UInt64(math.MaxUint64), false, `18446744073709551615`},
		"floats as they are":                {wrapperspb.Float(0.1), false, `0.1`},
		"what JSON has no number for":       {wrapperspb.Double(math.Inf(-1)), false, `"-Infinity"`},
		"nor for this":                      {wrapperspb.Double(math.NaN()), false, `"NaN"`},
		"large and small ones":              {wrapperspb.Double(1e300), false, `1e+300`},
		"bytes":                             {wrapperspb.Bytes([]byte{0, 255}), false, `"AP8="`},
		"texts":                             {wrapperspb.String("a\n\"ü<"), false, `"a\n\"ü\u003c"`},
		"truth":                             {wrapperspb.Bool(true), false, `true`},
		"a time":                            {timestamppb.New(time.Unix(0, 5e8)), false, `"1970-01-01T00:00:00.500Z"`},
		"a time that is none":               {&timestamppb.Timestamp{Nanos: -1}, false, `{"seconds":0,"nanos":-1}`},
		"a duration":                        {durationpb.New(1500 * time.Millisecond), false, `"1.500s"`},
		"null":                              {structpb.NewNullValue(), false, `null`},
		"fields that are set":               {&descriptorpb.EnumValueDescriptorProto{Name: proto.String("A"), Number: proto.Int32(0)}, false, `{"name":"A","number":0}`},
		"lists, also empty ones, and enums": {&descriptorpb.FieldDescriptorProto{JsonName: proto.String("x"), Type: descriptorpb.FieldDescriptorProto_TYPE_INT64.Enum()}, false, `{"type":"TYPE_INT64","jsonName":"x"}`},
		"names of the schema":               {&descriptorpb.FieldDescriptorProto{JsonName: proto.String("x")}, true, `{"json_name":"x"}`},
		"lists":                             {&descriptorpb.DescriptorProto_ReservedRange{Start: proto.Int32(1)}, false, `{"start":1}`},
		"a message in another":              {packed, false, `{"@type":"type.googleapis.com/google.protobuf.Int64Value","value":9223372036854775807}`},
		"with fields of its own":            {named, false, `{"@type":"type.googleapis.com/google.protobuf.EnumValueDescriptorProto","name":"A"}`},
		"nothing in another":                {&anypb.Any{}, false, `{}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := Printer{Types: protoregistry.GlobalTypes, ProtoNames: test.names}
			got, err := p.Append(nil, test.message.ProtoReflect())
			if err != nil || string(got) != test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestMapsAreInTheOrderOfTheirKeys(t *testing.T) {
	m := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	got, err := (&Printer{}).mapping(nil, m.ProtoReflect().Descriptor().Fields().ByNumber(1), m.ProtoReflect().Get(m.ProtoReflect().Descriptor().Fields().ByNumber(1)).Map())
	if err != nil || string(got) != "{}" {
		t.Errorf("got %s, %v", got, err)
	}
	for _, pair := range [][2]protoreflect.MapKey{
		{protoreflect.ValueOfInt64(-1).MapKey(), protoreflect.ValueOfInt64(10).MapKey()},
		{protoreflect.ValueOfUint32(2).MapKey(), protoreflect.ValueOfUint32(10).MapKey()},
		{protoreflect.ValueOfString("10").MapKey(), protoreflect.ValueOfString("2").MapKey()},
		{protoreflect.ValueOfBool(false).MapKey(), protoreflect.ValueOfBool(true).MapKey()},
	} {
		if compareKeys(pair[0], pair[1]) >= 0 {
			t.Errorf("%v is not before %v", pair[0], pair[1])
		}
	}
}

func TestWhatTheSchemaDoesNotHaveIsSaid(t *testing.T) {
	m := new(descriptorpb.EnumValueDescriptorProto)
	if err := proto.Unmarshal([]byte{0xf8, 0x07, 0x01}, m); err != nil {
		t.Fatal(err)
	}
	var p Printer
	if got, err := p.Append(nil, m.ProtoReflect()); err != nil || string(got) != "{}" || p.Unknown != 3 {
		t.Errorf("got %s, %v, %d unknown bytes", got, err, p.Unknown)
	}
	got, err := p.Append(nil, (&anypb.Any{TypeUrl: "x/nobody", Value: []byte{1}}).ProtoReflect())
	if err != nil || string(got) != `{"@type":"x/nobody","value":"AQ=="}` || len(p.Nameless) != 1 {
		t.Errorf("got %s, %v, nameless %v", got, err, p.Nameless)
	}
	known := Printer{Types: protoregistry.GlobalTypes}
	if _, err := known.Append(nil, (&anypb.Any{TypeUrl: "x/google.protobuf.Duration", Value: []byte{0xff}}).ProtoReflect()); err == nil {
		t.Error("an Any of something else: got no error")
	}
}
