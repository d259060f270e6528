package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// Grace is how long a plugin may take to end a call that was cancelled or whose
// time is over, before the call is left behind.
const Grace = 2 * time.Second

// Client calls a plugin that is elsewhere. It is safe for concurrent use.
type Client struct {
	service pluginv1.PluginServiceClient
	calls   atomic.Uint64
}

// NewClient calls over a connection, which the caller closes.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{service: pluginv1.NewPluginServiceClient(conn)}
}

// Lost is a call whose end was never heard: the process died, the connection
// broke, or the plugin went on past Grace. Whether the call had its effect is
// not known.
type Lost struct {
	// Hung says that the plugin did not end the call within Grace.
	Hung bool
	// Err is the gRPC status or the cause that ended the call.
	Err error
}

// Error is the sentence for the log; hosts have their own for people.
func (l *Lost) Error() string {
	if l.Hung {
		return fmt.Sprintf("the plugin did not end the call within %v of being asked to: %v", Grace, l.Err)
	}
	return fmt.Sprintf("the plugin was lost during the call: %v", l.Err)
}

// Unwrap is the gRPC status.
func (l *Lost) Unwrap() error { return l.Err }

// Describe asks for the descriptor.
func (c *Client) Describe(ctx context.Context) (*testmeshv1.Descriptor, error) {
	res, err := c.service.Describe(ctx, &pluginv1.DescribeRequest{}, limits()...)
	if err != nil {
		return nil, &Lost{Err: err}
	}
	return res.GetDescriptor_(), nil
}

// Configure tells the plugin about its host.
func (c *Client) Configure(ctx context.Context, host plugin.Host) error {
	_, err := c.service.Configure(ctx, &pluginv1.ConfigureRequest{
		HostVersion: valid(host.Version), AgentName: valid(host.AgentName), TempDir: host.TempDir, Egress: host.Egress.Rules(),
	})
	if err != nil {
		return &Lost{Err: err}
	}
	return nil
}

// Health asks whether the plugin still works.
func (c *Client) Health(ctx context.Context) (*pluginv1.HealthResponse, error) {
	res, err := c.service.Health(ctx, &pluginv1.HealthRequest{})
	if err != nil {
		return nil, &Lost{Err: err}
	}
	return res, nil
}

// Session is the plugin's part of one run.
type Session struct {
	id      string
	service pluginv1.PluginServiceClient
	end     context.CancelFunc
	done    chan struct{}
}

// Open begins a session, which lives until Close, the end of ctx or the end of
// the plugin's process.
func (c *Client) Open(ctx context.Context, id, runID string, attempt int) (*Session, error) {
	ctx, end := context.WithCancel(ctx)
	stream, err := c.service.OpenSession(ctx, &pluginv1.OpenSessionRequest{SessionId: id, RunId: runID, Attempt: int32(attempt)})
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		end()
		return nil, &Lost{Err: err}
	}
	s := &Session{id: id, service: c.service, end: end, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for err := error(nil); err == nil; {
			_, err = stream.Recv()
		}
	}()
	return s, nil
}

// ID is the session's name for Execute.
func (s *Session) ID() string { return s.id }

// Done is closed when the session is over, whoever ended it.
func (s *Session) Done() <-chan struct{} { return s.done }

// Close ends the session and waits until the plugin has released what it held,
// or ctx ends.
func (s *Session) Close(ctx context.Context) error {
	_, err := s.service.CloseSession(ctx, &pluginv1.CloseSessionRequest{SessionId: s.id})
	s.end()
	if err != nil {
		return &Lost{Err: err}
	}
	<-s.done
	return nil
}

// Call runs a function. A fault is a *plugin.Error.
func (c *Client) Call(ctx context.Context, req *plugin.FunctionRequest) (json.RawMessage, error) {
	res, err := c.service.Call(ctx, &pluginv1.CallRequest{
		Function: req.Function, ArgsJson: req.Args, RunId: req.RunID, Root: req.Root, Dir: req.Dir,
	}, limits()...)
	if err != nil {
		return nil, &Lost{Err: err}
	}
	if f := res.GetFault(); f != nil {
		return nil, fromFault(f)
	}
	return res.GetResultJson(), nil
}

