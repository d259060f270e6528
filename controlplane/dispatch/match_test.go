package dispatch

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

func values(v ...string) *apiv1.Values { return &apiv1.Values{Values: v} }

func TestWhatAnAgentLacks(t *testing.T) {
	agent := &apiv1.Agent{
		Pins:  map[string]string{"env": "staging", "zone": "eu-1"},
		Facts: map[string]string{"os": "linux", "zone": "us-1", "plugin.http": "1.0.0"},
	}
	reserved := &apiv1.Agent{Pins: map[string]string{"trust": "high"}, Reserved: []string{"trust"}}
	for name, test := range map[string]struct {
		agent *apiv1.Agent
		b     bucket
		want  []string
	}{
		"nothing, where nothing is asked":          {agent, bucket{}, nil},
		"a pin that another value is wanted of":    {agent, bucket{target: &apiv1.Target{Match: map[string]*apiv1.Values{"zone": values("eu-2", "eu-3")}}}, []string{"zone is eu-1, wanted eu-2 or eu-3"}},
		"no fact stands in for a pin":              {agent, bucket{target: &apiv1.Target{Match: map[string]*apiv1.Values{"zone": values("us-1")}}}, []string{"zone is eu-1, wanted us-1"}},
		"a star ends any text":                     {agent, bucket{target: &apiv1.Target{Match: map[string]*apiv1.Values{"zone": values("eu-*")}}}, nil},
		"a label that it does not have":            {agent, bucket{target: &apiv1.Target{Match: map[string]*apiv1.Values{"gpu": values("yes")}}}, []string{"it has no label gpu, wanted yes"}},
		"what a run does not want":                 {agent, bucket{target: &apiv1.Target{Not: map[string]*apiv1.Values{"os": values("linux")}}}, []string{"os is linux, which the run does not want"}},
		"a run of another environment":             {agent, bucket{env: "production"}, []string{"env is staging, and the run is for the environment production"}},
		"a plugin that it has":                     {agent, bucket{plugins: []string{"http"}}, nil},
		"a plugin that it does not have":           {agent, bucket{plugins: []string{"http", "ldap"}}, []string{"it has no plugin ldap"}},
		"a reserved agent, and a run like another": {reserved, bucket{}, []string{"it is reserved for runs that name trust"}},
		"a reserved agent that is named":           {reserved, bucket{target: &apiv1.Target{Match: map[string]*apiv1.Values{"trust": values("high")}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lacks(test.agent, &test.b); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestRunsThatNeedOtherPluginsWaitApart(t *testing.T) {
	q := newQueue()
	for id, plugins := range map[string][]string{"a": {"http"}, "b": {"http"}, "c": {"http", "sql"}} {
		q.put(&apiv1.Run{Id: id, Spec: &apiv1.Spec{Plugins: plugins}})
	}
	if len(q.buckets) != 2 {
		t.Errorf("got %d buckets, want 2", len(q.buckets))
	}
}

func TestAnAgentThatGivesARunBackIsAskedLessOften(t *testing.T) {
	now := time.Now()
	gaveBack := func(agent string, ago time.Duration) *apiv1.Attempt {
		return &apiv1.Attempt{AgentId: agent, Outcome: "returned", Reason: "no room", Ended: timestamppb.New(now.Add(-ago))}
	}
	often := &apiv1.Run{}
	for range 20 {
		often.Attempts = append(often.Attempts, gaveBack("a", 29*time.Second))
	}
	for name, test := range map[string]struct {
		run  *apiv1.Run
		want string
	}{
		"never":                  {&apiv1.Run{}, ""},
		"once":                   {&apiv1.Run{Attempts: []*apiv1.Attempt{gaveBack("a", 0)}}, ""},
		"twice, just now":        {&apiv1.Run{Attempts: []*apiv1.Attempt{gaveBack("a", 1), gaveBack("a", 0)}}, "it gave the run back: no room"},
		"twice, a while ago":     {&apiv1.Run{Attempts: []*apiv1.Attempt{gaveBack("a", 2*time.Second), gaveBack("a", time.Second)}}, ""},
		"another did":            {&apiv1.Run{Attempts: []*apiv1.Attempt{gaveBack("b", 1), gaveBack("b", 0)}}, ""},
		"it was lost in between": {&apiv1.Run{Attempts: []*apiv1.Attempt{{AgentId: "a", Outcome: "lost", Ended: timestamppb.New(now)}, gaveBack("a", 0)}}, ""},
		"often":                  {often, "it gave the run back: no room"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rests(test.run, "a", now); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got := rests(often, "a", now.Add(2*time.Second)); got != "" {
		t.Errorf("after the longest rest: got %q", got)
	}
}
