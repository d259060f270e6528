package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// codes are the exit codes of verdicts, as `testmesh run` has them.
var codes = map[apiv1.BatchStatus]int{
	apiv1.BatchStatus_BATCH_STATUS_PASSED: 0, apiv1.BatchStatus_BATCH_STATUS_FAILED: 1, apiv1.BatchStatus_BATCH_STATUS_ERRORED: 3,
	apiv1.BatchStatus_BATCH_STATUS_CANCELLED: 3, apiv1.BatchStatus_BATCH_STATUS_SKIPPED: 4,
}

// verdictError ends a command with the exit code of a verdict that was printed.
type verdictError struct{ code int }

func (e *verdictError) Error() string { return "" }

// ExitCode is that of the verdict.
func (e *verdictError) ExitCode() int { return e.code }

func (c *commands) rerun() *cobra.Command {
	f := &connection{}
	req := &apiv1.RerunRequest{}
	var wait bool
	cmd := &cobra.Command{
		Use:   "rerun [ID]",
		Short: "Run again what was run, as a new batch",
		Long: "Run a run again, or with --batch all of a batch; with --failed only what did not pass. The flows are those that\n" +
			"were run then, not what they have become. --from begins with a step; what the steps before it gave in that run\n" +
			"is known to those after it.",
		Example: "  testmesh runs rerun 0198c5b2-…\n  testmesh runs rerun --batch 0198c5b2-… --failed --wait\n  testmesh runs rerun 0198c5b2-… --from pay",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (req.GetBatchId() != "") {
				return errors.New("say which run, or which batch\n  hint: testmesh runs rerun ID, or testmesh runs rerun --batch ID")
			}
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				r, err := cl.Runs.GetRun(cmd.Context(), &apiv1.GetRunRequest{Id: args[0]})
				if err != nil {
					return refused(err)
				}
				req.RunId, req.BatchId = r.GetRun().GetId(), r.GetRun().GetBatchId()
			}
			res, err := cl.Runs.Rerun(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			if !wait {
				return c.print(f, res, func(w io.Writer) { fmt.Fprintf(w, "batch %s\n", res.GetBatch().GetId()) })
			}
			return c.await(cmd.Context(), cl, f, res.GetBatch().GetId())
		},
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&req.BatchId, "batch", "", "run all of this batch again")
	fl.BoolVar(&req.Failed, "failed", false, "only what did not pass")
	fl.StringVar(&req.From, "from", "", "begin with this step; for one run")
	fl.BoolVar(&wait, "wait", false, "wait for the end, show the runs, and end with their exit code")
	return cmd
}

// await waits for the end of a batch, over as many connections as it takes.
func (c *commands) await(ctx context.Context, cl *client.Client, f *connection, id string) error {
	ctx, cancel := c.interruptible(ctx)
	defer cancel()
	b, err := followBatch(ctx, cl, id, c.note, func([]*apiv1.Run) {})
	if err != nil {
		return refused(err)
	}
	res, err := cl.Runs.ListRuns(ctx, &apiv1.ListRunsRequest{BatchId: id, PageSize: 1000})
	if err != nil {
		return refused(err)
	}
	if err := c.print(f, res, func(w io.Writer) {
		table(w, res.GetRuns())
		fmt.Fprintf(w, "batch %s %s %s\n", id, word(b.GetStatus().String(), "BATCH_STATUS_"), b.GetReason())
	}); err != nil {
		return err
	}
	code, known := codes[b.GetStatus()]
	if !known {
		code = 3
	}
	if code != 0 {
		return &verdictError{code}
	}
	return nil
}

func (c *commands) quarantine() *cobra.Command {
	cmd := &cobra.Command{
		Use: "quarantine", Short: "List and release runs that lost one agent after the other", Args: cobra.NoArgs,
		Long: "A run that loses two different agents soon after its start is kept from others, because it may be what ended\n" +
			"them, until somebody releases it.",
	}
	lf, rf := &connection{}, &connection{}
	list := &cobra.Command{
		Use: "list", Short: "List the runs in quarantine", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(lf)
			if err != nil {
				return err
			}
			res, err := cl.Runs.ListQuarantine(cmd.Context(), &apiv1.ListQuarantineRequest{})
			if err != nil {
				return refused(err)
			}
			return c.print(lf, res, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tFLOW\tAGENTS\tREASON")
				for _, r := range res.GetRuns() {
					var agents []string
					for _, a := range r.GetAttempts() {
						agents = append(agents, a.GetAgentName())
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.GetId(), title(r), strings.Join(agents, ", "), r.GetReason())
				}
			})
		},
	}
	lf.flags(list)
	release := &cobra.Command{
		Use: "release ID", Short: "Queue a run of the quarantine again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(rf)
			if err != nil {
				return err
			}
			res, err := cl.Runs.Release(cmd.Context(), &apiv1.ReleaseRequest{RunId: args[0]})
			if err != nil {
				return refused(err)
			}
			return c.print(rf, res, func(w io.Writer) { fmt.Fprintf(w, "%s is queued again\n", args[0]) })
		},
	}
	rf.flags(release)
	cmd.AddCommand(list, release)
	return cmd
}

func (c *commands) why() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "why ID", Short: "Say what a run waits for, and what each agent lacks", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Runs.Why(cmd.Context(), &apiv1.WhyRequest{RunId: args[0]})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintf(w, "%s\n", res.GetReason())
				if res.GetAhead() > 0 {
					fmt.Fprintf(w, "before it\t%d runs\n", res.GetAhead())
				}
				for _, l := range res.GetLocks() {
					fmt.Fprintf(w, "lock\t%s\n", l)
				}
				for _, a := range res.GetAgents() {
					said := strings.Join(a.GetLacks(), "; ")
					if a.GetFits() && said == "" {
						said = "fits"
					}
					fmt.Fprintf(w, "agent %s\t%s\n", a.GetName(), said)
				}
			})
		},
	}
	f.flags(cmd)
	return cmd
}

// priorities are the words for them.
var priorities = map[string]int32{"lowest": 0, "low": 1, "normal": 2, "high": 3, "highest": 4}

func (c *commands) priority() *cobra.Command {
	f := &connection{}
	req := &apiv1.SetPriorityRequest{}
	cmd := &cobra.Command{
		Use:   "priority lowest|low|normal|high|highest [ID ...]",
		Short: "Change which of the waiting runs is next",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, known := priorities[args[0]]
			if !known {
				return fmt.Errorf("there is no priority %q\n  hint: write lowest, low, normal, high or highest", args[0])
			}
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			req.Priority, req.RunIds = p, args[1:]
			res, err := cl.Runs.SetPriority(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) { fmt.Fprintf(w, "%d changed; the others had ended\n", res.GetChanged()) })
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&req.BatchId, "batch", "", "all that wait of this batch")
	return cmd
}

func (c *commands) queue() *cobra.Command {
	f := &connection{}
	req := &apiv1.QueueStatsRequest{}
	cmd := &cobra.Command{
		Use: "queue", Short: "Show how much waits, and for how long", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Runs.QueueStats(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintf(w, "waiting\t%d\nrunning\t%d\noldest waits\t%s\nquarantined\t%d\n",
					res.GetDepth(), res.GetRunning(), res.GetOldestWait().AsDuration(), res.GetQuarantined())
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&req.Environment, "env", "", "only runs of this environment")
	return cmd
}
