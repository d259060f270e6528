package engine

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/tag"
	"github.com/testmesh/testmesh/flow/value"
)

var update = flag.Bool("update", false, "write the events of testdata anew; read every change")

// recorder keeps the events of runs.
type recorder struct {
	mu     sync.Mutex
	events []*event.Event
	failAt int // the seq that cannot be recorded; 0: none
}

func (r *recorder) Emit(_ context.Context, e *event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failAt > 0 && e.Seq == int64(r.failAt) {
		return errors.New("the disk is full")
	}
	r.events = append(r.events, e)
	return nil
}

func (r *recorder) Wants() event.Wants { return event.Wants{Exchanges: true, Results: true} }

// of are the events of one run.
func (r *recorder) of(runID string) []*event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*event.Event
	for _, e := range r.events {
		if e.RunID == runID {
			out = append(out, e)
		}
	}
	return out
}

// project is a flow with all that its run needs.
type project struct {
	files    fstest.MapFS
	options  map[string]any
	system   *system
	sink     *recorder
	secrets  map[string]string
	services []flow.NamedNode
	programs []*flow.Program
}

// compile compiles flow.yaml; what it says of problems fails the test.
func compile(t testing.TB, p *project) {
	t.Helper()
	known, err := catalog.New(sysDescriptor)
	if err != nil {
		t.Fatal(err)
	}
	o := flow.Options{Catalog: known, FS: p.files, Vars: map[string]string{}}
	if vars, ok := p.options["vars"].(map[string]any); ok {
		for k, v := range vars {
			o.Vars[k] = value.Text(v)
		}
	}
	if env, ok := p.options["process_env"].(map[string]any); ok {
		o.ProcessEnv = func(name string) (string, bool) { v, ok := env[name]; return value.Text(v), ok }
	}
	if len(p.services) > 0 {
		o.Environment = &flow.Environment{Name: "staging", Services: p.services}
	}
	programs, problems := flow.NewLoader(o).Flows("flow.yaml")
	if err := problems.Err(); err != nil {
		for _, problem := range problems.Errors() {
			t.Errorf("compile: %s", problem.Error())
		}
		t.FailNow()
	}
	p.programs = programs
}

