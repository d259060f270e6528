package cli

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/agent/probe"
	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/archive"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/github"
	"github.com/testmesh/testmesh/flow/report/jsonl"
	"github.com/testmesh/testmesh/flow/report/template"
	"github.com/testmesh/testmesh/flow/report/text"
	"github.com/testmesh/testmesh/flow/tag"
)

// runFlags are the flags of `testmesh run`.
type runFlags struct {
	selection
	remoteFlags
	env, envFile, secretFile string
	vars                     []string
	data                     string
	stepTag                  string
	from, to                 string
	saved                    string
	parallel                 int
	failFast                 bool
	delay                    time.Duration
	timeout                  time.Duration
	keepVariables            bool
	iterations, repeat       int
	seed                     int64
	reports                  []string
	record                   string
	noAutoReport             bool
	locked, isolate          bool
	format                   string
}

func newRun(s *State) *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run [PATH ...]",
		Short: "Run flows",
		Long: "Run the flows of files, directories and globs; without a path those of the working directory.\n\n" +
			"Exit codes: 0 passed · 1 failed · 2 usage or invalid definition, nothing ran · 3 errored and none failed ·\n" +
			"4 nothing selected, or all skipped · 5 time limit of the command · 6 control plane · 70 bug of TestMesh · 130/143 interrupted.",
		Example: `  testmesh run flows/
  testmesh run flows/checkout.yaml --env staging --var user=ada
  testmesh run --tag "smoke+!flaky" --parallel 8 --report junit=report.xml
  testmesh run --last-failed`,
		RunE: func(cmd *cobra.Command, args []string) error { return runCommand(cmd, s, f, args) },
	}
	f.flags(cmd.Flags())
	f.remoteFlags.flags(cmd.Flags())
	completeRun(cmd, s)
	return cmd
}

// flags are those of run; other commands take some of them.
func (f *runFlags) flags(fl *pflag.FlagSet) {
	f.selection.flags(fl)
	fl.StringVar(&f.env, "env", "", "environment: reads environments/NAME.yaml")
	fl.StringVar(&f.envFile, "env-file", "", "dotenv file with values of env")
	fl.StringArrayVar(&f.vars, "var", nil, "value of an input or of env, as NAME=VALUE; may be repeated")
	fl.StringVar(&f.data, "data", "", "file of rows (CSV, JSON, JSONL, YAML) instead of the flows' own; one run a row")
	fl.IntVar(&f.iterations, "iterations", 0, "run rows 1 to N, beginning again after the last; without rows, N runs")
	fl.IntVar(&f.repeat, "repeat", 1, "run the whole selection N times")
	fl.DurationVar(&f.delay, "delay", 0, "wait between the rows of a flow, which then run one at a time")
	fl.BoolVar(&f.keepVariables, "keep-variables", false, "hand outputs from row to row, which then run one at a time")
	fl.StringVar(&f.stepTag, "step-tag", "", "skip the steps that do not match this tag expression (never setup and teardown)")
	fl.IntVarP(&f.parallel, "parallel", "p", 1, "how many runs go side by side")
	fl.BoolVar(&f.failFast, "fail-fast", false, "start no more runs once one did not pass")
	fl.StringVar(&f.from, "from", "", "begin with this step of the flow; with a file of --save-context as FILE:STEP what came before is known")
	fl.StringVar(&f.to, "to", "", "end after this step of the flow")
	fl.DurationVar(&f.timeout, "timeout", 0, "time limit of the whole command (exit code 5)")
	fl.StringVar(&f.secretFile, "secret-file", "", "dotenv file with values of secret.NAME")
	fl.StringVar(&f.saved, "save-context", "", "write what the steps gave into this file, for --from")
	fl.Int64Var(&f.seed, "seed", 0, "seed of random values; printed, and random without this flag")
	fl.StringArrayVar(&f.reports, "report", nil, "add a report: KIND or KIND=PATH, KIND one of "+strings.Join(reportKinds, ", ")+", or a template NAME.report.yaml; may be repeated")
	fl.StringVar(&f.record, "record", "", "keep all of it in this file, a run archive (.tmrun) that testmesh show opens")
	fl.BoolVar(&f.noAutoReport, "no-auto-report", false, "no annotations of GitHub Actions unless asked for with --report github")
	fl.BoolVar(&f.locked, "locked", false, "for CI: refuse plugins that plugins.lock does not name, or that differ from it")
	fl.BoolVar(&f.isolate, "isolate", false, "run the built-in plugins in processes of their own too")
	fl.StringVar(&f.format, "format", "auto", "what the terminal shows: auto, list, line, dot, quiet, verbose or jsonl")
}

