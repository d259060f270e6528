package redis

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"net"
	"strings"
	"sync"
	"testing"
)

// raw is a server that treats each connection by a function until the test ends.
func raw(t testing.TB, treat func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, treat)
	return l.Addr().String()
}

func serve(t testing.TB, l net.Listener, treat func(net.Conn)) {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				treat(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
}

const hello = "%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n"

// hangUp as an answer closes the connection.
const hangUp = "hang up"

// fake is a Redis that greets, and answers what comes then by a function.
func fake(t testing.TB, answer func(command []string) string) (address string) {
	t.Helper()
	return raw(t, answering(answer))
}

func answering(answer func(command []string) string) func(net.Conn) {
	return func(c net.Conn) {
		for command := range sent(c) {
			said := hello
			switch command[0] {
			case "hello":
			case "ping":
				said = "+PONG\r\n"
			default:
				said = answer(command)
			}
			if said == hangUp {
				return
			}
			_, _ = io.WriteString(c, said)
		}
	}
}

// sent are the commands that a client sends.
func sent(c net.Conn) iter.Seq[[]string] {
	r := bufio.NewReader(c)
	return func(yield func([]string) bool) {
		for {
			command, err := readCommand(r)
			if err != nil || !yield(command) {
				return
			}
		}
	}
}

func readCommand(r *bufio.Reader) ([]string, error) {
	var n int
	if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
		return nil, err
	}
	command := make([]string, n)
	for i := range command {
		var size int
		if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(r, word); err != nil {
			return nil, err
		}
		command[i] = string(word[:size])
	}
	command[0] = strings.ToLower(command[0])
	return command, nil
}

func says(text string) func([]string) string { return func([]string) string { return text } }

// mute reads until the other side has gone.
func mute(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// greetThen greets a client, answers its next command with a text, and hangs up
// or waits.
func greetThen(c net.Conn, text string, ends bool) {
	for command := range sent(c) {
		switch command[0] {
		case "hello":
			_, _ = io.WriteString(c, hello)
		case "ping":
			_, _ = io.WriteString(c, "+PONG\r\n")
		default:
			_, _ = io.WriteString(c, text)
			if !ends {
				mute(c)
			}
			return
		}
	}
}
