package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// plugin makes one try of a plugin action. The try has a status where it could
// not be completed, else it is still to be judged.
func (r *stepRun) plugin(ctx context.Context) *try {
	expand := r.config
	if r.removes != nil {
		expand = r.removal
	}
	config, problem := expand()
	if problem != nil {
		return problem
	}
	return r.call(ctx, config)
}

// config expands the step's config and checks it against the action's schema.
// What has no placeholder was checked when the flow was compiled.
func (r *stepRun) config() (any, *try) {
	if config, ok := staticConfig(r.s); ok {
		return config, nil
	}
	config, err := r.s.Config.Eval(r.env)
	if err != nil {
		return nil, r.evaluationTry(err, "config")
	}
	if err := r.s.Spec.CheckValue(config); err != nil {
		return nil, erroredTry(source.CodeConfig, "definition", err.Error())
	}
	return config, nil
}

// usualConfig is about the bytes of most configs.
const usualConfig = 128

// print prints a config; one without placeholders was printed once for all runs.
func (r *stepRun) print(config any) sent {
	if known := r.facts(); known.sent != nil && r.removes == nil {
		return *known.sent
	}
	return sent{value.Append(make([]byte, 0, usualConfig), config), effectOf(r.s, config)}
}

// call executes a try with its expanded config.
func (r *stepRun) call(ctx context.Context, config any) *try {
	run := r.p.f.run
	t, out, req := &r.firstTry, &r.stream, &r.request
	if t.stream != nil { // taken
		t, out, req = new(try), new(stream), new(plugin.Request)
	}
	sent := r.print(config)
	t.effect, t.stream, out.r = sent.effect, out, r
	*req = plugin.Request{
		Action: r.s.Action, Config: sent.config, RunID: run.r.RunID, Attempt: run.r.Attempt,
		StepID: r.s.ID, Try: r.tries, TraceParent: r.traceParent(), Root: run.e.cfg.Root, Dir: r.s.Dir,
		WantExchange: run.wants.Exchanges, Mask: run.masked, Effect: sent.effect,
	}
	resp, err, abandoned := run.e.workers.execute(ctx, run.e.cfg.Stepper, req, t.stream)
	t.stream.close()
	if abandoned {
		t.status = event.Cancelled
		t.err = &event.Error{
			Code: string(source.CodePlugin), Blame: "plugin",
			Message: fmt.Sprintf("%s did not stop within %s and was left behind", r.s.Action, pluginGrace),
		}
		return t
	}
	if resp != nil {
		r.take(t, resp)
	}
	r.interpret(ctx, t, resp, err)
	return t
}

// take reads what a try brought back.
func (r *stepRun) take(t *try, resp *plugin.Response) {
	r.hide(resp.Secrets)
	t.limited, t.retryAfter = resp.Limited, resp.RetryAfter
	got, err := r.result(t, resp)
	if err != nil {
		t.status = event.Errored
		t.err = &event.Error{Code: string(source.CodePlugin), Message: fmt.Sprintf("result of %s: %s", r.s.Action, err), Blame: "plugin"}
		return
	}
	t.result, t.answered = got, got.has
}

// hide masks what a plugin came to know, from now on.
func (r *stepRun) hide(secrets []plugin.Secret) {
	for _, s := range secrets {
		// A value too short to be masked cannot be told from ordinary text.
		_ = r.p.f.run.conceal(s.Name, s.Value)
	}
}

// result makes values of what a plugin sent as JSON. What comes from one in this
// process waits until it is read.
func (r *stepRun) result(t *try, resp *plugin.Response) (result, error) {
	if resp.Members != nil {
		t.bytes = resp.Members.Size()
		return result{has: true, later: newMembers(resp.Members)}, nil
	}
	if len(resp.Result) == 0 {
		return result{}, nil
	}
	v, err := value.DecodeLenient(resp.Result)
	if err != nil {
		return result{}, err
	}
	if _, ok := v.(map[string]any); !ok {
		return result{}, fmt.Errorf("a result is an object, this is %s", value.KindOf(v))
	}
	t.raw, t.bytes = resp.Result, len(resp.Result)
	return given(v), nil
}

// interpret gives the try the status of the plugin's error, if it has one.
func (r *stepRun) interpret(ctx context.Context, t *try, resp *plugin.Response, err error) {
	switch {
	case err == nil && resp == nil:
		t.status = event.Errored
		t.err = &event.Error{Code: string(source.CodePlugin), Message: r.s.Action + " gave neither a result nor an error", Blame: "plugin"}
		return
	case err == nil:
		return
	}
	var known *plugin.Error
	if !errors.As(err, &known) {
		t.status = event.Errored
		t.err = &event.Error{Code: string(source.CodePlugin), Message: fmt.Sprintf("%s: %s", r.s.Action, err), Blame: "plugin"}
		if ctx.Err() != nil {
			t.status, t.err = event.Cancelled, nil
		}
		return
	}
	r.hide(known.Secrets)
	t.err = pluginError(known)
	t.retryAfter = max(t.retryAfter, known.RetryAfter)
	switch {
	case known.Failed:
		t.status, t.answered = event.Failed, true
	case ctx.Err() != nil:
		t.status = event.Cancelled // blame says what it means
	default:
		t.status = event.Errored
	}
}

func pluginError(e *plugin.Error) *event.Error {
	out := &event.Error{Code: e.Code, Message: e.Message, Hint: e.Hint, Blame: string(e.Blame), Details: e.Details}
	if out.Code == "" {
		out.Code = string(source.CodePlugin)
	}
	if out.Blame == "" {
		out.Blame = string(plugin.BlameSystem)
	}
	if e.Field != "" {
		out.Message = "config." + e.Field + ": " + out.Message
	}
	return out
}

// newTrace is the trace id of a run, in hex.
func newTrace(runID string) string {
	trace := fnv.New128a()
	_, _ = trace.Write([]byte(runID))
	return string(appendHex(nil, trace.Sum(nil)))
}

// traceParent is a W3C trace context: one trace a run, one span a try.
func (r *stepRun) traceParent() string {
	span := fnv.New64a()
	for _, part := range r.ev.Path {
		_, _ = span.Write([]byte(part))
		_, _ = span.Write([]byte{0})
	}
	_, _ = span.Write([]byte{byte(r.tries)})
	var buf [55]byte
	out := append(buf[:0], "00-"...)
	out = append(out, r.p.f.run.trace...)
	out = append(out, '-')
	out = appendHex(out, span.Sum(make([]byte, 0, 8)))
	return string(append(out, "-01"...))
}

func appendHex(dst, b []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range b {
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}
