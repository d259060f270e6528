package mesh

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

func (c *commands) agentPlugins() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "plugins", Short: "List the plugins that agents have", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Plugins.ListPlugins(cmd.Context(), &apiv1.ListPluginsRequest{})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintln(w, "PLUGIN\tVERSION\tAGENTS")
				for _, p := range res.GetPlugins() {
					fmt.Fprintf(w, "%s\t%s\t%d\n", p.GetName(), p.GetVersion(), p.GetAgents())
				}
			})
		},
	}
	f.flags(cmd)
	return cmd
}
