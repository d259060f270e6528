package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/testmesh/testmesh/flow/source"
)

// flagHint gives the nearest flag to one that does not exist.
func flagHint(cmd *cobra.Command, err error) string {
	_, name, ok := strings.Cut(err.Error(), "unknown flag: --")
	if !ok {
		return "testmesh " + strings.TrimPrefix(cmd.CommandPath(), "testmesh ") + " --help lists the flags"
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	if hint := source.Suggest("--"+name, names); hint != "" {
		return hint
	}
	return cmd.CommandPath() + " --help lists the flags"
}
