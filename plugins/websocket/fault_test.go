package websocket

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// nobody is an address that nothing listens at.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// answers reads a request and says a text.
func answers(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, text)
	}
}

func TestConnectionsThatCannotBeMade(t *testing.T) {
	api := shop(t)
	with := func(address string, more ...fields) fields {
		out := fields{"url": address}
		for _, m := range more {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	// A server that packs with context takeover, whatever is offered.
	takeover := func(c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", acceptKey(r.Header.Get("Sec-Websocket-Key")))
		silent(c)
	}
	for name, test := range map[string]struct {
		config fields
		want   string // the first line of the words
		hint   string
	}{
		"nobody is there":               {with("ws://" + nobody(t)), "E-CONN system: connection refused: 127.0.0.1:", "is the service started"},
		"a name that does not resolve":  {with("ws://nowhere.invalid/x"), `E-DNS system: the name "nowhere.invalid" does not resolve`, "check the host"},
		"it hangs up":                   {with("ws://" + raw(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 10000)) })), "E-CONN system: ws://ADDR closed the connection before it answered the handshake", "service's log"},
		"another protocol":              {with("ws://" + raw(t, answers("SSH-2.0-OpenSSH\r\n"))), `E-PROTOCOL system: ws://ADDR did not answer in HTTP: malformed HTTP response "SSH-2.0-OpenSSH"`, "ws or wss"},
		"no answer":                     {with("ws://"+api+"/ws/faults?fault=no-answer", fields{"handshake_timeout": "50ms"}), "E-TIMEOUT system: ws://ADDR/ws/faults took the connection and did not answer the handshake within 50ms", "raise handshake_timeout"},
		"no answer by TLS":              {with("wss://"+raw(t, silent), fields{"connect_timeout": "50ms"}), "E-TIMEOUT system: there was no connection to ADDR within 50ms", "raise connect_timeout"},
		"headers without an end":        {with("ws://" + raw(t, endlessHeaders)), "E-PROTOCOL system: the headers of ws://ADDR's answer are over 1 MiB", ""},
		"another key":                   {with("ws://" + api + "/ws/faults?fault=wrong-accept"), "E-PROTOCOL system: ws://ADDR/ws/faults answered 101, but not to this handshake: Sec-WebSocket-Accept does not fit the key", "RFC 6455"},
		"101 to something else":         {with("ws://" + raw(t, answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"))), "E-PROTOCOL system: ws://ADDR answered 101, but not to this handshake: its Upgrade header is not websocket", ""},
		"a subprotocol nobody offered":  {with("ws://"+api+"/ws/faults?fault=wrong-subprotocol", fields{"subprotocols": []string{"mine"}}), `E-PROTOCOL system: ws://ADDR/ws/faults chose the subprotocol "nobody.asked", which was not offered (mine)`, "subprotocols: [nobody.asked]"},
		"one where there is none":       {with("ws://" + api + "/ws/faults?fault=wrong-subprotocol"), `E-PROTOCOL system: ws://ADDR/ws/faults chose the subprotocol "nobody.asked", which was not offered (none)`, ""},
		"none of the subprotocols":      {with("ws://"+api+"/ws/events", fields{"subprotocols": []string{"a", "b"}}), "failed E-WAIT system: ws://ADDR/ws/events chose none of the subprotocols that were offered: a, b", "browser"},
		"packing that was not offered":  {with("ws://" + raw(t, takeover)), "E-PROTOCOL system: ws://ADDR packs messages in a way that is not offered: permessage-deflate", "leave compression out"},
		"packing with context takeover": {with("ws://"+raw(t, takeover), fields{"compression": true}), "E-PROTOCOL system: ws://ADDR packs messages in a way that is not offered: permessage-deflate", "context takeover"},
		"no scheme":                     {with("127.0.0.1:80/x"), `E-CONFIG definition: "127.0.0.1:80/x" is not a URL [url]`, "ws:// or wss://"},
		"another scheme":                {with("ftp://127.0.0.1"), `E-CONFIG definition: "ftp://127.0.0.1" is not a ws, wss, http or https URL [url]`, ""},
		"no host":                       {with("ws:///x"), `E-CONFIG definition: "ws:///x" has no host [url]`, ""},
		"a port that is none":           {with("ws://127.0.0.1:70000"), "E-CONFIG definition: 70000 is not a port [url]", ""},
		"a space":                       {with("ws://127.0.0.1/a b"), `E-CONFIG definition: "ws://127.0.0.1/a b" has a space or a control character at character 17 [url]`, "%20"},
		"a header of the handshake":     {with("ws://"+api, fields{"headers": fields{"sec-websocket-protocol": "x"}}), "E-CONFIG definition: belongs to the handshake and cannot be set [headers.sec-websocket-protocol]", "subprotocols"},
		"a header with two lines":       {with("ws://"+api, fields{"headers": fields{"X-One": "1\r\nX-Two: 2"}}), "E-CONFIG definition: holds a line break or a control character [headers.X-One]", ""},
		"a header without a name":       {with("ws://"+api, fields{"headers": fields{"X One": "1"}}), `E-CONFIG definition: "X One" is not the name of a header [headers]`, ""},
		"a cookie that ends another":    {with("ws://"+api, fields{"cookies": fields{"a": "1; b=2"}}), "E-CONFIG definition: holds what a cookie cannot", "url_encode"},
		"a subprotocol that is none":    {with("ws://"+api, fields{"subprotocols": []string{"a", "b c"}}), `E-CONFIG definition: "b c" is not the name of a subprotocol [subprotocols[1]]`, ""},
		"a proxy of another kind":       {with("ws://"+api, fields{"proxy": "ftp://127.0.0.1:1"}), `E-CONFIG definition: "ftp" is not a kind of proxy [proxy]`, "socks5://"},
		"a proxy that is no URL":        {with("ws://"+api, fields{"proxy": "127.0.0.1:1"}), "E-CONFIG definition: is not a URL [proxy]", "http://host:port"},
		"a proxy that nobody runs":      {with("ws://"+api, fields{"proxy": "http://" + nobody(t)}), "E-CONN system: the way through the proxy ADDR failed: connection refused", "proxy: none"},
		"a proxy that refuses":          {with("ws://"+api, fields{"proxy": "http://" + raw(t, answers("HTTP/1.1 403 Forbidden\r\n\r\n"))}), "E-CONN system: the proxy ADDR refused to connect to ADDR: 403 Forbidden", "operator"},
		"a proxy that wants a user":     {with("ws://"+api, fields{"proxy": "http://" + raw(t, answers("HTTP/1.1 407\r\n\r\n"))}), "E-CONN system: the proxy ADDR refused to connect to ADDR: 407", "user:password"},
		"a proxy that does not answer":  {with("ws://"+api, fields{"proxy": "http://" + raw(t, silent), "connect_timeout": "50ms"}), "E-TIMEOUT system: there was no connection to ADDR within 50ms", ""},
		"a proxy without an end":        {with("ws://"+api, fields{"proxy": "http://" + raw(t, endlessHeaders)}), "E-CONN system: the way through the proxy ADDR failed: the answer is over its limit", ""},
		"a socks proxy that is none":    {with("ws://"+api, fields{"proxy": "socks5://" + raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })}), "E-CONN system: the way through the proxy ADDR failed: unexpected protocol version 72", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t)
			e := p.fault("connect", test.config)
			got, _, _ := strings.Cut(words(e), "\n")
			if got = anyAddress(got); !strings.HasPrefix(got, test.want) || !strings.Contains(e.Hint, test.hint) {
				t.Errorf("got %s\nhint %s\nwant %s\nhint %s", got, e.Hint, test.want, test.hint)
			}
		})
	}
}

