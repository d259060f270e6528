package websocket

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// greets says hello, answers what is subscribed to, and then echoes.
func greets(c *websocket.Conn) {
	_ = c.WriteMessage(websocket.TextMessage, []byte(`{"type": "hello"}`))
	if _, _, err := c.ReadMessage(); err == nil {
		_ = c.WriteMessage(websocket.TextMessage, []byte(`{"type": "subscribed", "id": 9007199254740993}`))
	}
	echo(c)
}

func TestAListOfActions(t *testing.T) {
	p := play(t)
	upgrader := &websocket.Upgrader{Subprotocols: []string{"v1"}}
	got := p.do("run", fields{
		"url": speaks(t, upgrader, greets), "protocols": []string{"chat", "v1"}, "headers": fields{"Authorization": "Bearer t0ken"},
		"actions": []fields{
			{"type": "connect", "timeout": "5s"},
			{"type": "send", "message": fields{"type": "subscribe", "channel": "user-1"}},
			{"type": "wait_for", "message": fields{"type": "subscribed"}, "timeout": "10s"},
			{"type": "send", "message": "ping"},
			{"type": "receive", "timeout": "5s", "expected": "ping"},
			{"type": "send", "message": "AP8=", "message_type": "binary"},
			{"type": "send", "message": "last"},
			{"type": "receive", "count": 2},
			{"type": "close", "code": 3000, "reason": "done"},
		},
	})
	want := fields{
		"connected": false, "connection_id": "run", "status": number("101"), "subprotocol": "v1", "count": number("4"), "message": "last",
		"messages": []any{fields{"type": "subscribed", "id": number("9007199254740993")}, "ping", "AP8=", "last"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestOneActionAStep(t *testing.T) {
	p := play(t)
	url := speaks(t, nil, greets)
	got := p.do("open = run", fields{"action": "connect", "url": url})
	if got["connected"] != true || got["connection_id"] != "open" {
		t.Errorf("got %v", got)
	}
	p.do("named = run", fields{"action": "connect", "url": url, "connection_id": "mine"})
	for _, name := range []string{"open", "mine"} {
		p.do("run", fields{"action": "send", "connection_id": name, "message": fields{"a": 1}})
		for _, want := range []string{"hello", "subscribed"} {
			if got := p.do("run", fields{"action": "receive", "connection_id": name}); at(got, "message", "type") != want {
				t.Errorf("%s: got %v, want each message once, %s", name, got, want)
			}
		}
		if got := p.do("run", fields{"action": "close", "connection_id": name}); got["connected"] != false {
			t.Errorf("got %v", got)
		}
	}
	if got := p.do("expect", fields{"from": "mine", "count": 2, "within": "0s"}); got["count"] != number("2") {
		t.Errorf("the other actions see it too: got %v", got)
	}
}

func TestListsThatGoWrong(t *testing.T) {
	url := speaks(t, nil, greets)
	list := func(actions ...fields) fields { return fields{"url": url, "actions": actions} }
	for name, test := range map[string]struct {
		config fields
		want   string
	}{
		"what does not come":          {list(fields{"type": "wait_for", "message": fields{"type": "bye"}, "timeout": "30ms"}), "failed E-WAIT system: 1 message came from ws://ADDR since the subscription, and none fits within 30ms\nnearest miss: message 1"},
		"what is not as expected":     {list(fields{"type": "receive", "expected": fields{"type": "bye"}}), `failed E-WAIT system: message 1 (text, 17 bytes): {"type": "hello"} is not as expected: $.type: want "bye" (string), got "hello" (string)`},
		"nothing to do":               {fields{"url": url}, "E-CONFIG definition: are needed: what to do [actions]"},
		"two things to do":            {fields{"url": url, "action": "connect", "actions": []fields{{"type": "close"}}}, "E-CONFIG definition: are needed: what to do [actions]"},
		"no address":                  {fields{"actions": []fields{{"type": "close"}}}, "E-CONFIG definition: is needed: a list of actions has a connection of its own [url]"},
		"no address to connect to":    {fields{"action": "connect"}, "E-CONFIG definition: is needed to connect [url]"},
		"no connection":               {fields{"action": "send", "connection_id": "x", "message": "y"}, "E-CONFIG definition: this run has no connection [connection_id]"},
		"connecting twice":            {list(fields{"type": "connect"}, fields{"type": "connect"}), "E-CONFIG definition: connect comes first, and once [actions[1].type]"},
		"nothing to send":             {list(fields{"type": "send"}), "E-CONFIG definition: is missing: there is nothing to send [actions[0].message]"},
		"bytes that are none":         {list(fields{"type": "send", "message": "%", "message_type": "binary"}), "E-CONFIG definition: is not base64, as a binary message is written [actions[0].message]"},
		"a pattern that is none":      {list(fields{"type": "wait_for", "message": "#nothing"}), "E-CONFIG definition: "},
		"a code that cannot be sent":  {list(fields{"type": "close", "code": 1006}), "E-CONFIG definition: 1006 cannot be sent [actions[0].code]"},
		"an action that nobody knows": {list(fields{"type": "sent"}), "E-CONFIG definition: "},
		"a server that refuses":       {fields{"url": "ws://" + shop(t) + "/nowhere", "actions": []fields{{"type": "close"}}}, "failed E-WAIT system: ws://ADDR/nowhere refused the connection: 404 Not Found\nit said: {\"error\":"},
	} {
		t.Run(name, func(t *testing.T) {
			e := play(t).fault("run", test.config)
			if got := anyAddress(words(e)); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
			if e.Blame == plugin.BlamePlugin {
				t.Error("the plugin blames itself")
			}
		})
	}
}
