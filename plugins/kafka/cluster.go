package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxIdle bounds the connections to one broker that wait for the next step.
	maxIdle = 8
	// trustFor is how long a connection that was used is taken to be open still;
	// past it the broker is asked before anything that counts.
	trustFor = time.Second
	// layoutFor is how long producers go by what a broker said of a topic. Another
	// leader refuses what is not its own, and then it is asked again.
	layoutFor = 2 * time.Second
	// maxNamed bounds the topics that a message lists.
	maxNamed = 10
)

// The delays between tries of what may work a moment later.
const (
	firstDelay = 20 * time.Millisecond
	lastDelay  = time.Second
)

// cluster is the connections of a run to the brokers of one cluster. It is safe
// for concurrent use, and starts nothing in the background.
type cluster struct {
	dialer  *dialer
	seeds   []string
	patient time.Duration // limit of what is asked

	mu      sync.Mutex
	closed  bool
	open    map[*conn]bool
	idle    map[string][]*conn
	layouts map[string]kept   // what brokers said, by topic
	turns   map[string]uint32 // whose turn it is among the partitions of a topic
}

type kept struct {
	*layout
	until time.Time
}

func newCluster(d *dialer, seeds []string, patient time.Duration) *cluster {
	return &cluster{
		dialer: d, seeds: slices.Clone(seeds), patient: patient, open: make(map[*conn]bool),
		idle: make(map[string][]*conn), layouts: make(map[string]kept), turns: make(map[string]uint32),
	}
}

// close ends every connection, and with them the requests under way.
func (c *cluster) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for one := range c.open {
		_ = one.net.Close()
	}
	c.open, c.idle = nil, nil
	return nil
}

// take gives a connection to a broker that nobody else uses.
func (c *cluster) take(ctx context.Context, address string) (*conn, error) {
	for {
		one, err := c.takeIdle(address)
		if err != nil {
			return nil, err
		}
		if one == nil {
			break
		}
		if time.Since(one.idle) < trustFor || c.dialer.negotiate(ctx, one) == nil {
			return one, nil
		}
		c.drop(one)
	}
	one, err := c.dialer.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = one.net.Close()
		return nil, errClosed
	}
	c.open[one] = true
	return one, nil
}

var errClosed = errors.New("the run has ended")

func (c *cluster) takeIdle(address string) (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	all := c.idle[address]
	if len(all) == 0 {
		return nil, nil
	}
	one := all[len(all)-1]
	c.idle[address] = all[:len(all)-1]
	return one, nil
}

// give back a connection that can be used again.
func (c *cluster) give(one *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle[one.address]) >= maxIdle {
		delete(c.open, one)
		_ = one.net.Close()
		return
	}
	one.idle = time.Now()
	c.idle[one.address] = append(c.idle[one.address], one)
}

func (c *cluster) drop(one *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, one)
	_ = one.net.Close()
}

// ask makes one request to the broker at an address, and reads its answer into
// res.
func (c *cluster) ask(ctx context.Context, address string, req protocol.Message, res any) error {
	one, err := c.take(ctx, address)
	if err != nil {
		return err
	}
	if err := one.roundTrip(ctx, req, res); err != nil {
		c.drop(one)
		return requestFault(err, address, req.ApiKey().String(), c.dialer.login != nil)
	}
	c.give(one)
	return nil
}

// askAny makes a request to whichever of the given brokers answers first, in
// their order, beginning with those that there are connections to.
func (c *cluster) askAny(ctx context.Context, req protocol.Message, res any) error {
	var faults []error
	for _, address := range c.nearest() {
		err := c.ask(ctx, address, req, res)
		if err == nil || ctx.Err() != nil {
			return err
		}
		faults = append(faults, err)
	}
	var first *plugin.Error
	if len(faults) == 1 || !errors.As(faults[0], &first) {
		return faults[0]
	}
	all := *first
	all.Message = fmt.Sprintf("none of the %d brokers answered; %s", len(faults), first.Message)
	for _, other := range faults[1:] {
		all.Details = append(slices.Clip(all.Details), other.Error())
	}
	return &all
}

// nearest are the seeds, those with an idle connection first.
func (c *cluster) nearest() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := slices.Clone(c.seeds)
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(min(len(c.idle[b]), 1), min(len(c.idle[a]), 1)) })
	return out
}

// settle repeats what fails only for the moment, until it works or the cluster's
// patience ends.
func (c *cluster) settle(ctx context.Context, try func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, c.patient)
	defer cancel()
	delay := firstDelay
	var last error
	for {
		err := try(limited)
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case limited.Err() != nil && last != nil:
			return last // which says more than that the time is over
		case !isPassing(err):
			return err
		}
		last = err
		select {
		case <-limited.Done():
			return last
		case <-time.After(delay):
		}
		delay = min(2*delay, lastDelay)
	}
}

// layout is what a broker says of its cluster.
type layout struct {
	brokers    map[int32]string // addresses by number
	controller int32
	topics     map[string]topicLayout
}

