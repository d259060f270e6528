package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

func (c *commands) runs() *cobra.Command {
	f := &connection{}
	req := &apiv1.ListRunsRequest{}
	var statuses []string
	var since string
	var limit int
	cmd := &cobra.Command{
		Use: "runs [ID]", Short: "List runs of a control plane, or show one", Args: cobra.MaximumNArgs(1),
		Example: "  testmesh runs --tag smoke --status failed,errored --since 24h\n  testmesh runs 0198c5b2-…\n  testmesh runs cancel 0198c5b2-…",
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return c.run(cmd.Context(), cl, f, args[0])
			}
			if req.Status, err = statusesOf(statuses); err != nil {
				return err
			}
			if req.Since, err = sinceOf(since); err != nil {
				return err
			}
			if req.AgentId, err = agentID(cmd.Context(), cl, req.GetAgentId()); err != nil {
				return err
			}
			res, err := pages(cmd.Context(), cl, req, limit)
			if err != nil {
				return refused(err)
			}
			if err := c.print(f, res, func(w io.Writer) { table(w, res.GetRuns()) }); err != nil {
				return err
			}
			if next := res.GetNextPageToken(); next != "" && f.output == "text" {
				fmt.Fprintf(c.Stderr, "there are more: --page %s\n", next)
			}
			return nil
		},
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.StringSliceVar(&statuses, "status", nil, "only runs that are: queued, offered, running, finishing, passed, failed, errored, cancelled, skipped")
	fl.StringVar(&req.Environment, "env", "", "only runs of this environment")
	fl.StringVarP(&req.Tags, "tag", "t", "", "only runs of flows with these tags, as an expression")
	fl.StringVar(&req.Flow, "flow", "", "only runs of the flow of this name")
	fl.StringVar(&req.BatchId, "batch", "", "only runs of this batch")
	fl.StringVar(&req.AgentId, "agent", "", "only runs that this agent had or has, by its name or id")
	fl.StringVar(&since, "since", "", "only runs that were queued since: a length like 24h, or a time like 2026-11-30T12:00:00Z")
	fl.IntVar(&limit, "limit", 50, "how many, the newest first")
	fl.StringVar(&req.PageToken, "page", "", "go on where a list ended")
	cmd.AddCommand(c.cancel(), c.rerun(), c.why(), c.priority(), c.quarantine(), c.queue())
	return cmd
}

func statusesOf(names []string) (list []apiv1.RunStatus, err error) {
	for _, name := range names {
		n, known := apiv1.RunStatus_value["RUN_STATUS_"+strings.ToUpper(strings.TrimSpace(name))]
		if !known || n == 0 {
			return nil, fmt.Errorf("there is no status %q\n  hint: write queued, offered, running, finishing, passed, failed, errored, cancelled or skipped", name)
		}
		list = append(list, apiv1.RunStatus(n))
	}
	return list, nil
}

func sinceOf(text string) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return timestamppb.New(time.Now().Add(-d)), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("--since %q is no length of time and no time\n  hint: write 24h, or 2026-11-30T12:00:00Z", text)
	}
	return timestamppb.New(t), nil
}

// maxPage is the longest page that is answered.
const maxPage = 1000

// pages asks for as many pages as it takes to have a number of runs.
func pages(ctx context.Context, cl *client.Client, req *apiv1.ListRunsRequest, limit int) (*apiv1.ListRunsResponse, error) {
	all := &apiv1.ListRunsResponse{}
	for {
		req.PageSize = int32(min(limit-len(all.GetRuns()), maxPage))
		if req.GetPageSize() <= 0 {
			return all, nil
		}
		res, err := cl.Runs.ListRuns(ctx, req)
		if err != nil {
			return nil, err
		}
		all.Runs, all.NextPageToken, all.Index = append(all.Runs, res.GetRuns()...), res.GetNextPageToken(), res.GetIndex()
		if req.PageToken = res.GetNextPageToken(); req.GetPageToken() == "" {
			return all, nil
		}
	}
}

// table prints runs, one a line.
func table(w io.Writer, runs []*apiv1.Run) {
	fmt.Fprintln(w, "ID\tFLOW\tSTATUS\tTIME\tAGENT\tCREATED")
	for _, r := range runs {
		agent := ""
		if n := len(r.GetAttempts()); n > 0 {
			agent = r.GetAttempts()[n-1].GetAgentName()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.GetId(), title(r), word(r.GetStatus().String(), "RUN_STATUS_"), took(r), agent, ago(r.GetCreated()))
	}
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
	var reason, batch string
	cmd := &cobra.Command{
		Use: "cancel [ID ...]", Short: "Ask runs to end: teardown runs all the same",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && batch == "" {
				return errors.New("say which runs, or which batch\n  hint: testmesh runs cancel ID, or testmesh runs cancel --batch ID")
			}
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Runs.Cancel(cmd.Context(), &apiv1.CancelRequest{RunIds: args, BatchId: batch, Reason: reason})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintf(w, "%d asked to end; the others had ended\n", res.GetCancelled())
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever looks")
	cmd.Flags().StringVar(&batch, "batch", "", "all runs of this batch")
	return cmd
}
