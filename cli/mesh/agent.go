package mesh

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (c *commands) agent() *cobra.Command {
	a := Agent{}
	var labels []string
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run an agent of a control plane",
		Long: "Run an agent: it connects to the control plane, takes runs that its labels fit, runs them here, and streams back\n" +
			"what happens. It needs a join token once; after that its own key, in its data directory, is what it is known by.\n" +
			"The first signal drains it: it takes nothing new and finishes what runs. The second cancels what runs; teardown\n" +
			"runs all the same.",
		Example: `  testmesh agent --server https://mesh.example.com --token tmj_… --data /var/lib/testmesh-agent`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.Token == "" {
				a.Token, _ = c.LookupEnv("TESTMESH_JOIN_TOKEN")
			}
			if a.Server == "" {
				a.Server, _ = c.LookupEnv("TESTMESH_SERVER")
			}
			if a.Server == "" {
				return errors.New("which control plane?\n  hint: --server http://127.0.0.1:7070, or TESTMESH_SERVER")
			}
			a.Labels = map[string]string{}
			for _, l := range labels {
				name, value, ok := strings.Cut(l, "=")
				if !ok {
					return fmt.Errorf("--label %q is no NAME=VALUE", l)
				}
				a.Labels[name] = value
			}
			drain := make(chan struct{})
			a.Drain = drain
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go func() {
				for n := 0; ; n++ {
					select {
					case <-c.Signals:
						if n == 0 {
							fmt.Fprintln(c.Stderr, "draining: nothing new is taken, what runs is finished. Again to cancel it.")
							close(drain)
							continue
						}
						fmt.Fprintln(c.Stderr, "stopping: what runs is cancelled, and torn down")
						cancel()
						return
					case <-ctx.Done():
						return
					}
				}
			}()
			return refused(c.Work(ctx, a))
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&a.Server, "server", "", "address of the control plane (or TESTMESH_SERVER)")
	fl.StringVar(&a.Token, "token", "", "join token, needed once (or TESTMESH_JOIN_TOKEN)")
	fl.StringVar(&a.Dir, "data", ".testmesh/agent", "folder of the agent's key, bundles and spools")
	fl.StringVar(&a.Name, "name", "", "name that people see (default the machine's)")
	fl.StringVar(&a.CAFile, "ca-file", "", "certificate authority to trust beside the system's")
	fl.IntVar(&a.Slots, "slots", 4, "how many runs go side by side")
	fl.StringArrayVar(&labels, "label", nil, "a fact that the agent reports of itself, as NAME=VALUE; may be repeated")
	fl.StringArrayVar(&a.AllowEnv, "allow-env", nil, "a variable of this process that flows may read; may be repeated")
	return cmd
}
