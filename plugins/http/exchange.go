package http

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// exchange is one try of a step under way: its request, with the redirects and
// the second requests that a 401 leads to.
type exchange struct {
	plugin    *Plugin
	config    config
	run       *run
	transport *http.Transport
	body      requestBody
	proof     proof // nil: none
	started   time.Time

	request   http.Request // what first is, until it is copied
	answer    answer
	trace     *trace        // of the request sent last
	first     *http.Request // as the flow says it, with the cookies sent
	url       *url.URL      // of the request sent last, without what the proof added
	redirects []string
	left      bool // a redirect led to another origin: no credentials any more
	cookies   []*http.Cookie
	wire      wire // of the answer's body; how much was read of it is for messages
	secrets   []plugin.Secret
}

// send builds the request, sends it, and reads the answer. Secrets come with an
// error too: a token was obtained although the request failed.
func (x *exchange) send(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	if err := x.config.parse(req.Config); err != nil {
		return nil, err
	}
	x.run = x.plugin.run(req.RunID)
	var answered plugin.Response
	err := x.execute(ctx, req, out, &answered)
	if err != nil && len(x.secrets) == 0 {
		return nil, err
	}
	answered.Secrets = x.secrets
	return &answered, err
}

func (x *exchange) execute(parent context.Context, req *plugin.Request, out plugin.Stream, into *plugin.Response) (err error) {
	ctx, c := parent, &x.config
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(parent, time.Duration(c.Timeout))
		defer cancel()
	}
	if x.transport, err = x.plugin.transportFor(c, req); err != nil {
		return err
	}
	if x.body, err = c.buildBody(req); err != nil {
		return err
	}
	hr, err := x.newRequest(req)
	if err != nil {
		return err
	}
	if x.proof, err = x.newProof(); err != nil {
		return err
	}
	x.first, x.url = hr, hr.URL
	res, err := x.follow(ctx, hr)
	if x.trace == nil { // it failed before anything was sent
		x.trace = new(trace)
	}
	if err != nil {
		x.report(out, req, nil, nil)
		return x.fault(parent, ctx, err)
	}
	defer res.Body.Close()
	a, err := x.readAnswer(res)
	total := time.Since(x.started)
	x.report(out, req, res, a)
	if err != nil {
		err = x.bodyFault(parent, ctx, res, err)
	} else {
		into.Members, into.Limited = x.result(res, a, total), a.limited
		into.RetryAfter = x.retryAfter(first(res.Header["Retry-After"]))
	}
	x.plugin.release(a)
	return err
}

// maxRetryAfter bounds what a server asks for; who repeats has bounds of its own.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads seconds or a date (RFC 9110 section 10.2.3).
func (x *exchange) retryAfter(header string) time.Duration {
	if header == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(header, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return max(0, min(at.Sub(x.plugin.now()), maxRetryAfter))
}

// maxDrained bounds what is read of a response that is not the answer, so that
// its connection can be used again.
const maxDrained = 64 << 10

// drain gives up a response that is not the answer.
func drain(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, maxDrained)
	res.Body.Close()
}

// ask sends a request with its cookies and its proof, and once more where the
// proof has something to say to a 401.
func (x *exchange) ask(ctx context.Context, hr *http.Request) (*http.Response, error) {
	x.url = hr.URL
	for try := 1; ; try++ {
		x.addCookies(hr)
		sent := hr
		if x.proof != nil && !x.left {
			sent = copyRequest(hr)
			if err := x.proof.prove(ctx, sent); err != nil {
				return nil, err
			}
		}
		res, err := x.roundTrip(ctx, sent)
		if err != nil {
			return nil, err
		}
		x.takeCookies(hr.URL, res)
		if res.StatusCode != http.StatusUnauthorized || x.proof == nil || x.left || try > 1 {
			return res, nil
		}
		again, err := x.proof.again(res)
		if err != nil {
			res.Body.Close()
			return nil, err
		}
		if !again {
			return res, nil
		}
		drain(res)
	}
}

// copyRequest is a request whose header and URL may be changed.
func copyRequest(hr *http.Request) *http.Request {
	out, u := *hr, *hr.URL
	out.Header, out.URL = hr.Header.Clone(), &u
	return &out
}

// maxUnsent is how often a request of which nothing was sent is sent anew.
const maxUnsent = 3

// roundTrip sends one request. A connection that the server closed while it
// was idle is not the server's answer: where not one byte of the request went
// out, whatever its method, it is sent on another connection (RFC 9112 section
// 9.3.1; net/http itself repeats only some methods then).
func (x *exchange) roundTrip(ctx context.Context, hr *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		x.trace = new(trace)
		sent := hr.WithContext(x.trace.attach(ctx))
		sent.Body = http.NoBody
		if hr.GetBody != nil {
			sent.Body = x.body.reader()
		}
		res, err := x.transport.RoundTrip(sent)
		if err == nil || ctx.Err() != nil || try == maxUnsent || !x.trace.unsent() {
			return res, err
		}
	}
}
