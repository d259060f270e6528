package http

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// pair is a connection of ours and its other side.
func pair(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return newConn(client), server
}

func TestAConnectionThatTheServerClosedTakesNotOneByte(t *testing.T) {
	tests := map[string]struct {
		happens func(t *testing.T, c *conn, server net.Conn)
		refused bool
	}{
		"it is open":                      {func(*testing.T, *conn, net.Conn) {}, false},
		"something came":                  {func(_ *testing.T, _ *conn, s net.Conn) { _, _ = s.Write([]byte("x")) }, false},
		"closed, and nobody read so far":  {func(t *testing.T, c *conn, s net.Conn) { s.Close(); await(t, c) }, true},
		"reset, and nobody read so far":   {func(t *testing.T, c *conn, s net.Conn) { reset(s); await(t, c) }, true},
		"closed, and the reader knows it": {func(_ *testing.T, c *conn, s net.Conn) { s.Close(); _, _ = io.ReadAll(c) }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, server := pair(t)
			if _, err := c.Write([]byte("first")); err != nil {
				t.Fatal(err)
			}
			test.happens(t, c, server)
			before := c.written.Load()
			c.checkIdle()
			_, err := c.Write([]byte("second"))
			if refused := errors.Is(err, errClosedIdle); refused != test.refused {
				t.Errorf("got %v, want refused %v", err, test.refused)
			}
			if wrote := c.written.Load() - before; test.refused && wrote != 0 || !test.refused && wrote != 6 {
				t.Errorf("%d bytes were counted", wrote)
			}
		})
	}
}

// await lets the close arrive: on loopback it is there when the call returned,
// and the system says so at once or never.
func await(t *testing.T, c *conn) {
	t.Helper()
	for range 1_000_000 {
		closed := false
		if err := c.raw.Control(func(fd uintptr) { closed = peerClosed(fd) }); closed || err != nil {
			return
		}
	}
	t.Fatal("the close did not arrive")
}

// closingServer answers one request on each connection and closes it, without
// a word in the answer. closed says when that is done; served counts requests.
func closingServer(t *testing.T) (url string, closed <-chan struct{}, served *atomic.Int64) {
	t.Helper()
	done, count := make(chan struct{}, 1000), new(atomic.Int64)
	url = rawServer(t, func(c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		count.Add(1)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		c.Close()
		done <- struct{}{}
	})
	return url, done, count
}

func TestAPostOnAConnectionThatWasClosedMeanwhileIsSentOnceAgain(t *testing.T) {
	url, closed, served := closingServer(t)
	c := newCaller(t, Config{})
	const times = 300
	for range times {
		if got := c.do(m{"url": url, "method": "POST", "body": "x"})["body"]; got != "ok" {
			t.Fatalf("got %v", got)
		}
		<-closed
	}
	if got := served.Load(); got != times {
		t.Errorf("the server got %d requests, want %d", got, times)
	}
}

// The connection ends between net/http's choice of it and the first byte: its
// own rule repeats no POST then, although nothing was sent.
func TestAPostOnAConnectionThatEndsInThatInstantIsSentAgain(t *testing.T) {
	end := make(chan struct{}, 1)
	var served atomic.Int64
	url := rawServer(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if hr, err := http.ReadRequest(r); err == nil {
			_, _ = io.Copy(io.Discard, hr.Body)
			served.Add(1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			<-end
		}
	})
	reused := 0
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			return
		}
		reused++
		end <- struct{}{}
		for range 100_000 { // until net/http has closed it
			if errors.Is(info.Conn.SetReadDeadline(time.Time{}), net.ErrClosed) {
				return
			}
			runtime.Gosched()
		}
		t.Error("the connection stayed open")
	}})
	c := newCaller(t, Config{})
	for range 2 {
		res, err := c.try(ctx, m{"url": url, "method": "POST", "body": "x"})
		if err != nil {
			t.Fatal(err)
		}
		if got := result(t, res)["body"]; got != "ok" {
			t.Errorf("got %v, want ok", got)
		}
	}
	end <- struct{}{}
	if got := served.Load(); got != 2 || reused != 1 {
		t.Errorf("the server got %d requests by %d used connections, want 2 by 1", got, reused)
	}
}

func TestAPostThatMayHaveBeenProcessedIsNotRepeated(t *testing.T) {
	var requests atomic.Int64
	url := rawServer(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for first := true; ; first = false {
			hr, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, hr.Body)
			requests.Add(1)
			if !first {
				return // it took the request, and died of it
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	c := newCaller(t, Config{})
	c.do(m{"url": url, "method": "POST", "body": "x"})
	err := c.fail(m{"url": url, "method": "POST", "body": "x"})
	if got := requests.Load(); got != 2 || err.Code != plugin.CodeConn {
		t.Errorf("got %d requests and %s, want 2 and E-CONN", got, err.Code)
	}
	contains(t, err.Hint, "may or may not have processed the request")
}

func TestConnectionsAreSharedBetweenRuns(t *testing.T) {
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }))
	t.Cleanup(server.Close)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	c := newCaller(t, Config{})
	for _, run := range []string{"a", "b", "c"} {
		c.req.RunID = run
		c.do(m{"url": server.URL})
	}
	if got := opened.Load(); got > 1 {
		t.Errorf("%d connections were opened, want 1", got)
	}
}

func TestStepsSideBySideDoNotMix(t *testing.T) {
	server := record(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.RawQuery) })
	c := newCaller(t, Config{})
	c.req.WantExchange = false
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			for j := range 20 {
				want := strings.Repeat("x", i*50+j)
				if got := c.do(m{"url": server.URL + "/?" + want})["body"]; got != want && (want != "" || got != nil) {
					t.Errorf("got %v, want %s", got, want)
				}
			}
		})
	}
	wait.Wait()
}
