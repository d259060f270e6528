package grpc

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// full is an address whose queue of connections is full: TCP goes on asking.
func full(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
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
	for range 10 {
		c, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue does not fill")
	return ""
}

func TestTheTimeLimitOfDialling(t *testing.T) {
	address := full(t)
	s := against(t, address)
	wants(t, s.fault("call", fields{"method": echo, "connect_timeout": "150ms"}), plugin.CodeTimeout,
		"no connection to "+address+" within 150ms: nothing has accepted it", "raise connect_timeout")
	wants(t, s.fault("call", fields{"method": echo, "deadline": "150ms"}), plugin.CodeTimeout,
		"no connection to "+address+" within 150ms: nothing has accepted it", "raise deadline")
}
