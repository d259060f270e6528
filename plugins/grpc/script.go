package grpc

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/testmesh/testmesh/flow/match"
	"github.com/testmesh/testmesh/sdk/plugin"
)

type streamIn struct {
	rpcIn
	Type       string            `json:"type,omitempty" doc:"Kind of the stream, to be compared with the method's." enum:"server|client|bidi"`
	Request    json.RawMessage   `json:"request,omitempty" doc:"The one message to send, of a method where the server streams."`
	Messages   []json.RawMessage `json:"messages,omitempty" doc:"The messages to send, in order; after the last one our side of the stream is closed." maxItems:"100000"`
	Script     []line            `json:"script,omitempty" doc:"What to send and what to wait for, in order; after it our side of the stream is closed." maxItems:"1000"`
	MaxReceive int               `json:"max_receive,omitempty" doc:"End the stream once so many messages are kept." min:"1"`
	Until      json.RawMessage   `json:"until,omitempty" doc:"End the stream with the message that matches this pattern; that none comes is a failure."`
	Within     time.Duration     `json:"within,omitempty" doc:"End the stream so long after everything was sent."`
	Where      json.RawMessage   `json:"where,omitempty" doc:"Keep messages that match this pattern only."`
}

// line is one thing to do in a conversation.
type line struct {
	Send      json.RawMessage `json:"send,omitempty" doc:"A message to send."`
	Expect    *expectation    `json:"expect" doc:"Messages to wait for, among those after the one that the line before it found."`
	Wait      *time.Duration  `json:"wait" doc:"Time to let pass."`
	HalfClose bool            `json:"half_close,omitempty" doc:"Close our side of the stream now."`
}

// expectation is what is waited for.
type expectation struct {
	Where  json.RawMessage `json:"where,omitempty" doc:"A pattern; left out, every message fits."`
	Count  int             `json:"count" doc:"How many are wanted." default:"1" min:"1"`
	Within time.Duration   `json:"within" doc:"For how long to wait." default:"10s"`
}

type streamOut struct {
	Status   *Status           `json:"status" doc:"How the server ended the stream; null where the step ended it first."`
	Messages []json.RawMessage `json:"messages" doc:"What the server sent, of that what where keeps; at most 10,000 messages and 64 MiB."`
	Count    int               `json:"count" doc:"How many messages where keeps, those over the limit too."`
	Seen     int               `json:"seen" doc:"How many messages the server sent."`
	Sent     int               `json:"sent" doc:"How many messages the step sent."`
	End      string            `json:"end" doc:"What ended the stream." enum:"server|until|max_receive|within"`
	answer
}

// pattern is a compiled until or where; nil fits everything.
type pattern struct{ compiled *match.Pattern }

func compilePattern(at string, text json.RawMessage) (*pattern, error) {
	if len(text) == 0 {
		return nil, nil
	}
	compiled, err := match.CompileJSON(text)
	if err != nil {
		return nil, plugin.Definitionf(at, "%s", err)
	}
	return &pattern{compiled}, nil
}

// judge says in how many places a message differs, and the first of them.
func (p *pattern) judge(message json.RawMessage) (differences int, miss string, err error) {
	if p == nil {
		return 0, "", nil
	}
	found, err := p.compiled.MatchJSON(message)
	if err != nil || len(found) == 0 {
		return 0, "", err
	}
	return len(found), found[0].Message, nil
}

// near is the message that fits best of those that do not.
type near struct {
	number, differences int
	message             json.RawMessage
	miss                string
}

func (n *near) take(number, differences int, message json.RawMessage, miss string) {
	if n.message == nil || differences <= n.differences { // of equal ones the latest
		*n = near{number, differences, message, miss}
	}
}

// on adds what came nearest to a fault.
func (n *near) on(e *plugin.Error) *plugin.Error {
	if n.message == nil {
		return e
	}
	return e.WithDetails(fmt.Sprintf("nearest miss: message %d, %s", n.number, clip(string(n.message))), "  "+n.miss)
}

// maxClipped bounds a message that is named in words.
const maxClipped = 300

func clip(text string) string {
	if runes := []rune(text); len(runes) > maxClipped {
		return string(runes[:maxClipped]) + "…"
	}
	return text
}

// lines are the script of a step, from whichever key it is given by.
func (in *streamIn) lines() ([]line, error) {
	given := 0
	for _, is := range []bool{len(in.Request) > 0, len(in.Messages) > 0, len(in.Script) > 0} {
		if is {
			given++
		}
	}
	if given > 1 {
		return nil, plugin.Definitionf("messages", "is given beside request or script: keep one of them")
	}
	if len(in.Request) > 0 {
		return []line{{Send: in.Request}}, nil
	}
	var lines []line
	for _, m := range in.Messages {
		lines = append(lines, line{Send: m})
	}
	closed := -1
	for i, l := range in.Script {
		things := 0
		for _, is := range []bool{len(l.Send) > 0, l.Expect != nil, l.Wait != nil, l.HalfClose} {
			if is {
				things++
			}
		}
		at := fmt.Sprintf("script[%d]", i)
		if things != 1 {
			return nil, plugin.Definitionf(at, "has %d of send, expect, wait and half_close: write one a line", things)
		}
		if len(l.Send) > 0 && closed >= 0 {
			return nil, plugin.Definitionf(at+".send", "comes after script[%d].half_close", closed)
		}
		if l.HalfClose {
			closed = i
		}
		lines = append(lines, l)
	}
	return lines, nil
}
