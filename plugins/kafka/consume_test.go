package kafka

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// orders are brokers with five messages in the topic "one".
func orders(t *testing.T, options ...kfake.Opt) (at keys, fake *kfake.Cluster) {
	t.Helper()
	brokers, fake := broker(t, options...)
	w := newWorld(t)
	at = keys{"brokers": brokers, "topic": "one"}
	var messages []keys
	for i := range 5 {
		messages = append(messages, keys{
			"key": fmt.Sprint("o-", i), "value": keys{"n": i, "status": "created"}, "headers": keys{"odd": i%2 == 1},
			"timestamp": fmt.Sprintf("2026-01-0%dT00:00:00Z", i+1),
		})
	}
	do[published](w, "place", "publish", with(at, "messages", messages))
	return at, fake
}

// numbers are the messages that were found.
func numbers(messages []*message) string {
	var out []string
	for _, m := range messages {
		out = append(out, fmt.Sprint(m.Offset))
	}
	return strings.Join(out, " ")
}

func TestConsume(t *testing.T) {
	at, _ := orders(t)
	tests := map[string]struct {
		config keys
		want   string // offsets
		fault  string
	}{
		"from the beginning":          {config: keys{"start": "earliest", "count": 5}, want: "0 1 2 3 4"},
		"the older word for it":       {config: keys{"from_beginning": true}, want: "0"},
		"as many as wanted":           {config: keys{"start": "earliest", "count": 2}, want: "0 1"},
		"up to so many":               {config: keys{"start": "earliest", "max_messages": 3}, want: "0 1 2"},
		"up to so many, if there are": {config: keys{"start": "earliest", "max_messages": 9, "within": "200ms"}, want: "0 1 2 3 4"},
		"from an offset":              {config: keys{"partition": 0, "offset": 3, "count": 2}, want: "3 4"},
		"from a time":                 {config: keys{"start": "2026-01-04T00:00:00Z", "count": 2}, want: "3 4"},
		"a time after all":            {config: keys{"start": "2030-01-01T00:00:00Z", "within": "100ms"}, fault: "failed E-WAIT no message came from topic one within 100ms"},
		"what matches":                {config: keys{"start": "earliest", "where": keys{"value": keys{"n": "#(_ > 2)"}}, "count": 2}, want: "3 4"},
		"an older filter":             {config: keys{"start": "earliest", "filter": keys{"key": "o-3", "header": keys{"odd": "true"}}}, want: "3"},
		"an older match":              {config: keys{"start": "earliest", "match": keys{"key": "o-2", "json_path": []string{"$.n == 2", "$.status exists", "$.x not exists"}}}, want: "2"},
		"a path that does not hold": {
			config: keys{"start": "earliest", "match": keys{"key": "o-4", "json_path": "$.n > 7"}, "within": "100ms"},
			fault:  "failed E-WAIT 5 messages came from topic one since the subscription, and none fits within 100ms | nearest miss: partition 0, offset 4, key o-4: {\"n\":4,\"status\":\"created\"} |   $.n > 7: it is 4",
		},
		"too few": {
			config: keys{"start": "earliest", "count": 6, "within": "100ms"},
			fault:  "failed E-WAIT 5 messages came from topic one since the subscription, and 5 of the 6 that are wanted fit within 100ms",
		},
		"no topic":                {config: keys{"topic": "on", "start": "earliest"}, fault: "E-REPLY there is no topic on on "},
		"an offset that is not":   {config: keys{"partition": 0, "offset": 99, "within": "2s"}, fault: "E-CONN the subscription to topic one ended while it was waited for: partition 0 of one does not have offset 99 any more"},
		"a partition that is not": {config: keys{"partition": 7}, fault: "E-CONFIG partition the topic one has no partition 7 | it has 1, counted from 0"},
		"an offset of what":       {config: keys{"offset": 1}, fault: "E-CONFIG offset needs the partition that it is of"},
		"a start that is none":    {config: keys{"start": "monday"}, fault: `E-CONFIG start is neither latest nor earliest nor a time: "monday"`},
		"a path that is none":     {config: keys{"match": keys{"json_path": "n = 1"}}, fault: `E-CONFIG match.json_path "n = 1" does not begin with a JSONPath`},
		"a group and a partition": {config: keys{"group_id": "g", "partition": 0}, fault: "E-CONFIG group_id is given beside partition or offset"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			config := with(at)
			for k, v := range test.config {
				config[k] = v
			}
			if test.fault != "" {
				if got := words(w.fails("read", "consume", config)); !strings.HasPrefix(got, test.fault) {
					t.Errorf("got  %s\nwant %s", got, test.fault)
				}
				return
			}
			if got := do[consumed](w, "read", "consume", config); numbers(got.Messages) != test.want || got.Count != len(got.Messages) {
				t.Errorf("got %s (%d), want %s", numbers(got.Messages), got.Count, test.want)
			}
		})
	}
}

