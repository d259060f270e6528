package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/archive"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/text"
)

// RemoteRun is what a control plane is asked to run.
type RemoteRun struct {
	// Server and Key are empty where the command does not say them.
	Server, Key, CAFile string
	// Files are the bundle: every file that the flows name, by its path in the project.
	Files map[string][]byte
	Flows []RemoteFlow
	// Environment is one of the control plane's.
	Environment string
	// Select says which of the stored flows are run, instead of Files and Flows; nil:
	// those are.
	Select             func(f StoredFlow) bool
	Vars               map[string]string
	Data               string // path of one of Files; with Select it is the only one
	Iterations, Repeat int
	Parallel           int
	Delay              time.Duration
	KeepVariables      bool
	StopOnFailure      bool
	StepTags, From, To string
	Seed               int64
	Target             map[string][]string
	Trigger            string
	// WithFiles says that Emit wants the files that runs store, too.
	WithFiles bool
	// Emit takes the events of the runs, as they would come from this machine.
	Emit func(*event.Event) error
	// Note tells the person what happens meanwhile.
	Note func(format string, args ...any)
}

// RemoteFlow is a flow of the bundle.
type RemoteFlow struct {
	File  string
	Index int
}

// StoredFlow is a flow that a control plane has.
type StoredFlow struct {
	File  string
	Index int
	Name  string
	Suite string
	Tags  []string
}

// RemoteResult is how a batch of a control plane ended.
type RemoteResult struct {
	BatchID  string
	Counts   event.Counts
	ExitCode int
	Reason   string
}

// remoteFlags are those of running elsewhere.
type remoteFlags struct {
	remote bool
	stored bool
	server string
	key    string
	caFile string
	target []string
}

func (f *remoteFlags) flags(fl *pflag.FlagSet) {
	fl.BoolVar(&f.remote, "remote", false, "run on the agents of a control plane; --env is one of its environments")
	fl.BoolVar(&f.stored, "stored", false, "with --remote: run flows that testmesh push has stored; a PATH is their file, folder or name")
	fl.StringVar(&f.server, "server", "", "address of the control plane (or TESTMESH_SERVER, or testmesh login)")
	fl.StringVar(&f.key, "key", "", "key for it, which other users of this machine can see here (better TESTMESH_KEY, or testmesh login)")
	fl.StringVar(&f.caFile, "ca-file", "", "with --remote: a certificate authority to trust beside the system's")
	fl.StringArrayVar(&f.target, "target", nil, "which agents may take it, as LABEL=VALUE; may be repeated")
}

// remoteRun queues what a plan has at a control plane, reports it as a run of this
// machine, and gives the exit code.
func (s *State) remoteRun(ctx context.Context, p *project, f *runFlags, pl *plan, style text.Style) error {
	r, err := pl.remote(p, f)
	if err != nil {
		return err
	}
	return s.remotely(ctx, r, f, pl, style)
}

// storedRun queues what the control plane has stored, and reports it.
func (s *State) storedRun(ctx context.Context, p *project, f *runFlags, args []string, style text.Style) error {
	if f.explain || f.lastFailed {
		return usage("", "--explain and --last-failed are about files of this machine: --stored has none")
	}
	filter, err := f.selection.compile()
	if err != nil {
		return err
	}
	pl := &plan{project: &project{path: p.path, dir: ".", fs: noFiles{}}} // excerpts of the files here could be of others
	if pl.templates, err = s.templates(p, f.reports); err != nil {
		return err
	}
	r, err := pl.remote(p, f)
	if err != nil {
		return err
	}
	r.Trigger = "testmesh run --remote --stored"
	found := map[string]bool{}
	r.Select = func(one StoredFlow) bool {
		named := len(args) == 0
		for _, a := range args {
			if name := path.Clean(a); name == "." || one.File == name || strings.HasPrefix(one.File, name+"/") || one.Name == a {
				named, found[a] = true, true
			}
		}
		yes, _ := filter.why(&flow.Program{File: one.File, Name: one.Name, Suite: one.Suite, Tags: one.Tags})
		return named && yes
	}
	err = s.remotely(ctx, r, f, pl, style)
	for _, a := range args {
		if err != nil && !found[a] {
			return usage("testmesh flows lists them", "no stored flow is %s, or below it", a)
		}
	}
	return err
}

