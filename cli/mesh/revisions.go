package mesh

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

func (c *commands) showFlow() *cobra.Command {
	f := &connection{}
	req := &apiv1.GetFlowRequest{}
	inputs := false
	cmd := &cobra.Command{
		Use: "show FILE", Short: "Print the file of a stored flow, as it is or as it was", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			req.File, req.Index = flowOf(args[0])
			res, err := cl.Flows.GetFlow(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			switch {
			case f.output == "json":
				return c.print(f, res, nil)
			case inputs:
				return c.inputs(res)
			}
			_, err = io.WriteString(c.Stdout, res.GetSource())
			return err
		},
	}
	f.flags(cmd)
	cmd.Flags().Int64Var(&req.Revision, "revision", 0, "as this revision made it, of those that testmesh flows revisions lists")
	cmd.Flags().BoolVar(&inputs, "inputs", false, "print what it is queued with: its inputs with their types")
	return cmd
}

// inputs prints what a flow is queued with.
func (c *commands) inputs(res *apiv1.GetFlowResponse) error {
	if res.GetProblem() != "" {
		return fmt.Errorf("the flow cannot be compiled with the plugins that there are: %s", res.GetProblem())
	}
	return c.table(func(w io.Writer) {
		fmt.Fprintln(w, "INPUT\tTYPE\tDEFAULT\tABOUT")
		for _, in := range res.GetInputs() {
			given := "required"
			switch {
			case in.GetSecret():
				given = "secret"
			case in.GetDefault() != nil:
				given = fmt.Sprint(in.GetDefault().AsInterface())
			case !in.GetRequired():
				given = ""
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", in.GetName(), in.GetType(), given, in.GetDescription())
		}
	})
}

func (c *commands) revisions() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "revisions FILE", Short: "List what pushes made of a flow, the newest first", Args: cobra.ExactArgs(1),
		Example: "  testmesh flows revisions flows/checkout.testmesh.yaml\n  testmesh flows show flows/checkout.testmesh.yaml --revision 4",
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			all, err := revisionsOf(cmd.Context(), cl, args[0])
			if err != nil {
				return refused(err)
			}
			return c.print(f, all, func(w io.Writer) {
				fmt.Fprintln(w, "REVISION\tPUSHED\tBY\tFILES\tBYTES\tDIGEST")
				for _, r := range all.GetRevisions() {
					number := fmt.Sprint(r.GetRevision())
					if r.GetCurrent() {
						number += " *"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%.12s\n", number, ago(r.GetPushed()), r.GetActor(), r.GetFiles(), r.GetSize(), r.GetDigest())
				}
			})
		},
	}
	f.flags(cmd)
	return cmd
}

// revisionsOf reads all pages of them.
func revisionsOf(ctx context.Context, cl *client.Client, name string) (*apiv1.ListRevisionsResponse, error) {
	all := &apiv1.ListRevisionsResponse{}
	file, index := flowOf(name)
	req := &apiv1.ListRevisionsRequest{File: file, Index: index, PageSize: maxPage}
	for {
		res, err := cl.Flows.ListRevisions(ctx, req)
		if err != nil {
			return nil, err
		}
		all.Revisions = append(all.Revisions, res.GetRevisions()...)
		if req.PageToken = res.GetNextPageToken(); req.GetPageToken() == "" {
			return all, nil
		}
	}
}
