package agent

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/agent/engine"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const (
	// keepEvery lies between two checkpoints of a run: a loop that tracks a thousand
	// things is not a thousand commands.
	keepEvery = 100 * time.Millisecond
	// keepBytes, keepNames and keepName are what the control plane takes.
	keepBytes = 128 << 10
	keepNames = 100
	keepName  = 400
)

// keeper brings the newest checkpoint of a run to the control plane, which seals it.
type keeper struct {
	work *work
	wake chan struct{} // of one place

	mu   sync.Mutex
	take func() engine.Checkpoint // nil: there is nothing to tear down

	sending sync.Mutex
	number  int64
	last    []byte // what was sent last, with the names
}

func newKeeper(w *work) *keeper { return &keeper{work: w, wake: make(chan struct{}, 1)} }

// changed is told by the engine that there is something new.
func (k *keeper) changed(take func() engine.Checkpoint) {
	k.mu.Lock()
	k.take = take
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run sends what is new until the returned function is called.
func (k *keeper) run(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // teardown changes things too
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-k.wake:
			case <-ctx.Done():
				return
			}
			if err := k.flush(ctx); err != nil && ctx.Err() == nil {
				k.work.agent.cfg.Logger.Warn("what a teardown elsewhere would need could not be kept", "run", k.work.offer.GetRun().GetId(), "error", err)
			}
			select {
			case <-time.After(keepEvery):
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// flush sends the newest checkpoint, and returns once it is kept.
func (k *keeper) flush(ctx context.Context) error {
	k.sending.Lock()
	defer k.sending.Unlock()
	k.mu.Lock()
	take := k.take
	k.mu.Unlock()
	if take == nil {
		return nil
	}
	c := take()
	for i, name := range c.Resources {
		if len(name) > keepName {
			c.Resources[i] = strings.ToValidUTF8(name[:keepName-4], "") + "…"
		}
	}
	if len(c.Resources) > keepNames {
		c.Resources = c.Resources[:keepNames]
	}
	switch {
	case k.work.local.Load(): // the agent's own secrets leave it in no form
		c.Data = nil
	case len(c.Data) > keepBytes:
		k.work.agent.cfg.Logger.Warn("what teardown reads is too large to be kept: were this agent lost, nobody could tear down",
			"run", k.work.offer.GetRun().GetId(), "bytes", len(c.Data), "limit", keepBytes)
		c.Data = nil
	}
	if c.Data == nil && k.work.offer.GetTeardownOnly() {
		return nil // what there is serves another try
	}
	whole := append(append(bytes.Clone(c.Data), 0), strings.Join(c.Resources, "\x00")...)
	if bytes.Equal(whole, k.last) {
		return nil
	}
	k.number++
	req := &apiv1.CheckpointRequest{Lease: k.work.offer.GetLease(), Number: k.number, Data: c.Data, Resources: c.Resources}
	err := again(ctx, func() error {
		_, err := k.work.agent.gateway.Checkpoint(ctx, req)
		return err
	})
	if err == nil {
		k.last = whole
	}
	return err
}

// againAfter lies between two tries of a call that may be repeated.
const againAfter = 200 * time.Millisecond

// again repeats a call for as long as the control plane cannot be reached.
func again(ctx context.Context, call func() error) error {
	for {
		err := call()
		if err == nil || final(err) {
			return err
		}
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// once settles with the runs of other agents what a batch executes once.
type once struct{ work *work }

func (o *once) Claim(ctx context.Context, key string) (outcome []byte, err error) {
	req := &apiv1.OnceClaimRequest{Lease: o.work.offer.GetLease(), Key: key}
	for {
		var res *apiv1.OnceClaimResponse
		err := again(ctx, func() (err error) {
			res, err = o.work.agent.gateway.OnceClaim(ctx, req)
			return err
		})
		switch {
		case err != nil:
			return nil, err
		case res.GetClaimed():
			return nil, nil
		case res.GetSettled():
			return []byte(res.GetOutcome()), nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
	}
}

// settleWithin bounds how long an outcome may take to be told: longer than a change
// of leaders.
const settleWithin = time.Minute

func (o *once) Settle(ctx context.Context, key string, outcome []byte) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	return again(ctx, func() error {
		_, err := o.work.agent.gateway.OnceSettle(ctx, &apiv1.OnceSettleRequest{Lease: o.work.offer.GetLease(), Key: key, Outcome: string(outcome)})
		return err
	})
}