// noFiles is a project without any.
type noFiles struct{}

// Open implements fs.FS.
func (noFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// remotely has a control plane run something, and reports it.
func (s *State) remotely(ctx context.Context, r *RemoteRun, f *runFlags, pl *plan, style text.Style) error {
	outer := *s
	s = &outer
	out := &sink{version: s.Version, place: s.repositoryPath(pl.project), templates: pl.templates}
	closers, err := s.reports(out, f, pl, style, nil)
	if err == nil && f.record != "" {
		r.WithFiles = true
		err = out.addRecord(f.record, s, archive.Options{Source: pl.project.source})
	}
	if err != nil {
		return errorsOf(err, out.close(false))
	}
	ctx, _, stop := s.interruptible(ctx, f.timeout)
	defer stop()
	r.Emit = func(e *event.Event) error { return out.Emit(ctx, e) }
	r.Note = func(format string, args ...any) { fmt.Fprintf(s.Stderr, format+"\n", args...) }
	res, err := s.Remote(ctx, *r)
	for _, c := range closers {
		c()
	}
	if err = errorsOf(err, out.close(err == nil)); err != nil {
		return err
	}
	if res.ExitCode != 0 {
		return &exitError{code: res.ExitCode}
	}
	return nil
}

// environment is the one of --env: a file of this project, or with --remote what the
// control plane has, so that the flows are checked against what they will see.
func (s *State) environment(p *project, f *runFlags) (*flow.Environment, error) {
	if !f.remote || f.env == "" {
		return p.environment(f.env)
	}
	text, err := s.RemoteEnvironment(RemoteRun{Server: f.server, Key: f.key, CAFile: f.caFile}, f.env)
	if err != nil {
		return nil, &exitError{code: batch.ExitRemote, err: err}
	}
	env, problems := flow.ParseEnvironment(flow.EnvironmentPath(f.env), []byte(text))
	if bad := problems.Errors(); len(bad) > 0 {
		return nil, &problemsError{bad}
	}
	return env, nil
}

// Files compiles all flows of the project of the working directory, and gives what they
// are made of: the flow files and all that they name. What is wrong with them it prints.
func (s *State) Files(cmd *cobra.Command) (root string, files map[string][]byte, flows int, err error) {
	style, err := s.style(cmd)
	if err != nil {
		return "", nil, 0, err
	}
	p, err := s.project()
	if err != nil {
		return "", nil, 0, err
	}
	defer p.close()
	files, flows, err = s.files(p)
	if err != nil {
		return "", nil, 0, s.refuse(err, style, p)
	}
	return p.path, files, flows, nil
}

func (s *State) files(p *project) (map[string][]byte, int, error) {
	options, err := s.compileOptions(p, &runFlags{}, &plan{project: p})
	if err != nil {
		return nil, 0, err
	}
	options.KnownSecret, options.AllowMissingPlugins = nil, true // agents may have what is not here
	found, _, problems := flow.Discover(p.fs, []string{"."})
	loader := flow.NewLoader(options)
	var programs []*flow.Program
	for _, file := range found {
		compiled, more := loader.Flows(file)
		programs, problems = append(programs, compiled...), append(problems, more...)
	}
	problems = append(problems, loader.CheckProject(programs)...)
	if bad := problems.Errors(); len(bad) > 0 {
		return nil, 0, &problemsError{bad}
	}
	files := map[string][]byte{}
	for _, program := range programs {
		for name := range program.Bundle {
			if files[name] == nil {
				if files[name], err = readFile(p.fs, name); err != nil {
					return nil, 0, usage("", "read %s: %w", name, err)
				}
			}
		}
	}
	return files, len(programs), nil
}

// Report makes reports of events that were recorded, as testmesh run would have.
func (s *State) Report(cmd *cobra.Command, reports []string, events []*event.Event) error {
	return s.recordedReports(cmd, reports, noFile, func(emit func(*event.Event) error) error {
		for _, e := range events {
			if err := emit(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// recordedReports makes reports of the events that each gives. source are the files of
// the flows as they were then.
func (s *State) recordedReports(cmd *cobra.Command, reports []string, source func(string) []byte, each func(emit func(*event.Event) error) error) error {
	style, err := s.style(cmd)
	if err != nil {
		return err
	}
	p, err := s.project()
	if err != nil {
		return err
	}
	defer p.close()
	out := &sink{version: s.Version, place: s.repositoryPath(p)}
	if out.templates, err = s.templates(p, reports); err != nil {
		return s.refuse(err, style, p)
	}
	width, _ := s.terminal()
	for _, spec := range reports {
		err := out.addReport(spec, s, func(w io.Writer) eventWriter {
			return text.New(w, text.Options{Format: text.List, Style: text.Style{ASCII: style.ASCII}, Width: width, Source: source, Place: p.shown})
		})
		if err != nil {
			return errors.Join(err, out.close(false))
		}
	}
	if err := each(func(e *event.Event) error { return out.Emit(cmd.Context(), e) }); err != nil {
		return errors.Join(err, out.close(false))
	}
	return out.close(true)
}

// noFile has no lines to show: those of this machine may be others than were run.
func noFile(string) []byte { return nil }

// remote is a plan as a control plane takes it: its runs are made there again, of the
// same files.
func (pl *plan) remote(p *project, f *runFlags) (*RemoteRun, error) {
	r := &RemoteRun{
		Server: f.server, Key: f.key, CAFile: f.caFile, Files: map[string][]byte{}, Environment: f.env, Iterations: f.iterations, Repeat: f.repeat, Delay: f.delay,
		KeepVariables: f.keepVariables, StopOnFailure: f.failFast, StepTags: f.stepTag, From: f.from, To: f.to, Seed: f.seed,
		Target: map[string][]string{}, Trigger: "testmesh run --remote",
	}
	if f.parallel > 1 {
		r.Parallel = f.parallel
	}
	if r.Seed == 0 {
		r.Seed = newSeed()
	}
	for _, one := range f.target {
		label, value, ok := strings.Cut(one, "=")
		if !ok {
			return nil, usage("write --target zone=eu-1", "--target %q is no LABEL=VALUE", one)
		}
		r.Target[label] = append(r.Target[label], value)
	}
	switch {
	case f.envFile != "" || f.secretFile != "":
		return nil, usage("push an environment with its secrets, and name it with --env", "--env-file and --secret-file are of this machine: --remote does not send them")
	case f.shard != "":
		return nil, usage("the agents share the runs anyway", "--shard does not go with --remote")
	case strings.Contains(f.from, ":"):
		return nil, usage("testmesh runs rerun --from goes on with a run of the control plane", "--from with a saved context does not go with --remote")
	}
	var err error
	if r.Vars, err = parseVars(f.vars); err != nil {
		return nil, err
	}
	programs := map[string]*flow.Program{}
	for _, one := range pl.flows {
		programs[one.Program.Version] = one.Program
		r.Flows = append(r.Flows, RemoteFlow{File: one.Program.File, Index: one.Program.Index()})
	}
	names := map[string]bool{}
	for _, program := range programs {
		for name := range program.Bundle {
			names[name] = true
		}
	}
	if f.data != "" {
		if r.Data, err = p.below(f.data); err != nil {
			return nil, err
		}
		names[r.Data] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if r.Files[name], err = readFile(p.fs, name); err != nil {
			return nil, usage("", "read %s: %w", name, err)
		}
	}
	return r, nil
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	in, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// errorsOf is the first error, as an exit code for what a control plane says.
func errorsOf(list ...error) error {
	for _, err := range list {
		if err != nil {
			return &exitError{code: batch.ExitRemote, err: err}
		}
	}
	return nil
}
