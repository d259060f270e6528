package cluster

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/hashicorp/raft"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// membersOnly answers the nodes of the cluster: a certificate outlives a removal. Only
// a leader says for sure that a node is none; another may be behind.
func (n *Node) membersOnly(next http.Handler) http.Handler {
	refusal := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		id := peer(req.Context())
		if n.member(id) {
			next.ServeHTTP(w, req)
			return
		}
		code := connect.CodeUnavailable
		if n.isStarted() && n.raft.State() == raft.Leader {
			code = connect.CodePermissionDenied
		}
		_ = refusal.Write(w, req, connect.NewError(code, fmt.Errorf("node %s is not a member of this cluster", id))) // the caller has gone
	})
}

// member says whether a node is one of the cluster.
func (n *Node) member(id string) bool {
	if !n.isStarted() {
		return false
	}
	servers := n.raft.GetConfiguration().Configuration().Servers
	if len(servers) == 0 {
		return true // this node has just joined and knows nobody yet
	}
	for _, s := range servers {
		if string(s.ID) == id {
			return true
		}
	}
	return false
}

// silence is how long a node hears nothing of a leader before it asks whether it is
// still one of the cluster.
const silence = 2 * time.Second

// Dismissed says that this node was a member and is none any more: the leader says so.
// It is asked by one that has not heard of a leader, because it was away when it was
// removed, and by one that does not find itself among the members. That alone says
// nothing: a node that joins is sent the state first, which may be from before it joined.
func (n *Node) Dismissed(ctx context.Context) bool {
	if !n.isStarted() || n.links == nil {
		return false
	}
	servers := n.raft.GetConfiguration().Configuration().Servers
	_, member := n.Has(n.cfg.ID)
	if missing := !member && len(servers) > 0; !missing && (n.raft.State() == raft.Leader || time.Since(n.raft.LastContact()) < silence) {
		return false
	}
	for _, address := range n.Others() {
		asking, cancel := context.WithTimeout(ctx, answerWithin)
		_, err := n.links.client(address).Status(asking, &clusterv1.StatusRequest{})
		cancel()
		if connect.CodeOf(err) == connect.CodePermissionDenied {
			return true
		}
	}
	return false
}
