package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"

	"github.com/testmesh/testmesh/sdk/plugin/wire"
)

const (
	// answerTimeout bounds what a plugin does at once: sessions, cancellations.
	answerTimeout = 10 * time.Second
	// stepTimeout bounds a step that should end by itself.
	stepTimeout = time.Minute
	// grace is how long a call may go on once it should end.
	grace = wire.Grace
)

// session is a plugin's part of one run, as a host holds it.
type session struct {
	subject *subject
	id, run string
	cut     context.CancelFunc // ends the stream without a word
	done    chan struct{}      // closed once the stream has ended
}

// open begins a session of its own run.
func (s *subject) open(ctx context.Context, run string) (*session, error) {
	ctx, cut := context.WithCancel(ctx)
	in := &session{subject: s, id: "session-" + randomHex(), run: run, cut: cut, done: make(chan struct{})}
	patience := time.AfterFunc(answerTimeout, cut)
	stream, err := s.api.OpenSession(ctx, &pluginv1.OpenSessionRequest{SessionId: in.id, RunId: run, Attempt: 1})
	var first *pluginv1.OpenSessionResponse
	if err == nil {
		first, err = stream.Recv()
	}
	if err == nil && first.GetOpened() == nil {
		err = errors.New("the first message was not opened")
	}
	if !patience.Stop() && err == nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		cut()
		return nil, fmt.Errorf("it did not open a session: %w", err)
	}
	go func() {
		defer close(in.done)
		for err := error(nil); err == nil; {
			_, err = stream.Recv()
		}
	}()
	return in, nil
}

// close ends the session and waits until the plugin has released it.
func (in *session) close(ctx context.Context) error {
	defer in.cut()
	ctx, end := context.WithTimeout(ctx, answerTimeout)
	defer end()
	if _, err := in.subject.api.CloseSession(ctx, &pluginv1.CloseSessionRequest{SessionId: in.id}); err != nil {
		return fmt.Errorf("it did not close a session: %w", err)
	}
	select {
	case <-in.done:
		return nil
	case <-ctx.Done():
		return errors.New("it closed a session but left its stream open")
	}
}

// step is one Execute: what is sent.
type step struct {
	action   string
	config   json.RawMessage
	id       string // of the call
	root     string
	dir      string
	timeout  time.Duration
	exchange bool
}

// ended is how one Execute ended, and what it reported before.
type ended struct {
	result  json.RawMessage
	fault   *pluginv1.Fault
	full    *pluginv1.Result
	reports []*pluginv1.ExecuteResponse
	took    time.Duration
}

// lost is a call without an end of the plugin's own.
type lost struct{ err error }

func (l *lost) Error() string {
	if status.Code(l.err) == codes.DeadlineExceeded {
		return "the call had not ended when the kit gave up on it"
	}
	return fmt.Sprintf("the call was lost: %v", l.err)
}

func (l *lost) Unwrap() error { return l.err }

// do executes a step and reads its stream to the end. A *lost is a call without
// an end; any other error is a breach of the order of the stream.
func (in *session) do(ctx context.Context, st step) (*ended, error) {
	ctx, stop := context.WithTimeout(ctx, stepTimeout)
	defer stop()
	began := time.Now()
	stream, err := in.begin(ctx, st)
	if err != nil {
		return nil, err
	}
	out, err := collect(stream)
	if out != nil {
		out.took = time.Since(began)
	}
	return out, err
}

func (in *session) begin(ctx context.Context, st step) (grpc.ServerStreamingClient[pluginv1.ExecuteResponse], error) {
	req := &pluginv1.ExecuteRequest{
		CallId: st.id, SessionId: in.id, Action: st.action, ConfigJson: st.config, StepId: "step", Try: 1,
		Root: st.root, Dir: st.dir, WantExchange: st.exchange,
	}
	if st.id == "" {
		req.CallId = "call-" + randomHex()
	}
	if st.timeout > 0 {
		req.Timeout = durationpb.New(st.timeout)
	}
	stream, err := in.subject.api.Execute(ctx, req)
	if err != nil {
		return nil, &lost{err}
	}
	return stream, nil
}

