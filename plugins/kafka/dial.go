package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// maxFrame bounds an answer of a broker. A fetch asks for far less, but a single
// message over that comes whole, and brokers may be configured to take some of
// a hundred megabytes.
const maxFrame = 128 << 20

// maxSASLRounds bounds the challenges of a login; SCRAM has two.
const maxSASLRounds = 10

// dialer opens connections to brokers.
type dialer struct {
	egress   *plugin.Egress
	clientID string
	tls      *tls.Config    // nil: without TLS
	login    sasl.Mechanism // nil: without a login
	user     string
	timeout  time.Duration // of a connection until requests can be made
}

// conn is a connection to one broker. It makes one request at a time.
type conn struct {
	net      net.Conn
	address  string
	clientID string
	versions map[protocol.ApiKey]int16
	last     int32 // the number of the last request
	idle     time.Time
}

// dial connects, shakes hands and logs in. Its errors say which of these failed
// and what to do.
func (d *dialer) dial(ctx context.Context, address string) (*conn, error) {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	opened, err := d.egress.Dial(limited, new(net.Dialer), "tcp", address)
	if err != nil {
		if isTimeout(err) && ctx.Err() == nil {
			return nil, d.late(address, "did not take the connection", "is the address right, and does a firewall let this machine through?")
		}
		return nil, plugin.NetError(err, address)
	}
	c := &conn{net: opened, address: address, clientID: d.clientID}
	if err := d.prepare(limited, c); err != nil {
		_ = c.net.Close()
		if ctx.Err() != nil { // whatever it says, that is why
			return nil, ctx.Err()
		}
		return nil, err
	}
	return c, nil
}

func (d *dialer) prepare(ctx context.Context, c *conn) error {
	if d.tls != nil {
		if err := d.secure(ctx, c); err != nil {
			return err
		}
	}
	if err := d.negotiate(ctx, c); err != nil {
		return err
	}
	if d.login == nil {
		return nil
	}
	return d.authenticate(ctx, c)
}

func (d *dialer) late(address, what, hint string) *plugin.Error {
	return plugin.Errorf(plugin.CodeTimeout, "%s %s within %s", address, what, d.timeout).WithHint("%s", hint)
}

func (d *dialer) secure(ctx context.Context, c *conn) error {
	config := d.tls
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(c.address)
		if err != nil {
			return err
		}
		config = config.Clone()
		config.ServerName = host
	}
	secured := tls.Client(c.net, config)
	err := secured.HandshakeContext(ctx)
	switch known := (*plugin.Error)(nil); {
	case err == nil:
		c.net = secured
		return nil
	case isTimeout(err):
		return d.late(c.address, "did not answer the TLS handshake", plainHint)
	case isClosed(err):
		return plugin.Errorf(plugin.CodeTLS, "%s closed the connection in the TLS handshake", c.address).WithHint(plainHint)
	default:
		if known = tlsclient.Fault(err, c.address); known != nil {
			return known
		}
		return plugin.NetError(err, c.address)
	}
}

const (
	plainHint = "does this port speak TLS? if it does not, leave tls out"
	tlsHint   = "does this port want TLS? then give tls: {}"
)

// negotiate asks for the versions that the broker speaks, which also shows that
// it is one.
func (d *dialer) negotiate(ctx context.Context, c *conn) error {
	var answer apiversions.Response
	err := c.roundTrip(ctx, new(apiversions.Request), &answer)
	hint := tlsHint
	if d.tls != nil {
		hint = "is this the port of a Kafka broker?"
	}
	var foreign *foreignError
	switch {
	case errors.As(err, &foreign) && foreign.wantsTLS():
		return plugin.Errorf(plugin.CodeTLS, "%s speaks TLS on this port", c.address).WithHint("give tls: {}, or use the port without TLS")
	case errors.As(err, &foreign):
		return plugin.Errorf(plugin.CodeProtocol, "%s does not speak Kafka: it answers %s", c.address, foreign).WithHint("is this the port of a Kafka broker?")
	case isTimeout(err):
		return d.late(c.address, "did not answer the first request", hint)
	case d.tls != nil && tlsclient.Fault(err, c.address) != nil: // of TLS 1.3 the server's judgement comes with its first answer
		return tlsclient.Fault(err, c.address)
	case isClosed(err):
		return plugin.Errorf(plugin.CodeConn, "%s closed the connection at the first request", c.address).WithHint("%s", hint)
	case err != nil:
		return err
	}
	if answer.ErrorCode != 0 {
		return codeFault(answer.ErrorCode, "ask %s for its versions", c.address)
	}
	c.versions = make(map[protocol.ApiKey]int16, len(answer.ApiKeys))
	for _, a := range answer.ApiKeys {
		key := protocol.ApiKey(a.ApiKey)
		version, err := plainVersion(key, a.MinVersion, a.MaxVersion)
		if err == nil {
			c.versions[key] = version
		}
	}
	if _, ok := c.versions[protocol.Metadata]; !ok {
		return plugin.Errorf(plugin.CodeProtocol, "%s does not say that it knows the requests of a Kafka broker", c.address).WithHint("is this the port of a Kafka broker?")
	}
	return nil
}

