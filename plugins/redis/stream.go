package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type xaddIn struct {
	connecting
	Stream     string                     `json:"stream" doc:"Name of the stream." minLength:"1"`
	Fields     map[string]json.RawMessage `json:"fields" doc:"What the entry holds: texts as they are, anything else as JSON."`
	ID         string                     `json:"id" doc:"Id of the entry; * lets Redis choose it." default:"*"`
	MaxLen     *int64                     `json:"maxlen" doc:"How many entries the stream keeps." min:"0"`
	MinID      string                     `json:"minid,omitempty" doc:"Lowest id that the stream keeps." example:"1700000000000-0"`
	Approx     bool                       `json:"approximate,omitempty" doc:"Whether maxlen and minid may keep some more, which is faster (~)."`
	NoMkStream bool                       `json:"nomkstream,omitempty" doc:"Whether nothing is added where there is no such stream."`
}

type added struct {
	ID *string `json:"id" doc:"Id of the entry; null where nomkstream kept it from being added."`
}

func xadd(ctx context.Context, call *plugin.Call, in xaddIn) (added, error) {
	args := append([]any{"XADD", in.Stream}, flags(flag{"NOMKSTREAM", in.NoMkStream})...)
	switch {
	case in.MaxLen != nil && in.MinID != "":
		return added{}, plugin.Definitionf("minid", "is given beside maxlen: keep one of them")
	case in.MaxLen != nil:
		args = append(append(append(args, "MAXLEN"), flags(flag{"~", in.Approx})...), *in.MaxLen)
	case in.MinID != "":
		args = append(append(append(args, "MINID"), flags(flag{"~", in.Approx})...), in.MinID)
	}
	args = append(args, in.ID)
	if len(in.Fields) == 0 {
		return added{}, plugin.Definitionf("fields", "is empty: an entry holds one field at least")
	}
	for _, name := range slices.Sorted(maps.Keys(in.Fields)) {
		data, err := payload("fields."+name, in.Fields[name], nil)
		if err != nil {
			return added{}, err
		}
		args = append(args, name, data)
	}
	p, err := poolOf(ctx, call, in.connecting)
	if err != nil {
		return added{}, err
	}
	a, err := p.must(ctx, call, maxCounted, args...)
	if id, ok := a.value.(string); ok && err == nil {
		return added{&id}, nil
	}
	return added{}, err
}

// Entry is an entry of a stream.
type entry struct {
	Stream string         `json:"stream" doc:"Name of the stream."`
	ID     string         `json:"id" doc:"Id of the entry."`
	Fields map[string]any `json:"fields" doc:"What it holds."`
}

type entries struct {
	Entries []entry `json:"entries" doc:"The entries, stream by stream in the order of their ids."`
	Count   int     `json:"count" doc:"How many they are."`
}

// pull is what reading streams has in common, alone and in a group.
type pull struct {
	Count int            `json:"count" doc:"Entries to read of each stream at most." default:"100" min:"1" max:"100000"`
	Block *time.Duration `json:"block" doc:"How long to wait for an entry where there is none; without, not at all. 0s waits until the step's timeout."`
	reading
}

type xreadIn struct {
	connecting
	Stream  string            `json:"stream,omitempty" doc:"Name of a stream."`
	ID      string            `json:"id" doc:"Id after which to read it: \"0\" for all, $ for entries to come." default:"0"`
	Streams map[string]string `json:"streams,omitempty" doc:"Several streams, each with its id, in place of stream and id." example:"{\"orders\": \"0\", \"payments\": \"$\"}"`
	pull
}

func xread(ctx context.Context, call *plugin.Call, in xreadIn) (entries, error) {
	streams, err := streamsOf(in.Stream, in.ID, in.Streams)
	if err != nil {
		return entries{}, err
	}
	return in.read(ctx, call, in.connecting, []any{"XREAD"}, streams)
}

// streamsOf are the streams to read: one, or several.
func streamsOf(stream, id string, several map[string]string) (map[string]string, error) {
	switch {
	case stream != "" && len(several) > 0:
		return nil, plugin.Definitionf("streams", "is given beside stream: keep one of them")
	case stream != "":
		return map[string]string{stream: id}, nil
	case len(several) == 0:
		return nil, plugin.Definitionf("stream", "is missing, and streams too")
	}
	return several, nil
}

