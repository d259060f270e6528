package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/cli/debug"
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/report/text"
)

// debugFlags are the flags of debug that run does not have.
type debugFlags struct {
	breaks   []string
	commands string
	flow     string
	row      int
}

func newDebug(s *State) *cobra.Command {
	f, own := &runFlags{}, &debugFlags{}
	cmd := &cobra.Command{
		Use:   "debug FLOW",
		Short: "Run one flow step by step: stop, look, change, try again",
		Long: "Run one flow and stop: at its first step, or at breakpoints where there are some, and where a step fails.\n" +
			"There, look at what was sent and what came back, change variables, run the step again, also as the edited\n" +
			"file has it now, skip it, go on. No time limit runs while the flow stands still. Type help at the prompt.\n\n" +
			"Commands come from the terminal, or line by line from --commands or from standard input; when those end,\n" +
			"the run goes on without stopping, and one that is mistyped stops it.\n\n" +
			"Exit codes are those of run; 130 after quit. What was done by hand is part of the report.",
		Example: `  testmesh debug flows/checkout.yaml
  testmesh debug flows/checkout.yaml --break pay --break "each/add when item.qty > 2"
  testmesh debug flows/checkout.yaml --from saved.json:pay
  echo "print env.base_url" | testmesh debug flows/checkout.yaml --break flows/checkout.yaml:14`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("testmesh debug flows/checkout.yaml", "debug takes one flow file, and %d are given", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return debugCommand(cmd, s, f, own, args) },
	}
	fl := cmd.Flags()
	f.take(fl, "env", "env-file", "secret-file", "var", "data", "step-tag", "from", "to", "save-context", "seed", "report", "locked", "isolate")
	fl.StringArrayVar(&own.breaks, "break", nil, "stop at STEP, PATH/STEP, FILE:LINE or failure, perhaps with \"when EXPR\"; may be repeated")
	fl.StringVar(&own.commands, "commands", "", "file of commands to begin with, a line each")
	fl.StringVar(&own.flow, "flow", "", "name of the flow, where the file has several")
	fl.IntVar(&own.row, "row", 1, "which run of a flow with rows or a matrix, from 1")
	completeRun(cmd, s)
	return cmd
}

func debugCommand(cmd *cobra.Command, s *State, f *runFlags, own *debugFlags, args []string) error {
	style, err := s.style(cmd)
	if err != nil {
		return err
	}
	p, err := s.project()
	if err != nil {
		return err
	}
	defer p.close()
	x := &debugging{s: s, f: f, own: own, args: args, style: style, project: p, texts: map[string][]byte{}}
	pl, err := x.plan()
	if err != nil {
		return s.refuse(err, style, p)
	}
	return x.run(cmd.Context(), pl)
}

// debugging is one `testmesh debug`.
type debugging struct {
	s       *State
	f       *runFlags
	own     *debugFlags
	args    []string
	style   text.Style
	project *project
	program *flow.Program
	console debug.Console

	mu    sync.Mutex
	texts map[string][]byte // flow files as they were compiled
}

// plan plans the one run that is debugged.
func (x *debugging) plan() (*plan, error) {
	f := *x.f
	f.from, f.to, f.saved = "", "", "" // they go with one flow, which is chosen below
	pl, err := x.s.plan(x.project, &f, x.args)
	if err != nil {
		return nil, err
	}
	var names []string
	chosen := pl.flows[:0:0]
	for _, fl := range pl.flows {
		names = append(names, fl.Program.Name)
		if x.own.flow == "" || fl.Program.Name == x.own.flow {
			chosen = append(chosen, fl)
		}
	}
	switch {
	case len(chosen) == 0:
		return nil, usage("its flows are "+strings.Join(names, ", "), "--flow %s: there is no such flow in %s", x.own.flow, x.args[0])
	case len(chosen) > 1:
		return nil, usage("say which with --flow: "+strings.Join(names, ", "), "debug takes one flow, and %s has %d", x.args[0], len(chosen))
	}
	runs := chosen[0].Runs
	if x.own.row < 1 || x.own.row > len(runs) {
		return nil, usage("", "--row %d: the flow has %s", x.own.row, counted(len(runs), "run"))
	}
	if len(runs) > 1 {
		pl.notes = append(pl.notes, fmt.Sprintf("debugging run %d of %d: --row N takes another", x.own.row, len(runs)))
	}
	chosen[0].Runs = runs[x.own.row-1 : x.own.row]
	pl.flows, x.program = chosen, chosen[0].Program
	if err := pl.context(x.s, x.f, []*flow.Program{x.program}); err != nil {
		return nil, err
	}
	x.remember()
	return pl, nil
}

// remember keeps the flow files as they were compiled: positions are of those.
func (x *debugging) remember() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.texts)
	for name := range x.program.Bundle {
		if yamlName(name) {
			x.texts[name] = x.project.source(name)
		}
	}
}

func (x *debugging) source(file string) []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.texts[file]
}

