package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// plane is a node that says what it was asked.
func plane(t *testing.T, status *atomic.Int64) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		if status != nil {
			w.WriteHeader(int(status.Load()))
		}
		fmt.Fprintf(w, "%s %s %s", req.Host, req.URL.Path, body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, asked
}

// nowhere is an address where nothing listens.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func nodesOf(t *testing.T, repeat bool, first int, addresses ...string) *Nodes {
	t.Helper()
	n, err := NewNodes(strings.Join(addresses, ","), repeat, &http.Transport{DisableKeepAlives: true})
	if err != nil {
		t.Fatal(err)
	}
	n.at = first
	return n
}

func (n *Nodes) post(t *testing.T, body string) (string, int, error) {
	t.Helper()
	res, err := (&http.Client{Transport: n}).Post(n.Base()+"/api/x", "text/plain", strings.NewReader(body))
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), res.StatusCode, err
}

func TestANodeThatCannotBeReachedIsLeft(t *testing.T) {
	up, asked := plane(t, nil)
	n := nodesOf(t, false, 0, nowhere(t), up+"/mesh")
	for range 2 {
		text, _, err := n.post(t, "hello")
		if want := strings.TrimPrefix(up, "http://") + " /mesh/api/x hello"; err != nil || text != want {
			t.Errorf("got %q, %v, want %q", text, err, want)
		}
	}
	if n.Address() != up+"/mesh" || asked.Load() != 2 {
		t.Errorf("it is at %s, which was asked %d times", n.Address(), asked.Load())
	}
	all := nodesOf(t, false, 1, nowhere(t), nowhere(t))
	if _, _, err := all.post(t, "hello"); err == nil {
		t.Error("nodes that are not there have answered")
	}
}

func TestANodeThatKnowsOfNoLeaderIsLeftForTheNextCall(t *testing.T) {
	for _, status := range []int64{http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout} {
		var says atomic.Int64
		says.Store(status)
		lost, _ := plane(t, &says)
		up, asked := plane(t, nil)
		n := nodesOf(t, true, 0, lost, up)
		if _, got, err := n.post(t, "one"); err != nil || int64(got) != status || asked.Load() != 0 {
			t.Errorf("got status %d, %v, and the other was asked %d times: what is answered is the answer", got, err, asked.Load())
		}
		if _, got, err := n.post(t, "two"); err != nil || got != http.StatusOK {
			t.Errorf("then got status %d, %v", got, err)
		}
	}
	var says atomic.Int64
	says.Store(http.StatusInternalServerError)
	broken, _ := plane(t, &says)
	n := nodesOf(t, true, 0, broken, nowhere(t))
	if _, _, err := n.post(t, "one"); err != nil || n.Address() != broken {
		t.Errorf("an error of the request: %v, it is at %s", err, n.Address())
	}
}

// What was sent may have been done: only who may repeat it does.
func TestARequestThatWasCut(t *testing.T) {
	var cuts atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cuts.Add(1)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	}))
	defer srv.Close()
	up, asked := plane(t, nil)
	careful := nodesOf(t, false, 0, srv.URL, up)
	if _, _, err := careful.post(t, "x"); err == nil || asked.Load() != 0 {
		t.Errorf("got %v, and the other node was asked %d times", err, asked.Load())
	}
	if careful.Address() != up {
		t.Errorf("it is still at %s", careful.Address())
	}
	bold := nodesOf(t, true, 0, srv.URL, up)
	if text, _, err := bold.post(t, "x"); err != nil || !strings.HasSuffix(text, " x") {
		t.Errorf("got %q, %v", text, err)
	}
	if cuts.Load() != 2 {
		t.Errorf("%d requests were cut, want 2", cuts.Load())
	}
}

func TestACallerWhoLeavesLeavesTheNodeInPlace(t *testing.T) {
	waits := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		close(waits)
		<-req.Context().Done()
	}))
	defer srv.Close()
	n := nodesOf(t, true, 0, srv.URL, nowhere(t))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-waits
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.Base(), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := n.RoundTrip(req)
	if err == nil {
		_ = res.Body.Close()
		t.Fatal("it was answered")
	}
	if n.Address() != srv.URL {
		t.Errorf("it went on to %s", n.Address())
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]int{
		"https://a": 1, " https://a/ , http://b:70/mesh/": 2, "": 0, "a": 0, "https://a,": 0, "https://": 0, "ftp://a": 0, "https://a?b": 0,
		strings.Repeat("http://a,", MaxNodes) + "http://a": 0,
	} {
		list, err := ReadAddresses(text)
		if len(list) != want || (err == nil) != (want > 0) {
			t.Errorf("%q: got %v, %v", text, list, err)
		}
	}
}
