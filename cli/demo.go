package cli

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"
)

func newDemo(s *State) *cobra.Command {
	demo := &cobra.Command{
		Use:   "demo",
		Short: "The built-in demo application",
		Long:  "The built-in demo application: a small deterministic shop over REST, with faults that can be switched on.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var addr string
	serve := &cobra.Command{
		Use:   "serve",
		Short: "Serve the demo application until interrupted",
		Example: `  testmesh demo serve
  testmesh demo serve --addr 127.0.0.1:0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serveDemo(cmd.Context(), s, addr) },
	}
	serve.Flags().StringVar(&addr, "addr", "127.0.0.1:7071", "address to listen at; port 0 takes a free one")
	demo.AddCommand(serve)
	return demo
}

func serveDemo(ctx context.Context, s *State, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return &exitError{code: 3, err: fmt.Errorf("listen at %s: %w\n  hint: another program may use the port; --addr 127.0.0.1:0 takes a free one", addr, errors.Unwrap(err))}
	}
	fmt.Fprintf(s.Stdout, "Demo application  http://%s\nRoutes            http://%s/openapi.json\nPress Ctrl-C to stop.\n", l.Addr(), l.Addr())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.endBySignal(ctx, cancel)
	return s.Demo(ctx, l)
}
