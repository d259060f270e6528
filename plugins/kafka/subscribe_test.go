package kafka

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// silence makes brokers leave requests of one kind without an answer, and hangUp
// makes them close the connection instead, until open says that it is over.
func silence(fake *kfake.Cluster, key kmsg.Key, open *atomic.Bool) { control(fake, key, open, nil) }

func hangUp(fake *kfake.Cluster, key kmsg.Key, open *atomic.Bool) {
	control(fake, key, open, errors.New("hang up"))
}

func control(fake *kfake.Cluster, key kmsg.Key, open *atomic.Bool, err error) {
	fake.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		return nil, err, !open.Load()
	})
}

// The race: a message comes after the step that causes it has begun and before
// the one that waits for it listens. It is there to be lost by a consume from the
// end. A subscription notes the offsets before it passes, so that it cannot be
// lost, not even where the broker answers no fetch until the message is written.
func TestTheRaceIsImpossibleWithSubscribeAndPossibleWithout(t *testing.T) {
	brokers, fake := broker(t)
	at := keys{"brokers": brokers, "topic": "orders"}
	trigger := with(at, "key", "o-1", "value", keys{"order_id": "o-1"})

	t.Run("with subscribe", func(t *testing.T) {
		w := newWorld(t)
		var reads atomic.Bool
		hangUp(fake, kmsg.Fetch, &reads)
		do[subscribed](w, "orders", "subscribe", at)
		do[published](w, "place", "publish", trigger)
		reads.Store(true)
		got := do[expected](w, "seen", "expect", keys{"from": "orders", "where": keys{"key": "o-1"}})
		if got.Count != 1 || string(got.Messages[0].Value) != `{"order_id":"o-1"}` {
			t.Errorf("got %+v, want the message", got)
		}
	})
	t.Run("without", func(t *testing.T) {
		w := newWorld(t)
		do[published](w, "place", "publish", trigger)
		fault := w.fails("seen", "consume", with(at, "where", keys{"key": "o-1"}, "within", "200ms"))
		const want = "failed E-WAIT no message came from topic orders within 200ms | it read what came after it had begun: kafka.subscribe before the step that causes the message, or start: earliest"
		if words(fault) != want {
			t.Errorf("got %s\nwant %s", words(fault), want)
		}
	})
}

func TestASubscriptionSaysFromWhereOn(t *testing.T) {
	brokers, _ := broker(t)
	w := newWorld(t)
	at := keys{"brokers": brokers, "topic": "orders"}
	do[published](w, "before", "publish", with(at, "partition", 1, "value", "old"))
	got := do[subscribed](w, "sub", "subscribe", at)
	if fmt.Sprint(got.Partitions) != "[{orders 0 0} {orders 1 1} {orders 2 0}]" {
		t.Errorf("got %v", got.Partitions)
	}
}

