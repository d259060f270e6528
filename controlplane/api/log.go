package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const (
	// maxLine bounds an event that is looked at; a longer one is no line of a log.
	maxLine = 4 << 20
	// logPage is how many lines one message has.
	logPage = 200
	// queriedPage is how many runs are looked at together.
	queriedPage = 1000
	// defaultLines are given where no limit is asked for.
	defaultLines = 10_000
	// longestRun is how long before a time a run can have been made that logs after it.
	longestRun = 7 * 24 * time.Hour
)

// said is what of an event the log is made of.
type said struct {
	Type    string    `json:"type"`
	Seq     int64     `json:"seq"`
	Time    time.Time `json:"time"`
	StepID  string    `json:"step_id"`
	Flow    string    `json:"flow"`
	Level   string    `json:"level"`
	Message string    `json:"message"`
	Name    string    `json:"name"`
	Media   string    `json:"media_type"`
	Size    int64     `json:"size"`
	SHA256  string    `json:"sha256"`
}

// events reads the events of a run's stream whose line has a word, one by one, until
// take says stop.
func (s *server) events(ctx context.Context, r *apiv1.Run, at *apiv1.Attempt, word string, take func(said) bool) error {
	var rest []byte
	needle := []byte(`"` + word + `"`)
	stop := context.Canceled
	err := s.Streams.Read(ctx, r.GetId(), at.GetNumber(), 0, false, func(_ int64, data []byte) error {
		rest = append(rest, data...)
		for {
			line, more, whole := bytes.Cut(rest, []byte("\n"))
			if !whole {
				if len(rest) > maxLine {
					rest = rest[:0]
				}
				return nil
			}
			rest = more
			if !bytes.Contains(line, needle) {
				continue
			}
			var e said
			if json.Unmarshal(line, &e) == nil && e.Type == word && !take(e) {
				return stop
			}
		}
	})
	if err == stop && ctx.Err() == nil { //nolint:errorlint // our own, handed through as it is
		return nil
	}
	return err
}

// QueryLogs finds lines across runs, run by run, the oldest first.
func (s *server) QueryLogs(ctx context.Context, req *apiv1.QueryLogsRequest, out *connect.ServerStream[apiv1.QueryLogsResponse]) error {
	wanted, err := filter(req)
	if err != nil {
		return err
	}
	runs, err := s.queried(ctx, req)
	if err != nil {
		return err
	}
	b := beating(ctx, out.Send, &apiv1.QueryLogsResponse{}, nil)
	defer b.end()
	q := &query{left: int(req.GetLimit()), all: req.GetAll(), wanted: wanted, send: b.give, res: &apiv1.QueryLogsResponse{}}
	if q.left == 0 {
		q.left = defaultLines
	}
	for _, id := range runs {
		if q.res.GetTruncated() || q.failed != nil {
			break
		}
		r, err := s.Runs.Run(ctx, id)
		if errors.Is(err, s.NotFound) {
			continue // retention was faster
		}
		if err == nil {
			err = s.query(ctx, q, r)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // the others are read all the same, and this is said
			s.Logger.Warn("a stream could not be read", "run", id, "error", err)
			q.res.Unreadable = append(q.res.Unreadable, id)
		}
	}
	if q.failed != nil {
		return q.failed
	}
	return b.give(q.res)
}

// query is a search for lines that is under way.
type query struct {
	left   int
	all    bool
	wanted func(said) bool
	send   func(*apiv1.QueryLogsResponse) error
	res    *apiv1.QueryLogsResponse
	failed error // whoever asked has gone
}

// query looks through the stream of a run.
func (s *server) query(ctx context.Context, q *query, r *apiv1.Run) error {
	at := newestStream(r)
	if at == nil {
		return nil
	}
	return s.events(ctx, r, at, "step.log", func(e said) bool {
		if !q.wanted(e) {
			return true
		}
		if q.left == 0 && !q.all {
			q.res.Truncated = true
			return false
		}
		q.left--
		q.res.Lines = append(q.res.Lines, &apiv1.LogLine{
			RunId: r.GetId(), Attempt: at.GetNumber(), Flow: e.Flow, StepId: e.StepID, Level: e.Level, Message: e.Message,
			Time: timestamppb.New(e.Time), Seq: e.Seq,
		})
		if len(q.res.GetLines()) == logPage {
			q.failed = q.send(q.res)
			q.res = &apiv1.QueryLogsResponse{}
		}
		return q.failed == nil
	})
}

