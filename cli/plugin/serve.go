package plugin

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin/serve"
)

// newServe serves a built-in plugin over the wire: how testmesh starts itself
// for one that runs in a process of its own.
func (t *tool) newServe() *cobra.Command {
	return &cobra.Command{
		Use: "serve NAME [describe]", Short: "Serve a built-in plugin to a host that starts it", Args: cobra.RangeArgs(1, 2), Hidden: true,
		Long: "Serve a built-in plugin over the wire, as any other plugin does. testmesh starts itself this way; by hand it says so.",
		RunE: func(_ *cobra.Command, args []string) error {
			var names []string
			for _, b := range t.Builtins {
				if b.Descriptor.GetName() != args[0] {
					names = append(names, b.Descriptor.GetName())
					continue
				}
				p := b.New()
				if len(args) == 2 && args[1] == "describe" {
					if err := serve.Describe(p, t.Stdout); err != nil {
						return errored("", "%w", err)
					}
					return nil
				}
				serve.Main(p) // which ends the process
				return nil
			}
			hint := "built in are: " + strings.Join(names, ", ")
			if near := value.Closest(args[0], names); near != "" {
				hint = "did you mean " + near + "?"
			}
			return usage(hint, "no plugin %q is built in", args[0])
		},
	}
}
