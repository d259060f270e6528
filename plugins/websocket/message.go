package websocket

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/flow/match"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

const (
	// maxFile bounds a file that is sent, and maxPing the data of a ping (RFC 6455
	// section 5.5).
	maxFile = 64 << 20
	maxPing = 125
	// maxResult bounds the messages of one result, which crosses a wire of 256 MiB
	// in up to three forms.
	maxResult = 16 << 20
	// maxShown bounds what people see of one message, and maxListed how many.
	maxShown  = 4 << 10
	maxListed = 20
)

// Message is one message as steps see it.
type Message struct {
	Number    int             `json:"number" doc:"Its number among all messages of the connection, from 1."`
	Type      string          `json:"type" doc:"What it was sent as." enum:"text|binary"`
	Text      *string         `json:"text,omitempty" doc:"A text message."`
	JSON      json.RawMessage `json:"json,omitempty" doc:"The value of a text message that is JSON, numbers as they are written; of a binary message where it is a JSON object or list."`
	JSONError string          `json:"json_error,omitempty" doc:"Why a message that begins like a JSON object or list is none."`
	Binary    *string         `json:"binary,omitempty" doc:"A binary message as base64."`
	Bytes     int             `json:"bytes" doc:"Its length, unpacked."`
	At        time.Time       `json:"at" doc:"When it had come."`
}

// received is a message as it came.
type received struct {
	number int // from 1
	text   bool
	data   []byte
	at     time.Time
}

// overhead is what a message takes beside its bytes, so that a flood of empty
// ones has a bound too.
const overhead = 128

func (r received) kind() string {
	if r.text {
		return "text"
	}
	return "binary"
}

func (r received) message() Message {
	m := Message{Number: r.number, Type: r.kind(), Bytes: len(r.data), At: r.at}
	begins := bytes.TrimLeft(r.data, " \t\r\n")
	nested := len(begins) > 0 && (begins[0] == '{' || begins[0] == '[')
	if r.text {
		m.Text = new(string(r.data))
	} else {
		m.Binary = new(base64.StdEncoding.EncodeToString(r.data))
	}
	if len(begins) == 0 || !r.text && !nested {
		return m
	}
	if err := decodes(r.data); err == nil {
		m.JSON = r.data
	} else if nested {
		m.JSONError = strings.TrimPrefix(err.Error(), "decode JSON: ")
	}
	return m
}

// decodes tells whether a text is JSON that can stand in a result, some levels
// below the top.
func decodes(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("it is not UTF-8")
	}
	if _, err := value.Decode(text); err != nil {
		return err
	}
	if bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) < value.MaxDepth-levels {
		return nil
	}
	const around = `[[[[[[[[`
	_, err := value.Decode(bytes.Join([][]byte{[]byte(around[:levels]), text, []byte(strings.Repeat("]", levels))}, nil))
	return err
}

// levels are those that a result has around the value of a message.
const levels = 8

// String is the message in words, cut.
func (r received) String() string {
	return fmt.Sprintf("message %d (%s, %d bytes): %s", r.number, r.kind(), len(r.data), r.preview(maxQuoted))
}

func (r received) preview(limit int) string {
	if r.text {
		text := string(r.data[:min(len(r.data), limit)])
		if len(r.data) > limit {
			text = strings.ToValidUTF8(text, "") + "…"
		}
		return text
	}
	cut := r.data[:min(len(r.data), limit/2)]
	text := base64.StdEncoding.EncodeToString(cut)
	if len(cut) < len(r.data) {
		text += "…"
	}
	return "base64 " + text
}

// judge makes of `where` what decides about messages; nil: every one fits.
func judge(field string, where json.RawMessage) (func(received) (inbox.Judgement, error), error) {
	if len(where) == 0 || string(where) == "null" {
		return nil, nil
	}
	pattern, err := match.CompileJSON(where)
	if err != nil {
		return nil, plugin.Definitionf(field, "%s", err).
			WithHint("it is a pattern of a message: {json: {type: order.created}}, {text: \"#regex ^hello\"}, {type: binary}")
	}
	return judgement(field, pattern, func(r received) any { return r.message() }), nil
}