func (d *dialer) authenticate(ctx context.Context, c *conn) error {
	name := d.login.Name()
	refused := plugin.Errorf(plugin.CodeAuth, "%s refused the login of %q by %s", c.address, d.user, name).WithHint("check sasl.username, sasl.password and sasl.mechanism")
	var answer saslhandshake.Response
	if err := c.roundTrip(ctx, &saslhandshake.Request{Mechanism: name}, &answer); err != nil {
		return d.saslFault(err, c, refused)
	}
	switch {
	case answer.ErrorCode == int16(kafkago.UnsupportedSASLMechanism) && len(answer.Mechanisms) > 0:
		slices.Sort(answer.Mechanisms)
		return plugin.Errorf(plugin.CodeAuth, "%s does not take %s, but %s", c.address, name, strings.Join(answer.Mechanisms, ", ")).WithHint("change sasl.mechanism")
	case answer.ErrorCode != 0:
		return plugin.Errorf(plugin.CodeAuth, "%s takes no login on this port: %s", c.address, kafkago.Error(answer.ErrorCode).Title()).WithHint("leave sasl out, or use the port with SASL")
	case c.versions[protocol.SaslHandshake] == 0:
		return plugin.Errorf(plugin.CodeProtocol, "%s is older than Kafka 1.0, whose logins TestMesh does not speak", c.address)
	}
	session, message, err := d.login.Start(ctx)
	if err != nil {
		return plugin.Errorf(plugin.CodeAuth, "begin the login of %q by %s: %w", d.user, name, err)
	}
	for range maxSASLRounds {
		var answer saslauthenticate.Response
		if err := c.roundTrip(ctx, &saslauthenticate.Request{AuthBytes: message}, &answer); err != nil {
			return d.saslFault(err, c, refused)
		}
		if answer.ErrorCode != 0 {
			return refused
		}
		done := false
		if done, message, err = session.Next(ctx, answer.AuthBytes); err != nil {
			return refused.WithDetails(err.Error())
		}
		if done {
			return nil
		}
	}
	return plugin.Errorf(plugin.CodeProtocol, "%s does not come to an end with the login by %s", c.address, name)
}

// saslFault describes a login that broke off. Brokers also close the connection
// in place of an answer.
func (d *dialer) saslFault(err error, c *conn, refused *plugin.Error) error {
	switch {
	case isTimeout(err):
		return d.late(c.address, "did not answer the login", "find out why the broker is slow, or raise connect_timeout")
	case isClosed(err):
		return refused.WithDetails("it closed the connection without an answer")
	}
	return err
}

// headSize is what stands before the body of an answer: its length and its number.
const headSize = 8

// roundTrip makes one request and reads the body of its answer into res, nil where
// it has none. It ends with ctx; the connection is of no use after an error.
func (c *conn) roundTrip(ctx context.Context, req protocol.Message, res any) error {
	frame, err := c.exchange(ctx, req)
	if err != nil || res == nil {
		return err
	}
	if err := decode(frame[headSize:], c.versions[req.ApiKey()], res); err != nil {
		return malformed(c, req, err)
	}
	return nil
}

func malformed(c *conn, req protocol.Message, err error) *plugin.Error {
	return plugin.Errorf(plugin.CodeProtocol, "%s gave an answer to %s that cannot be read: %w", c.address, req.ApiKey(), err)
}

// exchange writes a request and reads the frame of its answer: its length, its
// number and its body.
func (c *conn) exchange(ctx context.Context, req protocol.Message) (frame []byte, err error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	defer interrupt(ctx, c.net)()
	c.last++
	version, ok := c.versions[req.ApiKey()]
	if !ok && c.versions != nil {
		return nil, plugin.Errorf(plugin.CodeProtocol, "%s does not know %s requests, or not in a version that TestMesh knows", c.address, req.ApiKey())
	}
	if p, ok := req.(protocol.PreparedMessage); ok {
		p.Prepare(version)
	}
	if err := protocol.WriteRequest(c.net, version, c.last, c.clientID, req); err != nil {
		return nil, whichever(ctx, err)
	}
	if r, ok := req.(interface{ HasResponse() bool }); ok && !r.HasResponse() {
		return nil, nil
	}
	if frame, err = readFrame(c.net); err != nil {
		return nil, whichever(ctx, err)
	}
	if number := int32(binary.BigEndian.Uint32(frame[4:])); number != c.last {
		return nil, malformed(c, req, fmt.Errorf("it answers request %d, not %d", number, c.last))
	}
	return frame, nil
}

// whichever is why a read or write ended: ctx, where it has.
func whichever(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// readFrame reads an answer. It never holds more than what came, whatever the
// length says.
func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[:]))
	if size < 4 || size > maxFrame {
		more := make([]byte, 12)
		n, _ := io.ReadAtLeast(r, more, 1)
		return nil, &foreignError{head: append(head[:], more[:n]...)}
	}
	var frame bytes.Buffer
	frame.Grow(int(min(size, 1<<20)) + len(head))
	frame.Write(head[:])
	if _, err := io.CopyN(&frame, r, size); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return frame.Bytes(), nil
}

// foreignError is an answer in another protocol, by its first bytes.
type foreignError struct{ head []byte }

func (e *foreignError) Error() string { return fmt.Sprintf("%q", e.head) }

// wantsTLS tells whether it is an alert of TLS.
func (e *foreignError) wantsTLS() bool {
	return len(e.head) > 2 && e.head[0] == 21 && e.head[1] == 3
}

// interrupt makes a deadline pass as soon as ctx ends, so that a read or write
// that is under way returns. The caller calls stop when it has.
func interrupt(ctx context.Context, c net.Conn) (stop func()) {
	passed := make(chan struct{})
	undo := context.AfterFunc(ctx, func() {
		_ = c.SetDeadline(time.Unix(1, 0))
		close(passed)
	})
	return func() {
		if !undo() {
			<-passed
		}
		_ = c.SetDeadline(time.Time{})
	}
}
