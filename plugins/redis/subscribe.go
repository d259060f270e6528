package redis

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

type publishIn struct {
	connecting
	Channel string          `json:"channel" doc:"Name of the channel." minLength:"1"`
	Message json.RawMessage `json:"message,omitempty" doc:"What is sent: a text as it is, anything else as JSON."`
	Bytes   []byte          `json:"message_base64,omitempty" doc:"Bytes to send, in place of message."`
}

type published struct {
	Receivers int64 `json:"receivers" doc:"How many subscribers got it, on the server that it was sent to."`
}

type subscribeIn struct {
	connecting
	Channels    []string `json:"channels,omitempty" doc:"Names of channels." maxItems:"1000"`
	Patterns    []string `json:"patterns,omitempty" doc:"Patterns of channels: orders.* has all that begin so. A message on a channel that is named, too, comes twice." maxItems:"1000"`
	Streams     []string `json:"streams,omitempty" doc:"Names of streams, in place of channels and patterns. They need not exist yet." maxItems:"100"`
	MaxMessages int      `json:"max_messages" doc:"Messages that are kept; past it the oldest go, and an expect that would need them is errored." min:"1" max:"1000000" default:"100000"`
	MaxBytes    int64    `json:"max_bytes" doc:"Bytes of them that are kept; a single message over it is cut." min:"1024" max:"268435456" default:"67108864"`
}

type subscribed struct {
	Channels []string          `json:"channels" doc:"Channels that Redis confirmed."`
	Patterns []string          `json:"patterns" doc:"Patterns that Redis confirmed."`
	Streams  map[string]string `json:"streams" doc:"The last id of each stream at the subscription; what comes after is seen."`
}

// subscription is what a run listens to.
type subscription struct {
	source string // for messages: "channel orders"
	box    *inbox.Inbox[received]
	// cut is the length of the longest message that was cut.
	cut atomic.Int64
	// settle makes sure that it listens still, and that what was sent before is here.
	settle func(ctx context.Context) error
}

// received is a message of a channel, or an entry of a stream.
type received struct {
	channel, pattern string
	text             string
	entry            *rawEntry
}

// overhead is about what a message takes beside its text.
const overhead = 200

func (r received) size() int {
	if r.entry == nil {
		return overhead + len(r.channel) + len(r.text)
	}
	n := overhead
	for _, v := range r.entry.pairs {
		text, _ := v.(string)
		n += overhead/10 + len(text)
	}
	return n
}

const subscriptionKey = "subscription:"

func subscribe(ctx context.Context, call *plugin.Call, in subscribeIn) (subscribed, error) {
	listening := len(in.Channels) + len(in.Patterns)
	switch {
	case listening > 0 && len(in.Streams) > 0:
		return subscribed{}, plugin.Definitionf("streams", "is given beside channels or patterns: they are two subscriptions, in two steps")
	case listening+len(in.Streams) == 0:
		return subscribed{}, plugin.Definitionf("channels", "is missing, and patterns and streams too").WithHint("write channels: [orders]")
	}
	p, err := poolOf(ctx, call, in.connecting)
	if err != nil {
		return subscribed{}, err
	}
	key := subscriptionKey + call.StepID()
	if err := plugin.Drop(call, key); err != nil { // of an earlier try, or round of a loop
		return subscribed{}, err
	}
	out := subscribed{Channels: in.Channels, Patterns: in.Patterns}
	_, err = plugin.Keep(ctx, call, key, func() (*subscription, func() error, error) {
		s := &subscription{box: inbox.New[received](inbox.Limits{Messages: in.MaxMessages, Bytes: in.MaxBytes})}
		if listening > 0 {
			release, err := p.listen(ctx, call, &in, s)
			return s, release, err
		}
		var release func() error
		var err error
		out.Streams, release, err = p.follow(ctx, call, &in, s)
		return s, release, err
	})
	return out, err
}

func publish(ctx context.Context, call *plugin.Call, in publishIn) (published, error) {
	data, err := payload("message", in.Message, in.Bytes)
	if err != nil {
		return published{}, err
	}
	p, err := poolOf(ctx, call, in.connecting)
	if err != nil {
		return published{}, err
	}
	a, err := p.must(ctx, call, maxCounted, "PUBLISH", in.Channel, data)
	n, _ := a.value.(int64)
	return published{n}, err
}
