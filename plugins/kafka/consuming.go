package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

const (
	// aheadBytes bounds what is fetched before it is looked at.
	aheadBytes = 32 << 20
	// keptMessages and keptBytes bound what is kept of it: more than may be ahead, so
	// that nothing goes before it was looked at.
	keptMessages = 2 * aheadBytes / 200
	keptBytes    = 2 * aheadBytes
)

// gate holds a reader back that is too far ahead of who looks.
type gate struct {
	mu      sync.Mutex
	held    int
	changed chan struct{}
}

func (g *gate) enter(ctx context.Context, n int) error {
	for {
		g.mu.Lock()
		if g.held == 0 || g.held+n <= aheadBytes {
			g.held += n
			g.mu.Unlock()
			return nil
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gate) leave(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held -= n
	close(g.changed)
	g.changed = make(chan struct{})
}

// consuming is one consume under way.
type consuming struct {
	in      *consumeIn
	cluster *cluster
	looked  *conditions
	member  *member // nil: without a group
	box     *inbox.Inbox[*received]
	gate    gate
	stop    context.CancelFunc
	done    chan struct{}

	mu        sync.Mutex
	reader    *reader // of the partitions that are ours now; nil: there are none
	rejoining bool

	seen, taken int
	read        map[place]int64 // up to where the messages were looked at
}

func newConsuming(c *cluster, in *consumeIn, looked *conditions) *consuming {
	s := &consuming{
		in: in, cluster: c, looked: looked, read: make(map[place]int64), gate: gate{changed: make(chan struct{})},
		box: inbox.New[*received](inbox.Limits{Messages: keptMessages, Bytes: keptBytes}),
	}
	if in.GroupID != "" {
		s.member = &member{cluster: c, group: in.GroupID, topics: in.topics()}
	}
	return s
}

// begin finds where to read from, and reads in the background.
func (s *consuming) begin(ctx context.Context) error {
	next, err := s.positions(ctx)
	if err != nil {
		return err
	}
	going, stop := context.WithCancel(ctx)
	s.stop, s.done = stop, make(chan struct{})
	s.reading(going, next)
	go func() {
		defer close(s.done)
		s.box.End(s.run(going))
	}()
	return nil
}

// positions are the partitions to read with their offsets.
func (s *consuming) positions(ctx context.Context) (map[place]int64, error) {
	at, err := s.in.startTime()
	if err != nil {
		return nil, err
	}
	level := isolationOf(s.in.Isolation)
	l, err := s.cluster.find(ctx, s.in.topics()...)
	if err != nil {
		return nil, err
	}
	if s.member != nil {
		places, err := s.member.join(ctx)
		if err != nil {
			return nil, err
		}
		return s.resumed(ctx, places, at)
	}
	places := l.places(s.in.topics())
	if s.in.Partition != nil {
		places = []place{{s.in.topics()[0], *s.in.Partition}}
	}
	if s.in.Offset != nil {
		_, err := l.leaders(places)
		return map[place]int64{places[0]: *s.in.Offset}, err
	}
	return s.cluster.offsets(ctx, places, at, level)
}

// resumed is where a group goes on: behind what it has read, else at the start. An
// offset that the partition no longer has counts as none.
func (s *consuming) resumed(ctx context.Context, places []place, at int64) (map[place]int64, error) {
	if len(places) == 0 {
		return nil, nil
	}
	level := isolationOf(s.in.Isolation)
	next, err := s.cluster.offsets(ctx, places, at, level)
	if err != nil {
		return nil, err
	}
	committed, err := s.member.committed(ctx, places)
	if err != nil || len(committed) == 0 {
		return next, err
	}
	first, err := s.cluster.offsets(ctx, places, earliest, level)
	if err != nil {
		return nil, err
	}
	last, err := s.cluster.offsets(ctx, places, latest, 0)
	for at, offset := range committed {
		if offset >= first[at] && offset <= last[at] {
			next[at] = offset
		}
	}
	return next, err
}

// reading makes a reader of partitions.
func (s *consuming) reading(ctx context.Context, next map[place]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reader, s.rejoining = nil, false
	if len(next) == 0 {
		return
	}
	s.reader = &reader{
		cluster: s.cluster, level: isolationOf(s.in.Isolation), next: next,
		whole: s.member == nil && s.in.Partition == nil,
		add: func(r record) error {
			if err := s.gate.enter(ctx, r.size()); err != nil {
				return err
			}
			s.box.Add(&received{record: r}, r.size())
			return nil
		},
	}
}

func (s *consuming) current() *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reader
}

// places is how many partitions are read.
func (s *consuming) places() int {
	if r := s.current(); r != nil {
		return len(r.places())
	}
	return 0
}

// run reads until ctx ends, as a member of the group too, which may give it other
// partitions on the way.
func (s *consuming) run(ctx context.Context) error {
	if s.member == nil {
		return s.current().run(ctx)
	}
	for {
		err := s.generation(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !rejoins(err) {
			return err
		}
		s.mu.Lock()
		s.rejoining = true
		s.mu.Unlock()
		next, err := s.positions(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		s.reading(ctx, next)
	}
}

// generation reads and shows that it lives until the group is divided anew, or
// something fails.
func (s *consuming) generation(ctx context.Context) error {
	going, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	if r := s.current(); r != nil {
		all.Go(func() {
			if err := r.run(going); err != nil {
				stop(err)
			}
		})
	}
	all.Go(func() { stop(s.beat(going)) })
	all.Wait()
	return context.Cause(going)
}

// beat shows that it lives until the group says something else.
func (s *consuming) beat(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	failing := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		err := s.member.beat(ctx)
		switch {
		case err == nil:
			failing = time.Time{}
			continue
		case rejoins(err) || !mayPass(err):
			return err
		case failing.IsZero():
			failing = time.Now()
		case time.Since(failing) > sessionTimeout:
			return err
		}
	}
}

// wait looks at messages until there are enough.
func (s *consuming) wait(ctx context.Context) (inbox.Report[*received], error) {
	return s.box.Wait(ctx, inbox.Query[*received]{
		Judge: func(m *received) (inbox.Judgement, error) { return s.judge(ctx, m) },
		Count: s.in.MaxMessages, Within: s.in.Within, Settle: s.settle,
	})
}

// settle makes sure that all that was there in time has been looked at.
func (s *consuming) settle(ctx context.Context) error {
	s.mu.Lock()
	r, rejoining := s.reader, s.rejoining
	s.mu.Unlock()
	switch {
	case s.taken >= s.in.Count:
		return nil
	case rejoining:
		return plugin.Errorf(plugin.CodeTimeout, "the group %s was dividing its partitions anew when the time was over", s.in.GroupID).WithHint("raise within, or use a group_id of your own")
	case r == nil:
		return nil // others have all the partitions
	}
	return r.settle(ctx)
}

// judge looks at one message, unless there are enough.
func (s *consuming) judge(ctx context.Context, m *received) (inbox.Judgement, error) {
	s.gate.leave(m.size())
	if s.taken >= s.in.MaxMessages {
		return inbox.Judgement{Differences: 2 * unreadableMiss}, nil
	}
	j, err := s.looked.judge(ctx, m)
	if err != nil {
		return j, err
	}
	s.seen++
	s.read[place{m.topic, m.partition}] = m.offset + 1
	if j.Fits {
		s.taken++
	}
	return j, nil
}

// halt stops reading.
func (s *consuming) halt() {
	if s.stop != nil {
		s.stop()
		<-s.done
	}
}

// end stops reading and leaves the group.
func (s *consuming) end(ctx context.Context) {
	s.halt()
	if s.member != nil {
		s.member.leave(ctx)
	}
}
