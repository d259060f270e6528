package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// silence is how long a control plane may send nothing while something is asked of it.
// On a stream it gives a sign of life every 10 s.
const silence = 45 * time.Second

// Silent is the error of a control plane that took a connection, and then said nothing:
// its machine hangs, or a proxy before it has lost it.
type Silent struct {
	// Address is that of the peer, as host:port.
	Address string
	After   time.Duration
}

// Error implements error.
func (e *Silent) Error() string {
	return fmt.Sprintf("%s took the connection, and said nothing for %s", e.Address, e.After)
}

// Timeout makes it a net.Error, with Temporary.
func (e *Silent) Timeout() bool { return true }

// Temporary implements net.Error.
func (e *Silent) Temporary() bool { return true }

// impatient dials connections that end with Silent where nothing comes or goes for some
// time. One that nobody uses ends so too, and is opened again.
func impatient(after time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &impatientConn{conn, after}, nil
	}
}

type impatientConn struct {
	net.Conn
	after time.Duration
}

// Read implements net.Conn.
func (c *impatientConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.after)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	return n, c.said(err)
}

// Write implements net.Conn. An answer is waited for once it is done.
func (c *impatientConn) Write(p []byte) (int, error) {
	if err := errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Now().Add(c.after))); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err == nil {
		err = c.SetReadDeadline(time.Now().Add(c.after))
	}
	return n, c.said(err)
}

func (c *impatientConn) said(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Silent{c.RemoteAddr().String(), c.after}
	}
	return err
}
