package redis

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/testmesh/testmesh/plugins/servertest"
	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestACancelledStepEndsAtOnceAndHarmsNoOther(t *testing.T) {
	c := bare(t)
	list, stream := key(t, "list"), key(t, "stream")
	tests := map[string]struct {
		action string
		config m
	}{
		"BLPOP":       {"command", m{"command": []any{"BLPOP", list, 0}}},
		"XREAD BLOCK": {"xread", m{"streams": m{stream: "$"}, "block": "0s"}},
		"XREADGROUP":  {"xreadgroup", m{"streams": m{stream: ">"}, "group": "g", "block": "1h"}},
		"WAIT":        {"command", m{"command": "WAIT 5 0"}},
	}
	for name, test := range tests {
		for _, how := range []string{"cancelled", "out of time"} {
			t.Run(name+", "+how, func(t *testing.T) {
				c.Del(t.Context(), stream)
				if err := c.XGroupCreateMkStream(t.Context(), stream, "g", "$").Err(); err != nil {
					t.Fatal(err)
				}
				u := newUser(t)
				u.do("command", m{"command": "PING"}) // a connection that rests, and is used
				ctx, stop := context.WithCancel(t.Context())
				if how == "out of time" {
					ctx, stop = context.WithTimeout(t.Context(), 100*time.Millisecond)
				}
				defer stop()
				began := time.Now()
				if how == "cancelled" {
					time.AfterFunc(100*time.Millisecond, stop)
				}
				_, err := u.try(ctx, test.action, with(t, test.config))
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("it took %s to end", took)
				}
				if e := asError(t, err); e.Failed || e.Code != plugin.CodeTimeout || e.Blame != plugin.BlameSystem {
					t.Errorf("got %s, failed %v: %s", e.Code, e.Failed, e.Message)
				}
				// What comes later is nobody's who has gone.
				if err := c.RPush(t.Context(), list, "later").Err(); err != nil {
					t.Fatal(err)
				}
				c.Do(t.Context(), "XADD", stream, "*", "a", "b")
				got := u.do("command", m{"command": "ECHO hello"})
				if got["reply"] != "hello" {
					t.Errorf("the next step got %v", got["reply"])
				}
				is(t, u.do("command", m{"command": []any{"LPOP", list}})["reply"], `"later"`)
			})
		}
	}
}

// go-redis by itself ends a read after five seconds.
func TestACommandMayWaitAsLongAsItsStep(t *testing.T) {
	t.Parallel()
	bare(t)
	u := newUser(t)
	began := time.Now()
	got := u.do("command", m{"command": []any{"BLPOP", key(t, "list"), 5.5}})
	if took := time.Since(began); got["reply"] != nil || took < 5400*time.Millisecond {
		t.Errorf("got %v after %s", got["reply"], took)
	}
}

func TestACancelledConnectionEndsAtOnce(t *testing.T) {
	for kind, url := range map[string]string{"greeting": "redis://" + raw(t, mute), "handshake": "rediss://" + raw(t, mute), "connection": "redis://" + full(t)} {
		for action, config := range map[string]m{"get": {"key": "k"}, "subscribe": {"channels": []any{"c"}}} {
			t.Run(kind+", "+action, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, stop)
				began := time.Now()
				config["connection"] = m{"url": url, "connect_timeout": "1h"}
				_, err := newUser(t).try(ctx, action, config)
				if e := asError(t, err); time.Since(began) > 2*time.Second || e.Code != plugin.CodeTimeout || e.Message != "redis."+action+" was ended early: context canceled" {
					t.Errorf("got %s: %s after %s", e.Code, e.Message, time.Since(began))
				}
			})
		}
	}
}

func TestTheTimeOfAStepBoundsItsConnection(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	_, err := newUser(t).try(ctx, "get", m{"connection": "redis://" + raw(t, mute), "key": "k"})
	e := asError(t, err)
	_, within, _ := strings.Cut(e.Message, "did not answer within ")
	if limit, err := time.ParseDuration(within); e.Code != plugin.CodeTimeout || err != nil || limit > 100*time.Millisecond {
		t.Errorf("got %s: %s", e.Code, e.Message)
	}
}

