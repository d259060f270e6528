package mesh

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

func (c *commands) agents() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "agents", Short: "List agents, let new ones join, pause, drain and revoke them", Args: cobra.NoArgs,
		Example: "  testmesh agents\n  testmesh agents token --pin env=staging\n  testmesh agents pause ID --note \"disk is being changed\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Agents.ListAgents(cmd.Context(), &apiv1.ListAgentsRequest{})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tNAME\tSTATE\tRUNS\tLABELS\tSEEN")
				for _, a := range res.GetAgents() {
					fmt.Fprintf(w, "%s\t%s\t%s\t%d/%d\t%s\t%s\n", a.GetId(), a.GetName(), agentState(a), len(a.GetLeases()), a.GetSlots(), pairs(a.GetPins()), ago(a.GetSeen()))
				}
			})
		},
	}
	f.flags(cmd)
	cmd.AddCommand(c.getAgent(), c.matchAgents(), c.token(), c.tokens(), c.agentPlugins())
	cmd.AddCommand(
		c.setAgent("pause", apiv1.AgentChange_AGENT_CHANGE_PAUSE), c.setAgent("resume", apiv1.AgentChange_AGENT_CHANGE_RESUME),
		c.setAgent("drain", apiv1.AgentChange_AGENT_CHANGE_DRAIN), c.setAgent("revoke", apiv1.AgentChange_AGENT_CHANGE_REVOKE),
	)
	return cmd
}

func (c *commands) setAgent(name string, change apiv1.AgentChange) *cobra.Command {
	f := &connection{}
	var note string
	var length time.Duration
	about := map[string]string{
		"pause": "Give an agent no work for a while", "resume": "Give a paused agent work again",
		"drain": "Let an agent finish what it has, and end", "revoke": "Take an agent's right away, for good",
	}
	cmd := &cobra.Command{
		Use: name + " ID", Short: about[name], Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			req := &apiv1.SetAgentRequest{Id: args[0], Change: change, Note: note}
			if length > 0 {
				req.Duration = durationpb.New(length)
			}
			res, err := cl.Agents.SetAgent(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintf(w, "%s is %s\n", res.GetAgent().GetName(), word(res.GetAgent().GetState().String(), "AGENT_STATE_"))
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&note, "note", "", "why, for whoever looks")
	if name == "pause" {
		cmd.Flags().DurationVar(&length, "for", 0, "how long; without it until it is resumed")
	}
	return cmd
}

func (c *commands) token() *cobra.Command {
	f := &connection{}
	req := &apiv1.CreateJoinTokenRequest{}
	var pins []string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "token", Short: "Make a join token for agents", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			req.Pins, req.Ttl = map[string]string{}, durationpb.New(ttl)
			for _, p := range pins {
				name, value, ok := strings.Cut(p, "=")
				if !ok {
					return fmt.Errorf("--pin %q is no NAME=VALUE", p)
				}
				req.Pins[name] = value
			}
			res, err := cl.Agents.CreateJoinToken(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintf(w, "%s\n", res.GetSecret())
				fmt.Fprintf(c.Stderr, "ends %s; on the agent's machine: testmesh agent --server … --token TOKEN\n", res.GetToken().GetExpires().AsTime().Local().Format(time.DateTime))
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringArrayVar(&pins, "pin", nil, "a label that agents with this token have, as NAME=VALUE; may be repeated")
	cmd.Flags().StringArrayVar(&req.Reserved, "reserve", nil, "a label that runs must name for these agents to take them; may be repeated")
	cmd.Flags().Int32Var(&req.Uses, "uses", 1, "how many agents may join with it")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long it can be used")
	return cmd
}

// agentState is how an agent is doing, and whether its key was seen twice.
func agentState(a *apiv1.Agent) string {
	state := word(a.GetState().String(), "AGENT_STATE_")
	if a.GetCloned() {
		state += ", copied"
	}
	return state
}
