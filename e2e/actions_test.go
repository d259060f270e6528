package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"

	"github.com/testmesh/testmesh/plugins/servertest"
)

// preparation is what an example needs before it: an entry of
// testdata/actions/PLUGIN.yaml, under the name of the action. A text of env may
// name a real server, as ${POSTGRES_URL}, and ${API} is the demo application.
type preparation struct {
	Env   map[string]any `yaml:"env"`
	Setup []any          `yaml:"setup"`
}

// actionFiles is the folder of what examples name by a relative path.
const actionFiles = "testdata/actions/files"

// TestEveryActionsDocumentedExampleRuns puts each example of docs/actions.md,
// which the tests of cli hold against the descriptors of the built-in plugins,
// as it stands into a flow of its own and wants it to pass.
func TestEveryActionsDocumentedExampleRuns(t *testing.T) {
	page, err := os.ReadFile("../docs/actions.md")
	if err != nil {
		t.Fatal(err)
	}
	actions, err := examplesOf(string(page))
	if err != nil {
		t.Fatal(err)
	}
	preparations, err := preparationsOf(actions)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	server, err := startDemo(dir, environment(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	})
	servers := append(servertest.Environ(t), "API="+server.url)
	env := append(environment(dir), servers...)
	for _, a := range actions {
		t.Run(a.name, func(t *testing.T) {
			example := strings.ReplaceAll(a.yaml, demoDefault, strings.TrimPrefix(server.url, "http://"))
			flow, err := exampleFlow(a.name, example, preparations[a.name], servers)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := runExample(t.TempDir(), env, flow); err != nil {
				plugin, _, _ := strings.Cut(a.name, ".")
				t.Errorf("%v\n%s\nWhat the example needs before it stands in e2e/testdata/actions/%s.yaml. The flow was:\n%s", err, out, plugin, flow)
			}
		})
	}
}

// documentedAction is a section of docs/actions.md: an action and its example.
type documentedAction struct{ name, yaml string }

// examplesOf reads the sections of the page; one without an example is an error.
func examplesOf(page string) ([]documentedAction, error) {
	var found []documentedAction
	for _, section := range strings.Split(page, "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		blocks, err := fences(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		at := slices.IndexFunc(blocks, func(b block) bool { return b.lang == "yaml" })
		if at < 0 || strings.TrimSpace(blocks[at].text) == "" {
			return nil, fmt.Errorf("%s has no example: give its descriptor one", name)
		}
		if !strings.Contains(blocks[at].text, "action: "+name) {
			return nil, fmt.Errorf("the example of %s has no step of it", name)
		}
		found = append(found, documentedAction{name, blocks[at].text})
	}
	if len(found) == 0 {
		return nil, errors.New("docs/actions.md has no action")
	}
	return found, nil
}

// preparationsOf reads testdata/actions; one for an action that there is not is
// an error.
func preparationsOf(actions []documentedAction) (map[string]preparation, error) {
	files, err := filepath.Glob("testdata/actions/*.yaml")
	if err != nil {
		return nil, err
	}
	all := map[string]preparation{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var some map[string]preparation
		if err := yaml.Load(text, &some, yaml.WithKnownFields()); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for name, p := range some {
			if !slices.ContainsFunc(actions, func(a documentedAction) bool { return a.name == name }) {
				return nil, fmt.Errorf("%s: there is no action %s", file, name)
			}
			all[name] = p
		}
	}
	return all, nil
}

// exampleFlow is the flow that an example becomes.
func exampleFlow(name, example string, p preparation, servers []string) (string, error) {
	for key, value := range p.Env {
		if text, ok := value.(string); ok {
			p.Env[key] = os.Expand(text, func(name string) string { return valueOf(servers, name) })
		}
	}
	head, err := yaml.Dump(map[string]any{
		"name": "The example of " + name, "env": p.Env, "setup": p.Setup,
	}, yaml.WithIndent(2))
	if err != nil {
		return "", err
	}
	return "flow:\n" + indented(string(head), "  ") + "  steps:\n" + indented(example, "    "), nil
}

// valueOf is the last of NAME=value with this name.
func valueOf(env []string, name string) string {
	value := ""
	for _, line := range env {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			value = v
		}
	}
	return value
}

func indented(text, by string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			line = by + line
		}
		b.WriteString(line)
	}
	return b.String()
}

// runExample runs a flow in a folder where the files are that examples name.
func runExample(dir string, env []string, flow string) (string, error) {
	if err := os.CopyFS(dir, os.DirFS(actionFiles)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "example.testmesh.yaml"), []byte(flow), 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command(filepath.Join(binDir, "testmesh"), "run", "example.testmesh.yaml")
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestAnExampleThatDoesNotRunIsFound(t *testing.T) {
	step := func(action string) string {
		return "# Actions\n\n## " + action + "\n\nDoes it.\n\n```yaml\n- id: a\n  action: " + action + "\n```\n"
	}
	t.Run("an action without an example", func(t *testing.T) {
		_, err := examplesOf("# Actions\n\n## http.request\n\n```yaml\n```\n")
		if err == nil || !strings.Contains(err.Error(), "http.request has no example") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an example of something else", func(t *testing.T) {
		if _, err := examplesOf(strings.Replace(step("http.request"), "action: http.request", "action: log", 1)); err == nil {
			t.Error("no error")
		}
	})
	t.Run("a page without actions", func(t *testing.T) {
		if _, err := examplesOf("# Actions\n"); err == nil {
			t.Error("no error")
		}
	})
	for name, test := range map[string]struct {
		assert string
		p      preparation
		want   string
	}{
		"what setup gives is seen": {`[n == 1]`, preparation{Setup: []any{map[string]any{"action": "set", "config": map[string]any{"n": 1}}}}, "<nil>"},
		"what env gives is seen":   {`['URL == "redis://a/0"']`, preparation{Env: map[string]any{"URL": "${REDIS_URL}/0"}}, "<nil>"},
		"a false assertion":        {`["1 == 2"]`, preparation{}, "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			flow, err := exampleFlow("assert", "- action: assert\n  assert: "+test.assert+"\n", test.p, []string{"REDIS_URL=redis://a"})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if out, err := runExample(dir, environment(dir), flow); fmt.Sprint(err) != test.want {
				t.Errorf("got %v, want %s\n%s\n%s", err, test.want, out, flow)
			}
		})
	}
}
