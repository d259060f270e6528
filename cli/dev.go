package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/flow/report/text"
)

// Mesh is what `testmesh dev` starts.
type Mesh struct {
	// Dir keeps the data of the control plane and the agent.
	Dir string
	// Address and Demo are where to listen; where the port is taken another one is.
	Address, Demo string
}

// Meshed is a mesh that runs.
type Meshed struct {
	// Server and Demo are the addresses that were taken; Moved says which of them are
	// others than were asked for.
	Server, Demo string
	Moved        []string
	// Open shows the page of the control plane to the person at this terminal; nil: that
	// cannot be done here.
	Open func() error
	// Wait returns when all of it has ended.
	Wait func() error
}

type devFlags struct {
	run       runFlags
	flows     []string
	ephemeral bool
	headless  bool
	addr      string
	demo      string
	data      string
}

func newDev(s *State) *cobra.Command {
	f := &devFlags{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Start a control plane, an agent and the demo application",
		Long: "Start a control plane, an agent and the demo application in one process, for this machine alone: no key is\n" +
			"needed, and nothing from elsewhere is answered. The page of the control plane is opened in a browser. Data is kept in .testmesh/dev of the project.\n\n" +
			"With --run the flows are queued at the control plane, run by the agent, and reported as by testmesh run; then\n" +
			"everything ends, with that exit code.",
		Example: `  testmesh dev
  testmesh dev --ephemeral --run examples/flows`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return devCommand(cmd, s, f) },
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.flows, "run", nil, "flows to queue, as a path; may be repeated")
	fl.BoolVar(&f.ephemeral, "ephemeral", false, "keep nothing: the data is deleted at the end")
	fl.BoolVar(&f.headless, "headless", false, "open no browser")
	fl.StringVar(&f.addr, "addr", "127.0.0.1:7070", "address of the control plane; the next free port where it is taken")
	fl.StringVar(&f.demo, "demo-addr", "127.0.0.1:7071", "address of the demo application; the next free port where it is taken")
	fl.StringVar(&f.data, "data", "", "folder of the data (default .testmesh/dev of the project)")
	fl.StringVar(&f.run.format, "format", "auto", "with --run: what the terminal shows: auto, list, line, dot, quiet, verbose or jsonl")
	fl.StringArrayVar(&f.run.reports, "report", nil, "with --run: add a report, as testmesh run has them")
	fl.IntVarP(&f.run.parallel, "parallel", "p", 1, "with --run: how many runs go side by side")
	return cmd
}

func devCommand(cmd *cobra.Command, s *State, f *devFlags) (err error) {
	style, err := s.style(cmd)
	if err != nil {
		return err
	}
	p, err := s.project()
	if err != nil {
		return err
	}
	defer p.close()
	f.run.repeat, f.run.noAutoReport = 1, true
	dir := f.data
	if dir == "" {
		dir = filepath.Join(p.path, ".testmesh", "dev")
	}
	if f.ephemeral {
		if dir, err = os.MkdirTemp("", "testmesh-dev-"); err != nil {
			return fmt.Errorf("make a folder for the data: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	m, err := s.Mesh(ctx, Mesh{Dir: dir, Address: f.addr, Demo: f.demo})
	if err != nil {
		return &exitError{code: batch.ExitErrored, err: err}
	}
	for _, moved := range m.Moved {
		fmt.Fprintln(s.Stderr, moved)
	}
	if len(f.flows) > 0 {
		err := s.devRun(cmd.Context(), p, f, m, style)
		cancel()
		if ended := m.Wait(); ended != nil && err == nil {
			err = &exitError{code: batch.ExitErrored, err: ended}
		}
		return err
	}
	fmt.Fprintf(s.Stdout, "Control plane     %s\nDemo application  %s\nNext              testmesh run --remote --server %s PATH\nPress Ctrl-C to stop.\n", m.Server, m.Demo, m.Server)
	if _, person := s.terminal(); person && !f.headless && m.Open != nil {
		if err := m.Open(); err != nil {
			fmt.Fprintf(s.Stderr, "no browser was opened: %v\n", err)
		}
	}
	s.endBySignal(ctx, cancel)
	if err := m.Wait(); err != nil {
		return &exitError{code: batch.ExitErrored, err: err}
	}
	return nil
}

// devRun queues flows at the mesh, and reports them as a run of this machine.
func (s *State) devRun(ctx context.Context, p *project, f *devFlags, m *Meshed, style text.Style) error {
	f.run.remote, f.run.server = true, m.Server
	outer := *s
	s = &outer
	lookup := s.LookupEnv
	s.LookupEnv = func(name string) (string, bool) {
		if name == "API_BASE_URL" { // what the flows of the examples ask
			return m.Demo, true
		}
		return lookup(name)
	}
	pl, err := s.plan(p, &f.run, f.flows)
	if err != nil {
		return s.refuse(err, style, p)
	}
	return s.remoteRun(ctx, p, &f.run, pl, style)
}
