package stream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// shelf is a blob store in memory, which may refuse.
type shelf struct {
	mu     sync.Mutex
	blobs  map[string][]byte
	refuse error
	puts   int
}

func newShelf() *shelf { return &shelf{blobs: map[string][]byte{}} }

func (s *shelf) Put(_ context.Context, key string, r io.Reader) error {
	data, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err = errors.Join(err, s.refuse); err != nil {
		return err
	}
	s.puts++
	s.blobs[key] = data
	return nil
}

func (s *shelf) Get(_ context.Context, key string) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.blobs[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (s *shelf) List(_ context.Context, prefix string) (keys []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.blobs {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

func (s *shelf) segments() (keys []string) {
	all, _ := s.List(context.Background(), "streams/")
	for _, key := range all {
		if strings.HasSuffix(key, ".zst") {
			keys = append(keys, strings.TrimPrefix(key, "streams/run/1/"))
		}
	}
	return keys
}

// node makes streams over a blob store; change may be nil.
func node(t testing.TB, blobs Blobs, change func(*Config)) *Streams {
	t.Helper()
	cfg := Config{
		Blobs: blobs, Logger: slog.New(slog.DiscardHandler),
		Holds: func(_ context.Context, _ string, l *apiv1.Lease) error {
			if l.GetFence() != 7 {
				return ErrFenced
			}
			return nil
		},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // a test may have made storing fail
	})
	return s
}

// pack compresses as an agent does. An encoder's channels belong to the bubble of a
// test, so each frame has its own.
func pack(text string) []byte {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(chunkBytes))
	if err != nil {
		panic(err)
	}
	return enc.EncodeAll([]byte(text), nil)
}

func frame(offset int64, text string) *apiv1.Frame {
	return &apiv1.Frame{
		Lease: &apiv1.Lease{RunId: "run", Attempt: 1, Fence: 7}, Offset: offset, Data: pack(text),
		Crc: crc32.Checksum([]byte(text), castagnoli), Length: int32(len(text)),
	}
}

func appended(t testing.TB, s *Streams, offset int64, text string) *apiv1.Ack {
	t.Helper()
	ack, err := s.Append(t.Context(), "agent", frame(offset, text))
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// all reads what there is of a stream from an offset on.
func all(t testing.TB, s *Streams, offset int64) string {
	t.Helper()
	var b strings.Builder
	at := offset
	err := s.Read(t.Context(), "run", 1, offset, false, func(from int64, data []byte) error {
		if from != at {
			t.Errorf("a part begins at %d and not at %d", from, at)
		}
		at += int64(len(data))
		b.Write(data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// follower reads a stream as it comes.
type follower struct {
	mu   sync.Mutex
	text strings.Builder
	done chan error
}

func follow(ctx context.Context, s *Streams, offset int64) *follower {
	f := &follower{done: make(chan error, 1)}
	go func() {
		f.done <- s.Read(ctx, "run", 1, offset, true, func(_ int64, data []byte) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.text.Write(data)
			return nil
		})
	}()
	return f
}

func (f *follower) got() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.String()
}

func TestALateWatcherSeesAllAndWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := node(t, newShelf(), nil)
		appended(t, s, 0, "one\n")
		time.Sleep(2 * sealAfter) // it is in the blob store
		appended(t, s, 4, "two\n")
		f := follow(t.Context(), s, 0)
		synctest.Wait()
		if got := f.got(); got != "one\ntwo\n" {
			t.Errorf("at once came %q", got)
		}
		appended(t, s, 8, "three\n")
		synctest.Wait()
		if got := f.got(); got != "one\ntwo\nthree\n" {
			t.Errorf("live came %q", got)
		}
		if err := s.Durable(t.Context(), "run", 1, 14, sumOf("one\ntwo\nthree\n")); err != nil {
			t.Fatal(err)
		}
		if err := <-f.done; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestAWatcherThatComesBackGoesOnWhereItWas(t *testing.T) {
	s := node(t, newShelf(), nil)
	appended(t, s, 0, "one\ntwo\n")
	for offset, want := range []string{"one\ntwo\n", "ne\ntwo\n", "e\ntwo\n"} {
		if got := all(t, s, int64(offset)); got != want {
			t.Errorf("from %d: %q", offset, got)
		}
	}
	if err := s.Durable(t.Context(), "run", 1, 8, sumOf("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	if got := all(t, s, 5); got != "wo\n" {
		t.Errorf("of what is durable: %q", got)
	}
}

func TestASegmentIsSealedAfterFiveSecondsOrFourMebibytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs := newShelf()
		s := node(t, blobs, nil)
		appended(t, s, 0, "one\n")
		time.Sleep(sealAfter - time.Millisecond)
		appended(t, s, 4, "two\n")
		if got := blobs.segments(); len(got) != 0 {
			t.Errorf("too soon there are %v", got)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := blobs.segments(); !slices.Equal(got, []string{"0000000000000000-8.zst"}) {
			t.Errorf("there are %v", got)
		}
		if ack := appended(t, s, 8, "x"); ack.GetDurable() != 8 {
			t.Errorf("durable is %d", ack.GetDurable())
		}
		large := strings.Repeat("y", segmentBytes-1)
		appended(t, s, 9, large)
		synctest.Wait() // no time goes by
		if got := blobs.segments(); len(got) != 2 || got[1] != fmt.Sprintf("0000000000000008-%d.zst", segmentBytes) {
			t.Errorf("there are %v", got)
		}
	})
}

func TestFramesThatDoNotFit(t *testing.T) {
	s := node(t, newShelf(), nil)
	appended(t, s, 0, "one\n")
	t.Run("behind the end", func(t *testing.T) {
		if ack := appended(t, s, 10, "far\n"); !ack.GetRewind() || ack.GetNext() != 4 {
			t.Errorf("got %v", ack)
		}
	})
	t.Run("known already", func(t *testing.T) {
		if ack := appended(t, s, 0, "one\n"); ack.GetRewind() {
			t.Errorf("got %v", ack)
		}
	})
	t.Run("partly known", func(t *testing.T) { appended(t, s, 2, "e\ntwo\n") })
	broken := map[string]func(f *apiv1.Frame){
		"a wrong checksum":    func(f *apiv1.Frame) { f.Crc++ },
		"a wrong length":      func(f *apiv1.Frame) { f.Length++ },
		"a length that lies":  func(f *apiv1.Frame) { f.Length = maxFrame + 1 },
		"no compressed bytes": func(f *apiv1.Frame) { f.Data = []byte("plain") },
	}
	for name, change := range broken {
		t.Run(name, func(t *testing.T) {
			f := frame(8, "three\n")
			change(f)
			ack, err := s.Append(t.Context(), "agent", f)
			if err != nil || !ack.GetRewind() || ack.GetNext() != 8 {
				t.Errorf("got %v, %v", ack, err)
			}
		})
	}
	t.Run("of an older lease", func(t *testing.T) {
		f := frame(8, "three\n")
		f.Lease.Fence = 6
		ack, err := node(t, newShelf(), nil).Append(t.Context(), "agent", f)
		if err != nil || !ack.GetFenced() {
			t.Errorf("got %v, %v", ack, err)
		}
	})
	if got := all(t, s, 0); got != "one\ntwo\n" {
		t.Errorf("the stream is %q", got)
	}
}

func TestWhatIsMissingAtTheEndIsSaid(t *testing.T) {
	s := node(t, newShelf(), nil)
	appended(t, s, 0, "one\n")
	tests := map[string]struct {
		length int64
		sum    string
		want   string
	}{
		"too short": {9, sumOf("one\n"), "has 4 bytes here, and 9 are said to be sent"},
		"too long":  {3, sumOf("one"), "has 4 bytes here, and 3 are said"},
		"other":     {4, sumOf("two\n"), "and " + sumOf("two\n") + " is said to be sent"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := s.Durable(t.Context(), "run", 1, test.length, test.sum)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnotherNodeGoesOn(t *testing.T) {
	blobs := newShelf()
	a, b := node(t, blobs, nil), node(t, blobs, nil)
	appended(t, a, 0, "one\n")
	if err := a.drain(t.Context(), a.open[id{"run", 1}]); err != nil {
		t.Fatal(err)
	}
	appended(t, a, 4, "two\n") // which nobody was told to be durable
	if ack := appended(t, b, 8, "three\n"); !ack.GetRewind() || ack.GetNext() != 4 {
		t.Fatalf("got %v", ack)
	}
	appended(t, b, 4, "two\nthree\n")
	if err := b.drain(t.Context(), b.open[id{"run", 1}]); err != nil {
		t.Fatal(err)
	}
	// The first one still writes what it has; both are of the same bytes.
	if err := a.drain(t.Context(), a.open[id{"run", 1}]); err != nil {
		t.Fatal(err)
	}
	if got := all(t, node(t, blobs, nil), 0); got != "one\ntwo\nthree\n" {
		t.Errorf("the stream is %q", got)
	}
	// And the agent comes back to the first, which looks how far it is by now.
	if ack := appended(t, a, 14, "four\n"); ack.GetRewind() {
		t.Errorf("got %v", ack)
	}
	text := "one\ntwo\nthree\nfour\n"
	if err := a.Durable(t.Context(), "run", 1, int64(len(text)), sumOf(text)); err != nil {
		t.Error(err)
	}
	if err := node(t, blobs, nil).Durable(t.Context(), "run", 1, int64(len(text)), sumOf(text)); err != nil {
		t.Errorf("at a node that has seen nothing of it: %v", err)
	}
}

func TestOnlySegmentsWithoutGapsCount(t *testing.T) {
	blobs := newShelf()
	s := node(t, blobs, nil)
	i := id{"run", 1}
	for at, text := range map[int64]string{0: "0123", 2: "23456", 20: "later", 4: "4"} {
		if err := blobs.Put(t.Context(), i.segmentKey(at, len(text)), bytes.NewReader(s.enc.EncodeAll([]byte(text), nil))); err != nil {
			t.Fatal(err)
		}
	}
	blobs.blobs[i.prefix()+"notes.txt"] = []byte("no segment")
	if got := all(t, s, 0); got != "0123456" {
		t.Errorf("got %q", got)
	}
	if ack := appended(t, s, 7, "789"); ack.GetRewind() || ack.GetDurable() != 7 {
		t.Errorf("got %v", ack)
	}
}

func TestASegmentThatIsDamagedIsNotGivenAsTheWhole(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"changed": func(b []byte) []byte { b[len(b)/2] ^= 0x55; return b },
		"emptied": func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			blobs := newShelf()
			s := node(t, blobs, nil)
			text := strings.Repeat("a line of a log\n", 5000)
			appended(t, s, 0, text)
			if err := s.Durable(t.Context(), "run", 1, int64(len(text)), sumOf(text)); err != nil {
				t.Fatal(err)
			}
			for key, data := range blobs.blobs {
				blobs.blobs[key] = damage(bytes.Clone(data))
			}
			err := node(t, blobs, nil).Read(t.Context(), "run", 1, 0, false, func(int64, []byte) error { return nil })
			if err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAFullBlobStoreLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs := newShelf()
		s := node(t, blobs, nil)
		appended(t, s, 0, "one\n")
		time.Sleep(2 * sealAfter)
		blobs.fail(errors.New("there is no room left"))
		appended(t, s, 4, "two\n")
		time.Sleep(time.Minute)
		if ack := appended(t, s, 8, "three\n"); ack.GetDurable() != 4 {
			t.Errorf("acknowledged are %d bytes", ack.GetDurable())
		}
		err := s.Durable(t.Context(), "run", 1, 14, sumOf("one\ntwo\nthree\n"))
		if err == nil || !strings.Contains(err.Error(), "no room left") {
			t.Errorf("a verdict is refused with %v", err)
		}
		blobs.fail(nil)
		time.Sleep(2 * againMost)
		synctest.Wait()
		if ack, _ := s.Ack("run", 1); ack.GetDurable() != 14 {
			t.Errorf("once there is room %d bytes are durable", ack.GetDurable())
		}
		if err := s.Durable(t.Context(), "run", 1, 14, sumOf("one\ntwo\nthree\n")); err != nil {
			t.Error(err)
		}
	})
}

func TestASenderWaitsWhereNothingCanBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs := newShelf()
		blobs.fail(errors.New("full"))
		s := node(t, blobs, nil)
		part := strings.Repeat("x", maxFrame)
		appended(t, s, 0, part)
		appended(t, s, maxFrame, part)
		waiting := make(chan error, 1)
		go func() {
			_, err := s.Append(t.Context(), "agent", frame(2*maxFrame, part))
			waiting <- err
		}()
		time.Sleep(time.Minute)
		select {
		case err := <-waiting:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		blobs.fail(nil)
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		time.Sleep(2 * sealAfter) // all of it is stored
		ctx, cancel := context.WithCancel(t.Context())
		blobs.fail(errors.New("full"))
		appended(t, s, 3*maxFrame, part)
		appended(t, s, 4*maxFrame, part)
		go func() {
			_, err := s.Append(ctx, "agent", frame(5*maxFrame, part))
			waiting <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("a sender that goes away: %v", err)
		}
	})
}

func TestWhenMemoryIsScarceNothingWaitsForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs := newShelf()
		s := node(t, blobs, nil)
		s.memory.take(maxMemory/2 + 1)
		appended(t, s, 0, "one\n")
		synctest.Wait() // no time goes by
		if got := blobs.segments(); len(got) != 1 {
			t.Errorf("there are %v", got)
		}
		s.memory.take(maxMemory)
		waiting := make(chan error, 1)
		go func() {
			_, err := s.Append(t.Context(), "agent", frame(4, "two\n"))
			waiting <- err
		}()
		synctest.Wait()
		if len(waiting) != 0 {
			t.Fatal("more was taken than there is memory for")
		}
		s.memory.give(maxMemory + maxMemory/2 + 1)
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		if used, _ := s.memory.state(); used != 4 {
			t.Errorf("%d bytes are counted", used)
		}
	})
}

