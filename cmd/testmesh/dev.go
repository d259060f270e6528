//go:build !slim

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/testmesh/testmesh/agent"
	"github.com/testmesh/testmesh/agent/probe"
	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/controlplane"
	"github.com/testmesh/testmesh/examples/demo"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// dev starts a node, an agent and the demo application in this process.
func dev(ctx context.Context, s *cli.State, m cli.Mesh) (_ *cli.Meshed, err error) {
	out := &cli.Meshed{}
	log := slog.New(slog.NewTextHandler(s.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var listeners []net.Listener
	for _, want := range []struct{ what, address string }{{"control plane", m.Address}, {"demo application", m.Demo}} {
		l, moved, err := listen(want.what, want.address)
		if err != nil {
			return nil, err
		}
		if moved != "" {
			out.Moved = append(out.Moved, moved)
		}
		listeners = append(listeners, l)
	}
	out.Server, out.Demo = "http://"+listeners[0].Addr().String(), "http://"+listeners[1].Addr().String()
	out.Open = browser(s, out.Server)
	files, err := page()
	if err != nil {
		return nil, err
	}
	node, err := controlplane.New(controlplane.Config{
		Page: files,
		Dir:  filepath.Join(m.Dir, "server"), Listener: listeners[0], Open: true, Builtins: descriptors(), Version: version, Logger: log,
		Exit: func(why string) { log.Error("the control plane ends", "reason", why); os.Exit(batch.ExitInternal) },
	})
	if err != nil {
		return nil, err
	}
	app, err := demo.New(demo.Config{})
	if err != nil {
		return nil, err
	}
	g, running := errgroup.WithContext(context.WithoutCancel(ctx))
	lower, stopLower := context.WithCancel(running) // the agent ends before what it speaks with
	g.Go(func() error { return node.Run(lower) })
	g.Go(func() error { return app.Run(lower, listeners[1]) })
	started := make(chan error, 1)
	g.Go(func() error {
		defer stopLower()
		working, stop := context.WithCancel(running)
		defer stop()
		stopping := context.AfterFunc(ctx, stop)
		defer stopping()
		a, err := devAgent(working, s, m, out, log)
		started <- err
		if err != nil {
			return err
		}
		return a.Run(working)
	})
	out.Wait = g.Wait
	if err := <-started; err != nil {
		return nil, errors.Join(err, g.Wait())
	}
	return out, nil
}

// devAgent joins the node of this process.
func devAgent(ctx context.Context, s *cli.State, m cli.Mesh, out *cli.Meshed, log *slog.Logger) (*agent.Agent, error) {
	cfg := agent.Config{
		Server: out.Server, Dir: filepath.Join(m.Dir, "agent"), Name: "dev", Slots: max(runtime.NumCPU(), 4), Prober: probe.New(), Version: version, Logger: log,
		Facts: map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH, "version": version},
		Env: func(name string) (string, bool) {
			if name == "API_BASE_URL" {
				return out.Demo, true
			}
			return s.LookupEnv(name)
		},
	}
	var err error
	if cfg.Host, err = host(cfg.Name); err != nil {
		return nil, err
	}
	cfg.Descriptors = descriptors()
	if _, err := os.Stat(filepath.Join(cfg.Dir, "key.json")); err != nil { // it has not joined yet
		c, err := client.New(client.Config{Address: out.Server})
		if err != nil {
			return nil, err
		}
		token, err := c.Agents.CreateJoinToken(ctx, &apiv1.CreateJoinTokenRequest{})
		if err != nil {
			return nil, fmt.Errorf("make a join token: %w", err)
		}
		cfg.Token = token.GetSecret()
	}
	return agent.New(cfg)
}

// listen takes an address, or the next free port where another program has it.
func listen(what, address string) (l net.Listener, moved string, err error) {
	l, err = net.Listen("tcp", address)
	if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
		return l, "", err
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return nil, "", err
	}
	if l, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
		return nil, "", err
	}
	return l, fmt.Sprintf("%s is taken by another program: the %s is at %s", address, what, l.Addr()), nil
}