// anyAddress puts ADDR in place of addresses of tests.
func anyAddress(text string) string {
	const host = "127.0.0.1:"
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, host)
		out.WriteString(before)
		if !found {
			return strings.ReplaceAll(out.String(), "refused: ADDR", "refused: "+host)
		}
		rest := strings.TrimLeft(after, "0123456789")
		if len(after)-len(rest) < 4 { // no port of a test
			out.WriteString(host)
			text = after
			continue
		}
		out.WriteString("ADDR")
		text = rest
	}
}

func endlessHeaders(c net.Conn) {
	_, _ = http.ReadRequest(bufio.NewReader(c))
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n")
	for n := 0; ; n++ {
		if _, err := fmt.Fprintf(c, "X-%d: %s\r\n", n, strings.Repeat("x", 1000)); err != nil {
			return
		}
	}
}

func TestConnectionsThatBreak(t *testing.T) {
	api := shop(t)
	for name, test := range map[string]struct {
		query string
		want  string
		hint  string
		code  string // of the close that another step sees
	}{
		"dropped":               {"drop", "E-CONN system: ws://ADDR/ws/faults dropped the connection without a close (1006)", "service's log", "1006"},
		"reset":                 {"reset", "E-CONN system: the connection to ws://ADDR/ws/faults broke without a close (1006): connection reset by peer", "service's log", "1006"},
		"reserved bits":         {"malformed", "E-PROTOCOL system: ws://ADDR/ws/faults broke the protocol, and the connection was closed with 1002: RSV1 set, RSV2 set, RSV3 set", "fault of the service", "1002"},
		"a masked frame":        {"masked", "E-PROTOCOL system: ws://ADDR/ws/faults broke the protocol, and the connection was closed with 1002: a frame is masked", "", "1002"},
		"a text that is none":   {"not-text", "E-PROTOCOL system: ws://ADDR/ws/faults sent a text message that is not UTF-8, and the connection was closed with 1007", "binary", "1007"},
		"a gibibyte":            {"huge", "E-BODY system: ws://ADDR/ws/faults sent a message over the limit of 10 MiB (max_message), and the connection was closed with 1009", "raise max_message", "1009"},
		"a close in order":      {"close&code=1011&reason=sorry", "failed E-WAIT system: ws://ADDR/ws/faults ended after ", "", "1011"},
		"a message without end": {"stall", "failed E-WAIT system: 1 message came from ws://ADDR/ws/faults since the subscription, and 1 of the 2 that are wanted fit within 300ms", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t)
			p.do("feed = connect", fields{"url": "ws://" + api + "/ws/faults?fault=" + test.query})
			e := p.fault("expect", fields{"count": 2, "within": "300ms"})
			if got := anyAddress(words(e)); !strings.HasPrefix(got, test.want) || !strings.Contains(got, "came: message 1 (text, 5 bytes): hello") || !strings.Contains(e.Hint, test.hint) {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
			got := p.do("expect", fields{"where": fields{"text": "hello"}})
			if code := at(got, "closed", "code"); test.code == "" && code != nil || test.code != "" && code != number(test.code) {
				t.Errorf("got the close %v, want %s", got["closed"], test.code)
			}
		})
	}
}

