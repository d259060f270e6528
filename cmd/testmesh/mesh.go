//go:build !slim

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/testmesh/testmesh/agent"
	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/agent/pluginhost/process"
	"github.com/testmesh/testmesh/agent/probe"
	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/cli/mesh"
	"github.com/testmesh/testmesh/controlplane"
	"github.com/testmesh/testmesh/examples/demo"
	"github.com/testmesh/testmesh/plugins"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
	"github.com/testmesh/testmesh/sdk/client"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// serve runs a node.
func serve(ctx context.Context, s *cli.State, srv mesh.Server, ready func(address, adminKey string)) error {
	log := slog.New(slog.NewTextHandler(s.Stderr, nil))
	cfg := controlplane.Config{
		Dir: srv.Dir, AdminKey: srv.AdminKey, Version: version, Logger: log, Builtins: descriptors(),
		Exit: func(why string) { log.Error("the control plane ends", "reason", why); os.Exit(batch.ExitInternal) },
	}
	scheme := "http://"
	if srv.CertFile != "" || srv.KeyFile != "" {
		reloaded, err := certificate(srv.CertFile, srv.KeyFile, log)
		if err != nil {
			return err
		}
		scheme = "https://"
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: reloaded}
	}
	l, err := net.Listen("tcp", srv.Address)
	if err != nil {
		return fmt.Errorf("listen at %s: %w", srv.Address, err)
	}
	cfg.Listener = l
	node, err := controlplane.New(cfg)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	ready(scheme+l.Addr().String(), node.AdminKey())
	return node.Run(ctx)
}

// certificate reads a certificate, and again once its file has changed.
func certificate(certFile, keyFile string, log *slog.Logger) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	var mu sync.Mutex
	var current tls.Certificate
	var read time.Time
	load := func() error {
		info, err := os.Stat(certFile)
		if err != nil {
			return fmt.Errorf("read certificate: %w", err)
		}
		if info.ModTime().Equal(read) {
			return nil
		}
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return fmt.Errorf("read certificate: %w", err)
		}
		current, read = pair, info.ModTime()
		return nil
	}
	if err := load(); err != nil {
		return nil, err
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if err := load(); err != nil { // the one that is there is better than none
			log.Warn("the certificate could not be read again", "error", err)
		}
		c := current
		return &c, nil
	}, nil
}

// work runs an agent.
func work(ctx context.Context, s *cli.State, a mesh.Agent) error {
	log := slog.New(slog.NewTextHandler(s.Stderr, nil))
	host, err := host(a.Name)
	if err != nil {
		return err
	}
	allowed := map[string]bool{}
	for _, name := range a.AllowEnv {
		allowed[name] = true
	}
	facts := map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH, "version": version}
	maps.Copy(facts, a.Labels)
	one, err := agent.New(agent.Config{
		Server: a.Server, Dir: a.Dir, Name: a.Name, Token: a.Token, Slots: a.Slots, CAFile: a.CAFile, Facts: facts, Descriptors: descriptors(),
		Host: host, Prober: probe.New(), Version: version, Logger: log,
		Env: func(name string) (string, bool) {
			if !allowed[name] && !strings.HasPrefix(name, "TESTMESH_SECRET_") {
				return "", false
			}
			return s.LookupEnv(name)
		},
	})
	if err != nil {
		return err
	}
	go func() {
		select {
		case <-a.Drain:
			one.Drain()
		case <-ctx.Done():
		}
	}()
	return one.Run(ctx)
}

func descriptors() (list []*testmeshv1.Descriptor) {
	for _, p := range plugins.Builtins(version) {
		list = append(list, p.Descriptor)
	}
	return list
}

// host has the built-in plugins as an agent runs them.
func host(agentName string) (*pluginhost.Host, error) {
	resident, programs := map[string]func() plugin.Plugin{}, []pluginhost.Program(nil)
	for _, p := range plugins.Builtins(version) {
		if p.Apart {
			programs = append(programs, cli.BuiltinProgram(p.Descriptor, executable()))
			continue
		}
		resident[p.Descriptor.GetName()] = p.New
	}
	remote, err := process.New(process.Config{Programs: programs, Host: plugin.Host{Version: version, AgentName: agentName}, Environ: os.Environ()})
	if err != nil {
		return nil, err
	}
	return pluginhost.New(pluginhost.Config{Resident: resident, Remote: remote}), nil
}