// Where the brokers cannot be asked whether there is more, a wait that ends
// without its message has shown nothing.
func TestAConsumeOfABrokerThatStopsIsErrored(t *testing.T) {
	for name, stop := range map[string]func(*kfake.Cluster){
		"gone": func(fake *kfake.Cluster) { fake.Close() },
		"silent": func(fake *kfake.Cluster) {
			var closed atomic.Bool
			silence(fake, kmsg.Fetch, &closed)
			silence(fake, kmsg.ListOffsets, &closed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			at, fake := orders(t)
			w := newWorld(t)
			do[subscribed](w, "sub", "subscribe", at)
			stop(fake)
			fault := w.fails("seen", "expect", keys{"within": "100ms"})
			if fault.Failed || fault.Code != "E-CONN" && fault.Code != "E-TIMEOUT" {
				t.Errorf("got %s, want it errored", words(fault))
			}
		})
	}
}

func TestAGroupGoesOnWhereItStopped(t *testing.T) {
	at, _ := orders(t)
	w := newWorld(t)
	group := with(at, "group_id", "g", "start", "earliest")
	for i := range 3 {
		if got := do[consumed](w, "read", "consume", with(group, "count", 1)); numbers(got.Messages) != fmt.Sprint(i) {
			t.Fatalf("read %d: got %s", i, numbers(got.Messages))
		}
	}
	// One that fails has read nothing.
	if fault := w.fails("read", "consume", with(group, "count", 9, "within", "100ms")); !fault.Failed {
		t.Errorf("got %s", words(fault))
	}
	// Nor has one that does not commit.
	do[consumed](w, "read", "consume", with(group, "count", 2, "commit", false))
	if got := do[consumed](w, "read", "consume", with(group, "where", keys{"key": "o-4"})); numbers(got.Messages) != "4" || got.Seen != 2 {
		t.Errorf("got %s of %d, want the last of two", numbers(got.Messages), got.Seen)
	}
	if fault := w.fails("read", "consume", with(group, "within", "100ms")); !fault.Failed {
		t.Errorf("got %s, want that nothing is left", words(fault))
	}
}

func TestTwoMembersOfAGroupShareItsPartitions(t *testing.T) {
	brokers, _ := broker(t)
	w := newWorld(t)
	at := keys{"brokers": brokers, "topic": "orders"}
	var messages []keys
	for i := range 30 {
		messages = append(messages, keys{"partition": i % 3, "value": i})
	}
	do[published](w, "place", "publish", with(at, "messages", messages))
	var all sync.WaitGroup
	for i := range 2 {
		all.Go(func() {
			// Each ends with what it has: how they share is the group's business.
			_, _ = w.try(t.Context(), fmt.Sprint("member-", i), "consume", with(at, "group_id", "g", "start", "earliest", "max_messages", 30, "within", "8s"))
		})
	}
	all.Wait()
	fault := w.fails("left", "consume", with(at, "group_id", "g", "within", "200ms"))
	if !fault.Failed {
		t.Errorf("got %s, want that everything was read", words(fault))
	}
}

func TestAMemberBesideAnotherClient(t *testing.T) {
	at, _ := orders(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(at["brokers"].(string)), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("one"), kgo.Balancers(kgo.RangeBalancer()), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	polling := make(chan struct{})
	go func() {
		defer close(polling)
		for t.Context().Err() == nil {
			if client.PollFetches(t.Context()).IsClientClosed() {
				return
			}
		}
	}()
	w := newWorld(t)
	until(t, func() bool { id, _ := client.GroupMetadata(); return id != "" })
	_, err = w.try(t.Context(), "read", "consume", with(at, "group_id", "g", "start", "earliest", "within", "500ms"))
	if err != nil && !strings.Contains(words(err), "other members of the group g have all the partitions") {
		t.Errorf("got %s", words(err))
	}
}

func TestAGroupWhoseOffsetIsGoneBeginsAgain(t *testing.T) {
	at, fake := orders(t)
	w := newWorld(t)
	group := with(at, "group_id", "g", "start", "earliest")
	do[consumed](w, "read", "consume", with(group, "count", 1))
	client, err := kgo.NewClient(kgo.SeedBrokers(fake.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "one", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: 3}}}}
	if _, err := client.Request(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if got := do[consumed](w, "read", "consume", group); numbers(got.Messages) != "3" {
		t.Errorf("got %s, want the oldest that is left", numbers(got.Messages))
	}
}

func TestAConsumeReadsAheadWithinBounds(t *testing.T) {
	brokers, _ := broker(t, kfake.SyntheticFetch(kfake.SyntheticBatch{RecordBytes: 1000}))
	w := newWorld(t)
	got := do[consumed](w, "read", "consume", keys{"brokers": brokers, "topic": "one", "start": "earliest", "where": keys{"offset": 50_000}, "within": "60s"})
	if numbers(got.Messages) != "50000" || got.Seen != 50_001 {
		t.Errorf("got %s of %d, want every message looked at", numbers(got.Messages), got.Seen)
	}
}
