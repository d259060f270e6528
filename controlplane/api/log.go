package api

import (
	"bytes"
	"context"
	"encoding/json"
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
	// queriedRuns bounds the runs that one query reads.
	queriedRuns = 1000
	// defaultLines are given where no limit is asked for.
	defaultLines = 10_000
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
	runs, err := s.queried(ctx, req)
	if err != nil {
		return err
	}
	left := int(req.GetLimit())
	if left == 0 {
		left = defaultLines
	}
	res := &apiv1.QueryLogsResponse{}
	for _, r := range runs {
		at := newestStream(r)
		if at == nil || left == 0 {
			continue
		}
		err := s.events(ctx, r, at, "step.log", func(e said) bool {
			if !wanted(req, e) {
				return true
			}
			res.Lines = append(res.Lines, &apiv1.LogLine{
				RunId: r.GetId(), Attempt: at.GetNumber(), Flow: e.Flow, StepId: e.StepID, Level: e.Level, Message: e.Message,
				Time: timestamppb.New(e.Time), Seq: e.Seq,
			})
			left--
			if len(res.GetLines()) == logPage {
				if err = out.Send(res); err != nil {
					return false
				}
				res = &apiv1.QueryLogsResponse{}
			}
			return left > 0
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // the others are read all the same, and this is said
			s.Logger.Warn("a stream could not be read", "run", r.GetId(), "error", err)
			res.Unreadable = append(res.Unreadable, r.GetId())
		}
	}
	return out.Send(res)
}

func wanted(req *apiv1.QueryLogsRequest, e said) bool {
	return (len(req.GetLevels()) == 0 || slices.Contains(req.GetLevels(), e.Level)) &&
		(req.GetSince() == nil || !e.Time.Before(req.GetSince().AsTime())) &&
		(req.GetUntil() == nil || e.Time.Before(req.GetUntil().AsTime())) &&
		strings.Contains(e.Message, req.GetText())
}

func (s *server) queried(ctx context.Context, req *apiv1.QueryLogsRequest) (runs []*apiv1.Run, err error) {
	for _, id := range req.GetRunIds() {
		r, err := s.Runs.Run(ctx, id)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	if len(runs) > 0 {
		return runs, nil
	}
	q := RunQuery{Workspace: workspace, Batch: req.GetBatchId(), Flow: req.GetFlow(), Limit: queriedRuns}
	runs, _, _, err = s.Runs.Runs(ctx, q)
	slices.Reverse(runs)
	return runs, err
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
