package engine

import "sync"

// group runs functions on goroutines, so many at once, and starts them in
// order. It never starts one that was not given.
type group struct {
	slots chan struct{}
	all   sync.WaitGroup
}

func newGroup(limit int) *group {
	return &group{slots: make(chan struct{}, max(limit, 1))}
}

// run waits for a free slot and starts fn.
func (g *group) run(fn func()) {
	g.slots <- struct{}{}
	g.all.Add(1)
	go func() {
		defer func() { <-g.slots; g.all.Done() }()
		fn()
	}()
}

func (g *group) wait() { g.all.Wait() }
