// Package stream brings the event streams of an agent's runs to the control plane: a
// file for each first, then frames over one socket, resumed where they were cut. It
// never reads what it sends; secrets are masked before they come here.
package stream

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/fault"
)

// Bounds of spools. Past one of them what is not needed for the verdict is left out of
// the stream, and counted: see Spool.Write.
const (
	DefaultRunBytes   = 64 << 20
	DefaultAgentBytes = 256 << 20
)

// Budget is the disk that all spools of an agent share.
type Budget struct {
	mu    sync.Mutex
	whole int64
	left  int64
	fault *fault.Set
}

// NewBudget is so many bytes; 0: DefaultAgentBytes.
func NewBudget(bytes int64, faults *fault.Set) *Budget {
	if bytes <= 0 {
		bytes = DefaultAgentBytes
	}
	return &Budget{whole: bytes, left: bytes, fault: faults}
}

// take gives n bytes, or none.
func (b *Budget) take(n int64, must bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left && !must {
		return false
	}
	b.left -= n
	return true
}

// Taken is how many bytes are on the disk.
func (b *Budget) Taken() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.whole - b.left
}

func (b *Budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}

// Spool is the stream of one attempt on the disk, from its beginning until all of it
// is acknowledged.
type Spool struct {
	Lease *apiv1.Lease

	mu      sync.Mutex
	file    *os.File
	budget  *Budget
	limit   int64
	size    int64
	sum     hash.Hash
	taken   int64 // of the budget
	dropped int64 // bytes that were left out since the last marker
	lost    int64 // in all
	closed  bool  // complete: nothing more is written
	durable int64
	sent    int64
	fenced  bool
	news    chan struct{}
}

// Create makes the spool of an attempt in a folder; limit 0: DefaultRunBytes.
func Create(dir string, l *apiv1.Lease, budget *Budget, limit int64) (*Spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool: %w", err)
	}
	f, err := os.OpenFile(Name(dir, l), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make spool: %w", err)
	}
	if limit <= 0 {
		limit = DefaultRunBytes
	}
	return &Spool{Lease: l, file: f, budget: budget, limit: limit, sum: sha256.New(), news: make(chan struct{})}, nil
}

// Open is the spool that an earlier process made of an attempt, as far as it is on the
// disk. Nothing more is written to it.
func Open(dir string, l *apiv1.Lease, budget *Budget) (_ *Spool, sum string, err error) {
	f, err := os.OpenFile(Name(dir, l), os.O_RDWR, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("open spool: %w", err)
	}
	s := &Spool{Lease: l, file: f, budget: budget, sum: sha256.New(), closed: true, news: make(chan struct{})}
	if s.size, err = io.Copy(s.sum, f); err != nil {
		return nil, "", errors.Join(fmt.Errorf("read spool: %w", err), f.Close())
	}
	budget.take(s.size, true)
	s.taken = s.size
	return s, hex.EncodeToString(s.sum.Sum(nil)), nil
}

// Name is the file of an attempt's spool.
func Name(dir string, l *apiv1.Lease) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d-%d.jsonl", l.GetRunId(), l.GetAttempt(), l.GetFence()))
}

// Size is how many bytes it has.
func (s *Spool) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Write adds a line. One that is not needed for the verdict (a log, an exchange) is
// left out where the spool is at its bound, and counted; the next line that is written
// comes after a marker that says how many bytes are missing there.
func (s *Spool) Write(line []byte, needed bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the stream is complete")
	}
	n := int64(len(line))
	needed = needed || s.budget.fault.Off("no_spool_bound")
	if !needed && (s.size+n > s.limit || !s.budget.take(n, false)) {
		s.dropped += n
		s.lost += n
		return nil
	}
	if needed {
		s.budget.take(n, true)
	}
	s.taken += n
	if s.dropped > 0 {
		if err := s.put(fmt.Appendf(nil, "{\"v\":1,\"type\":\"stream.cut\",\"run_id\":%q,\"dropped_bytes\":%d}\n", s.Lease.GetRunId(), s.dropped)); err != nil {
			return err
		}
		s.dropped = 0
	}
	return s.put(line)
}

func (s *Spool) put(line []byte) error {
	if _, err := s.file.WriteAt(line, s.size); err != nil {
		return fmt.Errorf("write the stream of run %s to the disk: %w", s.Lease.GetRunId(), err)
	}
	s.size += int64(len(line))
	s.sum.Write(line)
	s.tell()
	return nil
}

func (s *Spool) tell() {
	close(s.news)
	s.news = make(chan struct{})
}

// Complete says that nothing more is written, and gives the length of the stream, its
// sha256 (hex), and how many bytes were left out of it.
func (s *Spool) Complete() (length int64, sum string, dropped int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.dropped > 0 {
		// An error here shows with the length: the marker is not in it then.
		_ = s.put(fmt.Appendf(nil, "{\"v\":1,\"type\":\"stream.cut\",\"run_id\":%q,\"dropped_bytes\":%d}\n", s.Lease.GetRunId(), s.dropped))
		s.dropped = 0
	}
	s.closed = true
	s.tell()
	return s.size, hex.EncodeToString(s.sum.Sum(nil)), s.lost
}

// Remove deletes the spool.
func (s *Spool) Remove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.budget.give(s.taken)
	s.taken = 0
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// window is how much of a run may be on its way without an acknowledgement: a full
// segment of the control plane that is being stored, and another that fills.
const window = 8 << 20

// part reads what is to be sent next, at most limit bytes; nil: nothing is.
func (s *Spool) part(limit int64) (offset int64, data []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(s.size-s.sent, limit, s.durable+window-s.sent)
	if n <= 0 || s.fenced {
		return 0, nil, nil
	}
	data = make([]byte, n)
	if _, err := s.file.ReadAt(data, s.sent); err != nil {
		return 0, nil, fmt.Errorf("read the stream of run %s: %w", s.Lease.GetRunId(), err)
	}
	offset = s.sent
	s.sent += n
	s.tell()
	return offset, data, nil
}

// acknowledged takes in what the control plane says.
func (s *Spool) acknowledged(a *apiv1.Ack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.durable = max(s.durable, a.GetDurable())
	if a.GetRewind() {
		s.sent = min(a.GetNext(), s.size)
		s.durable = min(s.durable, s.sent)
	}
	s.sent = max(s.sent, s.durable)
	s.fenced = s.fenced || a.GetFenced()
	s.tell()
}

// again sends everything from the last acknowledgement on: the socket is another one.
func (s *Spool) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = s.durable
	s.tell()
}

// allSent says whether nothing of a complete spool is to be sent.
func (s *Spool) allSent() (done bool, news <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fenced || s.closed && s.sent == s.size, s.news
}
