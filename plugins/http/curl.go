package http

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// command is a line for a POSIX shell that sends the same request with curl.
// Tokens that the plugin obtained or signed are left to the variable TOKEN; what
// the flow itself says stands there, and the host masks its secrets. What is
// curl's own default, or names this very request (User-Agent, traceparent, X-TestMesh-Run), is
// left out.
func (x *exchange) command() string {
	c, hr := &x.config, x.first
	var line []string
	add := func(words ...string) { line = append(line, words...) }
	pipe := ""
	switch {
	case hr.Method == http.MethodHead:
		add("--head")
	case hr.Method == http.MethodGet && len(x.body.data) == 0:
	case hr.Method == http.MethodPost && len(x.body.data) > 0:
	default:
		add("-X", word(hr.Method))
	}
	target := hr.URL
	if c.Auth != nil {
		target = x.proofWords(add, target)
	}
	text := target.String()
	if strings.ContainsAny(text, "[]{}") {
		add("--globoff")
	}
	if strings.Contains(target.EscapedPath(), "/.") {
		add("--path-as-is")
	}
	add(quote(text))
	x.headerWords(add)
	x.settingWords(add)
	switch data := x.body.data; {
	case len(data) == 0 && (hr.Method == http.MethodPost || hr.Method == http.MethodPut || hr.Method == http.MethodPatch):
		add("-H", "'Content-Type:'", "--data-raw", "''") // Content-Length: 0, as net/http says it
	case len(data) == 0:
	case x.body.file != "":
		add("--data-binary", quote("@"+x.body.file))
	case utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 && len(data) <= maxShownBody:
		add("--data-raw", quote(string(data)))
	case len(data) <= maxShownBody:
		pipe = "printf %s " + quote(base64.StdEncoding.EncodeToString(data)) + " | base64 -d | "
		add("--data-binary", "@-")
	default: // too long for a line: the file is the reader's to provide
		add("--data-binary", "@body.bin")
	}
	return pipe + "curl " + strings.Join(line, " ")
}

// proofWords adds what config.auth adds, to the line or to the URL.
func (x *exchange) proofWords(add func(...string), target *url.URL) *url.URL {
	a := x.config.Auth
	switch a.Type {
	case "basic":
		add("-u", quote(a.Username+":"+a.Password))
	case "digest":
		add("--digest", "-u", quote(a.Username+":"+a.Password))
	case "aws_sigv4":
		add("--aws-sigv4", quote("aws:amz:"+a.Region+":"+a.Service), "-u", quote(a.AccessKey+":"+a.SecretKey))
		if a.SessionToken != "" {
			add("-H", quote("X-Amz-Security-Token: "+a.SessionToken))
		}
	case "bearer":
		add("-H", quote("Authorization: Bearer "+a.Token))
	case "jwt", "oauth2":
		add("-H", `"Authorization: Bearer $TOKEN"`)
	case "api_key":
		proved := copyRequest(&http.Request{Header: http.Header{}, URL: target})
		if a.apiKey()(proved) != nil {
			return target
		}
		for name, values := range proved.Header {
			if name != "Cookie" { // headerWords writes one Cookie header
				add("-H", quote(name+": "+values[0]))
			}
		}
		return proved.URL
	}
	return target
}

func (x *exchange) headerWords(add func(...string)) {
	hr, c := x.first, &x.config
	if hr.Host != "" && hr.Host != hr.URL.Host {
		add("-H", quote("Host: "+hr.Host))
	}
	for _, name := range sortedKeys(hr.Header) {
		values := hr.Header[name]
		switch {
		case name == "Accept-Encoding" && isTrue(c.Compressed) && len(values) == 1 && values[0] == encodings[0]:
			add("--compressed")
			continue
		case name == "Traceparent" && !c.sets(name), name == runHeader && !c.sets(name), name == "User-Agent" && !c.sets(name), name == "Accept" && !c.sets(name):
			continue
		case name == "Cookie" && c.Auth != nil && c.Auth.Type == "api_key" && c.Auth.Location == "cookie":
			continue
		}
		for _, v := range values {
			if v == "" {
				add("-H", quote(name+";"))
				continue
			}
			add("-H", quote(name+": "+v))
		}
	}
	if a := c.Auth; a != nil && a.Type == "api_key" && a.Location == "cookie" {
		pair := a.Name + "=" + a.Value
		if others := hr.Header.Get("Cookie"); others != "" {
			pair = others + "; " + pair
		}
		add("-H", quote("Cookie: "+pair))
	}
	for _, name := range [...]string{"User-Agent", "Accept", "Content-Type"} {
		curlSends := name != "Content-Type" || len(x.body.data) > 0
		if curlSends && len(hr.Header[name]) == 0 {
			add("-H", quote(name+":")) // curl's way of sending none
		}
	}
	if len(hr.TransferEncoding) > 0 {
		add("-H", quote("Transfer-Encoding: chunked"))
	}
}

// sets tells whether the flow itself sets a header.
func (c *config) sets(name string) bool {
	for key := range c.Headers {
		if strings.EqualFold(key, name) {
			return true
		}
	}
	return false
}

func (x *exchange) settingWords(add func(...string)) {
	c, hr := &x.config, x.first
	if isTrue(c.FollowRedirects) && (hr.Method == http.MethodGet || hr.Method == http.MethodHead || hr.Method == http.MethodPost && len(x.body.data) > 0) {
		add("-L")
		if c.MaxRedirects != nil {
			add("--max-redirs", strconv.Itoa(*c.MaxRedirects))
		}
	}
	switch {
	case c.HTTPVersion == "1.1":
		add("--http1.1")
	case c.HTTPVersion == "2" && hr.URL.Scheme == "http":
		add("--http2-prior-knowledge")
	case c.HTTPVersion == "2":
		add("--http2")
	}
	if !isTrue(c.TLS.Verify) {
		add("-k")
	}
	for _, f := range [...]struct{ option, file string }{{"--cacert", c.TLS.CAFile}, {"--cert", c.TLS.CertFile}, {"--key", c.TLS.KeyFile}} {
		if f.file != "" {
			add(f.option, quote(f.file))
		}
	}
	switch c.Proxy {
	case "":
	case "none":
		add("--noproxy", "'*'")
	default:
		add("--proxy", quote(c.Proxy))
	}
	if c.Timeout > 0 {
		add("--max-time", strconv.FormatFloat(time.Duration(c.Timeout).Seconds(), 'f', -1, 64))
	}
}

// word leaves a plain method as it is.
func word(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < 'A' || r > 'Z' }) < 0 {
		return s
	}
	return quote(s)
}

// quote quotes for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
