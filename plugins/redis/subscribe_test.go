package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// The race that FLOW.md is about. A service answers a trigger at once. Who
// subscribes before the trigger sees the answer, however late it looks; who
// begins to listen afterwards does not.
func TestNoMessageIsLostBetweenTheTriggerAndTheExpect(t *testing.T) {
	c := bare(t)
	channel := key(t, "orders")
	trigger := func() { // the answer is there when the trigger's step ends
		if err := c.Publish(t.Context(), channel, `{"id":"o1"}`).Err(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("subscribe, trigger, expect", func(t *testing.T) {
		for range 200 {
			u := newUser(t)
			u.do("subscribe", m{"channels": []any{channel}})
			trigger()
			if got, err := u.try(t.Context(), "expect", m{"within": "5s", "as": "json", "where": m{"message": m{"id": "o1"}}}); err != nil || fmt.Sprint(got["count"]) != "1" {
				t.Fatalf("got %v, %v", got, err)
			}
			u.plugin.EndRun(u.run)
		}
	})
	t.Run("trigger, subscribe, expect", func(t *testing.T) {
		u := newUser(t)
		trigger()
		u.do("subscribe", m{"channels": []any{channel}})
		e := u.fails("expect", m{"within": "100ms"})
		if !e.Failed || e.Code != plugin.CodeWait || e.Message != "no message came from channel "+channel+" within 100ms" {
			t.Errorf("got %s, failed %v: %s", e.Code, e.Failed, e.Message)
		}
	})
	stream := key(t, "stream")
	add := func() {
		if err := c.Do(t.Context(), "XADD", stream, "*", "id", "o1").Err(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("the same of a stream", func(t *testing.T) {
		add()
		u := newUser(t)
		u.do("subscribe", m{"streams": []any{stream}})
		e := u.fails("expect", m{"within": "100ms"})
		if !e.Failed || e.Message != "no message came from stream "+stream+" within 100ms" {
			t.Errorf("what was added before: got %s", e.Message)
		}
		add()
		if got, err := u.try(t.Context(), "expect", m{"within": "5s", "where": m{"fields": m{"id": "o1"}}}); err != nil || fmt.Sprint(got["count"]) != "1" {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestExpect(t *testing.T) {
	bare(t)
	u := newUser(t)
	a, b := key(t, "a"), key(t, "b")
	u.do("subscribe", m{"step": "orders", "channels": []any{a}, "patterns": []any{b + "*"}})
	for _, send := range []m{
		{"channel": a, "message": "007"},
		{"channel": a, "message": m{"id": "o1", "total": 1}},
		{"channel": b + "2", "message": m{"id": "o2"}},
		{"channel": a, "message_base64": "/wA="},
	} {
		is(t, u.do("publish", send), `{"receivers":1}`)
	}
	// A look sees what has come by then: all of it has.
	if _, err := u.try(t.Context(), "expect", m{"within": "10s", "as": "bytes", "count": 4}); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ config, messages, fault, detail, hint string }{
		"a message, as JSON":           {config: `{"as":"json","where":{"message":{"id":"o1"}}}`, messages: `[{"channel":"` + a + `","message":{"id":"o1","total":1}}]`},
		"of a pattern":                 {config: `{"as":"json","where":{"pattern":"` + b + `*"}}`, messages: `[{"channel":"` + b + `2","message":{"id":"o2"},"pattern":"` + b + `*"}]`},
		"a text is a text":             {config: `{"where":{"message":"007"}}`, messages: `[{"channel":"` + a + `","message":"007"}]`},
		"a look takes nothing away":    {config: `{"where":{"message":"007"}}`, messages: `[{"channel":"` + a + `","message":"007"}]`},
		"bytes":                        {config: `{"as":"bytes","where":{"message":"/wA="}}`, messages: `[{"channel":"` + a + `","message":"/wA="}]`},
		"by name":                      {config: `{"from":"orders","where":{"message":"#regex ^00"}}`, messages: `[{"channel":"` + a + `","message":"007"}]`},
		"two of them":                  {config: `{"as":"json","count":2,"where":{"message":{"id":"#string"}}}`, messages: `[{"channel":"` + a + `","message":{"id":"o1","total":1}},{"channel":"` + b + `2","message":{"id":"o2"},"pattern":"` + b + `*"}]`},
		"none of that":                 {config: `{"absent":true,"where":{"message":"008"}}`, messages: `[]`},
		"too few":                      {config: `{"as":"json","count":3,"where":{"message":{"id":"#string"}}}`, fault: "4 messages came from channel " + a + " and pattern " + b + "* since the subscription, and 2 of the 3 that are wanted fit within 50ms"},
		"the nearest miss":             {config: `{"as":"json","where":{"message":{"id":"o1","total":2}}}`, fault: "and none fits within 50ms", detail: "$.message.total: want 2"},
		"JSON is not looked into":      {config: `{"where":{"message":{"id":"o1"}}}`, fault: "and none fits", hint: "as: json"},
		"one that should not come":     {config: `{"absent":true,"where":{"message":"007"}}`, fault: "a message that should not come came after T: channel " + a + ": 007"},
		"a pattern that is none":       {config: `{"where":{"message":"#strin"}}`, fault: "#strin"},
		"a subscription that is none":  {config: `{"from":"payments"}`, fault: `no step "payments" with redis.subscribe has run`, hint: "there are orders"},
		"a message that is no text":    {config: `{"count":4}`, fault: "a message of channel " + a + " of 2 bytes is not text", hint: "as: bytes"},
		"a count that cannot be":       {config: `{"count":0}`, fault: "must be at least 1"},
		"no text in what does not fit": {config: `{"where":{"channel":"x"}}`, fault: "4 messages came"},
	}
	came := regexp.MustCompile(`came after [0-9.]+[mµ]?s:`) // how soon is the machine's
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := parsed(t, test.config)
			config["within"] = "50ms"
			got, err := u.try(t.Context(), "expect", config)
			if test.fault == "" {
				if err != nil {
					t.Fatal(err)
				}
				is(t, got["messages"], test.messages)
				if fmt.Sprint(got["seen"]) != "4" {
					t.Errorf("saw %v", got["seen"])
				}
				return
			}
			e := asError(t, err)
			message := came.ReplaceAllString(e.Message, "came after T:")
			if !strings.Contains(message, test.fault) || !strings.Contains(strings.Join(e.Details, "\n"), test.detail) || !strings.Contains(e.Hint, test.hint) {
				t.Errorf("got %s\n%s\n(%s)", e.Message, strings.Join(e.Details, "\n"), e.Hint)
			}
		})
	}
}

func TestWhichSubscriptionAnExpectIsAbout(t *testing.T) {
	bare(t)
	u := newUser(t)
	if e := u.fails("expect", m{}); e.Field != "from" || e.Message != "is missing, and the run has 0 steps with redis.subscribe" || !strings.Contains(e.Hint, "comes first") {
		t.Errorf("got %s (%s)", e.Message, e.Hint)
	}
	u.do("subscribe", m{"step": "two", "channels": []any{key(t, "a")}})
	u.do("subscribe", m{"step": "one", "streams": []any{key(t, "s")}})
	if e := u.fails("expect", m{}); e.Message != "is missing, and the run has 2 steps with redis.subscribe" || e.Hint != "there are one, two" {
		t.Errorf("got %s (%s)", e.Message, e.Hint)
	}
	other := &user{t: t, plugin: u.plugin, run: "another run", out: &heard{}}
	if e := other.fails("expect", m{"from": "one"}); e.Field != "from" {
		t.Errorf("another run has %s", e.Message)
	}
	u.do("subscribe", m{"step": "two", "channels": []any{key(t, "b")}}) // of a second try
	u.do("publish", m{"channel": key(t, "a"), "message": "x"})
	u.do("publish", m{"channel": key(t, "b"), "message": "y"})
	got, err := u.try(t.Context(), "expect", m{"from": "two"})
	if err != nil {
		t.Fatal(err)
	}
	is(t, got["messages"], fmt.Sprintf(`[{"channel":%q,"message":"y"}]`, key(t, "b")))
}

func TestASubscriptionOfMany(t *testing.T) {
	bare(t)
	u := newUser(t)
	var channels, streams []any
	for i := range 100 {
		channels = append(channels, key(t, fmt.Sprint("c", i)))
		streams = append(streams, key(t, fmt.Sprint("s", i)))
	}
	is(t, len(u.do("subscribe", m{"step": "channels", "channels": channels})["channels"].([]any)), `100`)
	is(t, len(u.do("subscribe", m{"step": "streams", "streams": streams})["streams"].(map[string]any)), `100`)
	u.do("publish", m{"channel": channels[99], "message": "x"})
	u.do("xadd", m{"stream": streams[99], "fields": m{"a": "b"}})
	for _, step := range []string{"channels", "streams"} {
		if got, err := u.try(t.Context(), "expect", m{"from": step}); err != nil || fmt.Sprint(got["count"]) != "1" {
			t.Errorf("%s: got %v, %v", step, got, err)
		}
	}
}

func TestSubscriptionsThatSayTooLittleOrTooMuch(t *testing.T) {
	u := newUser(t)
	for field, config := range map[string]m{
		"channels":     {},
		"streams":      {"streams": []any{"s"}, "channels": []any{"c"}},
		"max_messages": {"channels": []any{"c"}, "max_messages": 0},
	} {
		if e := u.fails("subscribe", with(t, config)); e.Blame != plugin.BlameDefinition || e.Field != field {
			t.Errorf("got %s at %s, want %s", e.Message, e.Field, field)
		}
	}
}

// Nobody knows what a broken subscription missed, so that neither what comes nor
// what does not can be judged by it.
func TestABrokenSubscriptionIsSaid(t *testing.T) {
	c := bare(t)
	for kind, config := range map[string]m{"channels": {"channels": []any{key(t, "a")}}, "streams": {"streams": []any{key(t, "a")}}} {
		for _, absent := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, absent %v", kind, absent), func(t *testing.T) {
				u := newUser(t)
				before := clients(t, c.Do(t.Context(), "CLIENT", "LIST").String())
				u.do("subscribe", config)
				for id := range clients(t, c.Do(t.Context(), "CLIENT", "LIST").String()) {
					if !before[id] {
						c.Do(t.Context(), "CLIENT", "KILL", "ID", id)
					}
				}
				began := time.Now()
				e := u.fails("expect", m{"within": "20s", "absent": absent})
				if e.Failed || e.Code != plugin.CodeConn || !strings.Contains(e.Message, "the subscription to ") || !strings.Contains(e.Message, "closed the connection") {
					t.Errorf("got %s, failed %v: %s", e.Code, e.Failed, e.Message)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %s to notice", took)
				}
				u.do("set", m{"key": key(t, "k"), "value": "the next step is unharmed"})
			})
		}
	}
}

// clients are the ids in an answer to CLIENT LIST.
func clients(t *testing.T, list string) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for l := range strings.Lines(list) {
		if _, after, ok := strings.Cut(l, "id="); ok {
			id, _, _ := strings.Cut(after, " ")
			ids[id] = true
		}
	}
	return ids
}

