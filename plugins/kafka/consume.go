package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type consumeIn struct {
	connection
	Topic         texts           `json:"topic" doc:"The topic to read, or several." example:"orders.v1"`
	GroupID       string          `json:"group_id,omitempty" doc:"The consumer group to read as a member of: it goes on where the group stopped. Without it nothing is taken away."`
	Start         string          `json:"start" doc:"Where to begin, or where a group begins that has not read yet: latest, earliest, or a time in RFC 3339." default:"latest" example:"earliest"`
	FromBeginning bool            `json:"from_beginning,omitempty" doc:"The same as start: earliest."`
	Partition     *int32          `json:"partition" min:"0" doc:"The one partition to read; not with group_id."`
	Offset        *int64          `json:"offset" min:"0" doc:"The offset in that partition to begin at, in place of start."`
	Within        time.Duration   `json:"within" doc:"How long to wait." default:"10s"`
	Count         int             `json:"count" doc:"How many messages at least; fewer make the step fail." default:"1" min:"1" max:"100000"`
	MaxMessages   int             `json:"max_messages,omitempty" doc:"How many messages at most: the step goes on until it has them or its time is over. The same as count by default." min:"1" max:"100000"`
	Where         json.RawMessage `json:"where,omitempty" doc:"What a message must match, of topic, partition, offset, timestamp, key, value and headers; others are passed over." example:"{\"key\": \"o-1\"}"`
	Match         *matchIn        `json:"match" doc:"An older way to say where."`
	Filter        *filterIn       `json:"filter" doc:"An older way to say where."`
	Commit        bool            `json:"commit" doc:"Whether a group has read what the step looked at. A step that fails commits nothing." default:"true"`
	Isolation     string          `json:"isolation" doc:"Whether messages of transactions are seen once they are committed, or at once." enum:"read_committed|read_uncommitted" default:"read_committed"`
	decodingIn
}

type matchIn struct {
	Key      json.RawMessage                 `json:"key,omitempty" doc:"The key, or a pattern of it."`
	JSONPath plugin.Either[string, []string] `json:"json_path,omitempty" doc:"What must hold of the value: \"$.id exists\", \"$.status == 'created'\"."`
}

type filterIn struct {
	Key    json.RawMessage            `json:"key,omitempty" doc:"The key, or a pattern of it."`
	Header map[string]json.RawMessage `json:"header,omitempty" doc:"Headers, or patterns of them."`
}

type consumed struct {
	Messages []*message `json:"messages" doc:"The messages, in the order of their partitions."`
	Count    int        `json:"count" doc:"How many they are."`
	Seen     int        `json:"seen" doc:"How many were looked at."`
}

func consume(ctx context.Context, call *plugin.Call, in consumeIn) (consumed, error) {
	looked, err := in.conditions()
	if err != nil {
		return consumed{}, err
	}
	c, err := in.cluster(ctx, call)
	if err != nil {
		return consumed{}, err
	}
	if looked.decoding, err = in.decodingIn.open(ctx, call); err != nil {
		return consumed{}, err
	}
	s := newConsuming(c, &in, looked)
	defer s.end(ctx)
	began := time.Now()
	if err := s.begin(ctx); err != nil {
		return consumed{}, err
	}
	call.Progress("reading %s", naming(in.topics()))
	r, err := s.wait(ctx)
	if err != nil {
		return consumed{}, err
	}
	exchange(call, began, "consume "+strings.Join(in.topics(), ", "), fmt.Sprintf("%d of %d fit", len(r.Found), s.seen), in.shown(), found(r.Found))
	if len(r.Found) < in.Count {
		return consumed{}, in.explained(r.Fault(naming(in.topics()), (*received).describe), r.Seen, s)
	}
	if s.member != nil && in.Commit {
		s.halt() // it speaks to the group, too
		if err := s.member.commit(ctx, s.read); err != nil {
			return consumed{}, err
		}
	}
	out := consumed{Count: len(r.Found), Seen: s.seen}
	out.Messages, err = resultOf(ctx, call, r.Found, looked.decoding)
	return out, err
}

func (in *consumeIn) topics() []string { return listed(in.Topic) }

// shown is the config for people, without what connects.
func (in *consumeIn) shown() any {
	return map[string]any{"topics": in.topics(), "group_id": in.GroupID, "start": in.Start, "where": in.Where, "count": in.Count, "within": in.Within.String()}
}

// conditions are what the config looks for, however it says so.
func (in *consumeIn) conditions() (*conditions, error) {
	switch {
	case len(in.topics()) == 0:
		return nil, plugin.Definitionf("topic", "names no topic")
	case in.GroupID != "" && (in.Partition != nil || in.Offset != nil):
		return nil, plugin.Definitionf("group_id", "is given beside partition or offset: a group deals its partitions out itself")
	case in.Offset != nil && in.Partition == nil:
		return nil, plugin.Definitionf("offset", "needs the partition that it is of")
	case in.Partition != nil && len(in.topics()) > 1:
		return nil, plugin.Definitionf("partition", "is of one topic, and there are several")
	}
	in.MaxMessages = max(in.MaxMessages, in.Count)
	out := new(conditions)
	if err := out.pattern("where", in.Where); err != nil {
		return nil, err
	}
	if in.Match != nil {
		if err := out.pattern("match.key", keyed(in.Match.Key, nil)); err != nil {
			return nil, err
		}
		for _, text := range claimsOf(in.Match.JSONPath) {
			one, err := newClaim(text)
			if err != nil {
				return nil, plugin.Definitionf("match.json_path", "%s", err).WithHint(`write it as "$.id exists" or "$.total > 5"`)
			}
			out.claims = append(out.claims, one)
		}
	}
	if in.Filter != nil {
		return out, out.pattern("filter", keyed(in.Filter.Key, in.Filter.Header))
	}
	return out, nil
}

func claimsOf(e plugin.Either[string, []string]) []string {
	if e.One != nil {
		return []string{*e.One}
	}
	if e.Other != nil {
		return *e.Other
	}
	return nil
}

// keyed is a pattern of a key and headers, empty where neither is given.
func keyed(key json.RawMessage, headers map[string]json.RawMessage) json.RawMessage {
	pattern := make(map[string]any)
	if len(key) > 0 {
		pattern["key"] = key
	}
	if len(headers) > 0 {
		pattern["headers"] = headers
	}
	if len(pattern) == 0 {
		return nil
	}
	return shownJSON(pattern)
}

// explained adds to a wait that ended too early what may be the reason.
func (in *consumeIn) explained(fault *plugin.Error, seen int, s *consuming) error {
	switch {
	case fault == nil || !fault.Failed || fault.Hint != "":
		return fault
	case s.member != nil && s.places() == 0:
		return fault.WithHint("other members of the group %s have all the partitions: stop them, or use a group_id of your own", in.GroupID)
	case seen == 0 && in.start() == "latest" && in.Offset == nil:
		return fault.WithHint("it read what came after it had begun: kafka.subscribe before the step that causes the message, or start: earliest")
	}
	return fault
}

func (in *consumeIn) start() string {
	if in.FromBeginning {
		return "earliest"
	}
	return in.Start
}

// startTime is the start as brokers are asked for it.
func (in *consumeIn) startTime() (int64, error) {
	switch start := in.start(); start {
	case "earliest":
		return earliest, nil
	case "latest":
		return latest, nil
	default:
		at, err := time.Parse(time.RFC3339, start)
		if err != nil {
			return 0, plugin.Definitionf("start", "is neither latest nor earliest nor a time: %q", start).WithHint("write a time as 2006-01-02T15:04:05Z")
		}
		return at.UnixMilli(), nil
	}
}
