//go:build !slim

package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/systemd"
)

const (
	// tendEvery is how often the service manager hears what has changed.
	tendEvery = time.Second
	// aliveWithin bounds a look at whether a node is alive.
	aliveWithin = 10 * time.Second
)

// tended is a node as its service manager sees it.
type tended struct {
	// alive is an error, or late, where the node does not work any more.
	alive func(ctx context.Context) error
	// doing is how it is doing, in a line.
	doing func() string
}

// tend tells the service manager how a node is doing until ctx ends: it has started, as
// its addresses take connections; waiting for the others of a cluster is no start.
func tend(ctx context.Context, manager *systemd.Notifier, node tended, log *slog.Logger) {
	if manager == nil {
		return
	}
	var beside sync.WaitGroup
	defer beside.Wait()
	tell := func(err error) {
		if err != nil {
			log.Debug("the service manager does not listen", "error", err)
		}
	}
	beside.Go(func() {
		err := manager.Watch(ctx, func() error {
			bounded, cancel := context.WithTimeout(ctx, aliveWithin)
			defer cancel()
			return node.alive(bounded)
		})
		if err != nil {
			log.Warn("the service manager was not told that the node is alive", "error", err)
		}
	})
	tell(manager.Ready(node.doing()))
	t := time.NewTicker(tendEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			tell(manager.Status(node.doing()))
		case <-ctx.Done():
			tell(manager.Stopping("hands over, and ends"))
			return
		}
	}
}
