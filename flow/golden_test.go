package flow

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/source"
)

var update = flag.Bool("update", false, "write the golden files anew")

// testCatalog is a small http plugin, and one with a result of any shape.
func testCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.New(&testmeshv1.Descriptor{
		Name: "http", Version: "1.0.0",
		Actions: []*testmeshv1.Action{{
			Name: "http.request",
			ConfigSchema: `{"type": "object", "additionalProperties": false, "required": ["url"], "properties": {
				"url": {"type": "string", "minLength": 1},
				"method": {"enum": ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"], "default": "GET"},
				"headers": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
				"body": true, "body_file": {"type": "string", "x-testmesh-file": true},
				"timeout": {"type": "string", "x-testmesh-duration": true},
				"max_redirects": {"type": "integer", "minimum": 0},
				"follow_redirects": {"type": "boolean"},
				"auth": {"type": "object", "additionalProperties": false, "required": ["type"], "properties": {"type": {"enum": ["basic", "bearer"]}, "token": {"type": "string"}, "username": {"type": "string"}, "password": {"type": "string"}}}
			}}`,
			ResultSchema: `{"type": "object", "additionalProperties": false, "properties": {
				"status": {"type": "integer"}, "headers": {"type": "object"}, "body": true, "content_type": {"type": "string"}, "duration_ms": {"type": "number"}}}`,
			Expectation: "status < 400", BodyKey: "body", Aliases: []string{"http_request"},
			KeyAliases:    []*testmeshv1.KeyAlias{{From: "query_params", To: "params"}, {From: "json", To: "body"}},
			ResultAliases: []*testmeshv1.KeyAlias{{From: "response_time", To: "duration_ms"}},
			Effects: []*testmeshv1.EffectRule{
				{When: `method in ["GET", "HEAD", "OPTIONS"]`, Effect: testmeshv1.Effect_EFFECT_OBSERVE},
				{When: `method in ["PUT", "DELETE"]`, Effect: testmeshv1.Effect_EFFECT_IDEMPOTENT},
				{Effect: testmeshv1.Effect_EFFECT_ONCE},
			},
		}},
	}, &testmeshv1.Descriptor{
		Name: "mock", Version: "1.0.0",
		Actions: []*testmeshv1.Action{{
			Name:         "mock.start",
			ConfigSchema: `{"type": "object", "properties": {"reply": {"x-testmesh-template": "late"}}}`,
		}},
		Functions: []*testmeshv1.Function{{Name: "luhn"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestGolden compiles the flows of each archive below testdata. The comment of
// an archive has its options, one a line: `flow PATH` (default: every file that
// Discover finds), `var K=V`, `process K=V`, `env NAME`, `env-file PATH`,
// `data PATH`, `secret NAME`, `input K=V`, `allow-missing-plugins`, `project`.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(name), "testdata/"), ".txtar"), func(t *testing.T) {
			golden(t, name)
		})
	}
}

