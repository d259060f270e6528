package kafka

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxNesting bounds what counts as JSON where a form is not given: a flow's
	// values nest no deeper than a thousand.
	maxNesting = 500
	// magicSize is the length of what stands before a value that has its schema in
	// a registry: a zero and the id.
	magicSize = 5
)

// message is what a flow sees of a record.
type message struct {
	Topic       string          `json:"topic" doc:"Its topic."`
	Partition   int32           `json:"partition" doc:"Its partition, counted from 0."`
	Offset      int64           `json:"offset" doc:"Its place in the partition."`
	Timestamp   time.Time       `json:"timestamp" doc:"When it was written, as its producer or the broker says: RFC 3339."`
	Key         json.RawMessage `json:"key" doc:"Its key; null: it has none."`
	Value       json.RawMessage `json:"value" doc:"Its value; null: a tombstone, which is not an empty text."`
	Headers     map[string]any  `json:"headers" doc:"Its headers: a text or null each, or a list of these where a name comes several times. Bytes that are no text are base64."`
	KeyFormat   string          `json:"key_format" doc:"How the key was read." enum:"null|json|text|bytes|avro|protobuf|json_schema"`
	ValueFormat string          `json:"value_format" doc:"How the value was read." enum:"null|json|text|bytes|avro|protobuf|json_schema"`
	KeySchema   int             `json:"key_schema_id,omitempty" doc:"The id of the key's schema in the registry, where it has one."`
	ValueSchema int             `json:"value_schema_id,omitempty" doc:"The id of the value's schema in the registry, where it has one."`
}

// undecodable is a key or value that is not what it should be: the sender's
// fault, which a flow may look past.
type undecodable struct {
	part, format string
	cause        error
}

func (u *undecodable) Error() string {
	return fmt.Sprintf("its %s cannot be read as %s: %s", u.part, u.format, u.cause)
}

// decoding is how keys and values are read.
type decoding struct {
	registry   *registry
	key, value form
}

// form is how a key, or a value, is read or written.
type form struct {
	part   string // "key" or "value"
	format string
	codec  codec // of a schema that the flow gives, for bytes without an id before them
}

// received is a record with what it was read as, once it has been.
type received struct {
	record

	mu   sync.Mutex
	read *message
}

// decode reads a record. It is read once: an error is the undecodable, or that of
// a registry, which may answer the next time.
func (r *received) decode(ctx context.Context, d *decoding) (*message, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.read != nil {
		return r.read, nil
	}
	m := &message{Topic: r.topic, Partition: r.partition, Offset: r.offset, Timestamp: r.time, Headers: headersOf(r.headers)}
	var err error
	if m.Key, m.KeyFormat, m.KeySchema, err = d.decode(ctx, d.key, r.key); err != nil {
		return m, err
	}
	if m.Value, m.ValueFormat, m.ValueSchema, err = d.decode(ctx, d.value, r.value); err != nil {
		return m, err
	}
	r.read = m
	return m, nil
}

func (r *received) where() string {
	return fmt.Sprintf("partition %d, offset %d", r.partition, r.offset)
}

func (d *decoding) decode(ctx context.Context, f form, data []byte) (out json.RawMessage, as string, id int, err error) {
	switch {
	case data == nil:
		return nil, "null", 0, nil
	case f.codec != nil:
		out, err = f.codec.decode(data)
		return out, f.format, 0, f.wrong(err)
	case f.format == formatAuto:
		if d.registry != nil && len(data) >= magicSize && data[0] == 0 {
			out, as, id, err = d.registered(ctx, f, data)
			if !errors.As(err, new(missingError)) { // else its zero is not that of an id
				return out, as, id, err
			}
		}
		out, as = guess(f.part, data)
		return out, as, 0, nil
	case f.format == formatJSON:
		return data, f.format, 0, f.wrong(jsonFault(data))
	case f.format == formatText:
		if !utf8.Valid(data) {
			err = errors.New("it is not UTF-8")
		}
		return printed(string(data)), f.format, 0, f.wrong(err)
	case f.format == formatBytes:
		return printed(base64.StdEncoding.EncodeToString(data)), f.format, 0, nil
	}
	return d.registered(ctx, f, data)
}

