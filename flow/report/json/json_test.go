package json

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

func batch(events ...*event.Event) []*event.Event {
	all := []*event.Event{{Type: event.TypeBatchStarted, Time: noon, BatchID: "b", BatchStarted: &event.BatchStarted{Runs: 2}}}
	all = append(all, events...)
	return append(all, &event.Event{Type: event.TypeBatchFinished, Time: noon, BatchID: "b", BatchFinished: &event.BatchFinished{ExitCode: 1, Counts: event.Counts{event.Failed: 1}}})
}

func of(run string, e event.Event) *event.Event {
	e.RunID, e.Time, e.BatchID, e.Attempt = run, noon, "b", 1
	return &e
}

func write(t *testing.T, events []*event.Event) string {
	t.Helper()
	return writeUpTo(t, maxRun, events)
}

func writeUpTo(t *testing.T, limit int, events []*event.Event) string {
	t.Helper()
	var out bytes.Buffer
	w := New(&out)
	w.limit = limit
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.open) != 0 {
		t.Errorf("%d runs are still kept", len(w.open))
	}
	return out.String()
}

func TestDocumentsAreReadBackWhole(t *testing.T) {
	exact, err := value.ParseNumber("12345678901234567890.12345")
	if err != nil {
		t.Fatal(err)
	}
	const odd = "r\"\\\n2"
	step := &event.Step{ID: "s", Path: []string{"s"}}
	started := of("r1", event.Event{Type: event.TypeRunStarted, RunStarted: &event.RunStarted{File: "f"}})
	other := of(odd, event.Event{Type: event.TypeRunStarted, RunStarted: &event.RunStarted{File: "g"}})
	exchange := of("r1", event.Event{Type: event.TypeStepExchange, Step: step, Exchange: &event.Exchange{Response: map[string]any{"n": exact}}})
	ended := of("r1", event.Event{Type: event.TypeRunFinished, RunFinished: &event.RunFinished{Status: event.Failed}})
	late := of("r3", event.Event{Type: event.TypeRunStarted, RunStarted: &event.RunStarted{}})
	otherEnded := of(odd, event.Event{Type: event.TypeRunFinished, RunFinished: &event.RunFinished{Status: event.Passed}})
	events := batch(started, other, exchange, otherEnded, late, ended)
	got, err := Decode(strings.NewReader(write(t, events)))
	if err != nil {
		t.Fatal(err)
	}
	want := &Document{
		Batch: events[0], Result: events[len(events)-1],
		Runs: []Run{
			{ID: odd, Status: event.Passed, Events: []*event.Event{other, otherEnded}},
			{ID: "r1", Status: event.Failed, Events: []*event.Event{started, exchange, ended}},
			{ID: "r3", Events: []*event.Event{late}},
		},
	}
	same := cmp.Comparer(func(a, b *value.Decimal) bool { return value.Equal(a, b) })
	if diff := cmp.Diff(want, got, same, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoRunsAreADocument(t *testing.T) {
	got, err := Decode(strings.NewReader(write(t, batch())))
	if err != nil || len(got.Runs) != 0 || got.Result.BatchFinished.ExitCode != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestALongRunKeepsWhatWasJudged(t *testing.T) {
	step := &event.Step{ID: "s", Path: []string{"s"}}
	body := strings.Repeat("x", 8<<10)
	var events []*event.Event
	for range 12 {
		events = append(events, of("r", event.Event{Type: event.TypeStepExchange, Step: step, Exchange: &event.Exchange{Response: body}}))
	}
	events = append(events,
		of("r", event.Event{Type: event.TypeStepFinished, Step: step, StepFinished: &event.StepFinished{Status: event.Failed}}),
		of("r", event.Event{Type: event.TypeRunFinished, RunFinished: &event.RunFinished{Status: event.Failed}}))
	const limit = 64 << 10
	document := writeUpTo(t, limit, batch(events...))
	if len(document) > limit+16<<10 {
		t.Errorf("%d bytes", len(document))
	}
	got, err := Decode(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	r := got.Runs[0]
	if r.LeftOut == 0 || r.LeftOut+len(r.Events) != len(events) || r.Events[len(r.Events)-2].Type != event.TypeStepFinished {
		t.Errorf("%d events, %d left out", len(r.Events), r.LeftOut)
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole := write(t, batch(of("r", event.Event{Type: event.TypeRunFinished, RunFinished: &event.RunFinished{Status: event.Failed}})))
	for claim, c := range map[string]struct{ text, want string }{
		"a report that was cut":   {whole[:len(whole)-20], "unexpected EOF"},
		"another version":         {strings.Replace(whole, `"v":1`, `"v":2`, 1), "version 2 is not 1"},
		"something else":          {`[]`, "decode report"},
		"a bad event":             {strings.Replace(whole, `"type":"run.finished"`, `"type":"x"`, 1), "run r, event 1"},
		"a report without a end":  {strings.Replace(whole, `"result"`, `"nothing"`, 1), "result"},
		"a report without a head": {strings.Replace(whole, `"batch":`, `"nothing":`, 1), "batch"},
	} {
		t.Run(claim, func(t *testing.T) {
			if _, err := Decode(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestBrokenOutputIsAnError(t *testing.T) {
	w := New(broken{})
	var err error
	for _, e := range batch() {
		err = w.Write(e)
	}
	if fmt.Sprint(err) != io.ErrClosedPipe.Error() || !w.Wants().Exchanges {
		t.Errorf("got %v", err)
	}
}
