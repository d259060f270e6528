// Package agent runs flows for a control plane: it joins, takes work by outbound
// connections only, runs it with the engine, and streams back what happens. It never
// listens unless it is told to, and never decides what a run's end means.
package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/agent/lease"
	"github.com/testmesh/testmesh/agent/stream"
	"github.com/testmesh/testmesh/flow/catalog"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
	"github.com/testmesh/testmesh/sdk/client"
	"github.com/testmesh/testmesh/sdk/fault"
)

// Host executes steps and the functions of plugins. It is closed by the agent.
type Host interface {
	engine.Stepper
	engine.Functions
	Close() error
}

// Config is what an agent is.
type Config struct {
	// Server is the address of the control plane.
	Server string
	// Dir holds the agent's key, bundles and spools.
	Dir string
	// Name is shown to people; empty: the machine's.
	Name string
	// Token lets it join; it is not needed once it has.
	Token string
	// Slots is how many runs go at once; 0: 4.
	Slots int
	// CAFile is a certificate authority to trust beside the system's.
	CAFile string
	// Facts are labels that the agent reports of itself.
	Facts map[string]string
	// Descriptors are those of its plugins.
	Descriptors []*testmeshv1.Descriptor
	Host        Host
	Prober      engine.Prober
	// Env reads the process environment, as far as flows may; nil: not at all.
	Env     func(name string) (string, bool)
	Version string
	Logger  *slog.Logger
	// Fault is nil but in test builds.
	Fault *fault.Set
}

const (
	defaultSlots = 4
	keyFile      = "key.json"
	leaseFile    = "leases.json"
)

// Agent is one.
type Agent struct {
	cfg     Config
	http    *http.Client
	gateway apiv1connect.GatewayServiceClient
	signer  client.Signer
	catalog *catalog.Catalog
	sender  *stream.Sender
	budget  *stream.Budget
	manager *lease.Manager
	bundles *bundles

	mu      sync.Mutex
	batches map[string]*engine.Batch
}

// identity is what an agent has joined as.
type identity struct {
	AgentID string             `json:"agent_id"`
	Name    string             `json:"name"`
	Server  string             `json:"server"`
	Key     ed25519.PrivateKey `json:"key"`
}

// New makes an agent; it connects to nothing yet.
func New(cfg Config) (*Agent, error) {
	if cfg.Slots <= 0 {
		cfg.Slots = defaultSlots
	}
	if cfg.Name == "" {
		if name, err := os.Hostname(); err == nil {
			cfg.Name = name
		} else {
			cfg.Name = "agent"
		}
	}
	cfg.Server = strings.TrimSuffix(cfg.Server, "/")
	a := &Agent{cfg: cfg, budget: stream.NewBudget(0, cfg.Fault), batches: map[string]*engine.Batch{}}
	a.signer.Session = uuid.Must(uuid.NewV7()).String()
	var err error
	if a.catalog, err = catalog.New(cfg.Descriptors...); err != nil {
		return nil, fmt.Errorf("make catalog: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the agent's folder: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = http.ProxyFromEnvironment
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		if transport.TLSClientConfig.RootCAs, err = authorities(cfg.CAFile); err != nil {
			return nil, err
		}
	}
	a.http = &http.Client{Transport: signing{a, transport}}
	a.gateway = apiv1connect.NewGatewayServiceClient(a.http, cfg.Server)
	a.bundles = &bundles{dir: filepath.Join(cfg.Dir, "bundles"), fetch: a.fetch}
	a.manager = lease.New(lease.Config{
		Gateway: a.gateway, Preparer: a, Session: a.signer.Session, Slots: cfg.Slots, Logger: cfg.Logger, Keep: a.keep, Fault: cfg.Fault,
	})
	a.sender, err = stream.NewSender(stream.Config{
		Address: cfg.Server, Sign: a.signer.Sign, Poster: a.gateway, Logger: cfg.Logger,
		Dialer: &websocket.Dialer{Proxy: http.ProxyFromEnvironment, TLSClientConfig: transport.TLSClientConfig, HandshakeTimeout: 10 * time.Second},
	})
	return a, err
}

func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read certificate authority: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

// signing signs every request once the agent has joined.
type signing struct {
	agent *Agent
	next  http.RoundTripper
}

func (s signing) RoundTrip(req *http.Request) (*http.Response, error) {
	if s.agent.signer.Key != nil {
		req = req.Clone(req.Context())
		if err := s.agent.signer.Sign(req); err != nil {
			return nil, err
		}
	}
	return s.next.RoundTrip(req)
}

// Run joins where it must, and works until ctx ends or it is drained. The first end of
// ctx cancels what runs and tears it down.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.join(ctx); err != nil {
		return err
	}
	if err := a.hello(ctx); err != nil {
		return err
	}
	if err := stream.Sweep(a.spools()); err != nil {
		a.cfg.Logger.Warn("what an earlier process left could not be removed", "error", err)
	}
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		a.sender.Run(sending)
	}()
	a.cfg.Logger.Info("the agent takes work", "agent", a.signer.AgentID, "server", a.cfg.Server, "slots", a.cfg.Slots)
	err := a.manager.Run(ctx)
	stop()
	<-sent
	return errors.Join(err, a.cfg.Host.Close())
}

