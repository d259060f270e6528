package redis

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/testmesh/testmesh/plugins/servertest"
	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestGetKeepsTypes(t *testing.T) {
	c := bare(t)
	tests := map[string]struct {
		stored string
		as     string
		value  string // as JSON
	}{
		"a text that looks like a number": {"007", "text", `"007"`},
		"JSON stays a text":               {`{"a":1}`, "text", `"{\"a\":1}"`},
		"a number, on request":            {"7", "json", `7`},
		"digits are kept":                 {"12345678901234567890.10", "json", `12345678901234567890.10`},
		"a map, on request":               {`{"a":[1,null]}`, "json", `{"a":[1,null]}`},
		"null, on request":                {"null", "json", `null`},
		"of two equal keys both":          {`{"a":1,"a":2}`, "json", `{"a":2}`},
		"nothing in it":                   {"", "text", `""`},
		"text of many letters":            {strings.Repeat("ä€", 1000), "text", `"` + strings.Repeat("ä€", 1000) + `"`},
		"any bytes":                       {"\xff\x00\r\n", "bytes", `"/wANCg=="`},
	}
	u := newUser(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := key(t, "k")
			if err := c.Set(t.Context(), k, test.stored, time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
			got := u.do("get", m{"key": k, "as": test.as})
			is(t, got["value"], test.value)
			if got["exists"] != true || fmt.Sprint(got["bytes"]) != fmt.Sprint(len(test.stored)) {
				t.Errorf("got %v", got)
			}
		})
	}
	is(t, u.do("get", m{"key": key(t, "none")}), `{"bytes":0,"exists":false,"value":null}`)
}