func TestTheEndOfANodeStoresWhatCame(t *testing.T) {
	blobs := newShelf()
	s := node(t, blobs, nil)
	appended(t, s, 0, "one\n")
	f := follow(t.Context(), s, 0)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-f.done; !errors.Is(err, ErrClosed) {
		t.Errorf("who watched was told %v", err)
	}
	if _, err := s.Append(t.Context(), "agent", frame(4, "two\n")); err == nil {
		t.Error("a node that has ended took a frame")
	}
	if got := all(t, node(t, blobs, nil), 0); got != "one\n" {
		t.Errorf("kept is %q", got)
	}
}

func TestStreamsThatNobodyUsesLeaveTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := node(t, newShelf(), nil)
		appended(t, s, 0, "one\n")
		time.Sleep(sealAfter + 2*idleAfter)
		f := frame(0, "x")
		f.Lease.RunId = "another"
		if _, err := s.Append(t.Context(), "agent", f); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.open) != 1 {
			t.Errorf("%d streams are in memory", len(s.open))
		}
	})
}

func TestWatchersThatStallDoNotHoldUpAgents(t *testing.T) {
	s := node(t, newShelf(), nil)
	line := strings.Repeat("x", 1023) + "\n"
	appended(t, s, 0, line)
	ctx, cancel := context.WithCancel(t.Context())
	stalled, largest := make(chan struct{}, 50), make(chan int, 1000)
	var watchers sync.WaitGroup
	for range 50 {
		watchers.Go(func() {
			_ = s.Read(ctx, "run", 1, 0, true, func(_ int64, data []byte) error {
				largest <- len(data)
				select {
				case stalled <- struct{}{}:
				default:
				}
				<-ctx.Done()
				return ctx.Err()
			})
		})
	}
	for range 50 {
		<-stalled
	}
	at := int64(len(line))
	chunk := strings.Repeat(line, 1024)
	began := time.Now()
	for range 64 {
		appended(t, s, at, chunk)
		at += int64(len(chunk))
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("64 MiB took %v beside watchers that stall", took)
	}
	cancel()
	watchers.Wait()
	close(largest)
	for n := range largest {
		if n > chunkBytes {
			t.Errorf("a watcher was given %d bytes at once", n)
		}
	}
}

