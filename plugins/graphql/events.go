package graphql

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const eventsProtocol = "graphql-sse"

// stream is an answer of server-sent events with one subscription.
type stream struct {
	*subscription
	in    *bufio.Reader
	limit int
}

// overEvents begins the subscription as server-sent events. The head of the
// answer shows that the server has it.
func (s *subscription) overEvents(ctx context.Context, call *plugin.Call, in *subscribeIn) (begun, func() error, error) {
	payload, err := s.operation.payload(in.OperationName)
	if err != nil {
		return begun{}, nil, err
	}
	// The stream outlives the step.
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	undo := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	x, err := s.target.newExchange(lasting, call, http.MethodPost, acceptEvents, payload)
	if err != nil {
		cancel(nil)
		return begun{}, nil, err
	}
	res, err := x.send(ctx) //nolint:bodyclose // the reading closes it, when the stream ends
	if !undo() && err == nil {
		res.Body.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel(nil)
		if ctx.Err() != nil {
			err = s.late(ctx, in, x.trace.phase())
		}
		return begun{}, nil, err
	}
	if media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); res.StatusCode != http.StatusOK || media != "text/event-stream" {
		undo := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
		defer undo()
		defer cancel(nil)
		got, err := x.refused(ctx, res, in)
		return got, func() error { return nil }, err
	}
	x.report(res, nil)
	r := &stream{subscription: s, in: bufio.NewReader(res.Body), limit: in.MaxMessage}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer res.Body.Close()
		err := r.read()
		if errors.Is(err, errComplete) {
			err = nil
		}
		s.inbox.End(err)
	}()
	stop := func() error {
		cancel(nil)
		<-done
		return nil
	}
	return begun{protocol: eventsProtocol, confirmed: true}, stop, nil
}

// refused is an answer that is no stream: a response with errors, or nothing of
// the protocol.
func (x *exchange) refused(ctx context.Context, res *http.Response, in *subscribeIn) (begun, error) {
	got := begun{protocol: eventsProtocol}
	a, err := x.receive(ctx, res, in.MaxMessage)
	if err != nil {
		return got, err
	}
	if a.Errors != nil && len(*a.Errors) > 0 {
		got.errors = *a.Errors
		return got, nil
	}
	code, hint := plugin.CodeProtocol, "does this address take subscriptions as server-sent events? Leave transport out where it takes WebSockets"
	if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
		code, hint = plugin.CodeAuth, "check auth and headers"
	}
	why := a.BodyError
	if why == "" {
		why = "the answer is a response, and no stream of events"
	}
	e := plugin.Errorf(code, "%s did not begin the subscription: %s", x.target, why).WithHint("%s", hint)
	if len(a.Body) > 0 {
		e = e.WithDetails(cut(a.Body, maxMessage))
	}
	return got, e
}

// read takes events until the stream ends.
func (r *stream) read() error {
	var name string
	var data bytes.Buffer
	hasData := false
	for {
		line, err := r.line(r.limit + maxFieldName - data.Len())
		if err != nil {
			return err
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0:
			if hasData || name != "" {
				if err := r.event(name, bytes.TrimSuffix(data.Bytes(), []byte("\n"))); err != nil {
					return err
				}
			}
			name, hasData = "", false
			data.Reset()
		case string(field) == "event":
			name = string(value)
		case string(field) == "data":
			hasData = true
			data.Write(value)
			data.WriteByte('\n')
		} // a comment keeps the connection alive; id and retry are for those who connect again
	}
}

// maxFieldName is what a line has beside its data.
const maxFieldName = 64

// line reads one line of at most so many bytes, without its end.
func (r *stream) line(limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if line = append(line, part...); len(line) > limit {
			return nil, plugin.Errorf(plugin.CodeBody, "a message of %s is over %s (max_message)", r.target, size(r.limit)).WithHint("ask for less, or raise max_message")
		}
		switch {
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, plugin.Errorf(plugin.CodeConn, "%s ended the stream without complete", r.target).WithHint("look into the service's log, and for a proxy that ends long answers")
		default:
			return nil, plugin.NetError(fmt.Errorf("read the stream: %w", err), r.target.url.Host)
		}
	}
}

// event does what an event says. Its name is next; older servers leave it out.
func (r *stream) event(name string, data []byte) error {
	switch strings.TrimSpace(name) {
	case "complete":
		return errComplete
	case "next", "", "message":
		if data = bytes.TrimSpace(data); !json.Valid(data) {
			return plugin.Errorf(plugin.CodeProtocol, "%s sent a message that is no GraphQL response: %s", r.target, cut(data, maxMessage))
		}
		return r.take(bytes.Clone(data))
	case "error":
		return r.refuse(data)
	}
	return nil
}
