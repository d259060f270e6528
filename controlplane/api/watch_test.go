package api_test

import (
	"fmt"
	"slices"
	"testing"

	"connectrpc.com/connect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// Whoever was cut reads on where it was, or, where the run has begun anew meanwhile, from
// the first line of its newest attempt.
func TestAStreamIsReadOnAfterACut(t *testing.T) {
	n := start(t)
	first, second := n.join("eu-1"), n.join("eu-2")
	run := n.queue()
	lease, _ := first.take()
	first.write(lease, 0, "of the first\n")
	if _, err := n.admin.Agents.SetAgent(t.Context(), &apiv1.SetAgentRequest{Id: first.id, Change: apiv1.AgentChange_AGENT_CHANGE_REVOKE}); err != nil {
		t.Fatal(err)
	}
	again, _ := second.take()
	second.write(again, 0, "of the second\n")
	one, two := lease.GetAttempt(), again.GetAttempt()
	for _, tt := range []struct {
		req  *apiv1.WatchRequest
		want []string
	}{
		{&apiv1.WatchRequest{}, []string{"2 at 0: of the second\n"}},
		{&apiv1.WatchRequest{ReadAttempt: two, Offset: 7}, []string{"2 at 7: second\n"}},
		{&apiv1.WatchRequest{ReadAttempt: one, Offset: 3}, []string{"2 at 0, restarted: ", "2 at 0: of the second\n"}},
		{&apiv1.WatchRequest{Attempt: one, Offset: 3}, []string{"1 at 3: the first\n"}},
	} {
		tt.req.RunId = run.GetId()
		tt.req.NoFollow = true
		s, err := n.admin.Runs.Watch(t.Context(), tt.req)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for s.Receive() {
			m := s.Msg()
			if m.GetRun() != nil {
				continue
			}
			restarted := ""
			if m.GetRestarted() {
				restarted = ", restarted"
			}
			got = append(got, fmt.Sprintf("%d at %d%s: %s", m.GetAttempt(), m.GetOffset(), restarted, m.GetData()))
		}
		if s.Err() != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%v gave %q, %v, not %q", tt.req, got, s.Err(), tt.want)
		}
	}
}

func TestWhatARunWasMadeOf(t *testing.T) {
	n := start(t)
	run := n.queue()
	res, err := n.admin.Runs.GetRunSource(t.Context(), &apiv1.GetRunSourceRequest{Id: run.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	if res.GetText() != helloFlow || res.GetFile() != "flows/hello.testmesh.yaml" || len(res.GetFiles()) != 1 || res.GetFiles()[0].GetSha256() != sumOf([]byte(helloFlow)) {
		t.Errorf("got %v", res)
	}
	if q := res.GetQueued(); q.GetPriority() != 2 || len(q.GetFlows()) != 0 {
		t.Errorf("it was queued with %v", q)
	}
	if _, err := n.admin.Runs.GetRunSource(t.Context(), &apiv1.GetRunSourceRequest{Id: run.GetBatchId()}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("of a run that is none: %v", err)
	}
}
