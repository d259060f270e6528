package wire

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// server gives a plugin's process its calls. A panic of the plugin on the call's
// own goroutine is the fault of that call and of no other.
type server struct {
	pluginv1.UnimplementedPluginServiceServer
	plugin plugin.Plugin

	mu       sync.Mutex
	calls    map[string]context.CancelCauseFunc
	sessions map[string]*session
}

// session is the plugin's part of one run.
type session struct {
	runID   string
	attempt int
	ctx     context.Context // ends when the session does
	end     context.CancelCauseFunc
	calls   sync.WaitGroup
	ended   chan struct{} // closed once the plugin has dropped what it held
}

var (
	errSessionClosed = errors.New("the session was closed")
	errSessionCut    = errors.New("the host has gone")
	errCallEnded     = errors.New("the call has ended")
)

// NewServer serves a plugin. The caller closes the plugin after the server.
func NewServer(p plugin.Plugin) pluginv1.PluginServiceServer {
	return &server{plugin: p, calls: map[string]context.CancelCauseFunc{}, sessions: map[string]*session{}}
}

// Describe gives the plugin's descriptor.
func (s *server) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	out := &pluginv1.DescribeResponse{}
	err := s.protect(func() error { out.Descriptor_ = s.plugin.Describe(); return nil })
	return out, toStatus(err)
}

// Configure hands the host over to a plugin that wants to know it.
func (s *server) Configure(ctx context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	err := s.protect(func() error {
		c, ok := s.plugin.(plugin.Configurer)
		if !ok {
			return nil
		}
		rules, err := plugin.NewEgress(req.GetEgress())
		if err != nil {
			return plugin.Agentf("%w", err)
		}
		return c.Configure(ctx, plugin.Host{Version: req.GetHostVersion(), AgentName: req.GetAgentName(), TempDir: req.GetTempDir(), Egress: rules})
	})
	return &pluginv1.ConfigureResponse{}, toStatus(err)
}

// Health asks the plugin, where it has something to say.
func (s *server) Health(ctx context.Context, _ *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	err := s.protect(func() error {
		if c, ok := s.plugin.(plugin.Checker); ok {
			return c.Health(ctx)
		}
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &pluginv1.HealthResponse{Ready: err == nil, Executing: int32(len(s.calls)), Sessions: int32(len(s.sessions))}
	if err != nil {
		out.Detail = err.Error()
	}
	return out, nil
}

// OpenSession keeps a session for as long as its stream lives.
func (s *server) OpenSession(req *pluginv1.OpenSessionRequest, stream grpc.ServerStreamingServer[pluginv1.OpenSessionResponse]) error {
	ctx, end := context.WithCancelCause(stream.Context())
	defer end(nil)
	it := &session{runID: req.GetRunId(), attempt: int(req.GetAttempt()), ctx: ctx, end: end, ended: make(chan struct{})}
	if err := s.enter(req.GetSessionId(), it); err != nil {
		return err
	}
	defer s.leave(req.GetSessionId(), it)
	opened := &pluginv1.OpenSessionResponse{Event: &pluginv1.OpenSessionResponse_Opened{Opened: &pluginv1.SessionOpened{}}}
	if err := stream.Send(opened); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (s *server) enter(id string, it *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "" || s.sessions[id] != nil {
		return status.Errorf(codes.AlreadyExists, "session %q is open or has no name", id)
	}
	for _, other := range s.sessions {
		if other.runID == it.runID {
			return status.Errorf(codes.AlreadyExists, "run %s has a session already", it.runID)
		}
	}
	s.sessions[id] = it
	return nil
}

// leave ends the session's calls, lets the plugin drop what it held for the run
// and only then makes room for another session of the same run.
func (s *server) leave(id string, it *session) {
	it.end(errSessionCut)
	it.calls.Wait()
	_ = s.protect(func() error { s.plugin.EndRun(it.runID); return nil })
	s.mu.Lock()
	delete(s.sessions, id)
	s.mu.Unlock()
	close(it.ended)
}

// CloseSession ends a session and waits until nothing of it is left.
func (s *server) CloseSession(ctx context.Context, req *pluginv1.CloseSessionRequest) (*pluginv1.CloseSessionResponse, error) {
	s.mu.Lock()
	it := s.sessions[req.GetSessionId()]
	s.mu.Unlock()
	if it == nil {
		return &pluginv1.CloseSessionResponse{}, nil
	}
	it.end(errSessionClosed)
	select {
	case <-it.ended:
		return &pluginv1.CloseSessionResponse{}, nil
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// Call runs a function.
func (s *server) Call(ctx context.Context, req *pluginv1.CallRequest) (*pluginv1.CallResponse, error) {
	var result []byte
	err := s.protect(func() (err error) {
		c, ok := s.plugin.(plugin.Caller)
		if !ok {
			return &plugin.Error{Code: plugin.CodeConfig, Blame: plugin.BlameDefinition, Message: "the plugin has no functions"}
		}
		result, err = c.Call(ctx, &plugin.FunctionRequest{
			Function: req.GetFunction(), Args: req.GetArgsJson(), RunID: req.GetRunId(), Root: req.GetRoot(), Dir: req.GetDir(),
		})
		return err
	})
	if err != nil {
		return &pluginv1.CallResponse{Outcome: &pluginv1.CallResponse_Fault{Fault: toFault(err)}}, nil
	}
	return &pluginv1.CallResponse{Outcome: &pluginv1.CallResponse_ResultJson{ResultJson: result}}, nil
}

// Cancel ends a call with the host's reason as the cause of its context.
func (s *server) Cancel(_ context.Context, req *pluginv1.CancelRequest) (*pluginv1.CancelResponse, error) {
	s.mu.Lock()
	end := s.calls[req.GetCallId()]
	s.mu.Unlock()
	if end != nil {
		end(errors.New(req.GetReason()))
	}
	return &pluginv1.CancelResponse{}, nil
}

// protect gives a panic of the plugin as its fault.
func (s *server) protect(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = plugin.Panicked(r, debug.Stack())
		}
	}()
	return f()
}

// toStatus is for the calls that have no place for a fault.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(codes.Unknown, fmt.Sprint(err))
}
