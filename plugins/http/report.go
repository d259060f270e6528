package http

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// maxShownBody bounds a body in an exchange; the result has the whole.
const maxShownBody = 64 << 10

// report gives the host the exchange, if it wants it.
func (x *exchange) report(out plugin.Stream, req *plugin.Request, hr *http.Request, res *http.Response, a *answer) {
	if !req.WantExchange {
		return
	}
	x.trace.finish()
	e := plugin.Exchange{
		Protocol: "HTTP", Started: x.trace.started, Curl: x.command(hr),
		Summary: hr.Method + " " + hr.URL.String(),
		Request: jsonText(map[string]any{
			"method": hr.Method, "url": hr.URL.String(), "headers": flatten(hr.Header), "body": shown(x.body.data),
		}),
		Timings: make(map[string]float64, 5),
	}
	x.trace.each(func(name string, ms float64) { e.Timings[name] = ms })
	if res != nil {
		e.Protocol = res.Proto
		e.Summary += fmt.Sprintf(" → %d", res.StatusCode)
		answered := map[string]any{
			"status": res.StatusCode, "status_text": reason(res), "headers": flatten(res.Header), "url": res.Request.URL.String(),
		}
		if a != nil {
			answered["body"] = shown(a.data)
			if a.limited != "" {
				answered["limited"] = a.limited
			}
		}
		e.Response = jsonText(answered)
	}
	out.Exchange(e)
}

func flatten(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for name, list := range h {
		out[name] = strings.Join(list, ", ")
	}
	return out
}

func shown(data []byte) any {
	cut := ""
	if len(data) > maxShownBody {
		cut = fmt.Sprintf("… (%d bytes)", len(data))
		data = data[:maxShownBody]
	}
	switch {
	case len(data) == 0:
		return nil
	case utf8.Valid(data):
		return string(data) + cut
	}
	return "base64:" + base64.StdEncoding.EncodeToString(data) + cut
}

// command is a curl command line that sends the same request; credentials that
// the plugin adds on the way are named, not shown.
func (x *exchange) command(hr *http.Request) string {
	parts := []string{"curl"}
	if hr.Method != http.MethodGet || len(x.body.data) > 0 {
		parts = append(parts, "-X", hr.Method)
	}
	parts = append(parts, quote(hr.URL.String()))
	var names []string
	for name := range hr.Header {
		names = append(names, name)
	}
	for _, name := range sorted(names) {
		if name == "Accept-Encoding" {
			parts = append(parts, "--compressed")
			continue
		}
		for _, v := range hr.Header[name] {
			parts = append(parts, "-H", quote(name+": "+v))
		}
	}
	if a := x.config.Auth; a != nil {
		switch a.Type {
		case "basic":
			parts = append(parts, "-u", quote(a.Username+":"+a.Password))
		case "digest":
			parts = append(parts, "--digest", "-u", quote(a.Username+":"+a.Password))
		case "aws_sigv4":
			parts = append(parts, "--aws-sigv4", quote("aws:amz:"+a.Region+":"+a.Service), "-u", quote(a.AccessKey+":"+a.SecretKey))
		case "bearer":
			parts = append(parts, "-H", quote("Authorization: Bearer "+a.Token))
		}
	}
	if !isTrue(x.config.TLS.Verify) {
		parts = append(parts, "-k")
	}
	if isTrue(x.config.FollowRedirects) && hr.Method == http.MethodGet {
		parts = append(parts, "-L")
	}
	if len(x.body.data) > 0 && utf8.Valid(x.body.data) && len(x.body.data) <= maxShownBody {
		parts = append(parts, "--data-raw", quote(string(x.body.data)))
	} else if len(x.body.data) > 0 {
		parts = append(parts, "--data-binary", "@body")
	}
	return strings.Join(parts, " ")
}

// quote quotes for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
