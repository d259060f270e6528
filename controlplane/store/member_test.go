package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

func TestALeaderOfAnotherTermIsRefused(t *testing.T) {
	w := newWorld(t)
	w.batch(1, nil)
	expire := &clusterv1.Command{Body: &clusterv1.Command_ExpireLeases{ExpireLeases: &clusterv1.ExpireLeases{}}}
	for term, reason := range map[uint64]string{0: "", 1: "", 2: "stale_leader"} { // entries are of term 1
		expire.Term, expire.RequestId = term, fmt.Sprint("of ", term)
		if got := w.apply(expire).GetFault().GetReason(); got != reason {
			t.Errorf("a command of term %d: got %q, want %q", term, got, reason)
		}
	}
}

func TestANodeTokenLetsOneNodeIn(t *testing.T) {
	w := newWorld(t)
	w.must(&clusterv1.Command{Body: &clusterv1.Command_CreateNodeToken{CreateNodeToken: &clusterv1.CreateNodeToken{
		Id: "t", SecretSha256: []byte("sum"), Expires: timestamppb.New(w.clock.Add(time.Hour)),
	}}})
	use := func(sum, node string) string {
		return w.apply(&clusterv1.Command{Body: &clusterv1.Command_UseNodeToken{UseNodeToken: &clusterv1.UseNodeToken{SecretSha256: []byte(sum), NodeId: node}}}).GetFault().GetReason()
	}
	for _, step := range []struct{ sum, node, want string }{
		{"another", "a", "no_token"}, {"sum", "a", ""}, {"sum", "a", ""}, {"sum", "b", "used"},
	} {
		if got := use(step.sum, step.node); got != step.want {
			t.Errorf("token %s of node %s: got %q, want %q", step.sum, step.node, got, step.want)
		}
	}
	w.clock = w.clock.Add(2 * time.Hour)
	if got := use("sum", "a"); got != "expired" {
		t.Errorf("after its end: got %q", got)
	}
}

func TestWhatIsSealedIsFound(t *testing.T) {
	w := newWorld(t)
	if _, _, err := w.s.Sealed(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want nothing", err)
	}
	w.must(&clusterv1.Command{Body: &clusterv1.Command_PutEnvironment{PutEnvironment: &clusterv1.PutEnvironment{
		Name: "staging", Text: "x", Secrets: map[string][]byte{"KEY": []byte("sealed")},
	}}})
	sealed, purpose, err := w.s.Sealed(t.Context())
	if err != nil || string(sealed) != "sealed" || !slices.Equal(purpose, []string{"secret", "default", "staging", "KEY"}) {
		t.Errorf("got %q for %q, %v", sealed, purpose, err)
	}
}

func TestMembersAreKept(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"b", "a", "b"} {
		w.must(&clusterv1.Command{Body: &clusterv1.Command_PutMember{PutMember: &clusterv1.PutMember{Member: &apiv1.Member{Id: id, ApiAddress: "http://" + id}}}})
	}
	remove := func(id string) string {
		return w.apply(&clusterv1.Command{Body: &clusterv1.Command_RemoveMember{RemoveMember: &clusterv1.RemoveMember{Id: id}}}).GetFault().GetReason()
	}
	if got := remove("a") + remove("a"); got != "not_found" {
		t.Errorf("removed twice: got %q", got)
	}
	list, err := w.s.Members(t.Context())
	if err != nil || len(list) != 1 || list[0].GetId() != "b" {
		t.Errorf("got %v, %v", list, err)
	}
}
