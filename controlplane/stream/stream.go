// Package stream takes the event streams of runs from agents, keeps them as segments
// in the blob store, and gives them to whoever watches: what is there at once, and
// what comes as it comes. It never reads events: to it a stream is bytes.
package stream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/fault"
)

const (
	// segmentBytes is what makes a segment full, before compression.
	segmentBytes = 4 << 20
	// flushAfter is how long bytes wait for more before they are made durable.
	flushAfter = 200 * time.Millisecond
	// maxFrame bounds a frame after decompression.
	maxFrame = 4 << 20
	// maxPending bounds what waits to be made durable; a sender that is faster waits.
	maxPending = 2 * segmentBytes
	// idleAfter is when a stream that nobody adds to or reads leaves the memory.
	idleAfter = time.Minute
	// checkAgain is how often a lease is looked up again.
	checkAgain = 2 * time.Second
)

// Blobs keeps segments.
type Blobs interface {
	Put(ctx context.Context, key string, r io.Reader) error
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	List(ctx context.Context, prefix string) ([]string, error)
}

// Config is what streams need.
type Config struct {
	Blobs Blobs
	// Holds says whether a lease may still write: an error that is ErrFenced where not.
	Holds  func(ctx context.Context, agent string, l *apiv1.Lease) error
	Logger *slog.Logger
	// Fault is nil but in test builds.
	Fault *fault.Set
}

// ErrFenced says that the attempt is not its run's lease any more.
var ErrFenced = errors.New("the attempt is not the run's lease any more")

// Streams are the streams of this node. It is safe for concurrent use.
type Streams struct {
	cfg    Config
	enc    *zstd.Encoder
	dec    *zstd.Decoder
	mu     sync.Mutex
	open   map[id]*stream
	closed bool
	work   sync.WaitGroup
}

type id struct {
	run     string
	attempt int32
}

func (i id) prefix() string { return fmt.Sprintf("streams/%s/%d/", i.run, i.attempt) }

// stream is one that is written or watched here.
type stream struct {
	id      id
	mu      sync.Mutex
	durable int64         // everything before it is in the blob store
	pending []byte        // from durable on
	flying  int           // how much of pending is on its way to the blob store
	sum     hash.Hash     // of all before durable+pending; nil: it was not read from 0
	news    chan struct{} // closed when anything here changes
	ended   bool
	timer   *time.Timer
	failed  error // the blob store's last word, until it works again
	used    time.Time
	watched int
	lease   *apiv1.Lease
	checked time.Time
}

// New makes streams of a node.
func New(cfg Config) (*Streams, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxFrame+1<<20))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	return &Streams{cfg: cfg, enc: enc, dec: dec, open: map[id]*stream{}}, nil
}

