package plugintest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/protojson"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/plugin/wire"
)

const (
	// exitTimeout is how long a process may take to end once it should.
	exitTimeout = 3 * time.Second
	// unknownProtocol is a version of the wire that nobody speaks.
	unknownProtocol = 9999
	// strangerTimeout bounds the attempt to talk to a plugin without being its host.
	strangerTimeout = 3 * time.Second
	// minCertificate is less than any certificate is long.
	minCertificate = 50
)

func startCases() []testCase {
	return []testCase{{
		id: "handshake", process: true, alone: true,
		title: "the first line on standard output is the handshake, within ten seconds",
		why:   "the host reads the first line to learn where the plugin listens; anything before it, also a banner or a warning of a runtime, makes the plugin unusable",
		fix:   "print nothing to standard output before the handshake, log to standard error, and print CORE|PROTOCOL|unix|SOCKET|grpc|CERTIFICATE with the certificate that PLUGIN_CLIENT_CERT asks for",
		run:   handshake,
	}, {
		id: "stranger", process: true,
		title: "only the host can talk to the plugin",
		why:   "a plugin holds the credentials of the system under test; another user of the machine must not be able to ask it for anything",
		fix:   "listen on a Unix socket in the folder that PLUGIN_UNIX_SOCKET_DIR names, require a client certificate and accept only that of PLUGIN_CLIENT_CERT",
		run:   strangers,
	}, {
		id: "by-hand", process: true, alone: true,
		title: "started by hand it says what it is and ends with an error",
		why:   "people start a program to see what it does; one that hangs or prints a handshake looks broken",
		fix:   "where the variable TESTMESH_PLUGIN is not what the handshake wants, print one sentence to standard error and exit with a code that is not 0",
		run:   byHand,
	}, {
		id: "describe-command", process: true, alone: true,
		title: "with the argument describe it prints the descriptor as JSON",
		why:   "packages, lock files and reference pages are made without starting a host",
		fix:   "where the first argument is describe, print the same descriptor as JSON to standard output and exit with 0",
		run:   describeCommand,
	}, {
		id: "version", process: true,
		title: "of the protocols that a host offers it chooses its own, and it refuses a host that speaks only others",
		why:   "a plugin that pretends to speak a protocol that it does not know fails in the middle of a run",
		fix:   "choose among PLUGIN_PROTOCOL_VERSIONS; where none is known, name your own version in the handshake or exit with a sentence on standard error",
		run:   versions,
	}, {
		id: "health-service", process: true,
		title: "the service grpc.health.v1 says that plugin is SERVING",
		why:   "hosts ping it to learn that the process still works",
		fix:   "serve grpc.health.v1.Health with the status SERVING for the service named plugin",
		run:   healthService,
	}}
}

func handshake(ctx context.Context, k *kit) error {
	s, err := k.launch(launchOptions{})
	if err != nil {
		k.unstartable = err
		return err
	}
	defer s.kill()
	parts := strings.Split(strings.TrimSpace(s.process.first.String()), "|")
	if len(parts) < 6 || len(parts[5]) < minCertificate {
		k.unstartable = errors.New("no certificate")
		return fmt.Errorf("the handshake %q has no certificate, which PLUGIN_CLIENT_CERT asks for", cut(strings.Join(parts, "|"), 100))
	}
	ctx, end := context.WithTimeout(ctx, answerTimeout)
	defer end()
	began := time.Now()
	if _, err := s.api.Describe(ctx, &pluginv1.DescribeRequest{}); err != nil {
		k.unstartable = err
		return fmt.Errorf("it did not answer Describe after the handshake: %w; %s", err, s.process.lastWords())
	}
	k.measured("start", milliseconds(s.took+time.Since(began)), "ms")
	return nil
}

func strangers(ctx context.Context, k *kit) error {
	s, err := k.launch(launchOptions{})
	if err != nil {
		return err
	}
	defer s.kill()
	if runtime.GOOS != "windows" {
		if s.network != "unix" {
			return fmt.Errorf("it listens on %s %s and not on a Unix socket", s.network, s.address)
		}
		if inside, err := filepath.Rel(s.sockets, s.address); err != nil || strings.HasPrefix(inside, "..") {
			return fmt.Errorf("it listens on %s, outside of the folder that PLUGIN_UNIX_SOCKET_DIR names", s.address)
		}
	}
	for name, proof := range map[string]credentials.TransportCredentials{
		"without TLS":                insecure.NewCredentials(),
		"without a host certificate": credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}), //nolint:gosec // a stranger trusts anybody
	} {
		if s.answers(ctx, proof) {
			return fmt.Errorf("it answered a caller %s", name)
		}
	}
	return s.ping(ctx)
}

