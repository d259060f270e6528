package api_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// logged makes a run with some lines of a log, each "LEVEL text".
func (n *node) logged(a *agent, lines ...string) *apiv1.Run {
	n.t.Helper()
	run := n.queue()
	lease, _ := a.take()
	text := event(run.GetId(), "run.started", "")
	for i, line := range lines {
		level, message, _ := strings.Cut(line, " ")
		text += fmt.Sprintf(`{"v":1,"type":"step.log","seq":%d,"time":"2026-11-30T12:00:%02dZ","run_id":%q,"flow":"Hello","step_id":"greet","level":%q,"message":%q}`+"\n", i+2, i, run.GetId(), level, message)
	}
	a.finish(lease, apiv1.RunStatus_RUN_STATUS_PASSED, text)
	return run
}

// found are the lines that a query gives.
func (n *node) found(req *apiv1.QueryLogsRequest) (lines []string, truncated bool, err error) {
	n.t.Helper()
	s, err := n.admin.Logs.QueryLogs(n.t.Context(), req)
	if err != nil {
		return nil, false, err
	}
	for s.Receive() {
		for _, l := range s.Msg().GetLines() {
			lines = append(lines, l.GetLevel()+" "+l.GetMessage())
		}
		truncated = truncated || s.Msg().GetTruncated()
		if len(s.Msg().GetUnreadable()) > 0 {
			n.t.Errorf("unreadable are %v", s.Msg().GetUnreadable())
		}
	}
	return lines, truncated, errors.Join(s.Err(), s.Close())
}

func TestLinesAreFoundAcrossRuns(t *testing.T) {
	n := start(t)
	a, b := n.join("eu-1"), n.join("eu-2")
	one := n.logged(a, "info order 17 taken", "warn stock is low", "error out of stock")
	two := n.logged(b, "info order 18 taken", "debug cache hit")
	everything := []string{"info order 17 taken", "warn stock is low", "error out of stock", "info order 18 taken", "debug cache hit"}
	at := func(second int) *timestamppb.Timestamp {
		return timestamppb.New(time.Date(2026, 11, 30, 12, 0, second, 0, time.UTC))
	}
	tests := map[string]struct {
		req  *apiv1.QueryLogsRequest
		want []string
	}{
		"everything":    {&apiv1.QueryLogsRequest{}, everything},
		"of one run":    {&apiv1.QueryLogsRequest{RunIds: []string{two.GetId()}}, everything[3:]},
		"of a batch":    {&apiv1.QueryLogsRequest{BatchId: one.GetBatchId()}, everything[:3]},
		"of an agent":   {&apiv1.QueryLogsRequest{AgentId: b.id}, everything[3:]},
		"of a flow":     {&apiv1.QueryLogsRequest{Flow: "Hello"}, everything},
		"of no flow":    {&apiv1.QueryLogsRequest{Flow: "Bye"}, nil},
		"levels":        {&apiv1.QueryLogsRequest{Levels: []string{"warn", "error"}}, everything[1:3]},
		"a part":        {&apiv1.QueryLogsRequest{Text: "stock"}, everything[1:3]},
		"an expression": {&apiv1.QueryLogsRequest{Regex: `order \d+ taken$`}, []string{everything[0], everything[3]}},
		"since":         {&apiv1.QueryLogsRequest{Since: at(1)}, []string{everything[1], everything[2], everything[4]}},
		"until":         {&apiv1.QueryLogsRequest{Until: at(1)}, nil}, // both runs were made later
		"all":           {&apiv1.QueryLogsRequest{All: true, Limit: 1}, everything},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, truncated, err := n.found(test.req)
			if err != nil || truncated || !slices.Equal(got, test.want) {
				t.Errorf("got %q %v %v", got, truncated, err)
			}
		})
	}
	t.Run("no more than were asked for", func(t *testing.T) {
		got, truncated, err := n.found(&apiv1.QueryLogsRequest{Limit: 4})
		if err != nil || !truncated || !slices.Equal(got, everything[:4]) {
			t.Errorf("got %q %v %v", got, truncated, err)
		}
	})
}

func TestAQueryOfLogsThatIsNone(t *testing.T) {
	n := start(t)
	tests := map[string]struct {
		req  *apiv1.QueryLogsRequest
		code connect.Code
		want string
	}{
		"expression": {&apiv1.QueryLogsRequest{Regex: "a(b"}, connect.CodeInvalidArgument, "is no regular expression"},
		"level":      {&apiv1.QueryLogsRequest{Levels: []string{"loud"}}, connect.CodeInvalidArgument, "there are debug, info, warn, error"},
		"run":        {&apiv1.QueryLogsRequest{RunIds: []string{"0198c5b2-0000-7000-8000-000000000000"}}, connect.CodeNotFound, "0198c5b2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, err := n.found(test.req); connect.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestArtifactsAreListed(t *testing.T) {
	n := start(t)
	a := n.join("eu-1")
	run := n.queue()
	lease, _ := a.take()
	sum := sumOf([]byte("picture"))
	a.finish(lease, apiv1.RunStatus_RUN_STATUS_PASSED, event(run.GetId(), "run.started", "")+
		event(run.GetId(), "step.artifact", `,"step_id":"greet","name":"page.png","media_type":"image/png","size":7,"sha256":"`+sum+`"`))
	res, err := n.admin.Logs.ListArtifacts(t.Context(), &apiv1.ListArtifactsRequest{RunId: run.GetId()})
	if err != nil || len(res.GetArtifacts()) != 1 {
		t.Fatal(res, err)
	}
	if got := res.GetArtifacts()[0]; got.GetName() != "page.png" || got.GetSha256() != sum || got.GetStepId() != "greet" || got.GetSize() != 7 {
		t.Errorf("got %v", got)
	}
}