type xreadgroupIn struct {
	connecting
	Group    string            `json:"group" doc:"Name of the group." minLength:"1"`
	Consumer string            `json:"consumer" doc:"Name of the consumer, which is made where it is new." default:"testmesh"`
	Stream   string            `json:"stream,omitempty" doc:"Name of a stream."`
	ID       string            `json:"id" doc:"What to read of it: > for what no consumer of the group has got yet, or an id for what this one has got after it and not acknowledged." default:">"`
	Streams  map[string]string `json:"streams,omitempty" doc:"Several streams, each with its id, in place of stream and id." example:"{\"orders\": \">\"}"`
	NoAck    bool              `json:"noack,omitempty" doc:"Whether what is read counts as acknowledged."`
	pull
}

func xreadgroup(ctx context.Context, call *plugin.Call, in xreadgroupIn) (entries, error) {
	args := append([]any{"XREADGROUP", "GROUP", in.Group, in.Consumer}, flags(flag{"NOACK", in.NoAck})...)
	streams, err := streamsOf(in.Stream, in.ID, in.Streams)
	if err != nil {
		return entries{}, err
	}
	return in.read(ctx, call, in.connecting, args, streams)
}

// read completes a command that reads streams, and asks it.
func (in *pull) read(ctx context.Context, call *plugin.Call, c connecting, args []any, streams map[string]string) (entries, error) {
	args = append(args, "COUNT", in.Count)
	if in.Block != nil {
		args = append(args, "BLOCK", in.Block.Milliseconds())
	}
	p, err := poolOf(ctx, call, c)
	if err != nil {
		return entries{}, err
	}
	a, err := p.must(ctx, call, in.MaxBytes, append(args, afterIDs(streams)...)...)
	if err != nil {
		return entries{}, err
	}
	a.value = in.trimmed(call, a)
	raw, err := rawEntries(a.value)
	if err != nil {
		return entries{}, plugin.Errorf(plugin.CodeProtocol, "%s did not answer %s with entries: %w", p.target.address, args[0], err)
	}
	out := entries{Count: len(raw), Entries: make([]entry, len(raw))}
	for i, r := range raw {
		if out.Entries[i], err = in.entry(r); err != nil {
			return entries{}, plugin.Errorf(plugin.CodeBody, "%w", err).WithHint("as: bytes gives any bytes, as base64")
		}
	}
	return out, nil
}

// afterIDs is the end of a command that reads streams.
func afterIDs(streams map[string]string) []any {
	names := slices.Sorted(maps.Keys(streams))
	args := []any{"STREAMS"}
	for _, name := range names {
		args = append(args, name)
	}
	for _, name := range names {
		args = append(args, streams[name])
	}
	return args
}

// rawEntry is an entry as Redis sent it: field, value, field, value …
type rawEntry struct {
	stream, id string
	pairs      []any
}

// rawEntries are those of an answer: of RESP3 a map, of RESP2 a list of pairs of
// a stream and its entries; null: none.
func rawEntries(v any) ([]rawEntry, error) {
	var out []rawEntry
	var err error
	switch v := v.(type) {
	case nil:
	case map[any]any:
		names := make(map[string]any, len(v))
		for key, list := range v {
			names[fmt.Sprint(key)] = list
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if out, err = appendEntries(out, name, names[name]); err != nil {
				return nil, err
			}
		}
	case []any:
		for _, one := range v {
			pair, ok := one.([]any)
			if !ok || len(pair) != 2 {
				return nil, fmt.Errorf("%T is no pair of a stream and its entries", one)
			}
			if out, err = appendEntries(out, fmt.Sprint(pair[0]), pair[1]); err != nil {
				return nil, err
			}
		}
	default:
		return nil, fmt.Errorf("%T holds no streams", v)
	}
	return out, nil
}

func appendEntries(out []rawEntry, stream string, v any) ([]rawEntry, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%T is no list of entries", v)
	}
	for _, one := range list {
		pair, ok := one.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("%T is no entry", one)
		}
		id, ok := pair[0].(string)
		if !ok {
			return nil, fmt.Errorf("%T is no id", pair[0])
		}
		pairs, ok := pair[1].([]any) // null: an entry that was deleted after it was given to a consumer
		if !ok && pair[1] != nil || len(pairs)%2 != 0 {
			return nil, fmt.Errorf("the entry %s has no pairs of field and value", id)
		}
		out = append(out, rawEntry{stream, id, pairs})
	}
	return out, nil
}

// entry gives the values of an entry their form.
func (f form) entry(r rawEntry) (entry, error) {
	out := entry{Stream: r.stream, ID: r.id, Fields: make(map[string]any, len(r.pairs)/2)}
	for i := 0; i+1 < len(r.pairs); i += 2 {
		name := fmt.Sprint(r.pairs[i])
		v, err := f.convert(r.pairs[i+1])
		if err != nil {
			return entry{}, within(err, "field "+strconv.Quote(name)+" of "+r.id)
		}
		out.Fields[name] = v
	}
	return out, nil
}
