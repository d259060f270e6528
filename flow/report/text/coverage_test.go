package text

import (
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/event"
)

func TestCoverageOfAllRunsIsOneLineASubject(t *testing.T) {
	const line = "COVERAGE  GraphQL http://x/graphql  2 of 3 fields (66 %)\n"
	tests := map[Format]string{
		List: line, Line: line, Dot: line, Quiet: "",
		Verbose: line + "          untouched: Query.c\n",
	}
	for format, want := range tests {
		var out strings.Builder
		w := New(&out, Options{Format: format})
		cover := func(run string, items, all []string) *event.Event {
			return &event.Event{Type: event.TypeStepCoverage, RunID: run, Step: &event.Step{ID: "q", Path: []string{"q"}}, Coverage: &event.Coverage{
				Of: "GraphQL http://x/graphql", Unit: "fields", Items: items, All: all,
			}}
		}
		all := []string{"Query.a", "Query.b", "Query.c"}
		for _, e := range []*event.Event{
			{Type: event.TypeBatchStarted, Time: time.Unix(1, 0), BatchStarted: &event.BatchStarted{Runs: 2}},
			cover("1", []string{"Query.a"}, all), cover("1", []string{"Query.b"}, nil), cover("2", []string{"Query.a", "Gone.x"}, all),
			{Type: event.TypeBatchFinished, Time: time.Unix(2, 0), BatchFinished: &event.BatchFinished{}},
		} {
			if err := w.Write(e); err != nil {
				t.Fatal(err)
			}
		}
		if got := out.String(); want != "" && !strings.Contains(got, want+"\n") || want == "" && strings.Contains(got, "COVERAGE") {
			t.Errorf("%s: got\n%s\nwant\n%s", format, got, want)
		}
	}
}

func TestSubjectsOfCoverageAreBounded(t *testing.T) {
	w := New(&strings.Builder{}, Options{})
	for i := range 2 * maxSubjects {
		w.cover(&event.Coverage{Of: strings.Repeat("x", i), All: []string{"a"}})
	}
	if len(w.covered) != maxSubjects {
		t.Errorf("got %d subjects, want %d", len(w.covered), maxSubjects)
	}
}
