package grpc

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// wants checks an error that says nothing about the system's answers.
func wants(t *testing.T, e *plugin.Error, code string, parts ...string) {
	t.Helper()
	all := words(e)
	if e.Code != code || e.Failed {
		t.Errorf("got %s, failed %v, want %s", all, e.Failed, code)
	}
	for _, part := range parts {
		if !strings.Contains(all, part) {
			t.Errorf("got %s\nwithout %s", all, part)
		}
	}
}

func TestServersThatAreNone(t *testing.T) {
	web := func(start func(*httptest.Server), version2 bool) *httptest.Server {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(!version2)
		s.Config.Protocols.SetUnencryptedHTTP2(version2)
		start(s)
		t.Cleanup(s.Close)
		return s
	}
	plain, secure, two := web((*httptest.Server).Start, false), web((*httptest.Server).StartTLS, false), web((*httptest.Server).Start, true)
	addr := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	ssh := answering(t, func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2p1\r\n"); silent(c) })
	hangsUp := answering(t, func(net.Conn) {})
	alert := answering(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 100))
		_, _ = c.Write([]byte{0x15, 3, 1, 0, 2, 2, 40})
	})
	trusted := echoServer(t, true, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{issue(t, nil).pair}})))
	quiet := answering(t, silent)

	tests := map[string]struct {
		config fields
		code   string
		parts  []string
	}{
		"nobody there":             {fields{"address": "127.0.0.1:1"}, plugin.CodeConn, []string{"connection refused: 127.0.0.1:1", "is the service started"}},
		"no such name":             {fields{"address": "nowhere.invalid:443"}, plugin.CodeDNS, []string{`the name "nowhere.invalid" does not resolve`}},
		"HTTP/1":                   {fields{"address": addr(plain)}, plugin.CodeProtocol, []string{addr(plain) + " speaks HTTP/1, and gRPC needs HTTP/2", "http.request"}},
		"HTTP/2 without gRPC":      {fields{"address": addr(two)}, plugin.CodeProtocol, []string{"answered HTTP 404 Not Found, which is not gRPC", "404 page not found"}},
		"another protocol":         {fields{"address": ssh}, plugin.CodeProtocol, []string{"does not speak HTTP/2", `SSH-2.0`}},
		"a server that hangs up":   {fields{"address": hangsUp}, plugin.CodeConn, []string{"closed it without a word", "write grpcs://"}},
		"a server that is silent":  {fields{"address": quiet, "connect_timeout": "100ms"}, plugin.CodeTimeout, []string{"no connection to " + quiet + " within 100ms: the server accepted it and said nothing"}},
		"TLS where there is none":  {fields{"address": "grpcs://" + addr(plain)}, plugin.CodeTLS, []string{addr(plain) + " does not speak TLS on this port", "write grpc://" + addr(plain)}},
		"no TLS where there is":    {fields{"address": addr(secure)}, plugin.CodeConn, []string{addr(secure) + " accepted the connection and closed it without a word", "write grpcs://" + addr(secure)}},
		"TLS that answers in TLS":  {fields{"address": alert}, plugin.CodeTLS, []string{alert + " speaks TLS on this port", "write grpcs://" + alert}},
		"TLS with HTTP/1 alone":    {fields{"address": addr(secure), "tls": fields{"verify": false}}, plugin.CodeTLS, []string{addr(secure), "HTTP/2"}},
		"TLS that nobody trusts":   {fields{"address": "https://" + trusted}, plugin.CodeTLS, []string{"signed by an authority that is not trusted", "tls.ca_file"}},
		"a silent TLS handshake":   {fields{"address": quiet, "tls": true, "connect_timeout": "100ms"}, plugin.CodeTimeout, []string{"within 100ms: the TLS handshake has not ended"}},
		"a hang-up in the middle":  {fields{"address": hangsUp, "tls": true}, plugin.CodeTLS, []string{"closed the connection in the TLS handshake", "grpc://"}},
		"a step that is too short": {fields{"address": quiet, "deadline": "100ms"}, plugin.CodeTimeout, []string{"no connection to " + quiet + " within 100ms: the server accepted it and said nothing", "raise deadline"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := against(t, "")
			test.config["method"] = echo
			e := s.fault("call", test.config)
			wants(t, e, test.code, test.parts...)
			if e.Blame != plugin.BlameSystem {
				t.Errorf("got the blame %s", e.Blame)
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	address := shop(t)
	tests := map[string]struct {
		fault string
		code  string
		parts []string
	}{
		"what stands before it answers":  {"status=503", plugin.CodeProtocol, []string{"answered HTTP 503 Service Unavailable, which is not gRPC", "proxy", "this is the fault that was asked for"}},
		"a reset call":                   {"drop", plugin.CodeConn, []string{"reset the call of " + getProduct + ": INTERNAL_ERROR"}},
		"a reset connection":             {"reset", plugin.CodeConn, []string{"reset the connection during " + getProduct}},
		"a message of a gibibyte":        {"endless", plugin.CodeBody, []string{"a message of 1073741824 bytes", "over max_message, which is 10485760 bytes", "raise max_message"}},
		"a message that is cut":          {"truncate", plugin.CodeProtocol, []string{"cannot be read: unexpected EOF"}},
		"a message that is no protobuf":  {"malformed", plugin.CodeBody, []string{"is no shop.v1.GetProductResponse"}},
		"a message after the time limit": {"latency=10s", plugin.CodeTimeout, []string{getProduct + " of " + address + " did not answer within 300ms", "raise deadline"}},
	}
	s := against(t, address)
	call := fields{"method": getProduct, "request": fields{"sku": "TEA-001"}}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			broken := fields{"metadata": fields{"x-fault": test.fault}, "deadline": "300ms"}
			if !strings.HasPrefix(test.fault, "latency") {
				broken["deadline"] = "10s"
			}
			for k, v := range call {
				broken[k] = v
			}
			s.do("call", call) // the schema is known
			e := s.fault("call", broken)
			wants(t, e, test.code, test.parts...)
			if got := s.do("call", call); got.get("status.name") != "OK" {
				t.Errorf("the next step: got %v", got.fields)
			}
		})
	}
}

