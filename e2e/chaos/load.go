package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// flow is a file of one flow, whose steps ask the witness.
type flow struct {
	name  string
	keys  string // a line of further keys
	steps []string
	down  []string // of its teardown
}

// text is the file.
func (f flow) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "flow:\n  name: %s\n", f.name)
	if f.keys != "" {
		fmt.Fprintf(&b, "  %s\n", f.keys)
	}
	fmt.Fprintf(&b, "  steps:\n    %s\n", strings.Join(f.steps, "\n    "))
	if len(f.down) > 0 {
		fmt.Fprintf(&b, "  teardown:\n    %s\n", strings.Join(f.down, "\n    "))
	}
	return b.String()
}

// read is a step that may be repeated.
func (w *witness) read(id string, ms int, query string) string {
	return fmt.Sprintf(`- {id: %s, action: http.request, timeout: 1m, config: {url: "%s/read/%s?ms=%d%s"}, assert: [status == 200]}`, id, w.URL, id, ms, query)
}

// pay is a step that must not be repeated.
func (w *witness) pay(id string, ms int) string {
	return fmt.Sprintf(`- {id: %s, action: http.request, timeout: 1m, config: {method: POST, url: "%s/once/%s?ms=%d"}, assert: [status == 200]}`, id, w.URL, id, ms)
}

// made and removed are a resource.
func (w *witness) made(id string) string {
	return fmt.Sprintf(`- {id: %s, action: http.request, config: {method: POST, url: "%s/made/%s"}, assert: [status == 200]}`, id, w.URL, id)
}

func (w *witness) removed(id string) string {
	return fmt.Sprintf(`- {id: un%s, action: http.request, config: {method: DELETE, url: "%s/made/%s"}, assert: [status == 200]}`, id, w.URL, id)
}

// upload stores a flow and gives the source of one run of it.
func (s *site) upload(ctx context.Context, f flow) *apiv1.Source {
	file := f.name + ".testmesh.yaml"
	var digest string
	s.call(ctx, "store the flow "+f.name, func(ctx context.Context, c *client.Client) (err error) {
		digest, err = c.Upload(ctx, map[string][]byte{file: []byte(f.text())})
		return err
	})
	s.mu.Lock()
	s.pays[digest] = strings.Count(f.text(), "/once/")
	s.mu.Unlock()
	return &apiv1.Source{Bundle: digest, Flows: []*apiv1.FlowRef{{File: file}}, Priority: 2}
}

// repeated is a source with so many runs.
func repeated(src *apiv1.Source, n int) *apiv1.Source {
	return &apiv1.Source{Bundle: src.GetBundle(), Flows: src.GetFlows(), Priority: src.GetPriority(), Parallelism: src.GetParallelism(), Repeat: int32(n)}
}

// submit queues a batch under a key, until it is acknowledged.
func (s *site) submit(ctx context.Context, key string, src *apiv1.Source) (batch string, err error) {
	err = s.try(ctx, func(ctx context.Context, c *client.Client) error {
		res, err := c.Runs.CreateBatch(ctx, &apiv1.CreateBatchRequest{Source: src, IdempotencyKey: key})
		batch = res.GetBatch().GetId()
		return err
	})
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.batch[batch] = sent{runs: max(1, int(src.GetRepeat())), at: now}
	s.acks = append(s.acks, now)
	return batch, nil
}

// submitAgain is submit by somebody who lost the answer, and asks another time.
func (s *site) submitAgain(ctx context.Context, key string, src *apiv1.Source) error {
	first, err := s.submit(ctx, key, src)
	if err != nil {
		return err
	}
	again, err := s.submit(ctx, key, src)
	if err == nil && again != first {
		s.mu.Lock()
		s.twice++
		s.mu.Unlock()
	}
	return err
}

// queue is submit, where an error ends the row.
func (s *site) queue(ctx context.Context, key string, src *apiv1.Source) string {
	batch, err := s.submit(ctx, key, src)
	s.t.must(err, "queue "+key)
	return batch
}

// load queues batches of so many runs at a pace, until it is stopped.
func (s *site) load(ctx context.Context, every time.Duration, src *apiv1.Source) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	places := make(chan struct{}, 8)
	all.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			select {
			case <-ctx.Done():
				return
			case places <- struct{}{}:
			}
			all.Go(func() {
				defer func() { <-places }()
				// What was begun is brought to an end: its outcome would not be known.
				if err := s.submitAgain(context.WithoutCancel(ctx), fmt.Sprintf("load-%s-%d", src.GetBundle()[:8], n), src); err != nil {
					s.t.failf("queue batch %d: %v", n, err)
				}
			})
		}
	})
	return func() { cancel(); all.Wait() }
}

// gap is the longest time without an acknowledgement.
func (s *site) gap() (most time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.acks, func(a, b time.Time) int { return a.Compare(b) })
	for i := 1; i < len(s.acks); i++ {
		most = max(most, s.acks[i].Sub(s.acks[i-1]))
	}
	return most
}

