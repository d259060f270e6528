package api

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// onceHold is how long a claim is held back while another run executes.
const onceHold = 20 * time.Second

// OnceClaim makes one run of a batch the one that executes. While another does, the
// answer waits for news.
func (s *server) OnceClaim(ctx context.Context, req *apiv1.OnceClaimRequest) (*apiv1.OnceClaimResponse, error) {
	l := req.GetLease()
	if err := s.own(ctx, l); err != nil {
		return nil, err
	}
	r, err := s.Runs.Run(ctx, l.GetRunId())
	if err != nil {
		return nil, err
	}
	holding, stop := context.WithTimeout(ctx, onceHold)
	defer stop()
	for {
		changed := s.Runs.Changed(r.GetBatchId())
		c, err := s.command(ctx, "", req)
		if err != nil {
			return nil, err
		}
		c.Body = &clusterv1.Command_OnceClaim{OnceClaim: &clusterv1.OnceClaim{
			BatchId: r.GetBatchId(), Key: req.GetKey(), RunId: l.GetRunId(), Attempt: l.GetAttempt(), Fence: l.GetFence(),
		}}
		a, err := s.propose(ctx, c)
		if err != nil {
			return nil, err
		}
		if a.GetClaimed() || a.GetSettled() {
			outcome, err := s.opened(r.GetBatchId(), req.GetKey(), a.GetOutcome())
			return &apiv1.OnceClaimResponse{Claimed: a.GetClaimed(), Settled: a.GetSettled(), Outcome: outcome}, err
		}
		if !s.onceNews(holding, r.GetBatchId(), req.GetKey(), changed) {
			return &apiv1.OnceClaimResponse{}, nil
		}
	}
}

// onceNews waits until what is executed is settled, or nobody executes it any more;
// false: not in this time. It asks this node's state alone, and no command is spent.
func (s *server) onceNews(ctx context.Context, batch, key string, changed <-chan struct{}) bool {
	for {
		if _, held, err := s.Checkpoints.Once(ctx, batch, key); err == nil && !held {
			return true
		}
		select {
		case <-changed:
			changed = s.Runs.Changed(batch)
		case <-ctx.Done():
			return false
		}
	}
}

// OnceSettle gives the outcome to those that wait. It may hold secret outputs, and is
// sealed.
func (s *server) OnceSettle(ctx context.Context, req *apiv1.OnceSettleRequest) (*apiv1.OnceSettleResponse, error) {
	l := req.GetLease()
	if err := s.own(ctx, l); err != nil {
		return nil, err
	}
	r, err := s.Runs.Run(ctx, l.GetRunId())
	if err != nil {
		return nil, err
	}
	c, err := s.command(ctx, "", req)
	if err != nil {
		return nil, err
	}
	sealed := base64.StdEncoding.EncodeToString(s.Seal.Close([]byte(req.GetOutcome()), "once", r.GetBatchId(), req.GetKey()))
	c.Body = &clusterv1.Command_OnceSettle{OnceSettle: &clusterv1.OnceSettle{BatchId: r.GetBatchId(), Key: req.GetKey(), RunId: l.GetRunId(), Outcome: sealed}}
	_, err = s.propose(ctx, c)
	return &apiv1.OnceSettleResponse{}, err
}

// opened is an outcome as it was given. What the state itself says of a lost agent is
// not sealed.
func (s *server) opened(batch, key, outcome string) (string, error) {
	if outcome == "" || strings.HasPrefix(outcome, "{") {
		return outcome, nil
	}
	sealed, err := base64.StdEncoding.DecodeString(outcome)
	if err != nil {
		return "", err
	}
	text, err := s.Seal.Open(sealed, "once", batch, key)
	return string(text), err
}