func TestExpect(t *testing.T) {
	brokers, _ := broker(t)
	w := newWorld(t)
	at := keys{"brokers": brokers, "topic": "orders"}
	do[published](w, "before", "publish", with(at, "value", "before"))
	do[subscribed](w, "sub", "subscribe", at)
	do[published](w, "place", "publish", with(at, "messages", []keys{
		{"partition": 1, "key": "o-1", "value": keys{"type": "created", "total": 12}, "headers": keys{"source": "shop"}},
		{"partition": 1, "key": "o-2", "value": keys{"type": "paid", "total": 12}},
	}))
	tests := map[string]struct {
		config keys
		want   int    // messages that are found
		fault  string // empty: it passes
	}{
		"what matches":              {config: keys{"where": keys{"value": keys{"type": "paid"}}}, want: 1},
		"every message":             {config: keys{"count": 2}, want: 2},
		"by header":                 {config: keys{"where": keys{"headers": keys{"source": "shop"}}}, want: 1},
		"by place":                  {config: keys{"where": keys{"topic": "orders", "partition": 1, "offset": 1}}, want: 1},
		"a look takes nothing away": {config: keys{"where": keys{"value": keys{"type": "paid"}}}, want: 1},
		"none is wanted":            {config: keys{"where": keys{"value": "before"}, "absent": true, "within": "100ms"}},
		"none is wanted and there is one": {
			config: keys{"where": keys{"key": "o-2"}, "absent": true, "within": "100ms"},
			fault:  `failed E-WAIT a message that should not come came after T: partition 1, offset 1, key o-2: {"total":12,"type":"paid"}`,
		},
		"nothing that matches": {
			config: keys{"where": keys{"key": "o-1", "value": keys{"type": "created", "total": 13}}, "within": "100ms"},
			fault:  `failed E-WAIT 2 messages came from topic orders since the subscription, and none fits within 100ms | nearest miss: partition 1, offset 0, key o-1: {"total":12,"type":"created"} |   $.value.total: want 13 (number), got 12 (number)`,
		},
		"too few": {
			config: keys{"count": 3, "within": "100ms"},
			fault:  `failed E-WAIT 2 messages came from topic orders since the subscription, and 2 of the 3 that are wanted fit within 100ms`,
		},
		"no such step":   {config: keys{"from": "subs"}, fault: `E-CONFIG from no step "subs" with kafka.subscribe has run | there are sub`},
		"no such marker": {config: keys{"where": keys{"key": "#nope"}}, fault: `E-CONFIG where unknown marker "#nope" | it is a pattern of a message: {key: o-1, value: {type: created}, headers: {source: shop}}`},
	}
	came := regexp.MustCompile(`came after [0-9.]+[mµ]?s:`) // how soon is the machine's
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := &world{TB: t, plugin: w.plugin, stream: w.stream}
			if test.fault != "" {
				if got := came.ReplaceAllString(words(w.fails("seen", "expect", test.config)), "came after T:"); got != test.fault {
					t.Errorf("got  %s\nwant %s", got, test.fault)
				}
				return
			}
			if got := do[expected](w, "seen", "expect", test.config); got.Count != test.want || len(got.Messages) != test.want {
				t.Errorf("got %+v, want %d messages", got, test.want)
			}
		})
	}
}