// A server that went without a word looks like one that has nothing to say.
func TestASubscriptionThatNoLongerAnswersHasShownNothing(t *testing.T) {
	for kind, config := range map[string]m{"channels": {"channels": []any{"c"}}, "streams": {"streams": []any{"s"}}} {
		t.Run(kind, func(t *testing.T) {
			address := raw(t, func(c net.Conn) {
				for command := range sent(c) {
					switch command[0] {
					case "hello":
						_, _ = io.WriteString(c, hello)
					case "subscribe":
						_, _ = io.WriteString(c, ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
					case "xrevrange":
						_, _ = io.WriteString(c, "*0\r\n")
					case "ping":
						if kind == "streams" { // the greeting
							_, _ = io.WriteString(c, "+PONG\r\n")
						}
					}
				}
			})
			u := newUser(t)
			config["connection"] = "redis://" + address
			if _, err := u.try(t.Context(), "subscribe", config); err != nil {
				t.Fatal(err)
			}
			for _, absent := range []bool{false, true} {
				e := u.fails("expect", m{"within": "10ms", "absent": absent})
				if e.Failed || e.Code != plugin.CodeTimeout || !strings.Contains(e.Message, "no longer answers on the subscription to ") {
					t.Errorf("got %s, failed %v: %s", e.Code, e.Failed, e.Message)
				}
			}
		})
	}
}

func TestAnswersToASubscriptionThatAreNone(t *testing.T) {
	subscribed := ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
	tests := map[string]struct{ said, message string }{
		"an empty list":          {subscribed + "*0\r\n", "in Redis' protocol"},
		"a list of numbers":      {subscribed + "*2\r\n:1\r\n:2\r\n", "in Redis' protocol"},
		"a number":               {subscribed + ":1\r\n", "in Redis' protocol"},
		"a message without text": {subscribed + ">2\r\n$7\r\nmessage\r\n$1\r\nc\r\n", "in Redis' protocol"},
		"another protocol":       {subscribed + "hello\r\n", `in Redis' protocol: "hello\r\n"`},
		"a billion":              {subscribed + ">1000000000\r\n", "a reply of 1000000000 values"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			address := raw(t, func(c net.Conn) { greetThen(c, test.said, false) })
			if _, err := u.try(t.Context(), "subscribe", m{"connection": "redis://" + address, "channels": []any{"c"}}); err != nil {
				t.Fatal(err)
			}
			e := u.fails("expect", m{"within": "10s"})
			if e.Failed || !strings.Contains(e.Message, test.message) {
				t.Errorf("got %s, failed %v: %s", e.Code, e.Failed, e.Message)
			}
		})
	}
}

