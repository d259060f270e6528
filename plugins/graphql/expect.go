package graphql

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
	From   string          `json:"from,omitempty" doc:"Id of the step with graphql.subscribe; may be left out where the run has one."`
	Within time.Duration   `json:"within" doc:"How long to wait; what came since the subscription is seen at once." default:"10s"`
	Where  json.RawMessage `json:"where,omitempty" doc:"What a message must match: a pattern of data, errors and extensions." example:"{\"data\": {\"orderPlaced\": {\"status\": \"PAID\"}}}"`
	Count  int             `json:"count" doc:"How many such messages at least." default:"1" min:"1"`
	Absent bool            `json:"absent,omitempty" doc:"Whether none may come within the time."`
}

// Expected are messages that were expected.
type Expected struct {
	Messages []json.RawMessage `json:"messages" doc:"The messages that match: each with data, and with errors and extensions where it has some."`
	Count    int               `json:"count" doc:"How many they are."`
	Seen     int               `json:"seen" doc:"How many were looked at."`
}

// expect looks at all that came since the subscription began.
func (g *plug) expect(ctx context.Context, call *plugin.Call, in expectIn) (Expected, error) {
	s, err := subscriptionOf(call, in.From)
	if err != nil {
		return Expected{}, err
	}
	judge, err := in.judge()
	if err != nil {
		return Expected{}, err
	}
	call.Progress("waiting for %s", s.source)
	r, err := s.inbox.Wait(ctx, inbox.Query[json.RawMessage]{Judge: judge, Count: in.Count, Absent: in.Absent, Within: in.Within, Settle: s.settle})
	if err != nil {
		return Expected{}, err
	}
	if fault := r.Fault(s.source, func(m json.RawMessage) string { return cut(m, maxMessage) }); fault != nil {
		return Expected{}, ended(fault, r.Err)
	}
	out := Expected{Count: len(r.Found), Seen: r.Seen}
	for bytes := 0; len(out.Messages) < len(r.Found); {
		next := r.Found[len(out.Messages)]
		if bytes += len(next); bytes > maxResult {
			call.Limited(fmt.Sprintf("messages over %s: %d of %d are given", size(maxResult), len(out.Messages), len(r.Found)))
			break
		}
		out.Messages = append(out.Messages, next)
	}
	s.cover(call, out.Messages)
	return out, nil
}

// ended gives the fault of a subscription that ended early its own code: errors
// that the server ended it with are an answer, and a wrong one.
func ended(fault *plugin.Error, why error) *plugin.Error {
	var refused *refusal
	var known *plugin.Error
	switch {
	case fault.Failed:
	case errors.As(why, &refused):
		fault.Code, fault.Failed = plugin.CodeWait, true
	case errors.As(why, &known):
		fault.Code, fault.Hint = known.Code, known.Hint
	}
	return fault
}

// judge decides about messages; nil: every one fits.
func (in *expectIn) judge() (func(json.RawMessage) (inbox.Judgement, error), error) {
	if len(in.Where) == 0 || string(in.Where) == "null" {
		return nil, nil
	}
	pattern, err := match.CompileJSON(in.Where)
	if err != nil {
		return nil, plugin.Definitionf("where", "%s", err).WithHint("it is a pattern of a message: {data: {orderPlaced: {total: 59.80}}}")
	}
	return func(message json.RawMessage) (inbox.Judgement, error) {
		found, err := pattern.MatchJSON(message)
		switch {
		case err != nil:
			return inbox.Judgement{}, plugin.Definitionf("where", "%s", err)
		case len(found) == 0:
			return inbox.Judgement{Fits: true}, nil
		}
		return inbox.Judgement{Differences: len(found), Miss: found[0].Message}, nil
	}, nil
}

// subscriptionOf finds what an expect is about.
func subscriptionOf(call *plugin.Call, from string) (*subscription, error) {
	var there []string
	for _, key := range plugin.KeptKeys(call, subscriptionKey) {
		there = append(there, strings.TrimPrefix(key, subscriptionKey))
	}
	slices.Sort(there)
	if from == "" && len(there) == 1 {
		from = there[0]
	}
	if s, ok := plugin.Kept[*subscription](call, subscriptionKey+from); ok {
		return s, nil
	}
	hint := "a step with graphql.subscribe comes first, and passes"
	if len(there) > 0 {
		hint = "there are subscriptions of " + strings.Join(there, ", ")
	}
	if from == "" {
		return nil, plugin.Definitionf("from", "is missing, and the run has %d subscriptions", len(there)).WithHint("%s", hint)
	}
	return nil, plugin.Definitionf("from", "no step %q has a subscription", from).WithHint("%s", hint)
}
