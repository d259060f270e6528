package kafka

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTopicsAreMadeOnceAndDeletedOnce(t *testing.T) {
	brokers, _ := broker(t)
	w := newWorld(t)
	at := keys{"brokers": brokers, "topic": "new"}
	want := created{Topic: "new", Created: true, Partitions: 4}
	if got := do[created](w, "make", "create_topic", with(at, "partitions", 4, "configs", keys{"retention.ms": 60000})); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	want.Created = false
	if got := do[created](w, "again", "create_topic", with(at, "partitions", 4)); got != want {
		t.Errorf("again: got %+v, want %+v", got, want)
	}
	if got, want := words(w.fails("other", "create_topic", with(at, "partitions", 2))), "E-REPLY the topic new is there already, with 4 partitions and not 2 | kafka.delete_topic deletes it, or leave out partitions"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	do[published](w, "place", "publish", with(at, "value", "x"))
	for _, want := range [][]string{{"new"}, {}} {
		if diff := cmp.Diff(want, do[deleted](w, "delete", "delete_topic", at).Deleted); diff != "" {
			t.Errorf("deleted (-want +got)\n%s", diff)
		}
	}
	if got := words(w.fails("place", "publish", with(at, "value", "x"))); !strings.HasPrefix(got, "E-REPLY there is no topic new on ") {
		t.Errorf("got %s", got)
	}
	if got := do[created](w, "anew", "create_topic", with(at, "partitions", 2)); !got.Created || got.Partitions != 2 {
		t.Errorf("anew: got %+v", got)
	}
}

func TestTopicsThatCannotBe(t *testing.T) {
	brokers, _ := broker(t)
	for name, test := range map[string]struct {
		config keys
		want   string
	}{
		"a name with blanks": {keys{"topic": "a b"}, "E-CONFIG topic must match ^[a-zA-Z0-9._-]+$"},
		"too many replicas":  {keys{"topic": "r", "replication_factor": 9}, "E-REPLY create the topic r: the broker says Invalid Replication Factor (38) | it cannot be larger than the number of brokers"},
		"no partitions":      {keys{"topic": "p", "partitions": 0}, "E-CONFIG partitions must be at least 1, not 0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if got := words(w.fails("make", "create_topic", with(test.config, "brokers", brokers))); !strings.HasPrefix(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestTopicsAreListedWithTheirOffsets(t *testing.T) {
	brokers, _ := broker(t)
	w := newWorld(t)
	do[published](w, "place", "publish", keys{"brokers": brokers, "topic": "orders", "partition": 1, "value": "x"})
	got := do[topicsOut](w, "list", "topics", keys{"brokers": brokers})
	want := topicsOut{Brokers: []string{brokers}, Topics: []topicOut{
		{Name: "one", Partitions: []partitionOut{{Replicas: 1}}},
		{Name: "orders", Messages: 1, Partitions: []partitionOut{{Replicas: 1}, {Partition: 1, Next: 1, Replicas: 1}, {Partition: 2, Replicas: 1}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("topics (-want +got)\n%s", diff)
	}
	if got := do[topicsOut](w, "list", "topics", keys{"brokers": brokers, "topic": "one"}); len(got.Topics) != 1 {
		t.Errorf("got %+v, want one", got.Topics)
	}
	if got := words(w.fails("list", "topics", keys{"brokers": brokers, "topic": "two"})); !strings.HasPrefix(got, "E-REPLY there is no topic two on ") {
		t.Errorf("got %s", got)
	}
}
