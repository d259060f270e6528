package plugin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/sdk/plugintest"
)

// flowsTime bounds all of the author's flows.
const flowsTime = 10 * time.Minute

// check is one case of the kit or one of the author's flows, done.
type check struct {
	suite   string // conformance or flows
	name    string
	title   string
	status  string // passed, failed, errored, skipped
	message string
	fix     string
	took    time.Duration
}

// trial is a plugin that is tried.
type trial struct {
	*tool
	cmd      *cobra.Command
	dir      string
	manifest *pluginstore.Manifest
	only     []string
}

func (t *tool) newTest() *cobra.Command {
	var format string
	var only []string
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Try a plugin: the conformance kit and its own flows",
		Long: "Build a plugin, try every promise of the wire with the conformance kit, and run the flows of its manifest.\n\n" +
			"Exit codes: 0 all passed or were skipped · 1 one failed · 2 the plugin's files are wrong · 3 it could not be tried.",
		Example: `  testmesh plugin test
  testmesh plugin test --format tap
  testmesh plugin test --case cancel-call --case panic`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := t.checkWriter(format)
			if err != nil {
				return err
			}
			dir := t.folder(args)
			m, err := t.manifest(cmd, dir)
			if err != nil {
				return err
			}
			if err := t.build(cmd.Context(), dir, m); err != nil {
				return err
			}
			d, err := t.describe(cmd.Context(), dir, m)
			if err != nil {
				return err
			}
			x := &trial{tool: t, cmd: cmd, dir: dir, manifest: m, only: only}
			return x.run(cmd.Context(), d, w)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, tap or ctrf")
	cmd.Flags().StringArrayVar(&only, "case", nil, "try this case of the kit only, and no flows; may be repeated")
	return cmd
}

// run tries everything and ends with the exit code.
func (x *trial) run(ctx context.Context, d *testmeshv1.Descriptor, w checkWriter) error {
	config, err := x.kit(d)
	if err != nil {
		return err
	}
	var all []check
	report := func(c check) {
		all = append(all, c)
		w.add(c)
	}
	w.begin(x.manifest)
	_, err = plugintest.Check(ctx, config, func(o plugintest.Outcome) { report(ofOutcome(o)) })
	if err == nil && len(x.only) == 0 {
		err = x.flows(ctx, d, report)
	}
	if err := errors.Join(err, w.end(all)); err != nil {
		var done *exit
		if errors.As(err, &done) {
			return err
		}
		return errored("", "%w", err)
	}
	code := 0
	for _, c := range all {
		switch {
		case c.status == "failed":
			code = exitFailed
		case c.status == "errored" && code == 0:
			code = exitErrored
		}
	}
	if code != 0 {
		return &exit{code: code}
	}
	return nil
}

// kit is the conformance kit's view of the plugin.
func (x *trial) kit(d *testmeshv1.Descriptor) (plugintest.Config, error) {
	argv, err := command(x.dir, x.manifest)
	if err != nil {
		return plugintest.Config{}, err
	}
	config := plugintest.Config{
		Command: argv, Dir: x.dir, Env: x.pluginEnv(x.manifest), Descriptor: d, Only: x.only, Temp: shortTemp(os.TempDir()),
	}
	if len(x.manifest.Conformance) == 0 {
		return config, nil
	}
	dec := json.NewDecoder(bytes.NewReader(x.manifest.Conformance))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&config.Conformance); err != nil {
		return config, x.refuse(x.cmd, source.Problems{{
			Severity: source.Error, Code: source.CodeType, Pos: x.manifest.At("conformance"),
			Message: "the kit cannot read conformance: " + strings.TrimPrefix(err.Error(), "json: "),
		}}, x.dir)
	}
	return config, nil
}

// maxTemp is how long the path of a folder for sockets may be: theirs is bounded
// at 104 bytes.
const maxTemp = 48

// shortTemp is a folder for what the kit writes, sockets among it.
func shortTemp(dir string) string {
	if len(dir) <= maxTemp {
		return dir
	}
	if info, err := os.Stat("/tmp"); err == nil && info.IsDir() {
		return "/tmp"
	}
	return dir
}

func ofOutcome(o plugintest.Outcome) check {
	c := check{suite: "conformance", name: o.ID, title: o.Title, message: o.Message, took: o.Took}
	switch o.Status {
	case plugintest.Passed:
		c.status = "passed"
	case plugintest.Skipped, plugintest.Inapplicable:
		c.status = "skipped"
	default:
		c.status, c.fix = "failed", o.Why+" "+o.Fix
	}
	return c
}

