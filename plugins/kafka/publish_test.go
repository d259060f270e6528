package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// read gives the messages of a topic by another client.
func read(t *testing.T, brokers, topic string, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var out []*kgo.Record
	for len(out) < n {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

// What a flow writes is what another client reads: a text as it is, everything
// else as JSON; null is not empty.
func TestWhatIsPublishedIsWhatAnotherClientReads(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "v.bin"), []byte{0, 255}, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		config     keys
		key, value any // a text, or nil
		headers    []kgo.RecordHeader
	}{
		"a text":               {config: keys{"value": "it's"}, value: "it's"},
		"a map":                {config: keys{"value": json.RawMessage(`{"n":1.50}`)}, value: `{"n":1.50}`},
		"a number as it is":    {config: keys{"value": json.RawMessage(`9007199254740993`)}, value: "9007199254740993"},
		"a text as JSON":       {config: keys{"value": "x", "value_format": "json"}, value: `"x"`},
		"bytes":                {config: keys{"value": "AP8=", "value_format": "bytes"}, value: "\x00\xff"},
		"a number as text":     {config: keys{"value": 5, "value_format": "text"}, value: "5"},
		"a tombstone":          {config: keys{"key": "k", "value": nil}, key: "k", value: nil},
		"an empty value":       {config: keys{"key": "", "value": ""}, key: "", value: ""},
		"a number as key":      {config: keys{"key": 42, "value": ""}, key: "42", value: ""},
		"a file":               {config: keys{"value_file": "v.bin"}, value: "\x00\xff"},
		"headers":              {config: keys{"value": "", "headers": keys{"b": nil, "a": []any{"x", 1, true}}}, value: "", headers: []kgo.RecordHeader{{Key: "a", Value: []byte("x")}, {Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("true")}, {Key: "b"}}},
		"a time":               {config: keys{"value": "", "timestamp": "2026-01-02T03:04:05Z"}, value: ""},
		"a time in ms":         {config: keys{"value": "", "timestamp": 1767323045000}, value: ""},
		"packed with gzip":     {config: keys{"value": "x", "compression": "gzip"}, value: "x"},
		"packed with snappy":   {config: keys{"value": "x", "compression": "snappy"}, value: "x"},
		"packed with lz4":      {config: keys{"value": "x", "compression": "lz4"}, value: "x"},
		"packed with zstd":     {config: keys{"value": "x", "compression": "zstd"}, value: "x"},
		"acknowledged by one":  {config: keys{"value": "x", "acks": "one"}, value: "x"},
		"acknowledged by none": {config: keys{"value": "x", "acks": "none"}, value: "x"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			brokers, _ := broker(t)
			w := newWorld(t)
			w.root = dir
			got := do[published](w, "place", "publish", with(test.config, "brokers", brokers, "topic", "one"))
			if none := test.config["acks"] == "none"; none != (got.Offset == nil) || !none && *got.Offset != 0 || got.Count != 1 {
				t.Errorf("got %+v", got)
			}
			r := read(t, brokers, "one", 1)[0]
			text := func(data []byte) any {
				if data == nil {
					return nil
				}
				return string(data)
			}
			if diff := cmp.Diff([]any{test.key, test.value}, []any{text(r.Key), text(r.Value)}); diff != "" {
				t.Errorf("key and value (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(test.headers, r.Headers); diff != "" {
				t.Errorf("headers (-want +got)\n%s", diff)
			}
			if test.config["timestamp"] != nil && r.Timestamp.UnixMilli() != 1767323045000 {
				t.Errorf("got time %s", r.Timestamp)
			}
		})
	}
}

