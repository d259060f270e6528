package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/deletetopics"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type createIn struct {
	connection
	Topic       string         `json:"topic" doc:"Its name: letters, digits, dots, underscores and hyphens." maxLength:"249" pattern:"^[a-zA-Z0-9._-]+$" example:"orders.v1"`
	Partitions  int32          `json:"partitions,omitempty" doc:"How many partitions it has; the broker's default where left out." min:"1" max:"10000"`
	Replication int16          `json:"replication_factor,omitempty" doc:"On how many brokers each is kept; the broker's default where left out." min:"1" max:"100"`
	Configs     map[string]any `json:"configs,omitempty" doc:"Settings of the topic, as retention.ms or cleanup.policy: texts, numbers or booleans."`
}

type created struct {
	Topic      string `json:"topic" doc:"Its name."`
	Created    bool   `json:"created" doc:"Whether it was made now; false: it was there."`
	Partitions int    `json:"partitions" doc:"How many partitions it has."`
}

func createTopic(ctx context.Context, call *plugin.Call, in createIn) (created, error) {
	c, err := in.cluster(ctx, call)
	if err != nil {
		return created{}, err
	}
	began := time.Now()
	t := createtopics.RequestTopic{Name: in.Topic, NumPartitions: in.Partitions, ReplicationFactor: in.Replication}
	if t.NumPartitions == 0 {
		t.NumPartitions = -1
	}
	if t.ReplicationFactor == 0 {
		t.ReplicationFactor = -1
	}
	for _, name := range slices.Sorted(maps.Keys(in.Configs)) {
		t.Configs = append(t.Configs, createtopics.RequestConfig{Name: name, Value: fmt.Sprint(in.Configs[name])})
	}
	out := created{Topic: in.Topic}
	err = c.settle(ctx, func(ctx context.Context) error {
		var answer createtopics.Response
		req := &createtopics.Request{Topics: []createtopics.RequestTopic{t}, TimeoutMs: int32(c.patient.Milliseconds())}
		if err := c.askController(ctx, req, &answer); err != nil {
			return err
		}
		for _, one := range answer.Topics {
			switch kafkago.Error(one.ErrorCode) {
			case 0:
				out.Created = true
			case kafkago.TopicAlreadyExists:
			default:
				e := codeFault(one.ErrorCode, "create the topic %s", in.Topic)
				if one.ErrorMessage != "" {
					e = e.WithDetails(one.ErrorMessage)
				}
				return e
			}
		}
		return nil
	})
	if err != nil {
		return created{}, err
	}
	l, err := c.appeared(ctx, in.Topic)
	if err != nil {
		return created{}, err
	}
	out.Partitions = len(l.topics[in.Topic].partitions)
	exchange(call, began, "create topic "+in.Topic, plural(out.Partitions, "partition"), in.shown(), out)
	if in.Partitions > 0 && int(in.Partitions) != out.Partitions {
		return created{}, plugin.Errorf(plugin.CodeReply, "the topic %s is there already, with %s and not %d", in.Topic, plural(out.Partitions, "partition"), in.Partitions).
			WithHint("kafka.delete_topic deletes it, or leave out partitions")
	}
	return out, nil
}

func (in *createIn) shown() any {
	return map[string]any{"topic": in.Topic, "partitions": in.Partitions, "replication_factor": in.Replication, "configs": in.Configs}
}

// askController makes a request to the broker that may change topics.
func (c *cluster) askController(ctx context.Context, req protocol.Message, res any) error {
	l, err := c.lookFor(ctx, []string{})
	if err != nil {
		return err
	}
	address, ok := l.brokers[l.controller]
	if !ok {
		return c.askAny(ctx, req, res)
	}
	return c.advertised(l, l.controller, c.ask(ctx, address, req, res))
}

// appeared waits until a topic that was made can be used.
func (c *cluster) appeared(ctx context.Context, topic string) (found *layout, err error) {
	err = c.settle(ctx, func(ctx context.Context) error {
		if found, err = c.look(ctx, topic); err != nil {
			return err
		}
		if err := found.ready(topic); errors.Is(err, errUnknownTopic) {
			return codeFault(int16(kafkago.UnknownTopicOrPartition), "look for the new topic %s", topic)
		} else if err != nil {
			return err
		}
		return nil
	})
	return found, err
}

type deleteIn struct {
	connection
	Topic texts `json:"topic" doc:"The topic, or several." example:"orders.v1"`
}

type deleted struct {
	Deleted []string `json:"deleted" doc:"The topics that were deleted; one that was not there is not among them."`
}

