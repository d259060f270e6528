package engine

import (
	"fmt"
	"sync"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// result is what a step gave: a value, or members that are made when something
// reads them. The zero result is none.
type result struct {
	has   bool
	value any
	later *members // in place of value
}

// given is a result that is a value.
func given(v any) result { return result{has: true, value: v} }

// whole is all of it.
func (r result) whole() any {
	if r.later != nil {
		return r.later.all()
	}
	return r.value
}

// member is a member of a result that is a map.
func (r result) member(name string) (v any, ok bool) {
	if r.later != nil {
		return r.later.get(name)
	}
	m, _ := r.value.(map[string]any)
	v, ok = m[name]
	return v, ok
}

// members are those of a result that a plugin in this process gave. Each is made
// when it is first read, by whichever step does so, and stays the same.
type members struct {
	mu    sync.Mutex
	from  plugin.Members // nil once all of it was made
	made  []member
	few   [3]member // room for made: most steps read no more of a result
	whole map[string]any
}

type member struct {
	name  string
	value any
}

func newMembers(from plugin.Members) *members {
	m := &members{from: from}
	m.made = m.few[:0]
	return m
}

func (m *members) get(name string) (v any, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.whole != nil {
		v, ok = m.whole[name]
		return v, ok
	}
	return m.make(name)
}

// make gives a member, under the lock. One that is no value is a bug of ours,
// since plugins in this process are our own.
func (m *members) make(name string) (v any, ok bool) {
	for i := range m.made {
		if m.made[i].name == name {
			return m.made[i].value, true
		}
	}
	if v, ok = m.from.Member(name); !ok {
		return nil, false
	}
	v, err := adopt(v)
	if err != nil {
		panic(fmt.Sprintf("result of a plugin: %s: %s", name, err))
	}
	m.made = append(m.made, member{name, v})
	return v, true
}

func (m *members) all() map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.whole == nil {
		names := m.from.Names()
		whole := make(map[string]any, len(names))
		for _, name := range names {
			whole[name], _ = m.make(name)
		}
		m.whole, m.from, m.made, m.few = whole, nil, nil, [3]member{}
	}
	return m.whole
}
