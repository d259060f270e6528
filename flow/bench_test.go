package flow

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// generated is a project of n flows like those that people write: ten steps,
// env from a folder and an environment, assertions, matches, sub-flow, rows.
func generated(n int) fstest.MapFS {
	fsys := fstest.MapFS{
		"folder.yaml":       {Data: []byte("variables: {API: \"http://127.0.0.1:7071\"}\nauth: {type: bearer, token: \"${secret.TOKEN}\"}\n")},
		"rows.csv":          {Data: []byte("user,qty\nada,1\nbob,2\n")},
		"shared/login.yaml": {Data: []byte("flow:\n  name: Login\n  input: {user: {type: string}}\n  steps:\n    - {id: in, action: http.request, config: {method: POST, url: \"${API}/login\", body: {user: \"${user}\"}}, output: {token: body.token}}\n  output: {token: token}\n")},
	}
	for i := range n {
		var b strings.Builder
		fmt.Fprintf(&b, "flow:\n  name: Flow %d\n  tags: [smoke]\n  data: ../rows.csv\n  env: {BASE: \"${API}/v%d\"}\n  steps:\n", i, i%3)
		b.WriteString("    - {id: login, action: run_flow, config: {flow: ../shared/login.yaml, input: {user: \"${user}\"}}, output: {token: flow.output.token}}\n")
		for s := range 8 {
			fmt.Fprintf(&b, "    - id: step_%d\n      name: Step %d of ${user}\n      action: http.request\n      config:\n        method: POST\n        url: ${BASE}/orders/${row.index}\n        headers: {Authorization: \"Bearer ${token}\"}\n        body: {qty: \"${qty}\", user: \"${user}\"}\n      assert:\n        - status == 201\n        - body.items.length > 0 && body.total >= 10.5\n        - response.body.id exists\n      match: {body: {id: \"#uuid\", status: confirmed}}\n      output: {order_%d: body.id}\n", s, s, s)
		}
		b.WriteString("    - action: for_each\n      config:\n        items: step_0.body.items\n        steps:\n          - {action: log, config: {message: \"${item.sku} of ${order_0}\"}}\n  teardown:\n    - {action: http.request, config: {method: DELETE, url: \"${BASE}/orders/${order_0:none}\"}}\n")
		fsys[fmt.Sprintf("flows/%04d.yaml", i)] = &fstest.MapFile{Data: []byte(b.String())}
	}
	return fsys
}

func TestGeneratedFlowsCompile(t *testing.T) {
	fsys := generated(3)
	files, _, problems := Discover(fsys, []string{"flows"})
	if len(problems) > 0 || len(files) != 3 {
		t.Fatalf("discover: got %v, %v", files, problems)
	}
	l := NewLoader(Options{Catalog: testCatalog(t), FS: fsys})
	for _, f := range files {
		programs, problems := l.Flows(f)
		if len(programs) != 1 || len(problems.Errors()) > 0 {
			t.Errorf("%s: got %d programs, %v", f, len(programs), problems)
		}
	}
}

// BenchmarkCompile500 is `testmesh validate` of 500 flows, without the process.
func BenchmarkCompile500(b *testing.B) {
	fsys := generated(500)
	c := testCatalog(b)
	for b.Loop() {
		files, _, _ := Discover(fsys, []string{"flows"})
		l := NewLoader(Options{Catalog: c, FS: fsys})
		for _, f := range files {
			if programs, problems := l.Flows(f); len(programs) != 1 {
				b.Fatal(problems)
			}
		}
	}
}

// BenchmarkCompileOne is what a cold `testmesh run` of one small flow pays.
func BenchmarkCompileOne(b *testing.B) {
	fsys := projectFiles(map[string]string{"a.yaml": "flow:\n  name: One\n  steps:\n    - {action: http.request, config: {url: http://127.0.0.1/}, assert: [status == 200]}\n"})
	for b.Loop() {
		l := NewLoader(Options{Catalog: testCatalog(b), FS: fsys})
		if programs, problems := l.Flows("a.yaml"); len(programs) != 1 {
			b.Fatal(problems)
		}
	}
}
