package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// shake has two nodes prove themselves to each other.
func shake(a, b *Identity) error {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	server := tls.Server(there, b.tls())
	answered := make(chan error, 1)
	go func() { answered <- server.Handshake() }()
	err := tls.Client(here, a.tls()).Handshake()
	if err != nil {
		_ = here.Close() // so that the other side hears of it
	}
	return errors.Join(err, <-answered)
}

// A cluster that runs for thirty years always has certificates that are good: each is
// renewed at two thirds of its life, and a node that was off for long renews its own as it
// starts.
func TestCertificatesOfNodesDoNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		first, err := Found(t.TempDir(), "node-a")
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		key, request, err := Request("node-b")
		if err != nil {
			t.Fatal(err)
		}
		cert, err := first.Sign(request, "node-b")
		if err != nil {
			t.Fatal(err)
		}
		ca, caKey, err := first.Authority()
		if err != nil {
			t.Fatal(err)
		}
		if err := Install(dir, cert, key, ca, caKey); err != nil {
			t.Fatal(err)
		}
		second, err := LoadIdentity(dir)
		if err != nil {
			t.Fatal(err)
		}
		run := func(ids ...*Identity) (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			for _, i := range ids {
				go i.renewals(ctx, log)
			}
			return func() { cancel(); synctest.Wait() }
		}
		stop := run(first, second)
		began, names := time.Now(), map[string]bool{}
		for range 30 * 12 {
			<-time.After(365 * 24 * time.Hour / 12)
			if err := shake(first, second); err != nil {
				t.Fatalf("after %s: %v", time.Since(began), err)
			}
			c := second.pair.Load().Leaf
			if left := time.Until(c.NotAfter); left < lifetime/4 || nodeID(c) != "node-b" {
				t.Fatalf("after %s: got %s left of the certificate of %s", time.Since(began), left, nodeID(c))
			}
			names[c.SerialNumber.String()] = true
		}
		if n := len(names); n < 40 || n > 50 {
			t.Errorf("got %d certificates in 30 years, want one in eight months", n)
		}
		stop()

		// Off for two years: what is on the disk has ended.
		<-time.After(2 * lifetime)
		if second, err = LoadIdentity(dir); err != nil {
			t.Fatal(err)
		}
		if err := shake(first, second); err == nil {
			t.Error("got two nodes with certificates that have ended let each other in")
		}
		defer run(first, second)()
		synctest.Wait()
		if err := shake(first, second); err != nil {
			t.Errorf("after a start: %v", err)
		}
		again, err := LoadIdentity(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := shake(first, again); err != nil {
			t.Errorf("with what is on the disk: %v", err)
		}
	})
}

// What cannot be renewed says why, and leaves what there is as it is.
func TestACertificateThatCannotBeRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		i, err := Found(dir, "node-a")
		if err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(filepath.Join(dir, certFile))
		if err != nil {
			t.Fatal(err)
		}
		without := &Identity{dir: dir, authority: i.authority, pool: i.pool}
		without.pair.Store(i.pair.Load())
		if err := without.renew(); err == nil || !strings.Contains(err.Error(), "does not have the key") {
			t.Errorf("without the authority's key: got %v", err)
		}
		if after, err := os.ReadFile(filepath.Join(dir, certFile)); err != nil || string(after) != string(before) {
			t.Errorf("got another certificate on the disk, and %v", err)
		}
		<-time.After(authorityLifetime - lifetime/2)
		if err := i.renew(); err != nil {
			t.Fatal(err)
		}
		if end := i.pair.Load().Leaf.NotAfter; !end.Equal(i.authority.NotAfter) {
			t.Errorf("got a certificate until %s, want it no longer than its authority, %s", end, i.authority.NotAfter)
		}
		if err := i.renew(); err == nil || !strings.Contains(err.Error(), "authority of this cluster itself ends") {
			t.Errorf("at the end of the authority: got %v", err)
		}
	})
}