// plan is what a run command will do, all checked.
type plan struct {
	project     *project
	plugins     *pluginSet
	environment *flow.Environment
	secrets     *secrets
	flows       []batch.Flow
	notes       []string
	stepTags    *tag.Expr
	saved       map[string]engine.SavedStep
	from        string
	templates   map[string]*template.Template // of reports, by their paths as typed
}

func runCommand(cmd *cobra.Command, s *State, f *runFlags, args []string) error {
	style, err := s.style(cmd)
	if err != nil {
		return err
	}
	if (f.remote && s.Remote == nil || wantsPage(f.reports) && s.Page == nil) && s.Whole != nil {
		return usage("", "%w", s.Whole())
	}
	p, err := s.project()
	if err != nil {
		return err
	}
	defer p.close()
	if f.stored {
		if !f.remote {
			return usage("write --remote --stored", "--stored flows are run by the agents of a control plane")
		}
		return s.storedRun(cmd.Context(), p, f, args, style)
	}
	pl, err := s.plan(p, f, args)
	if err != nil {
		return s.refuse(err, style, p)
	}
	if f.explain {
		return nil // plan has printed why
	}
	if f.remote {
		return s.remoteRun(cmd.Context(), p, f, pl, style)
	}
	return s.execute(cmd.Context(), f, pl, style)
}

// execute runs a plan, reports it and remembers what did not pass.
func (s *State) execute(ctx context.Context, f *runFlags, pl *plan, style text.Style) error {
	res, err := s.perform(f, pl, style, performance{
		begin: func(s *State) (context.Context, <-chan struct{}, func()) { return s.interruptible(ctx, f.timeout) },
	})
	if err != nil {
		return err
	}
	if err := s.remember(pl, f, res); err != nil {
		return &exitError{code: batch.ExitErrored, err: err}
	}
	if res.ExitCode != 0 {
		return &exitError{code: res.ExitCode}
	}
	return nil
}

// performance is what a command adds to the runs of a plan.
type performance struct {
	// begin gives the context of the runs and the end of teardown, once the
	// output stands: s prints beside it. stop is called when the runs have ended.
	begin func(s *State) (ctx context.Context, noTeardown <-chan struct{}, stop func())
	// writers see the events before what prints them does.
	writers  []eventWriter
	debugger engine.Debugger
	// screen takes the list of runs, instead of what --format says; nil: nothing
	// does.
	screen io.Writer
}

// perform runs a plan and reports it.
func (s *State) perform(f *runFlags, pl *plan, style text.Style, how performance) (batch.Result, error) {
	outer := *s
	s = &outer // reports may put something in front of its streams
	seed := f.seed
	if seed == 0 {
		seed = newSeed()
	}
	batchID := newID()
	out := &sink{
		version: s.Version, place: s.repositoryPath(pl.project), templates: pl.templates,
		artifacts: filepath.Join(pl.project.path, ".testmesh", "artifacts", batchID),
	}
	for _, w := range how.writers {
		out.add(w)
	}
	secret, masker := remembered(pl.secrets.value)
	closers, err := s.reports(out, f, pl, style, how.screen)
	if err == nil && f.record != "" {
		err = out.addRecord(f.record, s, archive.Options{Source: pl.project.source, Mask: masker.Bytes})
	}
	if err != nil {
		return batch.Result{}, errors.Join(err, out.close(false))
	}
	host, err := s.host(pl.plugins, f.format == string(text.Verbose))
	if err != nil {
		return batch.Result{}, errors.Join(err, out.close(false))
	}
	eng, err := engine.New(engine.Config{
		Stepper: host, Sink: out, Prober: probe.New(), Root: pl.project.path, FS: pl.project.fs,
		Secret: secret, AgentName: "local", Functions: host,
	})
	if err != nil {
		return batch.Result{}, errors.Join(err, out.close(false))
	}
	ctx, noTeardown, stop := how.begin(s)
	defer stop()
	cfg := batch.Config{
		ID: batchID, NewID: newID, Runner: eng, Sink: out, Locker: batch.NewLocks(s.lockDir()), Now: time.Now,
		Parallel: f.parallel, FailFast: f.failFast, Delay: f.delay, KeepVariables: f.keepVariables,
		Notes: pl.notes, Seed: seed,
		Template: engine.Run{
			Attempt: 1, Seed: seed, StepTags: pl.stepTags, From: pl.from, To: f.to, Saved: pl.saved,
			Batch: engine.NewBatch(), NoTeardown: noTeardown, KeepContext: f.saved != "", Environment: f.env, Services: services(pl.environment),
			Debugger: how.debugger,
		},
	}
	res, err := batch.Run(ctx, cfg, pl.flows)
	for _, c := range closers {
		c()
	}
	if err = errors.Join(err, host.Close(), out.close(true)); err != nil {
		return res, &exitError{code: batch.ExitErrored, err: err}
	}
	if out.stored > 0 {
		fmt.Fprintf(s.Stderr, "%s in %s\n", counted(out.stored, "artifact"), out.artifacts)
	}
	return res, nil
}