func TestTheTraceGoesAlong(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, test := range map[string]struct {
		config keys
		want   string
	}{
		"by itself":                   {keys{}, trace},
		"unless the flow has its own": {keys{"headers": keys{"traceparent": "mine"}}, "mine"},
		"unless it is not wanted":     {keys{"traceparent": false}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			brokers, _ := broker(t)
			w := newWorld(t)
			w.trace = trace
			do[published](w, "place", "publish", with(test.config, "brokers", brokers, "topic", "one", "value", ""))
			got := ""
			for _, h := range read(t, brokers, "one", 1)[0].Headers {
				got += string(h.Value)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestKeysChooseThePartitionsOfOtherClients(t *testing.T) {
	brokers, _ := broker(t, kfake.SeedTopics(7, "seven"))
	w := newWorld(t)
	numbers := []int{0, 1, 2, 3, 4, 5, 6}
	for name, other := range map[string]kafkago.Balancer{"murmur2": kafkago.Murmur2Balancer{}, "crc32": kafkago.CRC32Balancer{}, "fnv1a": &kafkago.Hash{}} {
		var messages []keys
		for i := range 20 {
			messages = append(messages, keys{"key": fmt.Sprint("key-", i), "value": ""})
		}
		got := do[published](w, "place", "publish", keys{"brokers": brokers, "topic": "seven", "messages": messages, "partitioner": name})
		for i, m := range got.Messages {
			if want := other.Balance(kafkago.Message{Key: fmt.Append(nil, "key-", i)}, numbers...); int(m.Partition) != want {
				t.Errorf("%s: key-%d went to partition %d, want %d", name, i, m.Partition, want)
			}
		}
	}
	turns := do[published](w, "place", "publish", keys{"brokers": brokers, "topic": "seven", "messages": []keys{{"value": ""}, {"value": ""}, {"value": ""}}})
	if turns.Messages[0].Partition == turns.Messages[1].Partition || turns.Messages[1].Partition == turns.Messages[2].Partition {
		t.Errorf("without a key they went to %+v, want each to another", turns.Messages)
	}
}

func TestABatchIsWrittenInOrderWhateverItsSize(t *testing.T) {
	brokers, _ := broker(t, kfake.NumBrokers(3), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "20000"}))
	w := newWorld(t)
	var messages []keys
	for i := range 500 {
		messages = append(messages, keys{"partition": i % 3, "value": strings.Repeat("x", 300) + fmt.Sprint(i)})
	}
	got := do[published](w, "place", "publish", keys{"brokers": brokers, "topic": "orders", "messages": messages})
	for i, m := range got.Messages {
		if m.Partition != int32(i%3) || *m.Offset != int64(i/3) {
			t.Fatalf("message %d is at %d/%d", i, m.Partition, *m.Offset)
		}
	}
}

// refusing makes a broker answer produce requests with an error code so many times.
func refusing(fake *kfake.Cluster, code *kerr.Error, times int64) {
	var left atomic.Int64
	left.Store(times)
	fake.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if left.Add(-1) < 0 {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range req.(*kmsg.ProduceRequest).Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			res.Topics = append(res.Topics, rt)
		}
		return res, nil, true
	})
}

func TestWhatABrokerRefusesBecauseItDoesNotLeadIsSentAgain(t *testing.T) {
	brokers, fake := broker(t)
	refusing(fake, kerr.NotLeaderForPartition, 2)
	w := newWorld(t)
	got := do[published](w, "place", "publish", keys{"brokers": brokers, "topic": "one", "value": "x"})
	if *got.Offset != 0 || len(read(t, brokers, "one", 1)) != 1 {
		t.Errorf("got %+v, want it written once", got)
	}
}

// A broker that takes a message and hangs up before its answer: nobody knows
// whether it was written, so it is not written again.
func TestWhatMayHaveBeenWrittenIsNotSentAgain(t *testing.T) {
	brokers, fake := broker(t)
	var seen, open atomic.Int64
	fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		seen.Add(1)
		return nil, errors.New("hang up"), open.Load() == 0
	})
	w := newWorld(t)
	got := words(w.fails("place", "publish", keys{"brokers": brokers, "topic": "one", "value": "x"}))
	if !strings.HasPrefix(got, "E-CONN ") || !strings.HasSuffix(got, "whether the 1 message on the way to it were written is not known") || seen.Load() != 1 {
		t.Errorf("after %d requests: got %s", seen.Load(), got)
	}
}