// collect reads a call's stream to its end.
func collect(stream grpc.ServerStreamingClient[pluginv1.ExecuteResponse]) (*ended, error) {
	out := &ended{}
	over := false
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && over:
			return out, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("it ended the call with neither a result nor a fault")
		case err != nil:
			return nil, &lost{err}
		case over:
			return nil, fmt.Errorf("it sent a %s after the end of the call", kindOf(m))
		}
		switch e := m.GetEvent().(type) {
		case *pluginv1.ExecuteResponse_Result:
			out.full, out.result, over = e.Result, e.Result.GetResultJson(), true
		case *pluginv1.ExecuteResponse_Fault:
			out.fault, over = e.Fault, true
		default:
			out.reports = append(out.reports, m)
		}
	}
}

// kindOf names a message of the stream.
func kindOf(m *pluginv1.ExecuteResponse) string {
	switch m.GetEvent().(type) {
	case *pluginv1.ExecuteResponse_Log:
		return "log line"
	case *pluginv1.ExecuteResponse_Exchange:
		return "exchange"
	case *pluginv1.ExecuteResponse_Artifact:
		return "artifact"
	case *pluginv1.ExecuteResponse_Progress:
		return "progress"
	case *pluginv1.ExecuteResponse_Result:
		return "result"
	case *pluginv1.ExecuteResponse_Fault:
		return "fault"
	}
	return "message of no kind"
}

// succeed executes a step that must bring a result.
func (in *session) succeed(ctx context.Context, st step) (*ended, error) {
	out, err := in.do(ctx, st)
	if err != nil {
		return nil, err
	}
	if out.fault != nil {
		return nil, fmt.Errorf("%s ended with %s", st.action, faultText(out.fault))
	}
	return out, nil
}

// refuse executes a step that must end with a fault of the definition.
func (in *session) refuse(ctx context.Context, st step) (*pluginv1.Fault, error) {
	out, err := in.do(ctx, st)
	if err != nil {
		return nil, err
	}
	if out.fault == nil {
		return nil, fmt.Errorf("it gave the result %s", cut(string(out.result), 200))
	}
	return out.fault, ofDefinition(out.fault)
}

// ofDefinition says what is wrong with a fault that must blame the flow.
func ofDefinition(f *pluginv1.Fault) error {
	switch {
	case f.GetBlame() != pluginv1.Blame_BLAME_DEFINITION:
		return fmt.Errorf("the fault blames %s and not the definition: %s", blameText(f.GetBlame()), faultText(f))
	case strings.TrimSpace(f.GetMessage()) == "":
		return errors.New("the fault has no message")
	case f.GetFailed():
		return errors.New("the fault says that the step failed; nothing was judged, so it must be errored")
	}
	return nil
}

func faultText(f *pluginv1.Fault) string {
	return fmt.Sprintf("fault %s (%s): %s", f.GetCode(), blameText(f.GetBlame()), cut(f.GetMessage(), 300))
}

func blameText(b pluginv1.Blame) string {
	if b == pluginv1.Blame_BLAME_UNSPECIFIED {
		b = pluginv1.Blame_BLAME_SYSTEM
	}
	return strings.ToLower(strings.TrimPrefix(b.String(), "BLAME_"))
}

// health asks how busy the plugin is.
func (s *subject) health(ctx context.Context) (*pluginv1.HealthResponse, error) {
	ctx, end := context.WithTimeout(ctx, beginTimeout)
	defer end()
	h, err := s.api.Health(ctx, &pluginv1.HealthRequest{})
	if err != nil {
		return nil, fmt.Errorf("it did not answer Health: %w", err)
	}
	return h, nil
}

// executing waits until Health tells of the right number of calls under way.
func (s *subject) executing(ctx context.Context, within time.Duration, right func(int32) bool) error {
	return poll(ctx, within, func() error {
		h, err := s.health(ctx)
		if err != nil {
			return err
		}
		if !right(h.GetExecuting()) {
			return fmt.Errorf("Health tells of %d calls under way", h.GetExecuting())
		}
		return nil
	})
}
