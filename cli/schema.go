package cli

import (
	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/flow/syntax"
)

func newSchema(s *State) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of flow files",
		Long: "Print the draft-07 JSON Schema of flow files, with the actions of all installed plugins.\n" +
			"Editors read it from the first line of a flow:  # yaml-language-server: $schema=./.testmesh/schema.json",
		Example: "  testmesh schema > .testmesh/schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return syntax.Schema(actions(s.Plugins), s.Stdout)
		},
	}
}
