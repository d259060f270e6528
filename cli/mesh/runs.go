package mesh

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

func (c *commands) runs() *cobra.Command {
	f := &connection{}
	req := &apiv1.ListRunsRequest{}
	cmd := &cobra.Command{
		Use: "runs [ID]", Short: "List runs of a control plane, or show one", Args: cobra.MaximumNArgs(1),
		Example: "  testmesh runs --tag smoke\n  testmesh runs 0198c5b2-…\n  testmesh runs cancel 0198c5b2-…",
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return c.run(cmd.Context(), cl, f, args[0])
			}
			res, err := cl.Runs.ListRuns(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tFLOW\tSTATUS\tTIME\tAGENT\tCREATED")
				for _, r := range res.GetRuns() {
					agent := ""
					if n := len(r.GetAttempts()); n > 0 {
						agent = r.GetAttempts()[n-1].GetAgentName()
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.GetId(), title(r), word(r.GetStatus().String(), "RUN_STATUS_"), took(r), agent, ago(r.GetCreated()))
				}
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&req.Tags, "tag", "", "only runs of flows with these tags, as an expression")
	cmd.Flags().StringVar(&req.Flow, "flow", "", "only runs of the flow of this name")
	cmd.Flags().StringVar(&req.BatchId, "batch", "", "only runs of this batch")
	cmd.Flags().Int32Var(&req.PageSize, "limit", 50, "how many, the newest first")
	cmd.AddCommand(c.cancel())
	return cmd
}

func (c *commands) run(ctx context.Context, cl *client.Client, f *connection, id string) error {
	res, err := cl.Runs.GetRun(ctx, &apiv1.GetRunRequest{Id: id})
	if err != nil {
		return refused(err)
	}
	r := res.GetRun()
	var why *apiv1.WhyResponse
	if r.GetStatus() == apiv1.RunStatus_RUN_STATUS_QUEUED {
		if why, err = cl.Runs.Why(ctx, &apiv1.WhyRequest{RunId: id}); err != nil {
			return refused(err)
		}
	}
	return c.print(f, res, func(w io.Writer) {
		fmt.Fprintf(w, "run\t%s\nflow\t%s\nfile\t%s\nbatch\t%s\nstatus\t%s\n", r.GetId(), title(r), r.GetSpec().GetFile(), r.GetBatchId(), word(r.GetStatus().String(), "RUN_STATUS_"))
		if r.GetReason() != "" {
			fmt.Fprintf(w, "reason\t%s\n", r.GetReason())
		}
		if why != nil {
			fmt.Fprintf(w, "waits\t%s\n", why.GetReason())
			for _, a := range why.GetAgents() {
				fmt.Fprintf(w, "\t%s: %s\n", a.GetName(), strings.Join(a.GetLacks(), "; "))
			}
		}
		for _, a := range r.GetAttempts() {
			fmt.Fprintf(w, "attempt %d\t%s\t%s %s\n", a.GetNumber(), a.GetAgentName(), a.GetOutcome(), a.GetReason())
		}
		for _, s := range r.GetStepSummaries() {
			fmt.Fprintf(w, "  %s\t%s\t%s\n", s.GetStepId(), s.GetStatus(), s.GetMessage())
		}
		for _, o := range r.GetOrphans() {
			fmt.Fprintf(w, "orphan\t%s\n", o)
		}
	})
}

func (c *commands) cancel() *cobra.Command {
	f := &connection{}
	var reason string
	cmd := &cobra.Command{
		Use: "cancel ID ...", Short: "Ask runs to end: teardown runs all the same", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Runs.Cancel(cmd.Context(), &apiv1.CancelRequest{RunIds: args, Reason: reason})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintf(w, "%d of %d asked to end; the others had ended\n", res.GetCancelled(), len(args))
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever looks")
	return cmd
}
