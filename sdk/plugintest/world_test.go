package plugintest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func newWorld(t *testing.T, c Config) *kit {
	t.Helper()
	c.Command = []string{"none"}
	k, _, err := newKit(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.close)
	return k
}

func TestPlaceholdersAreFilled(t *testing.T) {
	k := newWorld(t, Config{Vars: map[string]any{"port": 99, "name": "x", "list": []int{1, 2}}})
	own := map[string]json.RawMessage{"payload": json.RawMessage(`{"n": 1.50}`), "word": json.RawMessage(`"a\"b"`)}
	tests := map[string]struct{ config, want string }{
		"the whole text takes the kind": {`{"a": "${port}", "b": "${payload}"}`, `{"a":99,"b":{"n":1.50}}`},
		"inside it is text":             {`{"a": "p=${port};${name}"}`, `{"a":"p=99;x"}`},
		"JSON inside a text":            {`{"a": "body: ${payload}"}`, `{"a":"body: {\"n\": 1.50}"}`},
		"a text is escaped":             {`{"a": "${word}", "b": "<${word}>"}`, `{"a":"a\"b","b":"<a\"b>"}`},
		"in lists":                      {`["${list}", ["${name}"]]`, `[[1,2],["x"]]`},
		"numbers stay as they are":      {`{"n": 1e400}`, `{"n":1e400}`},
		"what is no placeholder":        {`{"a": "$name ${ {{x}}"}`, `{"a":"$name ${ {{x}}"}`},
		"two of them":                   {`{"a": "${name}${name}"}`, `{"a":"xx"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := k.fillJSON(json.RawMessage(test.config), own)
			if err != nil || string(got) != test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
	if _, err := k.fillJSON(json.RawMessage(`{"a": "${nobody}"}`), own); err == nil || !strings.Contains(err.Error(), "${nobody}") {
		t.Errorf("got %v, want an error that names the placeholder", err)
	}
}

func TestTheServersOfTheKit(t *testing.T) {
	k := newWorld(t, Config{})
	text := func(name string) string {
		value, err := k.world.value(name)
		if err != nil {
			t.Fatal(err)
		}
		var s string
		if json.Unmarshal(value, &s) != nil {
			s = string(value)
		}
		return s
	}
	if got, want := text("tcp_echo"), "127.0.0.1:"+text("tcp_echo_port"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	conn, err := net.Dial("tcp", text("tcp_echo"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "ping")
	back := make([]byte, 4)
	if _, err := io.ReadFull(conn, back); err != nil || string(back) != "ping" {
		t.Errorf("got %q, %v from the echo", back, err)
	}
	silent, err := net.Dial("tcp", text("tcp_silent"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, _ = io.WriteString(silent, "ping")
	if err := silent.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := silent.Read(back); n > 0 || err == nil {
		t.Errorf("got %d bytes, %v from the silent server", n, err)
	}
	res, err := http.Post(text("http_echo")+"/any/path", "text/kit", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "body" || res.Header.Get("Content-Type") != "text/kit" {
		t.Errorf("got %q, %v of %s", body, err, res.Header.Get("Content-Type"))
	}
}

func TestTheServerOfTheManifestIsStartedOnceAndEnded(t *testing.T) {
	k := newWorld(t, Config{Conformance: Conformance{Server: []string{"/bin/sh", "-c", "echo $$; sleep 60"}}})
	first, err := k.world.value("server")
	if err != nil {
		t.Fatal(err)
	}
	second, err := k.world.value("server")
	if err != nil || string(second) != string(first) {
		t.Errorf("got %s, %v, want %s again", second, err, first)
	}
	var pid int
	if _, err := fmt.Sscanf(string(first), `"%d"`, &pid); err != nil || !exists(pid) {
		t.Fatalf("the server %s is not there: %v", first, err)
	}
	k.close()
	if exists(pid) {
		t.Errorf("the server %d was not ended", pid)
	}
}

func TestAServerThatSaysNothingIsToldApart(t *testing.T) {
	tests := map[string]struct {
		server []string
		want   string
	}{
		"none":             {nil, "add conformance.server"},
		"one that ends":    {[]string{"/bin/sh", "-c", "echo no port >&2"}, "no port"},
		"one that is gone": {[]string{"no-such-program-anywhere"}, "find no-such-program-anywhere"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := newWorld(t, Config{Conformance: Conformance{Server: test.server}})
			if got, err := k.world.value("server"); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %s, %v, want an error that says %q", got, err, test.want)
			}
		})
	}
}