// judgement compares what a message is seen as with a pattern.
func judgement(field string, pattern *match.Pattern, seen func(received) any) func(received) (inbox.Judgement, error) {
	return func(r received) (inbox.Judgement, error) {
		text, err := json.Marshal(seen(r))
		if err != nil {
			return inbox.Judgement{}, fmt.Errorf("print a message: %w", err)
		}
		found, err := pattern.MatchJSON(text)
		if err != nil {
			return inbox.Judgement{}, plugin.Definitionf(field, "%s", err)
		}
		if len(found) == 0 {
			return inbox.Judgement{Fits: true}, nil
		}
		j := inbox.Judgement{Miss: found[0].Message}
		for _, m := range found {
			j.Differences += distance(m.Path)
		}
		return j, nil
	}
}

// distance is how far away a difference at a path makes a message: one of
// another kind, without the key that is looked into, is further away than any
// with other values in it.
func distance(path string) int {
	if strings.ContainsAny(strings.TrimPrefix(path, "$."), ".[") {
		return 1
	}
	return match.MaxMismatches
}

// messages are those of a result; past maxResult they are cut, and it is said.
func messages(call *plugin.Call, found []received) []Message {
	out := []Message{}
	total := 0
	for _, r := range found {
		if total += len(r.data) + overhead; total > maxResult && len(out) > 0 {
			call.Limited(fmt.Sprintf("messages over %d MiB", maxResult>>20))
			break
		}
		out = append(out, r.message())
	}
	return out
}

// payload is what to send: one of its keys.
type payload struct {
	Text       *string         `json:"text,omitempty" doc:"A text message."`
	JSON       json.RawMessage `json:"json,omitempty" doc:"Any value, sent as a text message of JSON."`
	Binary     []byte          `json:"binary,omitempty" doc:"A binary message."`
	TextFile   plugin.File     `json:"text_file,omitempty" doc:"A file that is sent as a text message, relative to the flow."`
	BinaryFile plugin.File     `json:"binary_file,omitempty" doc:"A file that is sent as a binary message."`
	Ping       *string         `json:"ping,omitempty" doc:"A ping with this data, up to 125 bytes; the step waits for its pong."`
}

// outgoing is what is sent.
type outgoing struct {
	opcode int // of RFC 6455: websocket.TextMessage and so on
	data   []byte
}

func (o outgoing) kind() string {
	return map[int]string{websocket.TextMessage: "text", websocket.BinaryMessage: "binary", websocket.PingMessage: "ping"}[o.opcode]
}

// load reads what to send; at is where it stands in the config, with a dot
// behind it, or empty.
func (p *payload) load(call *plugin.Call, at string) (outgoing, error) {
	var given []string
	var out outgoing
	add := func(name string, is bool, opcode int, data []byte) {
		if is {
			given = append(given, name)
			out = outgoing{opcode, data}
		}
	}
	add("text", p.Text != nil, websocket.TextMessage, []byte(deref(p.Text)))
	add("json", len(p.JSON) > 0, websocket.TextMessage, p.JSON)
	add("binary", p.Binary != nil, websocket.BinaryMessage, p.Binary)
	add("text_file", p.TextFile != "", websocket.TextMessage, nil)
	add("binary_file", p.BinaryFile != "", websocket.BinaryMessage, nil)
	add("ping", p.Ping != nil, websocket.PingMessage, []byte(deref(p.Ping)))
	if len(given) == 0 {
		return out, plugin.Definitionf(at+"text", "is missing: there is nothing to send").WithHint("give one of text, json, binary, text_file, binary_file, ping")
	}
	if len(given) > 1 {
		return out, plugin.Definitionf(at+given[1], "is given beside %s: keep one of them", given[0])
	}
	if file := p.TextFile + p.BinaryFile; file != "" {
		var err error
		if out.data, err = call.ReadFile(file, maxFile); err != nil {
			return out, err
		}
	}
	switch {
	case out.opcode == websocket.TextMessage && !utf8.Valid(out.data):
		return out, plugin.Definitionf(at+given[0], "is not UTF-8, as a text message must be").WithHint("send it as binary_file")
	case out.opcode == websocket.PingMessage && len(out.data) > maxPing:
		return out, plugin.Definitionf(at+"ping", "is %d bytes long; a ping carries up to %d", len(out.data), maxPing)
	}
	return out, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
