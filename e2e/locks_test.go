package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Two flows call one that has a lock: whichever agents have them, they do not run side
// by side.
func TestLocksOfCalledFlowsHoldAcrossAgents(t *testing.T) {
	w, s := newWitness(t), newSite(t)
	files := map[string]string{"shared.testmesh.yaml": `flow:
  name: Shared
  locks: [the-database]
  steps:
    - {id: work, action: http.request, config: {url: "` + w.URL + `/work/${run.id}"}, timeout: 1m}
`}
	for _, name := range []string{"left", "right"} {
		files[name+".testmesh.yaml"] = "flow:\n  name: " + name + "\n  tags: [callers]\n  steps:\n    - {id: call, action: run_flow, config: {flow: shared.testmesh.yaml}}\n"
	}
	p := s.project("p", files)
	s.agent("one")
	s.agent("two")
	ended := p.background(".", "--tag", "callers")
	until(t, "one at work, and one that waits", func() error {
		if got := w.atWork(); got != 1 {
			return fmt.Errorf("%d at work", got)
		}
		for _, r := range s.records() {
			if r.Status == "QUEUED" {
				out, err := s.output("runs", "why", r.ID)
				if err != nil || !strings.Contains(out, "the-database") {
					return errors.Join(err, errors.New(out))
				}
				return nil
			}
		}
		return fmt.Errorf("%v", s.records())
	})
	close(w.hold)
	if code := <-ended; code != 0 {
		t.Errorf("the batch ended with exit code %d", code)
	}
	for _, r := range s.records() {
		if r.Status != "PASSED" {
			t.Errorf("got %v", r)
		}
	}
}
