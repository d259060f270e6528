package cause

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
)

func step(path, action string) *event.Step {
	parts := strings.Split(path, "/")
	id, _, _ := strings.Cut(parts[len(parts)-1], "[")
	return &event.Step{ID: id, Path: parts, Action: action, Phase: event.PhaseSteps}
}

// play reads a script of what happens: a path, an action and a status, with
// what else is said behind it.
func play(t *testing.T, script string) *Run {
	t.Helper()
	r := New(&event.Event{Type: event.TypeRunStarted})
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		at, status, rest := step(words[0], words[1]), words[2], strings.Join(words[3:], " ")
		end := &event.StepFinished{Status: event.Status(status), Tries: 1, Reason: rest}
		switch status {
		case "retrying":
			r.See(&event.Event{Type: event.TypeStepRetrying, Step: at, Retrying: &event.Retrying{}})
			continue
		case "sent":
			r.See(&event.Event{Type: event.TypeStepExchange, Step: at, Exchange: &event.Exchange{Summary: rest}})
			continue
		case "failed", "errored":
			end.Ignored = strings.Contains(rest, "ignored")
			if strings.Contains(rest, "!") {
				end.Error = &event.Error{Code: "E-X", Message: rest}
			}
		case "passed":
			if _, err := fmt.Sscanf(rest, "%d", &end.Tries); err != nil && rest != "" {
				t.Fatalf("%s: %v", line, err)
			}
			end.Waited = strings.Contains(rest, "waited")
		}
		r.See(&event.Event{Type: event.TypeStepFinished, Step: at, StepFinished: end})
	}
	return r
}

func TestFailures(t *testing.T) {
	for claim, c := range map[string]struct {
		script string
		want   []string // path, then what is said of it
	}{
		"a container has the failure of the step in it": {
			`loop[0]/pay http.request passed
			 loop[1]/pay http.request failed !
			 loop for_each failed`,
			[]string{"loop[1]/pay"},
		},
		"a container that says why itself is one more": {
			`loop[0]/pay http.request failed !
			 loop for_each errored ! too many rounds`,
			[]string{"loop[0]/pay", "loop"},
		},
		"a container without a failed step is one": {
			`loop for_each failed`,
			[]string{"loop"},
		},
		"another step with the same beginning is not inside": {
			`looped http.request failed !
			 loop for_each failed`,
			[]string{"looped", "loop"},
		},
		"of a wait only the last round counts": {
			`wait[0]/a http.request failed !
			 wait[1]/a http.request failed !
			 wait[9]/a http.request failed !
			 wait[10]/a http.request failed !
			 wait wait_until failed ! not within 10s`,
			[]string{"wait[10]/a", "wait"},
		},
		"a wait that ended well has no failures, ignored ones neither": {
			`wait[0]/a http.request failed !
			 wait[0]/b http.request failed ! ignored
			 wait wait_until passed 1`,
			nil,
		},
		"a passed container keeps what was ignored in it": {
			`all/a http.request failed ! ignored
			 all parallel passed 1`,
			[]string{"all/a ignored"},
		},
		"an ignored container makes what is in it ignored": {
			`all/a http.request failed !
			 all parallel failed ignored`,
			[]string{"all/a ignored"},
		},
		"the tries before the last do not count": {
			`all/a http.request failed !
			 all parallel retrying
			 all/b http.request errored !
			 all parallel failed`,
			[]string{"all/b"},
		},
		"a handler stands behind its step and is none of its causes": {
			`order/report http.request errored !
			 order http.request failed !`,
			[]string{"order", "order/report handler"},
		},
		"a step without an explanation has one in spite of its handler": {
			`order/report http.request errored !
			 order http.request failed`,
			[]string{"order", "order/report handler"},
		},
		"later steps are counted where the reason names the step": {
			`a http.request failed !
			 b http.request skipped needs a
			 c http.request skipped needs a
			 d http.request skipped when
			 e http.request skipped disabled
			 f http.request skipped needs z`,
			[]string{"a later 2"},
		},
		"what needs a container counts with the step in it": {
			`all/x/loop[2]/a http.request failed !
			 all/x/loop for_each failed
			 all/x/b http.request skipped needs loop
			 all/y/b http.request skipped needs loop`,
			[]string{"all/x/loop[2]/a later 1"},
		},
		"fail_fast counts with the last failure that does": {
			`a http.request failed !
			 w http.request failed ! ignored
			 b http.request skipped fail_fast`,
			[]string{"a later 1", "w ignored"},
		},
		"the last request of a step is kept with its failure": {
			`a http.request sent GET 1
			 a http.request sent GET 2
			 a http.request failed !
			 b http.request failed !`,
			[]string{"a sent GET 2", "b"},
		},
	} {
		t.Run(claim, func(t *testing.T) {
			r := play(t, c.script)
			var got []string
			for _, f := range r.Failures {
				said := strings.Join(f.Step.Path, "/")
				if f.Ignored {
					said += " ignored"
				}
				if f.Handler {
					said += " handler"
				}
				if f.Later > 0 {
					said += fmt.Sprint(" later ", f.Later)
				}
				if f.Request.Summary != "" {
					said += " sent " + f.Request.Summary
				}
				got = append(got, said)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(r.open) != 0 {
				t.Errorf("%d requests are still open", len(r.open))
			}
		})
	}
}

func TestFirstIsWhatCounts(t *testing.T) {
	r := play(t, `w http.request failed ! ignored
		order/report http.request errored !
		order http.request failed !`)
	if f := r.First(); f == nil || f.Step.ID != "order" {
		t.Errorf("got %+v", f)
	}
	if f := play(t, "w http.request failed ! ignored").First(); f != nil {
		t.Errorf("an ignored failure counts: %+v", f)
	}
}

func TestRetried(t *testing.T) {
	r := play(t, `a http.request passed 2
		b/c http.request passed 4
		d http.request passed 3
		e http.request passed 40 waited`)
	if r.Retried != "b/c" || r.Tries != 4 {
		t.Errorf("got %s, %d tries", r.Retried, r.Tries)
	}
}

func TestBounds(t *testing.T) {
	r := New(nil)
	for i := range 5000 {
		at := step(fmt.Sprintf("each[%d]/a", i), "http.request")
		r.See(&event.Event{Type: event.TypeStepExchange, Step: at, Exchange: &event.Exchange{}})
	}
	if len(r.open) != maxOpen {
		t.Errorf("%d requests are kept", len(r.open))
	}
	for i := range 5000 {
		at := step(fmt.Sprintf("each[%d]/a", i), "http.request")
		r.See(&event.Event{Type: event.TypeStepFinished, Step: at, StepFinished: &event.StepFinished{Status: event.Failed}})
		r.See(&event.Event{Type: event.TypeResourceOrphaned, Step: at, Resource: &event.Resource{}})
	}
	if len(r.Failures) != maxRunFailures || r.Dropped != 5000-maxRunFailures || len(r.Orphans) != maxOrphans || r.Lost != 5000-maxOrphans {
		t.Errorf("kept %d failures and %d orphans, counted %d and %d more", len(r.Failures), len(r.Orphans), r.Dropped, r.Lost)
	}
}
