//go:build !slim

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/systemd"
)

func TestANodeAsItsServiceManagerSeesIt(t *testing.T) {
	for name, test := range map[string]struct {
		alive error
		want  []string
	}{
		"one that is alive":     {nil, []string{"READY=1\nSTATUS=serves", "WATCHDOG=1", "STOPPING=1\nSTATUS=hands over, and ends"}},
		"one that is not alive": {errors.New("read the state: disk"), []string{"READY=1\nSTATUS=serves", "STOPPING=1\nSTATUS=hands over, and ends"}},
	} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "notify")
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			env := map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": strconv.Itoa(30_000)}
			manager := systemd.New(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			asked := make(chan struct{}, 100)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				tend(ctx, manager, tended{
					func(context.Context) error {
						select {
						case asked <- struct{}{}:
						default:
						}
						return test.alive
					},
					func() string { return "serves" },
				}, slog.New(slog.DiscardHandler))
			}()
			for range 3 {
				<-asked
			}
			var got []string
			for buf := make([]byte, 1000); ; {
				if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
					t.Fatal(err)
				}
				n, err := l.Read(buf)
				if err != nil {
					t.Fatalf("after %q: %v", got, err)
				}
				text := string(buf[:n])
				if !slices.Contains(got, text) {
					got = append(got, text)
				}
				if slices.Contains(got, test.want[0]) {
					cancel()
				}
				if text == test.want[len(test.want)-1] {
					break
				}
			}
			<-ended
			slices.Sort(got)
			slices.Sort(test.want)
			if !slices.Equal(got, test.want) {
				t.Errorf("it was told %q, want %q", got, test.want)
			}
		})
	}
}
