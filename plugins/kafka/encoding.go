package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// encodingIn are the keys of an action that writes messages.
type encodingIn struct {
	ValueFormat string          `json:"value_format" doc:"How values are written. auto: by value_schema where it is given, else texts as they are and everything else as JSON. bytes are written as base64 in the flow." enum:"auto|json|text|bytes|avro|protobuf|json_schema" default:"auto"`
	KeyFormat   string          `json:"key_format" doc:"How keys are written, likewise." enum:"auto|json|text|bytes|avro|protobuf|json_schema" default:"auto"`
	Registry    *registryConfig `json:"schema_registry" doc:"The schema registry that has, or gets, the schemas of keys and values."`
	ValueSchema *writeSchema    `json:"value_schema" doc:"The schema of values; without it the latest version of the subject <topic>-value."`
	KeySchema   *writeSchema    `json:"key_schema" doc:"The schema of keys; without it the latest version of the subject <topic>-key."`
}

// writeSchema is a schema to write by: one that the registry has, or one that the
// flow gives.
type writeSchema struct {
	bareSchema
	Subject    string            `json:"subject,omitempty" doc:"The subject that has it: <topic>-value, or -key, by default."`
	Version    int               `json:"version,omitempty" min:"1" doc:"Which version of the subject; the latest by default."`
	ID         int               `json:"id,omitempty" min:"1" doc:"Its id, in place of a subject."`
	References []schemaReference `json:"references,omitempty" doc:"The schemas that the one given here refers to."`
	Register   bool              `json:"register" doc:"Whether the schema given here is registered; false: the subject must have it." default:"true"`
}

// encoding writes keys, or values.
type encoding struct {
	form   form
	codec  codec
	prefix []byte // what stands before a value that has its schema in a registry
	name   string // of the Protobuf message
}

// encode gives the bytes of a value. Its error is what does not fit.
func (e *encoding) encode(v json.RawMessage) ([]byte, error) {
	if e.codec == nil || string(v) == "null" {
		return e.form.encode(v)
	}
	data, err := e.codec.encode(v, e.name)
	if err != nil {
		return nil, err
	}
	return append(append(make([]byte, 0, len(e.prefix)+len(data)), e.prefix...), data...), nil
}

// encodeFile gives the bytes of a value that a file holds.
func (e *encoding) encodeFile(data []byte) ([]byte, error) {
	if e.codec == nil && e.form.format != formatJSON {
		return data, nil
	}
	if err := jsonFault(data); err != nil {
		return nil, err
	}
	return e.encode(bytes.TrimSpace(data))
}

// open makes ready what writing needs.
func (in *encodingIn) open(ctx context.Context, call *plugin.Call, topic string) (key, value *encoding, err error) {
	r, err := in.Registry.open(ctx, call)
	if err != nil {
		return nil, nil, err
	}
	if key, err = in.KeySchema.open(ctx, call, r, form{part: "key", format: in.KeyFormat}, topic); err != nil {
		return nil, nil, err
	}
	value, err = in.ValueSchema.open(ctx, call, r, form{part: "value", format: in.ValueFormat}, topic)
	return key, value, err
}

// isBySchema tells whether a form is that of a schema.
func isBySchema(format string) bool {
	return format == formatAvro || format == formatProtobuf || format == formatSchema
}

func (s *writeSchema) open(ctx context.Context, call *plugin.Call, r *registry, f form, topic string) (*encoding, error) {
	field := f.part + "_schema"
	if s == nil {
		if !isBySchema(f.format) {
			return &encoding{form: f}, nil
		}
		s = new(writeSchema)
	}
	text, err := s.text(call, field)
	if err != nil {
		return nil, err
	}
	switch {
	case f.format != formatAuto && !isBySchema(f.format):
		return nil, plugin.Definitionf(f.part+"_format", "%s has no schema, and there is a %s", f.format, field).WithHint("write avro, protobuf or json_schema, or leave out one of the two")
	case text != "" && f.format == formatAuto:
		return nil, plugin.Definitionf(f.part+"_format", "must say of which kind %s is: avro, protobuf or json_schema", field)
	case text == "" && r == nil:
		return nil, plugin.Definitionf("schema_registry", "is missing: it has the schema").WithHint("or give the schema itself, in %s.schema or %s.file", field, field)
	case text != "" && s.ID > 0:
		return nil, plugin.Definitionf(field+".id", "is given beside the schema itself: keep one of them")
	case text != "" && r == nil:
		c, err := newCodec(source{format: f.format, text: text, bare: true, message: s.Message})
		return &encoding{form: f, codec: c}, asDefinition(err, field)
	}
	found, err := s.find(ctx, r, f, topic, text)
	if err != nil {
		return nil, err
	}
	if as := found.format(); f.format != formatAuto && f.format != as {
		return nil, plugin.Definitionf(f.part+"_format", "is %s, and the schema %d of the registry is of %s", f.format, found.ID, as)
	}
	c, err := found.codec()
	if err != nil {
		return nil, err
	}
	return &encoding{form: f, codec: c, prefix: binary.BigEndian.AppendUint32([]byte{0}, uint32(found.ID)), name: s.Message}, nil
}

// find gives the schema as the registry has it.
func (s *writeSchema) find(ctx context.Context, r *registry, f form, topic, text string) (*registered, error) {
	subject := s.Subject
	if subject == "" {
		subject = topic + "-" + f.part
	}
	switch {
	case s.ID > 0:
		return r.byID(ctx, s.ID)
	case text == "":
		return r.byVersion(ctx, subject, s.Version)
	}
	kind := map[string]string{formatAvro: "", formatProtobuf: "PROTOBUF", formatSchema: "JSON"}[f.format]
	return r.register(ctx, subject, &registered{Type: kind, Text: text, References: s.References}, s.Register)
}

// misfitAt says where in the config a value does not fit.
func misfitAt(err error, field string) error {
	var m *misfit
	var known *plugin.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &m):
		return plugin.Definitionf(under(field, m.path), "%s", m.message)
	}
	return plugin.Definitionf(field, "%s", err)
}