// filter says which lines are asked for.
func filter(req *apiv1.QueryLogsRequest) (func(said) bool, error) {
	var re *regexp.Regexp
	if text := req.GetRegex(); text != "" {
		var err error
		if re, err = regexp.Compile(text); err != nil {
			return nil, invalid("regex", "%q is no regular expression: %v", text, err)
		}
	}
	for _, level := range req.GetLevels() {
		if !slices.Contains(levels, level) {
			return nil, invalid("levels", "there is no level %q: there are %s", level, strings.Join(levels, ", "))
		}
	}
	return func(e said) bool {
		return (len(req.GetLevels()) == 0 || slices.Contains(req.GetLevels(), e.Level)) &&
			(req.GetSince() == nil || !e.Time.Before(req.GetSince().AsTime())) &&
			(req.GetUntil() == nil || e.Time.Before(req.GetUntil().AsTime())) &&
			strings.Contains(e.Message, req.GetText()) && (re == nil || re.MatchString(e.Message))
	}, nil
}

// levels of a line.
var levels = []string{"debug", "info", "warn", "error"}

// queried are the ids of the runs that may have lines that are asked for, the oldest
// first.
func (s *server) queried(ctx context.Context, req *apiv1.QueryLogsRequest) (ids []string, err error) {
	for _, id := range req.GetRunIds() {
		if _, err := s.Runs.Run(ctx, id); err != nil {
			return nil, of(err, "run_ids", "run", id)
		}
	}
	if len(req.GetRunIds()) > 0 {
		return req.GetRunIds(), nil
	}
	q := RunQuery{Workspace: workspace, Batch: req.GetBatchId(), Flow: req.GetFlow(), Limit: queriedPage}
	if req.GetUntil() != nil {
		q.Until = req.GetUntil().AsTime()
	}
	for more := true; more; {
		var runs []*apiv1.Run
		if runs, q.Before, more, err = s.Runs.Runs(ctx, q); err != nil {
			return nil, err
		}
		for _, r := range runs {
			if ran(r, req.GetAgentId()) && (r.GetFinished() == nil || !r.GetFinished().AsTime().Before(req.GetSince().AsTime())) {
				ids = append(ids, r.GetId())
			}
		}
		if req.GetSince() != nil && len(runs) > 0 && runs[len(runs)-1].GetCreated().AsTime().Before(req.GetSince().AsTime().Add(-longestRun)) {
			break
		}
		more = more && len(runs) > 0
	}
	slices.Reverse(ids)
	return ids, nil
}

// ran says whether an agent had a run.
func ran(r *apiv1.Run, agent string) bool {
	return agent == "" || slices.ContainsFunc(r.GetAttempts(), func(at *apiv1.Attempt) bool { return at.GetAgentId() == agent })
}

// ListArtifacts are the files that the newest attempt of a run stored.
func (s *server) ListArtifacts(ctx context.Context, req *apiv1.ListArtifactsRequest) (*apiv1.ListArtifactsResponse, error) {
	r, err := s.Runs.Run(ctx, req.GetRunId())
	if err != nil {
		return nil, of(err, "run_id", "run", req.GetRunId())
	}
	res := &apiv1.ListArtifactsResponse{}
	at := newestStream(r)
	if at == nil {
		return res, nil
	}
	err = s.events(ctx, r, at, "step.artifact", func(e said) bool {
		res.Artifacts = append(res.Artifacts, &apiv1.Artifact{
			RunId: r.GetId(), Attempt: at.GetNumber(), StepId: e.StepID, Name: e.Name, MediaType: e.Media, Size: e.Size, Sha256: e.SHA256,
		})
		return true
	})
	return res, err
}
