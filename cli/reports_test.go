package cli

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/report/allure"
)

func TestReportsAreTakenApart(t *testing.T) {
	type spec struct {
		Kind, Path string
		ToFile     bool
	}
	for in, want := range map[string]spec{
		"tap":                          {"tap", "", false},
		"tap=out/run.tap":              {"tap", "out/run.tap", true},
		"tap=a=b":                      {"tap", "a=b", true},
		"tap=":                         {"tap", "", true},
		"x.report.yaml":                {"x.report.yaml", "", false},
		"dir/x.report.yml=out.md":      {"dir/x.report.yml", "out.md", true},
		"a=b/x.report.yaml=c=d":        {"a=b/x.report.yaml", "c=d", true},
		"x.report.yaml=y.report.yaml":  {"x.report.yaml", "y.report.yaml", true},
		"x.report.yaml=":               {"x.report.yaml", "", true},
		"json=out/x.report.yaml.json":  {"json", "out/x.report.yaml.json", true},
		"junit=out/summary.report.yml": {"junit", "out/summary.report.yml", true},
	} {
		var got spec
		got.Kind, got.Path, got.ToFile = reportSpec(in)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}

func TestABuildIsNamedByItsServer(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		want *allure.Executor
	}{
		"none": {map[string]string{"CI": "true"}, nil},
		"GitHub Actions": {
			map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://g.example", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "77", "GITHUB_WORKFLOW": "ci", "GITHUB_RUN_NUMBER": "5"},
			&allure.Executor{Name: "GitHub Actions", Type: "github", URL: "https://g.example", BuildName: "ci #5", BuildURL: "https://g.example/a/b/actions/runs/77", BuildOrder: 5},
		},
		"GitLab CI": {
			map[string]string{"GITLAB_CI": "true", "CI_SERVER_URL": "https://l.example", "CI_JOB_NAME": "e2e", "CI_PIPELINE_IID": "6", "CI_JOB_URL": "https://l.example/a/b/-/jobs/9"},
			&allure.Executor{Name: "GitLab CI", Type: "gitlab", URL: "https://l.example", BuildName: "e2e #6", BuildURL: "https://l.example/a/b/-/jobs/9", BuildOrder: 6},
		},
		"Jenkins": {
			map[string]string{"JENKINS_URL": "http://j.example/", "JOB_NAME": "shop", "BUILD_NUMBER": "many", "BUILD_URL": "http://j.example/job/shop/7/"},
			&allure.Executor{Name: "Jenkins", Type: "jenkins", URL: "http://j.example/", BuildName: "shop #many", BuildURL: "http://j.example/job/shop/7/"},
		},
	}
	for name, test := range tests {
		s := &State{LookupEnv: func(key string) (string, bool) { v, ok := test.env[key]; return v, ok }}
		if diff := cmp.Diff(test.want, s.executor()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// listed are the names in a folder.
func listed(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestAFolderAppearsWhenItIsWhole(t *testing.T) {
	tests := map[string]struct {
		there []string // in the folder before; nil: it is not there
		keep  bool
		want  []string // in the folder after; nil: it is not there
	}{
		"a new one":             {nil, true, []string{"a.json", "b.json"}},
		"a new one, given up":   {nil, false, nil},
		"one that is there":     {[]string{"a.json", "old.json"}, true, []string{"a.json", "b.json", "old.json"}},
		"one there, given up":   {[]string{"old.json"}, false, []string{"old.json"}},
		"one there and empty":   {[]string{}, true, []string{"a.json", "b.json"}},
		"one, given up, and no": {[]string{}, false, []string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "results")
			if test.there != nil {
				if err := os.Mkdir(path, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range test.there {
				if err := os.WriteFile(filepath.Join(path, name), []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			f, err := openFolder("results", dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"a.json", "b.json"} {
				w, err := f.create(name)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(w, "new"); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"../x", "a/b", "..", "", "/x", "a.json"} {
				if _, err := f.create(name); err == nil {
					t.Errorf("%q is created", name)
				}
			}
			if err := f.finish(test.keep); err != nil {
				t.Fatal(err)
			}
			if test.want == nil {
				if got := listed(t, dir); len(got) > 0 {
					t.Errorf("left behind: %q", got)
				}
				return
			}
			if diff := cmp.Diff(test.want, listed(t, path)); diff != "" {
				t.Error(diff)
			}
			if got := listed(t, dir); len(got) != 1 {
				t.Errorf("left behind: %q", got)
			}
			if text, err := os.ReadFile(filepath.Join(path, "a.json")); test.keep && (err != nil || string(text) != "new") {
				t.Errorf("a.json holds %q, %v", text, err)
			}
		})
	}
}
