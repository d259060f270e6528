package websocket

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func number(n string) json.Number { return json.Number(n) }

func TestAConversationOverAConnection(t *testing.T) {
	p := play(t)
	api := shop(t)
	got := p.do("chat = connect", fields{"url": "http://" + api + "/ws/echo", "subprotocols": []string{"v9", "json.v1"}, "compression": true})
	want := fields{"connection_id": "chat", "status": number("101"), "subprotocol": "json.v1", "compression": true, "status_text": "Switching Protocols"}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("connect: got %s %v, want %v", name, got[name], want[name])
		}
	}
	if at(got, "headers", "Upgrade") != "websocket" {
		t.Errorf("got the headers %v", got["headers"])
	}
	for _, send := range []fields{{"text": "hi"}, {"json": json.RawMessage(`{"id": 12345678901234567890, "price": 59.80}`)}, {"binary": "/wA="}} {
		p.do("send", send)
	}
	got = p.do("expect", fields{"count": 3})
	if diff := cmp.Diff([]any{"text", "text", "binary"}, []any{at(got, "messages", 0, "json", "type"), at(got, "messages", 1, "json", "type"), at(got, "messages", 2, "json", "type")}); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if id, price := at(got, "messages", 1, "json", "json", "id"), at(got, "messages", 1, "json", "json", "price"); id != number("12345678901234567890") || price != number("59.80") {
		t.Errorf("got the numbers %v and %v", id, price)
	}
	if got := at(got, "messages", 2, "json", "base64"); got != "/wA=" {
		t.Errorf("got the bytes %v", got)
	}
	got = p.do("close", fields{"code": 3001, "reason": "done"})
	if got["code"] != number("3001") || got["unread"] != number("0") {
		t.Errorf("close: got %v", got)
	}
	if again := p.do("close", fields{}); again["code"] != number("3001") {
		t.Errorf("closing twice is closing once: got %v", again)
	}
	if got := p.do("expect", fields{"count": 3, "within": "0s"}); got["seen"] != number("3") || at(got, "closed", "code") != number("3001") {
		t.Errorf("what came is there after the close: got %v", got)
	}
}

func TestWhatAMessageIsSeenAs(t *testing.T) {
	p := play(t)
	for name, test := range map[string]struct {
		send, want fields
	}{
		"a text":                    {fields{"text": "hé"}, fields{"type": "text", "text": "hé", "bytes": number("3")}},
		"an empty text":             {fields{"text": ""}, fields{"type": "text", "text": "", "bytes": number("0")}},
		"a text that is JSON":       {fields{"text": ` [1.50] `}, fields{"type": "text", "text": " [1.50] ", "json": []any{number("1.50")}, "bytes": number("8")}},
		"a scalar":                  {fields{"json": 7}, fields{"type": "text", "text": "7", "json": number("7"), "bytes": number("1")}},
		"null":                      {fields{"json": nil}, fields{"type": "text", "text": "null", "json": nil, "bytes": number("4")}},
		"what only begins as JSON":  {fields{"text": `{"a":`}, fields{"type": "text", "text": `{"a":`, "bytes": number("5"), "json_error": "the document ends early, at byte 5"}},
		"a key that is there twice": {fields{"text": `{"a":1,"a":2}`}, fields{"type": "text", "text": `{"a":1,"a":2}`, "bytes": number("13"), "json_error": `duplicate key "a" at byte 7`}},
		"bytes":                     {fields{"binary": "AP8="}, fields{"type": "binary", "binary": "AP8=", "bytes": number("2")}},
		"no bytes":                  {fields{"binary": ""}, fields{"type": "binary", "binary": "", "bytes": number("0")}},
		"bytes that are a list":     {fields{"binary": "WzFd"}, fields{"type": "binary", "binary": "WzFd", "json": []any{number("1")}, "bytes": number("3")}},
		"bytes that are a number":   {fields{"binary": "MTIz"}, fields{"type": "binary", "binary": "MTIz", "bytes": number("3")}},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.do("exchange", fields{"url": speaks(t, nil, echo), "send": []fields{test.send}})
			m, _ := at(got, "messages", 0).(fields)
			if sent, err := time.Parse(time.RFC3339Nano, m["at"].(string)); err != nil || time.Since(sent) > time.Minute {
				t.Errorf("it came at %v", m["at"])
			}
			delete(m, "at")
			test.want["number"] = number("1")
			if diff := cmp.Diff(test.want, m); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestTheHandshakeSaysWhatTheConfigSays(t *testing.T) {
	heard := make(chan *http.Request, 1)
	upgrader := &websocket.Upgrader{CheckOrigin: func(r *http.Request) bool {
		heard <- r
		return true
	}}
	p := play(t)
	p.do("connect", fields{
		"url": "http://ada:pa55word@" + strings.TrimPrefix(speaks(t, upgrader, untilGone), "ws://") + "/feed?a=1#part", "query": fields{"token": "t 1"},
		"headers": fields{"X-Api-Key": "k3y-of-ada", "Host": "shop.example"}, "cookies": fields{"theme": "dark", "session": "s3ss10n"}, "origin": "https://shop.example",
	})
	r := <-heard
	for _, pair := range [][2]string{
		{r.RequestURI, "/feed?a=1&token=t+1"},
		{r.Header.Get("Authorization"), "Basic YWRhOnBhNTV3b3Jk"},
		{r.Header.Get("X-Api-Key"), "k3y-of-ada"},
		{r.Host, "shop.example"},
		{r.Header.Get("Cookie"), "session=s3ss10n; theme=dark"},
		{r.Header.Get("Origin"), "https://shop.example"},
		{r.Header.Get("Traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		{r.Header.Get("User-Agent"), "TestMesh/"},
		{r.Header.Get("Sec-Websocket-Extensions"), ""},
	} {
		if pair[0] != pair[1] {
			t.Errorf("got %q, want %q", pair[0], pair[1])
		}
	}
	text := string(p.heard.exchanges[0].Request) + p.heard.exchanges[0].Summary
	for _, secret := range []string{"pa55word", "YWRhOnBhNTV3b3Jk", "k3y-of-ada", "s3ss10n"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is shown in %s", secret, text)
		}
	}
	if !strings.Contains(text, "dark") || !strings.Contains(text, "https://shop.example") {
		t.Errorf("what is no secret is not shown in %s", text)
	}
}

func TestARefusalIsAnAnswer(t *testing.T) {
	p := play(t)
	api := shop(t)
	got := p.do("connect", fields{"url": "ws://" + api + "/ws/echo", "headers": fields{"X-Fault": "status=401"}})
	if got["status"] != number("401") || got["connection_id"] != "" || at(got, "body", "error", "code") != "fault" || got["content_type"] != "application/json" {
		t.Errorf("got %v", got)
	}
	if got := p.do("connect", fields{"url": "ws://" + api + "/nowhere"}); got["status"] != number("404") {
		t.Errorf("got %v", got)
	}
	if got := p.do("exchange", fields{"url": "ws://" + api + "/ws/echo", "origin": "http://elsewhere.example"}); got["status"] != number("403") || got["closed"] != nil {
		t.Errorf("got %v", got)
	}
	long := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusUpgradeRequired)
		_, _ = w.Write([]byte(strings.Repeat("\xff", 5000)))
	})
	got, res, err := p.step(t.Context(), "connect", fields{"url": served(t, long)})
	if err != nil || got["status"] != number("426") || res.Limited != "body over 1 KiB" || !strings.HasPrefix(got["body"].(string), "\uFFFD") {
		t.Errorf("got %v, limited %v, %v", got, res, err)
	}
	for i, want := range []string{"401 Unauthorized; does the service want other headers", "404 Not Found; is the path", "403 Forbidden; does", "426 Upgrade Required; does a proxy"} {
		if i >= len(p.heard.logs) || !strings.Contains(p.heard.logs[i], want) {
			t.Errorf("got the log %q, want %s", p.heard.logs, want)
		}
	}
	if e := p.fault("send", fields{"text": "x"}); e.Blame != plugin.BlameDefinition || !strings.Contains(e.Message, "no connection") {
		t.Errorf("got %s", words(e))
	}
}

