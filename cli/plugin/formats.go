package plugin

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/testmesh/testmesh/agent/pluginstore"
)

// tapChecks prints TAP version 14 (testanything.org).
type tapChecks struct {
	out io.Writer
	n   int
}

func (w *tapChecks) begin(*pluginstore.Manifest) { fmt.Fprintln(w.out, "TAP version 14") }

func (w *tapChecks) add(c check) {
	w.n++
	ok := "ok"
	if c.status == "failed" || c.status == "errored" {
		ok = "not ok"
	}
	name := c.suite + " " + c.name
	if c.title != c.name {
		name += ": " + c.title
	}
	fmt.Fprintf(w.out, "%s %d - %s", ok, w.n, tapText(name))
	if c.status == "skipped" {
		fmt.Fprintf(w.out, " # SKIP %s", tapText(c.message))
	}
	fmt.Fprintf(w.out, "\n  ---\n  duration_ms: %d\n", c.took.Milliseconds())
	if ok == "not ok" {
		fmt.Fprintf(w.out, "  severity: %s\n  message: %s\n", c.status, yamlText(c.message))
		if c.fix != "" {
			fmt.Fprintf(w.out, "  fix: %s\n", yamlText(c.fix))
		}
	}
	fmt.Fprintln(w.out, "  ...")
}

func (w *tapChecks) end([]check) error {
	_, err := fmt.Fprintf(w.out, "1..%d\n", w.n)
	return err
}

// tapText keeps a description in its line and out of a directive.
func tapText(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return strings.NewReplacer(`\`, `\\`, "#", `\#`).Replace(text)
}

// yamlText is a text in double quotes, as JSON and YAML read it.
func yamlText(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return `""` // a string always has a form
	}
	return string(quoted)
}

// ctrfChecks prints one document of the Common Test Report Format at the end.
type ctrfChecks struct {
	out     io.Writer
	version string
	name    string
	started time.Time
}

func (w *ctrfChecks) begin(m *pluginstore.Manifest) {
	w.name, w.started = m.Name, time.Now()
}

func (w *ctrfChecks) add(check) {}

func (w *ctrfChecks) end(all []check) error {
	n := numbers(all)
	tests := []map[string]any{}
	for _, c := range all {
		test := map[string]any{"name": c.name, "status": c.status, "duration": c.took.Milliseconds(), "suite": []string{w.name, c.suite}}
		if c.status == "errored" {
			test["status"], test["rawStatus"] = "other", c.status
		}
		if c.message != "" && c.status != "passed" {
			test["message"] = c.message
		}
		tests = append(tests, test)
	}
	enc := json.NewEncoder(w.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{
		"reportFormat": "CTRF", "specVersion": "0.0.0",
		"results": map[string]any{
			"tool": map[string]string{"name": "testmesh plugin test", "version": w.version},
			"summary": map[string]any{
				"tests": len(all), "passed": n["passed"], "failed": n["failed"], "skipped": n["skipped"], "pending": 0,
				"other": n["errored"], "start": w.started.UnixMilli(), "stop": time.Now().UnixMilli(),
			},
			"tests": tests,
		},
	})
}
