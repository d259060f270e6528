package kafka

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hamba/avro/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/plugins/servertest"
)

const everything = `{"type":"record","name":"com.acme.Everything","fields":[
	{"name":"b","type":"boolean"},{"name":"i","type":"int"},{"name":"l","type":"long"},{"name":"f","type":"float"},{"name":"d","type":"double"},
	{"name":"s","type":"string"},{"name":"y","type":"bytes"},{"name":"e","type":{"type":"enum","name":"Kind","symbols":["A","B"]}},
	{"name":"x","type":{"type":"fixed","name":"Four","size":4}},
	{"name":"list","type":{"type":"array","items":"long"}},{"name":"map","type":{"type":"map","values":"string"}},
	{"name":"maybe","type":["null","string"]},{"name":"either","type":["null","long","string",{"type":"record","name":"Point","fields":[{"name":"x","type":"int"}]}]},
	{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}},
	{"name":"small","type":{"type":"fixed","name":"Dec","size":8,"logicalType":"decimal","precision":18,"scale":4}},
	{"name":"id","type":{"type":"string","logicalType":"uuid"}},
	{"name":"day","type":{"type":"int","logicalType":"date"}},
	{"name":"clock","type":{"type":"int","logicalType":"time-millis"}},{"name":"fine","type":{"type":"long","logicalType":"time-micros"}},
	{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"atfine","type":{"type":"long","logicalType":"timestamp-micros"}},
	{"name":"local","type":{"type":"long","logicalType":"local-timestamp-millis"}},
	{"name":"gap","type":{"type":"fixed","name":"Gap","size":12,"logicalType":"duration"}},
	{"name":"given","type":"string","default":"by the schema"},
	{"name":"self","type":["null","com.acme.Everything"],"default":null}]}`

const everythingValue = `{"b":true,"i":-5,"l":9007199254740993,"f":1.5,"d":0.1,"s":"grüß","y":"AP8=","e":"B","x":"AQIDBA==","list":[1,2],"map":{"a":"b"},
	"maybe":"x","either":{"x":3},"price":123456789012345678.90,"small":-0.5000,"id":"0b9f0a3e-6b0f-4a36-8a9c-0a2a7a3c8f11","day":"2026-02-28","clock":"12:34:56.789",
	"fine":"12:34:56.789012","at":"2026-01-02T03:04:05.678Z","atfine":"2026-01-02T03:04:05.678901Z","local":"2026-01-02T03:04:05.678",
	"gap":{"months":1,"days":2,"millis":3},"given":"by the schema","self":null}`

