package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// traceHeader is the name of W3C's header.
	traceHeader = "traceparent"
	// maxValueFile bounds a file that is a value; brokers take a megabyte by default.
	maxValueFile = 128 << 20
	// maxShown bounds the messages of an exchange, and maxShownBytes each of them.
	maxShown      = 20
	maxShownBytes = 4 << 10
)

type publishIn struct {
	connection
	Topic string `json:"topic" doc:"The topic to write to." example:"orders.v1" minLength:"1"`
	messageIn
	Messages    []messageIn `json:"messages,omitempty" doc:"Several messages, in place of key, value, headers, partition and timestamp." minItems:"1" maxItems:"100000"`
	Compression string      `json:"compression" doc:"How batches are packed." enum:"none|gzip|snappy|lz4|zstd" default:"none"`
	Acks        string      `json:"acks" doc:"What the broker waits for before it answers: all replicas, its own disk, or nothing, and then it does not answer." enum:"all|one|none" default:"all"`
	Partitioner string      `json:"partitioner" doc:"How a key chooses the partition: murmur2 as Java's clients do, crc32 as those of librdkafka, fnv1a as those of Go. Messages without a key take turns." enum:"murmur2|crc32|fnv1a" default:"murmur2"`
	TraceParent bool        `json:"traceparent" doc:"Whether messages get a header traceparent, where the run has a trace." default:"true"`
	encodingIn
}

// messageIn is one message to write.
type messageIn struct {
	Key       json.RawMessage              `json:"key,omitempty" doc:"Its key; without it, or null, it has none."`
	Value     json.RawMessage              `json:"value,omitempty" doc:"Its value. null is a tombstone, which deletes what the key had; an empty text is a value."`
	ValueFile plugin.File                  `json:"value_file,omitempty" doc:"A file whose content is the value, in place of value: as it is, or as JSON where value_format says json or a schema."`
	Headers   map[string]any               `json:"headers,omitempty" doc:"Its headers: a text, number, boolean or null each, or a list of these."`
	Partition *int32                       `json:"partition" min:"0" doc:"The partition to write to; the partitioner chooses where it is left out."`
	Timestamp plugin.Either[string, int64] `json:"timestamp,omitempty" doc:"Its time, RFC 3339 or milliseconds since 1970; now by default."`
}

type published struct {
	Topic     string   `json:"topic" doc:"Where it was written."`
	Partition int32    `json:"partition" doc:"The partition of the first message."`
	Offset    *int64   `json:"offset" doc:"Its offset in the partition; null with acks none, which nobody answers."`
	Count     int      `json:"count" doc:"How many messages were written."`
	Messages  []placed `json:"messages" doc:"Where each message is, in the order of the config."`
}

type placed struct {
	Partition int32  `json:"partition" doc:"Its partition."`
	Offset    *int64 `json:"offset" doc:"Its offset in the partition."`
}

// outgoing is a message on its way.
type outgoing struct {
	record
	number int // in the config
	offset *int64
}

func publish(ctx context.Context, call *plugin.Call, in publishIn) (published, error) {
	c, err := in.cluster(ctx, call)
	if err != nil {
		return published{}, err
	}
	out, err := in.outgoing(ctx, call)
	if err != nil {
		return published{}, err
	}
	began := time.Now()
	p := &producer{cluster: c, topic: in.Topic, acks: acksOf(in.Acks), balancer: balancerOf(in.Partitioner), compression: compressionOf(in.Compression)}
	err = p.publish(ctx, out)
	in.exchange(call, out, began, err)
	if err != nil {
		return published{}, err
	}
	result := published{Topic: in.Topic, Partition: out[0].partition, Offset: out[0].offset, Count: len(out), Messages: make([]placed, len(out))}
	for i, m := range out {
		result.Messages[i] = placed{m.partition, m.offset}
	}
	return result, nil
}

// outgoing are the messages of the config as bytes.
func (in *publishIn) outgoing(ctx context.Context, call *plugin.Call) ([]*outgoing, error) {
	many := len(in.Messages) > 0
	one := &in.messageIn
	single := one.Value != nil || one.ValueFile != "" || one.Key != nil || one.Headers != nil || one.Partition != nil
	if many && single {
		return nil, plugin.Definitionf("messages", "is given beside key, value, headers or partition: keep one of them")
	}
	messages := in.Messages
	if !many {
		messages = []messageIn{*one}
	}
	key, value, err := in.open(ctx, call, in.Topic)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out := make([]*outgoing, len(messages))
	for i := range messages {
		field := ""
		if many {
			field = fmt.Sprintf("messages[%d]", i)
		}
		if out[i], err = messages[i].outgoing(call, key, value, now, field); err != nil {
			return nil, err
		}
		out[i].number = i
		if in.TraceParent && call.TraceParent() != "" && !hasHeader(messages[i].Headers, traceHeader) {
			out[i].headers = append(out[i].headers, protocol.Header{Key: traceHeader, Value: []byte(call.TraceParent())})
		}
	}
	return out, nil
}

