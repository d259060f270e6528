package stream

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"time"
)

// later makes what waits durable soon, or now where a segment is full or memory is
// scarce. The stream is locked.
func (s *Streams) later(st *stream, now bool) {
	if st.flying > 0 || len(st.pending) == 0 {
		return // what is being written looks again when it is
	}
	wait := sealAfter
	switch {
	case st.failed != nil:
		wait = min(againAfter<<min(st.tries-1, 10), againMost)
	case now || len(st.pending) >= segmentBytes:
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
		_ = s.flush(context.Background(), st) // said there, and tried again
	})
}

// flush makes a segment of what waits, and that durable.
func (s *Streams) flush(ctx context.Context, st *stream) error {
	st.mu.Lock()
	if st.timer != nil && st.timer.Stop() {
		s.work.Done()
	}
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
	n := st.cut()
	if n == 0 {
		st.mu.Unlock()
		return nil
	}
	st.flying = n
	part, at, masked := st.pending[:n:n], st.durable, st.scan.unmarked()
	st.mu.Unlock()
	err := s.store(ctx, st, at, part, masked)
	st.mu.Lock()
	defer st.mu.Unlock()
	s.told(st, err)
	st.flying, st.failed, st.tries = 0, err, st.tries+1
	if err == nil {
		st.tries = 0
		st.durable += int64(n)
		st.pending = bytes.Clone(st.pending[n:])
		s.memory.give(n)
		st.scan.mark(masked)
	}
	st.tell()
	used, _ := s.memory.state()
	s.later(st, used > maxMemory/2)
	return err
}

// cut is how much of what waits the next segment has. Where secrets are looked for it
// ends with a line: whoever goes on behind it must not begin within a secret.
func (st *stream) cut() int {
	n := min(len(st.pending), segmentBytes)
	if n == len(st.pending) || st.scan == nil || st.scan.masker.Empty() {
		return n
	}
	if end := bytes.LastIndexByte(st.pending[:n], '\n'); end >= 0 {
		return end + 1
	}
	return n
}

func (s *Streams) store(ctx context.Context, st *stream, at int64, part []byte, masked int64) error {
	if masked > 0 { // before what it is about: a sum that differs must be explained
		if err := s.cfg.Blobs.Put(ctx, st.id.maskedKey(), bytes.NewReader(fmt.Appendf(nil, "%d\n", masked))); err != nil {
			return err
		}
	}
	if err := s.cfg.Fault.Point("stream.segment.before"); err != nil {
		return err
	}
	if err := s.cfg.Blobs.Put(ctx, st.id.segmentKey(at, len(part)), bytes.NewReader(s.enc.EncodeAll(part, nil))); err != nil {
		return err
	}
	return s.cfg.Fault.Point("stream.segment.after")
}

// told logs when storing begins to fail, and when it works again: not each time.
func (s *Streams) told(st *stream, err error) {
	switch {
	case err != nil && st.failed == nil:
		s.cfg.Logger.Error("a segment could not be stored: it is tried again, and its agent keeps it meanwhile", "run", st.id.run, "error", err)
	case err == nil && st.failed != nil:
		s.cfg.Logger.Info("segments are stored again", "run", st.id.run)
	}
}

// drain makes all of a stream durable but the beginning of a line.
func (s *Streams) drain(ctx context.Context, st *stream) error {
	for {
		st.mu.Lock()
		waiting := len(st.pending)
		st.mu.Unlock()
		if waiting == 0 {
			return nil
		}
		if err := s.flush(ctx, st); err != nil {
			return err
		}
	}
}

// Durable makes a stream durable up to its end, which is to be at a length and of a
// sha256 (hex), and ends it for those who watch. An error says what is missing.
func (s *Streams) Durable(ctx context.Context, run string, attempt int32, length int64, sum string) error {
	st, err := s.get(ctx, id{run, attempt})
	if err != nil {
		return err
	}
	st.mu.Lock()
	short := st.next() < length
	st.mu.Unlock()
	if short && st.elsewhere() { // the rest may have come to another node
		if err := s.reload(ctx, st); err != nil {
			return err
		}
	}
	st.arrive(ctx, length)
	st.mu.Lock()
	next := st.next()
	if next == length {
		st.complete()
	}
	st.mu.Unlock()
	if next != length {
		return fmt.Errorf("the stream of run %s has %d bytes here, and %d are said to be sent", run, next, length)
	}
	if err := s.drain(ctx, st); err != nil {
		return err
	}
	got, masked, err := s.sum(ctx, st)
	switch {
	case err != nil:
		return err
	case masked: // it is not kept as it came, and its parts were checked as they came
	case got != sum:
		return fmt.Errorf("the stream of run %s has the sha256 %s here, and %s is said to be sent", run, got, sum)
	}
	s.End(run, attempt)
	return nil
}

// elsewhere says that no socket of the stream is here.
func (st *stream) elsewhere() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.sockets == 0
}

// arriveWithin is how long the end of a stream may be on its way when its run is
// finished: an agent finishes as soon as it has sent all, over another connection.
const arriveWithin = time.Second

// arrive waits until a stream has a length, or not any longer.
func (st *stream) arrive(ctx context.Context, length int64) {
	ctx, cancel := context.WithTimeout(ctx, arriveWithin)
	defer cancel()
	for {
		st.mu.Lock()
		short, news := st.next() < length, st.news
		st.mu.Unlock()
		if !short {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			return
		}
	}
}

// sum is the sha256 (hex) of a stream that is durable, as it came; masked: that is not
// known any more, because it is kept otherwise.
func (s *Streams) sum(ctx context.Context, st *stream) (sum string, masked bool, err error) {
	st.mu.Lock()
	known := st.sum
	st.mu.Unlock()
	if known != nil {
		return hex.EncodeToString(known.Sum(nil)), false, nil
	}
	return s.sumOf(ctx, st.id)
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
