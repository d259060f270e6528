package kafka

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/hamba/avro/v2"

	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxAvroDepth bounds the nesting of a value; a schema may hold itself.
	maxAvroDepth = 200
	// maxAvroItems bounds a list, whose elements may take no bytes at all.
	maxAvroItems = 1_000_000
)

// avroCodec turns values into Avro's binary form and back. The library parses
// schemas and reads what is primitive; from there to JSON is our own, because its
// generic values lose which branch of a union there was and the digits of
// decimals.
type avroCodec struct {
	schema avro.Schema
	api    avro.API
}

func newAvroCodec(in source) (codec, error) {
	names := new(avro.SchemaCache)
	for _, name := range in.order {
		if _, err := avro.ParseWithCache(in.parts[name], "", names); err != nil {
			return nil, fmt.Errorf("reference %s: %w", name, err)
		}
	}
	s, err := avro.ParseWithCache(in.text, "", names)
	if err != nil {
		return nil, err
	}
	return &avroCodec{s, avro.Config{MaxByteSliceSize: maxUnpacked}.Freeze()}, nil
}

func (c *avroCodec) decode(data []byte) (json.RawMessage, error) {
	in := avroReader{Reader: avro.NewReader(nil, 0, avro.WithReaderConfig(c.api)).Reset(data)}
	in.value(c.schema, 0)
	switch err := in.Error; {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errShort
	case err != nil:
		return nil, err
	}
	if in.Peek(); in.Error == nil {
		return nil, errors.New("bytes are left over at its end")
	}
	return in.out, nil
}

// avroReader writes what it reads as JSON.
type avroReader struct {
	*avro.Reader
	out []byte
}

func (r *avroReader) fail(format string, args ...any) {
	if r.Error == nil {
		r.Error = fmt.Errorf(format, args...)
	}
}

func (r *avroReader) text(s string) { r.out = value.AppendString(r.out, s) }

func (r *avroReader) value(s avro.Schema, depth int) {
	if depth > maxAvroDepth {
		r.fail("it is nested deeper than %d", maxAvroDepth)
	}
	if r.Error != nil {
		return
	}
	switch s := s.(type) {
	case *avro.RefSchema:
		r.value(s.Schema(), depth)
	case *avro.NullSchema:
		r.out = append(r.out, "null"...)
	case *avro.PrimitiveSchema:
		r.primitive(s)
	case *avro.RecordSchema:
		r.record(s, depth)
	case *avro.EnumSchema:
		n := int(r.ReadInt())
		symbols := s.Symbols()
		if n < 0 || n >= len(symbols) {
			r.fail("the enum %s has no symbol %d", s.FullName(), n)
			return
		}
		r.text(symbols[n])
	case *avro.ArraySchema:
		r.out = append(r.out, '[')
		r.blocks(func() { r.value(s.Items(), depth+1) })
		r.out = append(r.out, ']')
	case *avro.MapSchema:
		r.out = append(r.out, '{')
		r.blocks(func() {
			r.text(r.ReadString())
			r.out = append(r.out, ':')
			r.value(s.Values(), depth+1)
		})
		r.out = append(r.out, '}')
	case *avro.UnionSchema:
		n := r.ReadLong()
		if branches := s.Types(); n >= 0 && n < int64(len(branches)) {
			r.value(branches[n], depth+1)
			return
		}
		r.fail("a union has no branch %d", n)
	case *avro.FixedSchema:
		data := make([]byte, s.Size())
		r.Read(data)
		r.fixed(s, data)
	default:
		r.fail("the type %s is unknown", s.Type())
	}
}

func (r *avroReader) record(s *avro.RecordSchema, depth int) {
	r.out = append(r.out, '{')
	for i, f := range s.Fields() {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		r.text(f.Name())
		r.out = append(r.out, ':')
		r.value(f.Type(), depth+1)
	}
	r.out = append(r.out, '}')
}

// blocks reads the elements of a list or map.
func (r *avroReader) blocks(each func()) {
	total := int64(0)
	for {
		n, _ := r.ReadBlockHeader()
		if n == 0 || r.Error != nil {
			return
		}
		if total += n; n < 0 || total > maxAvroItems {
			r.fail("a list has over %d elements", maxAvroItems)
			return
		}
		for i := range n {
			if total > n || i > 0 {
				r.out = append(r.out, ',')
			}
			if each(); r.Error != nil {
				return
			}
		}
	}
}

func (r *avroReader) primitive(s *avro.PrimitiveSchema) {
	var logical avro.LogicalType
	if l := s.Logical(); l != nil {
		logical = l.Type()
	}
	switch s.Type() {
	case avro.Boolean:
		r.out = strconv.AppendBool(r.out, r.ReadBool())
	case avro.Int:
		r.whole(int64(r.ReadInt()), logical)
	case avro.Long:
		r.whole(r.ReadLong(), logical)
	case avro.Float:
		r.float(float64(r.ReadFloat()), 32)
	case avro.Double:
		r.float(r.ReadDouble(), 64)
	case avro.String:
		r.text(r.ReadString())
	case avro.Bytes:
		data := r.ReadBytes()
		if d, ok := s.Logical().(*avro.DecimalLogicalSchema); ok {
			r.out = appendDecimal(r.out, data, d.Scale())
			return
		}
		r.text(base64.StdEncoding.EncodeToString(data))
	default:
		r.fail("the type %s is unknown", s.Type())
	}
}

func (r *avroReader) whole(n int64, logical avro.LogicalType) {
	if text, ok := timeText(n, logical); ok {
		r.text(text)
		return
	}
	r.out = strconv.AppendInt(r.out, n, 10)
}

func (r *avroReader) float(f float64, bits int) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.text(nameOfFloat(f))
		return
	}
	r.out = strconv.AppendFloat(r.out, f, 'g', -1, bits)
}

// nameOfFloat names what JSON has no number for.
func nameOfFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return "NaN"
}

func (r *avroReader) fixed(s *avro.FixedSchema, data []byte) {
	switch l := s.Logical().(type) {
	case *avro.DecimalLogicalSchema:
		r.out = appendDecimal(r.out, data, l.Scale())
		return
	case *avro.PrimitiveLogicalSchema:
		if l.Type() == avro.Duration && len(data) == durationSize {
			r.out = appendDuration(r.out, data)
			return
		}
		if l.Type() == avro.UUID && len(data) == uuidSize {
			r.text(uuidText(data))
			return
		}
	}
	r.text(base64.StdEncoding.EncodeToString(data))
}
