package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

// maxResult bounds the messages of a result: what is beyond is counted only.
const maxResult = 32 << 20

type expectIn struct {
	From   string          `json:"from,omitempty" doc:"Id of the step with kafka.subscribe; may be left out where the run has one such subscription."`
	Within time.Duration   `json:"within" doc:"How long to wait; what came since the subscription is seen at once." default:"10s"`
	Where  json.RawMessage `json:"where,omitempty" doc:"What a message must match, of topic, partition, offset, timestamp, key, value and headers." example:"{\"value\": {\"order_id\": \"o-1\"}}"`
	Count  int             `json:"count" doc:"How many such messages at least." default:"1" min:"1" max:"100000"`
	Absent bool            `json:"absent,omitempty" doc:"Whether none may come within the time."`
}

type expected struct {
	Messages []*message `json:"messages" doc:"The messages that match."`
	Count    int        `json:"count" doc:"How many they are."`
	Seen     int        `json:"seen" doc:"How many were looked at."`
}

func expect(ctx context.Context, call *plugin.Call, in expectIn) (expected, error) {
	s, err := subscriptionOf(call, in.From)
	if err != nil {
		return expected{}, err
	}
	looked := conditions{decoding: s.decoding}
	if err := looked.pattern("where", in.Where); err != nil {
		return expected{}, err
	}
	call.Progress("waiting for %s", s.source)
	began := time.Now()
	r, err := s.box.Wait(ctx, inbox.Query[*received]{
		Judge: func(m *received) (inbox.Judgement, error) { return looked.judge(ctx, m) },
		Count: in.Count, Absent: in.Absent, Within: in.Within, Settle: s.reader.settle,
	})
	if err != nil {
		return expected{}, err
	}
	exchange(call, began, "expect of "+s.source, fmt.Sprintf("%d of %d fit", len(r.Found), r.Seen), in, found(r.Found))
	if fault := r.Fault(s.source, (*received).describe); fault != nil {
		return expected{}, fault
	}
	out := expected{Count: len(r.Found), Seen: r.Seen}
	out.Messages, err = resultOf(ctx, call, r.Found, s.decoding)
	return out, err
}

// subscriptionOf finds what an expect is about.
func subscriptionOf(call *plugin.Call, from string) (*subscription, error) {
	var there []string
	for _, key := range plugin.KeptKeys(call, subscriptionKey) {
		there = append(there, strings.TrimPrefix(key, subscriptionKey))
	}
	slices.Sort(there)
	hint := "a step with kafka.subscribe comes first"
	if len(there) > 0 {
		hint = "there are " + strings.Join(there, ", ")
	}
	if from == "" {
		if len(there) != 1 {
			return nil, plugin.Definitionf("from", "is missing, and the run has %d subscriptions", len(there)).WithHint("%s", hint)
		}
		from = there[0]
	}
	s, ok := plugin.Kept[*subscription](call, subscriptionKey+from)
	if !ok {
		return nil, plugin.Definitionf("from", "no step %q with kafka.subscribe has run", from).WithHint("%s", hint)
	}
	return s, nil
}

// resultOf are messages as a result has them, as many as it can hold.
func resultOf(ctx context.Context, call *plugin.Call, all []*received, d *decoding) ([]*message, error) {
	out := make([]*message, 0, len(all))
	total := 0
	for _, r := range all {
		m, err := r.decode(ctx, d)
		if err != nil {
			return nil, err
		}
		const overhead = 200
		if total += overhead + len(m.Key) + len(m.Value); total > maxResult && len(out) > 0 {
			call.Limited(fmt.Sprintf("messages over %d MiB", maxResult>>20))
			break
		}
		out = append(out, m)
	}
	return out, nil
}

// found are messages for people, cut.
func found(all []*received) any {
	var out []string
	for _, r := range all[:min(len(all), maxShown)] {
		out = append(out, r.describe())
	}
	return map[string]any{"count": len(all), "messages": out}
}
