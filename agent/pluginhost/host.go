// Package pluginhost gives every try to the plugin that executes it. Plugins
// that are resident run in this process, made on first use. It never interprets
// configs or results.
package pluginhost

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// maxLastWords bounds the stack that a crash of a plugin reports.
const maxLastWords = 2000

// Host owns the plugins of a process.
type Host struct {
	resident map[string]func() plugin.Plugin

	mu      sync.Mutex
	started map[string]plugin.Plugin
}

// New makes a host of resident plugins, by name; none is made before a step
// needs it.
func New(resident map[string]func() plugin.Plugin) *Host {
	return &Host{resident: resident, started: make(map[string]plugin.Plugin)}
}

func (h *Host) plugin(name string) (plugin.Plugin, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
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
	h.started[name] = p
	return p, nil
}

// Execute runs one try. A panic of the plugin is its fault, with its last
// words, and no other run's.
func (h *Host) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (res *plugin.Response, err error) {
	name, _, _ := strings.Cut(req.Action, ".")
	p, err := h.plugin(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			stack := debug.Stack()
			res, err = nil, &plugin.Error{
				Code: plugin.CodePlugin, Blame: plugin.BlamePlugin,
				Message: fmt.Sprintf("plugin %s panicked: %v", name, r),
				Hint:    "this is a bug of the plugin, not of your flow or your service",
				Details: strings.Split(string(stack[:min(len(stack), maxLastWords)]), "\n"),
			}
		}
	}()
	return p.Execute(ctx, req, out)
}

// EndRun lets every started plugin drop what it kept for the run.
func (h *Host) EndRun(runID string) {
	h.mu.Lock()
	plugins := make([]plugin.Plugin, 0, len(h.started))
	for _, p := range h.started {
		plugins = append(plugins, p)
	}
	h.mu.Unlock()
	for _, p := range plugins {
		p.EndRun(runID)
	}
}

// Close closes what was started.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var first error
	for name, p := range h.started {
		if err := p.Close(); err != nil && first == nil {
			first = fmt.Errorf("close plugin %s: %w", name, err)
		}
		delete(h.started, name)
	}
	return first
}
