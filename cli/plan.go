package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/tag"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/redact"
)

// plan checks everything that a run command says before anything runs.
func (s *State) plan(p *project, f *runFlags, args []string) (*plan, error) {
	if err := f.check(args); err != nil {
		return nil, err
	}
	pl := &plan{project: p}
	var err error
	if pl.templates, err = s.templates(p, f.reports); err != nil {
		return nil, err
	}
	options, err := s.compileOptions(p, f, pl)
	if err != nil {
		return nil, err
	}
	options.Uninstalled = pl.plugins.uninstalled
	pl.notes = append(pl.notes, pl.plugins.notes...)
	filter, err := f.selection.compile()
	if err != nil {
		return nil, err
	}
	if f.lastFailed {
		if filter.last, err = lastFailed(p); err != nil {
			return nil, err
		}
	}
	if f.stepTag != "" {
		if pl.stepTags, err = tag.Parse(f.stepTag); err != nil {
			return nil, usage("", "--step-tag %q: %w", f.stepTag, err)
		}
	}
	loader := flow.NewLoader(options)
	programs, err := s.programs(p, loader, args, filter, f, pl)
	if err != nil || f.explain {
		return pl, err
	}
	if err := s.become(pl.plugins); err != nil {
		return nil, err
	}
	if problems := loader.CheckProject(programs).Errors(); len(problems) > 0 {
		return nil, &problemsError{problems}
	}
	if err := unreadVars(options.Vars, programs); err != nil {
		return nil, err
	}
	if err := pl.shortSecrets(programs); err != nil {
		return nil, err
	}
	if err := pl.context(s, f, programs); err != nil {
		return nil, err
	}
	return pl, pl.expand(f, programs)
}

// check refuses flags that say nothing together.
func (f *runFlags) check(args []string) error {
	switch {
	case f.parallel < 1:
		return usage("", "--parallel %d: at least 1", f.parallel)
	case f.repeat < 1:
		return usage("", "--repeat %d: at least 1", f.repeat)
	case f.iterations < 0:
		return usage("", "--iterations %d: at least 1", f.iterations)
	case f.timeout < 0 || f.delay < 0:
		return usage("", "a time limit or delay is not negative")
	}
	for _, a := range args {
		if strings.HasPrefix(a, "http://") || strings.HasPrefix(a, "https://") {
			return usage("", "%s is a URL; run takes files of this machine", a)
		}
	}
	return nil
}

