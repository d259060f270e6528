package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/match"
	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

// maxResult bounds the messages of a result: what is beyond is counted only.
const maxResult = 16 << 20

type expectIn struct {
	From   string          `json:"from,omitempty" doc:"Id of the step with redis.subscribe; may be left out where the run has one such subscription."`
	Within time.Duration   `json:"within" doc:"How long to wait; what came since the subscription is seen at once." default:"10s"`
	Where  json.RawMessage `json:"where,omitempty" doc:"What a message must match: {message: {order_id: o1}} of a channel, with as: json; {fields: {type: created}} of a stream." example:"{\"message\": \"ready\"}"`
	Count  int             `json:"count" doc:"How many such messages at least." default:"1" min:"1"`
	Absent bool            `json:"absent,omitempty" doc:"Whether none may come within the time."`
	form
}

type expected struct {
	Messages []json.RawMessage `json:"messages" doc:"The messages that match: channel, pattern and message of a channel; stream, id and fields of a stream."`
	Count    int               `json:"count" doc:"How many they are."`
	Seen     int               `json:"seen" doc:"How many were looked at."`
}

func expect(ctx context.Context, call *plugin.Call, in expectIn) (expected, error) {
	s, err := subscriptionOf(call, in.From)
	if err != nil {
		return expected{}, err
	}
	judge, err := in.judge()
	if err != nil {
		return expected{}, err
	}
	call.Progress("waiting for %s", s.source)
	r, err := s.box.Wait(ctx, inbox.Query[received]{
		Judge: judge, Count: in.Count, Absent: in.Absent, Within: in.Within, Settle: s.settle,
	})
	if err != nil {
		return expected{}, err
	}
	if n := s.cut.Load(); n > 0 {
		call.Limited(fmt.Sprintf("a message of %d bytes, over max_bytes of the subscription", n))
	}
	if fault := r.Fault(s.source, in.describe); fault != nil {
		if in.As == "text" && nested(in.Where) && fault.Failed && fault.Hint == "" {
			fault = fault.WithHint("texts are compared as they are: as: json compares what they write")
		}
		return expected{}, fault
	}
	return in.result(call, r)
}

// subscriptionOf finds what an expect is about.
func subscriptionOf(call *plugin.Call, from string) (*subscription, error) {
	if from == "" {
		keys := plugin.KeptKeys(call, subscriptionKey)
		if len(keys) != 1 {
			return nil, unknown(call, from, subscriptionKey, "redis.subscribe")
		}
		from = strings.TrimPrefix(keys[0], subscriptionKey)
	}
	s, ok := plugin.Kept[*subscription](call, subscriptionKey+from)
	if !ok {
		return nil, unknown(call, from, subscriptionKey, "redis.subscribe")
	}
	return s, nil
}

// unknown is a step that keeps nothing under prefix, as action would.
func unknown(call *plugin.Call, from, prefix, action string) error {
	var there []string
	for _, key := range plugin.KeptKeys(call, prefix) {
		there = append(there, strings.TrimPrefix(key, prefix))
	}
	slices.Sort(there)
	hint := "a step with " + action + " comes first"
	if len(there) > 0 {
		hint = "there are " + strings.Join(there, ", ")
	}
	if from == "" {
		return plugin.Definitionf("from", "is missing, and the run has %d steps with %s", len(there), action).WithHint("%s", hint)
	}
	return plugin.Definitionf("from", "no step %q with %s has run", from, action).WithHint("%s", hint)
}

// judge decides about messages; nil: every one fits.
func (in *expectIn) judge() (func(received) (inbox.Judgement, error), error) {
	if len(in.Where) == 0 || string(in.Where) == "null" {
		return nil, nil
	}
	pattern, err := match.CompileJSON(in.Where)
	if err != nil {
		return nil, plugin.Definitionf("where", "%s", err).WithHint("it is a pattern of a message: {message: ready}, {fields: {type: created}}")
	}
	return func(r received) (inbox.Judgement, error) {
		text, err := in.message(r)
		if unreadable := (*notText)(nil); errors.As(err, &unreadable) {
			return inbox.Judgement{Differences: match.MaxMismatches, Miss: unreadable.Error()}, nil
		}
		if err != nil {
			return inbox.Judgement{}, err
		}
		found, err := pattern.MatchJSON(text)
		switch {
		case err != nil:
			return inbox.Judgement{}, plugin.Definitionf("where", "%s", err)
		case len(found) == 0:
			return inbox.Judgement{Fits: true}, nil
		}
		return inbox.Judgement{Differences: len(found), Miss: found[0].Message}, nil
	}, nil
}

// channelMessage is a message of a channel, as a flow sees it.
type channelMessage struct {
	Channel string `json:"channel"`
	Pattern string `json:"pattern,omitempty"`
	Message any    `json:"message"`
}

// message is a message as a flow sees it.
func (f form) message(r received) (json.RawMessage, error) {
	if r.entry != nil {
		e, err := f.entry(*r.entry)
		if err != nil {
			return nil, err
		}
		return printed(e)
	}
	v, err := f.text(r.text)
	if err != nil {
		return nil, within(err, "a message of channel "+r.channel)
	}
	return printed(channelMessage{r.channel, r.pattern, v})
}

func printed(v any) (json.RawMessage, error) {
	out, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("print a message: %w", err)
	}
	return out, nil
}

// describe is a message in words.
func (in *expectIn) describe(r received) string {
	if r.entry != nil {
		return fmt.Sprintf("%s of stream %s: %s", r.entry.id, r.entry.stream, clip(fmt.Sprint(forPeople(r.entry.pairs))))
	}
	return fmt.Sprintf("channel %s: %s", r.channel, clip(fmt.Sprint(forPeople(r.text))))
}

func (in *expectIn) result(call *plugin.Call, r inbox.Report[received]) (expected, error) {
	out := expected{Count: len(r.Found), Seen: r.Seen}
	total := 0
	for _, found := range r.Found {
		text, err := in.message(found)
		if err != nil {
			return expected{}, plugin.Errorf(plugin.CodeBody, "%w", err).WithHint("as: bytes gives any bytes, as base64")
		}
		if total += len(text); total > maxResult && len(out.Messages) > 0 {
			call.Limited(fmt.Sprintf("messages over %d MiB", maxResult>>20))
			break
		}
		out.Messages = append(out.Messages, text)
	}
	return out, nil
}

// nested tells whether a pattern looks into a message or a field, which only
// JSON has an inside.
func nested(where json.RawMessage) bool {
	var p struct {
		Message json.RawMessage            `json:"message"`
		Fields  map[string]json.RawMessage `json:"fields"`
	}
	_ = json.Unmarshal(where, &p) // what is no such map looks into nothing
	inside := func(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] != '"' }
	for _, raw := range p.Fields {
		if inside(raw) {
			return true
		}
	}
	return inside(p.Message)
}
