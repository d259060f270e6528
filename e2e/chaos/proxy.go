package main

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// proxy passes connections on to a node, and cuts them.
type proxy struct {
	net.Listener
	to string

	mu    sync.Mutex
	rng   *rand.Rand
	after int64 // cut a connection after so many bytes, on average; 0: never
	most  int   // cuts; 0: no limit
	cuts  int
	down  bool
	open  map[net.Conn]bool
	carry int64 // bytes to the node
}

// newProxy passes on to a node at host:port.
func newProxy(t *trial, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	t.must(err, "open a proxy")
	p := &proxy{Listener: l, to: to, rng: rand.New(rand.NewPCG(t.seed, 1)), open: map[net.Conn]bool{}}
	go p.serve()
	return p
}

func (p *proxy) url() string { return "http://" + p.Addr().String() }

func (p *proxy) serve() {
	for {
		c, err := p.Accept()
		if err != nil {
			return // it was closed
		}
		go p.pass(c)
	}
}

// pass carries one connection.
func (p *proxy) pass(from net.Conn) {
	defer from.Close()
	p.mu.Lock()
	down := p.down
	p.mu.Unlock()
	if down {
		return
	}
	to, err := net.DialTimeout("tcp", p.to, time.Second)
	if err != nil {
		return // the node is down
	}
	defer to.Close()
	p.mu.Lock()
	p.open[from], p.open[to] = true, true
	budget := int64(0)
	if p.after > 0 {
		budget = p.after/2 + p.rng.Int64N(p.after)
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(to, from, budget) })
	both.Go(func() { p.copy(from, to, budget) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, from)
	delete(p.open, to)
}

// copy carries one direction, and cuts both once the budget is used up.
func (p *proxy) copy(to, from net.Conn, budget int64) {
	buf := make([]byte, 16<<10)
	for n := int64(0); ; {
		got, err := from.Read(buf)
		if budget > 0 && n+int64(got) > budget && p.cut() {
			_, _ = to.Write(buf[:got/2]) // in the middle of something
			for _, c := range []net.Conn{from, to} {
				_ = c.(*net.TCPConn).SetLinger(0) // as a reset
				_ = c.Close()
			}
			return
		}
		n += int64(got)
		if got > 0 {
			if _, err := to.Write(buf[:got]); err != nil {
				_ = from.Close()
				return
			}
			p.mu.Lock()
			p.carry += int64(got)
			p.mu.Unlock()
		}
		if err != nil {
			_ = to.(*net.TCPConn).CloseWrite() // the other direction may go on
			return
		}
	}
}

// cut says whether one more connection may be cut, and counts it.
func (p *proxy) cut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.most > 0 && p.cuts >= p.most {
		return false
	}
	p.cuts++
	return true
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// part lets nothing through until heal.
func (p *proxy) part() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	p.cuts++
	for c := range p.open {
		_ = c.Close()
	}
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}
