package http

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shellWords splits a line as a POSIX shell does, for what quote and command
// write: words, single quotes, \' and double quotes.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	var words []string
	var word strings.Builder
	inWord := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		case '\'', '"':
			end := strings.IndexByte(line[i+1:], c)
			if end < 0 {
				t.Fatalf("a quote without end in %s", line)
			}
			word.WriteString(line[i+1 : i+1+end])
			i += end + 1
			inWord = true
		case '\\':
			i++
			word.WriteByte(line[i])
			inWord = true
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

func TestCurlLinesSayTheRequest(t *testing.T) {
	server := record(t, nil)
	url := server.URL + "/x"
	tests := map[string]struct {
		config m
		want   string // after curl and before nothing
	}{
		"GET":               {m{}, "URL --compressed -L"},
		"HEAD":              {m{"method": "HEAD"}, "--head URL --compressed -L"},
		"DELETE":            {m{"method": "DELETE"}, "-X DELETE URL --compressed"},
		"JSON":              {m{"method": "POST", "json": m{"a": "it's"}}, "URL --compressed -H Content-Type: application/json -L --data-raw {\"a\":\"it's\"}"},
		"settings":          {m{"compressed": false, "follow_redirects": false, "http_version": "1.1", "tls": m{"verify": false}, "timeout": "1500ms", "proxy": "none"}, "URL --http1.1 -k --noproxy * --max-time 1.5"},
		"HTTP/2":            {m{"compressed": false, "http_version": "2", "max_redirects": 3, "url": rawServer(t, func(net.Conn) {})}, "URL -L --max-redirs 3 --http2-prior-knowledge"},
		"no type of a body": {m{"method": "POST", "body": "x", "headers": m{"Content-Type": nil}}, "URL --compressed -H Content-Type: -L --data-raw x"},
		"an empty header":   {m{"headers": m{"X-A": ""}}, "URL --compressed -H X-A; -L"},
		"braces":            {m{"url": url + "?a=[1]{2}"}, "--globoff URL?a=[1]{2} --compressed -L"},
		"dots":              {m{"url": url + "/../y"}, "--path-as-is URL/../y --compressed -L"},
		"basic":             {m{"auth": m{"type": "basic", "username": "a", "password": "b"}}, "-u a:b URL --compressed -L"},
		"digest":            {m{"auth": m{"type": "digest", "username": "a", "password": "b"}}, "--digest -u a:b URL --compressed -L"},
		"signed":            {m{"auth": m{"type": "aws_sigv4", "access_key": "a", "secret_key": "b", "region": "r", "service": "s"}}, "--aws-sigv4 aws:amz:r:s -u a:b URL --compressed -L"},
		"a key":             {m{"auth": m{"type": "api_key", "name": "X-Key", "value": "k"}}, "-H X-Key: k URL --compressed -L"},
		"a key in a cookie": {m{"cookies": m{"a": 1}, "auth": m{"type": "api_key", "name": "k", "value": "v", "location": "cookie"}}, "URL --compressed -H Cookie: a=1; k=v -L"},
		"a token of its":    {m{"auth": m{"type": "jwt", "secret_key": "x"}}, "-H Authorization: Bearer $TOKEN URL --compressed -L"},
		"a token of OAuth":  {newIssuer(t, 0).step(), "-H Authorization: Bearer $TOKEN URL --compressed -L"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.config["url"] == nil {
				test.config["url"] = url
			}
			c := newCaller(t, Config{})
			c.req.TraceParent = traceParent
			if _, err := c.try(t.Context(), test.config); err != nil && name != "HTTP/2" {
				t.Fatal(err)
			}
			base := test.config["url"].(string)
			if strings.HasPrefix(base, url) {
				base = url
			}
			want := "curl " + strings.Replace(test.want, "URL", base, 1)
			got := strings.Join(shellWords(t, c.lastExchange().Curl), " ")
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// Every line is run by a shell and curl against the server that saw the
// plugin's own request: both must have said the same.
func TestCurlLinesSendTheSameRequest(t *testing.T) {
	dir := projectDir(t)
	server := record(t, nil)
	url := server.URL + "/x"
	tests := map[string]m{
		"GET":              {"url": url, "query": m{"a": "b c&d"}},
		"HEAD":             {"url": url, "method": "HEAD"},
		"PUT of JSON":      {"url": url, "method": "PUT", "json": m{"name": "O'Brien \"x\" $HOME `id` \\ \u2713"}},
		"POST of a text":   {"url": url, "method": "POST", "body": "line 1\nline 2\n@not a file"},
		"POST without":     {"url": url, "method": "POST"},
		"a form":           {"url": url, "method": "POST", "form": m{"a": l{1, "ü"}}},
		"bytes":            {"url": url, "method": "POST", "body_base64": "AP8QAA=="},
		"a file":           {"url": url, "method": "POST", "body_file": "data/users.csv"},
		"headers":          {"url": url, "headers": m{"X-A": l{"1", "it's"}, "X-Empty": "", "Accept": "text/plain", "User-Agent": "me"}},
		"no headers":       {"url": url, "method": "POST", "body": "x", "headers": m{"X-B": "", "Content-Type": nil, "Accept": nil, "User-Agent": nil}},
		"another host":     {"url": url, "headers": m{"Host": "shop.test"}},
		"cookies":          {"url": url, "cookies": m{"a": "1", "b": "x y"}},
		"basic":            {"url": url, "auth": m{"type": "basic", "username": "a'b", "password": "c:d"}},
		"bearer":           {"url": url, "auth": m{"type": "bearer", "token": "t$0"}},
		"a key in a query": {"url": url, "auth": m{"type": "api_key", "name": "k", "value": "a b", "location": "query"}},
		"brackets":         {"url": url + "?ids[]=1&f={a,b}"},
		"parts":            {"url": url, "method": "POST", "multipart": l{m{"name": "a", "value": "b"}, m{"name": "f", "file": "logo.png"}}},
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatalf("make setup installs it: %v", err)
	}
	for name, config := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCaller(t, Config{UserAgent: "TestMesh"})
			c.req.Root, c.req.Dir, c.req.TraceParent = dir, "flows", traceParent
			c.do(config)
			ours := server.last(t)
			command := exec.Command(shell, "-c", c.lastExchange().Curl)
			command.Dir = filepath.Join(dir, "flows")
			command.Env = append(os.Environ(), "http_proxy=", "HTTP_PROXY=")
			before := len(server.all())
			if out, err := command.CombinedOutput(); err != nil || len(server.all()) != before+1 {
				t.Fatalf("%s\n%v: %s", c.lastExchange().Curl, err, out)
			}
			curls := server.last(t)
			for _, h := range []http.Header{ours.Header, curls.Header} {
				h.Del("Traceparent")
				h.Del("Accept-Encoding") // curl offers what it was built with
				if headers, _ := config["headers"].(m); headers["X-A"] == nil && headers["Accept"] == nil {
					h.Del("User-Agent") // each names itself where the flow does not
				}
			}
			if diff := cmp.Diff(ours, curls); diff != "" {
				t.Errorf("%s\n(-plugin +curl):\n%s", c.lastExchange().Curl, diff)
			}
		})
	}
}
