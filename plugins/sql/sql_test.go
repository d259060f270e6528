package sql

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/testmesh/testmesh/plugins/servertest"
	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/serve"
)

// asPlugin makes this test's binary the plugin in a process of its own.
const asPlugin = "-serve-sql"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asPlugin {
		os.Args = append(os.Args[:1], os.Args[2:]...)
		serve.Main(New())
	}
	code := m.Run()
	if code == 0 {
		// The kit's own process and connections are gone by then, ours must be.
		if err := goleak.Find(); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

type fields = map[string]any

// bench is a plugin with a project, as a run of a flow sees it.
type bench struct {
	t      *testing.T
	plugin plugin.Plugin
	root   string
	run    string
	trace  string // traceparent
	heard  *listener
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, plugin: New(), root: t.TempDir(), run: "run", heard: &listener{}}
	t.Cleanup(func() {
		if err := b.plugin.Close(); err != nil && !strings.Contains(err.Error(), "was left open") {
			t.Error(err)
		}
	})
	return b
}

// listener keeps what a step reports.
type listener struct {
	mu        sync.Mutex
	logs      []string
	exchanges []plugin.Exchange
}

func (l *listener) Log(level, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs = append(l.logs, level+": "+message)
}

func (l *listener) Exchange(x plugin.Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.exchanges = append(l.exchanges, x)
}

func (*listener) Artifact(string, string, []byte) {}

func (l *listener) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.logs, "\n")
}

// do runs one step; its id is the action's name unless the action is "id=action".
func (b *bench) do(action string, config fields) (fields, error) {
	b.t.Helper()
	return b.doWithin(b.t.Context(), action, config)
}

func (b *bench) doWithin(ctx context.Context, action string, config fields) (fields, error) {
	b.t.Helper()
	id, name, named := strings.Cut(action, "=")
	if !named {
		name = id
	}
	text, err := json.Marshal(config)
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := b.plugin.Execute(ctx, &plugin.Request{
		Action: "sql." + name, Config: text, RunID: b.run, StepID: id, Try: 1, Root: b.root, WantExchange: true, TraceParent: b.trace,
	}, b.heard)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(string(res.Result)))
	dec.UseNumber()
	var result fields
	if err := dec.Decode(&result); err != nil {
		b.t.Fatal(err)
	}
	return result, nil
}

// must is do of a step that passes.
func (b *bench) must(action string, config fields) fields {
	b.t.Helper()
	result, err := b.do(action, config)
	if err != nil {
		b.t.Fatalf("%s %v: %s", action, config["query"], inWords(err))
	}
	return result
}

// fault is do of a step that does not.
func (b *bench) fault(action string, config fields) *plugin.Error {
	b.t.Helper()
	result, err := b.do(action, config)
	return faultOf(b.t, result, err)
}

func faultOf(t *testing.T, result fields, err error) *plugin.Error {
	t.Helper()
	var known *plugin.Error
	if !errors.As(err, &known) {
		t.Fatalf("got %v, %v, want a *plugin.Error", result, err)
	}
	if known.Blame == plugin.BlamePlugin {
		t.Errorf("the plugin blames itself: %s", inWords(err))
	}
	return known
}

func inWords(err error) string {
	var known *plugin.Error
	if !errors.As(err, &known) {
		return err.Error()
	}
	return strings.Join(append([]string{known.Code + " " + known.Field + " " + known.Message, known.Hint}, known.Details...), " | ")
}

// write puts a file into the project.
func (b *bench) write(name, text string) {
	b.t.Helper()
	file := filepath.Join(b.root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func postgresURL(t *testing.T) string {
	t.Helper()
	return servertest.Value(t, "POSTGRES_URL")
}

func mariadbURL(t *testing.T) string {
	t.Helper()
	return servertest.Value(t, "MARIADB_URL")
}

// each runs a test against every database.
func each(t *testing.T, test func(t *testing.T, b *bench, k kind, connection string)) {
	t.Helper()
	for k, connection := range map[kind]func(*testing.T) string{
		postgres: postgresURL,
		mysql:    mariadbURL,
		sqlite:   func(*testing.T) string { return "sqlite:test.db" },
	} {
		t.Run(string(k), func(t *testing.T) { test(t, newBench(t), k, connection(t)) })
	}
}

// table is the name of a table that the test makes, dropped at its end.
func (b *bench) table(connection string) string {
	b.t.Helper()
	name := "t_" + strings.ToLower(rand.Text()[:12])
	b.t.Cleanup(func() {
		b.plugin.EndRun(b.run) // a transaction of a test that failed would hold the table
		other := &bench{t: b.t, plugin: New(), root: b.root, run: "cleanup", heard: &listener{}}
		ctx, release := context.WithTimeout(context.Background(), 10*time.Second)
		defer release()
		_, err := other.doWithin(ctx, "exec", fields{"connection": connection, "query": "DROP TABLE IF EXISTS " + name})
		if err = errors.Join(err, other.plugin.Close()); err != nil {
			b.t.Errorf("clean up: %s", inWords(err))
		}
	})
	return name
}

// pick is the SQL of a database.
func pick(k kind, ofPostgres, ofMySQL, ofSQLite string) string {
	return map[kind]string{postgres: ofPostgres, mysql: ofMySQL, sqlite: ofSQLite}[k]
}

func compact(v any) string {
	text, err := jsonText(v)
	if err != nil {
		return err.Error()
	}
	return text
}
