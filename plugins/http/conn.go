package http

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// conn is a TCP connection that knows what net/http does not tell: whether the
// server has closed it, and how much was written. With that a request that
// meets a connection closed while it was idle fails before its first byte, and
// is known not to have been processed.
type conn struct {
	net.Conn
	raw     syscall.RawConn // nil where the system has none
	written atomic.Int64
	ended   atomic.Bool // the server closed its side
	refuses atomic.Bool // a request began after that
	look    func(fd uintptr)
}

var errClosedIdle = errors.New("the server closed the connection while it was idle")

func newConn(nc net.Conn) *conn {
	c := &conn{Conn: nc}
	c.look = c.lookAt // made once, not for each request
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	return c
}

// Read notes the end of what the server sends.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.ended.Store(true)
	}
	return n, err
}

// Write counts, and refuses what checkIdle found to be in vain.
func (c *conn) Write(p []byte) (int, error) {
	if c.refuses.Load() {
		return 0, errClosedIdle
	}
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// checkIdle is called before a request goes out on a connection that was used
// before. The reader may not have run since the server closed it, so the system
// is asked too.
func (c *conn) checkIdle() {
	if c.raw != nil && !c.ended.Load() && c.raw.Control(c.look) != nil {
		c.ended.Store(true)
	}
	if c.ended.Load() {
		c.refuses.Store(true)
	}
}

func (c *conn) lookAt(fd uintptr) {
	if peerClosed(fd) {
		c.ended.Store(true)
	}
}