// answers says whether the plugin answers a caller with other credentials.
func (s *subject) answers(ctx context.Context, proof credentials.TransportCredentials) bool {
	ctx, end := context.WithTimeout(ctx, strangerTimeout)
	defer end()
	conn, err := grpc.NewClient("passthrough:///stranger", grpc.WithTransportCredentials(proof),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, s.network, s.address)
		}))
	if err != nil {
		return false
	}
	defer conn.Close()
	_, err = pluginv1.NewPluginServiceClient(conn).Describe(ctx, &pluginv1.DescribeRequest{})
	return err == nil
}

// ping asks the health service of go-plugin.
func (s *subject) ping(ctx context.Context) error {
	ctx, end := context.WithTimeout(ctx, answerTimeout)
	defer end()
	h, err := grpc_health_v1.NewHealthClient(s.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
	if err != nil {
		return fmt.Errorf("the health service did not answer: %w", err)
	}
	if h.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the health service says %s of the service %s", h.GetStatus(), goplugin.GRPCServiceName)
	}
	return nil
}

func healthService(ctx context.Context, k *kit) error {
	s, err := k.subject(ctx)
	if err != nil {
		return err
	}
	return s.ping(ctx)
}

// runPlain runs the program as a person would, with no handshake in sight.
func (k *kit) runPlain(args ...string) (*process, error) {
	cmd, err := command(k.config.Command, k.config.Dir)
	if err != nil {
		return nil, err
	}
	marker := markerName + "=" + randomHex()
	cmd.Args = append(cmd.Args, args...)
	cmd.Env = append([]string{marker}, k.config.Env...)
	p, err := start(cmd, marker)
	if err != nil {
		return nil, err
	}
	defer p.killGroup()
	go func() { _, _ = new(bytes.Buffer).ReadFrom(p.firstLine) }()
	if !p.ends(startTimeout) {
		p.killGroup()
		<-p.exited
		return nil, fmt.Errorf("it was still running after %v: %s", startTimeout, p.lastWords())
	}
	return p, nil
}

func byHand(_ context.Context, k *kit) error {
	p, err := k.runPlain()
	if err != nil {
		return err
	}
	said := p.stderr.String() + p.first.String() + p.stdout.String()
	const sentence = 3 // words
	switch {
	case p.exitCode() == 0:
		return errors.New("it ended with exit code 0, as if it had done something")
	case p.exitCode() < 0:
		return fmt.Errorf("it was ended by a signal: %s", p.lastWords())
	case strings.HasPrefix(p.first.String(), "1|"):
		return fmt.Errorf("it printed a handshake to nobody: %q", cut(p.first.String(), 60))
	case len(strings.Fields(said)) < sentence:
		return fmt.Errorf("it ended with exit code %d and said only %q", p.exitCode(), tail(said))
	}
	return nil
}

func describeCommand(ctx context.Context, k *kit) error {
	p, err := k.runPlain("describe")
	if err != nil {
		return err
	}
	if p.exitCode() != 0 {
		return missing("let the program print its descriptor as JSON when its first argument is describe; then a package is made without a host")
	}
	printed := &testmeshv1.Descriptor{}
	if err := protojson.Unmarshal([]byte(p.first.String()+p.stdout.String()), printed); err != nil {
		return fmt.Errorf("what it printed is not a descriptor as JSON: %w", err)
	}
	if k.unstartable != nil {
		return nil
	}
	s, err := k.subject(ctx)
	if err != nil {
		return err
	}
	over, err := s.describe(ctx)
	if err != nil {
		return err
	}
	return sameDescriptor("what it printed", printed, "what it says over the wire", over)
}

func versions(ctx context.Context, k *kit) error {
	both, err := k.launch(launchOptions{versions: []int{wire.Protocol, unknownProtocol}})
	if err != nil {
		return fmt.Errorf("a host that speaks %d and %d: %w", wire.Protocol, unknownProtocol, err)
	}
	defer both.kill()
	if got := both.client.NegotiatedVersion(); got != wire.Protocol {
		return fmt.Errorf("a host that speaks %d and %d was told %d", wire.Protocol, unknownProtocol, got)
	}
	s, err := k.launch(launchOptions{versions: []int{unknownProtocol}})
	if err == nil {
		defer s.kill()
		return fmt.Errorf("it agreed to speak protocol %d", unknownProtocol)
	}
	if s == nil || s.process == nil {
		return err
	}
	line := strings.TrimSpace(s.process.first.String())
	if strings.HasPrefix(line, "1|") {
		return nil // it named its own version, and the host has refused it
	}
	if line != "" {
		return fmt.Errorf("in place of a handshake it printed %q", tail(line))
	}
	if s.process.exitCode() <= 0 {
		return fmt.Errorf("it printed no handshake and did not end by itself with an error: %s", s.process.lastWords())
	}
	if strings.TrimSpace(s.process.stderr.String()) == "" {
		return errors.New("it ended without a sentence on standard error that says which versions it speaks")
	}
	return ctx.Err()
}
