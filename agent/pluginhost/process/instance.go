package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/wire"
)

const (
	// crashIn is how long after its connection broke the end of a process is
	// waited for, to say how it ended.
	crashIn = time.Second
	// killIn bounds the kernel's work after a kill.
	killIn = 800 * time.Millisecond
	// maxMisses is how many questions after its health in a row a process may
	// leave unanswered.
	maxMisses = 2
)

// instance is a started process of a plugin that may be called.
type instance struct {
	s      *slot
	dir    string
	words  *words
	child  *child
	client *goplugin.Client
	wire   *wire.Client

	leaving chan struct{} // closed: it takes no new calls
	quiet   chan struct{} // closed: and the last one has ended

	mu       sync.Mutex
	calls    int
	left     bool
	why      *plugin.Error // for the calls under way, when the host ends it
	sessions map[string]*session
	opened   int // sessions so far, for their names
	misses   int
}

func newInstance(s *slot, dir string) *instance {
	return &instance{
		s: s, dir: dir, words: newWords(s.program.Name, s.pool.cfg.Log),
		leaving: make(chan struct{}), quiet: make(chan struct{}), sessions: make(map[string]*session),
	}
}

// take counts a call, unless the process takes no more.
func (i *instance) take() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.left {
		return false
	}
	i.calls++
	return true
}

func (i *instance) release() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls--
	if i.left && i.calls == 0 {
		close(i.quiet)
	}
}

func (i *instance) isLeft() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.left
}

// leave lets the process take no new calls; its calls under way go on. A fault is
// counted as the plugin's; why is what they are told when the process ends before
// them.
func (i *instance) leave(fault, why *plugin.Error) {
	i.mu.Lock()
	if i.left {
		i.mu.Unlock()
		return
	}
	i.left, i.why = true, why
	if i.calls == 0 {
		close(i.quiet)
	}
	runs := make([]string, 0, len(i.sessions))
	for run := range i.sessions {
		runs = append(runs, run)
	}
	i.mu.Unlock()
	i.s.retire(i, fault, runs)
	close(i.leaving)
}

// watch looks after the process until nothing is left of it.
func (i *instance) watch() {
	limits := i.s.pool.cfg.Limits
	health := time.NewTicker(limits.HealthEvery)
	defer health.Stop()
	for {
		select {
		case <-i.child.done:
			e := i.ended("crashed")
			i.leave(e, e)
			i.finish()
			return
		case <-i.leaving:
			drained := time.NewTimer(limits.Drain)
			select {
			case <-i.quiet:
			case <-drained.C:
			case <-i.child.done:
			case <-i.s.pool.ctx.Done():
			}
			drained.Stop()
			i.end()
			return
		case <-i.s.pool.ctx.Done():
			i.leave(nil, nil)
			i.end()
			return
		case <-health.C:
			i.checkHealth()
		}
	}
}

// checkHealth asks the process whether it still works. One that says no is
// replaced; one that says nothing, again and again, is ended.
func (i *instance) checkHealth() {
	within := i.s.pool.cfg.Limits.HealthEvery
	ctx, release := context.WithTimeout(i.s.pool.ctx, within)
	defer release()
	res, err := i.wire.Health(ctx)
	name := i.s.program.Name
	switch {
	case err == nil && res.GetReady(), err != nil && status.Code(errors.Unwrap(err)) == codes.Unimplemented:
		i.misses = 0
	case err == nil:
		e := i.withWords(errorOf(plugin.BlamePlugin, reportIt, "plugin %s says that it is not well: %s", name, clipText(res.GetDetail())))
		i.leave(e, e)
	default:
		if i.misses++; i.misses >= maxMisses && i.s.pool.ctx.Err() == nil {
			e := i.withWords(errorOf(plugin.BlamePlugin, reportIt, "plugin %s did not answer when asked %d times whether it is well, and was ended", name, maxMisses))
			i.leave(e, e)
			_ = i.child.Kill(context.Background())
		}
	}
}

// end ends the process: asked by go-plugin, by a signal, and killed with all
// that it started.
func (i *instance) end() {
	limit := i.s.pool.cfg.Limits.Close
	terminate := time.AfterFunc(limit/4, i.child.terminate)
	kill := time.AfterFunc(limit, func() { _ = i.child.Kill(context.Background()) })
	go i.client.Kill()
	stuck := time.NewTimer(limit + killIn)
	select {
	case <-i.child.done:
	case <-stuck.C:
		i.couldNotEnd()
	}
	stuck.Stop()
	kill.Stop()
	terminate.Stop()
	i.finish()
}

func (i *instance) couldNotEnd() {
	i.s.pool.fault(fmt.Errorf("process %s of plugin %s could not be ended", i.child.ID(), i.s.program.Name))
}

// finish drops what was kept for the process.
func (i *instance) finish() {
	select {
	case <-i.child.done:
		i.client.Kill()
	default: // it could not be ended, and would be waited for
	}
	i.mu.Lock()
	for _, s := range i.sessions {
		s.end()
	}
	i.mu.Unlock()
	if err := errors.Join(removeAll(i.dir), os.RemoveAll(i.child.socket)); err != nil {
		i.s.pool.fault(fmt.Errorf("remove what plugin %s had on disk: %w", i.s.program.Name, err))
	}
	i.s.gone(i)
}

