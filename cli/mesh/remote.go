// Package mesh is the command line's part that speaks with a control plane: running
// flows there, looking at runs, agents and logs, and starting a node or an agent. It
// never runs a flow itself.
package mesh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/testmesh/testmesh/flow/event"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// Batch is what is to be run, and who is told of it.
type Batch struct {
	Client *client.Client
	// Files are what the source's flows are in, where it names no bundle.
	Files  map[string][]byte
	Source *apiv1.Source
	// Rows replace those of every flow; nil: they have their own.
	Rows *apiv1.RowsFile
	Emit func(*event.Event) error
	// WithFiles gives the events of stored files their contents.
	WithFiles bool
	Note      func(format string, args ...any)
}

// Result is how a batch ended.
type Result struct {
	BatchID string
	Status  apiv1.BatchStatus
	Counts  event.Counts
	Reason  string
}

// quietFor is how long a run may wait before the person is told why.
const quietFor = 3 * time.Second

// Run queues a batch and gives its events as `testmesh run` would: each run's once it
// has ended, because a run that loses its agent begins anew. When ctx ends the batch is
// cancelled, and waited for.
func Run(ctx context.Context, b Batch) (*Result, error) {
	if b.Source.GetBundle() == "" {
		digest, err := b.Client.Upload(ctx, b.Files)
		if err != nil {
			return nil, said(err)
		}
		b.Source.Bundle = digest
	}
	created, err := b.Client.Runs.CreateBatch(ctx, &apiv1.CreateBatchRequest{Source: b.Source, Rows: b.Rows})
	if err != nil {
		return nil, said(err)
	}
	r := &remote{Batch: b, id: created.GetBatch().GetId(), told: map[string]bool{}}
	files := make([]string, 0, len(b.Source.GetFlows()))
	for _, f := range b.Source.GetFlows() {
		files = append(files, f.GetFile())
	}
	if err := b.Emit(&event.Event{Type: event.TypeBatchStarted, Time: time.Now(), BatchID: r.id, BatchStarted: &event.BatchStarted{Files: files, Seed: b.Source.GetSeed()}}); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { r.cancel() })
	defer stop()
	following, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	go r.explain(following)
	return r.follow(following)
}

type remote struct {
	Batch
	id string

	mu    sync.Mutex
	told  map[string]bool // runs whose events were given
	waits *apiv1.Run      // one that waits
	news  time.Time       // when anything last happened
	fault error
	work  sync.WaitGroup
}

// cancelWithin bounds the call that cancels.
const cancelWithin = 10 * time.Second

func (r *remote) cancel() {
	ctx, done := context.WithTimeout(context.Background(), cancelWithin)
	defer done()
	if _, err := r.Client.Runs.Cancel(ctx, &apiv1.CancelRequest{BatchId: r.id, Reason: "interrupted"}); err != nil {
		r.Note("the batch could not be cancelled: %v", said(err))
	}
}

// parallelReads is how many streams are read at once.
const parallelReads = 8

// follow watches the batch to its end, over as many connections as it takes.
func (r *remote) follow(ctx context.Context) (*Result, error) {
	places := make(chan struct{}, parallelReads)
	b, err := followBatch(ctx, r.Client, r.id, r.Note, func(changed []*apiv1.Run) {
		r.note(changed)
		for _, run := range changed {
			if run.GetStatus() >= apiv1.RunStatus_RUN_STATUS_PASSED {
				r.ended(ctx, run, places)
			}
		}
	})
	if err != nil {
		return nil, said(err)
	}
	r.work.Wait()
	res := &Result{BatchID: r.id, Status: b.GetStatus(), Reason: b.GetReason(), Counts: counted(b.GetCounts())}
	return res, r.fault
}

