package mesh

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// selector reads LABEL=VALUE and LABEL!=VALUE, several values of a label as one or the
// other.
func selector(parts []string) (*apiv1.Target, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	t := &apiv1.Target{Match: map[string]*apiv1.Values{}, Not: map[string]*apiv1.Values{}}
	for _, one := range parts {
		label, value, ok := strings.Cut(one, "=")
		into := t.GetMatch()
		if name, not := strings.CutSuffix(label, "!"); not {
			label, into = name, t.GetNot()
		}
		if !ok || label == "" || value == "" {
			return nil, fmt.Errorf("%q is no LABEL=VALUE\n  hint: write zone=eu-1, or zone!=eu-1", one)
		}
		if into[label] == nil {
			into[label] = &apiv1.Values{}
		}
		into[label].Values = append(into[label].GetValues(), value)
	}
	return t, nil
}

func (c *commands) matchAgents() *cobra.Command {
	f := &connection{}
	req := &apiv1.MatchAgentsRequest{}
	var tags string
	var flows []string
	cmd := &cobra.Command{
		Use: "match [LABEL=VALUE ...]", Short: "Say which agents would take a run, and what each of the others lacks",
		Example: "  testmesh agents match zone=eu-1 os!=windows\n  testmesh agents match --flow flows/checkout.testmesh.yaml --env staging",
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			if req.Target, err = selector(args); err != nil {
				return err
			}
			if tags != "" || len(flows) > 0 {
				req.Flows = &apiv1.StoredFlows{Tags: tags}
				for _, name := range flows {
					file, index := flowOf(name)
					req.Flows.Flows = append(req.Flows.Flows, &apiv1.FlowRef{File: file, Index: index})
				}
			}
			res, err := cl.Agents.MatchAgents(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) { matches(w, res) })
		},
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&req.Environment, "env", "", "for runs of this environment")
	fl.StringArrayVar(&req.Plugins, "plugin", nil, "for runs that need this plugin; may be repeated")
	fl.StringArrayVar(&flows, "flow", nil, "for runs of this stored flow, by its file; may be repeated")
	fl.StringVarP(&tags, "tag", "t", "", "for runs of the stored flows with these tags, as an expression")
	return cmd
}

func matches(w io.Writer, res *apiv1.MatchAgentsResponse) {
	fmt.Fprintln(w, "AGENT\tTAKES IT\tWHY NOT")
	fit := 0
	for _, a := range res.GetAgents() {
		takes := "no"
		if a.GetFits() {
			takes = fmt.Sprintf("%d at once", a.GetFree())
			fit++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", a.GetName(), takes, strings.Join(a.GetLacks(), "; "))
	}
	fmt.Fprintf(w, "%d of %d agents fit, and could start %d runs at once\n", fit, len(res.GetAgents()), res.GetFree())
}

// agentID finds the agent that a person names, by its name or its id; "" stays what it is.
func agentID(ctx context.Context, cl *client.Client, name string) (string, error) {
	if _, err := uuid.Parse(name); name == "" || err == nil {
		return name, nil
	}
	all, err := cl.Agents.ListAgents(ctx, &apiv1.ListAgentsRequest{Revoked: true})
	if err != nil {
		return "", refused(err)
	}
	var found []string
	for _, a := range all.GetAgents() {
		if a.GetName() == name {
			found = append(found, a.GetId())
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", refused(fmt.Errorf("no agent is named %q\n  hint: testmesh agents lists them", name))
	}
	return "", refused(fmt.Errorf("%d agents are named %q\n  hint: write the id of one: %s", len(found), name, strings.Join(found, ", ")))
}
