package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// Match says which agents would take runs of these kinds, and how many of them at once:
// of each kind one spec, of which target, environment and plugins are looked at.
func (d *Dispatcher) Match(_ context.Context, specs []*apiv1.Spec) (*apiv1.MatchAgentsResponse, error) {
	l, err := d.leading()
	if err != nil {
		return nil, err
	}
	return l.match(specs), nil
}

func (l *lead) match(specs []*apiv1.Spec) *apiv1.MatchAgentsResponse {
	kinds := kindsOf(specs)
	l.mu.Lock()
	defer l.mu.Unlock()
	res := &apiv1.MatchAgentsResponse{}
	for _, id := range slices.Sorted(maps.Keys(l.agents)) {
		if fit := l.fit(id, kinds...); fit != nil {
			res.Agents = append(res.Agents, fit)
			res.Free += fit.GetFree()
		}
	}
	slices.SortStableFunc(res.Agents, func(a, b *apiv1.AgentFit) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return res
}

// kindsOf are what runs ask of an agent, each once.
func kindsOf(specs []*apiv1.Spec) (kinds []*bucket) {
	seen := map[string]bool{}
	for _, s := range specs {
		b := newBucket(&apiv1.Run{Spec: s})
		if !seen[b.key] {
			seen[b.key] = true
			kinds = append(kinds, b)
		}
	}
	return kinds
}

// fit compares an agent with kinds of runs, all of which it must take; nil: the agent is
// gone for good.
func (l *lead) fit(id string, kinds ...*bucket) *apiv1.AgentFit {
	a := l.agents[id]
	if a.record == nil || a.record.GetState() == apiv1.AgentState_AGENT_STATE_REVOKED {
		return nil
	}
	f := &apiv1.AgentFit{AgentId: id, Name: a.record.GetName()}
	for _, b := range kinds {
		for _, lack := range lacks(a.record, b) {
			if !slices.Contains(f.GetLacks(), lack) {
				f.Lacks = append(f.Lacks, lack)
			}
		}
	}
	if why := l.unavailable(a); why != "" {
		f.Lacks = append(f.Lacks, why)
	}
	switch silent := time.Since(a.seen); {
	case a.waiting == nil && silent > MaxHold+l.cfg.Timing.TTL:
		f.Lacks = append(f.Lacks, fmt.Sprintf("offline for %s", silent.Round(time.Second)))
	case a.record.GetSlots() == 0:
		f.Lacks = append(f.Lacks, "it has not said yet how many runs it takes")
	case a.waiting == nil || a.waiting.free == 0:
		if slots := a.record.GetSlots(); len(f.GetLacks()) == 0 && int(slots) <= len(a.leases) {
			f.Lacks = append(f.Lacks, fmt.Sprintf("all %d slots are taken", slots))
		}
	}
	if f.Fits = len(f.GetLacks()) == 0; f.GetFits() {
		f.Free = max(a.record.GetSlots()-int32(len(a.leases)), 0)
	}
	return f
}