// TestWhatAGoServerSaysOfALargeRequestIsItsAnswer: its words are those with which
// a client in Go refuses an answer.
func TestWhatAGoServerSaysOfALargeRequestIsItsAnswer(t *testing.T) {
	s := against(t, echoServer(t, true, grpc.MaxRecvMsgSize(1000)))
	got := s.do("call", fields{"method": echo, "request": fields{"value": fields{"text": strings.Repeat("x", 2000)}}})
	if got.get("status.name") != "RESOURCE_EXHAUSTED" || !strings.Contains(got.get("status.message").(string), "larger than max") {
		t.Errorf("got %v", got.fields)
	}
}

// TestAnAnswerThatIsTooLargeIsNoAnswerWhateverTheServerSaysAfterIt: the server
// has long sent OK when the client looks at the message.
func TestAnAnswerThatIsTooLargeIsNoAnswerWhateverTheServerSaysAfterIt(t *testing.T) {
	s := against(t, shop(t))
	for range 20 {
		e := s.fault("call", fields{"method": "echo.v1.EchoService/Bytes", "request": fields{"size": 2000}, "max_message": 1000})
		wants(t, e, plugin.CodeBody, "a message of 2003 bytes", "over max_message, which is 1000 bytes")
	}
	got := s.do("call", fields{"method": "echo.v1.EchoService/Bytes", "request": fields{"size": 900}, "max_message": 1000})
	if got.get("status.name") != "OK" {
		t.Errorf("got %v", got.fields)
	}
}

func TestTimeLimitsOfEachPhase(t *testing.T) {
	block := func(stream grpc.ServerStream) error {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	headersOnly := func(stream grpc.ServerStream) error {
		if err := stream.SendHeader(metadata.MD{}); err != nil {
			return err
		}
		return block(stream)
	}
	t.Run("no answer", func(t *testing.T) {
		e := raw(t, block).fault("call", fields{"method": echo, "deadline": "100ms"})
		wants(t, e, plugin.CodeTimeout, echo+" of", "did not answer within 100ms", "raise deadline")
	})
	t.Run("headers, and no message", func(t *testing.T) {
		e := raw(t, headersOnly).fault("call", fields{"method": echo, "deadline": "100ms"})
		wants(t, e, plugin.CodeTimeout, "did not end its answer within 100ms")
	})
	t.Run("the step's own time", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		e := raw(t, block).faultIn(ctx, "call", fields{"method": echo})
		wants(t, e, plugin.CodeTimeout, "did not answer within", "raise the step's timeout")
	})
	t.Run("reflection", func(t *testing.T) {
		s := raw(t, block)
		delete(s.base, "proto_file")
		e := s.fault("call", fields{"method": echo, "deadline": "100ms"})
		wants(t, e, plugin.CodeTimeout, "the reflection service of", "did not answer within 100ms")
	})
}

// TestALimitThatTheServerNoticesFirstIsOurs: it is told of our deadline, and its
// clock may be a moment before.
func TestALimitThatTheServerNoticesFirstIsOurs(t *testing.T) {
	s := raw(t, func(stream grpc.ServerStream) error {
		limit, _ := stream.Context().Deadline()
		early := time.NewTimer(time.Until(limit) - 20*time.Millisecond)
		defer early.Stop()
		select {
		case <-early.C:
		case <-stream.Context().Done():
		}
		return status.Error(codes.DeadlineExceeded, "context deadline exceeded")
	})
	for action, method := range map[string]string{"call": echo, "stream": "echo.v1.EchoService/Count"} {
		wants(t, s.fault(action, fields{"method": method, "deadline": "200ms"}), plugin.CodeTimeout, "within 200ms", "raise")
	}
	delete(s.base, "proto_file")
	wants(t, s.fault("call", fields{"method": echo, "deadline": "200ms"}), plugin.CodeTimeout, "the reflection service of", "within 200ms")
}