// wrong says which part an error is about.
func (f form) wrong(err error) error {
	if err == nil {
		return nil
	}
	return &undecodable{f.part, f.format, err}
}

// registered reads what has the id of its schema before it.
func (d *decoding) registered(ctx context.Context, f form, data []byte) (json.RawMessage, string, int, error) {
	if len(data) < magicSize || data[0] != 0 {
		return nil, "", 0, f.wrong(errors.New("it does not begin with the id of a schema, a zero and four bytes"))
	}
	id := int(binary.BigEndian.Uint32(data[1:]))
	s, err := d.registry.byID(ctx, id)
	if err != nil {
		return nil, "", id, err
	}
	if as := s.format(); f.format != formatAuto && f.format != as {
		return nil, "", id, f.wrong(fmt.Errorf("its schema %d is of %s", id, as))
	}
	c, err := s.codec()
	if err != nil {
		return nil, "", id, err
	}
	f.format = s.format()
	out, err := c.decode(data[magicSize:])
	return out, f.format, id, f.wrong(err)
}

// guess reads what is JSON as JSON, what is a text as text and the rest as bytes.
// A key is JSON only as a map or list: 42 is the name of something.
func guess(part string, data []byte) (json.RawMessage, string) {
	if jsonFault(data) == nil && (part != "key" || data[0] == '{' || data[0] == '[') {
		return data, formatJSON
	}
	if utf8.Valid(data) && !bytes.ContainsRune(data, 0) {
		return printed(string(data)), formatText
	}
	return printed(base64.StdEncoding.EncodeToString(data)), formatBytes
}

// jsonFault says why bytes are not JSON that a flow can hold, nil: they are.
func jsonFault(data []byte) error {
	if !json.Valid(data) {
		var v any
		return json.Unmarshal(data, &v)
	}
	switch {
	case !utf8.Valid(data):
		return errors.New("it is not UTF-8")
	case nesting(data) > maxNesting:
		return fmt.Errorf("it is nested deeper than %d", maxNesting)
	}
	return nil
}

// nesting is how deep valid JSON is nested.
func nesting(data []byte) int {
	depth, deepest := 0, 0
	inText := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{', c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}', c == ']':
			depth--
		}
	}
	return deepest
}

// printed is a text as JSON.
func printed(text string) json.RawMessage {
	out, err := json.Marshal(text)
	if err != nil { // of a text it cannot fail
		return json.RawMessage(`""`)
	}
	return out
}

// headersOf are the headers of a record by name.
func headersOf(all []protocol.Header) map[string]any {
	out := make(map[string]any, len(all))
	for _, h := range all {
		var v any
		switch {
		case h.Value == nil:
		case utf8.Valid(h.Value):
			v = string(h.Value)
		default:
			v = base64.StdEncoding.EncodeToString(h.Value)
		}
		before, again := out[h.Key]
		list, isList := before.([]any)
		switch {
		case isList:
			out[h.Key] = append(list, v)
		case again:
			out[h.Key] = []any{before, v}
		default:
			out[h.Key] = v
		}
	}
	return out
}

// encode gives the bytes of a value that the flow has. null has none.
func (f form) encode(v json.RawMessage) ([]byte, error) {
	if string(v) == "null" {
		return nil, nil
	}
	var text string
	isText := json.Unmarshal(v, &text) == nil
	switch f.format {
	case formatAuto:
		if isText {
			return []byte(text), nil
		}
		return v, nil
	case formatText:
		if !isText && (v[0] == '{' || v[0] == '[') {
			return nil, errors.New("must be a text")
		}
		if !isText {
			text = string(v)
		}
		return []byte(text), nil
	case formatBytes:
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !isText {
			return nil, errors.New("must be bytes as base64")
		}
		return data, nil
	}
	return v, nil
}