func TestAConnectionIsUsedAgain(t *testing.T) {
	bare(t)
	u := newUser(t)
	id := func() string { return fmt.Sprint(u.do("command", m{"command": "CLIENT ID"})["reply"]) }
	first := id()
	for range 10 {
		if got := id(); got != first {
			t.Errorf("got connection %s after %s", got, first)
		}
	}
	other := &user{t: t, plugin: u.plugin, run: "another run", out: &heard{}}
	if got := fmt.Sprint(other.do("command", m{"command": "CLIENT ID"})["reply"]); got == first {
		t.Error("two runs share a connection")
	}
	u.plugin.EndRun(u.run)
	if got := id(); got == first {
		t.Error("a connection outlived its run")
	}
}

// A server that is started anew between two steps, or ends what rests.
func TestAConnectionThatTheServerClosedIsNotUsed(t *testing.T) {
	c := bare(t)
	real := servertest.Value(t, "REDIS_URL")
	for name, connection := range map[string]any{"plain": real, "TLS": m{"url": servertest.Value(t, "REDIS_TLS_URL"), "tls": m{"verify": false}}} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			for range 20 {
				got, err := u.try(t.Context(), "command", m{"connection": connection, "command": "CLIENT ID"})
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Do(t.Context(), "CLIENT", "KILL", "ID", fmt.Sprint(got["reply"])).Err(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestAConnectionThatRestedLongIsAskedFirst(t *testing.T) {
	var pings int
	var mu sync.Mutex
	address := raw(t, counting(&mu, &pings))
	p := &pool{target: &target{network: "tcp", address: address, timeout: time.Second}}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	use := func() {
		c, err := p.take(t.Context(), &plugin.Call{})
		if err != nil {
			t.Fatal(err)
		}
		p.give(c)
	}
	for i, want := range []int{1, 1, 2} { // the first greets
		if i == 2 {
			p.resting[0].rested = time.Now().Add(-longRest)
		}
		use()
		mu.Lock()
		if pings != want {
			t.Errorf("use %d: got %d pings, want %d", i, pings, want)
		}
		mu.Unlock()
	}
}

// counting is a server that greets, and counts how often.
func counting(mu *sync.Mutex, pings *int) func(net.Conn) {
	return func(c net.Conn) {
		for command := range sent(c) {
			if command[0] == "hello" {
				_, _ = io.WriteString(c, hello)
				continue
			}
			mu.Lock()
			*pings++
			mu.Unlock()
			_, _ = io.WriteString(c, "+PONG\r\n")
		}
	}
}

func TestAPoolKeepsOnlySomeOfManyConnections(t *testing.T) {
	var pings int
	var mu sync.Mutex
	p := &pool{target: &target{network: "tcp", address: raw(t, counting(&mu, &pings)), timeout: 5 * time.Second}}
	var all []*conn
	for range maxResting + 5 {
		c, err := p.take(t.Context(), &plugin.Call{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for _, c := range all {
		p.give(c)
	}
	if len(p.resting) != maxResting {
		t.Errorf("%d rest", len(p.resting))
	}
	late, err := p.take(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	p.give(late) // the run has ended meanwhile
	for _, c := range all {
		if !c.net.closed.Load() {
			t.Error("a connection outlived its pool")
		}
	}
}

func TestStepsSideBySideDoNotMix(t *testing.T) {
	bare(t)
	u := newUser(t)
	config := with(t, nil)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			mine := &user{t: t, plugin: u.plugin, run: u.run, out: &heard{}}
			for j := range 50 {
				want := fmt.Sprintf("%d-%d", i, j)
				got, err := mine.try(t.Context(), "command", m{"connection": config["connection"], "command": []any{"ECHO", want}})
				if err != nil || got["reply"] != want {
					t.Errorf("got %v, %v, want %s", got, err, want)
				}
			}
		})
	}
	all.Wait()
}
