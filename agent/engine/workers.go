package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// workers call plugins on goroutines of their own, so that one that ignores
// its cancelled context can be left behind. A worker is used again for the next
// step, and the next run: its stack has grown to what a plugin needs. There are
// none unless somebody holds them, which every run does.
type workers struct {
	mu    sync.Mutex
	holds int
	idle  []*worker
	all   *sync.WaitGroup // those of these holds that were not left behind
}

type worker struct {
	calls chan call
	done  chan reply
	left  bool // behind; set before calls is closed
	all   *sync.WaitGroup
}

type call struct {
	ctx     context.Context
	stepper Stepper
	req     *plugin.Request
	out     *stream
}

type reply struct {
	resp *plugin.Response
	err  error
}

// prompt is what a Stepper may promise: that Execute of an action returns within
// two seconds after its context has ended, whatever the system under test does.
// Such a call needs no goroutine that could be left behind, which is a tenth of
// what a step costs.
type prompt interface {
	Prompt(action string) bool
}

// execute calls the stepper. abandoned: it did not return after its context
// had ended, and is left behind.
func (w *workers) execute(ctx context.Context, s Stepper, req *plugin.Request, out *stream) (resp *plugin.Response, err error, abandoned bool) {
	if p, ok := s.(prompt); ok && p.Prompt(req.Action) {
		c := call{ctx, s, req, out}
		r := c.execute()
		return r.resp, r.err, false
	}
	k := w.take()
	k.calls <- call{ctx, s, req, out}
	select {
	case r := <-k.done:
		w.give(k)
		return r.resp, r.err, false
	case <-ctx.Done():
	}
	grace := time.NewTimer(pluginGrace)
	defer grace.Stop()
	select {
	case r := <-k.done:
		w.give(k)
		return r.resp, r.err, false
	case <-grace.C:
		k.left = true
		close(k.calls) // it ends when the plugin returns
		k.all.Done()
		return nil, nil, true
	}
}

func (w *workers) take() *worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.idle); n > 0 {
		k := w.idle[n-1]
		w.idle = w.idle[:n-1]
		return k
	}
	k := &worker{calls: make(chan call), done: make(chan reply, 1), all: w.all}
	k.all.Add(1)
	go k.work()
	return k
}

func (w *workers) give(k *worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = append(w.idle, k)
}

func (w *workers) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.holds++; w.holds == 1 {
		w.all = new(sync.WaitGroup)
	}
}

// release ends the workers with the last hold, and waits for them. Nothing that
// held executes any more.
func (w *workers) release() {
	w.mu.Lock()
	if w.holds--; w.holds > 0 {
		w.mu.Unlock()
		return
	}
	for _, k := range w.idle {
		close(k.calls)
	}
	w.idle = nil
	all := w.all
	w.mu.Unlock()
	all.Wait()
}

func (k *worker) work() {
	for c := range k.calls {
		k.done <- c.execute()
	}
	if !k.left {
		k.all.Done()
	}
}

// execute makes a panic of a resident plugin its error.
func (c *call) execute() (r reply) {
	defer func() {
		if p := recover(); p != nil {
			r = reply{err: &plugin.Error{
				Code: plugin.CodePlugin, Message: fmt.Sprintf("%s crashed: %v", c.req.Action, p), Blame: plugin.BlamePlugin,
				Hint: "this is a bug of the plugin", Details: stackLines(debug.Stack()),
			}}
		}
	}()
	r.resp, r.err = c.stepper.Execute(c.ctx, c.req, c.out)
	return r
}
