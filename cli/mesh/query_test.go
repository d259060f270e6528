package mesh

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
)

// lineServer answers queries of logs, and keeps what was asked.
type lineServer struct {
	apiv1connect.UnimplementedLogServiceHandler
	asked      *apiv1.QueryLogsRequest
	unreadable []string
}

func (l *lineServer) QueryLogs(_ context.Context, req *apiv1.QueryLogsRequest, out *connect.ServerStream[apiv1.QueryLogsResponse]) error {
	l.asked = req
	return out.Send(&apiv1.QueryLogsResponse{
		Lines:      []*apiv1.LogLine{{RunId: "r1", Flow: "Checkout", StepId: "pay", Level: "warn", Message: "slow <answer>"}, {RunId: "r2", Level: "error", Message: "no answer"}},
		Unreadable: l.unreadable, Truncated: req.GetLimit() == 2,
	})
}

// agentList is a server's agents.
type agentList struct {
	apiv1connect.UnimplementedAgentServiceHandler
}

func (agentList) ListAgents(context.Context, *apiv1.ListAgentsRequest) (*apiv1.ListAgentsResponse, error) {
	return &apiv1.ListAgentsResponse{Agents: []*apiv1.Agent{{Id: "id-of-b", Name: "b"}, {Id: "id-of-a", Name: "a"}}}, nil
}

// logs runs the command against a server.
func logs(t *testing.T, l *lineServer, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(apiv1connect.NewLogServiceHandler(l))
	mux.Handle(apiv1connect.NewAgentServiceHandler(agentList{}))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	var out, errs bytes.Buffer
	c := &commands{Config{Stdout: &out, Stderr: &errs, LookupEnv: func(string) (string, bool) { return "", false }}}
	cmd := c.logs()
	cmd.SetArgs(append(args, "--server", srv.URL))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestLinesAreAskedForByFlags(t *testing.T) {
	l := &lineServer{}
	out, _, err := logs(t, l, "--batch", "b", "--flow", "Checkout", "--agent", "a", "--level", "warn", "--since", "1h", "--until", "2026-01-02T15:04:05Z", "--grep", "slow|no")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "  Checkout  pay  warn  slow <answer>\n") || strings.Count(out, "\n") != 2 {
		t.Errorf("printed was %q", out)
	}
	r := l.asked
	if r.GetBatchId() != "b" || r.GetFlow() != "Checkout" || r.GetAgentId() != "id-of-a" || r.GetRegex() != "slow|no" || !slices.Equal(r.GetLevels(), []string{"warn", "error"}) ||
		r.GetSince() == nil || r.GetUntil().AsTime().Year() != 2026 || r.GetAll() {
		t.Errorf("asked was %v", r)
	}
}

func TestAnExportIsWholeOrNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lines.jsonl")
	l := &lineServer{unreadable: []string{"r3"}}
	if _, _, err := logs(t, l, "--export", file); err == nil || !strings.Contains(err.Error(), "r3") {
		t.Errorf("with a run that cannot be read: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); len(left) != 0 || err != nil {
		t.Errorf("left are %v, %v", left, err)
	}
	out, _, err := logs(t, &lineServer{}, "--export", file)
	if err != nil || !strings.Contains(out, "2 lines in "+file) {
		t.Errorf("got %q, %v", out, err)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), "\n") != 2 || !strings.Contains(string(text), `"message":"slow <answer>"`) {
		t.Errorf("written was %q, %v", text, err)
	}
}

func TestWhatIsNoQueryOfLogs(t *testing.T) {
	for want, args := range map[string][]string{
		`--level "loud" is not known`:           {"--level", "loud"},
		`--since "yesterday" is neither`:        {"--since", "yesterday"},
		"--follow and --events are of one run":  {"-f"},
		"--grep finds lines across runs, and a": {"--grep", "x", "0198c5b2-0000-7000-8000-000000000000"},
	} {
		if _, _, err := logs(t, &lineServer{}, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
	if _, errs, err := logs(t, &lineServer{}, "--limit", "2"); err != nil || !strings.Contains(errs, "more lines than --limit allows") {
		t.Errorf("got %q, %v", errs, err)
	}
}

func TestShortRunsHaveADuration(t *testing.T) {
	for ms, want := range map[float64]string{0: "0s", 0.34: "300µs", 1.26: "1.3ms", 9.96: "10ms", 12.4: "12ms", 61_500: "1m1.5s"} {
		if got := span(ms); got != want {
			t.Errorf("%v ms: got %s, want %s", ms, got, want)
		}
	}
}