// Close makes what has come durable and forgets all.
func (s *Streams) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	all := s.open
	s.open = map[id]*stream{}
	s.mu.Unlock()
	var errs []error
	for _, one := range all {
		errs = append(errs, s.flush(ctx, one))
		one.mu.Lock()
		one.ended = true
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
func (st *stream) next() int64 { return st.durable + int64(len(st.pending)) }

// get opens a stream: where it ends is what the blob store has of it.
func (s *Streams) get(ctx context.Context, i id) (*stream, error) {
	s.mu.Lock()
	st := s.open[i]
	closed := s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return nil, errors.New("the node ends")
	case st != nil:
		return st, nil
	}
	segments, err := s.segments(ctx, i)
	if err != nil {
		return nil, err
	}
	st = &stream{id: i, news: make(chan struct{}), used: time.Now()}
	for _, seg := range segments {
		st.durable = seg.end()
	}
	if st.durable == 0 {
		st.sum = sha256.New()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.open[i]; other != nil {
		return other, nil
	}
	s.sweep()
	s.open[i] = st
	return st, nil
}

// sweep forgets streams that nobody uses.
func (s *Streams) sweep() {
	now := time.Now()
	for i, st := range s.open {
		if st.mu.TryLock() {
			if len(st.pending) == 0 && st.watched == 0 && now.Sub(st.used) > idleAfter {
				delete(s.open, i)
			}
			st.mu.Unlock()
		}
	}
}

// segment is a part of a stream in the blob store.
type segment struct {
	key            string
	offset, length int64
}

func (g segment) end() int64 { return g.offset + g.length }

func (s *Streams) segments(ctx context.Context, i id) ([]segment, error) {
	keys, err := s.cfg.Blobs.List(ctx, i.prefix())
	if err != nil {
		return nil, fmt.Errorf("list the segments of run %s: %w", i.run, err)
	}
	var list []segment
	end := int64(0)
	for _, key := range keys {
		name := strings.TrimSuffix(strings.TrimPrefix(key, i.prefix()), ".zst")
		from, length, ok := strings.Cut(name, "-")
		g := segment{key: key}
		var err1, err2 error
		g.offset, err1 = strconv.ParseInt(from, 10, 64)
		g.length, err2 = strconv.ParseInt(length, 10, 64)
		if !ok || err1 != nil || err2 != nil || g.end() <= end {
			continue // no segment, or one of a node that wrote the same again
		}
		if g.offset > end {
			break // what lies between was never acknowledged
		}
		list, end = append(list, g), g.end()
	}
	return list, nil
}

// Append adds a frame of an agent's. What is said of it in the answer is true already:
// everything before Durable stays.
func (s *Streams) Append(ctx context.Context, agent string, f *apiv1.Frame) (*apiv1.Ack, error) {
	l := f.GetLease()
	ack := &apiv1.Ack{RunId: l.GetRunId(), Attempt: l.GetAttempt()}
	st, err := s.get(ctx, id{l.GetRunId(), l.GetAttempt()})
	if err != nil {
		return nil, err
	}
	if err := s.holds(ctx, st, agent, l); errors.Is(err, ErrFenced) {
		ack.Fenced = true
		return ack, nil
	} else if err != nil {
		return nil, err
	}
	data, err := s.unpack(f)
	if err != nil {
		st.mu.Lock()
		defer st.mu.Unlock()
		ack.Rewind, ack.Next, ack.Durable = true, st.next(), st.durable
		s.cfg.Logger.Warn("a frame was broken", "run", l.GetRunId(), "error", err)
		return ack, nil
	}
	if err := s.room(ctx, st); err != nil {
		return nil, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.used = time.Now()
	at := f.GetOffset()
	if s.cfg.Fault.Off("no_offset_check") {
		at = st.next()
	}
	switch {
	case at > st.next():
		ack.Rewind, ack.Next = true, st.next()
	case at+int64(len(data)) > st.next():
		fresh := data[st.next()-at:]
		if st.sum != nil {
			st.sum.Write(fresh)
		}
		st.pending = append(st.pending, fresh...)
		st.tell()
		s.later(st)
	}
	ack.Durable = st.durable
	if s.cfg.Fault.Off("no_durable_ack") {
		ack.Durable = st.next()
	}
	return ack, st.failed
}

func (s *Streams) holds(ctx context.Context, st *stream, agent string, l *apiv1.Lease) error {
	st.mu.Lock()
	known := st.lease != nil && st.lease.GetFence() == l.GetFence() && time.Since(st.checked) < checkAgain
	st.mu.Unlock()
	if known {
		return nil
	}
	if err := s.cfg.Holds(ctx, agent, l); err != nil {
		return err
	}
	st.mu.Lock()
	st.lease, st.checked = l, time.Now()
	st.mu.Unlock()
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s *Streams) unpack(f *apiv1.Frame) ([]byte, error) {
	if f.GetLength() < 0 || f.GetLength() > maxFrame {
		return nil, fmt.Errorf("it says that it has %d bytes", f.GetLength())
	}
	data, err := s.dec.DecodeAll(f.GetData(), make([]byte, 0, f.GetLength()))
	switch {
	case err != nil:
		return nil, err
	case len(data) != int(f.GetLength()):
		return nil, fmt.Errorf("it has %d bytes and says %d", len(data), f.GetLength())
	case crc32.Checksum(data, castagnoli) != f.GetCrc():
		return nil, errors.New("its checksum is wrong")
	}
	return data, nil
}

// room waits until there is some for another frame.
func (s *Streams) room(ctx context.Context, st *stream) error {
	for {
		st.mu.Lock()
		full, news := len(st.pending) >= maxPending, st.news
		st.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// later makes what waits durable soon, or now where a segment is full.
func (s *Streams) later(st *stream) {
	if st.flying > 0 {
		return // what is being written looks again when it is
	}
	wait := flushAfter
	if len(st.pending) >= segmentBytes {
		wait = 0
	}
	switch {
	case wait == 0 && st.timer != nil && st.timer.Stop():
		st.timer = nil
		s.work.Done()
	case st.timer != nil:
		return
	}
	s.work.Add(1)
	st.timer = time.AfterFunc(wait, func() {
		defer s.work.Done()
		if err := s.flush(context.Background(), st); err != nil {
			s.cfg.Logger.Error("a segment could not be stored", "run", st.id.run, "error", err)
		}
	})
}

// flush makes what waits durable.
func (s *Streams) flush(ctx context.Context, st *stream) error {
	st.mu.Lock()
	st.timer = nil
	for st.flying > 0 { // another does
		news := st.news
		st.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
		st.mu.Lock()
	}
	n := min(len(st.pending), segmentBytes)
	if n == 0 {
		st.mu.Unlock()
		return nil
	}
	st.flying = n
	part, at := st.pending[:n:n], st.durable
	st.mu.Unlock()
	key := fmt.Sprintf("%s%016d-%d.zst", st.id.prefix(), at, n)
	err := s.cfg.Fault.Point("stream.segment.before")
	if err == nil {
		err = errors.Join(s.cfg.Blobs.Put(ctx, key, bytes.NewReader(s.enc.EncodeAll(part, nil))), s.cfg.Fault.Point("stream.segment.after"))
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.flying, st.failed = 0, err
	if err == nil {
		st.durable += int64(n)
		st.pending = bytes.Clone(st.pending[n:])
	}
	st.tell()
	if len(st.pending) > 0 {
		s.later(st)
	}
	return err
}

// Durable makes a stream durable up to its end, which is to be at a length and of a
// sha256 (hex), and ends it for those who watch. An error says what is missing.
func (s *Streams) Durable(ctx context.Context, run string, attempt int32, length int64, sum string) error {
	st, err := s.get(ctx, id{run, attempt})
	if err != nil {
		return err
	}
	for {
		st.mu.Lock()
		durable, next, waiting := st.durable, st.next(), len(st.pending)
		st.mu.Unlock()
		if next != length {
			return fmt.Errorf("the stream of run %s has %d bytes here, and %d are said to be sent", run, next, length)
		}
		if waiting == 0 && durable == length {
			break
		}
		if err := s.flush(ctx, st); err != nil {
			return err
		}
	}
	got, err := s.sum(ctx, st)
	if err != nil {
		return err
	}
	if got != sum {
		return fmt.Errorf("the stream of run %s has the sha256 %s here, and %s is said to be sent", run, got, sum)
	}
	s.End(run, attempt)
	return nil
}

// sum is the sha256 (hex) of a stream that is durable.
func (s *Streams) sum(ctx context.Context, st *stream) (string, error) {
	st.mu.Lock()
	known := st.sum
	st.mu.Unlock()
	if known != nil {
		return hex.EncodeToString(known.Sum(nil)), nil
	}
	h := sha256.New()
	segments, err := s.segments(ctx, st.id)
	if err != nil {
		return "", err
	}
	at := int64(0)
	for _, g := range segments {
		data, err := s.read(ctx, g)
		if err != nil {
			return "", err
		}
		h.Write(data[at-g.offset:])
		at = g.end()
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (s *Streams) read(ctx context.Context, g segment) ([]byte, error) {
	r, err := s.cfg.Blobs.Get(ctx, g.key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	packed, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read segment %s: %w", g.key, err)
	}
	data, err := s.dec.DecodeAll(packed, make([]byte, 0, g.length))
	if err != nil || int64(len(data)) != g.length {
		return nil, fmt.Errorf("segment %s is damaged", g.key)
	}
	return data, nil
}

// End says that nothing more will come of a stream.
func (s *Streams) End(run string, attempt int32) {
	s.mu.Lock()
	st := s.open[id{run, attempt}]
	s.mu.Unlock()
	if st == nil {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.ended {
		st.ended = true
		st.tell()
	}
}

// Read gives a stream from an offset on, part by part. With follow it waits for more
// until the stream has ended, else it ends where the stream does now.
func (s *Streams) Read(ctx context.Context, run string, attempt int32, offset int64, follow bool, give func(offset int64, data []byte) error) error {
	st, err := s.get(ctx, id{run, attempt})
	if err != nil {
		return err
	}
	st.mu.Lock()
	st.watched++
	st.mu.Unlock()
	defer func() {
		st.mu.Lock()
		st.watched--
		st.used = time.Now()
		st.mu.Unlock()
	}()
	for {
		st.mu.Lock()
		durable, news, ended := st.durable, st.news, st.ended
		var fresh []byte
		if offset >= durable {
			fresh = bytes.Clone(st.pending[min(offset-durable, int64(len(st.pending))):])
		}
		st.mu.Unlock()
		switch {
		case offset < durable:
			if offset, err = s.old(ctx, st.id, offset, give); err != nil {
				return err
			}
		case len(fresh) > 0:
			if err := give(offset, fresh); err != nil {
				return err
			}
			offset += int64(len(fresh))
		case ended || !follow:
			return nil
		default:
			select {
			case <-news:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// old gives what is in the blob store from an offset on, and where that ends.
func (s *Streams) old(ctx context.Context, i id, offset int64, give func(int64, []byte) error) (int64, error) {
	segments, err := s.segments(ctx, i)
	if err != nil {
		return offset, err
	}
	for _, g := range segments {
		if g.end() <= offset {
			continue
		}
		data, err := s.read(ctx, g)
		if err != nil {
			return offset, err
		}
		if err := give(offset, data[offset-g.offset:]); err != nil {
			return offset, err
		}
		offset = g.end()
	}
	return offset, nil
}

// Ack is how far a stream is durable here.
func (s *Streams) Ack(run string, attempt int32) (*apiv1.Ack, <-chan struct{}) {
	s.mu.Lock()
	st := s.open[id{run, attempt}]
	s.mu.Unlock()
	if st == nil {
		return nil, nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return &apiv1.Ack{RunId: run, Attempt: attempt, Durable: st.durable}, st.news
}
