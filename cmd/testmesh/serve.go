//go:build !slim

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/testmesh/testmesh/agent/command"
	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/cli/mesh"
	"github.com/testmesh/testmesh/controlplane"
	"github.com/testmesh/testmesh/controlplane/cluster"
	"github.com/testmesh/testmesh/controlplane/dispatch"
	"github.com/testmesh/testmesh/sdk/systemd"
)

// serve runs a node.
func serve(ctx context.Context, s *cli.State, srv mesh.Server, ready func(mesh.Ready)) (err error) {
	log := slog.New(slog.NewTextHandler(s.Stderr, nil))
	cfg := controlplane.Config{
		Dir: srv.Dir, AdminKey: srv.AdminKey, Version: version, Logger: log, Builtins: descriptors(), Origins: srv.Origins,
		Timing: dispatch.Timing{
			TTL: srv.Leases.TTL, Grace: srv.Leases.Grace, Renew: srv.Leases.Renew, StartWithin: srv.Leases.StartWithin, CancelGrace: srv.Leases.CancelGrace,
		},
		Retention: controlplane.Retention{HotRuns: srv.Retention.HotRuns, Days: srv.Retention.Days},
		Exit:      func(why string) { log.Error("the control plane ends", "reason", why); os.Exit(batch.ExitInternal) },
	}
	if cfg.Fault, err = faults(s); err != nil {
		return err
	}
	if cfg.Blobs, err = blobs(srv.Blobs); err != nil {
		return err
	}
	if cfg.Page, err = page(); err != nil {
		return err
	}
	scheme := "http://"
	if srv.CertFile != "" {
		reloaded, err := certificate(srv.CertFile, srv.KeyFile, log)
		if err != nil {
			return err
		}
		scheme = "https://"
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: reloaded}
	}
	var taken []net.Listener
	defer func() {
		for _, l := range taken { // a node that runs has closed them
			if closed := l.Close(); !errors.Is(closed, net.ErrClosed) {
				err = errors.Join(err, closed)
			}
		}
	}()
	if cfg.Listener, err = net.Listen("tcp", srv.Address); err != nil {
		return fmt.Errorf("listen at %s: %w", srv.Address, err)
	}
	taken = append(taken, cfg.Listener)
	cfg.Advertise = srv.Advertise
	if cfg.Advertise == "" {
		cfg.Advertise = scheme + cfg.Listener.Addr().String()
	}
	if cfg.Cluster, err = several(srv.Cluster); err != nil {
		return err
	}
	r := mesh.Ready{API: scheme + cfg.Listener.Addr().String()}
	if cfg.Cluster != nil {
		taken = append(taken, cfg.Cluster.Listener)
		r.Cluster = cfg.Cluster.Address
		if err := join(ctx, srv, cfg); err != nil {
			return err
		}
	}
	node, err := controlplane.New(cfg)
	if err != nil {
		return err
	}
	r.Node, r.AdminKey = node.ID(), node.AdminKey()
	if err := writeReady(srv.ReadyFile, r); err != nil {
		return err
	}
	ready(r)
	tending, stop := context.WithCancel(ctx)
	ended, as := make(chan struct{}), tended{node.Pulse(), node.Doing}
	go func() {
		defer close(ended)
		tend(tending, systemd.New(s.LookupEnv, os.Getpid()), as, log)
	}()
	err = node.Run(ctx)
	stop()
	<-ended
	if errors.Is(err, controlplane.ErrRemoved) {
		return command.Lasting(err)
	}
	return err
}

func blobs(b mesh.Blobs) (controlplane.BlobConfig, error) {
	cfg := controlplane.BlobConfig{URL: b.URL, AccessKey: b.AccessKey, SecretKey: b.SecretKey, SessionToken: b.SessionToken}
	if b.CAFile == "" {
		return cfg, nil
	}
	var err error
	if cfg.CAPEM, err = os.ReadFile(b.CAFile); err != nil {
		return cfg, fmt.Errorf("read the certificate authority of the bucket: %w", err)
	}
	return cfg, nil
}

// several is how a node is one of several; nil: it is alone.
func several(c mesh.Cluster) (*controlplane.ClusterConfig, error) {
	if c.Address == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for the other nodes at %s: %w", c.Address, err)
	}
	address := c.Advertise
	if address == "" {
		address = l.Addr().String()
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--cluster-advertise %q is no HOST:PORT", address), l.Close())
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return nil, errors.Join(fmt.Errorf("other nodes cannot reach this one by %s\n  hint: --cluster-advertise HOST:PORT says by what", address), l.Close())
	}
	return &controlplane.ClusterConfig{
		Listener: l, Address: address, Bootstrap: c.Bootstrap,
		Timing: cluster.Timing{Heartbeat: c.Heartbeat, Election: c.Heartbeat, Lease: c.Heartbeat / 2, Steady: c.Steady},
	}, nil
}

// join lets a node in that is of no cluster yet. One that is needs no token any more.
func join(ctx context.Context, srv mesh.Server, cfg controlplane.Config) error {
	if srv.Cluster.Join == "" || controlplane.Joined(srv.Dir) {
		return nil
	}
	return controlplane.Join(ctx, controlplane.Joining{
		Dir: srv.Dir, Server: srv.Cluster.Join, Token: srv.Cluster.Token, CAFile: srv.Cluster.CAFile,
		Cluster: cfg.Cluster.Address, API: cfg.Advertise, Version: version,
	})
}

// writeReady tells programs that the node listens: the file is there as a whole, or not.
func writeReady(file string, r mesh.Ready) error {
	if file == "" {
		return nil
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	fresh := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".new")
	if err := os.WriteFile(fresh, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.Rename(fresh, file); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// restore makes a snapshot the state of a node that does not run.
func restore(ctx context.Context, r mesh.Restore) (string, error) {
	return controlplane.Restore(ctx, controlplane.Restoring{Dir: r.Dir, Snapshot: r.File, SealKey: r.SealKey, Force: r.Force})
}

// recoverNode makes a cluster of a node that does not run alone.
func recoverNode(ctx context.Context, dir string) (string, error) {
	return controlplane.Recover(ctx, dir)
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
