package kafka

import (
	"context"
	"errors"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/segmentio/kafka-go/protocol/listoffsets"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// fetchWait is how long a broker holds a fetch back until there is something.
	fetchWait = 500 * time.Millisecond
	// fetchBytes and partitionBytes bound what one fetch brings, of all partitions
	// and of one; a single message over that comes whole.
	fetchBytes     = 16 << 20
	partitionBytes = 4 << 20
)

// Times that mean an end of a partition where offsets are asked for by time.
const (
	latest   = kafkago.LastOffset
	earliest = kafkago.FirstOffset
)

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// isolation is which messages are read: those of transactions as soon as they are
// committed, and never those that were aborted; or all of them at once.
type isolation int8

func isolationOf(name string) isolation {
	if name == "read_uncommitted" {
		return 0
	}
	return 1
}

// fetched is the answer to a fetch: fetch.Response, but for the records, which
// that would unpack without a bound.
type fetched struct {
	ThrottleTimeMs int32          `kafka:"min=v1,max=v11"`
	ErrorCode      int16          `kafka:"min=v7,max=v11"`
	SessionID      int32          `kafka:"min=v7,max=v11"`
	Topics         []fetchedTopic `kafka:"min=v0,max=v11"`
}

type fetchedTopic struct {
	Topic      string             `kafka:"min=v0,max=v11"`
	Partitions []fetchedPartition `kafka:"min=v0,max=v11"`
}

type fetchedPartition struct {
	Partition            int32                       `kafka:"min=v0,max=v11"`
	ErrorCode            int16                       `kafka:"min=v0,max=v11"`
	HighWatermark        int64                       `kafka:"min=v0,max=v11"`
	LastStableOffset     int64                       `kafka:"min=v4,max=v11"`
	LogStartOffset       int64                       `kafka:"min=v5,max=v11"`
	AbortedTransactions  []fetch.ResponseTransaction `kafka:"min=v4,max=v11"`
	PreferredReadReplica int32                       `kafka:"min=v11,max=v11"`
	Records              []byte                      `kafka:"min=v0,max=v11,nullable"`
}

// fetch waits for what is new in some partitions of one broker.
func (c *conn) fetch(ctx context.Context, from map[place]int64, level isolation) (*fetched, error) {
	req := &fetch.Request{
		ReplicaID: -1, MaxWaitTime: int32(fetchWait.Milliseconds()), MinBytes: 1, MaxBytes: fetchBytes,
		IsolationLevel: int8(level), SessionEpoch: -1, Topics: fetchTopics(from),
	}
	answer := new(fetched)
	if err := c.roundTrip(ctx, req, answer); err != nil {
		return nil, err
	}
	if answer.ErrorCode != 0 {
		return nil, codeFault(answer.ErrorCode, "fetch from %s", c.address)
	}
	return answer, nil
}

func fetchTopics(from map[place]int64) []fetch.RequestTopic {
	byTopic := make(map[string][]fetch.RequestPartition)
	for at, offset := range from {
		byTopic[at.topic] = append(byTopic[at.topic], fetch.RequestPartition{
			Partition: at.partition, CurrentLeaderEpoch: -1, FetchOffset: offset, LogStartOffset: -1, PartitionMaxBytes: partitionBytes,
		})
	}
	var out []fetch.RequestTopic
	for topic, partitions := range byTopic {
		out = append(out, fetch.RequestTopic{Topic: topic, Partitions: partitions})
	}
	return out
}