// reports opens the terminal's format and every --report. The returned
// functions end what draws on the terminal.
func (s *State) reports(out *sink, f *runFlags, pl *plan, style text.Style, screen io.Writer) ([]func(), error) {
	width, terminal := s.terminal()
	human := func(format text.Format, style text.Style, w io.Writer) *text.Writer {
		return text.New(w, text.Options{
			Format: format, Style: style, Width: width, Counter: !terminal, Source: pl.project.source,
			Place: pl.project.shown,
			Next: func(run *event.Event, step *event.Step, _ *event.StepFinished) []string {
				return nextCommands(pl, run, step)
			},
		})
	}
	var closers []func()
	switch format := text.Format(f.format); {
	case screen != nil:
		out.add(human(text.List, style, screen))
	case format == "jsonl":
		out.add(jsonl.New(s.Stdout))
	case format == "auto", format == text.List, format == text.Line, format == text.Dot, format == text.Quiet, format == text.Verbose:
		if format == "auto" {
			format = text.List
		}
		if terminal && f.format == "auto" && s.env("TERM") != "dumb" {
			live := newLive(s.Stdout, width, style)
			s.Stderr = live.beside(s.Stderr) // or its lines would stand in the footer
			out.add(live.over(human(format, style, live)))
			closers = append(closers, live.close)
			break
		}
		beat := newHeartbeat(s.Stdout, style)
		out.add(beat.over(human(format, style, beat)))
		closers = append(closers, beat.close)
	default:
		return nil, usage("write auto, list, line, dot, quiet, verbose or jsonl", "--format %q is not known", f.format)
	}
	for _, spec := range f.reports {
		err := out.addReport(spec, s, func(w io.Writer) eventWriter {
			return human(text.List, text.Style{ASCII: style.ASCII}, w)
		})
		if err != nil {
			return closers, err
		}
	}
	if s.annotates(f) {
		// Not to stdout, which may be a report; GitHub reads both.
		out.add(github.New(s.Stderr, github.Options{Place: out.place}))
	}
	return closers, nil
}

// nextCommands are what to type after a failure.
func nextCommands(pl *plan, run *event.Event, step *event.Step) []string {
	file := pl.project.shown(run.RunStarted.File)
	return []string{
		fmt.Sprintf("testmesh run %s --format verbose", shellWord(file)),
	}
}

func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// interruptible ends the context with the first signal or the time limit, and
// teardown with the second signal.
func (s *State) interruptible(ctx context.Context, limit time.Duration) (_ context.Context, noTeardown <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	now := make(chan struct{})
	ended := make(chan struct{})
	var timer <-chan time.Time
	if limit > 0 {
		t := time.NewTimer(limit)
		timer = t.C
	}
	go func() {
		signals := 0
		for {
			select {
			case sig := <-s.Signals:
				code := batch.ExitInterrupted
				if sig != os.Interrupt {
					code = batch.ExitTerminated
				}
				signals++
				switch signals {
				case 1:
					fmt.Fprintln(s.Stderr, "\nstopping: running steps are cancelled, teardown runs. Again to stop at once.")
					cancel(&batch.SignalError{ExitCode: code})
				case 2:
					fmt.Fprintln(s.Stderr, "\nstopping now: what teardown and clean-up did not remove is left behind.")
					close(now)
				}
			case <-timer:
				cancel(batch.ErrDeadline)
			case <-ended:
				return
			}
		}
	}()
	return ctx, now, func() {
		close(ended)
		cancel(nil)
	}
}

func (s *State) lockDir() string {
	if dir := s.env("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "testmesh", "locks")
	}
	if home := s.env("HOME"); home != "" {
		return filepath.Join(home, ".cache", "testmesh", "locks")
	}
	return filepath.Join(os.TempDir(), "testmesh-locks")
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// newSeed keeps within 53 bits, so that every JSON reader gets it whole.
func newSeed() int64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return time.Now().UnixNano() & (1<<53 - 1)
	}
	return int64(binary.LittleEndian.Uint64(b[:])>>11) | 1
}
