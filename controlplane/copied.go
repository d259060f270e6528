package controlplane

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// copiedWithin bounds how long it may take to note that a key was copied.
const copiedWithin = 10 * time.Second

// noted are the agents of which that was said: once a process is enough.
type noted struct {
	mu     sync.Mutex
	agents map[string]bool
}

func (n *noted) first(agent string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.agents == nil {
		n.agents = map[string]bool{}
	}
	first := !n.agents[agent]
	n.agents[agent] = true
	return first
}

// copied notes that two processes have an agent's key.
func (n *Node) copied(agent string) {
	if !n.noted.first(agent) {
		return
	}
	n.cfg.Logger.Warn("two processes have the key of one agent: it was copied", "agent", agent)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), copiedWithin)
		defer cancel()
		id := "copied-" + newID()
		_, err := n.cluster.Propose(ctx, &clusterv1.Command{
			Version: 1, Workspace: "default", Actor: "node " + n.id, RequestId: id, RequestDigest: []byte(id), Time: timestamppb.New(n.cfg.Now()),
			Body: &clusterv1.Command_SetAgent{SetAgent: &clusterv1.SetAgent{AgentId: agent, Cloned: true}},
		})
		if err != nil {
			n.cfg.Logger.Warn("a copied key could not be noted", "agent", agent, "error", err)
		}
	}()
}
