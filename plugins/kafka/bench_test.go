package kafka

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// batchSize is the number of messages of one step.
const batchSize = 10_000

func batchConfig(t testing.TB, brokers string) json.RawMessage {
	t.Helper()
	messages := make([]keys, batchSize)
	for i := range messages {
		messages[i] = keys{"key": fmt.Sprint("o-", i), "value": keys{"order_id": i, "type": "created", "total": 12.5}}
	}
	text, err := json.Marshal(keys{"brokers": brokers, "topic": "orders", "messages": messages})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func publishBatch(t testing.TB, p plugin.Plugin, config json.RawMessage) {
	t.Helper()
	if _, err := p.Execute(t.Context(), &plugin.Request{Action: "kafka.publish", RunID: "run", StepID: "place", Config: config}, nil); err != nil {
		t.Fatal(words(err))
	}
}

func perSecond(b *testing.B) {
	b.ReportMetric(float64(b.N)*batchSize/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkPublishBatch is a step with ten thousand messages, with the reading of
// its config and the printing of its result, beside the bare client.
func BenchmarkPublishBatch(b *testing.B) {
	b.Run("plugin", func(b *testing.B) {
		brokers, _ := broker(b)
		p := New()
		defer p.Close()
		config := batchConfig(b, brokers)
		publishBatch(b, p, config)
		for b.Loop() {
			publishBatch(b, p, config)
		}
		perSecond(b)
	})
	b.Run("bare", func(b *testing.B) {
		brokers, _ := broker(b)
		transport := new(kafkago.Transport)
		defer transport.CloseIdleConnections()
		address, err := net.ResolveTCPAddr("tcp", brokers)
		if err != nil {
			b.Fatal(err)
		}
		w := &kafkago.Writer{Addr: address, Topic: "orders", Balancer: kafkago.Murmur2Balancer{}, RequiredAcks: kafkago.RequireAll, BatchSize: batchSize, BatchTimeout: time.Millisecond, Transport: transport}
		defer w.Close()
		messages := make([]kafkago.Message, batchSize)
		for i := range messages {
			messages[i] = kafkago.Message{Key: fmt.Append(nil, "o-", i), Value: fmt.Appendf(nil, `{"order_id":%d,"total":12.5,"type":"created"}`, i)}
		}
		for b.Loop() {
			if err := w.WriteMessages(b.Context(), messages...); err != nil {
				b.Fatal(err)
			}
		}
		perSecond(b)
	})
}

// TestBatchesAreFast holds a batch to a tenth of the goal of 20,000 messages a
// second, because the machines of CI are shared.
func TestBatchesAreFast(t *testing.T) {
	brokers, _ := broker(t)
	w := newWorld(t)
	config := batchConfig(t, brokers)
	publishBatch(t, w.plugin, config)
	began := time.Now()
	publishBatch(t, w.plugin, config)
	if rate := batchSize / time.Since(began).Seconds(); rate < 2_000 {
		t.Errorf("got %.0f messages a second, want 2000 at least", rate)
	} else {
		t.Logf("%.0f messages a second", rate)
	}
}
