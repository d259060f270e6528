package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/consumer"
	"github.com/segmentio/kafka-go/protocol/heartbeat"
	"github.com/segmentio/kafka-go/protocol/joingroup"
	"github.com/segmentio/kafka-go/protocol/leavegroup"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"
	"github.com/segmentio/kafka-go/protocol/syncgroup"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// sessionTimeout is how long a group waits for a member that died: no shorter
	// than brokers allow by default, so that a test that was killed is soon gone.
	sessionTimeout = 10 * time.Second
	// rebalanceTimeout is how long the others may take to join again.
	rebalanceTimeout = 30 * time.Second
	// beatEvery is how often a member shows that it lives.
	beatEvery = 2 * time.Second
	// leaveWithin bounds how long leaving may take: a call ends soon.
	leaveWithin = time.Second
	// consumerProtocol is the name of the protocol of consumers.
	consumerProtocol = "consumer"
)

// member is a member of a consumer group, by the protocol that every broker
// knows. kafka-go's own runs in the background and cannot be told when to stop
// waiting.
type member struct {
	cluster     *cluster
	group       string
	topics      []string
	coordinator string
	id          string
	generation  int32
}

// ask makes a request to the broker that leads the group.
func (m *member) ask(ctx context.Context, req protocol.Message, res any) error {
	if m.coordinator == "" {
		address, err := m.cluster.coordinator(ctx, m.group)
		if err != nil {
			return err
		}
		m.coordinator = address
	}
	err := m.cluster.ask(ctx, m.coordinator, req, res)
	if err != nil {
		m.coordinator = "" // another may lead it by now
	}
	return err
}

// judge gives the words of an error code. One that says that another broker leads
// the group makes the next request find it.
func (m *member) judge(code int16, tried string) error {
	switch kafkago.Error(code) {
	case 0:
		return nil
	case kafkago.NotCoordinatorForGroup, kafkago.GroupCoordinatorNotAvailable:
		m.coordinator = ""
	}
	return codeFault(code, "%s the group %s", tried, m.group)
}

// rejoins tells whether an error means that the group is being divided anew.
func rejoins(err error) bool {
	var code kafkago.Error
	return errors.As(err, &code) && slices.Contains([]kafkago.Error{kafkago.RebalanceInProgress, kafkago.IllegalGeneration, kafkago.UnknownMemberId}, code)
}

