// Package systemd tells the service manager that started a process how it is doing:
// ready, waiting, reloading, stopping, alive. It never starts or stops anything, and
// where no service manager listens it does nothing at all.
//
// The protocol is sd_notify(3): datagrams with lines of NAME=VALUE, to a socket in the
// file system. The libraries for it read the environment by themselves, and are longer
// than this.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// statusMost bounds a line of status: it is one line on a terminal.
const statusMost = 200

// Notifier speaks with the service manager. A nil one says nothing to nobody.
type Notifier struct {
	address string
	every   time.Duration

	mu     sync.Mutex
	ready  bool
	status string
}

// New makes what speaks with the service manager that the environment names; nil where
// there is none. pid is this process: what is meant for another one is not heeded.
func New(lookupEnv func(name string) (string, bool), pid int) *Notifier {
	address, _ := lookupEnv("NOTIFY_SOCKET")
	if !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		return nil // also vsock, which is for whole machines
	}
	n := &Notifier{address: address}
	text, _ := lookupEnv("WATCHDOG_USEC")
	usec, err := strconv.ParseInt(text, 10, 64)
	of, named := lookupEnv("WATCHDOG_PID")
	if err == nil && usec > 0 && (!named || of == strconv.Itoa(pid)) {
		n.every = time.Duration(usec) * time.Microsecond
	}
	return n
}

// Ready says that the process has started, or has begun anew, and how it is doing.
func (n *Notifier) Ready(status string) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ready {
		return n.say(status)
	}
	if err := n.send("READY=1\n" + line(status)); err != nil {
		return err
	}
	n.ready, n.status = true, status
	return nil
}

// Status says how it is doing, in a line for people. What was said is not said again.
func (n *Notifier) Status(status string) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.say(status)
}

func (n *Notifier) say(status string) error {
	if n.status == status {
		return nil
	}
	if err := n.send(line(status)); err != nil {
		return err
	}
	n.status = status
	return nil
}

// Reloading says that the process begins anew; Ready ends that.
func (n *Notifier) Reloading(status string) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ready, n.status = false, status
	return n.send("RELOADING=1\n" + line(status))
}

// Stopping says that the process is about to end.
func (n *Notifier) Stopping(status string) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ready, n.status = true, status // nothing but its end comes after it
	return n.send("STOPPING=1\n" + line(status))
}

// Watch tells the watchdog, three times as often as it wants to hear it, that the process
// is alive, until ctx ends. alive is asked each time, and may hang: then nothing is told
// and the service manager ends the process.
func (n *Notifier) Watch(ctx context.Context, alive func() error) error {
	if n == nil || n.every == 0 {
		return nil
	}
	t := time.NewTicker(n.every / 3)
	defer t.Stop()
	var errs error // the last of its kind is enough
	for {
		if err := alive(); err != nil {
			errs = fmt.Errorf("the watchdog is not told that the process is alive: %w", err)
		} else if err := n.send("WATCHDOG=1"); err != nil {
			errs = err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return errs
		}
	}
}

// line is a status as one line.
func line(status string) string {
	status = strings.Join(strings.Fields(status), " ")
	if len(status) > statusMost {
		status = strings.ToValidUTF8(status[:statusMost], "") + "…"
	}
	return "STATUS=" + status
}

func (n *Notifier) send(text string) (err error) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	if _, err := conn.Write([]byte(text)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