func TestAMillionMessagesAreBoundedAndSaid(t *testing.T) {
	c := bare(t)
	u := newUser(t)
	channel := key(t, "c")
	u.do("subscribe", m{"channels": []any{channel}, "max_messages": 1000})
	const batches, each = 100, 10_000
	for i := range batches {
		err := c.Eval(t.Context(), "for i = 1, tonumber(ARGV[1]) do redis.call('PUBLISH', KEYS[1], ARGV[2] .. i) end return 1", []string{channel}, each, fmt.Sprintf("m%d-", i)).Err()
		if err != nil {
			t.Fatal(err)
		}
		// Redis ends a subscription that falls 32 MB behind.
		if _, err := u.try(t.Context(), "expect", m{"within": "30s", "where": m{"message": fmt.Sprintf("m%d-%d", i, each)}}); err != nil {
			t.Fatalf("the last one of %d: %v", i, err)
		}
	}
	for _, absent := range []bool{false, true} {
		e := u.fails("expect", m{"within": "10ms", "where": m{"message": "m0-1"}, "absent": absent})
		if e.Failed || e.Code != plugin.CodeBody || !strings.HasPrefix(e.Message, "999000 messages of channel ") || !strings.Contains(e.Message, "were dropped at the limit") {
			t.Errorf("the first one: got %s, failed %v: %s", e.Code, e.Failed, e.Message)
		}
	}
}