// withMesh adds what speaks with a control plane, and what is one.
func withMesh(s *cli.State) {
	s.Remote = func(ctx context.Context, r cli.RemoteRun) (cli.RemoteResult, error) { return remote(ctx, s, r) }
	s.Topics = append(s.Topics, mesh.New(mesh.Config{
		Stdout: s.Stdout, Stderr: s.Stderr, LookupEnv: s.LookupEnv, Signals: s.Signals,
		Serve: func(ctx context.Context, srv mesh.Server, ready func(address, adminKey string)) error {
			return serve(ctx, s, srv, ready)
		},
		Work: func(ctx context.Context, a mesh.Agent) error { return work(ctx, s, a) },
	})...)
	s.Mesh = func(ctx context.Context, m cli.Mesh) (*cli.Meshed, error) { return dev(ctx, s, m) }
}

// remote runs flows at a control plane.
func remote(ctx context.Context, s *cli.State, r cli.RemoteRun) (res cli.RemoteResult, err error) {
	address := r.Server
	if address == "" {
		address, _ = s.LookupEnv("TESTMESH_SERVER")
	}
	if address == "" {
		return res, errors.New("which control plane? --server, or TESTMESH_SERVER, says it")
	}
	key := r.Key
	if key == "" {
		key, _ = s.LookupEnv("TESTMESH_KEY")
	}
	c, err := client.New(client.Config{Address: address, Key: key, CAFile: r.CAFile})
	if err != nil {
		return res, err
	}
	got, err := mesh.Run(ctx, mesh.Batch{Client: c, Files: r.Files, Source: source(r), Emit: r.Emit, Note: r.Note})
	if err != nil {
		return res, err
	}
	res = cli.RemoteResult{BatchID: got.BatchID, Counts: got.Counts, ExitCode: exitCode(ctx, got), Reason: got.Reason}
	return res, r.Emit(mesh.Finished(got, res.ExitCode))
}

func source(r cli.RemoteRun) *apiv1.Source {
	src := &apiv1.Source{
		Environment: r.Environment, Vars: r.Vars, Data: r.Data, Iterations: int32(r.Iterations), Repeat: int32(r.Repeat), Parallelism: int32(r.Parallel),
		KeepVariables: r.KeepVariables, StopOnFailure: r.StopOnFailure, StepTags: r.StepTags, From: r.From, To: r.To, Priority: 2, Seed: r.Seed, Trigger: r.Trigger,
	}
	if r.Delay > 0 {
		src.Delay = durationpb.New(r.Delay)
	}
	for _, f := range r.Flows {
		src.Flows = append(src.Flows, &apiv1.FlowRef{File: f.File, Index: int32(f.Index)})
	}
	if len(r.Target) > 0 {
		src.Target = &apiv1.Target{Match: map[string]*apiv1.Values{}}
		for label, values := range r.Target {
			src.Target.Match[label] = &apiv1.Values{Values: values}
		}
	}
	return src
}

// exitCode is that of `testmesh run`, by the batch's verdict.
func exitCode(ctx context.Context, r *mesh.Result) int {
	var signal *batch.SignalError
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &signal):
		return signal.ExitCode
	case errors.Is(cause, batch.ErrDeadline):
		return batch.ExitDeadline
	}
	switch r.Status {
	case apiv1.BatchStatus_BATCH_STATUS_PASSED:
		return batch.ExitPassed
	case apiv1.BatchStatus_BATCH_STATUS_FAILED:
		return batch.ExitFailed
	case apiv1.BatchStatus_BATCH_STATUS_SKIPPED:
		return batch.ExitNothing
	}
	return batch.ExitErrored
}

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
	node, err := controlplane.New(controlplane.Config{
		Dir: filepath.Join(m.Dir, "server"), Listener: listeners[0], Open: true, Builtins: descriptors(), Version: version, Logger: log,
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
