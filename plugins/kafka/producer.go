package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// anyPartition is a message whose partition is to be chosen.
	anyPartition = -1
	// batchBytes bounds a batch, below the 1 MiB that brokers take by default; a
	// message over that goes alone, for the broker to judge.
	batchBytes = 900 << 10
	// requestBytes bounds the batches of one request.
	requestBytes = 8 << 20
	// hugeMessage is from where a message may be over what brokers read at all
	// (socket.request.max.bytes, 100 MiB by default): they hang up without a word.
	hugeMessage = 32 << 20
)

// producer writes messages to one topic.
type producer struct {
	cluster     *cluster
	topic       string
	acks        int16
	balancer    kafkago.Balancer
	compression compress.Compression

	mu      sync.Mutex
	waiting map[int32][]*outgoing // by partition, in their order
	most    map[int32]int         // messages of a batch, where the broker wants smaller ones
	written int
}

// publish writes messages, each of which then has its partition and offset. What
// a broker has refused because it does not lead the partition is sent again to
// the one that does; what may have been written is never sent twice.
func (p *producer) publish(ctx context.Context, out []*outgoing) error {
	p.waiting, p.most = make(map[int32][]*outgoing), make(map[int32]int)
	l, cached, err := p.cluster.layoutOf(ctx, p.topic)
	if err != nil {
		return err
	}
	if err := p.assign(l, out); err != nil {
		return err
	}
	err = p.cluster.settle(ctx, func(ctx context.Context) error {
		if l == nil {
			if l, cached, err = p.cluster.layoutOf(ctx, p.topic); err != nil {
				return err
			}
		}
		err := p.send(ctx, l)
		if err != nil {
			l = nil
			p.cluster.forget(p.topic)
		}
		var unreached *unreachedError
		if cached && errors.As(err, &unreached) { // the broker may have gone since
			cached = false
			return codeFault(int16(kafkago.BrokerNotAvailable), "write to %s", p.topic)
		}
		return err
	})
	return p.partly(err, len(out))
}

// partly says what of a batch was written where not all of it was.
func (p *producer) partly(err error, all int) error {
	var known *plugin.Error
	if err == nil || all == 1 || !errors.As(err, &known) {
		return err
	}
	told := *known
	told.Details = append(slices.Clip(told.Details), fmt.Sprintf("%d of the %d messages were written", p.written, all))
	return &told
}

// assign gives each message its partition.
func (p *producer) assign(l *layout, out []*outgoing) error {
	all := l.topics[p.topic].partitions
	numbers := make([]int, len(all))
	for i, one := range all {
		numbers[i] = int(one.number)
	}
	for _, m := range out {
		if m.partition == anyPartition {
			if m.key != nil {
				m.partition = int32(p.balancer.Balance(kafkago.Message{Key: m.key}, numbers...))
			} else {
				m.partition = int32(numbers[p.cluster.turn(p.topic, len(numbers))])
			}
		}
		if _, ok := l.partition(place{p.topic, m.partition}); !ok {
			return l.noPartition(place{p.topic, m.partition})
		}
		p.waiting[m.partition] = append(p.waiting[m.partition], m)
	}
	return nil
}

// unreachedError is a broker that was not reached: nothing was sent to it.
type unreachedError struct{ cause error }

func (e *unreachedError) Error() string { return e.cause.Error() }
func (e *unreachedError) Unwrap() error { return e.cause }

// send writes what waits, to each leader its own.
func (p *producer) send(ctx context.Context, l *layout) error {
	places := make([]place, 0, len(p.waiting))
	for _, partition := range slices.Sorted(maps.Keys(p.waiting)) {
		places = append(places, place{p.topic, partition})
	}
	byLeader, err := l.leaders(places)
	if err != nil {
		return err
	}
	faults := make(chan error, len(byLeader))
	for leader, led := range byLeader {
		go func() { faults <- p.sendTo(ctx, l, leader, led) }()
	}
	var all []error
	for range byLeader {
		if err := <-faults; err != nil {
			all = append(all, err)
		}
	}
	// What will not pass says more than what may.
	slices.SortStableFunc(all, func(a, b error) int { return cmp.Compare(passes(a), passes(b)) })
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

func passes(err error) int {
	if isPassing(err) {
		return 1
	}
	return 0
}

// sendTo writes to the partitions of one broker until nothing waits there.
func (p *producer) sendTo(ctx context.Context, l *layout, leader int32, led []place) error {
	address := l.brokers[leader]
	for {
		batches := p.next(led)
		if len(batches) == 0 {
			return nil
		}
		one, err := p.cluster.take(ctx, address)
		if err != nil {
			return &unreachedError{p.cluster.advertised(l, leader, err)}
		}
		var answer produce.Response
		var res any // nil: there is no answer
		if p.acks != 0 {
			res = &answer
		}
		if err := one.roundTrip(ctx, p.request(batches), res); err != nil {
			p.cluster.drop(one)
			return p.lost(err, address, batches)
		}
		p.cluster.give(one)
		if res == nil {
			p.took(batches)
			continue
		}
		if err := p.answered(&answer, batches); err != nil {
			return err
		}
	}
}

// next takes a batch for each partition, as many as fit into a request.
func (p *producer) next(led []place) map[int32][]*outgoing {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[int32][]*outgoing)
	total := 0
	for _, at := range led {
		batch, size := p.waiting[at.partition], 0
		if most := p.most[at.partition]; most > 0 && len(batch) > most {
			batch = batch[:most]
		}
		for i, m := range batch {
			if i > 0 && size+m.size() > batchBytes {
				batch = batch[:i]
				break
			}
			size += m.size()
		}
		if len(batch) == 0 || total > 0 && total+size > requestBytes {
			continue
		}
		total += size
		out[at.partition] = batch
	}
	return out
}

