package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// why says what a run waits for: something in its batch, a lock, or an agent, and what
// each agent lacks.
func (l *lead) why(ctx context.Context, id string) (*apiv1.WhyResponse, error) {
	r, err := l.cfg.State.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	res := &apiv1.WhyResponse{}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.queue.items[id]
	switch {
	case terminal(r):
		res.Reason = "it has ended"
		return res, nil
	case leased(r) != nil:
		res.Reason = "agent " + leased(r).GetAgentName() + " has it"
		return res, nil
	case r.GetQuarantined():
		res.Reason = r.GetReason()
		return res, nil
	case i == nil:
		res.Reason = "it has just been queued"
		return res, nil
	}
	for other := range maps.Values(l.queue.items) {
		if ahead(other, i) {
			res.Ahead++
		}
	}
	held := l.heldLocks()
	for _, name := range r.GetLocks() {
		if who := held[lockKey(r.GetWorkspace(), name)]; who != "" {
			res.Locks = append(res.Locks, fmt.Sprintf("%s: run %s", name, who))
		}
	}
	fits := 0
	for _, agent := range slices.Sorted(maps.Keys(l.agents)) {
		if fit := l.fit(agent, i.bucket); fit != nil {
			if why := rests(r, agent, l.cfg.Now()); why != "" {
				fit.Lacks, fit.Fits, fit.Free = append(fit.GetLacks(), why), false, 0
			}
			res.Agents = append(res.Agents, fit)
			if fit.GetFits() {
				fits++
			}
		}
	}
	hindered := l.hindered(i, "", l.cfg.Now(), held)
	switch {
	case hindered != "":
		res.Reason = hindered
	case len(res.GetAgents()) == 0:
		res.Reason = "no agent has joined, or none is there: testmesh agent --help says how one does"
	case fits == 0:
		res.Reason = "no agent fits"
	case res.GetAhead() > 0:
		res.Reason = fmt.Sprintf("%d runs are before it", res.GetAhead())
	default:
		res.Reason = "it is the next"
	}
	return res, nil
}

// ahead says whether a run comes before another one, as far as that is known before an
// agent asks: those that other agents take have turns of their own.
func ahead(a, b *item) bool {
	if a.bucket == b.bucket {
		return before(a, b) < 0
	}
	return cmp.Or(cmp.Compare(b.run.GetPriority(), a.run.GetPriority()), older(a, b)) < 0
}

// Presence is how an agent was last heard of.
type Presence struct {
	Seen   time.Time
	Parked bool
	Leases []string
}

// Presences are the agents that this leader has heard of; nil where it does not lead.
func (d *Dispatcher) Presences() map[string]Presence {
	l, err := d.leading()
	if err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]Presence, len(l.agents))
	for id, a := range l.agents {
		out[id] = Presence{Seen: a.seen, Parked: a.waiting != nil, Leases: slices.Sorted(maps.Keys(a.leases))}
	}
	return out
}

// Stats are numbers of the queue.
func (d *Dispatcher) Stats(workspace, environment string) (*apiv1.QueueStatsResponse, error) {
	l, err := d.leading()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	res := &apiv1.QueueStatsResponse{Running: int32(len(l.leases))}
	var oldest time.Time
	for i := range maps.Values(l.queue.items) {
		if workspace != "" && i.run.GetWorkspace() != workspace || environment != "" && i.run.GetSpec().GetEnvironment() != environment {
			continue
		}
		res.Depth++
		if oldest.IsZero() || i.created.Before(oldest) {
			oldest = i.created
		}
	}
	if !oldest.IsZero() {
		res.OldestWait = durationpb.New(l.cfg.Now().Sub(oldest))
	}
	return res, nil
}
