package http

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"sync"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Config is what the plugin takes from its host.
type Config struct {
	// Proxy chooses the proxy of a request whose flow names none;
	// http.ProxyFromEnvironment on a person's machine. Nil: none.
	Proxy func(*http.Request) (*url.URL, error)
	// UserAgent is sent where a flow sets none.
	UserAgent string
}

// Plugin executes http.request.
type Plugin struct {
	userAgent  string
	transports *transports

	mu   sync.Mutex
	runs map[string]*run
}

// run is what lives as long as a run: its cookies and its tokens.
type run struct {
	jar    *cookiejar.Jar
	tokens tokens
}

// New makes the plugin; it opens nothing.
func New(c Config) *Plugin {
	if c.UserAgent == "" {
		c.UserAgent = "TestMesh"
	}
	return &Plugin{
		userAgent:  c.UserAgent,
		transports: &transports{byKey: make(map[transportKey]*http.Transport), proxy: c.Proxy},
		runs:       make(map[string]*run),
	}
}

// Describe is Descriptor.
func (p *Plugin) Describe() *testmeshv1.Descriptor { return Descriptor() }

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

func (p *Plugin) run(id string) *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.runs[id]
	if !ok {
		jar, err := cookiejar.New(nil)
		if err != nil { // New errors for no options, and there are none
			panic(err)
		}
		r = &run{jar: jar}
		p.runs[id] = r
	}
	return r
}

// Execute sends one request.
func (p *Plugin) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	if req.Action != "http.request" {
		return nil, &plugin.Error{Code: plugin.CodeConfig, Blame: plugin.BlameDefinition, Message: "http has no action " + req.Action}
	}
	c, err := parseConfig(req.Config)
	if err != nil {
		return nil, err
	}
	return p.send(ctx, c, req, out)
}