// followBatch tells of every change of a batch until it has ended.
func followBatch(ctx context.Context, c *client.Client, id string, note noter, changed func([]*apiv1.Run)) (*apiv1.Batch, error) {
	var b *apiv1.Batch
	cut := cuts{heard: time.Now(), note: note}
	for b.GetStatus() <= apiv1.BatchStatus_BATCH_STATUS_ACTIVE {
		s, err := c.Runs.WatchBatch(ctx, &apiv1.WatchBatchRequest{BatchId: id})
		if err == nil {
			for s.Receive() {
				cut.news()
				if s.Msg().GetBatch() != nil { // a sign of life may come before the batch
					b = s.Msg().GetBatch()
				}
				changed(s.Msg().GetRuns())
			}
			err = errors.Join(s.Err(), s.Close())
		}
		if b.GetStatus() <= apiv1.BatchStatus_BATCH_STATUS_ACTIVE && !cut.again(ctx, err) {
			return nil, errors.Join(err, ctx.Err())
		}
	}
	return b, nil
}

// note remembers a run that waits, and that something happened.
func (r *remote) note(changed []*apiv1.Run) {
	if len(changed) == 0 {
		return // a sign of life
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.news = time.Now()
	for _, run := range changed {
		switch waits := run.GetStatus() == apiv1.RunStatus_RUN_STATUS_QUEUED; {
		case waits:
			r.waits = run
		case r.waits.GetId() == run.GetId():
			r.waits = nil
		}
	}
}

// explain says, once, what a run waits for where nothing happens.
func (r *remote) explain(ctx context.Context) {
	tick := time.NewTicker(quietFor / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r.mu.Lock()
			run, quiet := r.waits, now.Sub(r.news) > quietFor
			r.mu.Unlock()
			if run == nil || !quiet {
				continue
			}
			why, err := r.Client.Runs.Why(ctx, &apiv1.WhyRequest{RunId: run.GetId()})
			if err != nil {
				continue
			}
			r.Note("%s waits: %s", run.GetSpec().GetFlow(), why.GetReason())
			for _, a := range why.GetAgents() {
				for _, lack := range a.GetLacks() {
					r.Note("  agent %s: %s", a.GetName(), lack)
				}
			}
			return
		}
	}
}

// ended gives the events of a run that has ended, once.
func (r *remote) ended(ctx context.Context, run *apiv1.Run, places chan struct{}) {
	r.mu.Lock()
	known := r.told[run.GetId()]
	r.told[run.GetId()] = true
	r.mu.Unlock()
	if known {
		return
	}
	r.work.Go(func() {
		places <- struct{}{}
		defer func() { <-places }()
		if err := r.give(ctx, run); err != nil {
			r.mu.Lock()
			r.fault = errors.Join(r.fault, err)
			r.mu.Unlock()
		}
	})
}

func (r *remote) give(ctx context.Context, run *apiv1.Run) error {
	events, err := Events(ctx, r.Client, run.GetId())
	for cut := (cuts{heard: time.Now(), note: r.Note}); err != nil && cut.again(ctx, err); {
		events, err = Events(ctx, r.Client, run.GetId())
	}
	if err != nil {
		return fmt.Errorf("read the events of run %s: %w", run.GetId(), said(err))
	}
	// What a run that was never run, or whose agent was lost, has no event for.
	if n := len(events); n == 0 || events[n-1].Type != event.TypeRunFinished {
		events = append(events, without(r.id, run, events)...)
	}
	for _, e := range events {
		if r.WithFiles {
			fill(ctx, r.Client, e)
		}
		if err := r.Emit(e); err != nil {
			return err
		}
	}
	return nil
}

// fill gives an event of a stored file its content. One that is not kept any more stays
// without: who writes it down says so.
func fill(ctx context.Context, c *client.Client, e *event.Event) {
	if e.Artifact == nil || e.Artifact.Data != nil {
		return
	}
	if data, err := c.GetBlob(ctx, e.Artifact.SHA256); err == nil {
		e.Artifact.Data = data
	}
}

