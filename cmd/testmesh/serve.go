//go:build !slim

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/cli/mesh"
	"github.com/testmesh/testmesh/controlplane"
)

// serve runs a node.
func serve(ctx context.Context, s *cli.State, srv mesh.Server, ready func(address, adminKey string)) error {
	log := slog.New(slog.NewTextHandler(s.Stderr, nil))
	faults, err := faults(s)
	if err != nil {
		return err
	}
	cfg := controlplane.Config{
		Fault: faults,
		Dir:   srv.Dir, AdminKey: srv.AdminKey, Version: version, Logger: log, Builtins: descriptors(),
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
