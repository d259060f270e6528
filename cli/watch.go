package cli

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/testmesh/testmesh/cli/batch"
)

// take adds flags of run to another command.
func (f *runFlags) take(fl *pflag.FlagSet, names ...string) {
	all := pflag.NewFlagSet("run", pflag.ContinueOnError)
	f.flags(all)
	for _, name := range names {
		fl.AddFlag(all.Lookup(name))
	}
}

// watchFlags are the flags of watch that run does not have.
type watchFlags struct {
	clear, postpone bool
}

func newWatch(s *State) *cobra.Command {
	f, own := &runFlags{}, &watchFlags{}
	cmd := &cobra.Command{
		Use:   "watch [PATH ...]",
		Short: "Run flows, and again what a changed file touches",
		Long: "Run flows, then wait: when a file changes, the flows that it touches run again, and no others: its own,\n" +
			"and those that name it as a sub-flow, rows, a body, a schema, an env file, or stand below its folder.yaml.\n" +
			"New flow files are found. A change of what runs stops it, with teardown, and runs it again; any other\n" +
			"change waits until the runs have ended. While something is invalid, it says what, and nothing runs.\n\n" +
			"Keys: enter or a: all · f: what did not pass · r: the last ones again · s: stop what runs · q: quit · ?: help.\n" +
			"Without a terminal there are none; a signal ends it.\n\n" +
			"Exit codes: 0 ended while nothing ran · 2 usage · 130/143 runs were interrupted. A verdict is what run is for.",
		Example: `  testmesh watch
  testmesh watch flows/checkout.yaml --env staging
  testmesh watch --tag smoke --postpone --clear`,
		RunE: func(cmd *cobra.Command, args []string) error { return watchCommand(cmd, s, f, own, args) },
	}
	fl := cmd.Flags()
	f.take(fl, "tag", "require-all", "exclude", "suite", "env", "env-file", "secret-file", "var", "data", "iterations", "repeat",
		"delay", "keep-variables", "step-tag", "parallel", "fail-fast", "from", "to", "seed", "locked", "isolate", "format")
	fl.BoolVar(&own.clear, "clear", false, "clear the screen before each run")
	fl.BoolVar(&own.postpone, "postpone", false, "run nothing until something changes")
	completeRun(cmd, s)
	return cmd
}

func watchCommand(cmd *cobra.Command, s *State, f *runFlags, own *watchFlags, args []string) error {
	style, err := s.style(cmd)
	if err != nil {
		return err
	}
	p, err := s.project()
	if err != nil {
		return err
	}
	defer p.close()
	w := newWatching(s, f, own, args, style, p)
	began := time.Now()
	w.replan(began)
	if err := w.refused(); err != nil {
		return s.refuse(err, style, p)
	}
	keys, restore := s.keys()
	defer restore()
	w.keys = keys
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	return w.loop(ctx)
}

// refused is what is wrong with the command line rather than with a file, which
// may still be mended.
func (w *watching) refused() error {
	var exit *exitError
	var bad *problemsError
	switch {
	case errors.As(w.trouble, &bad):
		for _, p := range bad.problems {
			if p.Pos.Line == 0 && slices.ContainsFunc(w.args, func(a string) bool { return samePlace(a, p.Pos.File) }) {
				return w.trouble // a path that is not there
			}
		}
		return nil
	case errors.As(w.trouble, &exit) && exit.code == batch.ExitNothing:
		return nil
	}
	return w.trouble
}

func samePlace(arg, file string) bool {
	return arg == file || strings.HasSuffix(path.Clean(arg), path.Clean(file))
}

// keys gives the keys that are pressed, one by one, where there is a terminal
// for them; restore gives it back.
func (s *State) keys() (keys <-chan byte, restore func()) {
	if s.Keyboard == nil {
		return nil, func() {}
	}
	if _, terminal := s.terminal(); !terminal {
		return nil, func() {}
	}
	restore, err := s.Keyboard.Keys()
	if err != nil {
		return nil, func() {} // in the background, say
	}
	pressed := make(chan byte)
	go readKeys(s.Stdin, pressed)
	return pressed, restore
}

// readKeys ends with its input; the process does not wait for it.
func readKeys(in io.Reader, pressed chan<- byte) {
	b := make([]byte, 1)
	for {
		n, err := in.Read(b)
		if n > 0 {
			pressed <- b[0]
		}
		if err != nil {
			return
		}
	}
}
