package probe

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// want "" means that the probe succeeds.
func check(t *testing.T, target, want string) {
	t.Helper()
	err := New().Probe(t.Context(), target)
	switch {
	case want == "" && err != nil:
		t.Errorf("probe %s: %v", target, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("probe %s: got %v, want %q", target, err, want)
	}
}

func TestHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/down":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/login":
			http.Redirect(w, r, "/down", http.StatusFound)
		case "/secret":
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	for claim, c := range map[string]struct{ path, want string }{
		"a status of 200 is an answer":   {"/", ""},
		"a status of 401 is an answer":   {"/secret", ""},
		"a redirect is an answer itself": {"/login", ""},
		"a status of 503 is not up yet":  {"/down", "answers 503"},
	} {
		t.Run(claim, func(t *testing.T) { check(t, server.URL+c.path, c.want) })
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	check(t, "tcp://"+addr, "")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, "tcp://"+addr, "refused")
	check(t, "tcp://127.0.0.1", "has no port")
}

func TestRefused(t *testing.T) {
	check(t, "ftp://x", "is not http")
	check(t, "http://127.0.0.1:1", "refused")
	check(t, ":", "is no URL")
	check(t, "grpc:///x", "has no host")
}

func TestCancelledContextEndsAProbe(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New().Probe(ctx, server.URL); err == nil {
		t.Error("got an answer")
	}
}

func TestGRPCHealth(t *testing.T) {
	answer := func(code, message string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
			_, _ = w.Write(body)
			w.Header().Set("Grpc-Status", code)
			w.Header().Set("Grpc-Message", message)
		}
	}
	for claim, c := range map[string]struct {
		handler    http.HandlerFunc
		path, want string
	}{
		"serving is up":                              {answer("0", "", frame([]byte{8, 1})), "", ""},
		"unknown fields are passed over":             {answer("0", "", frame([]byte{8, 1, 18, 1, 'x'})), "", ""},
		"not serving is not up":                      {answer("0", "", frame([]byte{8, 2})), "", "is NOT_SERVING"},
		"no status at all is UNKNOWN":                {answer("0", "", frame(nil)), "", "is UNKNOWN"},
		"a status to come is a number":               {answer("0", "", frame([]byte{8, 9})), "", "is 9"},
		"a server without a health service is up":    {answer("12", "", nil), "", ""},
		"but not for a service that was named":       {answer("12", "", nil), "/a.B", "gRPC status 12"},
		"an unknown service is not up":               {answer("5", "", nil), "/a.B", `does not know the service "a.B"`},
		"another gRPC status is told":                {answer("14", "draining", nil), "", "gRPC status 14 draining"},
		"an answer without grpc-status is not gRPC":  {func(http.ResponseWriter, *http.Request) {}, "", "not gRPC"},
		"an HTTP error is not gRPC":                  {http.NotFound, "", "answers HTTP 404"},
		"a message that is cut short is no answer":   {answer("0", "", frame([]byte{8, 1})[:6]), "", "cut short"},
		"an empty answer is no answer":               {answer("0", "", nil), "", "no message"},
		"a message that is no protobuf is no answer": {answer("0", "", frame([]byte{8})), "", "read the health check"},
		"a compressed message was not asked for":     {answer("0", "", []byte{1, 0, 0, 0, 0}), "", "compressed"},
		"a grpc-status that is no number is told":    {answer("fine", "", nil), "", "grpc-status"},
	} {
		t.Run(claim, func(t *testing.T) {
			var asked []byte
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = make([]byte, 64)
				n, _ := r.Body.Read(asked)
				asked = asked[:n]
				if r.URL.Path != checkPath || r.ProtoMajor != 2 {
					t.Errorf("asked %s with %s", r.URL.Path, r.Proto)
				}
				c.handler(w, r)
			}))
			var protocols http.Protocols
			protocols.SetUnencryptedHTTP2(true)
			server.Config.Protocols = &protocols
			server.Start()
			defer server.Close()
			check(t, "grpc://"+server.Listener.Addr().String()+c.path, c.want)
			if service := strings.Trim(c.path, "/"); string(asked) != string(frame(checkRequest(service))) {
				t.Errorf("asked %q", asked)
			}
		})
	}
}