func deleteTopic(ctx context.Context, call *plugin.Call, in deleteIn) (deleted, error) {
	topics := listed(in.Topic)
	if len(topics) == 0 {
		return deleted{}, plugin.Definitionf("topic", "names no topic")
	}
	c, err := in.cluster(ctx, call)
	if err != nil {
		return deleted{}, err
	}
	began := time.Now()
	var out deleted
	err = c.settle(ctx, func(ctx context.Context) error {
		left := slices.DeleteFunc(slices.Clone(topics), func(t string) bool { return slices.Contains(out.Deleted, t) })
		var answer deletetopics.Response
		if err := c.askController(ctx, &deletetopics.Request{TopicNames: left, TimeoutMs: int32(c.patient.Milliseconds())}, &answer); err != nil {
			return err
		}
		var fault error
		for _, one := range answer.Responses {
			switch kafkago.Error(one.ErrorCode) {
			case 0:
				out.Deleted = append(out.Deleted, one.Name)
			case kafkago.UnknownTopicOrPartition: // it is gone, which is what was wanted
			default:
				fault = codeFault(one.ErrorCode, "delete the topic %s", one.Name)
			}
		}
		return fault
	})
	if err != nil {
		return deleted{}, err
	}
	for _, topic := range topics {
		c.forget(topic)
	}
	slices.Sort(out.Deleted)
	exchange(call, began, "delete "+strings.Join(topics, ", "), plural(len(out.Deleted), "topic"), map[string]any{"topics": topics}, out)
	return out, c.disappeared(ctx, topics)
}

// disappeared waits until topics that were deleted are gone, so that they can be
// made anew.
func (c *cluster) disappeared(ctx context.Context, topics []string) error {
	return c.settle(ctx, func(ctx context.Context) error {
		l, err := c.look(ctx, topics...)
		if err != nil {
			return err
		}
		for _, topic := range topics {
			if !errors.Is(l.ready(topic), errUnknownTopic) {
				return codeFault(int16(kafkago.ReassignmentInProgress), "wait until the topic %s is gone", topic)
			}
		}
		return nil
	})
}

type topicsIn struct {
	connection
	Topic texts `json:"topic,omitempty" doc:"The topic, or several; all but those of the broker itself where left out."`
}

type topicsOut struct {
	Topics  []topicOut `json:"topics" doc:"The topics by their names."`
	Brokers []string   `json:"brokers" doc:"The addresses of all brokers, as they give them."`
}

type topicOut struct {
	Name       string         `json:"name" doc:"Its name."`
	Messages   int64          `json:"messages" doc:"How many offsets it holds: as many messages, but for what was compacted and the marks of transactions."`
	Partitions []partitionOut `json:"partitions" doc:"Its partitions."`
}

type partitionOut struct {
	Partition int32 `json:"partition" doc:"Its number, from 0."`
	First     int64 `json:"first_offset" doc:"The offset of its oldest message."`
	Next      int64 `json:"next_offset" doc:"The offset that the next message will have."`
	Leader    int32 `json:"leader" doc:"The number of the broker that leads it."`
	Replicas  int   `json:"replicas" doc:"On how many brokers it is kept."`
}

func topics(ctx context.Context, call *plugin.Call, in topicsIn) (topicsOut, error) {
	c, err := in.cluster(ctx, call)
	if err != nil {
		return topicsOut{}, err
	}
	began := time.Now()
	names := listed(in.Topic)
	var l *layout
	if len(names) > 0 {
		l, err = c.find(ctx, names...)
	} else if l, err = c.look(ctx); err == nil {
		for name, t := range l.topics {
			if !t.internal {
				names = append(names, name)
			}
		}
	}
	if err != nil {
		return topicsOut{}, err
	}
	slices.Sort(names)
	places := l.places(names)
	first, err := c.offsets(ctx, places, earliest, 0)
	if err != nil {
		return topicsOut{}, err
	}
	next, err := c.offsets(ctx, places, latest, 0)
	if err != nil {
		return topicsOut{}, err
	}
	out := topicsOut{Brokers: slices.Sorted(maps.Values(l.brokers))}
	for _, name := range names {
		t := topicOut{Name: name}
		for _, p := range l.topics[name].partitions {
			at := place{name, p.number}
			t.Partitions = append(t.Partitions, partitionOut{p.number, first[at], next[at], p.leader, p.replicas})
			t.Messages += next[at] - first[at]
		}
		out.Topics = append(out.Topics, t)
	}
	exchange(call, began, "topics", plural(len(out.Topics), "topic"), map[string]any{"topics": listed(in.Topic)}, map[string]any{"topics": names, "brokers": out.Brokers})
	return out, nil
}
