package process

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/testmesh/testmesh/agent/pluginhost"
	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/wire"
)

// What a plugin in a process of its own may cost, on a machine with nothing else
// to do. TestAPluginOfItsOwnIsFast allows ten times as much.
const (
	startBudget = 50 * time.Millisecond
	callBudget  = 200 * time.Microsecond
)

func pool(tb testing.TB) *Pool {
	tb.Helper()
	p, err := New(Config{Programs: []pluginhost.Program{programOf("good", "good")}, Dir: shortDir(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// firstUse starts a plugin and says how long its first step took.
func firstUse(tb testing.TB) time.Duration {
	tb.Helper()
	p := pool(tb)
	begin := time.Now()
	_, err := p.Execute(context.Background(), echo(), nil)
	took := time.Since(begin)
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.Close(); err != nil {
		tb.Fatal(err)
	}
	return took
}

func echo() *plugin.Request {
	return &plugin.Request{Action: "good.echo", RunID: "r1", Attempt: 1, Config: []byte(`{"text":"` + strings.Repeat("x", 200) + `"}`)}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func TestAPluginOfItsOwnIsFast(t *testing.T) {
	var starts, calls []time.Duration
	for range 1 + 4/patiently {
		starts = append(starts, firstUse(t))
	}
	p := pool(t)
	for range 200 / patiently {
		begin := time.Now()
		if _, err := p.Execute(context.Background(), echo(), nil); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, time.Since(begin))
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	first, call := median(starts), median(calls)
	t.Logf("first use %v (budget %v), a call %v (budget %v)", first, startBudget, call, callBudget)
	if first > 10*patiently*startBudget || call > 10*patiently*callBudget {
		t.Errorf("first use takes %v and a call %v, more than %d times %v and %v", first, call, 10*patiently, startBudget, callBudget)
	}
}

// BenchmarkStart is the first use of a plugin that is our own executable.
func BenchmarkStart(b *testing.B) {
	var all []time.Duration
	for b.Loop() {
		all = append(all, firstUse(b))
	}
	b.ReportMetric(float64(median(all).Microseconds())/1000, "ms/start")
}

// BenchmarkStartFloor starts the same executable, which does nothing and ends.
func BenchmarkStartFloor(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("/proc/self/exe", "plugin", "nothing").Run(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/start")
}

// BenchmarkCall is one try after the other through a plugin's process.
func BenchmarkCall(b *testing.B) {
	p := pool(b)
	for b.Loop() {
		if _, err := p.Execute(context.Background(), echo(), nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCallsSideBySide is 64 runs at once through one process.
func BenchmarkCallsSideBySide(b *testing.B) {
	p := pool(b)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.Execute(context.Background(), echo(), nil); err != nil {
				b.Error(err)
				return
			}
		}
	})
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCallFloor is the same call over a Unix socket and gRPC alone: one
// process, no TLS, no sessions, no words, nothing to cancel.
func BenchmarkCallFloor(b *testing.B) {
	listener, err := net.Listen("unix", filepath.Join(shortDir(b), "s"))
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer()
	pluginv1.RegisterPluginServiceServer(server, wire.NewServer(&probe{name: "good"}))
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	conn, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	client := wire.NewClient(conn)
	session, err := client.Open(context.Background(), "1", "r1", 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := client.Execute(context.Background(), session.ID(), echo(), nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := session.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
