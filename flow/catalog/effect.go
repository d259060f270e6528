package catalog

import (
	"sync"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// Bounds of an effectMemory: a few methods or commands, none of them a text of
// its own for each step.
const (
	maxRemembered     = 64
	maxRememberedText = 32
)

// effectMemory keeps the effects of configs of which the rules read one short
// text at most, as the method of a request: that is every step of most flows,
// and rules are dearer than what they judge.
type effectMemory struct {
	mu sync.RWMutex
	by map[effectKey]testmeshv1.Effect
}

// effectKey is the one name that is set among those that the rules read, and its
// value; no name: none is set.
type effectKey struct{ name, value string }

// key is false where the config has more to read.
func (*effectMemory) key(rules []effectRule, config map[string]any) (effectKey, bool) {
	var key effectKey
	for _, rule := range rules {
		if rule.when == nil {
			continue
		}
		for _, ref := range rule.when.Refs() {
			v, set := config[ref.Name]
			text, short := v.(string)
			switch {
			case ref.Called, ref.Name == "config":
				return key, false
			case !set || key.name == ref.Name:
			case key.name != "" || !short || len(text) > maxRememberedText:
				return key, false
			default:
				key = effectKey{ref.Name, text}
			}
		}
	}
	return key, true
}

func (m *effectMemory) get(key effectKey) (testmeshv1.Effect, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	effect, ok := m.by[key]
	return effect, ok
}

func (m *effectMemory) put(key effectKey, effect testmeshv1.Effect) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by = make(map[effectKey]testmeshv1.Effect)
	}
	if len(m.by) < maxRemembered {
		m.by[key] = effect
	}
}
