package http

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// tunnel is a proxy that connects whoever knows the password, or refuses.
func tunnel(t *testing.T, status int) *recordingServer {
	t.Helper()
	return record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		target, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		client, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(target, client)
			target.Close()
		}()
		_, _ = io.Copy(client, target)
		client.Close()
	})
}

func TestProxiesCarryTheRequest(t *testing.T) {
	ca := newAuthority(t)
	secure := ca.serveTLS(t, "127.0.0.1", time.Now().Add(time.Hour), nil)
	proxy := tunnel(t, http.StatusOK)
	c := newCaller(t, Config{})
	withUser := strings.Replace(proxy.URL, "http://", "http://ada:pw@", 1)
	if got := c.do(m{"url": secure.URL, "tls": m{"ca": ca.pem}, "proxy": withUser})["body"]; got != "HTTP/2.0 nobody" {
		t.Errorf("through the tunnel: got %v", got)
	}
	got := proxy.last(t)
	if got.Method != http.MethodConnect || got.Header.Get("Proxy-Authorization") != "Basic YWRhOnB3" || got.Header.Get("Traceparent") != "" {
		t.Errorf("the proxy got %+v", got)
	}
	c.do(m{"url": "http://shop.test/x?y", "proxy": withUser})
	if got := proxy.last(t); got.URI != "http://shop.test/x?y" || got.Header.Get("Proxy-Authorization") != "Basic YWRhOnB3" {
		t.Errorf("without TLS the proxy got %+v", got)
	}
}

func TestTheHostsProxyIsUsedUnlessTheFlowSaysOtherwise(t *testing.T) {
	proxy, direct, other := record(t, nil), record(t, nil), record(t, nil)
	at := mustURL(t, proxy.URL)
	c := newCaller(t, Config{Proxy: func(*http.Request) (*url.URL, error) { return at, nil }})
	tests := []struct {
		name   string
		config m
		server *recordingServer
	}{
		{"the host's", m{"url": direct.URL}, proxy},
		{"none", m{"url": direct.URL, "proxy": "none"}, direct},
		{"the flow's", m{"url": direct.URL, "proxy": other.URL}, other},
	}
	for _, test := range tests {
		before := len(test.server.all())
		c.do(test.config)
		if len(test.server.all()) != before+1 {
			t.Errorf("%s: the request went elsewhere", test.name)
		}
	}
}

// http.ProxyFromEnvironment, which the binary gives, sends nothing for this
// machine to a proxy, whatever the environment says.
func TestTheEnvironmentsProxyIsNotForThisMachine(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	server := record(t, nil)
	if got := newCaller(t, Config{Proxy: http.ProxyFromEnvironment}).do(m{"url": server.URL})["status"]; got != 200.0 {
		t.Errorf("got %v, want 200", got)
	}
}

func TestProxiesThatStandInTheWay(t *testing.T) {
	tests := map[string]struct {
		proxy, want, hint string
	}{
		"it refuses":        {tunnel(t, http.StatusForbidden).URL, "refused to connect to shop.test: 403 Forbidden", "config.proxy: none"},
		"it wants a user":   {tunnel(t, http.StatusProxyAuthRequired).URL, "refused to connect to shop.test: 407", "http://user:password@host:port"},
		"it is not there":   {"http://u:hunter2@127.0.0.1:1", "the proxy cannot be reached: connection refused", "config.proxy"},
		"nor the SOCKS one": {"socks5://127.0.0.1:1", "connection refused", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := newCaller(t, Config{}).fail(m{"url": "https://shop.test/", "proxy": test.proxy})
			if err.Code != plugin.CodeConn {
				t.Errorf("got %s, want E-CONN", err.Code)
			}
			contains(t, err.Message, test.want)
			contains(t, err.Hint, test.hint)
			if strings.Contains(err.Message+err.Hint+strings.Join(err.Details, ""), "hunter2") {
				t.Errorf("the password stands in %v", err)
			}
		})
	}
}
