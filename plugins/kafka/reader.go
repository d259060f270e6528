package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// settleWithin is how long what is in the topic by now may take to come.
	settleWithin = 5 * time.Second
	// growEvery is how often a reader of whole topics looks for new partitions.
	growEvery = 5 * time.Second
	// giveUpAfter is how long a reader tries to reach brokers that are gone.
	giveUpAfter = 30 * time.Second
	// lostAfter is how long after fetchWait the answer to a fetch may take before the
	// connection is given up.
	lostAfter = 5 * time.Second
)

// reader reads partitions from given offsets on, and follows them from broker to
// broker. It loses nothing: where messages are gone before they were read it ends
// with an error.
type reader struct {
	cluster *cluster
	level   isolation
	// whole: new partitions of the topics are read too, from their beginning.
	whole bool
	// add takes a message, in the order of its partition; several brokers' come
	// concurrently. An error ends the reader.
	add func(record) error

	mu   sync.Mutex
	next map[place]int64 // offsets to go on from

	trouble atomic.Pointer[trouble]
}

// trouble is why nothing could be read the last time.
type trouble struct {
	err   error
	since time.Time
}

var (
	errMoved = errors.New("partitions are led by other brokers")
	errGrown = errors.New("topics have new partitions")
)

// run reads until ctx ends, which gives nil, or until it cannot go on.
func (r *reader) run(ctx context.Context) error {
	delay := firstDelay
	for {
		err := r.round(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errGrown):
			continue
		case !mayPass(err):
			return err
		}
		t := r.trouble.Load()
		if t == nil { // it had worked
			delay = firstDelay
			t = &trouble{since: time.Now()}
		}
		if time.Since(t.since) > giveUpAfter {
			return err
		}
		r.trouble.Store(&trouble{err: err, since: t.since})
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
		delay = min(2*delay, lastDelay)
	}
}

// mayPass tells whether a reader goes on after an error: an election, or a broker
// that is started again.
func mayPass(err error) bool {
	var known *plugin.Error
	if errors.Is(err, errMoved) || errors.Is(err, errUnknownTopic) || isPassing(err) {
		return true
	}
	return errors.As(err, &known) && (known.Code == plugin.CodeConn || known.Code == plugin.CodeTimeout || known.Code == plugin.CodeDNS)
}

// round reads until something changes: its error is what.
func (r *reader) round(ctx context.Context) error {
	topics := topicsOf(r.places())
	l, err := r.cluster.look(ctx, topics...)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		if err := l.ready(topic); err != nil {
			return fmt.Errorf("the topic %s: %w", topic, err)
		}
	}
	if r.whole {
		r.grow(l, topics)
	}
	byLeader, err := l.leaders(r.places())
	if err != nil {
		return err
	}
	going, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	var silent atomic.Int64 // brokers that have given nothing yet
	silent.Store(int64(len(byLeader)))
	heard := func() {
		if silent.Add(-1) == 0 {
			r.trouble.Store(nil)
		}
	}
	for leader, places := range byLeader {
		all.Go(func() {
			stop(r.cluster.advertised(l, leader, r.follow(going, l.brokers[leader], places, sync.OnceFunc(heard))))
		})
	}
	if r.whole {
		all.Go(func() { stop(r.watch(going, topics)) })
	}
	all.Wait()
	return context.Cause(going)
}

func (r *reader) places() []place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.next))
}

// grow takes up partitions that are new, and tells whether there are any.
func (r *reader) grow(l *layout, topics []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	grown := false
	for _, at := range l.places(topics) {
		if _, known := r.next[at]; !known {
			r.next[at], grown = 0, true // all of its messages are newer than the reader
		}
	}
	return grown
}

// watch looks for new partitions until there are some.
func (r *reader) watch(ctx context.Context, topics []string) error {
	tick := time.NewTicker(growEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		l, err := r.cluster.look(ctx, topics...)
		if err != nil {
			continue // who fetches will say it
		}
		if r.grow(l, topics) {
			return errGrown
		}
	}
}

