package wire

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// Execute runs one try and sends its end last.
func (s *server) Execute(req *pluginv1.ExecuteRequest, stream grpc.ServerStreamingServer[pluginv1.ExecuteResponse]) error {
	s.mu.Lock()
	it := s.sessions[req.GetSessionId()]
	if it == nil || it.ctx.Err() != nil {
		s.mu.Unlock()
		return status.Errorf(codes.FailedPrecondition, "there is no session %q", req.GetSessionId())
	}
	if s.calls[req.GetCallId()] != nil {
		s.mu.Unlock()
		return status.Errorf(codes.AlreadyExists, "call %q is under way", req.GetCallId())
	}
	ctx, end := context.WithCancelCause(stream.Context())
	s.calls[req.GetCallId()] = end
	it.calls.Add(1)
	s.mu.Unlock()
	stop := context.AfterFunc(it.ctx, func() { end(context.Cause(it.ctx)) })
	defer func() {
		stop()
		end(errCallEnded)
		s.mu.Lock()
		delete(s.calls, req.GetCallId())
		s.mu.Unlock()
		it.calls.Done()
	}()
	if t := req.GetTimeout(); t != nil {
		var release context.CancelFunc
		ctx, release = context.WithTimeout(ctx, t.AsDuration())
		defer release()
	}
	out := &sender{stream: stream}
	res, err := s.execute(ctx, it, req, out)
	return out.finish(res, err)
}

func (s *server) execute(ctx context.Context, it *session, req *pluginv1.ExecuteRequest, out plugin.Stream) (res *plugin.Response, err error) {
	err = s.protect(func() (err error) {
		res, err = s.plugin.Execute(ctx, &plugin.Request{
			Action: req.GetAction(), Config: req.GetConfigJson(), RunID: it.runID, Attempt: it.attempt,
			StepID: req.GetStepId(), Try: int(req.GetTry()), TraceParent: req.GetTraceparent(),
			Root: req.GetRoot(), Dir: req.GetDir(), WantExchange: req.GetWantExchange(),
		}, out)
		return err
	})
	if err == nil && res == nil {
		err = &plugin.Error{Code: plugin.CodePlugin, Blame: plugin.BlamePlugin, Message: "the plugin returned neither a result nor an error"}
	}
	return res, err
}

// sender puts what a call reports on its stream. A plugin's goroutine that goes
// on after Execute returned is not heard any more.
type sender struct {
	stream grpc.ServerStreamingServer[pluginv1.ExecuteResponse]

	mu    sync.Mutex
	ended bool
	err   error // the first of Send: the host has gone, or a message was too large
}

func (o *sender) send(m *pluginv1.ExecuteResponse) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended && o.err == nil {
		o.err = o.stream.Send(m)
	}
}

// finish sends the end of the call.
func (o *sender) finish(res *plugin.Response, err error) error {
	last := &pluginv1.ExecuteResponse{}
	if err == nil {
		last, err = toResult(res)
	}
	if err != nil {
		last = &pluginv1.ExecuteResponse{Event: &pluginv1.ExecuteResponse_Fault{Fault: toFault(err)}}
	}
	o.send(last)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	return o.err
}

func toResult(res *plugin.Response) (*pluginv1.ExecuteResponse, error) {
	text, err := res.JSON()
	if err != nil {
		return nil, err
	}
	out := &pluginv1.Result{ResultJson: text, Limited: valid(res.Limited), RetryAfter: toDuration(res.RetryAfter)}
	for _, s := range res.Secrets {
		out.Secrets = append(out.Secrets, &pluginv1.Secret{Name: valid(s.Name), Value: []byte(s.Value)})
	}
	return &pluginv1.ExecuteResponse{Event: &pluginv1.ExecuteResponse_Result{Result: out}}, nil
}

// Log sends a line of the step's log.
func (o *sender) Log(level, message string) {
	o.send(&pluginv1.ExecuteResponse{Event: &pluginv1.ExecuteResponse_Log{Log: &pluginv1.Log{Level: level, Message: valid(message)}}})
}

// Progress sends what a long call waits for.
func (o *sender) Progress(message string) {
	o.send(&pluginv1.ExecuteResponse{Event: &pluginv1.ExecuteResponse_Progress{Progress: &pluginv1.Progress{Message: valid(message)}}})
}

// Exchange sends a request and what came back.
func (o *sender) Exchange(x plugin.Exchange) {
	out := &pluginv1.Exchange{
		Protocol: valid(x.Protocol), Summary: valid(x.Summary), RequestJson: x.Request, ResponseJson: x.Response,
		TimingsMs: x.Timings, Curl: valid(x.Curl),
	}
	if !x.Started.IsZero() {
		out.Started = timestamppb.New(x.Started)
	}
	o.send(&pluginv1.ExecuteResponse{Event: &pluginv1.ExecuteResponse_Exchange{Exchange: out}})
}

// Artifact sends a file of the run.
func (o *sender) Artifact(name, mediaType string, data []byte) {
	o.send(&pluginv1.ExecuteResponse{Event: &pluginv1.ExecuteResponse_Artifact{
		Artifact: &pluginv1.Artifact{Name: valid(name), MediaType: valid(mediaType), Data: data},
	}})
}

// Covered sends what of a subject was touched.
func (o *sender) Covered(c plugin.Coverage) {
	o.send(&pluginv1.ExecuteResponse{Event: &pluginv1.ExecuteResponse_Coverage{
		Coverage: &pluginv1.Coverage{Of: valid(c.Of), Unit: valid(c.Unit), Items: allValid(c.Items), All: allValid(c.All)},
	}})
}

func allValid(list []string) []string {
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = valid(text)
	}
	return out
}
