package websocket

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// maxConnections bounds those of a run, with the messages that they keep.
const maxConnections = 1000

// connections are those of a run, also the ones that have ended: what came over
// them can still be looked at.
type connections struct {
	mu  sync.Mutex
	all []*conn // as they were opened
}

// keptKey is where a run keeps its connections.
const keptKey = "connections"

// connectionsOf gives those of the call's run.
func connectionsOf(ctx context.Context, call *plugin.Call) (*connections, error) {
	return plugin.Keep(ctx, call, keptKey, func() (*connections, func() error, error) {
		all := &connections{}
		return all, all.close, nil
	})
}

// room makes sure that a connection of this name can be opened. What an earlier
// try of the same step opened makes room, and so does what has ended.
func (cs *connections) room(call *plugin.Call, name string) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	at := slices.IndexFunc(cs.all, func(c *conn) bool { return c.id == name })
	switch {
	case at < 0 && len(cs.all) >= maxConnections:
		return plugin.Definitionf("name", "this run has %d connections already", maxConnections).WithHint("close those that are done with, and use their names again")
	case at < 0:
		return nil
	}
	old := cs.all[at]
	if !old.isOver() && (old.step != call.StepID() || call.Try() < 2) {
		return plugin.Definitionf("name", "there is an open connection %q already, of step %s", name, old.step).
			WithHint("close it first with websocket.close, or give this one another name")
	}
	cs.all = slices.Delete(cs.all, at, at+1)
	old.giveUp()
	return nil
}

// add keeps a connection; where another one has taken its name meanwhile, it is
// given up.
func (cs *connections) add(c *conn) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if slices.ContainsFunc(cs.all, func(other *conn) bool { return other.id == c.id }) {
		c.giveUp()
		return plugin.Definitionf("name", "another step has opened a connection %q at the same time", c.id).WithHint("give each a name of its own")
	}
	cs.all = append(cs.all, c)
	return nil
}

func (cs *connections) close() error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var ending sync.WaitGroup
	for _, c := range cs.all {
		ending.Go(c.giveUp) // each may wait a moment for a server that does not read
	}
	ending.Wait()
	cs.all = nil
	return nil
}

// find gives the connection of a name, or of the step that opened it, or the
// only one; field is the config key that says which.
func find(call *plugin.Call, field, name string) (*conn, error) {
	kept, _ := plugin.Kept[*connections](call, keptKey)
	if kept == nil {
		kept = &connections{}
	}
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if len(kept.all) == 0 {
		return nil, plugin.Definitionf(field, "this run has no connection").WithHint("a step with websocket.connect comes first, and must have got 101")
	}
	if name == "" {
		if len(kept.all) == 1 {
			return kept.all[0], nil
		}
		return nil, plugin.Definitionf(field, "is needed: this run has %d connections, %s", len(kept.all), kept.names())
	}
	for _, is := range []func(*conn) bool{
		func(c *conn) bool { return c.id == name },
		func(c *conn) bool { return c.step == name },
	} {
		if at := slices.IndexFunc(kept.all, is); at >= 0 {
			return kept.all[at], nil
		}
	}
	return nil, plugin.Definitionf(field, "there is no connection %q; this run has %s", clip(name), kept.names())
}

func (cs *connections) names() string {
	var names []string
	for _, c := range cs.all {
		names = append(names, fmt.Sprintf("%q of step %s", c.id, c.step))
		if len(names) == maxListed && len(cs.all) > maxListed {
			names = append(names, "…")
			break
		}
	}
	return strings.Join(names, ", ")
}
