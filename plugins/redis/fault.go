package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// refusal is an error that Redis answered with: "WRONGTYPE Operation against …".
type refusal string

// refusalOf finds what Redis answered in an error of go-redis.
func refusalOf(err error) (refusal, bool) {
	var answered goredis.Error
	if errors.Is(err, goredis.Nil) || !errors.As(err, &answered) {
		return "", false
	}
	return refusal(answered.Error()), true
}

// kind is the first word, which is the kind of error by Redis' convention.
func (r refusal) kind() string {
	kind, _, _ := strings.Cut(string(r), " ")
	return kind
}

// fault gives an answer that is an error its words. what is the command.
func (r refusal) fault(address, what string) *plugin.Error {
	code, hint := plugin.CodeReply, ""
	switch r.kind() {
	case "WRONGTYPE":
		hint = "the key holds a value of another kind: TYPE key tells which"
	case "NOAUTH":
		code, hint = plugin.CodeAuth, "give the connection a password, and a username if there is an access list"
	case "WRONGPASS":
		code, hint = plugin.CodeAuth, "check username and password of the connection"
	case "NOPERM":
		code, hint = plugin.CodeAuth, "the user may not do this: ACL GETUSER tells what it may"
	case "DENIED":
		hint = "Redis listens to this machine alone as long as nobody has a password: set one, or bind it to an address"
	case "MOVED", "ASK", "CLUSTERDOWN", "CROSSSLOT", "TRYAGAIN":
		hint = "this is a node of a cluster: connect to the node that has the key"
	case "READONLY":
		hint = "this is a replica: connect to its master"
	case "LOADING", "BUSY", "MASTERDOWN":
		hint = "Redis is not ready: repeat the step with retry"
	case "BUSYGROUP":
		hint = "if_absent: true takes a group that is there already"
	case "NOGROUP":
		hint = "redis.xgroup makes the group"
	case "OOM", "MISCONF":
		hint = "Redis takes no more data: see its memory, its disk and its log"
	case "EXECABORT":
		hint = "one of the commands is none, or lacks an argument"
	}
	if strings.HasPrefix(string(r), "ERR unknown command") {
		hint = "check its spelling, and the version of Redis: INFO server tells it"
	}
	e := plugin.Errorf(code, "%s answered %s with an error: %s", address, what, string(r))
	if hint != "" {
		e = e.WithHint("%s", hint)
	}
	return e
}

// dialFault is about a connection that did not come about.
func (t *target) dialFault(err error) error {
	if isTimeout(err) {
		return plugin.Errorf(plugin.CodeTimeout, "%s did not take the connection within %s", t.address, t.timeout).
			WithHint("is the address right, and may this machine reach it? connection.connect_timeout is the limit")
	}
	return plugin.NetError(err, t.address)
}

// handshakeFault is about TLS.
func (t *target) handshakeFault(err error) error {
	const hint = "does this port speak TLS? without it the URL begins with redis://, and the map has no tls"
	if e := tlsclient.Fault(err, t.address); e != nil {
		if strings.Contains(e.Message, "does not speak TLS") {
			e.Hint = "begin the URL with redis:// and leave tls out, or use the TLS port"
		}
		return e
	}
	switch {
	case isTimeout(err):
		return plugin.Errorf(plugin.CodeTimeout, "%s did not answer the TLS handshake within %s", t.address, t.timeout).WithHint(hint)
	case isClosed(err):
		return plugin.Errorf(plugin.CodeTLS, "%s closed the connection in the TLS handshake", t.address).WithHint(hint)
	}
	return plugin.NetError(err, t.address)
}

// greetFault is about the first answer on a connection: whether this is Redis,
// and lets us in. what is what we said; said is the error that the server sent
// before it closed.
func (t *target) greetFault(err error, what, said string) error {
	r, refused := refusalOf(err)
	if !refused && isClosed(err) && said != "" {
		r, refused = refusal(said), true
	}
	switch {
	case refused && strings.Contains(string(r), "DB index is out of range"):
		return plugin.Definitionf("connection", "%s has no database %d", t.address, t.db).WithHint("CONFIG GET databases tells how many there are")
	case refused:
		return r.fault(t.address, what)
	case isTimeout(err):
		return plugin.Errorf(plugin.CodeTimeout, "%s took the connection and did not answer within %s", t.address, t.timeout).
			WithHint("is it Redis, and does it want TLS? connection.connect_timeout is the limit")
	case isClosed(err):
		return plugin.Errorf(plugin.CodeConn, "%s closed the connection when it was greeted", t.address).
			WithHint("%s", t.closedHint())
	}
	return t.answerFault(err, what)
}

func (t *target) closedHint() string {
	if t.tls == nil {
		return "if this port wants TLS, begin the URL with rediss:// or give the map tls: {}; else look into Redis' log"
	}
	return "look into Redis' log"
}

// answerFault is about an answer that is none. what is the command.
func (t *target) answerFault(err error, what string) error {
	var not *malformed
	var large *tooLarge
	switch {
	case errors.Is(err, errTLS):
		return plugin.Errorf(plugin.CodeTLS, "%s speaks TLS on this port", t.address).
			WithHint("begin the URL with rediss://, or give the map tls: {}")
	case errors.As(err, &large):
		return plugin.Errorf(plugin.CodeBody, "%s answered %s with %s, which is not read", t.address, what, large.what).
			WithHint("ask for less at once: SCAN, LRANGE, GETRANGE, COUNT")
	case errors.As(err, &not):
		return plugin.Errorf(plugin.CodeProtocol, "%s did not answer %s in Redis' protocol: %s", t.address, what, not.what).
			WithHint("is this the port of Redis?")
	case isClosed(err):
		return plugin.Errorf(plugin.CodeConn, "%s closed the connection before it had answered %s", t.address, what).
			WithHint("whether it was executed nobody knows: look into Redis' log")
	case isNetwork(err):
		return plugin.NetError(err, t.address)
	}
	return plugin.Errorf(plugin.CodeProtocol, "%s did not answer %s in Redis' protocol: %s", t.address, what, strings.TrimPrefix(err.Error(), "redis: ")).
		WithHint("is this the port of Redis?")
}

// commandFault is why a command has no answer.
func (t *target) commandFault(ctx context.Context, err error, what string, began time.Time) error {
	switch {
	case isLate(ctx):
		deadline, _ := ctx.Deadline()
		return plugin.Errorf(plugin.CodeTimeout, "%s did not answer %s within %s", t.address, what, rounded(deadline.Sub(began))).
			WithHint("raise the step's timeout, or find out what Redis is busy with: SLOWLOG GET, CLIENT LIST")
	case ctx.Err() != nil:
		return ctx.Err() // whoever cancelled knows why
	}
	return t.answerFault(err, what)
}

// isLate tells whether ctx ended because its time is over. The host may say so
// before our own clock does.
func isLate(ctx context.Context) bool {
	const skew = 100 * time.Millisecond
	deadline, ok := ctx.Deadline()
	return ok && ctx.Err() != nil && time.Until(deadline) < skew
}

func rounded(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, errGone)
}

func isNetwork(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// commandName is a command for messages: its first word, bounded.
func commandName(args []any) string {
	switch name := args[0].(type) {
	case string:
		return clip(strings.ToUpper(name))
	case []byte:
		return clip(strings.ToUpper(string(name)))
	}
	return ""
}
