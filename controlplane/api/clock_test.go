package api_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
)

// A clock that jumps changes what is stamped and what has ended by it, and nothing else:
// runs are queued, given and judged as before.
func TestAClockThatJumps(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	n := startAt(t, now)
	a := n.join("one")
	token, err := n.admin.Agents.CreateJoinToken(t.Context(), &apiv1.CreateJoinTokenRequest{Ttl: durationpb.New(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	stamped := func() time.Duration {
		t.Helper()
		return time.Until(n.queue().GetCreated().AsTime()).Round(time.Hour)
	}
	renew := func() error {
		_, err := a.gateway.Renew(t.Context(), &apiv1.RenewRequest{Session: a.signer.Session})
		return err
	}
	if got := stamped(); got != 0 {
		t.Errorf("a run was made %s ahead", got)
	}
	lease, _ := a.take()
	ahead.Store(int64(48 * time.Hour))
	if got := stamped(); got != 48*time.Hour {
		t.Errorf("two days ahead a run was made %s ahead", got)
	}
	// Signatures are judged by the clock: who is two days behind is told so.
	if err := renew(); connect.CodeOf(err) != connect.CodeUnauthenticated || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("got %v", err)
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = apiv1connect.NewGatewayServiceClient(http.DefaultClient, n.url).Join(t.Context(), &apiv1.JoinRequest{Token: token.GetSecret(), PublicKey: public, Name: "late"})
	if connect.CodeOf(err) != connect.CodeUnauthenticated || !strings.Contains(err.Error(), "ended") {
		t.Errorf("a token of two days ago: got %v", err)
	}
	ahead.Store(0)
	if err := renew(); err != nil {
		t.Errorf("the clock is right again: %v", err)
	}
	a.finish(lease, apiv1.RunStatus_RUN_STATUS_PASSED, event(lease.GetRunId(), "run.finished", ""))
	run, err := n.admin.Runs.GetRun(t.Context(), &apiv1.GetRunRequest{Id: lease.GetRunId()})
	if err != nil || run.GetRun().GetStatus() != apiv1.RunStatus_RUN_STATUS_PASSED || len(run.GetRun().GetAttempts()) != 1 {
		t.Errorf("the run that went on meanwhile: %v, %v", run, err)
	}
	if got := stamped(); got != 0 {
		t.Errorf("then a run was made %s ahead", got)
	}
}
