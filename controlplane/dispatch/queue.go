package dispatch

import (
	"cmp"
	"slices"
	"strings"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const (
	// aging is how long a run waits for one priority more, so that none waits for ever.
	aging = time.Minute
	// highest is the priority that aging stops at.
	highest = 4
)

// item is a run that waits: for an agent, or for a teardown on another one.
type item struct {
	run     *apiv1.Run
	created time.Time
	bucket  *bucket
	turn    int64
}

// bucket holds the waiting runs that any agent fits alike: of one workspace, with one
// target and the same plugins. So an agent is compared with a few buckets, not with each run.
type bucket struct {
	key       string
	workspace string
	target    *apiv1.Target
	env       string
	plugins   []string
	items     []*item // by priority, then turn
	turns     map[int32]*turns
}

// turns lets the batches of a bucket take turns, those of each priority for themselves:
// the first run of a batch that comes goes before the second of every batch that was
// there, however many that one has. The order is known when a run comes, so that the next
// one is found without looking at all batches.
type turns struct {
	now  int64            // of the run that was given to an agent last
	last map[string]int64 // of each batch that waits
	open map[string]int   // how many runs of it wait
}

// enter gives a run of a batch its turn: one that had it already goes first.
func (t *turns) enter(batch string, again bool) int64 {
	t.open[batch]++
	if again {
		return t.now
	}
	t.last[batch] = max(t.now, t.last[batch]) + 1
	return t.last[batch]
}

func (t *turns) leave(batch string) {
	if t.open[batch]--; t.open[batch] <= 0 {
		delete(t.open, batch)
		delete(t.last, batch)
	}
}

// queue are the runs that wait.
type queue struct {
	items   map[string]*item
	buckets map[string]*bucket
	inLine  bool // batches do not take turns: in a test build
}

func newQueue() *queue { return &queue{items: map[string]*item{}, buckets: map[string]*bucket{}} }

// before is the order of the runs of a bucket.
func before(a, b *item) int {
	return cmp.Or(cmp.Compare(b.run.GetPriority(), a.run.GetPriority()), cmp.Compare(a.turn, b.turn), older(a, b))
}

// older is by when they were queued.
func older(a, b *item) int {
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.run.GetBatchId(), b.run.GetBatchId()), cmp.Compare(a.run.GetNumber(), b.run.GetNumber()))
}

func (q *queue) put(r *apiv1.Run) {
	old := q.items[r.GetId()]
	if old != nil && old.run.GetPriority() == r.GetPriority() && old.bucket.key == bucketKey(r) {
		old.run = r // it keeps its turn
		return
	}
	q.remove(r.GetId())
	b := q.buckets[bucketKey(r)]
	if b == nil {
		b = newBucket(r)
		q.buckets[b.key] = b
	}
	i := &item{run: r, created: r.GetCreated().AsTime(), bucket: b}
	if turn := b.of(r.GetPriority()).enter(r.GetBatchId(), latest(r) != nil); !q.inLine {
		i.turn = turn
	}
	at, _ := slices.BinarySearchFunc(b.items, i, before)
	b.items = slices.Insert(b.items, at, i)
	q.items[r.GetId()] = i
}

func (q *queue) remove(id string) {
	i := q.items[id]
	if i == nil {
		return
	}
	delete(q.items, id)
	b := i.bucket
	b.of(i.run.GetPriority()).leave(i.run.GetBatchId())
	at, found := slices.BinarySearchFunc(b.items, i, before)
	if !found || b.items[at] != i {
		at = slices.Index(b.items, i)
	}
	b.items = slices.Delete(b.items, at, at+1)
	if len(b.items) == 0 {
		delete(q.buckets, b.key)
	}
}

// given takes a run out of the queue whose turn it was.
func (q *queue) given(i *item) {
	t := i.bucket.of(i.run.GetPriority())
	t.now = max(t.now, i.turn)
	q.remove(i.run.GetId())
}

// of are the turns of a priority.
func (b *bucket) of(priority int32) *turns {
	t := b.turns[priority]
	if t == nil {
		t = &turns{last: map[string]int64{}, open: map[string]int{}}
		b.turns[priority] = t
	}
	return t
}

func newBucket(r *apiv1.Run) *bucket {
	return &bucket{
		turns: map[int32]*turns{},
		key:   bucketKey(r), workspace: r.GetWorkspace(), target: r.GetSpec().GetTarget(), env: r.GetSpec().GetEnvironment(), plugins: r.GetSpec().GetPlugins(),
	}
}

func bucketKey(r *apiv1.Run) string {
	var b strings.Builder
	b.WriteString(r.GetWorkspace() + "\x00" + r.GetSpec().GetEnvironment() + "\x00" + strings.Join(r.GetSpec().GetPlugins(), "\x01") + "\x00")
	t := r.GetSpec().GetTarget()
	for _, side := range []map[string]*apiv1.Values{t.GetMatch(), t.GetNot()} {
		keys := make([]string, 0, len(side))
		for k := range side {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			b.WriteString(k + "\x01" + strings.Join(side[k].GetValues(), "\x02") + "\x03")
		}
		b.WriteByte(0)
	}
	return b.String()
}

// urgency is the priority of a run with what it has waited.
func (i *item) urgency(now time.Time) float64 {
	p := float64(i.run.GetPriority())
	return min(p+float64(now.Sub(i.created))/float64(aging), max(p, highest-0.5))
}
