package grpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxKept and maxKeptBytes bound the messages of a result; those over are
	// counted and judged, and not kept.
	maxKept      = 10_000
	maxKeptBytes = 64 << 20
	// maxAhead bounds what has come and was not yet looked at; past it the server
	// is made to wait.
	maxAhead = 64
)

// stream is one stream under way: one goroutine sends, one receives, and the
// step's own reads what has come, so that neither side waits for the other.
type stream struct {
	*rpc
	in     *streamIn
	until  *pattern
	where  *pattern
	client grpc.ClientStream

	outbox  chan []byte // encoded messages; closed: close our side
	sent    atomic.Int64
	unsent  chan error // why a message could not be sent, by our own fault
	inbox   chan []byte
	recvErr error // read once inbox is closed
	running sync.WaitGroup

	out     streamOut
	size    int
	full    bool   // no more is kept
	over    string // until or max_receive, once it holds
	nearest near   // to until
	sends   []json.RawMessage
}

// streaming is grpc.stream.
func streaming(ctx context.Context, call *plugin.Call, in streamIn) (streamOut, error) {
	s := &stream{in: &in}
	lines, err := in.lines()
	if err != nil {
		return streamOut{}, err
	}
	if s.until, err = compilePattern("until", in.Until); err != nil {
		return streamOut{}, err
	}
	if s.where, err = compilePattern("where", in.Where); err != nil {
		return streamOut{}, err
	}
	if s.rpc, err = begin(ctx, call, &in.rpcIn); err != nil {
		return streamOut{}, err
	}
	defer s.end()
	if err := s.checkKind(); err != nil {
		return streamOut{}, err
	}
	script, err := s.prepare(lines)
	if err != nil {
		return streamOut{}, err
	}
	err = s.run(script)
	said := conversation{request: shownList(s.sends), response: shownList(s.out.Messages), status: s.out.Status}
	s.report(said, err)
	return s.out, err
}

func (s *stream) checkKind() error {
	kind := ""
	switch {
	case s.method.IsStreamingClient() && s.method.IsStreamingServer():
		kind = "bidi"
	case s.method.IsStreamingClient():
		kind = "client"
	case s.method.IsStreamingServer():
		kind = "server"
	default:
		return plugin.Definitionf("method", "%s does not stream", s.name()).WithHint("use grpc.call")
	}
	if s.in.Type != "" && s.in.Type != kind {
		return plugin.Definitionf("type", "is %s, and %s is of type %s", s.in.Type, s.name(), kind)
	}
	return nil
}

// action is a line of the script, ready.
type action struct {
	at      string
	message []byte
	pattern *pattern
	line    line
}

// prepare encodes all messages before the first is sent.
func (s *stream) prepare(lines []line) ([]action, error) {
	var script []action
	sends := 0
	for i, l := range lines {
		a := action{at: fmt.Sprintf("script[%d]", i), line: l}
		switch {
		case len(l.Send) > 0:
			at := a.at + ".send"
			if len(s.in.Request) > 0 {
				at = "request"
			} else if len(s.in.Messages) > 0 {
				at = fmt.Sprintf("messages[%d]", i)
			}
			data, err := s.schema.encode(s.method.Input(), l.Send, at)
			if err != nil {
				return nil, err
			}
			a.message = data
			if sends++; sends > 1 && !s.method.IsStreamingClient() {
				return nil, plugin.Definitionf(at, "%s takes one message, and this is another", s.name())
			}
		case l.Expect != nil:
			var err error
			if a.pattern, err = compilePattern(a.at+".expect.where", l.Expect.Where); err != nil {
				return nil, err
			}
		}
		script = append(script, a)
	}
	if sends == 0 && !s.method.IsStreamingClient() { // an empty request
		script = append([]action{{line: line{Send: json.RawMessage("{}")}}}, script...)
	}
	return script, nil
}

func (s *stream) run(script []action) error {
	var err error
	s.client, err = s.link.cc.NewStream(s.ctx, &grpc.StreamDesc{
		ClientStreams: s.method.IsStreamingClient(), ServerStreams: s.method.IsStreamingServer(),
	}, s.path, s.callOptions()...)
	if err != nil {
		return s.ended(err)
	}
	s.outbox, s.inbox, s.unsent = make(chan []byte, len(script)), make(chan []byte, maxAhead), make(chan error, 1)
	s.running.Go(s.send)
	s.running.Go(s.receive)
	defer s.running.Wait()
	defer s.cancel() // which ends both
	if err := s.play(script); err != nil {
		return err
	}
	return s.collect()
}

func (s *stream) send() {
	for {
		select {
		case message, more := <-s.outbox:
			if !more {
				_ = s.client.CloseSend() // always nil
				return
			}
			if err := s.client.SendMsg(message); err != nil {
				if !errors.Is(err, io.EOF) { // the stream's own end comes from RecvMsg
					s.unsent <- err
					s.cancel()
				}
				return
			}
			s.sent.Add(1)
		case <-s.ctx.Done(): // a script that failed leaves messages unsent
			return
		}
	}
}

func (s *stream) receive() {
	defer close(s.inbox)
	for {
		var message []byte
		if s.recvErr = s.client.RecvMsg(&message); s.recvErr != nil {
			return
		}
		select {
		case s.inbox <- message:
		case <-s.ctx.Done(): // the next RecvMsg says so
		}
	}
}

// play goes through the script.
func (s *stream) play(script []action) error {
	closed := false
	for _, a := range script {
		switch {
		case len(a.line.Send) > 0:
			s.outbox <- a.message // as many as there are fit in
			s.sends = append(s.sends, a.line.Send)
		case a.line.Expect != nil:
			if err := s.expect(a); err != nil {
				return err
			}
		case a.line.Wait != nil:
			if err := s.wait(*a.line.Wait); err != nil {
				return err
			}
		default:
			close(s.outbox)
			closed = true
		}
	}
	if !closed {
		close(s.outbox)
	}
	return nil
}

func (s *stream) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		return s.ended(status.FromContextError(s.ctx.Err()).Err())
	}
}

// stop ends a stream that goes on.
func (s *stream) stop(why string) {
	s.cancel()
	s.running.Wait()
	s.finish(why)
}

// finish reads what is left of a stream that is over.
func (s *stream) finish(end string) {
	s.headers, _ = s.client.Header() // its error is the stream's
	s.trailers = s.client.Trailer()
	s.out.End, s.out.answer, s.out.Sent = end, s.answer(), int(s.sent.Load())
}

// ended reads how the stream ended; an error is one that says nothing can be
// judged.
func (s *stream) ended(err error) error {
	seen := s.trace.get()
	select {
	case unsent := <-s.unsent:
		return plugin.Errorf(plugin.CodeProtocol, "a message to %s could not be sent: %s", s.name(), status.Convert(unsent).Message())
	default:
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	st := status.Convert(err)
	if err != nil && !s.answered(st, seen) {
		fault := s.fault(s.ctx, err, seen, s.name())
		var known *plugin.Error
		if errors.As(fault, &known) {
			known.Message += ", after " + messages(s.out.Seen)
			if known.Code == plugin.CodeTimeout && s.out.Seen > 0 {
				known = known.WithHint("say where the stream ends: max_receive, until or within; or raise the step's timeout")
			}
		}
		return fault
	}
	read := s.status(st)
	s.out.Status = &read
	s.finish("server")
	return nil
}

// because is what the server said of its status, as words in a sentence.
func because(st *Status) string {
	if st.Message == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", clip(st.Message))
}

func do(n int) string {
	if n == 1 {
		return "does"
	}
	return "do"
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}
