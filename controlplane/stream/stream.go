// Package stream takes the event streams of runs from agents, keeps them as segments
// in the blob store, and gives them to whoever watches, at any node: what is there at
// once, and what comes as it comes. To it a stream is lines of bytes; it looks into
// them for secrets only, and never judges what they say.
package stream

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/fault"
)

const (
	// segmentBytes is what makes a segment full, before compression.
	segmentBytes = 4 << 20
	// sealAfter is how long bytes wait for more before they are made durable. Whoever
	// watches does not wait for it.
	sealAfter = 5 * time.Second
	// againAfter is when a segment that could not be stored is tried again; the time grows
	// to againMost.
	againAfter = time.Second
	againMost  = 8 * time.Second
	// maxFrame bounds a frame after decompression.
	maxFrame = 4 << 20
	// maxPending bounds what of a stream waits to be made durable; a sender that is
	// faster waits.
	maxPending = 2 * segmentBytes
	// maxMemory bounds what waits of all streams of a node. From half of it on nothing
	// waits for more to come.
	maxMemory = 256 << 20
	// chunkBytes is what whoever watches is given at a time, and has in memory here however
	// slow it is; about 600 KiB with what unpacks a segment, while it reads one.
	chunkBytes = 64 << 10
	// idleAfter is when a stream that nobody adds to or reads leaves the memory.
	idleAfter = time.Minute
	// postedFor is how long a stream is this node's after a frame that came as a request.
	postedFor = 30 * time.Second
	// checkAgain is how often a lease is looked up again.
	checkAgain = 2 * time.Second
	// lookAgain is how often a stream that another node writes is looked for again while
	// no node says that it has it.
	lookAgain = time.Second
)

// Blobs keeps segments. Its methods are called by many at once; Put is repeated after
// an error.
type Blobs interface {
	Put(ctx context.Context, key string, r io.Reader) error
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	List(ctx context.Context, prefix string) ([]string, error)
}

// Peers are the other nodes.
type Peers interface {
	// Homes are those that may have the stream of an attempt that has not ended, the
	// likeliest first, without this node.
	Homes(ctx context.Context, run string, attempt int32) []string
	// Tail is the other node's Streams.Tail.
	Tail(ctx context.Context, node, run string, attempt int32, offset int64, follow bool, give func(offset int64, data []byte) error) (ended bool, err error)
}

// Config is what streams need.
type Config struct {
	Blobs Blobs
	// Peers is nil where there is one node.
	Peers Peers
	// Holds says whether a lease may still write: an error that is ErrFenced where not.
	Holds func(ctx context.Context, agent string, l *apiv1.Lease) error
	// Secrets are the values that the control plane gave to a run, by name: what of them
	// an agent lets through is masked here. Nil: there are none.
	Secrets func(ctx context.Context, run string) (map[string]string, error)
	Logger  *slog.Logger
	// Fault is nil but in test builds.
	Fault *fault.Set
}

// ErrFenced says that the attempt is not its run's lease any more.
var ErrFenced = errors.New("the attempt is not the run's lease any more")

// ErrElsewhere says that this node does not write the stream.
var ErrElsewhere = errors.New("this node does not have the stream")

// ErrClosed says that the node ends. Whoever reads or writes goes on at another, or at
// this one once it is there again.
var ErrClosed = errors.New("the node ends")

// Streams are the streams of this node. It is safe for concurrent use.
type Streams struct {
	cfg    Config
	enc    *zstd.Encoder
	dec    *zstd.Decoder
	memory memory
	masked atomic.Int64
	mu     sync.Mutex
	open   map[id]*stream
	closed bool
	left   chan struct{} // closed when nobody is to watch any more
	leave  func()
	work   sync.WaitGroup
}

type id struct {
	run     string
	attempt int32
}

func (i id) prefix() string { return fmt.Sprintf("streams/%s/%d/", i.run, i.attempt) }

