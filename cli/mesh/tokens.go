package mesh

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// getAgent shows one agent.
func (c *commands) getAgent() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show an agent: its labels, what it has, and whether its key was copied", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Agents.GetAgent(cmd.Context(), &apiv1.GetAgentRequest{Id: args[0]})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				a := res.GetAgent()
				line := func(name string, value any) { fmt.Fprintf(w, "%s\t%v\n", name, value) }
				line("Agent", a.GetName()+"  "+a.GetId())
				line("State", word(a.GetState().String(), "AGENT_STATE_"))
				if a.GetNote() != "" {
					line("Note", a.GetNote())
				}
				if until := a.GetPausedUntil(); until != nil {
					line("Until", until.AsTime().Local().Format(time.DateTime))
				}
				if a.GetCloned() {
					line("Warning", "two processes had its key at one time: it was copied; revoke it, and let the real one join anew")
				}
				line("Version", a.GetVersion())
				line("Seen", ago(a.GetSeen()))
				line("Runs", fmt.Sprintf("%d of %d", len(a.GetLeases()), a.GetSlots()))
				for _, run := range a.GetLeases() {
					line("", run)
				}
				line("Pins", pairs(a.GetPins()))
				line("Facts", pairs(a.GetFacts()))
				line("Reserved", a.GetReserved())
			})
		},
	}
	f.flags(cmd)
	return cmd
}

// tokens lists and revokes join tokens.
func (c *commands) tokens() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "tokens", Short: "List the join tokens, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Agents.ListJoinTokens(cmd.Context(), &apiv1.ListJoinTokensRequest{})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tUSED\tENDS\tPINS\tSTATE")
				for _, t := range res.GetTokens() {
					fmt.Fprintf(w, "%s\t%d/%d\t%s\t%s\t%s\n", t.GetId(), t.GetUsed(), t.GetUses(), t.GetExpires().AsTime().Local().Format(time.DateTime), pairs(t.GetPins()), usable(t))
				}
			})
		},
	}
	f.flags(cmd)
	cmd.AddCommand(c.revokeToken())
	return cmd
}

// usable is whether an agent can join with a token.
func usable(t *apiv1.JoinToken) string {
	switch {
	case t.GetRevoked():
		return "revoked"
	case t.GetUsed() >= t.GetUses():
		return "used"
	case t.GetExpires().AsTime().Before(time.Now()):
		return "ended"
	}
	return "usable"
}

func (c *commands) revokeToken() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "End a join token; agents that joined with it stay", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Agents.RevokeJoinToken(cmd.Context(), &apiv1.RevokeJoinTokenRequest{Id: args[0]})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) { fmt.Fprintf(w, "no agent joins with %s any more\n", args[0]) })
		},
	}
	f.flags(cmd)
	return cmd
}
