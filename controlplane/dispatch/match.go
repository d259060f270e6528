package dispatch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// envLabel is the pin that an environment's name is compared with.
const envLabel = "env"

// pluginFact begins the fact that says which version of a plugin an agent has.
const pluginFact = "plugin."

// lacks says in words why an agent does not fit the runs of a bucket; empty: it fits. Pins are
// granted and facts are reported: a fact never stands in for a pin.
func lacks(a *apiv1.Agent, b *bucket) (reasons []string) {
	wanted, environment := b.target.GetMatch(), b.env
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		value, has := label(a, key)
		switch values := wanted[key].GetValues(); {
		case !has:
			reasons = append(reasons, fmt.Sprintf("it has no label %s, wanted %s", key, either(values)))
		case !fits(value, values):
			reasons = append(reasons, fmt.Sprintf("%s is %s, wanted %s", key, value, either(values)))
		}
	}
	unwanted := b.target.GetNot()
	for _, key := range slices.Sorted(maps.Keys(unwanted)) {
		if value, has := label(a, key); has && fits(value, unwanted[key].GetValues()) {
			reasons = append(reasons, fmt.Sprintf("%s is %s, which the run does not want", key, value))
		}
	}
	for _, key := range a.GetReserved() {
		named := wanted[key] != nil || key == envLabel && environment != "" && a.GetPins()[envLabel] == environment
		if !named {
			reasons = append(reasons, fmt.Sprintf("it is reserved for runs that name %s", key))
		}
	}
	if pin := a.GetPins()[envLabel]; environment != "" && pin != "" && pin != environment && wanted[envLabel] == nil {
		reasons = append(reasons, fmt.Sprintf("%s is %s, and the run is for the environment %s", envLabel, pin, environment))
	}
	for _, name := range b.plugins {
		if _, has := a.GetFacts()[pluginFact+name]; !has {
			reasons = append(reasons, fmt.Sprintf("it has no plugin %s", name))
		}
	}
	return reasons
}

const (
	// refused is how an attempt ended that an agent gave back, or did not start.
	refused = "returned"
	// firstRest and longestRest bound how long an agent that gave a run back twice is
	// not asked again: it may be able to by then, and is not to be asked all the time.
	firstRest   = time.Second
	longestRest = 30 * time.Second
)

// rests says why an agent is not asked just now for a run that it gave back.
func rests(r *apiv1.Run, agent string, now time.Time) string {
	times, last := 0, (*apiv1.Attempt)(nil)
	for _, at := range r.GetAttempts() {
		if at.GetOutcome() == refused && at.GetAgentId() == agent {
			times, last = times+1, at
		}
	}
	if times < 2 {
		return ""
	}
	rest := firstRest
	for range times - 2 {
		rest = min(2*rest, longestRest)
	}
	if now.Sub(last.GetEnded().AsTime()) >= rest {
		return ""
	}
	return "it gave the run back: " + last.GetReason()
}

// label is a pin, or else a fact.
func label(a *apiv1.Agent, key string) (string, bool) {
	if v, ok := a.GetPins()[key]; ok {
		return v, true
	}
	v, ok := a.GetFacts()[strings.TrimPrefix(key, "fact/")]
	return v, ok
}

// fits compares with texts, of which one may end in a star.
func fits(value string, wanted []string) bool {
	for _, w := range wanted {
		if prefix, star := strings.CutSuffix(w, "*"); value == w || star && strings.HasPrefix(value, prefix) {
			return true
		}
	}
	return false
}

func either(values []string) string { return strings.Join(values, " or ") }