// stream is one that is written here, or was a moment ago.
type stream struct {
	id      id
	mu      sync.Mutex
	durable int64         // everything before it is in the blob store
	pending []byte        // from durable on, masked: whoever watches sees it
	held    []byte        // after that: the beginning of a line, which may be that of a secret
	flying  int           // how much of pending is on its way to the blob store
	sum     hash.Hash     // of all before next, as it came; nil: it was not read from 0
	news    chan struct{} // closed when anything here changes
	ended   bool
	closed  bool // the node ends
	timer   *time.Timer
	failed  error // the blob store's last word, until it works again
	tries   int   // how often it said so
	used    time.Time
	posted  time.Time
	sockets int // that frames of it came over, and that are open
	watched int
	lease   *apiv1.Lease
	checked time.Time
	scan    *scan // nil: not known yet
}

// New makes streams of a node.
func New(cfg Config) (*Streams, error) {
	// A small window lets whoever reads a segment have little of it in memory.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithWindowSize(window))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxFrame+1<<20))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	s := &Streams{cfg: cfg, enc: enc, dec: dec, open: map[id]*stream{}, memory: memory{freed: make(chan struct{})}, left: make(chan struct{})}
	s.leave = sync.OnceFunc(func() { close(s.left) })
	return s, nil
}

// EndWatches ends every Read and Tail with ErrClosed: those who watch go to another
// node. What agents send is still taken.
func (s *Streams) EndWatches() { s.leave() }

// Close makes what has come durable and forgets all.
func (s *Streams) Close(ctx context.Context) error {
	s.leave()
	s.mu.Lock()
	s.closed = true
	all := s.open
	s.open = map[id]*stream{}
	s.mu.Unlock()
	var errs []error
	for _, one := range all {
		errs = append(errs, s.drain(ctx, one))
		one.mu.Lock()
		one.closed = true
		if one.timer != nil && one.timer.Stop() {
			one.timer = nil
			s.work.Done()
		}
		one.tell()
		one.mu.Unlock()
	}
	s.work.Wait()
	s.dec.Close()
	return errors.Join(append(errs, s.enc.Close())...)
}

func (st *stream) tell() {
	close(st.news)
	st.news = make(chan struct{})
}

// next is where the stream goes on.
func (st *stream) next() int64 { return st.durable + int64(len(st.pending)+len(st.held)) }

// waits is what of it is not durable.
func (st *stream) waits() int { return len(st.pending) + len(st.held) }

// written says whether this node is the one that the stream comes to.
func (st *stream) written() bool {
	return st.sockets > 0 || st.waits() > 0 || time.Since(st.posted) < postedFor
}

// get opens a stream to write it: where it ends is what the blob store has of it.
func (s *Streams) get(ctx context.Context, i id) (*stream, error) {
	s.mu.Lock()
	st := s.open[i]
	closed := s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return nil, ErrClosed
	case st != nil:
		return st, nil
	}
	end, err := s.stored(ctx, i)
	if err != nil {
		return nil, err
	}
	st = &stream{id: i, durable: end, news: make(chan struct{}), used: time.Now(), sum: fresh(end)}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch other := s.open[i]; {
	case s.closed:
		return nil, ErrClosed
	case other != nil:
		return other, nil
	}
	s.sweep()
	s.open[i] = st
	return st, nil
}

// reload looks again how far the blob store is: another node has written meanwhile.
func (s *Streams) reload(ctx context.Context, st *stream) error {
	end, err := s.stored(ctx, st.id)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if end > st.durable && st.waits() == 0 && st.flying == 0 {
		st.durable, st.sum = end, nil
		st.tell()
	}
	return nil
}

// sweep forgets streams that nobody uses.
func (s *Streams) sweep() {
	now := time.Now()
	for i, st := range s.open {
		if st.mu.TryLock() {
			if st.waits() == 0 && st.watched == 0 && st.sockets == 0 && now.Sub(st.used) > idleAfter {
				delete(s.open, i)
			}
			st.mu.Unlock()
		}
	}
}

// here is a stream that this node writes; nil: it does not.
func (s *Streams) here(i id) *stream {
	s.mu.Lock()
	st := s.open[i]
	s.mu.Unlock()
	if st == nil {
		return nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.written() && !st.ended {
		return nil
	}
	return st
}

// memory counts what waits in all streams.
type memory struct {
	mu    sync.Mutex
	used  int64
	freed chan struct{} // closed when some has become free
}

func (m *memory) take(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used += int64(n)
}

func (m *memory) give(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= int64(n)
	close(m.freed)
	m.freed = make(chan struct{})
}

func (m *memory) state() (used int64, freed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used, m.freed
}
