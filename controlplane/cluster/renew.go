package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

const (
	// renewLook is how often a node looks whether its certificate is to be renewed: timers
	// stand still with a machine that sleeps.
	renewLook = 12 * time.Hour
	// newCertFile is a certificate that is being written.
	newCertFile = "node.pem.new"
)

// renewals keeps the certificate of this node from ending: at two thirds of its life, or
// at the start where that was missed, it gets another for the same key, by the authority
// that every member has. Connections that are open go on.
func (i *Identity) renewals(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(renewLook)
	defer tick.Stop()
	for {
		if !time.Now().Before(i.renewAt()) {
			switch err := i.renew(); {
			case err != nil:
				log.Error("the certificate of this node could not be renewed", "ends", i.pair.Load().Leaf.NotAfter, "error", err)
			default:
				log.Info("the certificate of this node was renewed", "ends", i.pair.Load().Leaf.NotAfter)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// renewAt is when two thirds of the certificate's life are over.
func (i *Identity) renewAt() time.Time {
	c := i.pair.Load().Leaf
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) * 2 / 3)
}

func (i *Identity) renew() error {
	if i.signs == nil {
		return errors.New("this node does not have the key of the cluster's authority: let it join anew")
	}
	old := i.pair.Load()
	if !i.authority.NotAfter.After(old.Leaf.NotAfter) {
		return fmt.Errorf("the authority of this cluster itself ends at %s: its nodes must join another one before", i.authority.NotAfter)
	}
	cert, err := i.issue(old.Leaf.PublicKey, nodeID(old.Leaf))
	if err != nil {
		return err
	}
	key, err := os.ReadFile(filepath.Join(i.dir, keyFile))
	if err != nil {
		return fmt.Errorf("read the node's key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("check the new certificate: %w", err)
	}
	// By all of it or not: a node without a certificate would not start.
	fresh := filepath.Join(i.dir, newCertFile)
	if err := write(fresh, cert); err != nil {
		return fmt.Errorf("write the new certificate: %w", err)
	}
	if err := os.Rename(fresh, filepath.Join(i.dir, certFile)); err != nil {
		return fmt.Errorf("write the new certificate: %w", err)
	}
	i.pair.Store(&pair)
	return nil
}
