package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/testmesh/testmesh/agent/pluginhost"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/serve"
)

// TestMain is also every plugin that the tests start: the test's own binary,
// which is told as an argument how to behave.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "plugin" {
		behave(os.Args[2], os.Args[3:])
		return
	}
	goleak.VerifyTestMain(m)
}

// behave is a process of one kind.
func behave(kind string, args []string) {
	socket := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "s")
	switch kind {
	case "good", "other":
		serve.Main(&probe{name: kind})
	case "stubborn": // ends neither when asked nor by a signal
		signal.Ignore(syscall.SIGTERM)
		serve.Main(&probe{name: "stubborn", stubborn: true})
	case "quits":
		fmt.Fprintln(os.Stderr, "cannot find the frobnicator")
		syscall.Exit(3)
	case "garbage":
		fmt.Println("Hello, I am a plugin")
		forever()
	case "silent":
		forever()
	case "version":
		fmt.Println("1|9|unix|" + socket + "|grpc")
		forever()
	case "core":
		fmt.Println("7|1|unix|" + socket + "|grpc")
		forever()
	case "netrpc":
		fmt.Println("1|1|unix|" + socket + "|netrpc")
		forever()
	case "foreign":
		fmt.Println("1|1|tcp|192.0.2.1:443|grpc")
		forever()
	case "endless":
		for {
			_, _ = os.Stdout.WriteString(strings.Repeat("x", 4096))
		}
	case "absent":
		fmt.Println("1|1|unix|" + socket + "|grpc")
		forever()
	case "mute": // takes connections and says nothing
		listener, err := net.Listen("unix", socket)
		if err != nil {
			panic(err)
		}
		fmt.Println("1|1|unix|" + socket + "|grpc")
		for {
			if _, err := listener.Accept(); err != nil {
				return
			}
		}
	case "sleep":
		forever()
	case "daemonize": // the middle of a double fork
		cmd := exec.Command("/proc/self/exe", "plugin", "sleep", args[0])
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
	case "host":
		host(args)
	}
}

func forever() {
	for {
		<-time.After(time.Hour)
	}
}

// probe is a plugin that does what the name of an action says.
type probe struct {
	name     string
	stubborn bool

	mu       sync.Mutex
	sessions map[string]int
	unwell   string
	taken    [][]byte
}

// Health is what the action "unwell" made of it.
func (p *probe) Health(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unwell != "" {
		return errors.New(p.unwell)
	}
	return nil
}

func (p *probe) Describe() *testmeshv1.Descriptor {
	return &testmeshv1.Descriptor{Name: p.name, Version: "1.0.0"}
}

// Configure keeps nothing.
func (p *probe) Configure(context.Context, plugin.Host) error { return nil }

type config struct {
	Text string `json:"text"`
}

func (p *probe) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	var c config
	if err := json.Unmarshal(req.Config, &c); err != nil && len(req.Config) > 0 {
		return nil, err
	}
	_, action, _ := strings.Cut(req.Action, ".")
	switch action {
	case "echo":
		out.Log("info", "echoed")
		return &plugin.Response{Result: fmt.Appendf(nil, `{"pid":%d,"text":%q}`, os.Getpid(), c.Text)}, nil
	case "count": // what the run has done in this process so far
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.sessions == nil {
			p.sessions = map[string]int{}
		}
		p.sessions[req.RunID]++
		return &plugin.Response{Result: fmt.Appendf(nil, `{"count":%d,"runs":%d}`, p.sessions[req.RunID], len(p.sessions))}, nil
	case "slow":
		<-ctx.Done()
		return nil, &plugin.Error{Code: plugin.CodeTimeout, Message: "it was cancelled: " + context.Cause(ctx).Error()}
	case "hang":
		forever()
	case "crash":
		fmt.Fprintln(os.Stderr, "the token is "+c.Text)
		go panic("a bug with " + c.Text)
		forever()
	case "panic":
		panic("a bug")
	case "exit":
		syscall.Exit(3)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // which the first process of a namespace cannot
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		forever()
	case "stop":
		_ = syscall.Kill(0, syscall.SIGSTOP)
		forever()
	case "print":
		fmt.Println(c.Text)
		fmt.Fprintln(os.Stderr, c.Text)
		return &plugin.Response{Result: []byte(`{}`)}, nil
	case "flood": // past what go-plugin puts in place of standard output
		for range 200 {
			_, _ = syscall.Write(1, []byte(strings.Repeat("1|1|unix|", 10000)))
		}
		_, _ = syscall.Write(1, []byte("\n"+c.Text+"\n"))
		return &plugin.Response{Result: []byte(`{}`)}, nil
	case "allocate":
		for {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			p.taken = append(p.taken, b)
		}
	case "daemons": // two generations that nobody waits for
		for range 3 {
			cmd := exec.Command("/proc/self/exe", "plugin", "daemonize", c.Text)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := cmd.Run(); err != nil {
				return nil, err
			}
		}
		return &plugin.Response{Result: []byte(`{}`)}, nil
	case "unwell":
		p.mu.Lock()
		defer p.mu.Unlock()
		p.unwell = c.Text
		return &plugin.Response{Result: []byte(`{}`)}, nil
	case "leave":
		syscall.Exit(0)
	case "env":
		text, err := json.Marshal(map[string]any{"env": os.Environ(), "dir": wd()})
		return &plugin.Response{Result: text}, err
	case "fault":
		return nil, &plugin.Error{Code: plugin.CodeConfig, Blame: plugin.BlameDefinition, Message: "no such port", Field: "port", Details: []string{strings.Repeat("x", 5000)}}
	}
	return nil, errors.New("no such action")
}

func wd() string {
	dir, err := os.Getwd()
	if err != nil {
		return err.Error()
	}
	return dir
}

// Call gives its arguments back.
func (p *probe) Call(_ context.Context, req *plugin.FunctionRequest) (json.RawMessage, error) {
	return req.Args, nil
}

func (p *probe) EndRun(runID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sessions, runID)
}

func (p *probe) Close() error {
	if p.stubborn {
		forever()
	}
	return nil
}

// host is a host that is killed: it starts the plugin with a pool in a folder,
// lets it daemonize, and says so.
func host(args []string) {
	p, err := New(Config{Programs: []pluginhost.Program{programOf(args[1], args[1])}, Dir: args[0]})
	if err != nil {
		panic(err)
	}
	if args[2] != "alone" {
		p.caps.noIsolation()
	}
	p.runtime.unguarded = args[2] == "unguarded"
	if _, err := run(p, "r1", args[1]+".daemons", args[0]); err != nil {
		panic(err)
	}
	go func() { _, _ = run(p, "r1", args[1]+".hang", "") }()
	fmt.Println("ready")
	forever()
}