// flows runs the author's flows with this testmesh and this build of the plugin.
func (x *trial) flows(ctx context.Context, d *testmeshv1.Descriptor, report func(check)) error {
	if x.manifest.Flows == "" {
		return nil
	}
	if info, err := os.Stat(filepath.Join(x.dir, filepath.FromSlash(x.manifest.Flows))); err != nil || !info.IsDir() {
		return usage("make it, or take flows out of "+pluginstore.ManifestFile, "the folder %s of the plugin's flows is not there", x.manifest.Flows)
	}
	temp, err := os.MkdirTemp("", "testmesh-plugin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	override, results := filepath.Join(temp, "override.json"), filepath.Join(temp, "results.json")
	if err := pluginstore.WriteOverride(override, x.override(d)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flowsTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, x.Executable, "run", x.manifest.Flows, "--format", "quiet", "--no-auto-report", "--report", "ctrf="+results)
	cmd.Dir, cmd.WaitDelay = x.dir, 10*time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(append([]string{}, x.Environ...), overrideVariable+"="+override)
	var words bounded
	cmd.Stdout, cmd.Stderr = &words, &words
	runErr := cmd.Run()
	data, err := os.ReadFile(results)
	var list []check
	if err == nil {
		list, err = ofCTRF(data)
	}
	if err != nil || len(list) == 0 {
		code := exitErrored
		if x := (*exec.ExitError)(nil); errors.As(runErr, &x) && x.ExitCode() == exitUsage {
			code = exitUsage
		}
		return &exit{code: code, err: fmt.Errorf("the flows of %s did not run: %w\n%s", x.manifest.Flows, cmp.Or(runErr, err), indented(words.String()))}
	}
	for _, c := range list {
		report(c)
	}
	return nil
}

// overrideVariable is read by `testmesh run`: a file with a plugin that stands in
// for the locked one.
const overrideVariable = "TESTMESH_PLUGIN_OVERRIDE"

func (x *trial) override(d *testmeshv1.Descriptor) pluginstore.Override {
	return pluginstore.Override{
		Name: x.manifest.Name, Version: x.manifest.Version, Dir: x.dir, Command: x.manifest.Command,
		Permissions: x.manifest.Permissions, Descriptor: d,
	}
}

// ofCTRF reads the report of the author's flows.
func ofCTRF(data []byte) ([]check, error) {
	var report struct {
		Results struct {
			Tests []struct {
				Name      string  `json:"name"`
				Status    string  `json:"status"`
				RawStatus string  `json:"rawStatus"`
				Duration  float64 `json:"duration"`
				Message   string  `json:"message"`
			} `json:"tests"`
		} `json:"results"`
	}
	if err := json.Unmarshal(data, &report); err != nil {
		return nil, fmt.Errorf("read the report of the flows: %w", err)
	}
	var out []check
	for _, test := range report.Results.Tests {
		c := check{
			suite: "flows", name: test.Name, title: test.Name, message: test.Message,
			took: time.Duration(test.Duration * float64(time.Millisecond)),
		}
		switch raw := cmp.Or(test.RawStatus, test.Status); raw {
		case "passed", "failed", "skipped":
			c.status = raw
		default:
			c.status = "errored"
		}
		out = append(out, c)
	}
	return out, nil
}

// checkWriter prints checks as they come.
type checkWriter interface {
	begin(m *pluginstore.Manifest)
	add(c check)
	end(all []check) error
}

func (t *tool) checkWriter(format string) (checkWriter, error) {
	switch format {
	case "text":
		return &textChecks{out: t.Stdout}, nil
	case "tap":
		return &tapChecks{out: t.Stdout}, nil
	case "ctrf":
		return &ctrfChecks{out: t.Stdout, version: t.Version}, nil
	}
	return nil, usage("write text, tap or ctrf", "--format %q is not known", format)
}

// numbers of checks by status.
func numbers(all []check) map[string]int {
	out := map[string]int{}
	for _, c := range all {
		out[c.status]++
	}
	return out
}

// textChecks prints a line a check, and below one that failed what to do.
type textChecks struct {
	out   io.Writer
	suite string
}

func (w *textChecks) begin(m *pluginstore.Manifest) {
	fmt.Fprintf(w.out, "%s %s\n", m.Name, m.Version)
}

func (w *textChecks) add(c check) {
	if c.suite != w.suite {
		w.suite = c.suite
		fmt.Fprintf(w.out, "\n%s\n", c.suite)
	}
	word := map[string]string{"passed": "ok", "failed": "FAIL", "errored": "ERROR", "skipped": "skip"}[c.status]
	fmt.Fprintf(w.out, "  %-5s  %s", word, c.name)
	if c.title != c.name {
		fmt.Fprintf(w.out, "  %s", c.title)
	}
	fmt.Fprintln(w.out)
	if c.message != "" && c.status != "passed" {
		fmt.Fprintln(w.out, deeper(c.message))
	}
	if c.fix != "" {
		fmt.Fprintln(w.out, deeper(c.fix))
	}
}

func deeper(text string) string {
	return "         " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n         ")
}

func (w *textChecks) end(all []check) error {
	n := numbers(all)
	word := "PASS"
	switch {
	case n["failed"] > 0:
		word = "FAIL"
	case n["errored"] > 0:
		word = "ERROR"
	}
	parts := []string{fmt.Sprintf("%d passed", n["passed"])}
	for _, status := range []string{"failed", "errored", "skipped"} {
		if n[status] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[status], status))
		}
	}
	_, err := fmt.Fprintf(w.out, "\n%s  %s\n", word, strings.Join(parts, " · "))
	return err
}
