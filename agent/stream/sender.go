package stream

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const (
	// frameBytes is how much of a stream one frame has, before compression.
	frameBytes = 256 << 10
	// messageFrames is how many frames one message has.
	messageFrames = 8
	// cutSoon is when a socket was cut so early that a proxy is to blame: twice in a
	// row, and frames are posted for postFor.
	cutSoon = 5 * time.Second
	postFor = time.Minute
	// retry lies between two tries to connect; it grows to retryMost.
	retry     = 200 * time.Millisecond
	retryMost = 10 * time.Second
	// dialWithin bounds a handshake, silence a socket on which nothing comes, not even
	// the answer to a ping.
	dialWithin = 10 * time.Second
	silence    = time.Minute
)

// Poster sends frames as a request.
type Poster interface {
	Append(ctx context.Context, req *apiv1.AppendRequest) (*apiv1.AppendResponse, error)
}

// Config is where a sender sends to.
type Config struct {
	// Address is the control plane's, where it is reached now: https://mesh.example.com.
	Address func() string
	// Leave is told of an address at which nothing answers; nil: nobody is.
	Leave func(address string)
	// Sign signs the request that opens the socket.
	Sign   func(req *http.Request) error
	Dialer *websocket.Dialer
	Poster Poster
	Logger *slog.Logger
	// PostOnly opens no socket.
	PostOnly bool
}

// Sender sends the spools of an agent. It is safe for concurrent use.
type Sender struct {
	cfg Config
	enc *zstd.Encoder
	by  atomic.Pointer[string]

	mu     sync.Mutex
	spools map[string]*Spool // by run and attempt
	wake   chan struct{}
}

// NewSender makes a sender; it sends nothing before Run.
func NewSender(cfg Config) (*Sender, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(frameBytes))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	return &Sender{cfg: cfg, enc: enc, spools: map[string]*Spool{}, wake: make(chan struct{}, 1)}, nil
}

func key(run string, attempt int32) string { return fmt.Sprintf("%s/%d", run, attempt) }

// Add has a spool sent, from now on and until Drop.
func (s *Sender) Add(p *Spool) {
	s.mu.Lock()
	s.spools[key(p.Lease.GetRunId(), p.Lease.GetAttempt())] = p
	s.mu.Unlock()
	s.kick()
}

// Drop sends no more of a spool.
func (s *Sender) Drop(p *Spool) {
	s.mu.Lock()
	delete(s.spools, key(p.Lease.GetRunId(), p.Lease.GetAttempt()))
	s.mu.Unlock()
}

// Written says that there is more to send.
func (s *Sender) Written() { s.kick() }

