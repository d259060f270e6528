package stream

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// Read gives a stream from an offset on, part by part, wherever it is written. With
// follow it waits for more until the stream has ended, else it ends where the stream
// does now. While give does not return, the stream goes on without it: what it has not
// seen is read from the blob store then.
func (s *Streams) Read(ctx context.Context, run string, attempt int32, offset int64, follow bool, give func(offset int64, data []byte) error) error {
	i := id{run, attempt}
	for {
		ended, next, err := s.tail(ctx, i, offset, follow, give)
		offset = next
		switch {
		case err == nil && (ended || !follow):
			return nil
		case err != nil && !errors.Is(err, ErrElsewhere):
			return err
		}
		// What other nodes have made durable is in the blob store, the rest only there.
		if offset, err = s.old(ctx, i, offset, give); err != nil {
			return err
		}
		ended, offset, err = s.elsewhere(ctx, i, offset, follow, give)
		if err != nil || ended || !follow {
			return err
		}
		select {
		case <-time.After(lookAgain):
		case <-s.left:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// elsewhere gives what another node has of a stream, if one has it.
func (s *Streams) elsewhere(ctx context.Context, i id, offset int64, follow bool, give func(int64, []byte) error) (ended bool, next int64, err error) {
	if s.cfg.Peers == nil {
		return false, offset, nil
	}
	for _, node := range s.cfg.Peers.Homes(ctx, i.run, i.attempt) {
		var giving error // ours, and not of the way there
		ended, err := s.cfg.Peers.Tail(ctx, node, i.run, i.attempt, offset, follow, func(at int64, data []byte) error {
			if at > offset {
				giving = errors.New("a node left out a part of a stream")
				return giving
			}
			if skip := offset - at; skip < int64(len(data)) {
				data = data[skip:]
				if giving = give(offset, data); giving != nil {
					return giving
				}
				offset += int64(len(data))
			}
			return nil
		})
		switch {
		case giving != nil:
			return false, offset, giving
		case ctx.Err() != nil:
			return false, offset, ctx.Err()
		case err == nil && (ended || !follow):
			return ended, offset, nil
		case err != nil && !errors.Is(err, ErrElsewhere):
			s.cfg.Logger.Debug("another node's stream was cut", "run", i.run, "node", node, "error", err)
		}
	}
	return false, offset, nil
}

// Tail is Read of a stream that this node writes, for another node; ErrElsewhere: it
// does not. It ends without an error and not ended when the agent has gone to another.
func (s *Streams) Tail(ctx context.Context, run string, attempt int32, offset int64, follow bool, give func(offset int64, data []byte) error) (ended bool, err error) {
	ended, _, err = s.tail(ctx, id{run, attempt}, offset, follow, give)
	return ended, err
}

func (s *Streams) tail(ctx context.Context, i id, offset int64, follow bool, give func(int64, []byte) error) (ended bool, next int64, err error) {
	st := s.here(i)
	if st == nil {
		return false, offset, ErrElsewhere
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
		part, durable, news, over, here := st.look(offset)
		switch {
		case offset < durable:
			from := offset
			if offset, err = s.old(ctx, i, offset, give); err != nil {
				return false, offset, err
			}
			if offset == from {
				return false, offset, errors.New("a part of the stream is gone from the blob store")
			}
		case len(part) > 0:
			if err := give(offset, part); err != nil {
				return false, offset, err
			}
			offset += int64(len(part))
		case over:
			return true, offset, nil
		case !follow:
			return false, offset, nil
		case !here:
			return false, offset, ErrElsewhere
		default:
			select {
			case <-news:
			case <-time.After(lookAgain): // an agent that posts says nothing when it goes
			case <-s.left:
				return false, offset, ErrClosed
			case <-ctx.Done():
				return false, offset, ctx.Err()
			}
		}
	}
}

// look is what a stream has at an offset, at most a chunk of it.
func (st *stream) look(offset int64) (part []byte, durable int64, news <-chan struct{}, over, here bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if from := offset - st.durable; from >= 0 && from < int64(len(st.pending)) {
		part = bytes.Clone(st.pending[from:min(from+chunkBytes, int64(len(st.pending)))])
	}
	return part, st.durable, st.news, st.ended, st.written()
}
