//go:build unix && !(linux && (amd64 || arm64))

package http

import (
	"errors"
	"syscall"
)

// peerClosed looks at a socket, without waiting and without taking anything
// from it.
func peerClosed(fd uintptr) bool {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	if err == nil {
		return n == 0
	}
	return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
}
