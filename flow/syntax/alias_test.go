package syntax

import (
	"iter"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oneAction is a catalog of one action.
type oneAction Action

func (a oneAction) Actions() iter.Seq[Action] { return slices.Values([]Action{Action(a)}) }

func TestFormatWritesTodaysNamesOfActionsAndKeys(t *testing.T) {
	cat := oneAction{
		Name: "http.request", Aliases: []string{"http_request"},
		KeyAliases: map[string]string{"params": "query", "verify_ssl": "tls.verify", "payload": "body"},
	}
	const before = `flow:
  name: old
  steps:
    - action: "http_request" # the first
      config: {url: x, params: {a: 1}, verify_ssl: false}
    - id: loop
      action: for_each
      config:
        items: [1]
        steps:
          - action: http_request
            config:
              payload: 1 # kept
    - action: http_request
      config: {payload: 1, body: 2}
      track: {resource_type: user, resource_id: "1", cleanup: {action: http_request, config: {params: {}}}}
    - action: other.request
      config: {params: {}}
`
	const want = `flow:
  name: old
  steps:
    - action: http.request # the first
      config: {url: x, query: {a: 1}, verify_ssl: false}
    - id: loop
      action: for_each
      config:
        items: [1]
        steps:
          - action: http.request
            config:
              body: 1 # kept
    - action: http.request
      config: {payload: 1, body: 2}
      track: {resource_type: user, resource_id: "1", cleanup: {action: http.request, config: {query: {}}}}
    - action: other.request
      config: {params: {}}
`
	got, problems := Format("old.yaml", []byte(before), false, cat)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("formatted (-want +got):\n%s", diff)
	}
	again, _ := Format("old.yaml", got, false, cat)
	if string(again) != string(got) {
		t.Errorf("formatting twice changes more:\n%s", again)
	}
}
