package flow

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func projectFiles(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestDiscover(t *testing.T) {
	fsys := projectFiles(map[string]string{
		"flows/a.yaml":         "# a comment\nflow:\n  name: a\n",
		"flows/b.yml":          "---\nname: b\nsteps: []\n",
		"flows/bare-name.yaml": "name: x\n",
		"flows/two.yaml":       "name: x\n---\nsteps: []\n",
		"flows/json.yaml":      `{"flow": {"name": "x"}}`,

		"flows/broken.yaml":           "flow:\n  - [\n",
		"flows/data.testmesh.yaml":    "nothing: here\n",
		"flows/folder.yaml":           "tags: []\n",
		"flows/deep/c.yaml":           "\"flow\":\n  name: c\n",
		"flows/deep/rows.csv":         "a\n",
		"flows/k8s.yaml":              "kind: Deployment\nspec:\n  flow: 1\n  name: 2\n  steps: 3\n",
		"flows/node_modules/x/d.yaml": "flow: {}\n",
		".testmesh/config.yaml":       "flow: {}\n",
		"environments/local.yaml":     "env: {}\n",
		"flows/dir.yaml/e.yaml":       "flow: {}\n",
	})
	all := []string{"flows/a.yaml", "flows/b.yml", "flows/broken.yaml", "flows/data.testmesh.yaml", "flows/deep/c.yaml", "flows/dir.yaml/e.yaml", "flows/json.yaml"}
	for name, tt := range map[string]struct {
		paths, files, over, problems []string
	}{
		"the whole project":            {[]string{"."}, all, []string{"environments/local.yaml", "flows/bare-name.yaml", "flows/k8s.yaml", "flows/two.yaml"}, nil},
		"a directory below":            {[]string{"flows/deep/"}, []string{"flows/deep/c.yaml"}, nil, nil},
		"a file, whatever it is":       {[]string{"flows/k8s.yaml"}, []string{"flows/k8s.yaml"}, nil, nil},
		"a file that was passed over":  {[]string{"flows", "flows/k8s.yaml"}, []string{"flows/a.yaml", "flows/b.yml", "flows/broken.yaml", "flows/data.testmesh.yaml", "flows/deep/c.yaml", "flows/dir.yaml/e.yaml", "flows/json.yaml", "flows/k8s.yaml"}, []string{"flows/bare-name.yaml", "flows/two.yaml"}, nil},
		"each file once":               {[]string{"flows/a.yaml", "flows/*.yml", "./flows/a.yaml"}, []string{"flows/a.yaml", "flows/b.yml"}, nil, nil},
		"a glob through folders":       {[]string{"**/c.yaml"}, []string{"flows/deep/c.yaml"}, nil, nil},
		"a glob of directories":        {[]string{"flo*"}, all, []string{"flows/bare-name.yaml", "flows/k8s.yaml", "flows/two.yaml"}, nil},
		"a glob that matches nothing":  {[]string{"nothing/*.yaml"}, []string{}, nil, []string{`nothing matches "nothing/*.yaml"`}},
		"a file that is not there":     {[]string{"flows/aa.yaml"}, []string{}, nil, []string{`there is no file "flows/aa.yaml"; did you mean "flows/a.yaml"?`}},
		"a path out of the project":    {[]string{"../x.yaml"}, []string{}, nil, []string{`"../x.yaml" is outside the project; a flow reads only files below the project's root`}},
		"another extension is nearest": {[]string{"flows/b.yaml"}, []string{}, nil, []string{`there is no file "flows/b.yaml"; did you mean "flows/a.yaml"?`}},
	} {
		files, over, problems := Discover(fsys, tt.paths)
		if diff := cmp.Diff(tt.files, files); diff != "" {
			t.Errorf("%s: files (-want +got):\n%s", name, diff)
		}
		if len(tt.over)+len(over) > 0 && !cmp.Equal(tt.over, over) {
			t.Errorf("%s: passed over (-want +got):\n%s", name, cmp.Diff(tt.over, over))
		}
		var words []string
		for _, p := range problems {
			s := p.Message
			if p.Hint != "" {
				s += "; " + p.Hint
			}
			words = append(words, s)
		}
		if diff := cmp.Diff(tt.problems, words); diff != "" {
			t.Errorf("%s: problems (-want +got):\n%s", name, diff)
		}
	}
}

func TestGlob(t *testing.T) {
	fsys := projectFiles(map[string]string{"a/x.json": "", "a/b/x.json": "", "a/b/c/y.json": "", "x.json": "", "a/.hidden/x.json": ""})
	for pattern, want := range map[string][]string{
		"*.json":         {"x.json"},
		"**/x.json":      {"a/b/x.json", "a/x.json", "x.json"},
		"a/**/x.json":    {"a/b/x.json", "a/x.json"},
		"a/**/c/**":      {"a/b/c/y.json"},
		"a/*/x.json":     {"a/.hidden/x.json", "a/b/x.json"},
		"a/**/**/y.json": {"a/b/c/y.json"},
		"none/**":        nil,
	} {
		got, err := glob(fsys, pattern)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", pattern, got, err, want)
		}
	}
	if _, err := glob(fsys, "a["); err == nil {
		t.Error("a[: no error for a pattern that is none")
	}
}

func TestRelative(t *testing.T) {
	for _, tt := range [][3]string{
		{".", "a/b.yaml", "a/b.yaml"}, {"a", "a/b.yaml", "b.yaml"}, {"a/c", "a/b.yaml", "../b.yaml"}, {"x/y", "a/b.yaml", "../../a/b.yaml"},
	} {
		if got := relative(tt[0], tt[1]); got != tt[2] {
			t.Errorf("from %s to %s: got %s, want %s", tt[0], tt[1], got, tt[2])
		}
	}
}

func TestRelativeIsTheWayFromTheFlowsFolder(t *testing.T) {
	for _, tt := range []struct{ dir, name, want string }{
		{".", "data/a.json", "data/a.json"},
		{"flows", "flows/data/a.json", "data/a.json"},
		{"flows", "data/a.json", "../data/a.json"},
		{"flows/deep", "flows/a.json", "../a.json"},
		{"flows", "flows-b/a.json", "../flows-b/a.json"},
	} {
		if got := Relative(tt.dir, tt.name); got != tt.want {
			t.Errorf("from %s to %s: got %s, want %s", tt.dir, tt.name, got, tt.want)
		}
	}
}
