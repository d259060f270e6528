package stream

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// mesh is nodes that read each other's streams.
type mesh struct {
	mu    sync.Mutex
	nodes map[string]*Streams
	down  map[string]bool
	tails int
}

// peers is the mesh as one node sees it.
type peers struct {
	*mesh
	self string
}

func (p peers) Homes(context.Context, string, int32) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for _, name := range []string{"a", "b", "c"} {
		if name != p.self && p.nodes[name] != nil {
			list = append(list, name)
		}
	}
	return list
}

func (p peers) Tail(ctx context.Context, node, run string, attempt int32, offset int64, follow bool, give func(int64, []byte) error) (bool, error) {
	p.mu.Lock()
	s, down := p.nodes[node], p.down[node]
	p.tails++
	p.mu.Unlock()
	if down {
		return false, errors.New("connection refused")
	}
	return s.Tail(ctx, run, attempt, offset, follow, func(at int64, data []byte) error {
		p.mu.Lock()
		gone := p.down[node]
		p.mu.Unlock()
		if gone {
			return errors.New("connection reset")
		}
		return give(at, data)
	})
}

func newMesh(t *testing.T, blobs Blobs) *mesh {
	m := &mesh{nodes: map[string]*Streams{}, down: map[string]bool{}}
	for _, name := range []string{"a", "b", "c"} {
		m.nodes[name] = node(t, blobs, func(c *Config) { c.Peers = peers{m, name} })
	}
	return m
}

func TestAWatcherAtAnotherNodeSeesWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, newShelf())
		appended(t, m.nodes["a"], 0, "one\n")
		time.Sleep(2 * sealAfter)
		appended(t, m.nodes["a"], 4, "two\n")
		f := follow(t.Context(), m.nodes["c"], 0)
		synctest.Wait()
		if got := f.got(); got != "one\ntwo\n" {
			t.Errorf("at once came %q", got)
		}
		appended(t, m.nodes["a"], 8, "three\n")
		synctest.Wait() // and no time goes by
		if got := f.got(); got != "one\ntwo\nthree\n" {
			t.Errorf("live came %q", got)
		}
		if got := all(t, m.nodes["b"], 5); got != "wo\nthree\n" {
			t.Errorf("who does not follow got %q", got)
		}
		if err := m.nodes["a"].Durable(t.Context(), "run", 1, 14, sumOf("one\ntwo\nthree\n")); err != nil {
			t.Fatal(err)
		}
		if err := <-f.done; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestAWatcherFollowsAStreamFromNodeToNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, newShelf())
		f := follow(t.Context(), m.nodes["c"], 0)
		text := ""
		for i := range 20 {
			home := m.nodes[string("abc"[i%3])]
			part := string(rune('A'+i)) + "\n"
			appended(t, home, int64(len(text)), part)
			text += part
			if i%2 == 0 { // the node goes away while what it has is not durable
				m.mu.Lock()
				m.down[string("ab"[i%2])] = i%4 == 0
				m.mu.Unlock()
			}
			time.Sleep(2 * sealAfter)
			time.Sleep(postedFor)
		}
		last := m.nodes["b"]
		if err := last.Durable(t.Context(), "run", 1, int64(len(text)), sumOf(text)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * lookAgain)
		synctest.Wait()
		if got := f.got(); got != text {
			t.Errorf("came  %q\nwant %q", got, text)
		}
	})
}

func TestANodeThatDoesNotWriteAStreamSaysSo(t *testing.T) {
	s := node(t, newShelf(), nil)
	_, err := s.Tail(t.Context(), "run", 1, 0, true, func(int64, []byte) error { return nil })
	if !errors.Is(err, ErrElsewhere) {
		t.Errorf("got %v", err)
	}
}

func TestTheErrorOfAWatcherIsNotANodes(t *testing.T) {
	m := newMesh(t, newShelf())
	appended(t, m.nodes["a"], 0, "one\n")
	gone := errors.New("the browser has gone")
	err := m.nodes["b"].Read(t.Context(), "run", 1, 0, true, func(int64, []byte) error { return gone })
	if !errors.Is(err, gone) || m.tails != 1 {
		t.Errorf("got %v after %d tries", err, m.tails)
	}
}

func TestAWatcherThatGoesEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, newShelf())
		ctx, cancel := context.WithCancel(t.Context())
		waiting := follow(ctx, m.nodes["b"], 0) // nobody writes it yet
		appended(t, m.nodes["a"], 0, "one\n")
		tailing := follow(ctx, m.nodes["c"], 0)
		time.Sleep(time.Minute)
		cancel()
		for _, f := range []*follower{waiting, tailing} {
			if err := <-f.done; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if f.got() != "one\n" {
				t.Errorf("got %q", f.got())
			}
		}
	})
}