func TestALongMessageIsCutAndSaid(t *testing.T) {
	bare(t)
	u := newUser(t)
	channel, stream := key(t, "c"), key(t, "s")
	u.do("subscribe", m{"step": "c", "channels": []any{channel}, "max_bytes": 2000})
	u.do("subscribe", m{"step": "s", "streams": []any{stream}, "max_bytes": 2000})
	u.do("publish", m{"channel": channel, "message": strings.Repeat("x", 5000)})
	u.do("xadd", m{"stream": stream, "fields": m{"a": strings.Repeat("x", 5000)}})
	for _, step := range []string{"c", "s"} {
		if _, err := u.try(t.Context(), "expect", m{"from": step}); err != nil || u.last.Limited != "a message of 5000 bytes, over max_bytes of the subscription" {
			t.Errorf("%s: limited %q, %v", step, u.last.Limited, err)
		}
	}
}

func TestAnExpectEndsWithItsStep(t *testing.T) {
	bare(t)
	u := newUser(t)
	u.do("subscribe", m{"channels": []any{key(t, "c")}})
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	began := time.Now()
	_, err := u.try(ctx, "expect", m{"within": "1h"})
	if e := asError(t, err); e.Failed || e.Code != plugin.CodeTimeout || time.Since(began) > 2*time.Second {
		t.Errorf("got %s: %s after %s", e.Code, e.Message, time.Since(began))
	}
}

func TestWhatIsPublished(t *testing.T) {
	bare(t)
	u := newUser(t)
	is(t, u.do("publish", m{"channel": key(t, "nobody"), "message": "x"}), `{"receivers":0}`)
	for name, test := range map[string]struct {
		config m
		field  string
	}{
		"nothing": {m{}, "message"}, "null": {m{"message": nil}, "message"}, "two things": {m{"message": "x", "message_base64": "eA=="}, "message"},
	} {
		test.config["channel"] = key(t, "c")
		if e := u.fails("publish", with(t, test.config)); e.Field != test.field {
			t.Errorf("%s: got %s at %s", name, e.Message, e.Field)
		}
	}
}

func TestNested(t *testing.T) {
	for where, want := range map[string]bool{
		`{"message":"x"}`: false, `{"message":{"a":1}}`: true, `{"message":[1]}`: true, `{"message":1}`: true, `{"channel":"c"}`: false,
		`{"fields":{"a":"x"}}`: false, `{"fields":{"a":{"b":1}}}`: true, `"#object"`: false, ``: false,
	} {
		if got := nested(json.RawMessage(where)); got != want {
			t.Errorf("%s: got %v", where, got)
		}
	}
}
