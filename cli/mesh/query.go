package mesh

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// logQuery says which lines of which runs are asked for.
type logQuery struct {
	req          apiv1.QueryLogsRequest
	level        string
	since, until string
	export       string
}

func (q *logQuery) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&q.req.BatchId, "batch", "", "only runs of this batch")
	fl.StringVar(&q.req.Flow, "flow", "", "only runs of the flow of this name")
	fl.StringVar(&q.req.AgentId, "agent", "", "only runs that this agent had, by its name or id")
	fl.StringVar(&q.level, "level", "", "lines of this level and above: debug, info, warn or error")
	fl.StringVar(&q.since, "since", "", "lines from then on: how long ago (1h, 90s), or a time of RFC 3339")
	fl.StringVar(&q.until, "until", "", "lines before then")
	fl.StringVar(&q.req.Regex, "grep", "", "lines that match this regular expression (RE2)")
	fl.Int32Var(&q.req.Limit, "limit", 10_000, "at most so many lines")
	fl.StringVar(&q.export, "export", "", "write every line to this file, as JSON Lines")
}

// levelsFrom are those of a log, from one on.
func levelsFrom(level string) ([]string, error) {
	all := []string{"debug", "info", "warn", "error"}
	if level == "" {
		return nil, nil
	}
	i := slices.Index(all, level)
	if i < 0 {
		return nil, fmt.Errorf("--level %q is not known\n  hint: write %s", level, strings.Join(all, ", "))
	}
	return all[i:], nil
}

// moment reads how long ago, or when.
func moment(flag, text string, now time.Time) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return timestamppb.New(now.Add(-ago.Abs())), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("--%s %q is neither a time nor how long ago\n  hint: write 1h, 90s or 2026-01-02T15:04:05Z", flag, text)
	}
	return timestamppb.New(at), nil
}

func (q *logQuery) read(now time.Time) (err error) {
	if q.req.Levels, err = levelsFrom(q.level); err != nil {
		return err
	}
	if q.req.Since, err = moment("since", q.since, now); err != nil {
		return err
	}
	q.req.Until, err = moment("until", q.until, now)
	q.req.All = q.export != ""
	return err
}

// query prints lines of many runs, or writes them to a file: whole, or not at all.
func (c *commands) query(ctx context.Context, cl *client.Client, q *logQuery, asJSON bool) error {
	var err error
	if q.req.AgentId, err = agentID(ctx, cl, q.req.GetAgentId()); err != nil {
		return err
	}
	if q.export == "" {
		out := bufio.NewWriter(c.Stdout)
		_, err := c.find(ctx, cl, &q.req, out, asJSON)
		return errors.Join(err, out.Flush())
	}
	f, err := os.CreateTemp(filepath.Dir(q.export), filepath.Base(q.export)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", q.export, err)
	}
	out := bufio.NewWriter(f)
	n, err := c.find(ctx, cl, &q.req, out, true)
	if err = errors.Join(err, out.Flush(), f.Close()); err == nil {
		err = os.Rename(f.Name(), q.export)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	fmt.Fprintf(c.Stdout, "%d lines in %s\n", n, q.export)
	return nil
}

// find writes lines as they come. A run that cannot be read makes it an error at the
// end: an export must not look whole.
func (c *commands) find(ctx context.Context, cl *client.Client, req *apiv1.QueryLogsRequest, out io.Writer, asJSON bool) (lines int, err error) {
	s, err := cl.Logs.QueryLogs(ctx, req)
	if err != nil {
		return 0, refused(err)
	}
	var unreadable []string
	for s.Receive() {
		for _, l := range s.Msg().GetLines() {
			if err := line(out, l, asJSON); err != nil {
				return lines, errors.Join(err, s.Close())
			}
			lines++
		}
		unreadable = append(unreadable, s.Msg().GetUnreadable()...)
		if s.Msg().GetTruncated() {
			fmt.Fprintf(c.Stderr, "there are more lines than --limit allows: the first %d are shown\n", lines)
		}
	}
	if err := errors.Join(s.Err(), s.Close()); err != nil {
		return lines, refused(err)
	}
	if len(unreadable) > 0 {
		return lines, refused(fmt.Errorf("the logs of these runs could not be read: %s", strings.Join(unreadable, ", ")))
	}
	return lines, nil
}

func line(out io.Writer, l *apiv1.LogLine, asJSON bool) error {
	if asJSON {
		data, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(l)
		if err != nil {
			return err
		}
		enc := json.NewEncoder(out) // protojson's blanks differ from one build to the next
		enc.SetEscapeHTML(false)
		return enc.Encode(json.RawMessage(data))
	}
	_, err := fmt.Fprintf(out, "%s  %s  %s  %s  %s\n", l.GetTime().AsTime().Local().Format("2006-01-02 15:04:05.000"), l.GetFlow(), l.GetStepId(), l.GetLevel(), l.GetMessage())
	return err
}
