package kafka

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

type subscribeIn struct {
	connection
	Topic       texts  `json:"topic" doc:"The topic to listen to, or several." example:"orders.v1"`
	Isolation   string `json:"isolation" doc:"Whether messages of transactions are seen once they are committed, or at once." enum:"read_committed|read_uncommitted" default:"read_committed"`
	MaxMessages int    `json:"max_messages" doc:"Messages that are kept; past it the oldest go, and an expect that would need them is errored." min:"1" max:"1000000" default:"100000"`
	MaxBytes    int64  `json:"max_bytes" doc:"Bytes of them that are kept." min:"1024" max:"536870912" default:"134217728"`
	decodingIn
}

type subscribed struct {
	Topics     []string   `json:"topics" doc:"What it listens to."`
	Partitions []position `json:"partitions" doc:"From where on: what is written at these offsets or later is seen."`
}

type position struct {
	Topic     string `json:"topic" doc:"The topic."`
	Partition int32  `json:"partition" doc:"The partition."`
	Offset    int64  `json:"offset" doc:"The offset."`
}

// positions lists offsets in the order of topics and partitions.
func positions(offsets map[place]int64) []position {
	out := make([]position, 0, len(offsets))
	for at, offset := range offsets {
		out = append(out, position{at.topic, at.partition, offset})
	}
	slices.SortFunc(out, func(a, b position) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

// subscription is what a run listens to.
type subscription struct {
	source   string // for messages: "topic orders.v1"
	box      *inbox.Inbox[*received]
	reader   *reader
	decoding *decoding
	stop     context.CancelFunc
	done     chan struct{} // closed when nothing more will come
}

const subscriptionKey = "subscription:"

// subscribe notes where the partitions end, and reads them from there on in the
// background. It does not matter when the first fetch is made: what is written
// from now on stands behind these offsets.
func subscribe(ctx context.Context, call *plugin.Call, in subscribeIn) (subscribed, error) {
	topics := listed(in.Topic)
	if len(topics) == 0 {
		return subscribed{}, plugin.Definitionf("topic", "names no topic")
	}
	c, err := in.cluster(ctx, call)
	if err != nil {
		return subscribed{}, err
	}
	d, err := in.decodingIn.open(ctx, call)
	if err != nil {
		return subscribed{}, err
	}
	key := subscriptionKey + call.StepID()
	if err := plugin.Drop(call, key); err != nil { // of an earlier try, or round of a loop
		return subscribed{}, err
	}
	out := subscribed{Topics: topics}
	_, err = plugin.Keep(ctx, call, key, func() (*subscription, func() error, error) {
		began := time.Now()
		ends, err := c.ends(ctx, topics, latest, isolationOf(in.Isolation))
		if err != nil {
			return nil, nil, err
		}
		out.Partitions = positions(ends)
		exchange(call, began, "subscribe to "+strings.Join(topics, ", "), plural(len(ends), "partition"), map[string]any{"topics": topics, "isolation": in.Isolation}, map[string]any{"partitions": out.Partitions})
		s := &subscription{
			source: naming(topics), decoding: d, done: make(chan struct{}),
			box: inbox.New[*received](inbox.Limits{Messages: in.MaxMessages, Bytes: in.MaxBytes}),
		}
		s.reader = &reader{cluster: c, level: isolationOf(in.Isolation), whole: true, next: ends, add: s.add}
		s.start()
		return s, s.close, nil
	})
	return out, err
}

func naming(topics []string) string {
	if len(topics) == 1 {
		return "topic " + topics[0]
	}
	return "topics " + strings.Join(topics, ", ")
}

// ends are the offsets of all partitions of topics at a time in ms, or at latest
// or earliest.
func (c *cluster) ends(ctx context.Context, topics []string, at int64, level isolation) (map[place]int64, error) {
	l, err := c.find(ctx, topics...)
	if err != nil {
		return nil, err
	}
	return c.offsets(ctx, l.places(topics), at, level)
}

func (s *subscription) add(r record) error {
	s.box.Add(&received{record: r}, r.size())
	return nil
}

func (s *subscription) start() {
	ctx, stop := context.WithCancel(context.Background()) // it outlives the step
	s.stop = stop
	go func() {
		defer close(s.done)
		s.box.End(s.reader.run(ctx))
	}()
}

func (s *subscription) close() error {
	s.stop()
	<-s.done
	return nil
}

// exchange records a request and its answer.
func exchange(call *plugin.Call, began time.Time, what, outcome string, request, response any) {
	if !call.WantsExchange() {
		return
	}
	call.Exchange(plugin.Exchange{
		Protocol: "Kafka", Summary: fmt.Sprintf("%s → %s", what, outcome), Started: began,
		Request: shownJSON(request), Response: shownJSON(response),
		Timings: map[string]float64{"total": float64(time.Since(began)) / float64(time.Millisecond)},
	})
}