func golden(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{}
	want := ""
	for _, f := range archive.Files {
		if f.Name == "want" {
			want = string(f.Data)
		} else {
			fsys[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	got := compileArchive(t, string(archive.Comment), fsys)
	if again := compileArchive(t, string(archive.Comment), fsys); again != got {
		t.Errorf("compiling twice gives two answers:\n%s", cmp.Diff(got, again))
	}
	if !*update {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return
	}
	files := archive.Files[:0]
	for _, f := range archive.Files {
		if f.Name != "want" {
			files = append(files, f)
		}
	}
	archive.Files = append(files, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func compileArchive(t *testing.T, options string, fsys fstest.MapFS) string {
	o := Options{Catalog: testCatalog(t), FS: fsys, Vars: map[string]string{}, Inputs: map[string]any{}}
	process := map[string]string{}
	o.ProcessEnv = func(name string) (string, bool) { v, ok := process[name]; return v, ok }
	var paths []string
	var problems source.Problems
	project := false
	for line := range strings.Lines(options) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		k, v, _ := strings.Cut(rest, "=")
		read := func() []byte {
			data, err := fsys.ReadFile(rest)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		var found source.Problems
		switch word {
		case "", "#":
		case "flow":
			paths = append(paths, rest)
		case "var":
			o.Vars[k] = v
		case "process":
			process[k] = v
		case "input":
			o.Inputs[k] = v
		case "env":
			path := EnvironmentPath(rest)
			data, err := fsys.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			o.Environment, found = ParseEnvironment(path, data)
		case "env-file":
			o.EnvFile, found = ParseDotenv(rest, read())
		case "data":
			o.Data, found = ParseData(rest, read())
		case "secret":
			known := o.KnownSecret
			o.KnownSecret = func(name string) bool { return name == rest || known != nil && known(name) }
		case "allow-missing-plugins":
			o.AllowMissingPlugins = true
		case "project":
			project = true
		default:
			t.Fatalf("unknown option %q", line)
		}
		problems = append(problems, found...)
	}
	if paths == nil {
		paths, _, _ = Discover(fsys, []string{"."})
	}
	return printed(t, o, paths, problems, project)
}

// printed is everything that compiling the files of a project says.
func printed(t *testing.T, o Options, paths []string, problems source.Problems, project bool) string {
	l := NewLoader(o)
	var programs []*Program
	for _, path := range paths {
		ps, found := l.Flows(path)
		programs = append(programs, ps...)
		problems = append(problems, found...)
	}
	if project {
		problems = append(problems, l.CheckProject(programs)...)
	}
	var b strings.Builder
	for _, p := range problems {
		printProblem(&b, p)
	}
	for _, p := range programs {
		printProgram(t, &b, p)
	}
	return b.String()
}

func printProblem(b *strings.Builder, p source.Problem) {
	fmt.Fprintf(b, "%s: %s %s: %s\n", p.Pos, p.Severity, p.Code, p.Message)
	if p.Text != "" {
		fmt.Fprintf(b, "    text: %s\n", strings.ReplaceAll(p.Text, "\n", "⏎"))
	}
	if p.Hint != "" {
		fmt.Fprintf(b, "    hint: %s\n", p.Hint)
	}
	if len(p.InScope) > 0 {
		fmt.Fprintf(b, "    in scope: %s\n", strings.Join(p.InScope, ", "))
	}
	if p.Fix != "" {
		fmt.Fprintf(b, "    fix: %s\n", p.Fix)
	}
}

// printProgram prints what compiling decided and no other test looks at.
func printProgram(t *testing.T, b *strings.Builder, p *Program) {
	fmt.Fprintf(b, "flow %q of %s:%d\n", p.Name, p.File, p.Line)
	if len(p.Tags) > 0 {
		fmt.Fprintf(b, "    tags: %s\n", strings.Join(p.Tags, ", "))
	}
	if files := Files(p.Bundle); len(files) > 1 {
		fmt.Fprintf(b, "    files: %s\n", strings.Join(files, ", "))
	}
	for _, v := range p.Env {
		var from []string
		for _, l := range v.Layers {
			from = append(from, l.Origin)
		}
		fmt.Fprintf(b, "    env %s: %s\n", v.Name, strings.Join(from, " < "))
	}
	if len(p.Secrets) > 0 {
		fmt.Fprintf(b, "    secrets: %s\n", strings.Join(p.Secrets, ", "))
	}
	if len(p.VarsRead) > 0 {
		fmt.Fprintf(b, "    vars read: %s\n", strings.Join(p.VarsRead, ", "))
	}
	runs, problems := p.Runs(Selection{})
	for _, problem := range problems {
		printProblem(b, problem)
	}
	if len(runs) > 1 || len(runs) == 1 && len(runs[0].Input) > 0 {
		for _, r := range runs {
			fmt.Fprintf(b, "    run %d: %s input %v\n", r.Iteration, r.Label, r.Input)
		}
	}
}