func TestValuesThatAreNotWhatTheyShouldBe(t *testing.T) {
	c := bare(t)
	u := newUser(t)
	for name, test := range map[string]struct{ stored, as, message, hint string }{
		"no text": {"\xff\xfe", "text", "of 2 bytes is not text", "as: bytes"},
		"no JSON": {"007", "json", `is not JSON: "007"`, "leave as out"},
	} {
		t.Run(name, func(t *testing.T) {
			k := key(t, "k")
			if err := c.Set(t.Context(), k, test.stored, time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
			e := u.fails("get", with(t, m{"key": k, "as": test.as}))
			if e.Code != plugin.CodeBody || e.Failed || !strings.Contains(e.Message, test.message) || !strings.Contains(e.Message, k) || !strings.Contains(e.Hint, test.hint) {
				t.Errorf("got %s: %s (%s)", e.Code, e.Message, e.Hint)
			}
		})
	}
}

func TestALongValueIsCutAndSaid(t *testing.T) {
	c := bare(t)
	k := key(t, "k")
	if err := c.Set(t.Context(), k, strings.Repeat("ä", 1000), time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	u := newUser(t)
	got := u.do("get", m{"key": k, "max_bytes": 5})
	if got["value"] != "ää" || u.last.Limited != "text of 2000 bytes, of which max_bytes (5) are read" {
		t.Errorf("got %v, limited %q", got, u.last.Limited)
	}
	if got := u.do("get", m{"key": k, "max_bytes": 5, "as": "bytes"}); got["value"] != base64.StdEncoding.EncodeToString([]byte("ää\xc3")) {
		t.Errorf("got %v", got)
	}
	if got := u.do("get", m{"key": k}); u.last.Limited != "" || len(got["value"].(string)) != 2000 {
		t.Errorf("what fits is all there: limited %q", u.last.Limited)
	}
}

// Redis itself stores no more than half a gigabyte under a key.
func TestAValueOfAGigabyteCostsItsLimitAndNoMore(t *testing.T) {
	const size = 1 << 30
	address := fake(t, func([]string) string {
		return fmt.Sprintf("$%d\r\n", size) + strings.Repeat("x", 1<<20) // and then silence
	})
	u := newUser(t)
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	_, err := u.try(ctx, "get", m{"connection": "redis://" + address, "key": "k", "max_bytes": 1000})
	if e := asError(t, err); e.Code != plugin.CodeTimeout || !strings.Contains(e.Message, "did not answer GET within ") {
		t.Errorf("what does not come is waited for, and not made room for: got %s: %s", e.Code, e.Message)
	}
}

func TestSet(t *testing.T) {
	c := bare(t)
	u := newUser(t)
	tests := map[string]struct {
		before, config, want, after string
		ttl                         time.Duration // of it then; 0: for ever
	}{
		"a text":                            {config: `{"value":"007"}`, want: `{"previous":null,"stored":true}`, after: "007"},
		"a number, as it is written":        {config: `{"value":1.50}`, want: `{"previous":null,"stored":true}`, after: "1.50"},
		"a map":                             {config: `{"value":{"a":[1,true]}}`, want: `{"previous":null,"stored":true}`, after: `{"a":[1,true]}`},
		"nothing in it":                     {config: `{"value":""}`, want: `{"previous":null,"stored":true}`, after: ""},
		"bytes":                             {config: `{"value_base64":"/wA="}`, want: `{"previous":null,"stored":true}`, after: "\xff\x00"},
		"for a time":                        {config: `{"value":"x","ttl":"90s"}`, want: `{"previous":null,"stored":true}`, after: "x", ttl: 90 * time.Second},
		"for a very short time":             {config: `{"value":"x","ttl":"1500ms"}`, want: `{"previous":null,"stored":true}`, after: "x", ttl: 1500 * time.Millisecond},
		"over another, for ever":            {before: "old", config: `{"value":"x"}`, want: `{"previous":null,"stored":true}`, after: "x"},
		"over another, with its time":       {before: "old", config: `{"value":"x","keepttl":true}`, want: `{"previous":null,"stored":true}`, after: "x", ttl: time.Hour},
		"only a new one, and it is":         {config: `{"value":"x","nx":true}`, want: `{"previous":null,"stored":true}`, after: "x"},
		"only a new one, and it is not":     {before: "old", config: `{"value":"x","nx":true}`, want: `{"previous":null,"stored":false}`, after: "old", ttl: time.Hour},
		"only an old one, and it is":        {before: "old", config: `{"value":"x","xx":true}`, want: `{"previous":null,"stored":true}`, after: "x"},
		"only an old one, and it is not":    {config: `{"value":"x","xx":true}`, want: `{"previous":null,"stored":false}`},
		"and the previous one":              {before: "old", config: `{"value":"x","get":true}`, want: `{"previous":"old","stored":true}`, after: "x"},
		"and the previous one, as JSON":     {before: `{"a":1}`, config: `{"value":"x","get":true,"as":"json"}`, want: `{"previous":{"a":1},"stored":true}`, after: "x"},
		"and the previous one: none":        {config: `{"value":"x","get":true}`, want: `{"previous":null,"stored":true}`, after: "x"},
		"and the previous one, only new":    {before: "old", config: `{"value":"x","get":true,"nx":true}`, want: `{"previous":"old","stored":false}`, after: "old", ttl: time.Hour},
		"and the previous one, only old":    {config: `{"value":"x","get":true,"xx":true}`, want: `{"previous":null,"stored":false}`},
		"and the previous one, if it is":    {before: "old", config: `{"value":"x","get":true,"xx":true}`, want: `{"previous":"old","stored":true}`, after: "x"},
		"and the previous one, if it is ne": {config: `{"value":"x","get":true,"nx":true}`, want: `{"previous":null,"stored":true}`, after: "x"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := key(t, "k")
			if test.before != "" {
				if err := c.Set(t.Context(), k, test.before, time.Hour).Err(); err != nil {
					t.Fatal(err)
				}
			}
			config := with(t, parsed(t, test.config))
			config["key"] = k
			got, err := u.try(t.Context(), "set", config)
			if err != nil {
				t.Fatal(err)
			}
			is(t, got, test.want)
			after, err := c.Get(t.Context(), k).Result()
			if after != test.after || err != nil && (err != goredis.Nil || test.after != "") { //nolint:errorlint // as go-redis has it
				t.Errorf("then it holds %q, %v, want %q", after, err, test.after)
			}
			if left := c.PTTL(t.Context(), k).Val(); test.ttl > 0 && (left > test.ttl || left < test.ttl-5*time.Second) || test.ttl == 0 && left > 0 {
				t.Errorf("it lives for %s, want %s", left, test.ttl)
			}
			c.Del(t.Context(), k)
		})
	}
}

func TestWhatCannotBeSet(t *testing.T) {
	u := newUser(t)
	for name, test := range map[string]struct{ config, field, message string }{
		"nothing":            {`{}`, "value", "is missing, and value_base64 too"},
		"null":               {`{"value":null}`, "value", "is null, which Redis cannot hold"},
		"two things":         {`{"value":"x","value_base64":"eA=="}`, "value", "given beside value_base64"},
		"new and old":        {`{"value":"x","nx":true,"xx":true}`, "xx", "given beside nx"},
		"two times to live":  {`{"value":"x","ttl":"1s","keepttl":true}`, "keepttl", "given beside ttl"},
		"no time to live":    {`{"value":"x","ttl":"0s"}`, "ttl", "must be 1ms at least"},
		"a time without one": {`{"value":"x","ttl":30}`, "ttl", "must be a text"},
		"no base64":          {`{"value_base64":"?"}`, "value_base64", "is not base64"},
	} {
		t.Run(name, func(t *testing.T) {
			config := with(t, parsed(t, test.config))
			config["key"] = key(t, "k")
			if e := u.fails("set", config); e.Blame != plugin.BlameDefinition || e.Field != test.field || !strings.Contains(e.Message, test.message) {
				t.Errorf("got %s at %s, want %s at %s", e.Message, e.Field, test.message, test.field)
			}
		})
	}
}

func TestDelAndExists(t *testing.T) {
	bare(t)
	u := newUser(t)
	a, b, none := key(t, "a"), key(t, "b"), key(t, "none")
	for _, k := range []string{a, b} {
		u.do("set", m{"key": k, "value": "x"})
	}
	is(t, u.do("exists", m{"key": a}), `{"count":1,"exists":true}`)
	is(t, u.do("exists", m{"keys": []any{a, b}}), `{"count":2,"exists":true}`)
	is(t, u.do("exists", m{"keys": []any{a, none}}), `{"count":1,"exists":false}`)
	is(t, u.do("del", m{"keys": []any{a, none}}), `{"deleted":1}`)
	is(t, u.do("del", m{"key": b}), `{"deleted":1}`)
	is(t, u.do("del", m{"key": b}), `{"deleted":0}`)
	is(t, u.do("exists", m{"key": b}), `{"count":0,"exists":false}`)
	for _, action := range []string{"del", "exists"} {
		if e := u.fails(action, with(t, m{})); e.Field != "key" {
			t.Errorf("%s of nothing: got %s", action, e.Message)
		}
		if e := u.fails(action, with(t, m{"key": "a", "keys": []any{"b"}})); e.Field != "keys" {
			t.Errorf("%s of both: got %s", action, e.Message)
		}
	}
}

// The ways to say where Redis is, and a database of its own for each.
func TestConnections(t *testing.T) {
	real := servertest.Value(t, "REDIS_URL")
	address := strings.TrimSuffix(real[strings.Index(real, "@")+1:], "/0")
	host, port, _ := strings.Cut(address, ":")
	login := m{"username": "testmesh", "password": "testmesh-secret"}
	also := func(more m) m {
		out := m{}
		for _, part := range []m{login, more} {
			for k, v := range part {
				out[k] = v
			}
		}
		return out
	}
	u := newUser(t)
	u.root = "/"
	secured := servertest.Value(t, "REDIS_TLS_URL")
	ca := strings.TrimPrefix(servertest.Value(t, "REDIS_TLS_CA"), "/")
	tests := map[string]any{
		"a URL":                         real,
		"a map with one":                m{"url": real},
		"a URL, and who beside it":      also(m{"url": "redis://" + address}),
		"host and port":                 also(m{"host": host, "port": parsed(t, `{"p":`+port+`}`)["p"]}),
		"TLS, and whom to trust":        m{"url": secured, "tls": m{"ca_file": ca}},
		"TLS by a key alone":            m{"url": strings.Replace(secured, "rediss:", "redis:", 1), "tls": m{"ca_file": ca}},
		"TLS, and nobody looks":         m{"url": secured, "tls": m{"verify": false}},
		"the password of the old times": m{"url": "redis://" + address, "password": "testmesh-secret"},
	}
	for name, connection := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := u.try(t.Context(), "command", m{"connection": connection, "command": "PING"})
			if err != nil || got["reply"] != "PONG" {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	for name, connection := range map[string]any{"in a URL": strings.TrimSuffix(real, "0") + "7", "in a map": m{"url": real, "db": 7}} {
		got, err := u.try(t.Context(), "command", m{"connection": connection, "command": "CLIENT INFO"})
		if err != nil || !strings.Contains(fmt.Sprint(got["reply"]), " db=7 ") {
			t.Errorf("a database %s: got %v, %v", name, got, err)
		}
	}
}

func TestAUnixSocket(t *testing.T) {
	path := t.TempDir() + "/redis.sock"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, answering(says("+fine\r\n")))
	u := newUser(t)
	for _, connection := range []any{"unix://" + path, m{"socket": path}, m{"url": "unix://" + path + "?db=0", "tls": nil}} {
		if got, err := u.try(t.Context(), "get", m{"connection": connection, "key": "k"}); err != nil || got["value"] != "fine" {
			t.Errorf("%v: got %v, %v", connection, got, err)
		}
	}
}

// Before Redis 6 there was no HELLO: go-redis logs in by AUTH then, and reads
// lists where there are maps now.
func TestServersOfTheOldProtocol(t *testing.T) {
	var login []string
	address := raw(t, func(c net.Conn) {
		for command := range sent(c) {
			said := "-ERR unknown command\r\n"
			switch command[0] {
			case "auth":
				login, said = command, "+OK\r\n"
			case "select":
				said = "+OK\r\n"
			case "ping":
				said = "+PONG\r\n"
				if len(command) > 1 { // of a subscription
					said = fmt.Sprintf("*2\r\n$4\r\npong\r\n$%d\r\n%s\r\n", len(command[1]), command[1])
				}
			case "hgetall":
				said = "*2\r\n$1\r\na\r\n$1\r\n1\r\n"
			case "subscribe":
				said = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"
			}
			_, _ = io.WriteString(c, said)
		}
	})
	u := newUser(t)
	connection := "redis://ada:secret@" + address + "/3"
	got, err := u.try(t.Context(), "command", m{"connection": connection, "command": "HGETALL k"})
	if err != nil {
		t.Fatal(err)
	}
	is(t, got["reply"], `["a","1"]`)
	if strings.Join(login, " ") != "auth ada secret" {
		t.Errorf("logged in by %q", login)
	}
	if _, err := u.try(t.Context(), "subscribe", m{"connection": connection, "channels": []any{"c"}}); err != nil {
		t.Fatal(err)
	}
	got, err = u.try(t.Context(), "expect", m{"within": "50ms"})
	if err != nil {
		t.Fatal(err)
	}
	is(t, got["messages"], `[{"channel":"c","message":"m"}]`)
	if _, err := u.try(t.Context(), "expect", m{"within": "50ms", "absent": true, "where": m{"message": "n"}}); err != nil {
		t.Error(err)
	}
}