// decodingIn are the keys of an action that reads messages.
type decodingIn struct {
	ValueFormat string          `json:"value_format" doc:"How values are read. auto: by their schema where they have the id of one and a registry is given, else as JSON, text or bytes (as base64), whichever they are." enum:"auto|json|text|bytes|avro|protobuf|json_schema" default:"auto"`
	KeyFormat   string          `json:"key_format" doc:"How keys are read, likewise; in auto a key is JSON only where it is a map or a list." enum:"auto|json|text|bytes|avro|protobuf|json_schema" default:"auto"`
	Registry    *registryConfig `json:"schema_registry" doc:"The schema registry that has the schemas of keys and values."`
	ValueSchema *bareSchema     `json:"value_schema" doc:"The schema of values that have no id of one before them."`
	KeySchema   *bareSchema     `json:"key_schema" doc:"The schema of keys that have no id of one before them."`
}

// bareSchema is a schema that the flow gives.
type bareSchema struct {
	Schema plugin.Either[string, map[string]any] `json:"schema,omitempty" doc:"The schema: a text, or a map for Avro and JSON Schema."`
	File   plugin.File                           `json:"file,omitempty" doc:"A file that holds it, relative to the flow."`
	// Message is of Protobuf.
	Message string `json:"message,omitempty" doc:"Of Protobuf: the name of the message; the first one of the schema by default."`
}

// open makes ready what reading needs.
func (in *decodingIn) open(ctx context.Context, call *plugin.Call) (*decoding, error) {
	r, err := in.Registry.open(ctx, call)
	if err != nil {
		return nil, err
	}
	d := &decoding{registry: r}
	if d.key, err = in.form(call, "key", in.KeyFormat, in.KeySchema); err != nil {
		return nil, err
	}
	d.value, err = in.form(call, "value", in.ValueFormat, in.ValueSchema)
	return d, err
}

func (in *decodingIn) form(call *plugin.Call, part, format string, given *bareSchema) (form, error) {
	f := form{part: part, format: format}
	bySchema := isBySchema(format)
	switch {
	case given == nil && bySchema && in.Registry == nil:
		return f, plugin.Definitionf(part+"_format", "%s needs a schema_registry, or a %s_schema", format, part)
	case given == nil:
		return f, nil
	case in.Registry != nil:
		return f, plugin.Definitionf(part+"_schema", "is for messages without a registry").WithHint("leave it out: messages carry the id of their schema")
	case !bySchema:
		return f, plugin.Definitionf(part+"_format", "must say of which kind %s_schema is: avro, protobuf or json_schema", part)
	}
	text, err := given.text(call, part+"_schema")
	if err != nil {
		return f, err
	}
	f.codec, err = newCodec(source{format: format, text: text, bare: true, message: given.Message})
	return f, asDefinition(err, part+"_schema")
}

// maxSchemaFile bounds a file that holds a schema.
const maxSchemaFile = 4 << 20

// text is the schema, from wherever the flow has it; empty: it gives none.
func (s *bareSchema) text(call *plugin.Call, field string) (string, error) {
	inline := s.Schema.One != nil || s.Schema.Other != nil
	switch {
	case inline && s.File != "":
		return "", plugin.Definitionf(field+".file", "is given beside schema: keep one of them")
	case s.File != "":
		data, err := call.ReadFile(s.File, maxSchemaFile)
		return string(data), err
	case s.Schema.One != nil:
		return *s.Schema.One, nil
	case s.Schema.Other != nil:
		text, err := json.Marshal(*s.Schema.Other)
		return string(text), err
	}
	return "", nil
}

// asDefinition blames the flow for a schema of its own that cannot be read.
func asDefinition(err error, field string) error {
	var known *plugin.Error
	if !errors.As(err, &known) {
		return err
	}
	e := plugin.Definitionf(field, "%s", known.Message)
	e.Cause = known.Cause
	return e
}