// runs are all that the control plane has, by batch.
func (s *site) runs(ctx context.Context) (byBatch map[string][]*apiv1.Run, err error) {
	byBatch = map[string][]*apiv1.Run{}
	token := ""
	for {
		res := new(apiv1.ListRunsResponse)
		err := s.try(ctx, func(ctx context.Context, c *client.Client) (err error) {
			res, err = c.Runs.ListRuns(ctx, &apiv1.ListRunsRequest{PageSize: 1000, PageToken: token})
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, r := range res.GetRuns() {
			byBatch[r.GetBatchId()] = append(byBatch[r.GetBatchId()], r)
		}
		if token = res.GetNextPageToken(); token == "" {
			return byBatch, nil
		}
	}
}

func terminal(r *apiv1.Run) bool { return r.GetStatus() >= apiv1.RunStatus_RUN_STATUS_PASSED }

// settled waits until all that was acknowledged has ended; release lets go of runs in
// quarantine.
func (s *site) settled(ctx context.Context, within time.Duration, release bool) (byBatch map[string][]*apiv1.Run, released int) {
	s.t.until(ctx, within, "the end of all runs", func() (err error) {
		if byBatch, err = s.runs(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for batch, sent := range s.batch {
			list := byBatch[batch]
			if len(list) < sent.runs {
				return fmt.Errorf("batch %s has %d of %d runs", batch, len(list), sent.runs)
			}
			for _, r := range list {
				switch {
				case terminal(r):
					continue
				case r.GetQuarantined() && release:
					if s.release(ctx, r) {
						released++
					}
				}
				return fmt.Errorf("run %s is %s (quarantined %v) with %d attempts: %s", r.GetId(), r.GetStatus(), r.GetQuarantined(), len(r.GetAttempts()), lastAttempt(r))
			}
		}
		return nil
	})
	return byBatch, released
}

func lastAttempt(r *apiv1.Run) string {
	if n := len(r.GetAttempts()); n > 0 {
		at := r.GetAttempts()[n-1]
		return fmt.Sprintf("the last at %s: %q %s", at.GetAgentName(), at.GetOutcome(), at.GetReason())
	}
	return "none"
}

func (s *site) release(ctx context.Context, r *apiv1.Run) bool {
	return s.try(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.Runs.Release(ctx, &apiv1.ReleaseRequest{RunId: r.GetId()})
		return err
	}) == nil
}

// outcome is what came of all that was acknowledged.
type outcome struct {
	runs, passed, errored, cancelled, failed, lostAttempts int
	list                                                   []*apiv1.Run
}

// judge compares what was acknowledged, what the control plane says, and what the
// witness saw.
func (s *site) judge(byBatch map[string][]*apiv1.Run, stale int) outcome {
	var o outcome
	lost, doubled, strange, unproved := 0, 0, 0, 0
	s.mu.Lock()
	for batch, sent := range s.batch {
		lost += max(0, sent.runs-len(byBatch[batch]))
		doubled += max(0, len(byBatch[batch])-sent.runs)
	}
	for batch, list := range byBatch {
		if _, known := s.batch[batch]; !known {
			strange += len(list)
		}
	}
	twice := s.twice
	s.mu.Unlock()
	for _, list := range byBatch {
		for _, r := range list {
			o.count(r)
			if _, once, _, _ := s.t.witness.of(r.GetId()); r.GetStatus() == apiv1.RunStatus_RUN_STATUS_PASSED && !s.paid(r, once) {
				unproved++
			}
		}
	}
	s.t.note("%d runs of %d batches: %d passed, %d errored, %d cancelled; %d attempts lost", o.runs, len(byBatch), o.passed, o.errored, o.cancelled, o.lostAttempts)
	s.t.none(lost, "acknowledged runs lost")
	s.t.none(doubled, "runs more than were asked for")
	s.t.none(twice, "keys of a request that were answered with another batch when it came again")
	s.t.none(strange, "runs of batches that nobody was told of")
	s.t.none(unproved, "runs that passed without what the witness must have seen")
	s.t.none(o.failed, "runs failed, though the system answered as it should")
	s.t.witness.judge(s.t, stale)
	return o
}

func (o *outcome) count(r *apiv1.Run) {
	o.runs++
	o.list = append(o.list, r)
	switch r.GetStatus() {
	case apiv1.RunStatus_RUN_STATUS_PASSED:
		o.passed++
	case apiv1.RunStatus_RUN_STATUS_ERRORED:
		o.errored++
	case apiv1.RunStatus_RUN_STATUS_CANCELLED:
		o.cancelled++
	default:
		o.failed++
	}
	for _, at := range r.GetAttempts() {
		if at.GetOutcome() == "lost" {
			o.lostAttempts++
		}
	}
}

// paid: each step of the run's flow that must not be repeated was executed once.
func (s *site) paid(r *apiv1.Run, once map[string]int) bool {
	for _, n := range once {
		if n != 1 {
			return false
		}
	}
	return len(once) == s.pays[r.GetSpec().GetBundle()]
}