func BenchmarkIngest(b *testing.B) {
	for name, secrets := range map[string]map[string]string{
		"plain": nil, "with 20 secrets to look for": many(20),
	} {
		b.Run(name, func(b *testing.B) {
			s := node(b, newShelf(), func(c *Config) {
				c.Secrets = func(context.Context, string) (map[string]string, error) { return secrets, nil }
			})
			var text strings.Builder
			for n := 0; text.Len() < chunkBytes; n++ {
				fmt.Fprintf(&text, `{"v":1,"type":"step.log","seq":%d,"time":"2026-01-02T03:04:05.%06dZ","run_id":"run","step_id":"order","level":"info","message":"order %d of customer %d was taken in %d ms"}`+"\n", n, n, n*7919, n%97, n%41)
			}
			f := frame(0, text.String())
			b.SetBytes(int64(text.Len()))
			for n := 0; b.Loop(); n++ {
				f.Offset = int64(n) * int64(text.Len())
				if _, err := s.Append(b.Context(), "agent", f); err != nil {
					b.Fatal(err)
				}
				if n%1024 == 1023 { // the memory of the test is none of a blob store
					s.cfg.Blobs.(*shelf).forget()
				}
			}
		})
	}
}

func (s *shelf) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs = map[string][]byte{}
}

