package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugintest"
)

// server answers every connection with a function until the test ends.
func server(t *testing.T, answer func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				answer(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

// says answers the first bytes with a text and closes.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 100))
		_, _ = io.WriteString(c, text)
	}
}

// silent reads until the other side has gone.
func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

type fields map[string]any

// do runs one step in the run "run".
func do(t *testing.T, p plugin.Plugin, action string, config fields) (fields, *plugin.Response, error) {
	t.Helper()
	return doWith(t.Context(), t, p, &plugin.Request{Action: "tcp." + action, RunID: "run"}, config)
}

func doWith(ctx context.Context, t *testing.T, p plugin.Plugin, req *plugin.Request, config fields) (fields, *plugin.Response, error) {
	t.Helper()
	var err error
	if req.Config, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	res, err := p.Execute(ctx, req, nil)
	if err != nil {
		return nil, nil, err
	}
	var result fields
	if err := json.Unmarshal(res.Result, &result); err != nil {
		t.Fatal(err)
	}
	return result, res, nil
}

// faultOf wants an error of the plugin.
func faultOf(t *testing.T, err error) *plugin.Error {
	t.Helper()
	var known *plugin.Error
	if !errors.As(err, &known) {
		t.Fatalf("got %v, want a *plugin.Error", err)
	}
	return known
}

func TestExchange(t *testing.T) {
	tests := map[string]struct {
		answer func(net.Conn)
		config fields
		reply  string
		end    string
	}{
		"until a text":         {says("+PONG\r\nrest"), fields{"send": "PING\r\n", "until": "\r\n"}, "+PONG", "until"},
		"some bytes":           {says("12345678"), fields{"send": "x", "bytes": 4}, "1234", "bytes"},
		"until it is closed":   {says("bye"), fields{"send": "x"}, "bye", "close"},
		"until we have closed": {echo, fields{"send": "all of it", "finish": true}, "all of it", "close"},
		"bytes, as base64":     {echo, fields{"send_base64": "AP8=", "bytes": 2, "as": "base64"}, "AP8=", "bytes"},
		"without sending":      {func(c net.Conn) { _, _ = io.WriteString(c, "220 hello\r\n") }, fields{"until": "\r\n"}, "220 hello", "until"},
		"nothing at all":       {func(net.Conn) {}, fields{}, "", "close"},
		"at the very limit":    {says("1234"), fields{"send": "x", "max_bytes": 4}, "1234", "close"},
		"text of many letters": {echo, fields{"send": strings.Repeat("ä€", 1<<18), "finish": true}, strings.Repeat("ä€", 1<<18), "close"},
	}
	p := tcp()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.config["address"] = server(t, test.answer)
			got, _, err := do(t, p, "exchange", test.config)
			if err != nil {
				t.Fatal(err)
			}
			if got["reply"] != test.reply || got["end"] != test.end {
				t.Errorf("got %.100v, ended by %v, want %.100q, %s", got["reply"], got["end"], test.reply, test.end)
			}
		})
	}
}

func TestAReplyOverItsLimitIsCutAndSaid(t *testing.T) {
	got, res, err := do(t, tcp(), "exchange", fields{"address": server(t, says("ää")), "send": "x", "max_bytes": 3})
	if err != nil || got["reply"] != "ä" || got["end"] != "limit" || res.Limited != "reply over 3 bytes" {
		t.Errorf("got %v, limited %v, %v", got, res, err)
	}
}

func TestExchangesThatCannotBeJudged(t *testing.T) {
	tests := map[string]struct {
		answer  func(net.Conn)
		config  fields
		code    string
		blame   plugin.Blame
		message string
	}{
		"nothing comes":            {silent, fields{"send": "x", "within": "20ms"}, plugin.CodeTimeout, plugin.BlameSystem, "did not end its reply within 20ms: 0 bytes had come"},
		"too little comes":         {func(c net.Conn) { _, _ = io.WriteString(c, "12"); silent(c) }, fields{"bytes": 3, "within": "50ms"}, plugin.CodeTimeout, plugin.BlameSystem, "2 bytes had come of 3"},
		"it ends early":            {says("12"), fields{"send": "x", "until": "\n"}, plugin.CodeBody, plugin.BlameSystem, `closed the connection before its reply ended: 2 bytes had come, without "\n"`},
		"no text":                  {says("\xff\xfe"), fields{"send": "x"}, plugin.CodeBody, plugin.BlameSystem, "the reply of 2 bytes is not text"},
		"two things to send":       {silent, fields{"send": "x", "send_base64": "eA=="}, plugin.CodeConfig, plugin.BlameDefinition, "keep one of them"},
		"an address that is none":  {silent, fields{"address": "nowhere"}, plugin.CodeConfig, plugin.BlameDefinition, "must match"},
		"a file without a project": {silent, fields{"send_file": "a.bin"}, plugin.CodeConfig, plugin.BlameDefinition, "this step may not read files"},
	}
	p := tcp()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.config["address"] == nil {
				test.config["address"] = server(t, test.answer)
			}
			_, _, err := do(t, p, "exchange", test.config)
			if known := faultOf(t, err); known.Code != test.code || known.Blame != test.blame || known.Failed || !strings.Contains(known.Message, test.message) {
				t.Errorf("got %s of %s: %s, want %s of %s: %s", known.Code, known.Blame, known.Message, test.code, test.blame, test.message)
			}
		})
	}
}

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

