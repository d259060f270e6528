package stream

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// Append adds a frame of an agent's. What is said of it in the answer is true already:
// everything before Durable stays. While the blob store takes nothing, because it is
// full or away, nothing more is acknowledged, and at last Append waits: the agent has
// it all on its disk and sends it when it goes on.
func (s *Streams) Append(ctx context.Context, agent string, f *apiv1.Frame) (*apiv1.Ack, error) {
	st, ack, err := s.append(ctx, agent, f)
	if st != nil && err == nil {
		st.mu.Lock()
		st.posted = time.Now()
		st.mu.Unlock()
	}
	return ack, err
}

// append is Append; the stream is nil where the frame was not for one.
func (s *Streams) append(ctx context.Context, agent string, f *apiv1.Frame) (*stream, *apiv1.Ack, error) {
	l := f.GetLease()
	ack := &apiv1.Ack{RunId: l.GetRunId(), Attempt: l.GetAttempt()}
	st, err := s.get(ctx, id{l.GetRunId(), l.GetAttempt()})
	if err != nil {
		return nil, nil, err
	}
	if err := s.holds(ctx, st, agent, l); errors.Is(err, ErrFenced) {
		ack.Fenced = true
		return nil, ack, nil
	} else if err != nil {
		return nil, nil, err
	}
	if err := s.know(ctx, st); err != nil {
		return nil, nil, err
	}
	data, err := s.unpack(f)
	if err != nil {
		st.mu.Lock()
		defer st.mu.Unlock()
		ack.Rewind, ack.Next, ack.Durable = true, st.next(), st.durable
		s.cfg.Logger.Warn("a frame was broken", "run", l.GetRunId(), "error", err)
		return st, ack, nil
	}
	if err := s.room(ctx, st); err != nil {
		return nil, nil, err
	}
	if s.gap(st, f) {
		if err := s.reload(ctx, st); err != nil {
			return nil, nil, err
		}
	}
	s.add(st, f.GetOffset(), data, ack)
	return st, ack, nil
}

// gap says whether a frame begins behind the end of its stream.
func (s *Streams) gap(st *stream, f *apiv1.Frame) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return f.GetOffset() > st.next()
}

func (s *Streams) add(st *stream, at int64, data []byte, ack *apiv1.Ack) {
	used, _ := s.memory.state()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.used = time.Now()
	if s.cfg.Fault.Off("no_offset_check") {
		at = st.next()
	}
	switch {
	case at > st.next():
		ack.Rewind, ack.Next = true, st.next()
	case at+int64(len(data)) > st.next():
		fresh := data[st.next()-at:]
		if st.sum != nil {
			_, _ = st.sum.Write(fresh) // a hash does not fail
		}
		s.memory.take(len(fresh))
		st.take(fresh)
		st.tell()
		s.later(st, used > maxMemory/2)
	}
	ack.Durable = st.durable
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
		used, freed := s.memory.state()
		st.mu.Lock()
		full, news, closed := st.waits() >= maxPending, st.news, st.closed
		st.mu.Unlock()
		switch {
		case closed:
			return ErrClosed
		case !full && used < maxMemory:
			return nil
		case !full:
			news = nil
		}
		select {
		case <-news:
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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