func TestPublishesThatFail(t *testing.T) {
	refused := func(code *kerr.Error) string {
		brokers, fake := broker(t)
		refusing(fake, code, 1_000)
		return brokers
	}
	brokers, _ := broker(t)
	at := keys{"brokers": brokers, "topic": "one"}
	tests := map[string]struct {
		config keys
		want   string // its beginning
	}{
		"a topic that does not exist":   {keys{"brokers": brokers, "topic": "order", "value": ""}, "E-REPLY there is no topic order on " + brokers + " | check the name; kafka.create_topic makes topics | its topics: one, orders"},
		"a partition that does not":     {with(at, "partition", 3, "value", ""), "E-CONFIG partition the topic one has no partition 3 | it has 1, counted from 0"},
		"a message over the limit":      {with(at, "value", strings.Repeat("x", 2<<20)), "E-REPLY write message 0 of 2097152 bytes to partition 0 of one: the broker says Message Size Too Large (10) | send less, or raise max.message.bytes of the topic"},
		"no value":                      {at, "E-CONFIG value is missing | value: null writes a tombstone"},
		"no value of several":           {with(at, "messages", []keys{{"value": ""}, {"key": "k"}}), "E-CONFIG messages[1].value is missing | value: null writes a tombstone"},
		"one and several":               {with(at, "value", "", "messages", []keys{{"value": ""}}), "E-CONFIG messages is given beside key, value, headers or partition: keep one of them"},
		"value and file":                {with(at, "value", "", "value_file", "x"), "E-CONFIG value_file is given beside value: keep one of them"},
		"a map as text":                 {with(at, "value", keys{}, "value_format", "text"), "E-CONFIG value must be a text"},
		"bytes that are none":           {with(at, "value", "?", "value_format", "bytes"), "E-CONFIG value must be bytes as base64"},
		"a header that is a map":        {with(at, "value", "", "headers", keys{"h": keys{}}), "E-CONFIG headers.h must be a text, number, boolean or null, or a list of these"},
		"a time that is none":           {with(at, "value", "", "timestamp", "noon"), `E-CONFIG timestamp is no time: "noon"`},
		"a schema without a registry":   {with(at, "value", "", "value_format", "avro"), "E-CONFIG schema_registry is missing: it has the schema"},
		"no right to write":             {keys{"brokers": refused(kerr.TopicAuthorizationFailed), "topic": "one", "value": ""}, "E-AUTH write to partition 0 of one: the broker says Topic Authorization Failed (29) | give the user of sasl that right"},
		"too few replicas":              {keys{"brokers": refused(kerr.NotEnoughReplicas), "topic": "one", "value": ""}, "E-REPLY write to partition 0 of one: the broker says Not Enough Replicas (19) | a broker is down"},
		"an election that does not end": {keys{"brokers": refused(kerr.NotLeaderForPartition), "topic": "one", "value": "", "request_timeout": "200ms"}, "E-REPLY write to partition 0 of one: the broker says Not Leader For Partition (6)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			fault := w.fails("place", "publish", test.config)
			if got := words(fault); !strings.HasPrefix(got, test.want) || fault.Failed {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			do[published](w, "next", "publish", with(at, "value", "x"))
		})
	}
}

func TestAPartOfABatchThatWasWrittenIsSaid(t *testing.T) {
	brokers, _ := broker(t)
	w := newWorld(t)
	got := w.fails("place", "publish", keys{"brokers": brokers, "topic": "one", "messages": []keys{{"value": "small"}, {"value": strings.Repeat("x", 2<<20)}}})
	if want := "1 of the 2 messages were written"; got.Details[len(got.Details)-1] != want || !strings.Contains(got.Message, "message 1 of 2097152 bytes") {
		t.Errorf("got %s", words(got))
	}
}

func TestAnExchangeShowsWhatWasSentAndHidesPasswords(t *testing.T) {
	brokers, _ := broker(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "ada", "right-word"))
	w := newWorld(t)
	sasl := keys{"username": "ada", "password": "right-word"}
	do[published](w, "place", "publish", keys{"brokers": brokers, "sasl": sasl, "topic": "one", "value": keys{"it is": "right-word"}, "headers": keys{"h": "x"}})
	got := w.stream.exchanges[0]
	if got.Summary != "publish 1 message to one → written" || !strings.Contains(string(got.Request), `"h":"x"`) || !strings.Contains(string(got.Response), `"offset":0`) {
		t.Errorf("got %s %s %s", got.Summary, got.Request, got.Response)
	}
	if strings.Contains(string(got.Request), "right-word") {
		t.Errorf("got %s, which shows the password", got.Request)
	}
}
