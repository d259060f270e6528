package demo

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxTenants bounds the worlds side by side: one for each flow of a large
	// load test. The one not used for longest makes room.
	maxTenants = 20_000
	// maxRecords bounds one kind of record of a tenant; the oldest makes room.
	maxRecords = 10_000
	// maxAllRecords bounds the records of all tenants: at most about a kilobyte
	// each. The tenant not used for longest makes room.
	maxAllRecords = 200_000
)

// epoch is when the first record of a tenant was created; each later one is a
// second younger. Real time would make answers differ from run to run.
var epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// tenant is the state that one X-Tenant header sees.
type tenant struct {
	name      string
	seed      int64
	used      *list.Element
	listeners listeners

	mu       sync.Mutex
	counters map[string]int
	users    shelf[user]
	orders   shelf[order]
	replays  shelf[string] // idempotency key -> order id
	sessions shelf[session]
	access   shelf[token]
	refresh  shelf[token]
	flaky    shelf[int]
	rates    shelf[window]
	issued   map[string]int
	faults   []*Fault
}

// tenants are found by name and thrown out by age of use.
type tenants struct {
	byName  map[string]*tenant
	byUse   list.List // of *tenant, newest first
	records atomic.Int64
}

// tenant finds or makes the state of that name.
func (a *App) tenant(name string) *tenant {
	a.mu.Lock()
	defer a.mu.Unlock()
	ts := &a.tenants
	if t := ts.byName[name]; t != nil {
		ts.byUse.MoveToFront(t.used)
		ts.shrink()
		return t
	}
	if ts.byName == nil {
		ts.byName = map[string]*tenant{}
	}
	t := &tenant{name: name, seed: a.config.Seed}
	t.clear(&ts.records)
	t.used = ts.byUse.PushFront(t)
	ts.byName[name] = t
	ts.shrink()
	return t
}

// shrink throws tenants out until the bounds hold, but never the newest.
func (ts *tenants) shrink() {
	for ts.byUse.Len() > 1 && (ts.byUse.Len() > maxTenants || ts.records.Load() > maxAllRecords) {
		oldest := ts.byUse.Remove(ts.byUse.Back()).(*tenant)
		delete(ts.byName, oldest.name)
		oldest.mu.Lock()
		oldest.clear(new(atomic.Int64)) // a request in flight must not count any more
		oldest.mu.Unlock()
	}
}

// clear brings the first state back. The caller holds mu, or is alone.
func (t *tenant) clear(records *atomic.Int64) {
	t.counters, t.issued, t.faults = nil, nil, nil
	t.users.clear(records)
	t.orders.clear(records)
	t.replays.clear(records)
	t.sessions.clear(records)
	t.access.clear(records)
	t.refresh.clear(records)
	t.flaky.clear(records)
	t.rates.clear(records)
}

// locked runs f with the tenant's state to itself. f must not write to the
// client, who may be slow.
func (c *call) locked(f func(*tenant) error) error {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	return f(c.tenant)
}

// reset is POST /__reset.
func reset(c *call) error {
	c.tenant.mu.Lock()
	c.tenant.clear(c.tenant.users.total)
	c.tenant.mu.Unlock()
	return c.noContent()
}

// next counts one kind of thing, from 1.
func (t *tenant) next(kind string) int {
	if t.counters == nil {
		t.counters = map[string]int{}
	}
	t.counters[kind]++
	return t.counters[kind]
}

// random is 32 bytes that depend on seed, tenant, kind and number alone.
func (t *tenant) random(kind string, n int) [32]byte {
	var numbers [16]byte
	binary.BigEndian.PutUint64(numbers[:8], uint64(t.seed))
	binary.BigEndian.PutUint64(numbers[8:], uint64(n))
	return sha256.Sum256(fmt.Appendf(numbers[:], "%q%q", t.name, kind))
}

// uuid has the form of a version 4 UUID (RFC 9562).
func (t *tenant) uuid(kind string, n int) string {
	b := t.random(kind, n)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// moment is the time of the nth event of a tenant.
func moment(n int) string { return epoch.Add(time.Duration(n) * time.Second).Format(time.RFC3339) }

// shelf keeps at most maxRecords things by key, in the order they came.
type shelf[T any] struct {
	byKey map[string]*T
	order []string
	total *atomic.Int64
}

func (s *shelf[T]) clear(total *atomic.Int64) {
	if s.total != nil {
		s.total.Add(-int64(len(s.byKey)))
	}
	*s = shelf[T]{total: total}
}

func (s *shelf[T]) get(key string) *T { return s.byKey[key] }

// put adds what is not there yet and gives it to be changed in place.
func (s *shelf[T]) put(key string, v T) *T {
	if s.byKey == nil {
		s.byKey = map[string]*T{}
	}
	if _, ok := s.byKey[key]; !ok {
		if len(s.order) >= maxRecords {
			s.remove(s.order[0])
		}
		s.order = append(s.order, key)
		s.total.Add(1)
	}
	s.byKey[key] = &v
	return &v
}

func (s *shelf[T]) remove(key string) {
	if i := slices.Index(s.order, key); i == 0 {
		s.order = s.order[1:]
	} else if i > 0 {
		s.order = slices.Delete(s.order, i, i+1)
	} else {
		return
	}
	delete(s.byKey, key)
	s.total.Add(-1)
}

// list is all things that keep is true for, oldest first.
func (s *shelf[T]) list(keep func(*T) bool) []T {
	var all []T
	for _, key := range s.order {
		if v := s.byKey[key]; keep(v) {
			all = append(all, *v)
		}
	}
	return all
}