// compileOptions reads environment, secrets, variables and data.
func (s *State) compileOptions(p *project, f *runFlags, pl *plan) (flow.Options, error) {
	o := flow.Options{FS: p.fs, ProcessEnv: s.LookupEnv}
	var err error
	if pl.plugins, err = s.plugins(p, f.locked, f.isolate); err != nil {
		return o, err
	}
	if o.Catalog, err = pl.plugins.catalog(); err != nil {
		return o, usage("", "%w", err)
	}
	if o.Vars, err = parseVars(f.vars); err != nil {
		return o, err
	}
	if f.envFile != "" {
		if o.EnvFile, err = s.dotenv(f.envFile); err != nil {
			return o, err
		}
	}
	if o.Environment, err = s.environment(p, f); err != nil {
		return o, err
	}
	pl.environment = o.Environment
	pl.secrets = &secrets{state: s, file: map[string]string{}, env: o.Environment, root: p.path}
	if f.secretFile != "" {
		list, err := s.dotenv(f.secretFile)
		if err != nil {
			return o, err
		}
		for _, b := range list {
			pl.secrets.file[b.Name] = b.Value
		}
	}
	if !f.remote { // agents have others
		o.KnownSecret = pl.secrets.known
	}
	if f.data != "" {
		if o.Data, err = s.data(f.data); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (s *State) data(name string) (*flow.DataSource, error) {
	full := name
	if !filepath.IsAbs(full) {
		full = filepath.Join(s.Dir, name)
	}
	info, err := os.Stat(full)
	if err != nil {
		return nil, usage("", "read rows: %w", err)
	}
	if info.Size() > flow.MaxFileBytes {
		return nil, usage("", "%s is over %d MiB", name, flow.MaxFileBytes>>20)
	}
	text, err := os.ReadFile(full)
	if err != nil {
		return nil, usage("", "read rows: %w", err)
	}
	data, problems := flow.ParseData(name, text)
	if bad := problems.Errors(); len(bad) > 0 {
		return nil, &problemsError{bad}
	}
	return data, nil
}

// programs compiles the flows that the paths and filters select.
func (s *State) programs(p *project, loader *flow.Loader, args []string, filter *filter, f *runFlags, pl *plan) ([]*flow.Program, error) {
	files, over, err := p.discover(args)
	if err != nil {
		return nil, err
	}
	if len(over) > 0 && f.format == "verbose" {
		pl.notes = append(pl.notes, fmt.Sprintf("%s passed over: no flow in %s", counted(len(over), "YAML file"), strings.Join(over[:min(3, len(over))], ", ")))
	}
	var all, selected []*flow.Program
	var problems source.Problems
	for _, file := range files {
		programs, found := loader.Flows(file)
		problems = append(problems, found.Errors()...)
		all = append(all, programs...)
	}
	if len(problems) > 0 {
		return nil, &problemsError{problems}
	}
	for _, program := range all {
		yes, reason := filter.why(program)
		if yes {
			selected = append(selected, program)
		}
		if f.explain {
			word := "skip"
			if yes {
				word = "run "
			}
			fmt.Fprintf(s.Stdout, "%s  %s  %s\n      %s\n", word, p.shown(program.File), program.Name, reason)
		}
	}
	if f.explain {
		fmt.Fprintf(s.Stdout, "%d of %s selected; nothing was run\n", len(selected), counted(len(all), "flow"))
	}
	if len(selected) == 0 && !f.explain {
		hint := "testmesh run --explain says why"
		if len(all) == 0 {
			hint = "flows end in .testmesh.yaml, or have `flow:` at their root; testmesh init makes one"
		}
		return nil, &exitError{code: batch.ExitNothing, err: fmt.Errorf("nothing is selected: %d of %s\n  hint: %s", 0, counted(len(all), "flow"), hint)}
	}
	return selected, nil
}

// discover finds the flow files that the arguments stand for.
func (p *project) discover(args []string) (files, over []string, err error) {
	if len(args) == 0 {
		args = []string{"."}
	}
	paths := make([]string, len(args))
	for i, a := range args {
		if paths[i], err = p.below(a); err != nil {
			return nil, nil, err
		}
	}
	files, over, problems := flow.Discover(p.fs, paths)
	if bad := problems.Errors(); len(bad) > 0 {
		return nil, nil, &problemsError{bad}
	}
	return files, over, nil
}

// expand makes the runs of every program, with their locks and shard.
func (pl *plan) expand(f *runFlags, programs []*flow.Program) error {
	i, n, err := parseShard(f.shard)
	if err != nil {
		return err
	}
	count, rowless := 0, 0
	for _, program := range programs {
		if err := pl.target(f, program); err != nil {
			return err
		}
		runs, problems := program.Runs(flow.Selection{Iterations: f.iterations, Repeat: f.repeat})
		if bad := problems.Errors(); len(bad) > 0 {
			return &problemsError{bad}
		}
		if len(runs) == 0 {
			rowless++
			pl.notes = append(pl.notes, fmt.Sprintf("%s: its data has no rows, so it has no runs", program.Name))
		}
		kept := runs[:0:0]
		for _, r := range runs {
			if count%n == i-1 {
				kept = append(kept, r)
			}
			count++
		}
		if len(kept) > 0 {
			pl.flows = append(pl.flows, batch.Flow{Program: program, Runs: kept})
		}
	}
	if len(pl.flows) == 0 {
		reason := fmt.Sprintf("shard %s has none of %s", f.shard, counted(count, "run"))
		if rowless == len(programs) {
			reason = "the data has no rows"
		}
		return &exitError{code: batch.ExitNothing, err: fmt.Errorf("nothing is selected: %s", reason)}
	}
	return nil
}

// target refuses a flow for another environment, and says that labels select
// agents, of which there are none here.
func (pl *plan) target(f *runFlags, program *flow.Program) error {
	t := program.Target
	if t == nil {
		return nil
	}
	if t.Env != nil {
		if v, ok := t.Env.Static(); ok && f.env != "" && value.Text(v) != f.env {
			return usage(fmt.Sprintf("run it with --env %s, or leave it out", value.Text(v)),
				"flow %q is for environment %s (target.env), not %s", program.Name, value.Text(v), f.env)
		}
	}
	pl.notes = append(pl.notes, fmt.Sprintf("%s: target selects agents and is ignored by a local run", program.Name))
	return nil
}

// shortSecrets refuses secrets that could not be masked, as far as they are known
// before a run: those of --secret-file and of the process environment.
func (pl *plan) shortSecrets(programs []*flow.Program) error {
	for _, p := range programs {
		for _, name := range p.Secrets {
			v, given := pl.secrets.given(name)
			if !given {
				continue
			}
			if err := redact.New().Add(name, v); err != nil {
				return &problemsError{source.Problems{{
					Code: source.CodeSecret, Pos: source.Pos{File: p.File, Line: p.Line},
					Message: fmt.Sprintf("flow %q reads secret.%s: %s", p.Name, name, err), Hint: "give it a longer value",
				}}}
			}
		}
	}
	return nil
}

// context reads --from, which names a step and, before a colon, a saved context.
func (pl *plan) context(s *State, f *runFlags, programs []*flow.Program) error {
	pl.from = f.from
	if (f.from != "" || f.to != "" || f.saved != "") && len(programs) != 1 {
		return usage("name one flow file", "--from, --to and --save-context go with one flow, and %d are selected", len(programs))
	}
	if file, step, ok := strings.Cut(f.from, ":"); ok {
		pl.from = step
		full := file
		if !filepath.IsAbs(full) {
			full = filepath.Join(s.Dir, file)
		}
		text, err := os.ReadFile(full)
		if err != nil {
			return usage("", "read the saved context: %w", err)
		}
		saved, err := engine.ReadContext(text)
		if err != nil {
			return usage("", "read the saved context %s: %w", file, err)
		}
		if saved.Flow != programs[0].Name {
			return usage("", "the saved context %s is of flow %q, not %q", file, saved.Flow, programs[0].Name)
		}
		pl.saved = saved.Steps
	}
	for flag, id := range map[string]string{"--from": pl.from, "--to": f.to} {
		if id == "" {
			continue
		}
		var ids []string
		for _, step := range programs[0].Steps {
			ids = append(ids, step.ID)
		}
		if !contains(ids, id) {
			hint := source.Suggest(id, ids)
			if hint == "" {
				hint = "its steps are " + strings.Join(ids, ", ")
			}
			return usage(hint, "%s %s: flow %q has no such step at its top level", flag, id, programs[0].Name)
		}
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// services are the routing names of an environment.
func services(env *flow.Environment) map[string]any {
	if env == nil {
		return nil
	}
	out := make(map[string]any, len(env.Services))
	for _, n := range env.Services {
		out[n.Name] = n.Value.Plain()
	}
	return out
}

// lastRun is the record of the last run of a project, for --last-failed.
type lastRun struct {
	Flows []string `json:"flows"` // file#name of what did not pass
}

func lastPath(p *project) string { return filepath.Join(p.path, ".testmesh", "last-run.json") }

func lastFailed(p *project) (map[string]bool, error) {
	text, err := os.ReadFile(lastPath(p))
	if err != nil {
		return nil, &exitError{code: batch.ExitNothing, err: fmt.Errorf("nothing is selected: there is no record of a last run in this project\n  hint: run without --last-failed first")}
	}
	var last lastRun
	if err := json.Unmarshal(text, &last); err != nil {
		return nil, usage("delete it and run without --last-failed", "read %s: %w", lastPath(p), err)
	}
	out := make(map[string]bool, len(last.Flows))
	for _, k := range last.Flows {
		out[k] = true
	}
	return out, nil
}

// saveContext writes what the steps gave where --save-context asks for it.
func (s *State) saveContext(f *runFlags, res batch.Result) error {
	if f.saved == "" || res.Context == nil {
		return nil
	}
	text, err := engine.PrintContext(res.Context)
	if err != nil {
		return fmt.Errorf("print the context: %w", err)
	}
	full := f.saved
	if !filepath.IsAbs(full) {
		full = filepath.Join(s.Dir, full)
	}
	if err := os.WriteFile(full, text, 0o600); err != nil {
		return fmt.Errorf("save the context: %w", err)
	}
	return nil
}

// remember writes what did not pass, where the project has a .testmesh folder,
// and the saved context where it is asked for.
func (s *State) remember(pl *plan, f *runFlags, res batch.Result) error {
	if err := s.saveContext(f, res); err != nil {
		return err
	}
	var last lastRun
	for _, p := range res.NotPassed {
		last.Flows = append(last.Flows, flowKey(p))
	}
	if _, err := os.Stat(filepath.Dir(lastPath(pl.project))); err != nil {
		return nil // no .testmesh folder: a run leaves nothing behind
	}
	text, err := json.Marshal(last)
	if err != nil {
		return fmt.Errorf("print the record of the run: %w", err)
	}
	tmp := lastPath(pl.project) + ".tmp"
	if err := os.WriteFile(tmp, text, 0o644); err != nil {
		return fmt.Errorf("record the run: %w", err)
	}
	return os.Rename(tmp, lastPath(pl.project))
}