func decoded(t *testing.T, text []byte) any {
	t.Helper()
	v, err := value.Decode(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

func mustCodec(t *testing.T, s source) codec {
	t.Helper()
	c, err := newCodec(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAvroKeepsEveryType(t *testing.T) {
	c := mustCodec(t, source{format: formatAvro, text: everything})
	sent := strings.Replace(everythingValue, `,"given":"by the schema","self":null`, "", 1) // what has a default
	data, err := c.encode(json.RawMessage(sent), "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !value.Equal(decoded(t, got), decoded(t, []byte(everythingValue))) {
		t.Errorf("got %s\nwant %s", got, everythingValue)
	}
	for _, exact := range []string{`"l":9007199254740993`, `"price":123456789012345678.90`, `"small":-0.5000`} {
		if !strings.Contains(string(got), exact) {
			t.Errorf("%s is not in %s", exact, got)
		}
	}
	// Another library reads it.
	var theirs map[string]any
	if err := avro.Unmarshal(avro.MustParse(everything), data, &theirs); err != nil {
		t.Fatal(err)
	}
	if theirs["l"] != int64(9007199254740993) || theirs["given"] != "by the schema" {
		t.Errorf("another library reads %v", theirs)
	}
}

func TestAvroUnions(t *testing.T) {
	c := mustCodec(t, source{format: formatAvro, text: `["null","int","long","double","string",{"type":"enum","name":"E","symbols":["A"]},{"type":"map","values":"int"},{"type":"record","name":"n.R","fields":[{"name":"a","type":"int"}]},{"type":"array","items":"int"},"boolean"]`})
	for sent, want := range map[string]string{
		`5`: `5`, `5000000000`: `5000000000`, `1.5`: `1.5`, `"x"`: `"x"`, `true`: `true`, `{"b":1}`: `{"b":1}`, `[1]`: `[1]`, `[]`: `[]`,
		`{"long":5}`: `5`, `{"n.R":{"a":1}}`: `{"a":1}`, `{"E":"A"}`: `"A"`,
	} {
		data, err := c.encode(json.RawMessage(sent), "")
		if err != nil {
			t.Errorf("%s: %v", sent, err)
			continue
		}
		if got, err := c.decode(data); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", sent, got, err, want)
		}
	}
}

func TestAvroSaysWhatDoesNotFit(t *testing.T) {
	const schema = `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"n","type":"int","default":1},
		{"name":"items","type":{"type":"array","items":{"type":"record","name":"Item","fields":[{"name":"qty","type":"int"}]}},"default":[]},
		{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2},"default":"\u0000"},
		{"name":"day","type":{"type":"int","logicalType":"date"},"default":0},{"name":"kind","type":{"type":"enum","name":"K","symbols":["A","B"]},"default":"A"}]}`
	c := mustCodec(t, source{format: formatAvro, text: schema})
	for sent, want := range map[string]string{
		`{}`:                        `id: is missing, and the schema has no default for it`,
		`{"id":5}`:                  `id: must be a text, not 5 (number)`,
		`{"id":"x","nn":1}`:         `nn: Order has no such field: did you mean n?`,
		`{"id":"x","n":3000000000}`: `n: must be a whole number of 32 bits, not 3000000000 (number)`,
		`{"id":"x","n":1.5}`:        `n: must be a whole number of 64 bits, not 1.5 (number)`,
		`{"id":"x","items":[{"qty":1},{"qty":"a"}]}`: `items[1].qty: must be a whole number of 64 bits, not "a" (string)`,
		`{"id":"x","price":1.234}`:                   `price: has more than the 2 digits behind the point that the schema keeps: 1.234`,
		`{"id":"x","price":123.45}`:                  `price: has 5 digits, and the schema keeps 4: 123.45`,
		`{"id":"x","price":"1e999999999"}`:           `price: is too long a number: 1e999999999`,
		`{"id":"x","day":"soon"}`:                    `day: is no date: write "soon" as 2006-01-02`,
		`{"id":"x","kind":"C"}`:                      `kind: must be one of A, B, not "C" (string)`,
		`[]`:                                         `must be a map of Order, not [] (array)`,
	} {
		_, err := c.encode(json.RawMessage(sent), "")
		if err == nil || err.Error() != want {
			t.Errorf("%s: got  %v\nwant %s", sent, err, want)
		}
	}
}

func TestAvroThatIsNone(t *testing.T) {
	for name, test := range map[string]struct{ schema, data, want string }{
		"ends early":          {`"string"`, "\x0aab", "it ends early"},
		"a longer text":       {`"string"`, "\xfe\xff\xff\xff\x0f", "avro"},
		"bytes left over":     {`"int"`, "\x02\x02", "bytes are left over at its end"},
		"no such symbol":      {`{"type":"enum","name":"E","symbols":["A"]}`, "\x08", "the enum E has no symbol 4"},
		"no such branch":      {`["null"]`, "\x08", "a union has no branch 4"},
		"a trillion of nulls": {`{"type":"array","items":"null"}`, "\x80\x80\x80\x80\x80\x80\x01", "a list has over 1000000 elements"},
		"endless nesting":     {`{"type":"record","name":"R","fields":[{"name":"r","type":["R","null"]}]}`, strings.Repeat("\x00", 1000), "it is nested deeper than 200"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mustCodec(t, source{format: formatAvro, text: test.schema}).decode([]byte(test.data))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

const orderProto = `syntax = "proto3"; package shop;
import "google/protobuf/timestamp.proto";
import "common.proto";
message Order { string order_id = 1; int64 total = 2; uint64 big = 3; repeated Item items = 4; map<string, int32> counts = 5;
  google.protobuf.Timestamp at = 6; Kind kind = 7; bytes raw = 8; optional int32 maybe = 9; oneof how { string card = 10; bool cash = 11; } Money price = 12;
  message Item { string sku = 1; message Deep { int32 n = 1; } } }
message Other { int32 n = 1; }
enum Kind { NEW = 0; PAID = 1; }`

const commonProto = `syntax = "proto3"; package shop; message Money { double amount = 1; }`

func TestProtobufKeepsEveryType(t *testing.T) {
	c := mustCodec(t, source{format: formatProtobuf, text: orderProto, parts: map[string]string{"common.proto": commonProto}})
	const sent = `{"orderId":"o-1","total":9007199254740993,"big":18446744073709551615,"items":[{"sku":"a"}],"counts":{"b":2,"a":1},"at":"2026-01-02T03:04:05Z","kind":"PAID","raw":"AP8=","card":"x","price":{"amount":1.5}}`
	const want = `{"orderId":"o-1","total":9007199254740993,"big":18446744073709551615,"items":[{"sku":"a"}],"counts":{"a":1,"b":2},"at":"2026-01-02T03:04:05Z","kind":"PAID","raw":"AP8=","card":"x","price":{"amount":1.5}}`
	data, err := c.encode(json.RawMessage(sent), "")
	if err != nil {
		t.Fatal(err)
	}
	if data[0] != 0 {
		t.Errorf("it begins with %d, want the short form of the first message", data[0])
	}
	got, err := c.decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestProtobufSaysWhichMessageItIs(t *testing.T) {
	c := mustCodec(t, source{format: formatProtobuf, text: orderProto, parts: map[string]string{"common.proto": commonProto}})
	for name, prefix := range map[string]string{"Other": "\x02\x02", "shop.Order.Item.Deep": "\x06\x00\x02\x00", "Order": "\x00"} {
		data, err := c.encode(json.RawMessage(`{}`), name)
		if err != nil {
			t.Fatal(err)
		}
		if string(data) != prefix {
			t.Errorf("%s: got %q, want %q", name, data, prefix)
		}
		if _, err := c.decode(data); err != nil {
			t.Error(err)
		}
	}
	bare := mustCodec(t, source{format: formatProtobuf, text: `syntax = "proto3"; import "google/protobuf/timestamp.proto"; message T { google.protobuf.Timestamp at = 1; }`, bare: true})
	stamp, err := proto.Marshal(&timestamppb.Timestamp{Seconds: 1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := bare.decode(append([]byte{0x0a, byte(len(stamp))}, stamp...))
	if err != nil || string(got) != `{"at":"1970-01-01T00:00:01Z"}` {
		t.Errorf("bare: got %s, %v", got, err)
	}
}

func TestProtobufThatIsNone(t *testing.T) {
	c := mustCodec(t, source{format: formatProtobuf, text: orderProto, parts: map[string]string{"common.proto": commonProto}})
	for data, want := range map[string]string{
		"": "it ends early", "\x02\x08": "it says that it is message 4 of 2", "\x02": "it ends early", "\x01": "it does not say which message it is", "\x00\xff": "it is no shop.Order: ",
	} {
		if _, err := c.decode([]byte(data)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", data, err, want)
		}
	}
	for sent, want := range map[string]string{
		`{"orderId":5}`: `is no shop.Order: `, `{"nope":1}`: `is no shop.Order: unknown field "nope"`,
	} {
		if _, err := c.encode(json.RawMessage(sent), ""); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", sent, err, want)
		}
	}
	if _, err := c.encode(json.RawMessage(`{}`), "Ordr"); err == nil || err.Error() != "the schema has no message Ordr: it has Order, Other" {
		t.Errorf("got %v", err)
	}
}

// Through the real registry: published by subject, id or inline, and read back by
// the id that the message carries.
func TestSchemasOfTheRegistry(t *testing.T) {
	url := servertest.Value(t, "SCHEMA_REGISTRY_URL")
	brokers, _ := broker(t)
	at := keys{"brokers": brokers, "topic": "one", "schema_registry": keys{"url": url}}
	avroSchema := keys{"type": "record", "name": "Order", "fields": []keys{{"name": "id", "type": "string"}, {"name": "total", "type": "long"}}}
	register(t, url, "person", keys{"schema": `{"type":"record","name":"n.Person","fields":[{"name":"name","type":"string"}]}`})
	register(t, url, "money.proto", keys{"schemaType": "PROTOBUF", "schema": commonProto})
	register(t, url, "address", keys{"schemaType": "JSON", "schema": `{"type":"object","required":["street"]}`})
	tests := map[string]struct {
		config, read keys
		value        any
		want         string // what is read
		as           string
	}{
		"Avro that the flow gives": {
			config: keys{"value_format": "avro", "value_schema": keys{"schema": avroSchema, "subject": t.Name() + "-1"}},
			value:  keys{"id": "o-1", "total": 9007199254740993}, want: `{"id":"o-1","total":9007199254740993}`, as: "avro",
		},
		"Avro by its subject": {
			config: keys{"value_schema": keys{"subject": "person"}}, value: keys{"name": "Ada"}, want: `{"name":"Ada"}`, as: "avro",
		},
		"Avro that refers to another": {
			config: keys{"value_format": "avro", "value_schema": keys{"schema": `{"type":"record","name":"Team","fields":[{"name":"head","type":"n.Person"}]}`, "subject": t.Name() + "-2", "references": []keys{{"name": "n.Person", "subject": "person", "version": 1}}}},
			value:  keys{"head": keys{"name": "Ada"}}, want: `{"head":{"name":"Ada"}}`, as: "avro",
		},
		"Protobuf that imports another": {
			config: keys{"value_format": "protobuf", "value_schema": keys{"schema": orderProto, "subject": t.Name() + "-3", "references": []keys{{"name": "common.proto", "subject": "money.proto", "version": 1}}, "message": "Other"}},
			value:  keys{"n": 5}, want: `{"n":5}`, as: "protobuf",
		},
		"JSON Schema that refers to another": {
			config: keys{"value_format": "json_schema", "value_schema": keys{"schema": keys{"type": "object", "properties": keys{"to": keys{"$ref": "address.json"}}}, "subject": t.Name() + "-4", "references": []keys{{"name": "address.json", "subject": "address", "version": 1}}}},
			value:  keys{"to": keys{"street": "x"}}, want: `{"to":{"street":"x"}}`, as: "json_schema",
		},
		"a form that is asked for": {
			config: keys{"value_schema": keys{"subject": "person", "version": 1}}, read: keys{"value_format": "avro"}, value: keys{"name": "Bo"}, want: `{"name":"Bo"}`, as: "avro",
		},
		"a tombstone has no schema": {config: keys{"value_schema": keys{"subject": "person"}}, value: nil, want: "null", as: "null"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			config := with(at, "value", test.value, "key", keys{"name": "key"}, "key_schema", keys{"subject": "person"})
			for k, v := range test.config {
				config[k] = v
			}
			where := do[published](w, "place", "publish", config)
			read := with(at, "partition", where.Partition, "offset", where.Offset)
			for k, v := range test.read {
				read[k] = v
			}
			got := do[consumed](w, "read", "consume", read).Messages[0]
			if string(got.Value) != test.want || got.ValueFormat != test.as || string(got.Key) != `{"name":"key"}` || got.KeySchema == 0 || test.value != nil && got.ValueSchema == 0 {
				t.Errorf("got %s as %s (schema %d), key %s (schema %d)", got.Value, got.ValueFormat, got.ValueSchema, got.Key, got.KeySchema)
			}
		})
	}
}

func register(t *testing.T, url, subject string, schema keys) {
	t.Helper()
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(url+"/subjects/"+subject+"/versions", "application/json", strings.NewReader(string(text))) //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(res.Body)
		t.Fatalf("register %s: %s", subject, answer)
	}
}

func TestSchemasThatTheFlowGivesNeedNoRegistry(t *testing.T) {
	brokers, _ := broker(t)
	for format, schema := range map[string]string{
		"avro":        `{"type":"record","name":"R","fields":[{"name":"n","type":"long"}]}`,
		"protobuf":    `syntax = "proto3"; message R { int64 n = 1; }`,
		"json_schema": `{"type":"object","required":["n"]}`,
	} {
		w := newWorld(t)
		at := keys{"brokers": brokers, "topic": "one", "value_format": format, "value_schema": keys{"schema": schema}}
		where := do[published](w, "place", "publish", with(at, "value", keys{"n": 9007199254740993}))
		got := do[consumed](w, "read", "consume", with(at, "partition", 0, "offset", where.Offset)).Messages[0]
		if string(got.Value) != `{"n":9007199254740993}` || got.ValueSchema != 0 {
			t.Errorf("%s: got %s", format, got.Value)
		}
	}
}

// registryOf answers every request in one way.
func registryOf(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestRegistriesThatFail(t *testing.T) {
	brokers, _ := broker(t)
	dark := "http://" + server(t, silent)
	tests := map[string]struct {
		registry any
		more     keys
		want     string
	}{
		"nobody listens":   {keys{"url": "http://127.0.0.1:1"}, nil, "E-CONN the schema registry: "},
		"it says nothing":  {keys{"url": dark, "timeout": "200ms"}, nil, "E-TIMEOUT the schema registry " + dark + " did not answer within 200ms | raise schema_registry.timeout"},
		"a wrong password": {keys{"url": registryOf(t, 401, `{"error_code":401,"message":"Unauthorized"}`), "username": "ada", "password": "wrong-word"}, nil, "E-AUTH the schema registry "},
		"no such subject":  {keys{"url": registryOf(t, 404, `{"error_code":40401,"message":"Subject 'one-value' not found."}`)}, nil, "E-PROTOCOL the schema registry "},
		"another server":   {keys{"url": registryOf(t, 404, `<html>`)}, nil, "E-PROTOCOL the schema registry "},
		"no JSON":          {keys{"url": registryOf(t, 200, `<html>`)}, nil, "E-PROTOCOL the schema registry "},
		"an unknown type":  {keys{"url": registryOf(t, 200, `{"id":1,"schema":"x","schemaType":"XML"}`)}, nil, "E-CONFIG value_format is avro, and the schema 1 of the registry is of XML"},
		"no schema at all": {keys{"url": registryOf(t, 200, `{"id":1,"schema":"{"}`)}, nil, "E-PROTOCOL the schema cannot be read as avro: "},
		"not compatible": {
			keys{"url": registryOf(t, 409, `{"error_code":409,"message":"Schema being registered is incompatible"}`)},
			keys{"value_schema": keys{"schema": `"string"`}},
			"E-PROTOCOL the schema registry ",
		},
		"TLS that it has not": {keys{"url": strings.Replace(registryOf(t, 200, ""), "http:", "https:", 1)}, nil, "E-TLS "},
		"no address":          {keys{"url": "registry:8081"}, nil, "E-CONFIG schema_registry.url is not an address of HTTP"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			config := keys{"brokers": brokers, "topic": "one", "value": "x", "value_format": "avro", "schema_registry": test.registry}
			for k, v := range test.more {
				config[k] = v
			}
			fault := w.fails("place", "publish", config)
			if got := words(fault); !strings.HasPrefix(got, test.want) || fault.Failed || strings.Contains(got, "wrong-word") {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestTheRegistryIsAskedOncePerSchemaAndRun(t *testing.T) {
	brokers, _ := broker(t)
	var asked atomic.Int64
	var authorization atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		authorization.Store(r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, `{"id":7,"version":1,"schema":"\"string\""}`)
	}))
	t.Cleanup(s.Close)
	w := newWorld(t)
	at := keys{"brokers": brokers, "topic": "one", "schema_registry": keys{"url": strings.Replace(s.URL, "http://", "http://ada:right-word@", 1)}}
	for range 3 {
		do[published](w, "place", "publish", with(at, "value", "x", "value_schema", keys{"version": 1}))
	}
	do[consumed](w, "read", "consume", with(at, "start", "earliest", "count", 3))
	if asked.Load() != 1 || authorization.Load() != "Basic YWRhOnJpZ2h0LXdvcmQ=" {
		t.Errorf("it was asked %d times, with %v", asked.Load(), authorization.Load())
	}
}

// A message that is none is the sender's fault, and passed over by who looks for
// another; a registry that does not answer lets nothing be judged.
func TestMessagesThatCannotBeRead(t *testing.T) {
	registry := servertest.Value(t, "SCHEMA_REGISTRY_URL")
	brokers, _ := broker(t)
	w := newWorld(t)
	at := keys{"brokers": brokers, "topic": "one"}
	for _, v := range []string{"bm8=", "AAAPQj8=", "/w=="} { // text, schema 999999, a byte
		do[published](w, "place", "publish", with(at, "value", v, "value_format", "bytes"))
	}
	read := func(offset int, more ...any) keys {
		return with(with(at, "partition", 0, "offset", offset, "within", "200ms"), more...)
	}
	avroOnly := []any{"value_format", "avro", "schema_registry", keys{"url": registry}}
	for name, test := range map[string]struct {
		config keys
		want   string
	}{
		"no id of a schema":         {read(0, avroOnly...), "E-BODY the message at partition 0, offset 0 of one: its value cannot be read as avro: it does not begin with the id of a schema, a zero and four bytes | look at value_format"},
		"an id that nobody knows":   {read(1, avroOnly...), "E-PROTOCOL the schema registry " + registry + " has no answer for schema 999999: "},
		"a registry that is down":   {read(1, "value_format", "avro", "schema_registry", keys{"url": "http://127.0.0.1:1"}), "E-CONN the schema registry: "},
		"no JSON":                   {read(0, "value_format", "json"), "E-BODY the message at partition 0, offset 0 of one: its value cannot be read as json: "},
		"no text":                   {read(2, "value_format", "text"), "E-BODY the message at partition 0, offset 2 of one: its value cannot be read as text: it is not UTF-8"},
		"passed over by who looks":  {read(2, "value_format", "text", "where", keys{"key": "k"}), "failed E-WAIT 1 message came from topic one since the subscription, and none fits within 200ms | nearest miss: partition 0, offset 2: 1 byte |   its value cannot be read as text: it is not UTF-8"},
		"a form without its schema": {read(0, "value_format", "avro"), "E-CONFIG value_format avro needs a schema_registry, or a value_schema"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if got := words(w.fails("read", "consume", test.config)); !strings.HasPrefix(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	if got := do[consumed](w, "read", "consume", read(1, "schema_registry", keys{"url": registry})).Messages[0]; got.ValueFormat != "bytes" {
		t.Errorf("where nothing is said: got %s as %s, want bytes", got.Value, got.ValueFormat)
	}
}
