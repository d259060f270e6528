package grpc

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxShown bounds a message in an exchange; the result has the whole.
	maxShown = 64 << 10
	// maxShownMessages bounds the messages of a stream there, of each direction.
	maxShownMessages = 20
	// maxCommand bounds what a person would still paste into a shell.
	maxCommand = 4 << 10
)

// conversation is what was said in a call, for people who debug it.
type conversation struct {
	request, response any
	status            *Status // nil: the server sent none
}

// report gives the host the exchange, if it wants it.
func (r *rpc) report(c conversation, err error) {
	if !r.call.WantsExchange() {
		return
	}
	seen := r.trace.get()
	x := plugin.Exchange{
		Protocol: "gRPC", Started: r.began, Summary: r.name() + " " + r.peer.address,
		Timings: map[string]float64{"total": ms(time.Since(r.began))},
		Curl:    r.command(c.request),
	}
	if !seen.sent.IsZero() {
		x.Timings["connect"] = ms(seen.sent.Sub(r.began))
	}
	if !seen.headers.IsZero() {
		x.Timings["first_byte"] = ms(seen.headers.Sub(r.began))
	}
	joined, _ := shownMetadata(r.sent)
	if r.in.Auth != nil {
		joined["authorization"] = "‹" + r.in.Auth.Type + "›"
	}
	x.Request = object(map[string]any{"method": r.name(), "address": r.peer.address, "metadata": joined, "message": c.request})
	if c.status != nil {
		x.Summary += " → " + c.status.Name
		a := r.answer()
		x.Response = object(map[string]any{"status": c.status, "headers": a.Headers, "trailers": a.Trailers, "message": c.response})
	} else if err == nil {
		x.Response = object(map[string]any{"message": c.response})
	}
	r.call.Exchange(x)
}

// command repeats the call with grpcurl.
func (r *rpc) command(request any) string {
	text, ok := request.(json.RawMessage)
	if !ok || len(text) > maxCommand {
		return ""
	}
	words := []string{"grpcurl"}
	switch {
	case r.peer.tls == nil:
		words = append(words, "-plaintext")
	case r.peer.tls.InsecureSkipVerify:
		words = append(words, "-insecure")
	}
	for _, file := range r.in.files() {
		words = append(words, "-proto", quoteShell(string(file)))
	}
	if r.in.DescriptorSet != "" {
		words = append(words, "-protoset", quoteShell(string(r.in.DescriptorSet)))
	}
	joined, _ := shownMetadata(r.sent)
	for _, name := range slices.Sorted(maps.Keys(joined)) {
		if name != "traceparent" && (r.in.Auth == nil || name != "authorization") {
			words = append(words, "-H", quoteShell(name+": "+joined[name]))
		}
	}
	return strings.Join(append(words, "-d", quoteShell(string(text)), r.peer.address, r.name()), " ")
}

func quoteShell(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// shown is a message for people, cut.
func shown(text json.RawMessage) any {
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(string(text[:maxShown]), "") + fmt.Sprintf("… (%d bytes)", len(text))
}

// shownList are the first messages of a stream.
func shownList(list []json.RawMessage) []any {
	out := []any{}
	left := maxShown
	for i, text := range list {
		if i == maxShownMessages || left < len(text) {
			return append(out, fmt.Sprintf("… (%d messages)", len(list)))
		}
		left -= len(text)
		out = append(out, text)
	}
	return out
}

func object(fields map[string]any) json.RawMessage {
	text, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	return text
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