// reload compiles the flow again.
func (x *debugging) reload() (*flow.Program, error) {
	before := x.program
	_, err := x.plan()
	var bad *problemsError
	switch {
	case errors.As(err, &bad):
		var b bytes.Buffer
		problemBlocks(&b, x.style, bad.problems, x.project, false)
		if _, err := x.console.Write(b.Bytes()); err != nil {
			return nil, err
		}
		return nil, debug.ErrSaid
	case err != nil:
		return nil, err
	case x.program.Name != before.Name:
		return nil, fmt.Errorf("the flow is called %q now: that takes a new run", x.program.Name)
	}
	return x.program, nil
}

// commands is where commands come from: --commands, then the terminal or
// standard input.
func (x *debugging) commands() (debug.Console, *debug.Terminal, func(), error) {
	var person *debug.Terminal
	if _, terminal := x.s.terminal(); terminal && x.s.Keyboard != nil {
		person = debug.NewTerminal(x.s.Stdin, x.s.Stdout, x.s.Keyboard)
	}
	if x.own.commands == "" {
		if person != nil {
			return person, person, func() {}, nil
		}
		return debug.NewScript(x.s.Stdin, x.s.Stdout, nil), nil, func() {}, nil
	}
	name := x.own.commands
	if !filepath.IsAbs(name) {
		name = filepath.Join(x.s.Dir, name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, nil, usage("", "read --commands: %w", err)
	}
	done := func() { _ = file.Close() } // it was only read
	if person != nil {
		return debug.NewScript(file, x.s.Stdout, person), person, done, nil
	}
	return debug.NewScript(io.MultiReader(file, strings.NewReader("\n"), x.s.Stdin), x.s.Stdout, nil), nil, done, nil
}

func (x *debugging) run(ctx context.Context, pl *plan) error {
	console, person, done, err := x.commands()
	if err != nil {
		return err
	}
	defer done()
	x.console = console
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	noTeardown := make(chan struct{})
	kill := sync.OnceFunc(func() { close(noTeardown) })
	d, err := debug.New(debug.Config{
		Console: console, Style: x.style, Program: x.program, Start: pl.from, Source: x.source, Place: x.project.shown, Reload: x.reload,
		Quit: func(teardown bool) {
			cancel(&batch.SignalError{ExitCode: batch.ExitInterrupted})
			if !teardown {
				kill()
			}
		},
	}, x.own.breaks)
	if err != nil {
		return usage("", "--break %w", err)
	}
	if person != nil {
		person.Complete(d.Completions)
		fmt.Fprintln(console, x.style.Dim("help lists the commands, tab completes; ^C while steps run stops at the next one"))
	}
	ended := make(chan struct{})
	defer close(ended)
	go x.signals(d, person != nil, cancel, kill, ended)
	res, err := x.s.perform(x.f, pl, x.style, performance{
		begin:    func(*State) (context.Context, <-chan struct{}, func()) { return ctx, noTeardown, func() {} },
		writers:  []eventWriter{d.Events()},
		debugger: d, screen: console,
	})
	if err != nil {
		return err
	}
	return x.end(d, pl, res)
}

// end says what was done by hand and gives the exit code.
func (x *debugging) end(d *debug.Debugger, pl *plan, res batch.Result) error {
	if hand := d.Events().Hand(); hand != "" {
		fmt.Fprintf(x.console, "%s  %s %s this verdict is not the flow's own\n", x.style.Warn("BY HAND"), text.OneLine(hand), x.style.Dot())
	}
	if err := x.s.saveContext(x.f, res); err != nil {
		return &exitError{code: batch.ExitErrored, err: err}
	}
	if err := d.Mistake(); err != nil {
		return usage("testmesh debug FLOW, then help, lists the commands", "%w", err)
	}
	if res.ExitCode != 0 {
		return &exitError{code: res.ExitCode}
	}
	return nil
}

// signals pauses with the ^C of a person, stops the run with the next one before
// it stands still, and teardown with the one after. Any other signal stops the run.
func (x *debugging) signals(d *debug.Debugger, person bool, cancel context.CancelCauseFunc, kill func(), ended <-chan struct{}) {
	stopped := false
	for {
		select {
		case sig := <-x.s.Signals:
			code := batch.ExitInterrupted
			if sig != os.Interrupt {
				code = batch.ExitTerminated
			}
			switch {
			case person && !stopped && code == batch.ExitInterrupted && !d.Pause():
				fmt.Fprintln(x.console, "\nstopping at the next step; ^C again ends the run, with its teardown")
			case !stopped:
				stopped = true
				fmt.Fprintln(x.console, "\nstopping: running steps are cancelled, teardown runs. Again to stop at once.")
				cancel(&batch.SignalError{ExitCode: code})
			default:
				fmt.Fprintln(x.console, "\nstopping now: what teardown and clean-up did not remove is left behind.")
				kill()
			}
		case <-ended:
			return
		}
	}
}