func TestAPackedMessageIsBoundedAsUnpacked(t *testing.T) {
	p := play(t)
	p.do("connect", fields{"compression": true, "max_message": 1000, "url": speaks(t, nil, func(c *websocket.Conn) {
		_ = c.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("a", 1000)))
		_ = c.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("a", 16<<20)))
		untilGone(c)
	})})
	if got := p.do("expect", fields{}); at(got, "messages", 0, "bytes") != number("1000") {
		t.Errorf("at the limit: got %v", got)
	}
	if e := p.fault("expect", fields{"count": 2}); e.Code != plugin.CodeBody || !strings.Contains(e.Message, "limit of 1000 bytes") {
		t.Errorf("got %s", words(e))
	}
}

func TestAnAnnouncedGibibyteTakesNoMemory(t *testing.T) {
	p := play(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p.do("connect", fields{"url": "ws://" + shop(t) + "/ws/faults?fault=huge"})
	_ = p.fault("expect", fields{"count": 2})
	runtime.ReadMemStats(&after)
	if grew := after.TotalAlloc - before.TotalAlloc; grew > 16<<20 {
		t.Errorf("got %d bytes allocated for what was announced", grew)
	}
}

func TestAFloodIsKeptUpToItsLimit(t *testing.T) {
	p := play(t)
	p.do("connect", fields{"url": "ws://" + shop(t) + "/ws/faults?fault=flood&n=500", "max_messages": 100})
	if got := p.do("expect", fields{"where": fields{"text": "500"}}); got["count"] != number("1") {
		t.Errorf("the latest: got %v", got["messages"])
	}
	e := p.fault("expect", fields{"where": fields{"text": "1"}, "within": "10ms"})
	if e.Failed || e.Code != plugin.CodeBody || !strings.Contains(e.Message, "401 messages of ") || !strings.Contains(e.Hint, "max_messages") {
		t.Errorf("what went: got %s", words(e))
	}
}

// What a step gives back crosses a wire that has an end.
func TestAResultIsCutAndSaysSo(t *testing.T) {
	p := play(t)
	p.do("connect", fields{"url": speaks(t, nil, func(c *websocket.Conn) {
		for range 3 {
			_ = c.WriteMessage(websocket.BinaryMessage, make([]byte, 6<<20))
		}
		untilGone(c)
	})})
	res, err := p.execute(t.Context(), "expect", 1, fields{"count": 3})
	if err != nil {
		t.Fatal(words(err))
	}
	if kept := bytes.Count(res.Result, []byte(`"type":"binary"`)); kept != 2 || !bytes.Contains(res.Result, []byte(`"count":3`)) || res.Limited != "messages over 16 MiB" {
		t.Errorf("got %d messages, limited %q", kept, res.Limited)
	}
}

func TestSendingToWhatDoesNotListen(t *testing.T) {
	api := shop(t)
	t.Run("a server that has stopped reading", func(t *testing.T) {
		p := play(t)
		p.do("connect", fields{"url": "ws://" + shop(t) + "/ws/faults?fault=deaf"})
		p.root = t.TempDir()
		if err := os.WriteFile(filepath.Join(p.root, "large.bin"), make([]byte, 20<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, _, err := p.step(ctx, "send", fields{"binary_file": "large.bin"})
		if e := faultOf(t, err); e.Code != plugin.CodeTimeout || !strings.Contains(e.Message, "did not take the message of 20971520 bytes") {
			t.Errorf("got %s", words(e))
		}
		if e := p.fault("expect", fields{"count": 2}); e.Code != plugin.CodeConn || !strings.Contains(e.Message, "was given up") {
			t.Errorf("afterwards: got %s", words(e))
		}
	})
	for query, want := range map[string]string{
		"close&code=1008&reason=no": "E-CONN system: nothing can be sent any more: ws://ADDR/ws/faults was closed with 1008 (policy violation): no",
		"drop":                      "E-CONN system: nothing can be sent any more: ws://ADDR/ws/faults dropped the connection without a close (1006)",
	} {
		t.Run(query, func(t *testing.T) {
			p := play(t)
			p.do("connect", fields{"url": "ws://" + api + "/ws/faults?fault=" + query})
			_, _, _ = p.step(t.Context(), "expect", fields{"count": 2, "within": "5s"}) // it ends with the connection
			if e := p.fault("send", fields{"text": "x"}); !strings.HasPrefix(anyAddress(words(e)), want) {
				t.Errorf("got %s, want %s", anyAddress(words(e)), want)
			}
		})
	}
}

func TestPings(t *testing.T) {
	api := shop(t)
	p := play(t)
	p.do("echo = connect", fields{"url": "ws://" + api + "/ws/echo"})
	if got := p.do("send", fields{"ping": "are you there?"}); got["type"] != "ping" || got["bytes"] != number("14") {
		t.Errorf("got %v", got)
	}
	p.do("deaf = connect", fields{"url": "ws://" + api + "/ws/faults?fault=silent"})
	if e := p.fault("send", fields{"connection": "deaf", "ping": "", "within": "50ms"}); !e.Failed || !strings.Contains(e.Message, "did not answer a ping within 50ms") {
		t.Errorf("got %s", words(e))
	}

	pinged := make(chan string, 1)
	p.do("asked = connect", fields{"url": speaks(t, nil, func(c *websocket.Conn) {
		c.SetPongHandler(func(data string) error {
			pinged <- data
			return nil
		})
		_ = c.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(time.Second))
		untilGone(c)
	})})
	if got := <-pinged; got != "there?" {
		t.Errorf("the server's ping was answered with %q", got)
	}
}

func TestAServerThatIsDeadIsNoticed(t *testing.T) {
	p := play(t)
	p.do("dead = connect", fields{"url": "ws://" + shop(t) + "/ws/faults?fault=silent", "keepalive": "30ms"})
	e := p.fault("expect", fields{"count": 2})
	if e.Code != plugin.CodeConn || !strings.Contains(e.Message, "is dead: nothing came from it for 30ms after a ping") {
		t.Errorf("got %s", words(e))
	}
	p.do("alive = connect", fields{"url": speaks(t, nil, untilGone), "keepalive": "20ms"})
	if e := p.fault("expect", fields{"from": "alive", "within": "200ms"}); !e.Failed {
		t.Errorf("one that answers pings: got %s", words(e))
	}
}

// A connection that only looks open has shown no absence.
func TestAbsenceOfADeadServerCannotBeJudged(t *testing.T) {
	p := play(t)
	p.do("dead = connect", fields{"url": "ws://" + shop(t) + "/ws/faults?fault=silent"})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, _, err := p.step(ctx, "expect", fields{"absent": true, "where": fields{"text": "x"}, "within": "10ms"})
	if e := faultOf(t, err); e.Failed || e.Code != plugin.CodeTimeout || !strings.Contains(e.Message, "nothing can be said of what did not come") {
		t.Errorf("got %s", words(e))
	}
	p.do("trusted = connect", fields{"url": "ws://" + shop(t) + "/ws/faults?fault=silent", "keepalive": "0s"})
	p.do("expect", fields{"from": "trusted", "absent": true, "where": fields{"text": "x"}, "within": "10ms"})
}

func TestACancelledStepEndsAtOnce(t *testing.T) {
	api := shop(t)
	p := play(t)
	p.do("silent = connect", fields{"url": "ws://" + api + "/ws/faults?fault=silent"})
	for name, config := range map[string]fields{
		"connect":  {"url": "ws://" + api + "/ws/faults?fault=no-answer", "handshake_timeout": "1m"},
		"exchange": {"url": "ws://" + api + "/ws/echo", "within": "1m"},
		"expect":   {"within": "1m", "count": 2},
		"close":    {"within": "1m"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(100*time.Millisecond, cancel)
			defer timer.Stop()
			began := time.Now()
			_, _, err := p.step(ctx, name, config)
			if err == nil || time.Since(began) > 2*time.Second {
				t.Errorf("got %v after %s", err, time.Since(began))
			}
			if e := (*plugin.Error)(nil); errors.As(err, &e) && e.Blame == plugin.BlamePlugin {
				t.Errorf("got the plugin's own fault: %s", words(e))
			}
			if name == "close" { // that took the connection with it
				p.do("silent = connect", fields{"url": "ws://" + api + "/ws/faults?fault=silent"})
			}
		})
	}
}
