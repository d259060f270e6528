//go:build unix

package redis

import (
	"errors"
	"syscall"
)

// look tells what came on a connection that rests, without waiting and without
// taking anything from it.
func (b *bounded) look() news {
	if b.src.Buffered() > 0 {
		return something
	}
	socket, ok := socketOf(b.Conn)
	if !ok {
		return something // somebody has to ask
	}
	found := nothing
	err := socket.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case n > 0:
			found = something
		case err == nil:
			found = closedByPeer
		case !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR):
			found = closedByPeer
		}
	})
	if err != nil {
		return closedByPeer
	}
	return found
}
