package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Config is which plugins there are, and how they may run.
type Config struct {
	// Programs are the plugins, one of each name.
	Programs []pluginhost.Program
	// Host is what the plugins are told about us; TempDir is filled in for each.
	Host plugin.Host
	// Dir is where the private runtime directory is made, in which programs must
	// be allowed to start; empty: os.TempDir().
	Dir string
	// Environ is the host's environment as os.Environ gives it. A plugin gets the
	// few variables that every program needs and those that its Program names.
	Environ []string
	// Log takes what plugins print, line by line, with the secrets of the runs
	// under way masked; nil: nobody reads it. It is called concurrently.
	Log func(plugin, line string)
	// Limits bound the plugins; the zero value has the defaults.
	Limits Limits
}

// Limits bound what a plugin may take of its host.
type Limits struct {
	// MemoryBytes is for a plugin that names no limit of its own (1 GiB).
	MemoryBytes int64
	// StartTimeout is how long a plugin may take to its handshake, and again to
	// its first answers (10 s).
	StartTimeout time.Duration
	// Drain is how long the other calls of a process that is being replaced may
	// still take (30 s).
	Drain time.Duration
	// HealthEvery is the time between two questions after its health (5 s). A
	// process that leaves two in a row unanswered, each for that time, is ended.
	HealthEvery time.Duration
	// Faults is how often a plugin may crash, hang or not start within Window (3
	// in 5 min) before it is refused until Window has passed.
	Faults int
	Window time.Duration
	// Backoff is the pause after the first fault (250 ms), four times as long
	// after each further one.
	Backoff time.Duration
	// EndRun is how long the plugins may take to drop what they keep for a run
	// (2 s).
	EndRun time.Duration
	// Close is how long a plugin may take to end by itself (2 s) before it is
	// killed with everything that it started.
	Close time.Duration
}

// Defaults of Limits. A gibibyte holds a database client or a small browser and
// leaves room on the smallest CI machines for the system under test.
const (
	defaultMemory  = 1 << 30
	defaultStart   = 10 * time.Second
	defaultDrain   = 30 * time.Second
	defaultHealth  = 5 * time.Second
	defaultFaults  = 3
	defaultWindow  = 5 * time.Minute
	defaultBackoff = 250 * time.Millisecond
	defaultEndRun  = 2 * time.Second
	defaultClose   = 2 * time.Second
)

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

func (l *Limits) setDefaults() {
	orDefault(&l.MemoryBytes, defaultMemory)
	orDefault(&l.StartTimeout, defaultStart)
	orDefault(&l.Drain, defaultDrain)
	orDefault(&l.HealthEvery, defaultHealth)
	orDefault(&l.Faults, defaultFaults)
	orDefault(&l.Window, defaultWindow)
	orDefault(&l.Backoff, defaultBackoff)
	orDefault(&l.EndRun, defaultEndRun)
	orDefault(&l.Close, defaultClose)
}

// maxFaults bounds what Close has to say.
const maxFaults = 10

// Pool runs each of its plugins as at most one serving process, started on
// first use and shared by every run. It is a pluginhost.Remote.
type Pool struct {
	cfg     Config
	plugins map[string]*slot
	runtime runtimeDir
	caps    capabilities

	ctx   context.Context // ends with Close
	close context.CancelFunc
	all   sync.WaitGroup // goroutines of the processes

	mu     sync.Mutex
	closed bool
	faults []error // for Close to say
}

// New makes a pool. It starts nothing and touches no file.
func New(cfg Config) (*Pool, error) {
	cfg.Limits.setDefaults()
	p := &Pool{cfg: cfg, plugins: make(map[string]*slot, len(cfg.Programs))}
	for _, program := range cfg.Programs {
		if err := checkProgram(program); err != nil {
			return nil, fmt.Errorf("plugin %q: %w", program.Name, err)
		}
		if p.plugins[program.Name] != nil {
			return nil, fmt.Errorf("plugin %q: named twice", program.Name)
		}
		p.plugins[program.Name] = newSlot(p, program)
	}
	p.ctx, p.close = context.WithCancel(context.Background())
	return p, nil
}

func checkProgram(p pluginhost.Program) error {
	switch {
	case p.Name == "" || strings.ContainsAny(p.Name, "./\\\x00"):
		return errors.New("this is no name of a plugin")
	case len(p.Command) == 0 || p.Command[0] == "":
		return errors.New("no command")
	case p.Dir != "" && !filepath.IsAbs(p.Dir):
		return fmt.Errorf("its folder %q is not absolute", p.Dir)
	case p.Dir == "" && !filepath.IsAbs(p.Command[0]):
		return fmt.Errorf("its program %q is not absolute, and it has no folder", p.Command[0])
	case p.Dir != "" && !p.Unverified && len(p.Files) == 0:
		return errors.New("no checksums of its files")
	}
	return nil
}

// Has says whether the plugin of that name is one of its own.
func (p *Pool) Has(name string) bool { return p.plugins[name] != nil }

// Execute runs one try in the plugin's process, which is started where none
// serves. It returns within two seconds and a little after ctx has ended.
func (p *Pool) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	name, _, _ := strings.Cut(req.Action, ".")
	s := p.plugins[name]
	if s == nil {
		return nil, notInstalled(name)
	}
	i, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	defer i.release()
	return i.execute(ctx, req, out)
}

// Call runs a function of a plugin.
func (p *Pool) Call(ctx context.Context, name string, req *plugin.FunctionRequest) (json.RawMessage, error) {
	s := p.plugins[name]
	if s == nil {
		return nil, notInstalled(name)
	}
	i, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	defer i.release()
	return i.call(ctx, req)
}

// EndRun closes the run's sessions in every process that has one, and returns
// within Limits.EndRun.
func (p *Pool) EndRun(runID string) {
	var wait sync.WaitGroup
	for _, s := range p.plugins {
		for _, i := range s.endRun(runID) {
			wait.Go(func() { p.fault(i.endRun(runID)) })
		}
	}
	wait.Wait()
}

// fault keeps an error for Close to say.
func (p *Pool) fault(err error) {
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) < maxFaults {
		p.faults = append(p.faults, err)
	}
}

// Close ends every process with all that it started, within three seconds,
// removes what they had on disk, and says what went wrong there and at the ends
// of runs. Calls under way end with an error.
func (p *Pool) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	p.close()
	p.all.Wait()
	p.fault(p.runtime.remove())
	return errors.Join(p.faults...)
}

// begin counts a goroutine of the pool, unless it is closed.
func (p *Pool) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.all.Add(1)
	return true
}