// follow fetches the partitions of one broker until it stops leading them. It
// calls heard with each answer.
func (r *reader) follow(ctx context.Context, address string, places []place, heard func()) error {
	c, err := r.cluster.take(ctx, address)
	if err != nil {
		return err
	}
	// Whatever ends it: a fetch that was given up may still be answered.
	defer r.cluster.drop(c)
	for {
		from := r.from(places)
		limited, cancel := context.WithTimeout(ctx, fetchWait+lostAfter)
		answer, err := c.fetch(limited, from, r.level)
		cancel()
		if err != nil {
			return requestFault(err, address, "Fetch", r.cluster.dialer.login != nil)
		}
		for i := range answer.Topics {
			t := &answer.Topics[i]
			for j := range t.Partitions {
				if err := r.take(ctx, place{t.Topic, t.Partitions[j].Partition}, &t.Partitions[j], from); err != nil {
					return err
				}
			}
		}
		heard()
	}
}

// from is where to go on in some partitions.
func (r *reader) from(places []place) map[place]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := make(map[place]int64, len(places))
	for _, at := range places {
		from[at] = r.next[at]
	}
	return from
}

// settle makes sure that all that is in the partitions by now has been read.
func (r *reader) settle(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	places := r.places()
	ends, err := r.cluster.offsets(limited, places, latest, r.level)
	if err != nil {
		return err
	}
	tick := time.NewTicker(firstDelay)
	defer tick.Stop()
	for {
		behind, at := r.behind(ends)
		if !behind {
			return nil
		}
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			e := plugin.Errorf(plugin.CodeTimeout, "partition %d of %s has messages up to offset %d, which did not come within %s", at.partition, at.topic, ends[at]-1, settleWithin)
			if t := r.trouble.Load(); t != nil {
				e = e.WithDetails(t.err.Error())
			}
			return e.WithHint("find out why the broker is slow")
		case <-tick.C:
		}
	}
}

// behind finds a partition that has not been read up to an offset.
func (r *reader) behind(ends map[place]int64) (bool, place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, end := range ends {
		if r.next[at] < end {
			return true, at
		}
	}
	return false, place{}
}

// take hands the messages of one partition on.
func (r *reader) take(ctx context.Context, at place, p *fetchedPartition, from map[place]int64) error {
	offset, asked := from[at]
	switch code := kafkago.Error(p.ErrorCode); {
	case !asked:
		return plugin.Errorf(plugin.CodeProtocol, "the broker gave partition %d of %s, which was not asked for", at.partition, at.topic)
	case code == kafkago.OffsetOutOfRange:
		return plugin.Errorf(plugin.CodeBody, "partition %d of %s does not have offset %d any more: it begins at %d and ends at %d", at.partition, at.topic, offset, p.LogStartOffset, p.HighWatermark).
			WithHint("its messages were deleted before they were read, or the topic was made anew")
	case code == kafkago.NotLeaderForPartition, code == kafkago.FencedLeaderEpoch, code == kafkago.UnknownLeaderEpoch:
		return errMoved
	case code != 0:
		return codeFault(p.ErrorCode, "fetch from partition %d of %s", at.partition, at.topic)
	}
	aborted := make([]transaction, len(p.AbortedTransactions))
	for i, t := range p.AbortedTransactions {
		aborted[i] = transaction{t.ProducerID, t.FirstOffset}
	}
	next, err := readBatches(p.Records, offset, aborted, func(m record) error {
		m.topic, m.partition = at.topic, at.partition
		return r.add(m)
	})
	switch {
	case ctx.Err() != nil: // which is also what add ends with
		return ctx.Err()
	case err != nil:
		return plugin.Errorf(plugin.CodeBody, "partition %d of %s: %w", at.partition, at.topic, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next[at] = next
	return nil
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