func many(n int) map[string]string {
	out := map[string]string{}
	for i := range n {
		out[fmt.Sprintf("SECRET_%d", i)] = fmt.Sprintf("v%d-kQ9x/+&=%d", i*7919, i)
	}
	return out
}

func TestAWatcherThatStallsHasLittleInMemory(t *testing.T) {
	s := node(t, newShelf(), nil)
	line := strings.Repeat("0123456789abcdef", 63) + "\n"
	part := strings.Repeat(line, maxFrame/len(line))
	for n := range 4 {
		appended(t, s, int64(n*len(part)), part)
	}
	if err := s.drain(t.Context(), s.open[id{"run", 1}]); err != nil {
		t.Fatal(err)
	}
	inUse := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	const many = 50
	ctx, cancel := context.WithCancel(t.Context())
	stalled := make(chan struct{}, many)
	var watchers sync.WaitGroup
	before := inUse()
	for range many {
		watchers.Go(func() {
			parts := 0
			_ = s.Read(ctx, "run", 1, 0, true, func(_ int64, data []byte) error {
				if parts++; parts < 5 { // in the middle of a segment
					return nil
				}
				stalled <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			})
		})
	}
	for range many {
		<-stalled
	}
	if each := (inUse() - before) / many; each > 768<<10 {
		t.Errorf("each has %d KiB in memory", each>>10)
	} else {
		t.Logf("each has %d KiB in memory", each>>10)
	}
	cancel()
	watchers.Wait()
}
