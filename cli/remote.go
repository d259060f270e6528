package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/flow"
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
	Environment        string
	Vars               map[string]string
	Data               string // path of a file of the bundle
	Iterations, Repeat int
	Parallel           int
	Delay              time.Duration
	KeepVariables      bool
	StopOnFailure      bool
	StepTags, From, To string
	Seed               int64
	Target             map[string][]string
	Trigger            string
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
	server string
	caFile string
	target []string
}

func (f *remoteFlags) flags(fl *pflag.FlagSet) {
	fl.BoolVar(&f.remote, "remote", false, "run on the agents of a control plane; --env is one of its environments")
	fl.StringVar(&f.server, "server", "", "address of the control plane (or TESTMESH_SERVER, or testmesh login)")
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
	outer := *s
	s = &outer
	out := &sink{version: s.Version, place: s.repositoryPath(pl.project), templates: pl.templates}
	closers, err := s.reports(out, f, pl, style, nil)
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

// remote is a plan as a control plane takes it: its runs are made there again, of the
// same files.
func (pl *plan) remote(p *project, f *runFlags) (*RemoteRun, error) {
	r := &RemoteRun{
		Server: f.server, CAFile: f.caFile, Files: map[string][]byte{}, Environment: f.env, Iterations: f.iterations, Repeat: f.repeat, Delay: f.delay,
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