// join becomes a member and gives the partitions that are its own.
func (m *member) join(ctx context.Context) (places []place, err error) {
	err = m.cluster.settle(ctx, func(ctx context.Context) error {
		for {
			if places, err = m.joinOnce(ctx); !rejoins(err) {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	})
	return places, err
}

func (m *member) joinOnce(ctx context.Context) ([]place, error) {
	answer, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	m.id, m.generation = answer.MemberID, answer.GenerationID
	req := &syncgroup.Request{
		GroupID: m.group, GenerationID: m.generation, MemberID: m.id,
		ProtocolType: consumerProtocol, ProtocolName: answer.ProtocolName,
	}
	if answer.LeaderID == m.id {
		if req.Assignments, err = m.divide(ctx, answer); err != nil {
			return nil, err
		}
	}
	var synced syncgroup.Response
	if err := m.ask(ctx, req, &synced); err != nil {
		return nil, err
	}
	if err := m.judge(synced.ErrorCode, "get partitions from"); err != nil {
		return nil, err
	}
	return m.assigned(synced.Assignments)
}

// enter asks to be a member, which the group answers once all others have.
func (m *member) enter(ctx context.Context) (*joingroup.Response, error) {
	about, err := protocol.Marshal(0, consumer.Subscription{Topics: m.topics})
	if err != nil {
		return nil, fmt.Errorf("print a subscription: %w", err)
	}
	for {
		answer := new(joingroup.Response)
		err := m.ask(ctx, &joingroup.Request{
			GroupID: m.group, MemberID: m.id, ProtocolType: consumerProtocol,
			SessionTimeoutMS: int32(sessionTimeout.Milliseconds()), RebalanceTimeoutMS: int32(rebalanceTimeout.Milliseconds()),
			Protocols: []joingroup.RequestProtocol{{Name: "range", Metadata: about}, {Name: "roundrobin", Metadata: about}},
		}, answer)
		if err != nil {
			return nil, err
		}
		switch kafkago.Error(answer.ErrorCode) {
		case kafkago.MemberIDRequired:
			if m.id == answer.MemberID {
				return nil, plugin.Errorf(plugin.CodeProtocol, "the group %s asks for a member's id again and again", m.group)
			}
			m.id = answer.MemberID
			continue
		case kafkago.UnknownMemberId:
			m.id = ""
		}
		return answer, m.judge(answer.ErrorCode, "join")
	}
}

// divide deals the partitions out: the member that leads the group does so.
func (m *member) divide(ctx context.Context, answer *joingroup.Response) ([]syncgroup.RequestAssignment, error) {
	var members []kafkago.GroupMember
	var topics []string
	for _, one := range answer.Members {
		var about consumer.Subscription
		if err := decode(one.Metadata, metadataVersion(one.Metadata), &about); err != nil {
			return nil, plugin.Errorf(plugin.CodeProtocol, "the member %s of the group %s does not say what it reads: %w", one.MemberID, m.group, err)
		}
		members = append(members, kafkago.GroupMember{ID: one.MemberID, Topics: about.Topics, UserData: about.UserData})
		for _, topic := range about.Topics {
			if !slices.Contains(topics, topic) {
				topics = append(topics, topic)
			}
		}
	}
	l, err := m.cluster.look(ctx, topics...)
	if err != nil {
		return nil, err
	}
	var partitions []kafkago.Partition
	for _, at := range l.places(topics) {
		partitions = append(partitions, kafkago.Partition{Topic: at.topic, ID: int(at.partition)})
	}
	var balancer kafkago.GroupBalancer = kafkago.RangeGroupBalancer{}
	if answer.ProtocolName == "roundrobin" {
		balancer = kafkago.RoundRobinGroupBalancer{}
	}
	var out []syncgroup.RequestAssignment
	for id, byTopic := range balancer.AssignGroups(members, partitions) {
		var share consumer.Assignment
		for topic, numbers := range byTopic {
			one := consumer.TopicPartition{Topic: topic}
			for _, n := range numbers {
				one.Partitions = append(one.Partitions, int32(n))
			}
			share.AssignedPartitions = append(share.AssignedPartitions, one)
		}
		data, err := protocol.Marshal(0, share)
		if err != nil {
			return nil, fmt.Errorf("print an assignment: %w", err)
		}
		out = append(out, syncgroup.RequestAssignment{MemberID: id, Assignment: data})
	}
	return out, nil
}

// metadataVersion is the version that a member's metadata say they have, as far
// as it is known here.
func metadataVersion(data []byte) int16 {
	if len(data) < 2 {
		return 0
	}
	return min(int16(binary.BigEndian.Uint16(data)), consumer.MaxVersionSupported)
}

func (m *member) assigned(data []byte) ([]place, error) {
	var share consumer.Assignment
	if len(data) > 0 {
		if err := decode(data, metadataVersion(data), &share); err != nil {
			return nil, plugin.Errorf(plugin.CodeProtocol, "the group %s gives partitions that cannot be read: %w", m.group, err)
		}
	}
	var out []place
	for _, t := range share.AssignedPartitions {
		for _, n := range t.Partitions {
			out = append(out, place{t.Topic, n})
		}
	}
	return out, nil
}

func (m *member) beat(ctx context.Context) error {
	var answer heartbeat.Response
	if err := m.ask(ctx, &heartbeat.Request{GroupID: m.group, GenerationID: m.generation, MemberID: m.id}, &answer); err != nil {
		return err
	}
	return m.judge(answer.ErrorCode, "stay in")
}

// committed is where the group goes on, as far as it has read at all.
func (m *member) committed(ctx context.Context, places []place) (out map[place]int64, err error) {
	req := &offsetfetch.Request{GroupID: m.group}
	for _, topic := range topicsOf(places) {
		t := offsetfetch.RequestTopic{Name: topic}
		for _, at := range places {
			if at.topic == topic {
				t.PartitionIndexes = append(t.PartitionIndexes, at.partition)
			}
		}
		req.Topics = append(req.Topics, t)
	}
	err = m.cluster.settle(ctx, func(ctx context.Context) error {
		var answer offsetfetch.Response
		if err := m.ask(ctx, req, &answer); err != nil {
			return err
		}
		if err := m.judge(answer.ErrorCode, "ask for the offsets of"); err != nil {
			return err
		}
		out = make(map[place]int64)
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				if err := m.judge(p.ErrorCode, "ask for the offsets of"); err != nil {
					return err
				}
				if p.CommittedOffset >= 0 {
					out[place{t.Name, p.PartitionIndex}] = p.CommittedOffset
				}
			}
		}
		return nil
	})
	return out, err
}

// commit says up to where the group has read.
func (m *member) commit(ctx context.Context, offsets map[place]int64) error {
	if len(offsets) == 0 {
		return nil
	}
	byTopic := make(map[string][]offsetcommit.RequestPartition)
	for at, offset := range offsets {
		byTopic[at.topic] = append(byTopic[at.topic], offsetcommit.RequestPartition{PartitionIndex: at.partition, CommittedOffset: offset, CommittedLeaderEpoch: -1})
	}
	// -1: for as long as the broker keeps offsets.
	req := &offsetcommit.Request{GroupID: m.group, GenerationID: m.generation, MemberID: m.id, RetentionTimeMs: -1}
	for topic, partitions := range byTopic {
		req.Topics = append(req.Topics, offsetcommit.RequestTopic{Name: topic, Partitions: partitions})
	}
	return m.cluster.settle(ctx, func(ctx context.Context) error {
		var answer offsetcommit.Response
		if err := m.ask(ctx, req, &answer); err != nil {
			return err
		}
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				if err := m.judge(p.ErrorCode, "commit offsets of"); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// leave tells the group, so that the others need not wait for the session's end.
func (m *member) leave(ctx context.Context) {
	if m.id == "" {
		return
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	// Where it fails the session ends by itself.
	_ = m.ask(limited, &leavegroup.Request{GroupID: m.group, MemberID: m.id, Members: []leavegroup.RequestMember{{MemberID: m.id}}}, new(leavegroup.Response))
}