// newProject reads the files of a txtar archive. options.yaml holds what the
// command line would say.
func newProject(t testing.TB, files []txtar.File) *project {
	t.Helper()
	p := &project{files: fstest.MapFS{}, options: map[string]any{}, system: newSystem(), sink: &recorder{}, secrets: map[string]string{}}
	for _, f := range files {
		switch f.Name {
		case "events":
		case "options.yaml":
			docs, problems := source.Load(f.Name, f.Data)
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			p.options = nodeValue(docs[0]).(map[string]any)
			if services := docs[0].Get("services"); services != nil {
				for _, e := range services.Entries {
					p.services = append(p.services, flow.NamedNode{Name: e.Key.Text, Value: e.Value, Pos: e.Key.Pos})
				}
			}
		default:
			p.files[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	if secrets, ok := p.options["secrets"].(map[string]any); ok {
		for k, v := range secrets {
			p.secrets[k] = v.(string)
		}
	}
	compile(t, p)
	return p
}

func (p *project) engine(t *testing.T) *Engine {
	t.Helper()
	e, err := New(Config{
		Stepper: p.system, Functions: p.system, Sink: p.sink, Prober: &prober{}, Root: "/project", FS: p.files, AgentName: "agent-1",
		Secret: func(name string) (string, error) {
			if v, ok := p.secrets[name]; ok {
				return v, nil
			}
			return "", fs.ErrNotExist
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// run runs the flow as options.yaml says.
func (p *project) run(t *testing.T) Outcome {
	t.Helper()
	number := func(key string) int64 { n, _ := value.Int(p.options[key]); return n }
	text := func(key string) string { s, _ := p.options[key].(string); return s }
	object := func(key string) map[string]any { m, _ := p.options[key].(map[string]any); return m }
	r := Run{
		Program: p.programs[0], BatchID: "batch", RunID: "run-1", Iteration: int(number("iteration")), Seed: number("seed"),
		Input: object("input"), Matrix: object("matrix"), Environment: text("environment"), Services: object("services"),
		From: text("from"), To: text("to"), Variables: object("variables"),
	}
	if row, ok := p.options["row"]; ok {
		n, _ := value.Int(row)
		r.Row = &p.programs[0].Data.Rows[n]
	}
	if tags := text("step_tags"); tags != "" {
		var err error
		if r.StepTags, err = tag.Parse(tags); err != nil {
			t.Fatal(err)
		}
	}
	if saved := object("saved"); saved != nil {
		r.Saved = map[string]SavedStep{}
		for id, v := range saved {
			r.Saved[id] = SavedStep{Status: event.Passed, Result: v, HasResult: true}
		}
	}
	ctx := t.Context()
	if after := text("cancel_after"); after != "" {
		d, err := time.ParseDuration(after)
		if err != nil {
			t.Fatal(err)
		}
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		if d == 0 {
			cancel()
		}
		time.AfterFunc(d, cancel)
		ctx = inner
	}
	if after := text("no_teardown_after"); after != "" {
		d, err := time.ParseDuration(after)
		if err != nil {
			t.Fatal(err)
		}
		second := make(chan struct{})
		time.AfterFunc(d, func() { close(second) })
		r.NoTeardown = second
	}
	return p.engine(t).Run(ctx, r)
}

var stamp = regexp.MustCompile(`^\{"v":1,("type":"[a-z._]+","seq":\d+),"time":"[^"]*",`)

// lines prints events as JSON lines without what differs from run to run; times
// are those of the bubble, and exact.
func lines(events []*event.Event) []byte {
	var out bytes.Buffer
	for _, e := range events {
		shown := *e
		shown.BatchID, shown.RunID, shown.Attempt, shown.Flow = "", "", 0, ""
		if shown.Step != nil {
			step := *shown.Step
			step.File = ""
			shown.Step = &step
		}
		if shown.RunStarted != nil {
			started := *shown.RunStarted
			started.Version = ""
			shown.RunStarted = &started
		}
		line := event.AppendJSON(nil, &shown)
		out.Write(stamp.ReplaceAll(bytes.Replace(line, []byte(`Z"}`), []byte(`Z",}`), 1), []byte("{$1,")))
		out.WriteByte('\n')
	}
	return bytes.ReplaceAll(out.Bytes(), []byte(",}\n"), []byte("}\n"))
}

var seq = regexp.MustCompile(`"seq":\d+,`)

// unordered sorts lines and takes their numbers away, for flows in which things
// happen at one time; what must come first is the invariants' to say.
func unordered(text string) string {
	sorted := strings.Split(strings.TrimSuffix(seq.ReplaceAllString(text, ""), "\n"), "\n")
	slices.Sort(sorted)
	return strings.Join(sorted, "\n") + "\n"
}

// TestGolden runs every flow of testdata and compares its events. The name of a
// file is its claim; the comment at its top is the sentence of FLOW.md.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				golden(t, file, archive)
				<-time.After(2 * time.Hour) // a plugin that was left behind ends
			})
		})
	}
}

func golden(t *testing.T, file string, archive *txtar.Archive) {
	p := newProject(t, archive.Files)
	out := p.run(t)
	events := p.sink.of("run-1")
	for _, broken := range invariants(events) {
		t.Error(broken)
	}
	last := events[len(events)-1].RunFinished
	if out.Status != last.Status {
		t.Errorf("the outcome is %s, the last event says %s", out.Status, last.Status)
	}
	got := string(lines(events))
	if p.options["unordered"] == true {
		got = unordered(got)
	}
	want, at := "", -1
	for i, f := range archive.Files {
		if f.Name == "events" {
			want, at = string(f.Data), i
		}
	}
	if got == want {
		return
	}
	if !*update {
		t.Errorf("events (-want +got):\n%s", cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
		return
	}
	if at < 0 {
		archive.Files = append(archive.Files, txtar.File{Name: "events"})
		at = len(archive.Files) - 1
	}
	archive.Files[at].Data = []byte(got)
	if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
