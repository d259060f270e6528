// Package pluginhost gives every try to the plugin that executes it. Plugins
// that are resident run in this process, made on first use; all others run
// where a Remote keeps them. It never interprets configs or results, and links
// neither gRPC nor what starts processes: that is the package process below it.
package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// maxFaults bounds what Close has to say of the ends of runs.
const maxFaults = 10

// Remote runs plugins outside of this process. It is safe for concurrent use.
// Its errors are *plugin.Error with the blame of whoever is at fault.
type Remote interface {
	// Has says whether the plugin of that name is one of its own; it starts nothing.
	Has(name string) bool
	// Execute runs one try. It returns soon after its context has ended, also
	// where the plugin does not.
	Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error)
	// Call runs a function of a plugin.
	Call(ctx context.Context, name string, req *plugin.FunctionRequest) (json.RawMessage, error)
	// EndRun drops what the plugins keep for a run, within a bound.
	EndRun(runID string)
	// Close ends every plugin. Nothing is left of them once it has returned.
	Close() error
}

// Config is what a host runs.
type Config struct {
	// Resident makes the plugins of this process, by name; none is made before a
	// step needs it.
	Resident map[string]func() plugin.Plugin
	// Remote has all others; nil: there are none. The host closes it.
	Remote Remote
	// Host is what resident plugins are told of this machine.
	Host plugin.Host
}

// Host owns the plugins of a process. It is safe for concurrent use.
type Host struct {
	resident map[string]func() plugin.Plugin
	remote   Remote
	host     plugin.Host

	mu      sync.Mutex
	closed  bool
	started map[string]plugin.Plugin
	told    []named // what is started, for EndRun: only ever appended to, so that it is read without a copy
	faults  []error // of EndRun, for Close to say
}

// named is a plugin with its name.
type named struct {
	plugin.Plugin
	name string
}

// New makes a host; it starts nothing.
func New(cfg Config) *Host {
	return &Host{resident: cfg.Resident, remote: cfg.Remote, host: cfg.Host, started: make(map[string]plugin.Plugin)}
}

// Prompt tells the engine that a call of this action returns soon after its
// context has ended. Resident plugins are our own, and their tests hold them to
// it. A Remote promises as much, but waits for a plugin that others wrote: the
// engine keeps the last word.
func (h *Host) Prompt(action string) bool {
	name, _, _ := strings.Cut(action, ".")
	_, resident := h.resident[name]
	return resident
}

func (h *Host) plugin(name string) (plugin.Plugin, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, &plugin.Error{
			Code: plugin.CodePlugin, Blame: plugin.BlameTestMesh,
			Message: fmt.Sprintf("plugin %s was asked for after its host had closed", name),
		}
	}
	if p, ok := h.started[name]; ok {
		return p, nil
	}
	start, ok := h.resident[name]
	if !ok {
		return nil, &plugin.Error{
			Code: plugin.CodePlugin, Blame: plugin.BlameAgent,
			Message: fmt.Sprintf("plugin %s is not installed on this machine", name),
		}
	}
	p := start()
	if c, ok := p.(plugin.Configurer); ok {
		if err := c.Configure(context.Background(), h.host); err != nil {
			return nil, err
		}
	}
	h.started[name] = p
	h.told = append(h.told, named{p, name})
	return p, nil
}

// Execute runs one try. A panic of the plugin is its fault, with its last
// words, and no other run's.
func (h *Host) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (res *plugin.Response, err error) {
	name, _, _ := strings.Cut(req.Action, ".")
	defer func() {
		if r := recover(); r != nil {
			res, err = nil, crash(name, r, debug.Stack())
		}
	}()
	if h.isRemote(name) {
		return h.remote.Execute(ctx, req, out)
	}
	p, err := h.plugin(name)
	if err != nil {
		return nil, err
	}
	return p.Execute(ctx, req, out)
}

// Call runs a function of a plugin for an expression.
func (h *Host) Call(ctx context.Context, name string, req *plugin.FunctionRequest) (result json.RawMessage, err error) {
	defer func() {
		if r := recover(); r != nil {
			result, err = nil, crash(name, r, debug.Stack())
		}
	}()
	if h.isRemote(name) {
		return h.remote.Call(ctx, name, req)
	}
	p, err := h.plugin(name)
	if err != nil {
		return nil, err
	}
	caller, ok := p.(plugin.Caller)
	if !ok {
		return nil, &plugin.Error{
			Code: plugin.CodePlugin, Blame: plugin.BlamePlugin,
			Message: fmt.Sprintf("plugin %s has no functions, and %s was called", name, req.Function),
		}
	}
	return caller.Call(ctx, req)
}

// isRemote says whether the Remote runs a plugin. What is resident is not.
func (h *Host) isRemote(name string) bool {
	if _, resident := h.resident[name]; resident || h.remote == nil {
		return false
	}
	return h.remote.Has(name)
}

// crash is the error of a panic, by the plugin's name.
func crash(name string, r any, stack []byte) *plugin.Error {
	e := plugin.Panicked(r, stack)
	e.Message = fmt.Sprintf("plugin %s panicked: %v", name, r)
	return e
}

// EndRun lets every started plugin drop what it kept for the run. A plugin that
// panics here is heard of when the host closes.
func (h *Host) EndRun(runID string) {
	if h.remote != nil {
		h.remote.EndRun(runID)
	}
	h.mu.Lock()
	plugins := h.told
	h.mu.Unlock()
	for _, one := range plugins {
		if err := protect(one.name, func() error { one.EndRun(runID); return nil }); err != nil {
			h.mu.Lock()
			if len(h.faults) < maxFaults {
				h.faults = append(h.faults, fmt.Errorf("end run %s: %w", runID, err))
			}
			h.mu.Unlock()
		}
	}
}

func protect(name string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = crash(name, r, debug.Stack())
		}
	}()
	return f()
}

// Close closes what was started, every one of it, and says what went wrong
// there and at the ends of runs. Nothing is executed afterwards.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	faults := h.faults
	for _, name := range slices.Sorted(maps.Keys(h.started)) {
		if err := protect(name, h.started[name].Close); err != nil {
			faults = append(faults, fmt.Errorf("close plugin %s: %w", name, err))
		}
	}
	clear(h.started)
	h.told = nil
	h.faults = nil
	if h.remote != nil {
		faults = append(faults, h.remote.Close())
	}
	return errors.Join(faults...)
}