type topicLayout struct {
	code       int16 // of the broker, 0: it exists
	internal   bool
	partitions []partitionLayout // by number
}

type partitionLayout struct {
	number, leader int32
	replicas       int
}

// look asks a broker for its cluster; without names for all topics.
func (c *cluster) look(ctx context.Context, topics ...string) (*layout, error) {
	return c.lookFor(ctx, topics)
}

// lookFor does so for topics that may be none, which an empty list says and nil
// does not.
func (c *cluster) lookFor(ctx context.Context, topics []string) (*layout, error) {
	var answer metadata.Response
	if err := c.askAny(ctx, &metadata.Request{TopicNames: topics}, &answer); err != nil {
		return nil, err
	}
	out := &layout{brokers: make(map[int32]string), controller: answer.ControllerID, topics: make(map[string]topicLayout)}
	for _, b := range answer.Brokers {
		out.brokers[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	for _, t := range answer.Topics {
		one := topicLayout{code: t.ErrorCode, internal: t.IsInternal}
		for _, p := range t.Partitions {
			one.partitions = append(one.partitions, partitionLayout{p.PartitionIndex, p.LeaderID, len(p.ReplicaNodes)})
		}
		slices.SortFunc(one.partitions, func(a, b partitionLayout) int { return cmp.Compare(a.number, b.number) })
		out.topics[t.Name] = one
	}
	return out, nil
}

// find looks for topics until each of their partitions has a leader. A topic that
// is not there is not waited for.
func (c *cluster) find(ctx context.Context, topics ...string) (*layout, error) {
	var found *layout
	err := c.settle(ctx, func(ctx context.Context) error {
		l, err := c.look(ctx, topics...)
		if err != nil {
			return err
		}
		for _, name := range topics {
			if err := l.ready(name); err != nil {
				return err
			}
		}
		found = l
		return nil
	})
	if errors.Is(err, errUnknownTopic) {
		return nil, c.unknownTopic(ctx, topics)
	}
	return found, err
}

// errUnknownTopic is not passing: a name that is wrong is said at once.
var errUnknownTopic = errors.New("there is no such topic")

// ready tells whether a topic can be written to and read from, nil where it can.
func (l *layout) ready(topic string) error {
	t, ok := l.topics[topic]
	switch {
	case !ok || t.code == int16(kafkago.UnknownTopicOrPartition):
		return errUnknownTopic
	case t.code != 0:
		return codeFault(t.code, "look for the topic %s", topic)
	case len(t.partitions) == 0:
		return codeFault(int16(kafkago.LeaderNotAvailable), "look for the partitions of %s", topic)
	}
	for _, p := range t.partitions {
		if _, ok := l.brokers[p.leader]; !ok {
			return codeFault(int16(kafkago.LeaderNotAvailable), "look for the leader of partition %d of %s", p.number, topic)
		}
	}
	return nil
}

// unknownTopic says which topic is not there, and which are.
func (c *cluster) unknownTopic(ctx context.Context, wanted []string) error {
	name := strings.Join(wanted, ", ")
	e := plugin.Errorf(plugin.CodeReply, "there is no topic %s on %s", name, c.seeds[0])
	e.Cause = kafkago.UnknownTopicOrPartition
	l, err := c.look(ctx)
	if err != nil {
		return e.WithHint("check the name; kafka.create_topic makes topics")
	}
	var missing, names []string
	for _, topic := range wanted {
		if l.ready(topic) != nil {
			missing = append(missing, topic)
		}
	}
	if len(missing) > 0 {
		e.Message = fmt.Sprintf("there is no topic %s on %s", strings.Join(missing, ", "), c.seeds[0])
	}
	for topic, t := range l.topics {
		if t.code == 0 && !t.internal {
			names = append(names, topic)
		}
	}
	slices.Sort(names)
	switch more := len(names) - maxNamed; {
	case len(names) == 0:
		return e.WithHint("it has no topics at all; kafka.create_topic makes one")
	case more > 0:
		return e.WithHint("check the name; kafka.create_topic makes topics").WithDetails(fmt.Sprintf("its topics: %s and %d more", strings.Join(names[:maxNamed], ", "), more))
	default:
		return e.WithHint("check the name; kafka.create_topic makes topics").WithDetails("its topics: " + strings.Join(names, ", "))
	}
}

// coordinator is the address of the broker that leads a group.
func (c *cluster) coordinator(ctx context.Context, group string) (address string, err error) {
	err = c.settle(ctx, func(ctx context.Context) error {
		var answer findcoordinator.Response
		if err := c.askAny(ctx, &findcoordinator.Request{Key: group}, &answer); err != nil {
			return err
		}
		if answer.ErrorCode != 0 {
			return codeFault(answer.ErrorCode, "look for the broker that leads the group %s", group)
		}
		address = net.JoinHostPort(answer.Host, strconv.Itoa(int(answer.Port)))
		return nil
	})
	return address, err
}