func hasHeader(headers map[string]any, name string) bool {
	_, ok := headers[name]
	return ok
}

func (m *messageIn) outgoing(call *plugin.Call, key, value *encoding, now time.Time, field string) (*outgoing, error) {
	out := &outgoing{record: record{partition: anyPartition, time: now}}
	if m.Partition != nil {
		out.partition = *m.Partition
	}
	var err error
	if m.Key != nil {
		if out.key, err = key.encode(m.Key); err != nil {
			return nil, misfitAt(err, under(field, "key"))
		}
	}
	if out.value, err = m.valueBytes(call, value, field); err != nil {
		return nil, err
	}
	if out.headers, err = headersIn(m.Headers, under(field, "headers")); err != nil {
		return nil, err
	}
	switch {
	case m.Timestamp.Other != nil:
		out.time = time.UnixMilli(*m.Timestamp.Other)
	case m.Timestamp.One != nil:
		if out.time, err = time.Parse(time.RFC3339, *m.Timestamp.One); err != nil {
			return nil, plugin.Definitionf(under(field, "timestamp"), "is no time: %q", *m.Timestamp.One).WithHint("write it as 2006-01-02T15:04:05Z, or in milliseconds since 1970")
		}
	}
	return out, nil
}

func (m *messageIn) valueBytes(call *plugin.Call, value *encoding, field string) ([]byte, error) {
	switch {
	case m.Value == nil && m.ValueFile == "":
		return nil, plugin.Definitionf(under(field, "value"), "is missing").WithHint("value: null writes a tombstone")
	case m.Value != nil && m.ValueFile != "":
		return nil, plugin.Definitionf(under(field, "value_file"), "is given beside value: keep one of them")
	case m.Value != nil:
		data, err := value.encode(m.Value)
		return data, misfitAt(err, under(field, "value"))
	}
	data, err := call.ReadFile(m.ValueFile, maxValueFile)
	if err != nil {
		return nil, err
	}
	data, err = value.encodeFile(data)
	return data, misfitAt(err, under(field, "value_file"))
}

// headersIn are the headers of a config, in the order of their names.
func headersIn(in map[string]any, field string) ([]protocol.Header, error) {
	var out []protocol.Header
	names := make([]string, 0, len(in))
	for name := range in {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values, many := in[name].([]any)
		if !many {
			values = []any{in[name]}
		}
		for _, v := range values {
			h := protocol.Header{Key: name}
			switch v := v.(type) {
			case nil:
			case string:
				h.Value = []byte(v)
			case bool, json.Number:
				h.Value = fmt.Append(nil, v)
			default:
				return nil, plugin.Definitionf(under(field, name), "must be a text, number, boolean or null, or a list of these")
			}
			out = append(out, h)
		}
	}
	return out, nil
}

func acksOf(name string) int16 {
	return int16(map[string]kafkago.RequiredAcks{"all": kafkago.RequireAll, "one": kafkago.RequireOne, "none": kafkago.RequireNone}[name])
}

func compressionOf(name string) compress.Compression {
	return map[string]compress.Compression{"gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd}[name]
}

func balancerOf(name string) kafkago.Balancer {
	switch name {
	case "crc32":
		return kafkago.CRC32Balancer{Consistent: true}
	case "fnv1a":
		return new(kafkago.Hash)
	}
	return kafkago.Murmur2Balancer{Consistent: true}
}

// exchange records what was sent and what came back.
func (in *publishIn) exchange(call *plugin.Call, out []*outgoing, began time.Time, err error) {
	if !call.WantsExchange() {
		return
	}
	shown := make([]map[string]any, 0, min(len(out), maxShown))
	places := make([]map[string]any, 0, cap(shown))
	for _, m := range out[:cap(shown)] {
		shown = append(shown, map[string]any{"key": shownBytes(m.key), "value": shownBytes(m.value), "headers": headersOf(m.headers)})
		places = append(places, map[string]any{"partition": m.partition, "offset": m.offset})
	}
	answer := map[string]any{"messages": places}
	outcome := "written"
	if err != nil {
		answer, outcome = map[string]any{"error": err.Error()}, "refused"
	}
	call.Exchange(plugin.Exchange{
		Protocol: "Kafka", Summary: fmt.Sprintf("publish %s to %s → %s", plural(len(out), "message"), in.Topic, outcome), Started: began,
		Request:  shownJSON(map[string]any{"topic": in.Topic, "acks": in.Acks, "compression": in.Compression, "count": len(out), "messages": shown}),
		Response: shownJSON(answer), Timings: map[string]float64{"total": float64(time.Since(began)) / float64(time.Millisecond)},
	})
}

// shownBytes is a key or value for people: cut, and as text where it is one.
func shownBytes(data []byte) any {
	if data == nil {
		return nil
	}
	text, as := guess("value", data[:min(len(data), maxShownBytes)])
	if len(data) > maxShownBytes || as == formatBytes {
		return map[string]any{"bytes": len(data), "begins": text}
	}
	return text
}

func shownJSON(v any) json.RawMessage {
	out, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return out
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
