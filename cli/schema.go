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
			style, err := s.style(cmd)
			if err != nil {
				return err
			}
			p, err := s.project()
			if err != nil {
				return err
			}
			defer p.close()
			set, err := s.plugins(p, false, false)
			if err != nil {
				return s.refuse(err, style, p)
			}
			return syntax.Schema(actions(set.descriptors), s.Stdout)
		},
	}
}
