package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// steps of the long flow.
	steps = 10
	// files that validate reads.
	files = 500
)

const create = `    - id: create_%d
      action: http.request
      config: {method: POST, url: "%s/users", body: {name: Ada}}
      assert:
        - status == 201
        - body.name == "Ada"
        - body.id exists
      output: {user_%d: body.id}
`

const fetch = `    - id: fetch
      action: http.request
      config: {url: "%s/users/${user_1}"}
      assert:
        - status == 200
        - body.id == user_1
        - body.name starts_with "A"
`

// writeFlows puts the flows of all figures into the folder.
func (b *bench) writeFlows() error {
	creates := func(n int) string {
		var text strings.Builder
		for i := 1; i <= n; i++ {
			fmt.Fprintf(&text, create, i, b.url, i)
		}
		return text.String()
	}
	flow := func(name, body string) string { return "flow:\n  name: " + name + "\n  steps:\n" + body }
	two := creates(1) + fmt.Sprintf(fetch, b.url)
	all := map[string]string{
		"get.testmesh.yaml": flow("one request", fmt.Sprintf(
			"    - action: http.request\n      config: {url: \"%s/ping\"}\n      assert: [status == 200]\n", b.url)),
		"steps.testmesh.yaml": flow("many steps", creates(steps)),
		"two.testmesh.yaml":   flow("two requests", two),
	}
	for i := range files {
		all[fmt.Sprintf("many/%03d.testmesh.yaml", i)] = flow(fmt.Sprintf("two requests %d", i), two)
	}
	for name, text := range all {
		path := filepath.Join(b.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
