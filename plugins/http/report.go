package http

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// maxShownBody bounds a body in an exchange; the result has the whole.
const maxShownBody = 64 << 10

// report gives the host the exchange, if it wants it: the request as the flow
// says it, and the response that came in the end, if one did. What config.auth
// adds on the way is named, not shown.
func (x *exchange) report(out plugin.Stream, req *plugin.Request, res *http.Response, a *answer) {
	if !req.WantExchange {
		return
	}
	hr := x.first
	request := map[string]any{
		"method": hr.Method, "url": hr.URL.String(), "headers": flatten(hr.Header), "body": shown(x.body.data),
	}
	if x.config.Auth != nil {
		request["auth"] = x.config.Auth.Type
	}
	t := x.timings(time.Since(x.started))
	e := plugin.Exchange{
		Protocol: "HTTP", Started: x.started, Curl: x.command(),
		Summary: hr.Method + " " + hr.URL.String(),
		Request: jsonText(nil, request),
		Timings: map[string]float64{"dns": t.dns, "connect": t.connect, "tls": t.tls, "first_byte": t.firstByte, "total": t.total},
	}
	if res != nil {
		e.Protocol = res.Proto
		e.Summary += fmt.Sprintf(" → %d", res.StatusCode)
		e.Response = jsonText(nil, x.response(res, a))
	}
	out.Exchange(e)
}

func (x *exchange) response(res *http.Response, a *answer) map[string]any {
	out := map[string]any{
		"status": res.StatusCode, "status_text": reason(res), "headers": flatten(res.Header), "url": x.address(),
		"body": shown(a.data),
	}
	if a.limited != "" {
		out["limited"] = a.limited
	}
	if len(x.redirects) > 0 {
		list := make([]any, len(x.redirects))
		for i, u := range x.redirects {
			list[i] = u
		}
		out["redirects"] = list
	}
	return out
}

func flatten(h http.Header) map[string]any {
	out := make(map[string]any, len(h))
	for name, list := range h {
		if len(list) > 0 {
			out[name] = strings.Join(list, ", ")
		}
	}
	return out
}

// shown is a body as a person reads it; bytes that are no text are base64.
func shown(data []byte) any {
	rest := ""
	if len(data) > maxShownBody {
		rest = fmt.Sprintf("… (%d bytes)", len(data))
		data = data[:maxShownBody]
		data = data[:len(data)-incomplete(data)]
	}
	switch {
	case len(data) == 0:
		return nil
	case utf8.Valid(data):
		return string(data) + rest
	}
	return "base64:" + base64.StdEncoding.EncodeToString(data) + rest
}