func TestNobodyThere(t *testing.T) {
	for _, action := range []string{"exchange", "open"} {
		_, _, err := do(t, tcp(), action, fields{"address": nobody(t)})
		if known := faultOf(t, err); known.Code != plugin.CodeConn || known.Blame != plugin.BlameSystem || !strings.HasPrefix(known.Message, "connection refused: 127.0.0.1:") {
			t.Errorf("%s: got %+v", action, known)
		}
	}
}

func TestACancelledExchangeEndsAtOnce(t *testing.T) {
	began := make(chan struct{}, 1)
	address := server(t, func(c net.Conn) {
		began <- struct{}{}
		silent(c)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	start := time.Now()
	_, _, err := doWith(ctx, t, tcp(), &plugin.Request{Action: "tcp.exchange"}, fields{"address": address, "send": "x", "within": "1h"})
	if known := faultOf(t, err); known.Blame == plugin.BlamePlugin || time.Since(start) > 2*time.Second {
		t.Errorf("got %+v after %s", known, time.Since(start))
	}
}

func TestAFileIsSent(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "hello.txt"), []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, err := doWith(t.Context(), t, tcp(), &plugin.Request{Action: "tcp.exchange", Root: root}, fields{"address": server(t, echo), "send_file": "hello.txt", "finish": true})
	if err != nil || got["reply"] != "from a file" {
		t.Errorf("got %v, %v", got, err)
	}
}

// listener keeps the exchanges that it is told.
type listener struct{ exchanges []plugin.Exchange }

func (*listener) Log(string, string)              {}
func (*listener) Artifact(string, string, []byte) {}
func (l *listener) Exchange(x plugin.Exchange)    { l.exchanges = append(l.exchanges, x) }

func TestAnExchangeIsRecordedWithoutWhatIsHidden(t *testing.T) {
	address := server(t, says("welcome ada, your key is s3cr3t-k3y"))
	heard := &listener{}
	config, err := json.Marshal(fields{"address": address, "send": "LOGIN ada pa55word\r\n", "hide": []string{"pa55word", "s3cr3t-k3y"}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := tcp().Execute(t.Context(), &plugin.Request{Action: "tcp.exchange", Config: config, WantExchange: true}, heard)
	if err != nil {
		t.Fatal(err)
	}
	if len(heard.exchanges) != 1 || len(res.Secrets) != 2 {
		t.Fatalf("got %d exchanges and %d secrets, want 1 and 2", len(heard.exchanges), len(res.Secrets))
	}
	x := heard.exchanges[0]
	if x.Summary != address+": 20 bytes → 35 bytes" || string(x.Request) != `{"bytes":20,"text":"LOGIN ada ‹secret:hide[0]›\r\n"}` ||
		string(x.Response) != `{"bytes":35,"text":"welcome ada, your key is ‹secret:hide[1]›"}` {
		t.Errorf("got %s: %s → %s", x.Summary, x.Request, x.Response)
	}
}

func TestAConnectionLastsForARun(t *testing.T) {
	p := tcp()
	address := server(t, echo)
	if got, _, err := do(t, p, "open", fields{"address": address, "send": "one\ntwo\n"}); err != nil || got["remote"] != address {
		t.Fatalf("open: got %v, %v", got, err)
	}
	if got, _, err := do(t, p, "send", fields{"send": "three\nfour"}); err != nil || got["bytes"] != 10.0 {
		t.Errorf("send: got %v, %v", got, err)
	}
	for _, want := range []string{"one", "two", "three"} {
		if got, _, err := do(t, p, "expect", fields{"until": "\n"}); err != nil || got["reply"] != want {
			t.Errorf("expect: got %v, %v, want %s", got, err, want)
		}
	}
	_, _, err := do(t, p, "expect", fields{"until": "\n", "within": "20ms"})
	if known := faultOf(t, err); !known.Failed || known.Code != plugin.CodeWait || !strings.Contains(known.Message, `4 bytes had come, without "\n"`) {
		t.Errorf("what does not come: got %+v, want it to have failed", known)
	}
	if got, _, err := do(t, p, "expect", fields{"bytes": 4}); err != nil || got["reply"] != "four" {
		t.Errorf("what had come is there for another try: got %v, %v", got, err)
	}
	if _, _, err := do(t, p, "open", fields{"address": address}); faultOf(t, err).Field != "name" {
		t.Errorf("a second one of the name: got %v", err)
	}
	if got, _, err := do(t, p, "close", fields{}); err != nil || got["unread"] != 0.0 {
		t.Errorf("close: got %v, %v", got, err)
	}
	if _, _, err := do(t, p, "close", fields{}); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	for _, action := range []string{"send", "expect"} {
		if _, _, err := do(t, p, action, fields{}); faultOf(t, err).Blame != plugin.BlameDefinition {
			t.Errorf("%s on a closed one: %v", action, err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestTheEndOfARunClosesItsConnections(t *testing.T) {
	gone := make(chan struct{})
	p := tcp()
	if _, _, err := do(t, p, "open", fields{"address": server(t, func(c net.Conn) { silent(c); close(gone) })}); err != nil {
		t.Fatal(err)
	}
	p.EndRun("run")
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the server still has a connection")
	}
}

func TestAServerThatClosesWhatIsExpectedHasFailed(t *testing.T) {
	p := tcp()
	if _, _, err := do(t, p, "open", fields{"address": server(t, says("4")), "send": "x"}); err != nil {
		t.Fatal(err)
	}
	_, _, err := do(t, p, "expect", fields{"bytes": 2})
	if known := faultOf(t, err); !known.Failed || !strings.Contains(known.Message, "1 bytes had come of 2") {
		t.Errorf("got %+v", known)
	}
}

func TestIsOpen(t *testing.T) {
	tests := map[string]struct{ args, want string }{
		"somebody":   {`["` + server(t, echo) + `"]`, "true"},
		"nobody":     {`["` + nobody(t) + `"]`, "false"},
		"no address": {`["nowhere"]`, "error"},
		"no port":    {`["127.0.0.1:http"]`, "error"},
		"no text":    {`[80]`, "error"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tcp().(plugin.Caller).Call(t.Context(), &plugin.FunctionRequest{Function: "is_open", Args: json.RawMessage(test.args)})
			if test.want == "error" {
				if known := faultOf(t, err); known.Blame != plugin.BlameDefinition {
					t.Errorf("got %+v, want an error of the definition", known)
				}
				return
			}
			if err != nil || string(got) != test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

// The conformance kit over the wire; `testmesh plugin test` does the same with
// the built program and the section of the manifest.
func TestConformance(t *testing.T) {
	call := func(action, config string) plugintest.Call {
		return plugintest.Call{Action: action, Config: json.RawMessage(config)}
	}
	exchange := func(config string) plugintest.Call { return call("tcp.exchange", config) }
	const textOnly = "TCP carries bytes, not values"
	plugintest.Run(t, plugintest.Config{Plugin: tcp, Descriptor: tcp().Describe(), Conformance: plugintest.Conformance{
		Echo:    &plugintest.Echo{Call: exchange(`{"address":"${tcp_echo}","send":"${payload}","finish":true,"max_bytes":67108864}`), Result: "reply"},
		Binary:  &plugintest.Echo{Call: exchange(`{"address":"${tcp_echo}","send_base64":"${payload}","finish":true,"as":"base64","max_bytes":67108864}`), Result: "reply"},
		Slow:    new(exchange(`{"address":"${tcp_silent}","send":"x","within":"60s"}`)),
		Bad:     &plugintest.Bad{Call: exchange(`{"address":"nowhere"}`), Field: "address"},
		Observe: &plugintest.Repeat{Call: exchange(`{"address":"${tcp_echo}","finish":true}`)},
		Functions: []plugintest.FunctionCall{{
			Name: "is_open", Args: json.RawMessage(`["${tcp_echo}"]`), Result: json.RawMessage("true"), BadArgs: json.RawMessage(`["nowhere"]`),
		}},
		Secret: new(exchange(`{"address":"${tcp_echo}","send":"LOGIN ${secret}","hide":["${secret}"],"finish":true}`)),
		Session: &plugintest.SessionPair{
			Write: call("tcp.open", `{"name":"session","address":"${tcp_echo}","send":"${payload}","finish":true}`),
			Read:  plugintest.Echo{Call: call("tcp.expect", `{"name":"session"}`), Result: "reply"},
		},
		File:    new(exchange(`{"address":"${tcp_echo}","send_file":"${file}","finish":true}`)),
		Without: map[string]string{"numbers": textOnly, "null": textOnly, "nesting": textOnly},
	}})
}
