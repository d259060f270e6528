package mesh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/flow/event"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

func (c *commands) logs() *cobra.Command {
	f, q := &connection{}, &logQuery{}
	var follow, events bool
	cmd := &cobra.Command{
		Use: "logs [RUN]", Short: "Print what a run logs, from its beginning; or find lines across runs", Args: cobra.MaximumNArgs(1),
		Example: "  testmesh logs -f 0198c5b2-…\n  testmesh logs --flow Checkout --level warn --since 1h --grep timeout\n  testmesh logs --batch 0198c5b2-… --export lines.jsonl",
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			ctx, cancel := c.interruptible(cmd.Context())
			defer cancel()
			if len(args) == 0 {
				if follow || events {
					return errors.New("--follow and --events are of one run\n  hint: testmesh logs -f RUN")
				}
				if err := q.read(time.Now()); err != nil {
					return err
				}
				return c.query(ctx, cl, q, f.output == "json")
			}
			if err := only(cmd); err != nil {
				return err
			}
			err = c.watch(ctx, cl, args[0], follow, events || f.output == "json")
			if ctx.Err() != nil {
				return nil // whoever reads has seen enough
			}
			return refused(err)
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the run has ended")
	cmd.Flags().BoolVar(&events, "events", false, "print the events as JSON Lines")
	q.flags(cmd)
	return cmd
}

// only refuses flags of a search where one run is named: they would be heeded by nobody.
func only(cmd *cobra.Command) error {
	for _, name := range []string{"batch", "flow", "agent", "level", "since", "until", "grep", "limit", "export"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s finds lines across runs, and a run is named\n  hint: leave one of them out", name)
		}
	}
	return nil
}

// watch prints a stream as it comes, resumed where the connection was cut.
func (c *commands) watch(ctx context.Context, cl *client.Client, run string, follow, events bool) error {
	attempt, offset := int32(0), int64(0)
	var rest []byte
	cut := cuts{note: c.note}
	for {
		s, err := cl.Runs.Watch(ctx, &apiv1.WatchRequest{RunId: run, ReadAttempt: attempt, Offset: offset, NoFollow: !follow})
		if err == nil {
			for s.Receive() {
				m := s.Msg()
				cut.news()
				if m.GetRestarted() {
					fmt.Fprintf(c.Stderr, "attempt %d begins: the agent of the one before was lost, or told to end\n", m.GetAttempt())
					rest = nil
				}
				attempt, offset = m.GetAttempt(), m.GetOffset()+int64(len(m.GetData()))
				rest = c.lines(append(rest, m.GetData()...), events)
				if m.GetRun() != nil {
					return errors.Join(s.Err(), s.Close())
				}
			}
			err = errors.Join(s.Err(), s.Close())
		}
		if err == nil || !cut.again(ctx, err) {
			return err
		}
	}
}

// lines prints the whole lines of a text, and gives what is left.
func (c *commands) lines(text []byte, events bool) (rest []byte) {
	out := bufio.NewWriter(c.Stdout)
	defer func() { _ = out.Flush() }() // a reader that has gone ends the next write too
	for {
		line, more, whole := strings.Cut(string(text), "\n")
		if !whole {
			return text
		}
		text = []byte(more)
		if events {
			fmt.Fprintln(out, line)
			continue
		}
		if e, err := event.Decode([]byte(line)); err == nil {
			show(out, e)
		} else if strings.Contains(line, `"stream.cut"`) {
			fmt.Fprintf(out, "… a part is missing here: %s\n", line)
		}
	}
}

// show prints an event as a line of a log.
func show(w io.Writer, e *event.Event) {
	at := e.Time.Local().Format("15:04:05.000")
	switch e.Type {
	case event.TypeRunStarted:
		fmt.Fprintf(w, "%s  run started  %s\n", at, e.Flow)
	case event.TypeStepLog:
		fmt.Fprintf(w, "%s  %s  %s  %s\n", at, e.Step.ID, e.Log.Level, e.Log.Message)
	case event.TypeStepFinished:
		fmt.Fprintf(w, "%s  %s  %s  %s\n", at, e.Step.ID, e.StepFinished.Status, reason(e.StepFinished))
	case event.TypeRunFinished:
		fmt.Fprintf(w, "%s  run %s  %s\n", at, e.RunFinished.Status, e.RunFinished.Reason)
	}
}

func reason(f *event.StepFinished) string {
	if f.Error != nil {
		return f.Error.Message
	}
	for _, a := range f.Assertions {
		if !a.Passed {
			return a.Expression + " " + a.Message
		}
	}
	return f.Reason
}
