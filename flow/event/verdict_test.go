package event_test

import (
	"testing"

	"github.com/testmesh/testmesh/flow/event"
)

func TestAVerdictIsGreenOnlyWhereSomethingPassedAndNothingElseHappened(t *testing.T) {
	for name, c := range map[string]struct {
		counts event.Counts
		exit   int
		want   string
	}{
		"passed":                       {event.Counts{event.Passed: 2}, 0, "PASS"},
		"passed beside skipped":        {event.Counts{event.Passed: 1, event.Skipped: 1}, 0, "PASS"},
		"failed beats errored":         {event.Counts{event.Failed: 1, event.Errored: 1, event.Passed: 9}, 1, "FAIL"},
		"failed, whatever the code":    {event.Counts{event.Failed: 1}, 0, "FAIL"},
		"errored is not failed":        {event.Counts{event.Errored: 1, event.Passed: 9}, 3, "ERROR"},
		"cancelled":                    {event.Counts{event.Cancelled: 1, event.Passed: 9}, 0, "STOPPED"},
		"interrupted":                  {event.Counts{event.Passed: 1}, 130, "STOPPED"},
		"past its deadline":            {event.Counts{event.Passed: 1}, 5, "STOPPED"},
		"nothing, with a code of 0":    {nil, 0, "NOTHING"},
		"all skipped":                  {event.Counts{event.Skipped: 3}, 4, "NOTHING"},
		"passed, and a fault of ours":  {event.Counts{event.Passed: 1}, 70, "ERROR"},
		"passed, and the code says no": {event.Counts{event.Passed: 1}, 1, "ERROR"},
	} {
		if got := c.counts.Verdict(c.exit); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