// execute runs one try.
func (i *instance) execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	i.words.mask(req.RunID, req.Mask)
	id, err := i.session(ctx, req)
	if err != nil {
		return nil, i.explain(ctx, err)
	}
	note := ""
	if i.s.hadLost(req.RunID) {
		note = "plugin " + i.s.program.Name + " was started again since this run last used it: what it kept for the run (logins, connections, transactions) is gone"
		if out != nil {
			out.Log("warn", note)
		}
	}
	res, err := i.wire.Execute(ctx, id, req, out)
	if err != nil {
		e := i.explain(ctx, err)
		addHint(e, note)
		return nil, e
	}
	return res, nil
}

// call runs a function.
func (i *instance) call(ctx context.Context, req *plugin.FunctionRequest) (json.RawMessage, error) {
	i.words.mask(req.RunID, req.Mask)
	res, err := i.wire.Call(ctx, req)
	if err != nil {
		return nil, i.explain(ctx, err)
	}
	return res, nil
}

// explain words an error of the wire. A call is never made again: whether it had
// its effect is not known.
func (i *instance) explain(ctx context.Context, err error) *plugin.Error {
	p := wordsOf(i.s.program)
	var known *plugin.Error
	if errors.As(err, &known) {
		p.clip(known)
		return known
	}
	var lost *wire.Lost
	if errors.As(err, &lost) && lost.Hung {
		e := i.withWords(errorOf(plugin.BlamePlugin, "the process is replaced; "+reportIt,
			"plugin %s did not end the call within %s of being asked to, and was left behind", p.Name, durationText(wire.Grace)))
		i.leave(e, i.withWords(errorOf(plugin.BlamePlugin, reportIt,
			"plugin %s was ended during the call, because another of its calls did not stop", p.Name)))
		return clone(e)
	}
	code := status.Code(errors.Unwrap(err))
	if ctx.Err() != nil && (code == codes.Canceled || code == codes.DeadlineExceeded) {
		return errorOf(plugin.BlamePlugin, "", "plugin %s had not answered when the time was over", p.Name)
	}
	if code == codes.Unavailable || code == codes.Canceled || code == codes.Internal || code == codes.Unknown {
		i.awaitEnd()
	}
	select {
	case <-i.child.done:
		<-i.leaving
		return i.whyEnded()
	default:
	}
	if code == codes.Unavailable && i.isLeft() {
		return i.whyEnded() // it is being ended, and has not ended yet
	}
	e := i.withWords(errorOf(plugin.BlamePlugin, reportIt, "plugin %s broke the call off: %s", p.Name, clipText(plain(err))))
	if code == codes.Unavailable {
		i.leave(e, e) // it lives and cannot be reached
	}
	return clone(e)
}

// awaitEnd gives a process whose connection broke the time to be seen as ended.
func (i *instance) awaitEnd() {
	timer := time.NewTimer(crashIn)
	defer timer.Stop()
	select {
	case <-i.child.done:
	case <-timer.C:
	}
}

// whyEnded is the error of the calls that were under way when the process ended.
func (i *instance) whyEnded() *plugin.Error {
	i.mu.Lock()
	why := i.why
	i.mu.Unlock()
	if why != nil {
		return clone(why)
	}
	return errorOf(plugin.BlameTestMesh, "", "plugin %s was ended by its host during the call", i.s.program.Name)
}

// ended words how the process ended by itself, or was ended by the kernel.
func (i *instance) ended(how string) *plugin.Error {
	name, c := i.s.program.Name, i.child
	last := i.words.last()
	why := ""
	if r := reason(last); r != "" {
		why = ": " + clipText(r)
	}
	state, overrun := c.end()
	if state != nil && state.Success() && how == "crashed" {
		how = "ended without being asked to,"
	}
	e := errorOf(plugin.BlamePlugin, reportIt, "plugin %s %s with %s%s", name, how, exitText(state), why)
	if overrun {
		e.Message = fmt.Sprintf("plugin %s was ended because it used more than its %s of memory", name, bytesText(c.memory))
	} else if line := outOfMemory(last); line != "" {
		e.Message = fmt.Sprintf("plugin %s ran out of memory, of which it may use %s: %s", name, bytesText(c.memory), clipText(line))
	}
	e.Details = last
	return e
}

// outOfMemory is the line with which a runtime says that it was refused memory.
func outOfMemory(last []string) string {
	for _, line := range last {
		if strings.Contains(line, "out of memory") || strings.Contains(line, "cannot allocate memory") {
			return line
		}
	}
	return ""
}

// exitText says how a process ended.
func exitText(state *os.ProcessState) string {
	if state == nil {
		return "an unknown end"
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return fmt.Sprintf("signal %d (%s)", int(ws.Signal()), ws.Signal())
	}
	return fmt.Sprintf("exit code %d", state.ExitCode())
}

// withWords adds what the process said last.
func (i *instance) withWords(e *plugin.Error) *plugin.Error {
	e.Details = i.words.last()
	e.Message = i.words.masked(e.Message)
	return e
}