func (p *producer) request(batches map[int32][]*outgoing) *produce.Request {
	t := produce.RequestTopic{Topic: p.topic}
	for partition, batch := range batches {
		records := make([]protocol.Record, len(batch))
		for i, m := range batch {
			records[i] = protocol.Record{Time: m.time, Key: protocol.NewBytes(m.key), Value: protocol.NewBytes(m.value), Headers: m.headers}
		}
		t.Partitions = append(t.Partitions, produce.RequestPartition{
			Partition: partition,
			RecordSet: protocol.RecordSet{Attributes: protocol.Attributes(p.compression), Records: protocol.NewRecordReader(records...)},
		})
	}
	return &produce.Request{Acks: p.acks, Timeout: int32(p.cluster.patient.Milliseconds()), Topics: []produce.RequestTopic{t}}
}

// lost is a request whose answer did not come: what it wrote nobody knows.
func (p *producer) lost(err error, address string, batches map[int32][]*outgoing) error {
	count, largest := 0, 0
	for _, batch := range batches {
		count += len(batch)
		for _, m := range batch {
			largest = max(largest, len(m.value))
		}
	}
	var known *plugin.Error
	closed := isClosed(err)
	if err = requestFault(err, address, "Produce", p.cluster.dialer.login != nil); !errors.As(err, &known) {
		return err
	}
	told := *known
	told.Details = append(slices.Clip(told.Details), fmt.Sprintf("whether the %s on the way to it were written is not known", plural(count, "message")))
	if closed && largest > hugeMessage {
		told.Hint = fmt.Sprintf("a message of %d MiB may be more than the broker reads at all: see its socket.request.max.bytes", largest>>20)
	}
	return &told
}

// answered notes what was written, and gives what was not.
func (p *producer) answered(answer *produce.Response, batches map[int32][]*outgoing) error {
	var first error
	for _, t := range answer.Topics {
		for _, part := range t.Partitions {
			batch, sent := batches[part.Partition]
			if !sent {
				return plugin.Errorf(plugin.CodeProtocol, "the broker answered for partition %d of %s, which was not written to", part.Partition, t.Topic)
			}
			delete(batches, part.Partition)
			if err := p.judged(batch, part); err != nil && (first == nil || isPassing(first)) {
				first = err
			}
		}
	}
	if first == nil && len(batches) > 0 {
		return plugin.Errorf(plugin.CodeProtocol, "the broker says nothing of a batch that was sent to %s", p.topic)
	}
	return first
}

func (p *producer) judged(batch []*outgoing, part produce.ResponsePartition) error {
	code := kafkago.Error(part.ErrorCode)
	switch {
	case code == 0:
		for i, m := range batch {
			offset := part.BaseOffset + int64(i)
			m.offset = &offset
		}
		p.took(map[int32][]*outgoing{part.Partition: batch})
		return nil
	case (code == kafkago.MessageSizeTooLarge || code == kafkago.RecordListTooLarge) && len(batch) > 1:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.most[part.Partition] = len(batch) / 2
		return nil
	}
	what := fmt.Sprintf("write to partition %d of %s", part.Partition, p.topic)
	if code == kafkago.MessageSizeTooLarge || code == kafkago.RecordListTooLarge {
		what = fmt.Sprintf("write message %d of %d bytes to partition %d of %s", batch[0].number, len(batch[0].value), part.Partition, p.topic)
	}
	e := codeFault(part.ErrorCode, "%s", what)
	if part.ErrorMessage != "" {
		e = e.WithDetails(part.ErrorMessage)
	}
	return e
}

// took takes what was written out of what waits.
func (p *producer) took(batches map[int32][]*outgoing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for partition, batch := range batches {
		p.written += len(batch)
		if p.waiting[partition] = p.waiting[partition][len(batch):]; len(p.waiting[partition]) == 0 {
			delete(p.waiting, partition)
		}
	}
}

// layoutOf is what a broker said of a topic, a moment ago at most.
func (c *cluster) layoutOf(ctx context.Context, topic string) (l *layout, cached bool, err error) {
	c.mu.Lock()
	known := c.layouts[topic]
	c.mu.Unlock()
	if time.Now().Before(known.until) {
		return known.layout, true, nil
	}
	if l, err = c.find(ctx, topic); err != nil {
		return nil, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.layouts[topic] = kept{l, time.Now().Add(layoutFor)}
	return l, false, nil
}

func (c *cluster) forget(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.layouts, topic)
}

// turn is whose turn it is of n partitions, for a message without a key.
func (c *cluster) turn(topic string, n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.turns[topic]
	c.turns[topic] = now + 1
	return int(now % uint32(n))
}
