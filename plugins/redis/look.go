package redis

import (
	"net"
	"syscall"
)

// news is what came on a connection that nobody reads.
type news int

const (
	nothing news = iota
	something
	closedByPeer
)

// socketOf is the socket below a connection, TLS or not.
func socketOf(c net.Conn) (syscall.RawConn, bool) {
	if secured, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secured.NetConn()
	}
	socket, ok := c.(syscall.Conn)
	if !ok {
		return nil, false
	}
	raw, err := socket.SyscallConn()
	return raw, err == nil
}
