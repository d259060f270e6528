// Package agent runs flows for a control plane: it joins, takes work by outbound
// connections only, runs it with the engine, and streams back what happens. It never
// listens unless it is told to, and never decides what a run's end means.
package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

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
	// Server is the address of the control plane, or of several of its nodes with commas
	// between: the agent stays with one, and goes on to the next where it must.
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
	// Listen is where health and metrics are answered; empty: nowhere.
	Listen string
	// PostOnly sends events as requests, and opens no WebSocket.
	PostOnly bool
	// AtRest is called now and then for as long as the agent has no run, the first time
	// some seconds after its start or its last one: the place to give memory back. Nil:
	// nothing is.
	AtRest func(first bool)
	// Fault is nil but in test builds.
	Fault *fault.Set
}

const (
	defaultSlots = 4
	keyFile      = "key.json"
	leaseFile    = "leases.json"
	lockFile     = "lock"
)

// Agent is one.
type Agent struct {
	cfg     Config
	nodes   *client.Nodes
	http    *http.Client
	gateway apiv1connect.GatewayServiceClient
	signer  client.Signer
	catalog *catalog.Catalog
	sender  *stream.Sender
	budget  *stream.Budget
	manager *lease.Manager
	bundles *bundles
	health  *health
	offers  atomic.Int64 // ever

	// drained is closed once nothing new is to be taken.
	drained chan struct{}
	drain   sync.Once

	mu      sync.Mutex
	batches map[string]*engine.Batch
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
	a := &Agent{cfg: cfg, budget: stream.NewBudget(0, cfg.Fault), batches: map[string]*engine.Batch{}, drained: make(chan struct{})}
	a.signer.Session = uuid.Must(uuid.NewV7()).String()
	var err error
	if a.catalog, err = catalog.New(cfg.Descriptors...); err != nil {
		return nil, fmt.Errorf("make catalog: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the agent's folder: %w", err)
	}
	secure, err := transport(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	if err := a.calls(secure); err != nil {
		return nil, err
	}
	a.bundles = &bundles{dir: filepath.Join(cfg.Dir, "bundles"), fetch: a.fetch}
	a.manager = lease.New(lease.Config{
		Gateway: a.gateway, Preparer: a, Session: a.signer.Session, Slots: cfg.Slots, Logger: cfg.Logger, Keep: a.keep, Fault: cfg.Fault,
	})
	a.sender, err = stream.NewSender(stream.Config{
		Address: a.nodes.Address, Leave: a.nodes.Leave, PostOnly: cfg.PostOnly, Sign: a.signer.Sign, Poster: a.gateway, Logger: cfg.Logger,
		Dialer: &websocket.Dialer{Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure.TLSClientConfig, HandshakeTimeout: 10 * time.Second},
	})
	return a, err
}

// transport is how the control plane is reached: by proxies that the environment names,
// with the authorities that are trusted.
func transport(caFile string) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = http.ProxyFromEnvironment
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if caFile != "" {
		t.TLSClientConfig.RootCAs, err = authorities(caFile)
	}
	return t, err
}

// calls makes what asks the control plane. Every call of an agent may be repeated, and
// each try has a signature of its own.
func (a *Agent) calls(by http.RoundTripper) (err error) {
	a.health = newHealth()
	if a.nodes, err = client.NewNodes(a.cfg.Server, true, signing{a, by}); err != nil {
		return err
	}
	a.http = &http.Client{Transport: a.health.watched(a.nodes)}
	a.gateway = gateway{apiv1connect.NewGatewayServiceClient(a.http, a.nodes.Base()), a.nodes}
	return nil
}

// gateway goes on to another node where one says that it knows of no leader.
type gateway struct {
	apiv1connect.GatewayServiceClient
	nodes *client.Nodes
}

func (g gateway) Poll(ctx context.Context, req *apiv1.PollRequest) (*apiv1.PollResponse, error) {
	asked := g.nodes.Address()
	res, err := g.GatewayServiceClient.Poll(ctx, req)
	if res.GetLeaderless() {
		g.nodes.Leave(asked)
	}
	return res, err
}

// newCaller asks the control plane as an agent does, and is none.
func newCaller(cfg Config, by http.RoundTripper) (*Agent, error) {
	session, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	a := &Agent{cfg: cfg}
	a.signer.Session = session.String()
	return a, a.calls(by)
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
	lock, err := lockDir(filepath.Join(a.cfg.Dir, lockFile))
	if err != nil {
		return errors.Join(err, a.cfg.Host.Close())
	}
	defer lock.Close()
	stopListening, err := a.listen()
	if err != nil {
		return errors.Join(err, a.cfg.Host.Close())
	}
	defer stopListening()
	left, err := a.greet(ctx)
	if err != nil {
		if errors.Is(err, errEnds) {
			err = nil // it was told to, and had nothing to do yet
		}
		return errors.Join(err, a.cfg.Host.Close())
	}
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		a.sender.Run(sending)
	}()
	if err := a.resume(ctx, left); err != nil {
		stop()
		<-sent
		return err
	}
	a.health.began()
	a.cfg.Logger.Info("the agent takes work", "agent", a.signer.AgentID, "server", a.cfg.Server, "slots", a.cfg.Slots)
	resting := make(chan struct{})
	go func() {
		defer close(resting)
		if a.cfg.AtRest != nil {
			rests(sending, a.runs, a.cfg.AtRest)
		}
	}()
	err = a.manager.Run(ctx)
	stop()
	<-sent
	<-resting
	return errors.Join(err, a.cfg.Host.Close())
}

// greet joins where it must, and begins a session.
func (a *Agent) greet(ctx context.Context) (*leftovers, error) {
	if err := a.join(ctx); err != nil {
		return nil, err
	}
	left := a.leftovers()
	return left, a.hello(ctx, left.lost)
}

// spools is the folder of streams that are not all acknowledged.
func (a *Agent) spools() string { return filepath.Join(a.cfg.Dir, "spool") }

// Hurry leaves what is not torn down yet to other agents.
func (a *Agent) Hurry() { a.manager.Hurry() }

// Drain takes nothing new.
func (a *Agent) Drain() {
	a.drain.Do(func() { close(a.drained) })
	a.manager.Drain()
}