// Execute runs one try in a session. A fault is a *plugin.Error, what was never
// heard of again a *Lost. When ctx ends, the plugin is asked to end the call and
// has Grace to say how far it came.
func (c *Client) Execute(ctx context.Context, session string, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	id := strconv.FormatUint(c.calls.Add(1), 10)
	message := &pluginv1.ExecuteRequest{
		CallId: id, SessionId: session, Action: req.Action, ConfigJson: req.Config, StepId: valid(req.StepID),
		Try: int32(req.Try), Traceparent: req.TraceParent, Root: req.Root, Dir: req.Dir, WantExchange: req.WantExchange,
	}
	if end, ok := ctx.Deadline(); ok {
		message.Timeout = durationpb.New(max(time.Until(end), 0))
	}
	call, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer leave(nil)
	stream, err := c.service.Execute(call, message, limits()...)
	if err != nil {
		return nil, &Lost{Err: err}
	}
	stop := c.cancelWith(ctx, id, leave)
	defer stop()
	return receive(call, stream, out)
}

var errHung = errors.New("the grace is over")

// cancelWith asks for the end of a call when ctx ends, and leaves the call
// behind once Grace is over.
func (c *Client) cancelWith(ctx context.Context, id string, leave context.CancelCauseFunc) (stop func()) {
	var mu sync.Mutex
	var grace *time.Timer
	ended := false
	stopped := context.AfterFunc(ctx, func() {
		mu.Lock()
		if ended {
			mu.Unlock()
			return
		}
		grace = time.AfterFunc(Grace, func() { leave(errHung) })
		mu.Unlock()
		within, release := context.WithTimeout(context.WithoutCancel(ctx), Grace)
		defer release()
		// Whether it arrived shows in the end of the call.
		_, _ = c.service.Cancel(within, &pluginv1.CancelRequest{CallId: id, Reason: valid(context.Cause(ctx).Error())})
	})
	return func() {
		stopped()
		mu.Lock()
		defer mu.Unlock()
		ended = true
		if grace != nil {
			grace.Stop()
		}
	}
}

// receive hands on what a call reports until its end.
func receive(ctx context.Context, stream grpc.ServerStreamingClient[pluginv1.ExecuteResponse], out plugin.Stream) (*plugin.Response, error) {
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, &plugin.Error{Code: plugin.CodePlugin, Blame: plugin.BlamePlugin, Message: "the plugin ended the call with neither a result nor a fault"}
		case err != nil && errors.Is(context.Cause(ctx), errHung):
			return nil, &Lost{Hung: true, Err: err}
		case err != nil:
			return nil, &Lost{Err: err}
		}
		switch e := m.GetEvent().(type) {
		case *pluginv1.ExecuteResponse_Result:
			return fromResult(e.Result), nil
		case *pluginv1.ExecuteResponse_Fault:
			return nil, fromFault(e.Fault)
		default:
			if out != nil {
				report(out, m)
			}
		}
	}
}

func report(out plugin.Stream, m *pluginv1.ExecuteResponse) {
	switch e := m.GetEvent().(type) {
	case *pluginv1.ExecuteResponse_Log:
		out.Log(level(e.Log.GetLevel()), e.Log.GetMessage())
	case *pluginv1.ExecuteResponse_Progress:
		out.Log("debug", e.Progress.GetMessage())
	case *pluginv1.ExecuteResponse_Artifact:
		out.Artifact(e.Artifact.GetName(), e.Artifact.GetMediaType(), e.Artifact.GetData())
	case *pluginv1.ExecuteResponse_Coverage:
		if to, ok := out.(interface{ Covered(plugin.Coverage) }); ok {
			c := e.Coverage
			to.Covered(plugin.Coverage{Of: c.GetOf(), Unit: c.GetUnit(), Items: c.GetItems(), All: c.GetAll()})
		}
	case *pluginv1.ExecuteResponse_Exchange:
		x := e.Exchange
		exchange := plugin.Exchange{
			Protocol: x.GetProtocol(), Summary: x.GetSummary(), Request: x.GetRequestJson(), Response: x.GetResponseJson(),
			Timings: x.GetTimingsMs(), Curl: x.GetCurl(),
		}
		if x.GetStarted() != nil {
			exchange.Started = x.GetStarted().AsTime()
		}
		out.Exchange(exchange)
	}
}

// level is one of the four; another language's own names are info.
func level(name string) string {
	switch name {
	case "debug", "info", "warn", "error":
		return name
	}
	return "info"
}

func fromResult(r *pluginv1.Result) *plugin.Response {
	out := &plugin.Response{Result: r.GetResultJson(), Limited: r.GetLimited(), RetryAfter: r.GetRetryAfter().AsDuration()}
	for _, s := range r.GetSecrets() {
		out.Secrets = append(out.Secrets, plugin.Secret{Name: s.GetName(), Value: string(s.GetValue())})
	}
	return out
}

// limits lets a message be as large as the wire allows, both ways.
func limits() []grpc.CallOption {
	return []grpc.CallOption{grpc.MaxCallRecvMsgSize(MaxMessageBytes), grpc.MaxCallSendMsgSize(MaxMessageBytes)}
}
