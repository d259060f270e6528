package websocket

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
)

// texts are those of a result's messages.
func texts(result fields) []any {
	out := []any{}
	list, _ := result["messages"].([]any)
	for _, m := range list {
		out = append(out, at(m, "text"))
	}
	return out
}

func TestWhenAnExchangeEnds(t *testing.T) {
	api := shop(t)
	// Each text comes back twice, and then the server closes.
	twice := func(c *websocket.Conn) {
		for {
			_, data, err := c.ReadMessage()
			if err != nil {
				return
			}
			_ = c.WriteMessage(websocket.TextMessage, data)
			_ = c.WriteMessage(websocket.TextMessage, append(data, '!'))
			if string(data) == "bye" {
				_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "over"), time.Now().Add(time.Second))
			}
		}
	}
	url := speaks(t, nil, twice)
	send := []fields{{"text": "a"}, {"text": "bye"}}
	for name, test := range map[string]struct {
		config fields
		want   []any
		closed string
		seen   string
	}{
		"one message, where nothing is said": {fields{"url": "ws://" + api + "/ws/echo", "send": []fields{{"text": "a"}}}, []any{"a"}, "1000", "1"},
		"so many":                            {fields{"url": url, "send": send, "count": 4}, []any{"a", "a!", "bye", "bye!"}, "4000", "4"},
		"those that match":                   {fields{"url": url, "send": send, "where": fields{"text": "#regex !$"}, "count": 2}, []any{"a!", "bye!"}, "4000", "4"},
		"until it is quiet":                  {fields{"url": url, "send": []fields{{"text": "a"}, {"text": "b"}}, "quiet": "100ms"}, []any{"a", "a!", "b", "b!"}, "1000", "4"},
		"quiet, and nothing comes":           {fields{"url": "ws://" + api + "/ws/events", "quiet": "50ms"}, []any{}, "1000", "0"},
		"until it closes":                    {fields{"url": url, "send": send, "close": true}, []any{"a", "a!", "bye", "bye!"}, "4000", "4"},
		"by its code":                        {fields{"url": url, "send": send, "close": 4000, "where": fields{"text": "a"}}, []any{"a"}, "4000", "4"},
		"by its reason":                      {fields{"url": url, "send": send, "close": fields{"reason": "#regex ^ov"}}, []any{"a", "a!", "bye", "bye!"}, "4000", "4"},
		"dropped, where that is wanted":      {fields{"url": "ws://" + api + "/ws/faults?fault=drop", "close": 1006}, []any{"hello"}, "1006", "1"},
		"nothing is wanted":                  {fields{"url": "ws://" + api + "/ws/events", "count": 0}, []any{}, "1000", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			got := play(t).do("exchange", test.config)
			if diff := cmp.Diff(test.want, texts(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if at(got, "closed", "code") != number(test.closed) || got["seen"] != number(test.seen) || got["status"] != number("101") {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestExchangesThatFail(t *testing.T) {
	api := shop(t)
	for name, test := range map[string]struct {
		config fields
		want   string
	}{
		"nothing comes":          {fields{"url": "ws://" + api + "/ws/events", "within": "30ms"}, "failed E-WAIT system: no message came from ws://ADDR/ws/events within "},
		"another code":           {fields{"url": "ws://" + api + "/ws/faults?fault=close&code=1008&reason=no", "close": 1000}, "failed E-WAIT system: ws://ADDR/ws/faults closed with 1008 (policy violation): no, and 1000 is wanted\n$.code: want 1000 (number), got 1008 (number)"},
		"it does not close":      {fields{"url": "ws://" + api + "/ws/echo", "send": []fields{{"text": "a"}}, "close": true, "within": "50ms"}, "failed E-WAIT system: ws://ADDR/ws/echo did not close the connection within "},
		"it drops":               {fields{"url": "ws://" + api + "/ws/faults?fault=drop", "close": true}, "E-CONN system: ws://ADDR/ws/faults dropped the connection without a close (1006)"},
		"it breaks the protocol": {fields{"url": "ws://" + api + "/ws/faults?fault=masked", "close": true}, "E-PROTOCOL system: ws://ADDR/ws/faults broke the protocol"},
		"it is never quiet":      {fields{"url": speaks(t, nil, chatter), "quiet": "200ms", "within": "300ms"}, "failed E-WAIT system: ws://ADDR was not quiet for 200ms in the time given by within; "},
		"it never closes":        {fields{"url": "ws://" + api + "/ws/faults?fault=silent", "within": "100ms"}, "E-TIMEOUT system: ws://ADDR/ws/faults did not answer the close within 100ms"},
		"two in one":             {fields{"url": "ws://" + api, "send": []fields{{"text": "a"}, {"text": "b", "json": 1}}}, "E-CONFIG definition: is given beside text: keep one of them [send[1].json]"},
		"nothing to send":        {fields{"url": "ws://" + api, "send": []fields{{}}}, "E-CONFIG definition: is missing: there is nothing to send [send[0].text]"},
		"a ping too long":        {fields{"url": "ws://" + api, "send": []fields{{"ping": strings.Repeat("x", 126)}}}, "E-CONFIG definition: is 126 bytes long; a ping carries up to 125 [send[0].ping]"},
		"a close that is none":   {fields{"url": "ws://" + api, "close": "soon"}, "E-CONFIG definition: "},
		"no file":                {fields{"url": "ws://" + api, "send": []fields{{"text_file": "none.txt"}}}, "E-CONFIG definition: there is no file none.txt"},
		"a file that is no text": {fields{"url": "ws://" + api, "send": []fields{{"text_file": "bytes.bin"}}}, "E-CONFIG definition: is not UTF-8, as a text message must be [send[0].text_file]"},
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t)
			p.root = t.TempDir()
			if err := os.WriteFile(filepath.Join(p.root, "bytes.bin"), []byte("\xff"), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := anyAddress(words(p.fault("exchange", test.config))); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
		})
	}
}

// chatter sends until the client has gone.
func chatter(c *websocket.Conn) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if c.WriteMessage(websocket.TextMessage, []byte("more")) != nil {
			return
		}
	}
}

func TestFilesAreSent(t *testing.T) {
	p := play(t)
	p.root = t.TempDir()
	if err := os.WriteFile(filepath.Join(p.root, "hello.json"), []byte(`{"a": 1.50}`), 0o600); err != nil {
		t.Fatal(err)
	}
	got := p.do("exchange", fields{"url": speaks(t, nil, echo), "send": []fields{{"text_file": "hello.json"}, {"binary_file": "hello.json"}}, "count": 2})
	if at(got, "messages", 0, "json", "a") != number("1.50") || at(got, "messages", 1, "type") != "binary" || at(got, "messages", 1, "json", "a") != number("1.50") {
		t.Errorf("got %v", got["messages"])
	}
}

func TestMessagesArePackedWhereThatIsAgreed(t *testing.T) {
	for _, offered := range []bool{false, true} {
		p := play(t)
		got := p.do("exchange", fields{"url": speaks(t, nil, echo), "compression": offered, "send": []fields{{"text": strings.Repeat("tea ", 10_000)}}})
		if got["compression"] != offered || at(got, "messages", 0, "bytes") != number("40000") {
			t.Errorf("offered %v: got %v", offered, got["compression"])
		}
	}
}
