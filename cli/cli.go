// Package cli is the command line: it reads flags, files and signals, hands
// flows to the engine and shows what comes back. The language, the verdicts and
// the reports live elsewhere.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/text"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// State is the outside world as a command sees it, so that tests run whole
// commands in their own process.
type State struct {
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Dir            string // working directory, absolute
	LookupEnv      func(name string) (string, bool)
	// Signals delivers SIGINT and SIGTERM; nil: none come.
	Signals <-chan os.Signal
	// Terminal tells whether Stdout is one, and how wide it is.
	Terminal func() (width int, ok bool)
	// Keyboard is the terminal that Stdin is; nil: it is none.
	Keyboard Keyboard
	Version  string
	// Plugins are the built-in plugins.
	Plugins []Builtin
	// Executable is this program's own file, which is started again for a built-in
	// plugin in a process of its own.
	Executable string
	// Whole becomes the program that can host plugins, with the same arguments, and
	// returns only with an error; nil: this one can, or there is none.
	Whole func() error
	// Launch hosts plugins in processes of their own; nil: this program cannot.
	Launch func(Launch) (pluginhost.Remote, error)
	// Topics are commands of further packages.
	Topics []*cobra.Command
	// Remote runs flows on the agents of a control plane, until its context ends, which
	// cancels them; nil: this program cannot.
	Remote func(ctx context.Context, r RemoteRun) (RemoteResult, error)
	// RemoteEnvironment reads an environment of a control plane; nil where Remote is.
	RemoteEnvironment func(r RemoteRun, name string) (text string, err error)
	// Mesh starts a control plane, an agent and the demo application in this process;
	// nil: this program cannot.
	Mesh func(ctx context.Context, m Mesh) (*Meshed, error)
	// Page are the files of the page that shows runs in a browser; nil: this program has
	// none.
	Page func() (fs.FS, error)
	// Browser makes what opens an address for the person at this terminal, or nil where
	// that cannot be done; nil: this program cannot.
	Browser func(address string) func() error
	// Demo runs the demo application on a listener until ctx is done.
	Demo func(ctx context.Context, l net.Listener) error
}

// Keyboard is a terminal that a command takes keys from, and gives back.
type Keyboard interface {
	// Keys lets each key through at once and does not show it; the keys of
	// signals stay signals.
	Keys() (restore func(), err error)
	// Raw lets every key through, those of signals too.
	Raw() (restore func(), err error)
	// Size is how many columns and lines there are; ok is false where it is not known.
	Size() (columns, lines int, ok bool)
}

// Builtin is a plugin that is part of the program.
type Builtin struct {
	Descriptor *testmeshv1.Descriptor
	New        func() plugin.Plugin
	// Apart runs it in a process of its own.
	Apart bool
}

// endBySignal cancels what lasts until somebody ends it, at the first signal.
func (s *State) endBySignal(ctx context.Context, cancel context.CancelFunc) {
	if s.Signals == nil {
		return
	}
	go func() {
		select {
		case <-s.Signals:
			cancel()
		case <-ctx.Done():
		}
	}()
}

// exitError ends a command with a code; its error, where there is one, is
// printed once, by Main.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage is a mistake on the command line, with what to do about it.
func usage(hint, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if hint != "" {
		err = fmt.Errorf("%w\n  hint: %s", err, hint)
	}
	return &exitError{code: batch.ExitUsage, err: err}
}

// Main runs one command and gives its exit code.
func Main(ctx context.Context, s *State) (code int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(s.Stderr, "testmesh: internal error: %v\nThis is a bug of TestMesh. Please report it with these lines:\n%s", r, debug.Stack())
			code = batch.ExitInternal
		}
	}()
	root := newRoot(s)
	root.SetArgs(s.Args)
	root.SetIn(s.Stdin)
	root.SetOut(s.Stdout)
	root.SetErr(s.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var exit *exitError
	var coded interface{ ExitCode() int } // of the commands of other packages
	switch {
	case errors.As(err, &exit):
	case errors.As(err, &coded):
		if exit = (&exitError{code: coded.ExitCode()}); err.Error() != "" {
			exit.err = err
		}
	default:
		// What cobra itself refuses is a mistake on the command line.
		exit = &exitError{code: batch.ExitUsage, err: err}
	}
	if exit.err != nil {
		fmt.Fprintf(s.Stderr, "testmesh: %s\n", exit.err)
		if errors.Is(exit.err, errUnknownFlag) {
			fmt.Fprintf(s.Stderr, "  hint: testmesh %s --help lists the flags\n", strings.Join(s.Args[:min(1, len(s.Args))], " "))
		}
	}
	return exit.code
}

var errUnknownFlag = errors.New("unknown flag")

func newRoot(s *State) *cobra.Command {
	root := &cobra.Command{
		Use:   "testmesh",
		Short: "End-to-end integration tests as YAML flows",
		Long: "TestMesh runs end-to-end integration tests that are written as YAML flows.\n\n" +
			"Begin with:  testmesh init hello && cd hello && testmesh run --tag smoke",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(flagHint(cmd, err), "%w", err)
	})
	root.PersistentFlags().String("color", "auto", "when to use colour: auto, always or never")
	root.AddGroup(&cobra.Group{ID: "flows", Title: "Flows:"}, &cobra.Group{ID: "mesh", Title: "Control plane:"}, &cobra.Group{ID: "more", Title: "More:"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			if c.GroupID == "" {
				c.GroupID = group
			}
			root.AddCommand(c)
		}
	}
	add("flows", newRun(s), newWatch(s), newDebug(s), newValidate(s), newFmt(s), newInit(s), newSchema(s), newShow(s))
	add("flows", s.Topics...)
	add("mesh", newDev(s))
	add("more", newExplain(s), newDemo(s), newVersion(s), newMan(s))
	root.SetHelpCommandGroupID("more")
	root.SetCompletionCommandGroupID("more")
	return root
}

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := "testmesh --help lists the commands"
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q?", near[0])
	} else if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		hint = "testmesh run " + name
	}
	return usage(hint, "unknown command %q", name)
}

func (s *State) env(name string) string {
	v, _ := s.LookupEnv(name)
	return v
}

// style follows --color, NO_COLOR, FORCE_COLOR, CLICOLOR_FORCE, TERM and the
// locale.
func (s *State) style(cmd *cobra.Command) (text.Style, error) {
	choice, err := cmd.Flags().GetString("color")
	if err != nil {
		choice = "auto"
	}
	_, terminal := s.terminal()
	out := text.Style{ASCII: !s.utf8()}
	switch choice {
	case "always":
		out.Color = true
	case "never":
	case "auto":
		forced := s.env("FORCE_COLOR") != "" && s.env("FORCE_COLOR") != "0" || s.env("CLICOLOR_FORCE") != "" && s.env("CLICOLOR_FORCE") != "0"
		out.Color = (terminal && s.env("TERM") != "dumb" || forced) && s.env("NO_COLOR") == ""
	default:
		return out, usage("", "--color %q: write auto, always or never", choice)
	}
	return out, nil
}

// Style is style, for the commands of other packages.
func (s *State) Style(cmd *cobra.Command) (text.Style, error) { return s.style(cmd) }

func (s *State) terminal() (width int, ok bool) {
	if s.Terminal == nil {
		return 0, false
	}
	return s.Terminal()
}

func (s *State) utf8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := s.env(name); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return true
}

// eventWriter is a report over the event stream.
type eventWriter interface {
	Write(e *event.Event) error
	Wants() event.Wants
}