// offsets asks the leaders of partitions which offset they have at a time in ms,
// or at latest or earliest. Where no message is as young as that it is the
// latest.
func (c *cluster) offsets(ctx context.Context, places []place, at int64, level isolation) (map[place]int64, error) {
	out := make(map[place]int64, len(places))
	if len(places) == 0 {
		return out, nil
	}
	topics := topicsOf(places)
	err := c.settle(ctx, func(ctx context.Context) error {
		l, err := c.find(ctx, topics...)
		if err != nil {
			return err
		}
		byLeader, err := l.leaders(places)
		if err != nil {
			return err
		}
		for leader, led := range byLeader {
			if err := c.offsetsOf(ctx, l.brokers[leader], led, at, level, out); err != nil {
				return c.advertised(l, leader, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var young []place // partitions without a message since that time
	for at, offset := range out {
		if offset < 0 {
			young = append(young, at)
		}
	}
	if len(young) == 0 || at == latest {
		return out, nil
	}
	ends, err := c.offsets(ctx, young, latest, level)
	for at, offset := range ends {
		out[at] = offset
	}
	return out, err
}

func (c *cluster) offsetsOf(ctx context.Context, address string, places []place, at int64, level isolation, out map[place]int64) error {
	req := &listoffsets.Request{ReplicaID: -1, IsolationLevel: int8(level)}
	for _, topic := range topicsOf(places) {
		t := listoffsets.RequestTopic{Topic: topic}
		for _, p := range places {
			if p.topic == topic {
				t.Partitions = append(t.Partitions, listoffsets.RequestPartition{Partition: p.partition, CurrentLeaderEpoch: -1, Timestamp: at})
			}
		}
		req.Topics = append(req.Topics, t)
	}
	var answer listoffsets.Response
	if err := c.ask(ctx, address, req, &answer); err != nil {
		return err
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return codeFault(p.ErrorCode, "ask for the offsets of partition %d of %s", p.Partition, t.Topic)
			}
			out[place{t.Topic, p.Partition}] = p.Offset
		}
	}
	for _, p := range places {
		if _, ok := out[p]; !ok {
			return plugin.Errorf(plugin.CodeProtocol, "%s says nothing of the offsets of partition %d of %s", address, p.partition, p.topic)
		}
	}
	return nil
}

// leaders groups partitions by the broker that leads them.
func (l *layout) leaders(places []place) (map[int32][]place, error) {
	out := make(map[int32][]place)
	for _, at := range places {
		p, ok := l.partition(at)
		if !ok {
			return nil, l.noPartition(at)
		}
		out[p.leader] = append(out[p.leader], at)
	}
	return out, nil
}

func (l *layout) partition(at place) (partitionLayout, bool) {
	for _, p := range l.topics[at.topic].partitions {
		if p.number == at.partition {
			return p, true
		}
	}
	return partitionLayout{}, false
}

func (l *layout) noPartition(at place) error {
	return plugin.Definitionf("partition", "the topic %s has no partition %d", at.topic, at.partition).
		WithHint("it has %d, counted from 0", len(l.topics[at.topic].partitions))
}

// places are all partitions of topics.
func (l *layout) places(topics []string) []place {
	var out []place
	for _, topic := range topics {
		for _, p := range l.topics[topic].partitions {
			out = append(out, place{topic, p.number})
		}
	}
	return out
}

// advertised says where an address came from that cannot be reached, unless the
// flow gave it itself: brokers name each other by what they are configured to
// advertise.
func (c *cluster) advertised(l *layout, leader int32, err error) error {
	var known *plugin.Error
	address := l.brokers[leader]
	if !errors.As(err, &known) || known.Code != plugin.CodeConn && known.Code != plugin.CodeDNS && known.Code != plugin.CodeTimeout {
		return err
	}
	for _, seed := range c.seeds {
		if seed == address {
			return err
		}
	}
	told := *known
	told.Details = append([]string{"that is the address of broker " + itoa(leader) + ", as " + c.seeds[0] + " gives it: advertised.listeners of the broker must name what this machine can reach"}, told.Details...)
	return &told
}

func topicsOf(places []place) []string {
	var out []string
	seen := make(map[string]bool)
	for _, p := range places {
		if !seen[p.topic] {
			seen[p.topic] = true
			out = append(out, p.topic)
		}
	}
	return out
}
