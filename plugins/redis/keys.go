package redis

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type getIn struct {
	connecting
	Key string `json:"key" doc:"Name of the key." minLength:"1"`
	reading
}

type gotten struct {
	Value  any  `json:"value" doc:"What the key holds; null where there is no such key."`
	Exists bool `json:"exists" doc:"Whether there is such a key."`
	Bytes  int  `json:"bytes" doc:"Length of the value as it was read."`
}

func get(ctx context.Context, call *plugin.Call, in getIn) (gotten, error) {
	p, err := poolOf(ctx, call, in.connecting)
	if err != nil {
		return gotten{}, err
	}
	a, err := p.must(ctx, call, in.MaxBytes, "GET", in.Key)
	if err != nil || a.value == nil {
		return gotten{}, err
	}
	text, _ := a.value.(string)
	v, err := in.reply(call, a, "the value of "+strconv.Quote(in.Key))
	if err != nil {
		return gotten{}, err
	}
	if _, parsed := v.(json.RawMessage); in.As == "json" && !parsed {
		return gotten{}, plugin.Errorf(plugin.CodeBody, "the value of %q is not JSON: %q", in.Key, clip(text)).WithHint("leave as out, and it is a text")
	}
	return gotten{Value: v, Exists: true, Bytes: len(text)}, nil
}

type setIn struct {
	connecting
	Key     string          `json:"key" doc:"Name of the key." minLength:"1"`
	Value   json.RawMessage `json:"value,omitempty" doc:"What it shall hold: a text as it is, anything else as JSON."`
	Bytes   []byte          `json:"value_base64,omitempty" doc:"Bytes to store, in place of value."`
	TTL     *time.Duration  `json:"ttl" doc:"How long the key shall live; for ever by default." example:"30s"`
	NX      bool            `json:"nx,omitempty" doc:"Whether it is set only if there is no such key yet."`
	XX      bool            `json:"xx,omitempty" doc:"Whether it is set only if there is such a key already."`
	KeepTTL bool            `json:"keepttl,omitempty" doc:"Whether the key keeps the time that it has left."`
	Get     bool            `json:"get,omitempty" doc:"Whether previous gives what the key held before."`
	reading
}

type stored struct {
	Stored   bool `json:"stored" doc:"Whether the key holds the value now: false where nx or xx kept it from that."`
	Previous any  `json:"previous" doc:"What the key held before, with get: true; null where there was no such key."`
}

func set(ctx context.Context, call *plugin.Call, in setIn) (stored, error) {
	args, err := in.args()
	if err != nil {
		return stored{}, err
	}
	p, err := poolOf(ctx, call, in.connecting)
	if err != nil {
		return stored{}, err
	}
	a, err := p.must(ctx, call, in.MaxBytes, args...)
	if err != nil {
		return stored{}, err
	}
	if !in.Get {
		return stored{Stored: a.value != nil}, nil
	}
	// With GET Redis gives what was there, and leaves the rest to be concluded.
	out := stored{Stored: !(in.NX && a.value != nil) && !(in.XX && a.value == nil)}
	out.Previous, err = in.reply(call, a, "what "+strconv.Quote(in.Key)+" held before")
	return out, err
}

func (in *setIn) args() ([]any, error) {
	data, err := payload("value", in.Value, in.Bytes)
	if err != nil {
		return nil, err
	}
	args := []any{"SET", in.Key, data}
	switch {
	case in.NX && in.XX:
		return nil, plugin.Definitionf("xx", "is given beside nx: the key cannot be there and not be there")
	case in.KeepTTL && in.TTL != nil:
		return nil, plugin.Definitionf("keepttl", "is given beside ttl: keep one of them")
	case in.TTL != nil && *in.TTL < time.Millisecond:
		return nil, plugin.Definitionf("ttl", "must be 1ms at least").WithHint("redis.del removes a key")
	case in.TTL != nil:
		args = append(args, "PX", in.TTL.Milliseconds())
	}
	return append(args, flags(flag{"NX", in.NX}, flag{"XX", in.XX}, flag{"KEEPTTL", in.KeepTTL}, flag{"GET", in.Get})...), nil
}

// flag is a word of a command that stands for itself.
type flag struct {
	word  string
	given bool
}

func flags(all ...flag) []any {
	var out []any
	for _, f := range all {
		if f.given {
			out = append(out, f.word)
		}
	}
	return out
}

// payload is what a config says to store or send, as bytes.
func payload(field string, v json.RawMessage, data []byte) ([]byte, error) {
	switch {
	case v != nil && data != nil:
		return nil, plugin.Definitionf(field, "is given beside %s_base64: keep one of them", field)
	case data != nil:
		return data, nil
	case v == nil:
		return nil, plugin.Definitionf(field, "is missing, and %s_base64 too", field)
	case string(v) == "null":
		return nil, plugin.Definitionf(field, "is null, which Redis cannot hold").WithHint("redis.del removes a key; the text null is written \"null\"")
	}
	return word(v)
}

// keysIn names one key or several.
type keysIn struct {
	connecting
	Key  string   `json:"key,omitempty" doc:"Name of the key."`
	Keys []string `json:"keys,omitempty" doc:"Names of several keys, in place of key." maxItems:"10000"`
}

func (in *keysIn) args(command string) ([]any, error) {
	names := in.Keys
	switch {
	case in.Key != "" && len(names) > 0:
		return nil, plugin.Definitionf("keys", "is given beside key: keep one of them")
	case in.Key != "":
		names = []string{in.Key}
	case len(names) == 0:
		return nil, plugin.Definitionf("key", "is missing, and keys too")
	}
	args := []any{command}
	for _, name := range names {
		args = append(args, name)
	}
	return args, nil
}

// count asks a command that answers with how many of the keys it found.
func (in *keysIn) count(ctx context.Context, call *plugin.Call, command string) (found, asked int, err error) {
	args, err := in.args(command)
	if err != nil {
		return 0, 0, err
	}
	p, err := poolOf(ctx, call, in.connecting)
	if err != nil {
		return 0, 0, err
	}
	a, err := p.must(ctx, call, maxCounted, args...)
	n, _ := a.value.(int64)
	return int(n), len(args) - 1, err
}

// maxCounted bounds an answer that is a number or a state.
const maxCounted = 64 << 10

type deleted struct {
	Deleted int `json:"deleted" doc:"How many of the keys there were."`
}

func del(ctx context.Context, call *plugin.Call, in keysIn) (deleted, error) {
	n, _, err := in.count(ctx, call, "DEL")
	return deleted{n}, err
}

type existing struct {
	Exists bool `json:"exists" doc:"Whether all of the keys exist."`
	Count  int  `json:"count" doc:"How many of them do; one that is named twice counts twice."`
}

func exists(ctx context.Context, call *plugin.Call, in keysIn) (existing, error) {
	n, asked, err := in.count(ctx, call, "EXISTS")
	return existing{n == asked, n}, err
}