func TestAnExpectWithoutASubscriptionSaysWhatComesFirst(t *testing.T) {
	w := newWorld(t)
	if got, want := words(w.fails("seen", "expect", keys{})), "E-CONFIG from is missing, and the run has 0 subscriptions | a step with kafka.subscribe comes first"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestASubscriptionTakesUpNewPartitions(t *testing.T) {
	brokers, _ := broker(t)
	w := newWorld(t)
	do[subscribed](w, "sub", "subscribe", keys{"brokers": brokers, "topic": "one"})
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "one", Count: 2}}
	if _, err := req.RequestWith(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "one", Partition: 1, Value: []byte("new")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got := do[expected](w, "seen", "expect", keys{"where": keys{"value": "new", "partition": 1}, "within": "15s"})
	if got.Count != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestASubscriptionFollowsPartitionsToOtherBrokers(t *testing.T) {
	brokers, fake := broker(t, kfake.NumBrokers(3))
	w := newWorld(t)
	at := keys{"brokers": brokers, "topic": "orders"}
	do[subscribed](w, "sub", "subscribe", at)
	for round := range 5 {
		fake.ShufflePartitionLeaders()
		do[published](w, "place", "publish", with(at, "messages", []keys{
			{"partition": 0, "value": round}, {"partition": 1, "value": round}, {"partition": 2, "value": round},
		}))
	}
	got := do[expected](w, "seen", "expect", keys{"count": 15})
	if got.Count != 15 || got.Seen != 15 {
		t.Errorf("got %d of %d messages, want 15", got.Count, got.Seen)
	}
}

func TestOnlyCommittedTransactionsAreSeen(t *testing.T) {
	brokers, _ := broker(t)
	w := newWorld(t)
	for _, level := range []string{"read_committed", "read_uncommitted"} {
		do[subscribed](w, level, "subscribe", keys{"brokers": brokers, "topic": "one", "isolation": level})
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.TransactionalID("t"), kgo.DefaultProduceTopic("one"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprint(bool(end)))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	if got := do[expected](w, "seen", "expect", keys{"from": "read_committed", "count": 1, "within": "5s"}); got.Seen != 1 || string(got.Messages[0].Value) != "true" {
		t.Errorf("committed: got %+v, want one message", got)
	}
	if got := do[expected](w, "seen", "expect", keys{"from": "read_uncommitted", "count": 3, "within": "5s"}); got.Seen != 3 {
		t.Errorf("uncommitted: got %+v, want three", got)
	}
	// The marks of transactions do not keep a wait from ending.
	do[expected](w, "none", "expect", keys{"from": "read_committed", "where": keys{"value": "false"}, "absent": true, "within": "100ms"})
}

func TestASubscriptionOutlivesABrokerThatIsStartedAgain(t *testing.T) {
	fs := t.TempDir()
	brokers, fake := broker(t, kfake.DataDir(fs))
	w := newWorld(t)
	at := keys{"brokers": brokers, "topic": "orders"}
	do[subscribed](w, "sub", "subscribe", at)
	do[published](w, "first", "publish", with(at, "value", "first"))
	fake.Close()
	fault := w.fails("down", "expect", keys{"where": keys{"value": "second"}, "within": "100ms"})
	if fault.Failed || fault.Code != plugin.CodeConn {
		t.Errorf("broker down: got %s, want it errored", words(fault))
	}
	var port int
	if _, err := fmt.Sscanf(strings.TrimPrefix(brokers, "127.0.0.1:"), "%d", &port); err != nil {
		t.Fatal(err)
	}
	_, _ = broker(t, kfake.DataDir(fs), kfake.Ports(port))
	do[published](w, "second", "publish", with(at, "value", "second"))
	got := do[expected](w, "seen", "expect", keys{"count": 2})
	if got.Seen != 2 {
		t.Errorf("got %+v, want each message once", got)
	}
}

func TestMessagesThatAreDeletedBeforeTheyAreReadAreMissed(t *testing.T) {
	brokers, fake := broker(t)
	w := newWorld(t)
	at := keys{"brokers": brokers, "topic": "one"}
	var reads atomic.Bool
	hangUp(fake, kmsg.Fetch, &reads)
	do[subscribed](w, "sub", "subscribe", at)
	do[published](w, "place", "publish", with(at, "messages", []keys{{"value": 1}, {"value": 2}}))
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "one", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: 2}}}}
	if _, err := client.Request(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	reads.Store(true)
	got := words(w.fails("seen", "expect", keys{"where": keys{"value": 3}, "within": "5s"}))
	if !strings.HasPrefix(got, "E-CONN the subscription to topic one ended while it was waited for: partition 0 of one does not have offset 0 any more: it begins at 2 and ends at 2") {
		t.Errorf("got %s", got)
	}
}

func TestAMillionMessagesDoNotFillTheMemory(t *testing.T) {
	brokers, _ := broker(t, kfake.SyntheticFetch(kfake.SyntheticBatch{RecordBytes: 10}))
	w := newWorld(t)
	do[subscribed](w, "sub", "subscribe", keys{"brokers": brokers, "topic": "one", "max_messages": 1000})
	sub := w.subscription("sub")
	until(t, func() bool { return sub.box.Len() >= 1_000_000 })
	fault := w.fails("seen", "expect", keys{"where": keys{"value": "first"}, "within": "1ms"})
	if fault.Failed || !strings.Contains(fault.Message, "messages of topic one were dropped at the limit of the subscription before anybody looked at them") {
		t.Errorf("got %s", words(fault))
	}
}

func TestASubscriptionEndsWithItsRun(t *testing.T) {
	brokers, _ := broker(t)
	w := newWorld(t)
	do[subscribed](w, "sub", "subscribe", keys{"brokers": brokers, "topic": "orders"})
	began := time.Now()
	w.plugin.EndRun("run")
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s", took)
	}
}
