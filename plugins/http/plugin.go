package http

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"sync"
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Config is what the plugin takes from its host.
type Config struct {
	// Proxy chooses the proxy of a request whose flow names none. On a person's
	// machine that is http.ProxyFromEnvironment, which reads the environment
	// once and never sends requests for this machine to a proxy. Nil: none.
	Proxy func(*http.Request) (*url.URL, error)
	// UserAgent is sent where a flow sets none.
	UserAgent string
	// Now is the clock of signatures and of the life of tokens; nil: time.Now.
	Now func() time.Time
}

// Plugin executes http.request.
type Plugin struct {
	agentHeader []string
	now         func() time.Time
	transports  *transports
	buffers     sync.Pool // *bytes.Buffer, for bodies
	exchanges   sync.Pool // *exchange, empty: each is a kilobyte
	decoders    decoders

	mu   sync.Mutex
	runs map[string]*run
}

// Configure takes the rules of the machine. It is called before the first request.
func (p *Plugin) Configure(_ context.Context, host plugin.Host) error {
	p.transports.egress = host.Egress
	return nil
}

// New makes the plugin; it opens nothing.
func New(c Config) *Plugin {
	if c.UserAgent == "" {
		c.UserAgent = "TestMesh"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Plugin{
		agentHeader: []string{c.UserAgent},
		now:         c.Now,
		transports:  newTransports(c.Proxy),
		runs:        make(map[string]*run),
	}
}

// Describe is Descriptor.
func (p *Plugin) Describe() *testmeshv1.Descriptor { return Descriptor() }

// Execute sends one request.
func (p *Plugin) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	if req.Action != "http.request" {
		return nil, configError("", "", "http has no action %q", req.Action)
	}
	x, _ := p.exchanges.Get().(*exchange)
	if x == nil {
		x = new(exchange)
	}
	x.plugin, x.started = p, time.Now()
	res, err := x.send(ctx, req, out)
	*x = exchange{} // nothing of it leaves but what is in res
	p.exchanges.Put(x)
	return res, err
}

// EndRun drops the run's cookies and tokens.
func (p *Plugin) EndRun(runID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.runs, runID)
}

// Close ends idle connections.
func (p *Plugin) Close() error {
	p.transports.close()
	return nil
}

// run is what lives as long as a run: its cookies and its tokens.
type run struct {
	tokens tokens

	mu  sync.Mutex
	jar *cookiejar.Jar // nil until a response sets a cookie
}

func (p *Plugin) run(id string) *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.runs[id]
	if !ok {
		r = &run{}
		p.runs[id] = r
	}
	return r
}

func (r *run) cookies(u *url.URL) []*http.Cookie {
	r.mu.Lock()
	jar := r.jar
	r.mu.Unlock()
	if jar == nil {
		return nil
	}
	return jar.Cookies(secureView(u))
}

func (r *run) setCookies(u *url.URL, cookies []*http.Cookie) {
	r.mu.Lock()
	if r.jar == nil {
		r.jar = newJar()
	}
	jar := r.jar
	r.mu.Unlock()
	jar.SetCookies(secureView(u), cookies)
}
