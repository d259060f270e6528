package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/cli/explain"
	"github.com/testmesh/testmesh/flow/report/text"
)

func newExplain(s *State) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [CODE | TOPIC]",
		Short: "Explain an error code or a topic",
		Long: "Explain an error code or a topic: what it means, what causes it, what to do.\n" +
			"Without an argument it lists them all.",
		Example: `  testmesh explain E-CONN
  testmesh explain assert
  testmesh explain exit-codes`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return append(explain.Codes(), explain.Topics()...), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			style, err := s.style(cmd)
			if err != nil {
				return err
			}
			if width, ok := s.terminal(); ok {
				style.Width = width
			}
			if len(args) == 0 {
				return listExplained(s.Stdout, style)
			}
			page, hint, ok := explain.Find(args[0])
			if !ok {
				if hint == "" {
					hint = "testmesh explain lists all codes and topics"
				}
				return usage(hint, "there is no code or topic %q", args[0])
			}
			_, err = io.WriteString(s.Stdout, explain.Render(page, style))
			return err
		},
	}
}

// listExplained prints every code and topic with its sentence.
func listExplained(out io.Writer, style text.Style) error {
	var b strings.Builder
	list := func(title string, names []string, page func(string) (string, bool)) {
		fmt.Fprintf(&b, "%s\n", style.Strong(title))
		for _, name := range names {
			text, _ := page(name)
			fmt.Fprintf(&b, "  %-13s %s\n", name, strings.ReplaceAll(explain.Summary(text), "`", ""))
		}
	}
	list("Codes", explain.Codes(), explain.Page)
	b.WriteByte('\n')
	list("Topics", explain.Topics(), explain.Topic)
	b.WriteString("\ntestmesh explain NAME says more\n")
	_, err := io.WriteString(out, b.String())
	return err
}