func TestWaiting(t *testing.T) {
	p := play(t)
	p.do("feed = connect", fields{"url": speaks(t, nil, func(c *websocket.Conn) {
		for _, text := range []string{`{"type": "hello"}`, `{"type": "order", "id": 1}`, `{"type": "order", "id": 2}`} {
			_ = c.WriteMessage(websocket.TextMessage, []byte(text))
		}
		echo(c)
	})})
	p.do("expect", fields{"count": 3})
	p.do("ask = send", fields{"text": "again"})
	p.do("expect", fields{"count": 4})
	for name, test := range map[string]struct {
		config fields
		count  string
		fault  string // a part of it
		failed bool
	}{
		"what came before is seen":     {config: fields{"where": fields{"json": fields{"type": "order"}}}, count: "2"},
		"by its text":                  {config: fields{"where": fields{"text": "#regex hello"}}, count: "1"},
		"by its kind":                  {config: fields{"where": fields{"type": "binary"}, "within": "20ms"}, fault: "failed E-WAIT system: 4 messages came from ", failed: true},
		"too few":                      {config: fields{"where": fields{"json": fields{"type": "order"}}, "count": 3, "within": "20ms"}, fault: "2 of the 3 that are wanted fit within 20ms", failed: true},
		"the nearest miss":             {config: fields{"where": fields{"json": fields{"type": "order", "id": 3}}, "within": "20ms"}, fault: "nearest miss: message 3 (text, 26 bytes): {\"type\": \"order\", \"id\": 2}\n  $.json.id: want 3 (number), got 2 (number)", failed: true},
		"none at all came of it":       {config: fields{"where": fields{"json": fields{"type": "paid"}}, "absent": true, "within": "20ms"}, count: "0"},
		"one came that must not":       {config: fields{"where": fields{"json": fields{"type": "hello"}}, "absent": true, "within": "5s"}, fault: "a message that should not come came after", failed: true},
		"since a step that sent later": {config: fields{"from": "feed", "since": "ask", "count": 1}, count: "1"},
		"a pattern that is none":       {config: fields{"where": "#nothing"}, fault: "E-CONFIG definition: "},
		"absent and a count":           {config: fields{"absent": true, "count": 2}, fault: "keep one of them [absent]"},
		"since what sent nothing":      {config: fields{"since": "place"}, fault: `no step "place" has sent a message over "feed"; these have: ask [since]`},
		"another connection":           {config: fields{"from": "fed"}, fault: `there is no connection "fed"; this run has "feed" of step feed [from]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := p.step(t.Context(), "expect", test.config)
			if test.fault != "" {
				if err == nil || !strings.Contains(words(err), test.fault) || faultOf(t, err).Failed != test.failed {
					t.Errorf("got %v, %v, want %s", got, words(err), test.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(words(err))
			}
			if got["count"] != number(test.count) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestNamesOfSecrets(t *testing.T) {
	for name, want := range map[string]bool{
		"Authorization": true, "X-Auth-Token": true, "apiKey": true, "X-Api-Key": true, "session_id": true, "JSESSIONID": true, "client_secret": true,
		"keyword": false, "author": false, "since": false, "Origin": false,
	} {
		if got := isSecret(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
