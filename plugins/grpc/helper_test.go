package grpc

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/testmesh/testmesh/examples/demo"
	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/serve"
)

// asPlugin makes this test's binary the plugin in a process of its own.
const asPlugin = "-serve-grpc"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asPlugin {
		os.Args = append(os.Args[:1], os.Args[2:]...)
		serve.Main(New())
	}
	goleak.VerifyTestMain(m)
}

// shop starts the demo application and gives its address.
func shop(t testing.TB) string {
	t.Helper()
	app, err := demo.New(demo.Config{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

type fields = map[string]any

// steps runs steps of one run against one plugin.
type steps struct {
	t    testing.TB
	p    plugin.Plugin
	base fields // what every config has
	root string // of the project; empty: no files
	out  plugin.Stream
}

// against is a run whose steps call one address.
func against(t testing.TB, address string) *steps {
	t.Helper()
	p := New()
	s := &steps{t: t, p: p, base: fields{"address": address}}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// shown is a result with its numbers as their text.
type shownResult struct {
	fields  fields
	limited string
	retry   time.Duration
}

// get gives a member of the result: "response.product.sku", "messages.0".
func (r shownResult) get(path string) any {
	var v any = r.fields
	for name := range strings.SplitSeq(path, ".") {
		switch parent := v.(type) {
		case fields:
			v = parent[name]
		case []any:
			i, err := json.Number(name).Int64()
			if err != nil || int(i) >= len(parent) {
				return nil
			}
			v = parent[i]
		default:
			return nil
		}
	}
	if n, ok := v.(json.Number); ok {
		return n.String()
	}
	return v
}

func (s *steps) try(ctx context.Context, action string, config fields) (shownResult, error) {
	s.t.Helper()
	whole := maps.Clone(s.base)
	maps.Copy(whole, config)
	text, err := json.Marshal(whole)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := s.p.Execute(ctx, &plugin.Request{
		Action: "grpc." + action, RunID: "run", StepID: "step", Try: 1, Config: text, Root: s.root, WantExchange: s.out != nil,
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}, s.out)
	if err != nil {
		return shownResult{}, err
	}
	d := json.NewDecoder(strings.NewReader(string(res.Result)))
	d.UseNumber()
	out := shownResult{limited: res.Limited, retry: res.RetryAfter}
	if err := d.Decode(&out.fields); err != nil {
		s.t.Fatalf("%v in %s", err, res.Result)
	}
	return out, nil
}

// do wants a result.
func (s *steps) do(action string, config fields) shownResult {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := s.try(ctx, action, config)
	if err != nil {
		s.t.Fatalf("grpc.%s %v: %v", action, config, err)
	}
	return out
}

// fault wants an error of the plugin.
func (s *steps) fault(action string, config fields) *plugin.Error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return s.faultIn(ctx, action, config)
}

func (s *steps) faultIn(ctx context.Context, action string, config fields) *plugin.Error {
	s.t.Helper()
	got, err := s.try(ctx, action, config)
	var known *plugin.Error
	if !errors.As(err, &known) {
		s.t.Fatalf("grpc.%s %v: got %v, %v, want a *plugin.Error", action, config, got, err)
	}
	return known
}

// words are all that people read of an error.
func words(e *plugin.Error) string {
	return strings.Join(append([]string{e.Code, string(e.Blame), e.Field, e.Message, e.Hint}, e.Details...), " | ")
}

const (
	getProduct = "shop.v1.ShopService/GetProduct"
	echo       = "echo.v1.EchoService/Echo"
)
