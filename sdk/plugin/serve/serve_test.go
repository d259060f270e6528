package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/wire"
)

// asPlugin makes this test's binary the plugin of the tests.
const asPlugin = "TESTMESH_SERVE_TEST"

// patience bounds every wait for a process.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if mark := os.Getenv(asPlugin); mark != "" {
		Main(&sample{mark: mark})
	}
	os.Exit(m.Run())
}

// sample is a plugin that leaves a file when it is closed.
type sample struct{ mark string }

func (s *sample) Describe() *testmeshv1.Descriptor {
	return &testmeshv1.Descriptor{Name: "sample", Version: "0.1.0", Summary: "For tests."}
}

func (s *sample) Execute(_ context.Context, req *plugin.Request, _ plugin.Stream) (*plugin.Response, error) {
	fmt.Println("printed to standard output")
	fmt.Fprintln(os.Stderr, "last words")
	if req.Action == "sample.exit" {
		os.Exit(3)
	}
	return &plugin.Response{Result: json.RawMessage(fmt.Sprintf(`{"pid":%d}`, os.Getpid()))}, nil
}

func (s *sample) EndRun(string) {}

func (s *sample) Close() error { return os.WriteFile(s.mark, []byte("closed"), 0o600) }

// command is the plugin as a program.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, mark string) {
	t.Helper()
	mark = t.TempDir() + "/closed"
	cmd = exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asPlugin+"="+mark)
	return cmd, mark
}

// start starts the plugin as a host does.
func start(t *testing.T, stdout, stderr io.Writer) (host *goplugin.Client, c *wire.Client, mark string) {
	t.Helper()
	cmd, mark := command(t)
	host = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: map[int]goplugin.PluginSet{wire.Protocol: {wire.Name: &wire.GRPC{}}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Cmd:              cmd, AutoMTLS: true, SyncStdout: stdout, Stderr: stderr, Logger: hclog.NewNullLogger(),
	})
	t.Cleanup(host.Kill)
	conn, err := host.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := conn.Dispense(wire.Name)
	if err != nil {
		t.Fatal(err)
	}
	return host, raw.(*wire.Client), mark
}

// until waits for what must become true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come true in %v", what, patience)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// buffer is a bytes.Buffer that go-plugin's goroutines may write to.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestAHostCallsThePluginAndEndsIt(t *testing.T) {
	var stdout buffer
	host, c, mark := start(t, &stdout, nil)
	ctx := context.Background()
	s, err := c.Open(ctx, "s", "run", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Execute(ctx, s.ID(), &plugin.Request{Action: "sample.do"}, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "standard output at the host", func() bool { return strings.Contains(stdout.String(), "printed to standard output") })
	if _, err := c.Execute(ctx, s.ID(), &plugin.Request{Action: "sample.do"}, nil); err != nil {
		t.Errorf("what the plugin printed broke the wire: %v", err)
	}
	host.Kill()
	if !exists(mark) {
		t.Error("the plugin was not closed")
	}
}

// What is printed just before the end is what people need most.
func TestLastWordsAreNotLost(t *testing.T) {
	var stderr buffer
	host, c, _ := start(t, nil, &stderr)
	ctx := context.Background()
	if err := c.Configure(ctx, plugin.Host{}); err != nil {
		t.Fatal(err)
	}
	s, err := c.Open(ctx, "s", "run", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Execute(ctx, s.ID(), &plugin.Request{Action: "sample.exit"}, nil); err == nil {
		t.Error("a plugin that has ended gave a result")
	}
	until(t, "the end of the process", host.Exited)
	until(t, "the last words", func() bool { return strings.Contains(stderr.String(), "last words") })
}

func TestTheTermSignalEndsIt(t *testing.T) {
	host, _, mark := start(t, nil, nil)
	pid := host.ReattachConfig().Pid
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil { // ctrl-C reaches the whole group; the host decides
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of the process", host.Exited)
	if !exists(mark) {
		t.Error("the plugin was not closed")
	}
}

func TestStartedByHandItSaysWhatItIs(t *testing.T) {
	cmd, _ := command(t)
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != exitUsage {
		t.Errorf("got %v, want exit %d", err, exitUsage)
	}
	if want := "This is the TestMesh plugin sample 0.1.0."; !strings.Contains(string(out), want) {
		t.Errorf("got %s, want %q in it", out, want)
	}
}

func TestItDescribesItself(t *testing.T) {
	cmd, _ := command(t, "describe")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := &testmeshv1.Descriptor{}
	if err := protojson.Unmarshal(out, got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if !proto.Equal(got, (&sample{}).Describe()) {
		t.Errorf("got %v", got)
	}
}

type undescribed struct{ sample }

func (*undescribed) Describe() *testmeshv1.Descriptor { return nil }

func TestAPluginWithoutADescriptorIsAnError(t *testing.T) {
	var out, errs strings.Builder
	if code := run(&undescribed{}, []string{"describe"}, &out, &errs); code != exitFault || out.Len() > 0 || errs.Len() == 0 {
		t.Errorf("got exit %d, %q, %q", code, out.String(), errs.String())
	}
}

func TestTheHostsDeathIsSeen(t *testing.T) {
	tests := map[string]struct {
		parents []int // answers, the last one for ever
		gone    bool
	}{
		"the host lives":                     {[]int{7, 7, 7}, false},
		"the host died":                      {[]int{7, 7, 1}, true},
		"another process adopted the plugin": {[]int{7, 99}, true},
		"a PID namespace shows no parent":    {[]int{0, 0}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			asked := 0
			parent := func() int {
				asked++
				return test.parents[min(asked, len(test.parents))-1]
			}
			ticks := make(chan time.Time, 5)
			for range 5 {
				ticks <- time.Time{}
			}
			close(ticks)
			gone := false
			watchHost(parent, ticks, func() { gone = true })
			if gone != test.gone {
				t.Errorf("got gone %v, want %v", gone, test.gone)
			}
		})
	}
}