// spools is the folder of streams that are not all acknowledged.
func (a *Agent) spools() string { return filepath.Join(a.cfg.Dir, "spool") }

// Drain takes nothing new.
func (a *Agent) Drain() { a.manager.Drain() }

// join reads who the agent is, or becomes somebody by the token. A token that was used
// with this very key gives the same agent, so that an answer may get lost.
func (a *Agent) join(ctx context.Context) error {
	file := filepath.Join(a.cfg.Dir, keyFile)
	var me identity
	text, err := os.ReadFile(file)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &me); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
	case errors.Is(err, fs.ErrNotExist):
		if a.cfg.Token == "" {
			return errors.New("this agent has not joined yet: give it a join token, which testmesh agents token makes")
		}
		if _, me.Key, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return fmt.Errorf("make the agent's key: %w", err)
		}
	default:
		return fmt.Errorf("read %s: %w", file, err)
	}
	if me.AgentID == "" {
		if err := a.write(keyFile, me); err != nil { // before it is told to anybody
			return err
		}
		public := me.Key.Public().(ed25519.PublicKey)
		res, err := a.gateway.Join(ctx, &apiv1.JoinRequest{Token: a.cfg.Token, PublicKey: public, Name: a.cfg.Name, Version: a.cfg.Version})
		if err != nil {
			return fmt.Errorf("join %s: %w", a.cfg.Server, err)
		}
		me.AgentID, me.Name, me.Server = res.GetAgentId(), res.GetName(), a.cfg.Server
		if err := a.write(keyFile, me); err != nil {
			return err
		}
	}
	a.signer.AgentID, a.signer.Key = me.AgentID, me.Key
	return nil
}

// write replaces a file of the agent's folder as a whole.
func (a *Agent) write(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	file := filepath.Join(a.cfg.Dir, name)
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// keep remembers the leases for a process after this one.
func (a *Agent) keep(leases []*apiv1.Lease) error { return a.write(leaseFile, leases) }

// facts are what the agent reports of itself, with its plugins.
func (a *Agent) facts() map[string]string {
	facts := maps.Clone(a.cfg.Facts)
	if facts == nil {
		facts = map[string]string{}
	}
	for _, d := range a.cfg.Descriptors {
		facts["plugin."+d.GetName()] = d.GetVersion()
	}
	return facts
}

// hello begins the session. What an earlier process of this agent held is lost.
func (a *Agent) hello(ctx context.Context) error {
	var lost []*apiv1.Lease
	if text, err := os.ReadFile(filepath.Join(a.cfg.Dir, leaseFile)); err == nil {
		_ = json.Unmarshal(text, &lost) // half a file names nothing: those leases end by their time
	}
	req := &apiv1.HelloRequest{Session: a.signer.Session, Version: a.cfg.Version, Slots: int32(a.cfg.Slots), Facts: a.facts(), Lost: lost}
	bodies := map[string][]byte{}
	for _, d := range a.cfg.Descriptors {
		body, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
		if err != nil {
			return fmt.Errorf("describe plugin %s: %w", d.GetName(), err)
		}
		sum := sha256.Sum256(body)
		digest := hex.EncodeToString(sum[:])
		bodies[digest] = body
		req.Descriptors = append(req.Descriptors, digest)
	}
	wait := 200 * time.Millisecond
	for {
		res, err := a.gateway.Hello(ctx, req)
		if err == nil {
			err = a.describe(ctx, res.GetMissingDescriptors(), bodies)
		}
		if err == nil {
			return nil
		}
		code := connect.CodeOf(err)
		if code == connect.CodeUnauthenticated || code == connect.CodePermissionDenied || code == connect.CodeNotFound || code == connect.CodeInvalidArgument {
			return fmt.Errorf("greet %s: %w", a.cfg.Server, err)
		}
		a.cfg.Logger.Warn("the control plane cannot be reached", "server", a.cfg.Server, "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		wait = min(2*wait, 10*time.Second)
	}
}

func (a *Agent) describe(ctx context.Context, missing []string, bodies map[string][]byte) error {
	if len(missing) == 0 {
		return nil
	}
	req := &apiv1.DescribeRequest{}
	for _, digest := range missing {
		req.Descriptors = append(req.Descriptors, bodies[digest])
	}
	if _, err := a.gateway.Describe(ctx, req); err != nil {
		return fmt.Errorf("describe plugins: %w", err)
	}
	return nil
}
