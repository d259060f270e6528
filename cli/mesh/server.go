package mesh

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *commands) server() *cobra.Command {
	s := Server{}
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a control plane of one node",
		Long: "Run a control plane of one node: it stores flows and runs, gives runs to agents, and keeps what they stream.\n" +
			"The first start makes the administrator's key and prints it, this once; TESTMESH_KEY hands it to the other\n" +
			"commands.",
		Example: `  testmesh server --data /var/lib/testmesh --addr 0.0.0.0:7070 --tls-cert cert.pem --tls-key key.pem`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.AdminKey, _ = c.LookupEnv("TESTMESH_ADMIN_KEY")
			ctx, cancel := c.interruptible(cmd.Context())
			defer cancel()
			return c.Serve(ctx, s, func(address, key string) {
				fmt.Fprintf(c.Stdout, "Control plane  %s\n", address)
				if key != "" {
					fmt.Fprintf(c.Stdout, "Administrator  %s  (keep it: it is not shown again)\n", key)
				}
				fmt.Fprintf(c.Stdout, "Next           testmesh agents token --server %s\n", address)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&s.Dir, "data", ".testmesh/server", "data directory; one process uses it at a time")
	fl.StringVar(&s.Address, "addr", "127.0.0.1:7070", "address to listen at; port 0 takes a free one")
	fl.StringVar(&s.CertFile, "tls-cert", "", "certificate (PEM) for people and agents; without one they are spoken to in the clear")
	fl.StringVar(&s.KeyFile, "tls-key", "", "its key (PEM)")
	return cmd
}
