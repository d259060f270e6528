package redis

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/testmesh/testmesh/plugins/servertest"
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

// full is an address that takes no more connections, and does not say so.
func full(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 4 { // until one waits
		c, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
		if err != nil {
			break
		}
		t.Cleanup(func() { c.Close() })
	}
	return address
}

func TestServersThatCannotBeReached(t *testing.T) {
	real := servertest.Value(t, "REDIS_URL")
	address := strings.TrimSuffix(real[strings.Index(real, "@")+1:], "/0")
	secured := servertest.Value(t, "REDIS_TLS_URL")
	ca := servertest.Value(t, "REDIS_TLS_CA")
	soon := func(url string) m { return m{"url": url, "connect_timeout": "100ms"} }
	tests := map[string]struct {
		connection    any
		code          string
		message, hint string
	}{
		"nobody there":                {"redis://" + nobody(t), plugin.CodeConn, "connection refused: 127.0.0.1:", "is the service started"},
		"no such name":                {"redis://no-such-host.invalid", plugin.CodeDNS, `the name "no-such-host.invalid" does not resolve`, "check the host"},
		"no such socket":              {"unix:///nowhere/redis.sock", plugin.CodeConn, "no such file or directory: /nowhere/redis.sock", ""},
		"a connection nobody takes":   {soon("redis://" + full(t)), plugin.CodeTimeout, "did not take the connection within 100ms", "connection.connect_timeout"},
		"silence after it was taken":  {soon("redis://" + raw(t, mute)), plugin.CodeTimeout, "took the connection and did not answer within 100ms", "is it Redis, and does it want TLS?"},
		"silence in the handshake":    {soon("rediss://" + raw(t, mute)), plugin.CodeTimeout, "did not answer the TLS handshake within 100ms", "does this port speak TLS?"},
		"closed when greeted":         {"redis://" + raw(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }), plugin.CodeConn, "closed the connection when it was greeted", "rediss://"},
		"closed in the handshake":     {"rediss://" + raw(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }), plugin.CodeTLS, "closed the connection in the TLS handshake", "redis://"},
		"protected mode":              {"redis://" + raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "-DENIED Redis is running in protected mode\r\n") }), plugin.CodeReply, "DENIED Redis is running in protected mode", "listens to this machine alone"},
		"too many clients":            {"redis://" + raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "-ERR max number of clients reached\r\n") }), plugin.CodeReply, "ERR max number of clients reached", ""},
		"a wrong password":            {"redis://testmesh:wrong@" + address, plugin.CodeAuth, "WRONGPASS invalid username-password pair", "check username and password"},
		"a wrong user":                {"redis://nobody:testmesh-secret@" + address, plugin.CodeAuth, "WRONGPASS", "check username and password"},
		"no password":                 {"redis://" + address, plugin.CodeAuth, "NOAUTH", "give the connection a password"},
		"no such database":            {m{"url": real, "db": 99}, plugin.CodeConfig, "has no database 99", "CONFIG GET databases"},
		"TLS where there is none":     {soon("rediss://testmesh:testmesh-secret@" + address), plugin.CodeTimeout, "did not answer the TLS handshake within 100ms", "does this port speak TLS?"},
		"TLS, and it is said so":      {"rediss://" + raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "-ERR unknown command\r\n"); mute(c) }), plugin.CodeTLS, "does not speak TLS on this port", "redis://"},
		"no TLS where there is":       {strings.Replace(secured, "rediss:", "redis:", 1), plugin.CodeConn, "closed the connection when it was greeted", "rediss://"},
		"no TLS, and it is said so":   {"redis://" + raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "\x15\x03\x03\x00\x02\x02\x16"); mute(c) }), plugin.CodeTLS, "speaks TLS on this port", "rediss://"},
		"an authority nobody trusts":  {secured, plugin.CodeTLS, "is signed by an authority that is not trusted", "tls.ca_file"},
		"a certificate of another":    {m{"url": secured, "tls": m{"ca_file": "ca.pem", "server_name": "redis.example"}}, plugin.CodeTLS, "is for another name", "tls.server_name"},
		"a web server":                {"redis://" + raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); mute(c) }), plugin.CodeProtocol, `in Redis' protocol: "HTTP/1.1 400 Bad Request\r\n"`, "is this the port of Redis?"},
		"a greeting without an end":   {"redis://" + raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "%2000000000\r\n"); mute(c) }), plugin.CodeBody, "with a reply of 2000000000 values, which is not read", ""},
		"a greeting of no known kind": {"redis://" + raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "*1\r\n:1\r\n+PONG\r\n"); mute(c) }), plugin.CodeProtocol, "in Redis' protocol", ""},
	}
	root := t.TempDir()
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "ca.pem"), pem, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		for _, action := range []string{"get", "subscribe"} {
			t.Run(name+", "+action, func(t *testing.T) {
				u := newUser(t)
				u.root = root
				config := m{"connection": test.connection, "key": "k"}
				if action == "subscribe" {
					config = m{"connection": test.connection, "channels": []any{"c"}}
				}
				began := time.Now()
				e := u.fails(action, config)
				if e.Code != test.code || e.Failed || e.Blame == plugin.BlamePlugin || !strings.Contains(e.Message, test.message) || !strings.Contains(e.Hint, test.hint) {
					t.Errorf("got %s of %s: %s (%s), want %s: %s (%s)", e.Code, e.Blame, e.Message, e.Hint, test.code, test.message, test.hint)
				}
				if strings.Contains(e.Message+e.Hint, "secret") || strings.Contains(e.Message, "wrong") {
					t.Errorf("it shows the password: %s", e.Message)
				}
				if took := time.Since(began); took > 6*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	tests := map[string]struct{ said, code, message string }{
		"the end":                  {hangUp, plugin.CodeConn, "closed the connection before it had answered LRANGE"},
		"the end in a text":        {"$5\r\nhe" + hangUp, plugin.CodeConn, "closed the connection before it had answered LRANGE"},
		"no RESP":                  {"hello\r\n", plugin.CodeProtocol, `did not answer LRANGE in Redis' protocol: "hello\r\n"`},
		"no number":                {":abc\r\n", plugin.CodeProtocol, "in Redis' protocol"},
		"no truth":                 {"#x\r\n", plugin.CodeProtocol, "in Redis' protocol"},
		"no big number":            {"(12x\r\n", plugin.CodeProtocol, "in Redis' protocol"},
		"no verbatim text":         {"=1\r\nx\r\n", plugin.CodeProtocol, "in Redis' protocol"},
		"a list as a key":          {"%1\r\n*1\r\n:1\r\n:2\r\n", plugin.CodeProtocol, "in Redis' protocol"},
		"a list of a billion":      {"*1000000000\r\n", plugin.CodeBody, "answered LRANGE with a reply of 1000000000 values, which is not read"},
		"a map of a billion":       {"%1000000000\r\n", plugin.CodeBody, "a reply of 1000000000 values"},
		"lists in lists in lists":  {strings.Repeat("*1\r\n", 100000), plugin.CodeBody, "nested deeper than 32"},
		"a state of a megabyte":    {"+" + strings.Repeat("x", 1<<20), plugin.CodeBody, "a line of more than 32 KiB"},
		"an error of a megabyte":   {"-" + strings.Repeat("x", 1<<20), plugin.CodeBody, "a line of more than 32 KiB"},
		"a text that does not end": {"$2\r\nabcd\r\n", plugin.CodeProtocol, "a text that does not end where it says"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			text, ends := strings.CutSuffix(test.said, hangUp)
			address := raw(t, func(c net.Conn) { greetThen(c, text, ends && text != "" || test.said == hangUp) })
			e := u.fails("command", m{"connection": "redis://" + address, "command": "LRANGE k 0 -1"})
			if e.Code != test.code || e.Failed || e.Blame != plugin.BlameSystem || !strings.Contains(e.Message, test.message) {
				t.Errorf("got %s of %s: %s, want %s: %s", e.Code, e.Blame, e.Message, test.code, test.message)
			}
			if !strings.HasPrefix(e.Message, address) {
				t.Errorf("no address in %q", e.Message)
			}
		})
	}
}

func TestTheStepAfterABrokenAnswerIsUnharmed(t *testing.T) {
	var broken bool
	address := fake(t, func([]string) string {
		if broken = !broken; broken {
			return "hello\r\n"
		}
		return "+fine\r\n"
	})
	u := newUser(t)
	connection := m{"connection": "redis://" + address, "key": "k"}
	if e := u.fails("get", connection); e.Code != plugin.CodeProtocol {
		t.Errorf("got %s", e.Code)
	}
	got, err := u.try(t.Context(), "get", connection)
	if err != nil || got["value"] != "fine" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestConnectionsThatSayTooLittleOrTooMuch(t *testing.T) {
	tests := map[string]struct {
		connection     any
		field, message string
	}{
		"nothing":                    {m{}, "connection", "does not say where Redis is"},
		"an empty text":              {"", "connection", "does not say where Redis is"},
		"a URL and a host":           {m{"url": "redis://h", "host": "h"}, "connection", "more than once"},
		"a host and a socket":        {m{"socket": "/s", "host": "h"}, "connection", "more than once"},
		"another scheme":             {"http://localhost", "connection", "invalid URL scheme: http"},
		"no URL":                     {"redis://a b", "connection", "is no URL"},
		"no URL, with a password":    {"redis://u:secret%zz@h", "connection", `is no URL: invalid URL escape "%zz"`},
		"a database by name":         {"redis://h/one", "connection", `invalid database number: "one"`},
		"a database below the first": {"redis://h/-1", "connection", "has the database -1"},
		"two databases":              {"redis://h/1/2", "connection", "invalid URL path: /1/2"},
		"what go-redis alone knows":  {"redis://h?read_timeout=5s", "connection", `has the parameter "read_timeout"`},
		"the same in a map":          {m{"url": "redis://h?pool_size=5"}, "connection.url", `has the parameter "pool_size"`},
		"a socket without a path":    {"unix://", "connection", "empty unix socket path"},
		"a port that is none":        {m{"host": "h", "port": 70000}, "connection.port", "must be at most 65535"},
		"a key that nobody knows":    {m{"host": "h", "pasword": "x"}, "connection.pasword", "has no such key"},
		"a number":                   {6379, "connection", "must be a text or a map, not 6379"},
		"half a client certificate":  {m{"host": "h", "tls": m{"cert": "x"}}, "connection.tls", "needs both"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := newUser(t).fails("get", m{"connection": test.connection, "key": "k"})
			if e.Code != plugin.CodeConfig || e.Blame != plugin.BlameDefinition || e.Field != test.field || !strings.Contains(e.Message, test.message) {
				t.Errorf("got %s at %s: %s, want %s: %s", e.Code, e.Field, e.Message, test.field, test.message)
			}
			if strings.Contains(e.Message, "secret") {
				t.Errorf("it shows the password: %s", e.Message)
			}
		})
	}
}

func TestCertificatesAreFilesOfTheProject(t *testing.T) {
	u := newUser(t)
	u.root = t.TempDir()
	for _, file := range []string{"/etc/hostname", "../../etc/hostname", "none.pem"} {
		e := u.fails("get", m{"connection": m{"host": "localhost", "tls": m{"ca_file": file}}, "key": "k"})
		if e.Code != plugin.CodeConfig || e.Blame != plugin.BlameDefinition {
			t.Errorf("%s: got %s of %s: %s", file, e.Code, e.Blame, e.Message)
		}
	}
}

func TestWhatRedisRefusesIsErroredInItsOwnWords(t *testing.T) {
	c := bare(t)
	text, list := key(t, "text"), key(t, "list")
	if err := c.Set(t.Context(), text, "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.LPush(t.Context(), list, "x").Err(); err != nil {
		t.Fatal(err)
	}
	u := newUser(t)
	tests := map[string]struct {
		action        string
		config        m
		message, hint string
	}{
		"a key of another kind":    {"get", m{"key": list}, "answered GET with an error: WRONGTYPE Operation against a key", "TYPE key"},
		"no number":                {"command", m{"command": "INCR " + text}, "answered INCR with an error: ERR value is not an integer", ""},
		"no such command":          {"command", m{"command": "GTE a"}, "ERR unknown command 'GTE'", "check its spelling"},
		"too few words":            {"command", m{"command": "GET"}, "ERR wrong number of arguments for 'get' command", ""},
		"no such group":            {"xreadgroup", m{"streams": m{key(t, "s"): ">"}, "group": "g"}, "NOGROUP", "redis.xgroup"},
		"in a transaction":         {"transaction", m{"commands": []any{"INCR " + text}}, "answered INCR in a transaction with an error: ERR value is not", ""},
		"no transaction at all":    {"transaction", m{"commands": []any{"PING", "GTE a"}}, "answered GTE with an error: ERR unknown command", "check its spelling"},
		"a stream that is none":    {"subscribe", m{"streams": []any{text}}, "answered XREVRANGE with an error: WRONGTYPE", ""},
		"an id that is too small":  {"xadd", m{"stream": key(t, "s"), "id": "0-0", "fields": m{"a": 1}}, "ERR The ID specified in XADD must be greater than 0-0", ""},
		"a group that is there":    {"xgroup", m{"stream": text, "subcommand": "create", "group": "g"}, "WRONGTYPE", ""},
		"a script that goes wrong": {"command", m{"command": []any{"EVAL", "return redis.call('INCR', KEYS[1])", 1, text}}, "ERR value is not an integer", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := u.fails(test.action, with(t, test.config))
			if e.Code != plugin.CodeReply || e.Failed || e.Blame != plugin.BlameSystem || !strings.Contains(e.Message, test.message) || !strings.Contains(e.Hint, test.hint) {
				t.Errorf("got %s of %s: %s (%s), want %s (%s)", e.Code, e.Blame, e.Message, e.Hint, test.message, test.hint)
			}
		})
	}
}

func TestUsersThatMayNotDoThat(t *testing.T) {
	c := bare(t)
	if err := c.Do(t.Context(), "ACL", "SETUSER", "testmesh-reader", "reset", "on", ">reader-secret", "~*", "+get").Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Do(context.Background(), "ACL", "DELUSER", "testmesh-reader") })
	connection := m{"url": servertest.Value(t, "REDIS_URL"), "username": "testmesh-reader", "password": "reader-secret"}
	u := newUser(t)
	if got, err := u.try(t.Context(), "get", m{"connection": connection, "key": key(t, "k")}); err != nil || got["exists"] != false {
		t.Errorf("what it may, though PING is not: got %v, %v", got, err)
	}
	for action, config := range map[string]m{"set": {"key": "k", "value": "v"}, "subscribe": {"channels": []any{"c"}}} {
		config["connection"] = connection
		if e := u.fails(action, config); e.Code != plugin.CodeAuth || !strings.Contains(e.Message, "NOPERM") || !strings.Contains(e.Hint, "ACL GETUSER") {
			t.Errorf("%s: got %s: %s (%s)", action, e.Code, e.Message, e.Hint)
		}
	}
}
