package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"

	"github.com/testmesh/testmesh/flow/event"
)

// outcome is a run with what its stream says of its steps.
type outcome struct {
	run    *apiv1.Run
	events []*event.Event
}

// step is a step of a run, as -o json prints it.
type step struct {
	ID         string  `json:"id"`
	Name       string  `json:"name,omitempty"`
	Phase      string  `json:"phase"`
	Path       string  `json:"path,omitempty"`
	Status     string  `json:"status"`
	Reason     string  `json:"reason,omitempty"`
	Tries      int     `json:"tries"`
	DurationMS float64 `json:"duration_ms"`
	Error      string  `json:"error,omitempty"`
	Assertions []claim `json:"assertions,omitempty"`
}

// claim is an assertion of a step.
type claim struct {
	Expression string `json:"expression"`
	Passed     bool   `json:"passed"`
	Errored    bool   `json:"errored,omitempty"`
	Message    string `json:"message,omitempty"`
}

func (c *commands) results() *cobra.Command {
	f := &connection{}
	var batch string
	var reports []string
	var record string
	cmd := &cobra.Command{
		Use:   "results [ID]",
		Short: "Show how a run ended: verdict, steps, assertions, outputs",
		Long: "Show how a run ended, or with --batch every run of a batch: verdict, steps, assertions, outputs. --report makes\n" +
			"the reports of testmesh run of what was recorded then. The exit code is 0 whatever the verdict: it is shown.",
		Example: "  testmesh results 0198c5b2-…\n  testmesh results --batch 0198c5b2-… --report junit=report.xml\n  testmesh results 0198c5b2-… --record checkout.tmrun",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (batch != "") {
				return errors.New("say which run, or which batch\n  hint: testmesh results ID, or testmesh results --batch ID")
			}
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			b, list, err := c.outcomes(cmd.Context(), cl, args, batch)
			if err != nil {
				return refused(err)
			}
			if len(reports) > 0 || record != "" {
				return c.keep(cmd, cl, reports, record, b, list)
			}
			if f.output == "json" {
				return c.resultsJSON(list)
			}
			return c.table(func(w io.Writer) {
				for _, one := range list {
					one.show(w)
				}
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&batch, "batch", "", "all runs of this batch")
	cmd.Flags().StringArrayVar(&reports, "report", nil, "make a report instead, as testmesh run has them: KIND or KIND=PATH; may be repeated")
	cmd.Flags().StringVar(&record, "record", "", "keep all of it in this file instead, a run archive (.tmrun) that testmesh show opens")
	return cmd
}

// outcomes reads one run, or those of a batch in their order.
func (c *commands) outcomes(ctx context.Context, cl *client.Client, args []string, batch string) (*apiv1.Batch, []outcome, error) {
	var list []outcome
	if len(args) == 1 {
		r, err := cl.Runs.GetRun(ctx, &apiv1.GetRunRequest{Id: args[0]})
		if err != nil {
			return nil, nil, err
		}
		batch, list = r.GetRun().GetBatchId(), []outcome{{run: r.GetRun()}}
	}
	b, err := cl.Runs.GetBatch(ctx, &apiv1.GetBatchRequest{Id: batch})
	if err != nil {
		return nil, nil, err
	}
	if list == nil {
		runs, err := pages(ctx, cl, &apiv1.ListRunsRequest{BatchId: batch}, int(b.GetBatch().GetRuns()))
		if err != nil {
			return nil, nil, err
		}
		for i := len(runs.GetRuns()) - 1; i >= 0; i-- { // the newest come first
			r, err := cl.Runs.GetRun(ctx, &apiv1.GetRunRequest{Id: runs.GetRuns()[i].GetId()})
			if err != nil {
				return nil, nil, err
			}
			list = append(list, outcome{run: r.GetRun()})
		}
	}
	for i := range list {
		if list[i].events, err = Events(ctx, cl, list[i].run.GetId()); err != nil {
			return nil, nil, fmt.Errorf("read the events of run %s: %w", list[i].run.GetId(), err)
		}
	}
	return b.GetBatch(), list, nil
}

// recorded are the events of some runs, as a command that ran them would have had them.
// A run that has not ended has no verdict: it is errored in a report, never passed.
func recorded(b *apiv1.Batch, list []outcome) []*event.Event {
	start := &event.BatchStarted{Runs: len(list), Seed: b.GetSource().GetSeed()}
	for _, f := range b.GetSource().GetFlows() {
		start.Files = append(start.Files, f.GetFile())
	}
	events := []*event.Event{{Type: event.TypeBatchStarted, Time: b.GetCreated().AsTime(), BatchID: b.GetId(), BatchStarted: start}}
	counts := event.Counts{}
	for _, one := range list {
		mine := one.events
		if n := len(mine); n == 0 || mine[n-1].Type != event.TypeRunFinished {
			mine = append(mine, without(b.GetId(), one.run, mine)...)
		}
		last := mine[len(mine)-1].RunFinished
		if last.Status == "" {
			last.Status, last.Reason = event.Errored, "it has not ended"
		}
		counts[last.Status]++
		events = append(events, mine...)
	}
	end := time.Now()
	if b.GetFinished() != nil {
		end = b.GetFinished().AsTime()
	}
	return append(events, &event.Event{Type: event.TypeBatchFinished, Time: end, BatchID: b.GetId(), BatchFinished: &event.BatchFinished{Counts: counts, ExitCode: codes[b.GetStatus()], Reason: b.GetReason()}})
}

// steps are those that ended, in their order.
func (o outcome) steps() []step {
	list := []step{}
	for _, e := range o.events {
		if e.Type != event.TypeStepFinished {
			continue
		}
		d := e.StepFinished
		s := step{
			ID: e.Step.ID, Name: e.Step.Name, Phase: string(e.Step.Phase), Path: strings.Join(e.Step.Path, "/"), Status: string(d.Status),
			Reason: d.Reason, Tries: d.Tries, DurationMS: d.DurationMS,
		}
		if d.Error != nil {
			s.Error = d.Error.Message
		}
		for _, a := range d.Assertions {
			s.Assertions = append(s.Assertions, claim{a.Expression, a.Passed, a.Errored, a.Message})
		}
		list = append(list, s)
	}
	return list
}

func (c *commands) resultsJSON(list []outcome) error {
	type result struct {
		ID         string  `json:"id"`
		BatchID    string  `json:"batch_id"`
		Flow       string  `json:"flow"`
		Label      string  `json:"label,omitempty"`
		Status     string  `json:"status"`
		Reason     string  `json:"reason,omitempty"`
		DurationMS float64 `json:"duration_ms"`
		Steps      []step  `json:"steps"`
		// Outputs are the flow's own, as JSON.
		Outputs any `json:"outputs,omitempty"`
	}
	all := []result{}
	for _, o := range list {
		r := o.run
		one := result{r.GetId(), r.GetBatchId(), r.GetSpec().GetFlow(), r.GetSpec().GetLabel(), word(r.GetStatus().String(), "RUN_STATUS_"), r.GetReason(), r.GetDurationMs(), o.steps(), nil}
		if text := r.GetOutputs(); text != "" {
			one.Outputs = rawJSON(text)
		}
		all = append(all, one)
	}
	return c.json(map[string]any{"results": all})
}

// rawJSON is a text that is JSON already.
type rawJSON string

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func (o outcome) show(w io.Writer) {
	r := o.run
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", word(r.GetStatus().String(), "RUN_STATUS_"), title(r), took(r), r.GetReason())
	for _, s := range o.steps() {
		words := s.Error
		if words == "" {
			words = s.Reason
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", s.Status, s.ID, span(s.DurationMS), firstLine(words))
		for _, a := range s.Assertions {
			mark := "ok"
			if !a.Passed {
				mark = "WRONG"
			}
			fmt.Fprintf(w, "    %s\t%s\t\t%s\n", mark, a.Expression, firstLine(a.Message))
		}
	}
	if text := r.GetOutputs(); text != "" {
		fmt.Fprintf(w, "  outputs\t%s\n", text)
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func (c *commands) artifacts() *cobra.Command {
	f := &connection{}
	var get, to string
	cmd := &cobra.Command{
		Use: "artifacts ID", Short: "List the files that a run stored, or get one", Args: cobra.ExactArgs(1),
		Example: "  testmesh artifacts 0198c5b2-…\n  testmesh artifacts 0198c5b2-… --get screenshot.png --to shot.png",
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Logs.ListArtifacts(cmd.Context(), &apiv1.ListArtifactsRequest{RunId: args[0]})
			if err != nil {
				return refused(err)
			}
			if get != "" {
				return c.artifact(cmd.Context(), cl, res.GetArtifacts(), get, to)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintln(w, "NAME\tSTEP\tTYPE\tBYTES\tSHA256")
				for _, a := range res.GetArtifacts() {
					fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", a.GetName(), a.GetStepId(), a.GetMediaType(), a.GetSize(), a.GetSha256())
				}
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&get, "get", "", "get the file of this name, or of this sha256")
	cmd.Flags().StringVar(&to, "to", "", "where to write it (default its name, here); - is stdout")
	return cmd
}

// artifact writes one; of several with a name it is the newest.
func (c *commands) artifact(ctx context.Context, cl *client.Client, list []*apiv1.Artifact, name, to string) error {
	var found *apiv1.Artifact
	for _, a := range list {
		if a.GetName() == name || a.GetSha256() == name {
			found = a
		}
	}
	if found == nil {
		return &remoteError{fmt.Errorf("the run stored no file %q\n  hint: without --get they are listed", name)}
	}
	data, err := cl.GetBlob(ctx, found.GetSha256())
	if err != nil {
		return refused(err)
	}
	if to == "-" {
		_, err = c.Stdout.Write(data)
		return err
	}
	if to == "" { // the name is data of a run, and does not lead out of this folder
		if to = filepath.Base(filepath.Clean("/" + found.GetName())); to == "/" || to == "." {
			to = "artifact"
		}
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		return fmt.Errorf("write the file: %w", err)
	}
	_, err = fmt.Fprintf(c.Stdout, "%s  %d bytes\n", to, len(data))
	return err
}
