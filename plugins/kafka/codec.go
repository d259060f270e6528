package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/testmesh/testmesh/flow/schema"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Forms of keys and values, as configs name them.
const (
	formatAuto     = "auto"
	formatJSON     = "json"
	formatText     = "text"
	formatBytes    = "bytes"
	formatAvro     = "avro"
	formatProtobuf = "protobuf"
	formatSchema   = "json_schema"
)

// codec turns values into the bytes of a schema, without what names the schema,
// and back. It is safe for concurrent use.
type codec interface {
	// encode's error is what does not fit; message is the Protobuf message to use
	// where the schema has several.
	encode(v json.RawMessage, message string) ([]byte, error)
	// decode's error says that the bytes are not of the schema.
	decode(data []byte) (json.RawMessage, error)
}

// source is what a codec is made of.
type source struct {
	format, text string
	// parts are the schemas that it refers to, by name, and order is the order to
	// read them in.
	parts map[string]string
	order []string
	// bare: of Protobuf, that what is encoded does not say which message it is, but
	// is message, or the first one of the schema.
	bare    bool
	message string
}

// newCodec compiles a schema.
func newCodec(s source) (codec, error) {
	var c codec
	var err error
	switch s.format {
	case formatAvro:
		c, err = newAvroCodec(s)
	case formatProtobuf:
		c, err = newProtoCodec(s)
	case formatSchema:
		c, err = newSchemaCodec(s)
	default:
		return nil, plugin.Errorf(plugin.CodeProtocol, "a schema of the registry has the type %s, which TestMesh does not know", s.format).WithHint("known are AVRO, PROTOBUF and JSON")
	}
	if err != nil {
		return nil, plugin.Errorf(plugin.CodeProtocol, "the schema cannot be read as %s: %w", s.format, err)
	}
	return c, nil
}

// misfit says which part of a value does not fit a schema.
type misfit struct {
	path, message string
}

func (m *misfit) Error() string {
	if m.path == "" {
		return m.message
	}
	return m.path + ": " + m.message
}

// schemaCodec is JSON that is checked against a JSON Schema.
type schemaCodec struct{ schema *schema.Schema }

func newSchemaCodec(in source) (codec, error) {
	doc, err := value.DecodeLenient([]byte(in.text))
	if err != nil {
		return nil, err
	}
	base := "file:///schema.json"
	if m, ok := doc.(map[string]any); ok {
		if id, ok := m["$id"].(string); ok {
			base = id
		}
	}
	known := make(map[string]any)
	for name, part := range in.parts {
		v, err := value.DecodeLenient([]byte(part))
		if err != nil {
			return nil, fmt.Errorf("reference %s: %w", name, err)
		}
		known[name] = v
		for _, from := range []string{base, "file:///schema.json"} {
			if b, err := url.Parse(from); err == nil {
				if u, err := b.Parse(name); err == nil {
					known[u.String()] = v
				}
			}
		}
	}
	// Confluent's registry takes draft 7 where a schema does not say.
	s, err := schema.Compile(doc, schema.Options{Draft: schema.Draft7, Base: "schema.json", Known: known})
	if err != nil {
		return nil, err
	}
	return &schemaCodec{s}, nil
}

func (c *schemaCodec) encode(v json.RawMessage, _ string) ([]byte, error) {
	if err := c.check(v); err != nil {
		return nil, err
	}
	return v, nil
}

func (c *schemaCodec) decode(data []byte) (json.RawMessage, error) {
	if err := jsonFault(data); err != nil {
		return nil, err
	}
	return data, c.check(data)
}

func (c *schemaCodec) check(text []byte) error {
	v, err := value.DecodeLenient(text)
	if err != nil {
		return err
	}
	found := c.schema.Validate(v)
	switch {
	case len(found) == 0:
		return nil
	case found[0].Limit:
		return errors.New(found[0].Message)
	}
	const shown = 3
	var words []string
	for _, e := range found[:min(len(found), shown)] {
		words = append(words, e.Message)
	}
	if more := len(found) - shown; more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(words, "; "))
}
