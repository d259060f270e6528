// Command kafka-server is the broker of the tests: Kafka's own protocol over
// franz-go's kfake, once plain, once with SASL and once with TLS, and a schema
// registry beside them. It keeps everything in memory and never makes a topic by
// itself, so that one that does not exist can be tried. It is no part of the
// product.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Who may use the broker with SASL.
const (
	user     = "testmesh"
	password = "testmesh-secret"
)

// stopWithin bounds how long requests to the registry may go on after a signal.
const stopWithin = time.Second

func main() {
	dir := flag.String("dir", "", "folder with cert.pem and key.pem")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *dir, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kafka-server:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It prints where, and then "ready".
func run(ctx context.Context, dir string, out io.Writer) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return fmt.Errorf("read the certificate in --dir: %w", err)
	}
	brokers := []struct {
		name    string
		options []kfake.Opt
	}{
		// Three of them, so that a client has to find the leader of a partition.
		{"KAFKA_BROKERS", []kfake.Opt{kfake.NumBrokers(3)}},
		{"KAFKA_SASL_BROKERS", []kfake.Opt{
			kfake.NumBrokers(1), kfake.EnableSASL(),
			kfake.Superuser("PLAIN", user, password), kfake.Superuser("SCRAM-SHA-256", user, password), kfake.Superuser("SCRAM-SHA-512", user, password),
		}},
		{"KAFKA_TLS_BROKERS", []kfake.Opt{
			kfake.NumBrokers(1), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}),
		}},
	}
	for _, b := range brokers {
		cluster, err := kfake.NewCluster(append(b.options, kfake.DefaultNumPartitions(1))...)
		if err != nil {
			return fmt.Errorf("start %s: %w", b.name, err)
		}
		defer cluster.Close()
		fmt.Fprintf(out, "%s=%s\n", b.name, cluster.ListenAddrs()[0])
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the schema registry: %w", err)
	}
	registry := &http.Server{Handler: newRegistry(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- registry.Serve(l) }()
	fmt.Fprintf(out, "SCHEMA_REGISTRY_URL=http://%s\nready\n", l.Addr())
	select {
	case err := <-failed:
		return fmt.Errorf("serve the schema registry: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if err := registry.Shutdown(ending); err != nil {
		_ = registry.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the schema registry: %w", err)
	}
	return nil
}