func TestAServersOwnDeadlineIsItsAnswer(t *testing.T) {
	s := raw(t, func(grpc.ServerStream) error { return status.Error(codes.DeadlineExceeded, "the database is slow") })
	if got := s.do("call", fields{"method": echo}); got.get("status.name") != "DEADLINE_EXCEEDED" || got.get("status.message") != "the database is slow" {
		t.Errorf("got %v", got.fields)
	}
	if got := s.do("call", fields{"method": echo, "deadline": "20s"}); got.get("status.name") != "DEADLINE_EXCEEDED" {
		t.Errorf("long before ours: got %v", got.fields)
	}
}

func TestACancelledStepEndsAtOnce(t *testing.T) {
	quiet := answering(t, silent)
	began := make(chan struct{}, 10)
	s := raw(t, func(stream grpc.ServerStream) error {
		began <- struct{}{}
		<-stream.Context().Done()
		return stream.Context().Err()
	})
	tests := map[string]struct {
		action string
		config fields
		begun  bool
	}{
		"while it connects":      {"call", fields{"address": quiet, "method": echo}, false},
		"in the TLS handshake":   {"call", fields{"address": quiet, "tls": true, "method": echo}, false},
		"while nothing comes":    {"call", fields{"method": echo}, true},
		"in a stream":            {"stream", fields{"method": "echo.v1.EchoService/Count"}, true},
		"in an expectation":      {"stream", fields{"method": "echo.v1.EchoService/Chat", "script": []any{fields{"expect": fields{"within": "1h"}}}}, true},
		"while a script waits":   {"stream", fields{"method": "echo.v1.EchoService/Chat", "script": []any{fields{"wait": "1h"}}}, true},
		"in a stream of no end":  {"stream", fields{"method": "echo.v1.EchoService/Count", "within": "1h"}, true},
		"with a script to send":  {"stream", fields{"method": "echo.v1.EchoService/Chat", "script": []any{fields{"expect": fields{"within": "1h"}}, fields{"send": fields{}}}}, true},
		"while it is waited for": {"call", fields{"address": "127.0.0.1:1", "wait_for_ready": true, "method": echo}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if test.begun {
					<-began
				} else {
					<-time.After(50 * time.Millisecond)
				}
				cancel()
			}()
			start := time.Now()
			e := s.faultIn(ctx, test.action, test.config)
			if took := time.Since(start); took > 2*time.Second || e.Blame == plugin.BlamePlugin {
				t.Errorf("got %s after %s", words(e), took)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	authority := issue(t, nil)
	serverCert, clientCert, elsewhere := issue(t, authority), issue(t, authority), issue(t, authority, "shop.example")
	serve := func(cert *issued, mutual bool) string {
		c := &tls.Config{Certificates: []tls.Certificate{cert.pair}}
		if mutual {
			c.ClientAuth = tls.RequireAnyClientCert
		}
		return echoServer(t, true, grpc.Creds(credentials.NewTLS(c)))
	}
	one, mutual, other := serve(serverCert, false), serve(serverCert, true), serve(elsewhere, false)
	ok := map[string]fields{
		"an authority of one's own": {"address": "grpcs://" + one, "tls": fields{"ca": authority.certPEM}},
		"the check is off":          {"address": one, "tls": fields{"verify": false}},
		"another name":              {"address": other, "tls": fields{"ca": authority.certPEM, "server_name": "shop.example"}},
		"an authority that is told": {"address": other, "tls": fields{"ca": authority.certPEM, "server_name": "shop.example"}, "authority": "whatever"},
		"a client certificate":      {"address": mutual, "tls": fields{"ca": authority.certPEM, "cert": clientCert.certPEM, "key": clientCert.keyPEM}},
	}
	for name, config := range ok {
		t.Run(name, func(t *testing.T) {
			config["method"] = echo
			if got := against(t, "").do("call", config); got.get("status.name") != "OK" {
				t.Errorf("got %v", got.fields)
			}
		})
	}
	wrong := map[string]struct {
		config fields
		parts  []string
	}{
		"a name that is not in it": {fields{"address": other, "tls": fields{"ca": authority.certPEM}}, []string{"is for another name", "tls.server_name"}},
		"no client certificate":    {fields{"address": mutual, "tls": fields{"ca": authority.certPEM}}, []string{"asks for a client certificate, and got none", "tls.cert_file"}},
	}
	for name, test := range wrong {
		t.Run(name, func(t *testing.T) {
			test.config["method"] = echo
			wants(t, against(t, "").fault("call", test.config), plugin.CodeTLS, test.parts...)
		})
	}
}
