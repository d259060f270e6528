package systemd

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// manager is a service manager: it gives what it was told, in order.
func manager(t *testing.T) (address string, told func() string) {
	t.Helper()
	address = filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return address, func() string {
		buf := make([]byte, 4096)
		if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(buf)
		if err != nil {
			t.Fatalf("nothing more was told: %v", err)
		}
		return string(buf[:n])
	}
}

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, pair := range pairs {
			if n, value, _ := strings.Cut(pair, "="); n == name {
				return value, true
			}
		}
		return "", false
	}
}

func TestWhatTheServiceManagerIsTold(t *testing.T) {
	address, told := manager(t)
	n := New(environment("NOTIFY_SOCKET="+address), 7)
	for _, say := range []func() error{
		func() error { return n.Status("looks for\nthe  control plane") },
		func() error { return n.Status("looks for\nthe  control plane") }, // not twice
		func() error { return n.Ready("takes work") },
		func() error { return n.Ready("takes work") },
		func() error { return n.Ready("takes work: 1 of 4 runs") },
		func() error { return n.Reloading("begins anew") },
		func() error { return n.Ready("takes work") },
		func() error { return n.Status(strings.Repeat("ä", 200)) },
		func() error { return n.Stopping("drains") },
	} {
		if err := say(); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for range 7 {
		got = append(got, told())
	}
	want := []string{
		"STATUS=looks for the control plane",
		"READY=1\nSTATUS=takes work",
		"STATUS=takes work: 1 of 4 runs",
		"RELOADING=1\nSTATUS=begins anew",
		"READY=1\nSTATUS=takes work",
		"STATUS=" + strings.Repeat("ä", 100) + "…",
		"STOPPING=1\nSTATUS=drains",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("got others than wanted (-, +):\n%s", diff)
	}
}

func TestTheWatchdogHearsWhoIsAlive(t *testing.T) {
	address, told := manager(t)
	n := New(environment("NOTIFY_SOCKET="+address, "WATCHDOG_USEC=30000", "WATCHDOG_PID=7"), 7)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended, sick, asked := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() {
		ended <- n.Watch(ctx, func() error {
			select {
			case <-sick:
				select {
				case asked <- struct{}{}:
				case <-ctx.Done():
				}
				return errors.New("it hangs")
			default:
				return nil
			}
		})
	}()
	for range 3 {
		if got := told(); got != "WATCHDOG=1" {
			t.Fatalf("got %q", got)
		}
	}
	close(sick)
	<-asked
	if err := n.Status("sick"); err != nil {
		t.Fatal(err)
	}
	for told() != "STATUS=sick" { // what was said before is on its way
	}
	<-asked
	<-asked
	if err := n.Status("nothing between"); err != nil {
		t.Fatal(err)
	}
	if got := told(); got != "STATUS=nothing between" {
		t.Errorf("one that is not alive told %q", got)
	}
	cancel()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "it hangs") {
		t.Errorf("got %v", err)
	}
}

func TestWhoIsNotWatched(t *testing.T) {
	for name, lookup := range map[string]func(string) (string, bool){
		"there is no service manager":     environment(),
		"it is on another machine":        environment("NOTIFY_SOCKET=vsock:2:1", "WATCHDOG_USEC=1000"),
		"it has no watchdog":              environment("NOTIFY_SOCKET=/nowhere"),
		"the watchdog is for another":     environment("NOTIFY_SOCKET=/nowhere", "WATCHDOG_USEC=1000", "WATCHDOG_PID=8"),
		"the watchdog's time is no time":  environment("NOTIFY_SOCKET=/nowhere", "WATCHDOG_USEC=soon"),
		"the watchdog's time is negative": environment("NOTIFY_SOCKET=/nowhere", "WATCHDOG_USEC=-1"),
	} {
		t.Run(name, func(t *testing.T) {
			n := New(lookup, 7)
			if err := n.Watch(t.Context(), func() error { t.Error("asked"); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	var none *Notifier
	if err := errors.Join(none.Ready("x"), none.Status("x"), none.Reloading("x"), none.Stopping("x")); err != nil {
		t.Error(err)
	}
	if err := New(environment("NOTIFY_SOCKET=/nowhere/at/all"), 7).Ready("x"); err == nil {
		t.Error("a socket that is not there was told")
	}
}