func (s *Sender) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Sent waits until all of a complete spool is sent; fenced: nobody wants it. It is not
// acknowledged yet: who finishes the run makes the control plane keep the rest at once,
// instead of when a segment is full.
func (s *Sender) Sent(ctx context.Context, p *Spool) (fenced bool, err error) {
	for {
		done, news := p.allSent()
		if done {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.fenced, nil
		}
		s.kick()
		select {
		case <-news:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// Drained waits until all of a complete spool is kept; fenced: nobody wants it.
func (s *Sender) Drained(ctx context.Context, p *Spool) (fenced bool, err error) {
	for {
		p.mu.Lock()
		kept, fenced, news := p.closed && p.durable == p.size, p.fenced, p.news
		p.mu.Unlock()
		if kept || fenced {
			return fenced, nil
		}
		s.kick()
		select {
		case <-news:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// Run sends until ctx ends, over one socket after the other.
func (s *Sender) Run(ctx context.Context) {
	wait, early := retry, 0
	for ctx.Err() == nil {
		began, had := time.Now(), s.acknowledged()
		if s.cfg.PostOnly || early >= 2 {
			s.post(ctx, began.Add(postFor))
			early = 0
			continue
		}
		err := s.socket(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) < cutSoon {
			early++
		} else {
			early = 0
		}
		if early == 0 || s.acknowledged() > had { // it was of use: the next one may be too
			wait = retry
		}
		s.cfg.Logger.Debug("the stream was cut", "error", err)
		select {
		case <-time.After(wait/2 + rand.N(wait/2)): // not all agents of a node that is gone at once
		case <-ctx.Done():
		}
		wait = min(2*wait, retryMost)
	}
}

// frames are what is to be sent next.
func (s *Sender) frames() (list []*apiv1.Frame, err error) {
	s.mu.Lock()
	spools := make([]*Spool, 0, len(s.spools))
	for _, p := range s.spools {
		spools = append(spools, p)
	}
	s.mu.Unlock()
	for _, p := range spools {
		offset, data, err := p.part(frameBytes)
		if err != nil {
			return nil, err
		}
		if len(data) == 0 {
			continue
		}
		list = append(list, &apiv1.Frame{
			Lease: p.Lease, Offset: offset, Data: s.enc.EncodeAll(data, nil), Crc: crc32.Checksum(data, castagnoli), Length: int32(len(data)),
		})
		if len(list) == messageFrames {
			break
		}
	}
	return list, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s *Sender) take(res *apiv1.AppendResponse) {
	for _, a := range res.GetAcks() {
		s.mu.Lock()
		p := s.spools[key(a.GetRunId(), a.GetAttempt())]
		s.mu.Unlock()
		if p != nil {
			p.acknowledged(a)
		}
	}
	s.kick()
}

func (s *Sender) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.spools {
		p.again()
	}
}

// By is how frames are sent: "websocket" or "requests"; "" before the first.
func (s *Sender) By() string {
	if by := s.by.Load(); by != nil {
		return *by
	}
	return ""
}

func (s *Sender) use(by string) { s.by.Store(&by) }

// socket sends over one socket until it is cut.
func (s *Sender) socket(ctx context.Context) error {
	address := s.cfg.Address()
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/api/v1/agent/stream"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	if err := s.cfg.Sign(req); err != nil {
		return err
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	dialing, cancel := context.WithTimeout(ctx, dialWithin)
	conn, res, err := s.cfg.Dialer.DialContext(dialing, u.String(), req.Header)
	cancel()
	if res != nil {
		_ = res.Body.Close() // of a refusal: its status says enough
	}
	if err != nil {
		if s.cfg.Leave != nil && res == nil && ctx.Err() == nil { // what answers is there
			s.cfg.Leave(address)
		}
		return err
	}
	s.use("websocket")
	s.again()
	reading := make(chan error, 1)
	go func() { reading <- s.read(conn) }()
	err = s.write(ctx, conn, reading)
	_ = conn.Close() // which ends read
	return errors.Join(err, <-reading)
}

func (s *Sender) read(conn *websocket.Conn) error {
	alive := func() { _ = conn.SetReadDeadline(time.Now().Add(silence)) } // a closed one says so next
	alive()
	ping := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { alive(); return ping(data) })
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		alive()
		res := &apiv1.AppendResponse{}
		if err := proto.Unmarshal(data, res); err != nil {
			return err
		}
		s.take(res)
	}
}

func (s *Sender) write(ctx context.Context, conn *websocket.Conn, reading chan error) error {
	for {
		frames, err := s.frames()
		if err != nil {
			return err
		}
		if len(frames) == 0 {
			select {
			case <-s.wake:
			case err := <-reading:
				reading <- nil // for socket
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		data, err := proto.Marshal(&apiv1.AppendRequest{Frames: frames})
		if err != nil {
			return err
		}
		if err := errors.Join(conn.SetWriteDeadline(time.Now().Add(silence)), conn.WriteMessage(websocket.BinaryMessage, data)); err != nil {
			return err
		}
	}
}

// post sends the same frames as requests.
func (s *Sender) post(ctx context.Context, until time.Time) {
	s.use("requests")
	s.again()
	wait := retry
	for ctx.Err() == nil && (s.cfg.PostOnly || time.Now().Before(until)) {
		frames, err := s.frames()
		if err == nil && len(frames) == 0 && !s.unacknowledged() {
			select {
			case <-s.wake:
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		asked := false
		if err == nil {
			var res *apiv1.AppendResponse
			if asked = len(frames) == 0; asked { // how far it is
				frames = s.probes()
			}
			if res, err = s.cfg.Poster.Append(ctx, &apiv1.AppendRequest{Frames: frames}); err == nil {
				s.take(res)
				wait = retry
			}
		}
		if err != nil {
			s.cfg.Logger.Debug("frames could not be posted", "error", err)
			s.again()
			wait = min(2*wait, retryMost)
		} else if !asked {
			continue // there may be more
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// acknowledged is how much of all streams is durable.
func (s *Sender) acknowledged() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.spools {
		p.mu.Lock()
		n += p.durable
		p.mu.Unlock()
	}
	return n
}

// unacknowledged: something was sent that is not durable yet.
func (s *Sender) unacknowledged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.spools {
		p.mu.Lock()
		open := p.sent > p.durable && !p.fenced
		p.mu.Unlock()
		if open {
			return true
		}
	}
	return false
}

// probes are empty frames, whose answers say how far the streams are.
func (s *Sender) probes() (list []*apiv1.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.spools {
		p.mu.Lock()
		if p.sent > p.durable && !p.fenced {
			list = append(list, &apiv1.Frame{Lease: p.Lease, Offset: p.durable, Data: s.enc.EncodeAll(nil, nil), Crc: crc32.Checksum(nil, castagnoli)})
		}
		p.mu.Unlock()
	}
	return list
}