// without makes the events that a run lacks of its record.
func without(batch string, run *apiv1.Run, have []*event.Event) (list []*event.Event) {
	spec := run.GetSpec()
	var row *event.Row
	if r := spec.GetRow(); r != nil {
		row = &event.Row{Index: int(r.GetIndex()), Name: r.GetName()}
	}
	base := event.Event{Time: run.GetFinished().AsTime(), BatchID: batch, RunID: run.GetId(), Attempt: 1, Flow: spec.GetFlow(), Seq: int64(len(have))}
	if len(have) == 0 {
		e := base
		e.Seq++
		e.Type = event.TypeRunStarted
		e.RunStarted = &event.RunStarted{File: spec.GetFile(), Suite: spec.GetSuite(), Tags: spec.GetTags(), Environment: spec.GetEnvironment(), Row: row, Iteration: int(spec.GetIteration())}
		list = append(list, &e)
	}
	e := base
	e.Seq += int64(len(list)) + 1
	e.Type = event.TypeRunFinished
	e.RunFinished = &event.RunFinished{Status: statuses[run.GetStatus()], Reason: run.GetReason(), Row: row, Steps: counted(run.GetSteps()), Assertions: counted(run.GetAssertions())}
	return append(list, &e)
}

var statuses = map[apiv1.RunStatus]event.Status{
	apiv1.RunStatus_RUN_STATUS_PASSED: event.Passed, apiv1.RunStatus_RUN_STATUS_FAILED: event.Failed, apiv1.RunStatus_RUN_STATUS_ERRORED: event.Errored,
	apiv1.RunStatus_RUN_STATUS_CANCELLED: event.Cancelled, apiv1.RunStatus_RUN_STATUS_SKIPPED: event.Skipped,
}

func counted(c *apiv1.Counts) event.Counts {
	out := event.Counts{}
	for status, n := range map[event.Status]int32{
		event.Passed: c.GetPassed(), event.Failed: c.GetFailed(), event.Errored: c.GetErrored(), event.Skipped: c.GetSkipped(), event.Cancelled: c.GetCancelled(),
	} {
		if n > 0 {
			out[status] = int(n)
		}
	}
	return out
}

// Events are those of a run's newest attempt, as far as they are there.
func Events(ctx context.Context, c *client.Client, run string) ([]*event.Event, error) {
	return attemptEvents(ctx, c, run, 0)
}

// attemptEvents are those of an attempt; 0: the newest.
func attemptEvents(ctx context.Context, c *client.Client, run string, attempt int32) ([]*event.Event, error) {
	s, err := c.Runs.Watch(ctx, &apiv1.WatchRequest{RunId: run, Attempt: attempt, NoFollow: true})
	if err != nil {
		return nil, err
	}
	var text []byte
	for s.Receive() {
		if s.Msg().GetRestarted() {
			text = text[:0]
		}
		text = append(text, s.Msg().GetData()...)
	}
	if err := errors.Join(s.Err(), s.Close()); err != nil {
		return nil, err
	}
	var list []*event.Event
	for line := range bytes.Lines(text) {
		e, err := event.Decode(line)
		if err != nil {
			continue // a marker of what is missing, or the line that a lost agent was writing
		}
		list = append(list, e)
	}
	return list, nil
}

// said gives an error of the API the words that it came with.
func said(err error) error {
	var silent *client.Silent
	if errors.As(err, &silent) {
		return fmt.Errorf("the control plane does not answer: %w\n  hint: its machine may hang, or a proxy before it: ask again, or another node by --server", silent)
	}
	var known *connect.Error
	if !errors.As(err, &known) {
		return err
	}
	text := known.Message()
	switch known.Code() {
	case connect.CodeUnavailable:
		text = "the control plane cannot be reached: " + text + "\n  hint: is testmesh server running there? --server, TESTMESH_SERVER or testmesh login say which one is asked"
	case connect.CodeUnauthenticated:
		hint := "testmesh login ADDRESS keeps the key for one"
		if strings.Contains(text, "join token") {
			hint = "testmesh agents token makes another, and so does the page, by Fleet, Add an agent"
		}
		text += "\n  hint: " + hint
	case connect.CodeUnimplemented:
		text = "the control plane does not know this: " + text + "\n  hint: it may be older than this program"
	}
	return errors.New(text)
}

// Finished is the event that ends a batch.
func Finished(r *Result, exitCode int) *event.Event {
	return &event.Event{Type: event.TypeBatchFinished, Time: time.Now(), BatchID: r.BatchID, BatchFinished: &event.BatchFinished{Counts: r.Counts, ExitCode: exitCode, Reason: r.Reason}}
}
