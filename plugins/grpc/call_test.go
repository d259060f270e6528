package grpc

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// valueOf sends a value of every kind and gives what came back.
func (s *steps) valueOf(t *testing.T, value string, more fields) any {
	t.Helper()
	config := fields{"method": echo, "request": json.RawMessage(`{"value":` + value + `}`)}
	for k, v := range more {
		config[k] = v
	}
	return s.do("call", config).get("response.value")
}

func TestValuesComeBackAsTheyWereSent(t *testing.T) {
	s := against(t, shop(t))
	tests := map[string]struct{ sent, path, want string }{
		"a text":                      {`{"text":"Grüße ☕\n"}`, "text", `"Grüße ☕\n"`},
		"bytes":                       {`{"data":"AP8="}`, "data", `"AP8="`},
		"bytes in the form of URLs":   {`{"data":"_-8"}`, "data", `"/+8="`},
		"true":                        {`{"flag":true}`, "flag", `true`},
		"the largest int64":           {`{"int64":9223372036854775807}`, "int64", `9223372036854775807`},
		"the smallest int64":          {`{"int64":-9223372036854775808}`, "int64", `-9223372036854775808`},
		"an int64 as a text":          {`{"int64":"9007199254740993"}`, "int64", `9007199254740993`},
		"the largest uint64":          {`{"uint64":18446744073709551615}`, "uint64", `18446744073709551615`},
		"the largest fixed64":         {`{"fixed64":"18446744073709551615"}`, "fixed64", `18446744073709551615`},
		"a sint64":                    {`{"sint64":-9007199254740993}`, "sint64", `-9007199254740993`},
		"a whole number with a point": {`{"int32":5.0}`, "int32", `5`},
		"a float":                     {`{"float":0.1}`, "float", `0.1`},
		"a double":                    {`{"double":0.1}`, "double", `0.1`},
		"a large double":              {`{"double":1e300}`, "double", `1e+300`},
		"no number":                   {`{"double":"NaN"}`, "double", `"NaN"`},
		"no bound":                    {`{"float":"-Infinity"}`, "float", `"-Infinity"`},
		"an enum by name":             {`{"mood":"MOOD_GRUMPY"}`, "mood", `"MOOD_GRUMPY"`},
		"an enum by number":           {`{"mood":1}`, "mood", `"MOOD_HAPPY"`},
		"an enum that nobody knows":   {`{"mood":77}`, "mood", `77`},
		"a list":                      {`{"texts":["a",""]}`, "texts", `["a",""]`},
		"a list of int64":             {`{"numbers":[1,"9007199254740993"]}`, "numbers", `[1,9007199254740993]`},
		"a map of int64":              {`{"counts":{"b":2,"a":"9007199254740993"}}`, "counts", `{"a":9007199254740993,"b":2}`},
		"a map with numbers as keys":  {`{"children":{"10":{"text":"x"},"9":{}}}`, "children.10.text", `"x"`},
		"a timestamp":                 {`{"at":"2026-01-31T12:00:00.5+02:00"}`, "at", `"2026-01-31T10:00:00.500Z"`},
		"a duration":                  {`{"lasts":"1.5s"}`, "lasts", `"1.500s"`},
		"a field mask":                {`{"mask":"name,price.cents"}`, "mask", `"name,price.cents"`},
		"an object":                   {`{"object":{"a":[1,null,{"b":"c"}]}}`, "object", `{"a":[1,null,{"b":"c"}]}`},
		"any value":                   {`{"value":[true]}`, "value", `[true]`},
		"null as a value":             {`{"value":null}`, "value", `null`},
		"an Any of the schema":        {`{"any":{"@type":"type.googleapis.com/echo.v1.ChatRequest","text":"hi"}}`, "any", `{"@type":"type.googleapis.com/echo.v1.ChatRequest","text":"hi"}`},
		"an Any of a known type":      {`{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"3s"}}`, "any", `{"@type":"type.googleapis.com/google.protobuf.Duration","value":"3s"}`},
		"a wrapped text":              {`{"textOrNull":""}`, "textOrNull", `""`},
		"a wrapped int64":             {`{"int64_or_null":9007199254740993}`, "int64OrNull", `9007199254740993`},
		"a wrapped uint64":            {`{"uint64OrNull":"18446744073709551615"}`, "uint64OrNull", `18446744073709551615`},
		"wrapped bytes":               {`{"dataOrNull":"AP8="}`, "dataOrNull", `"AP8="`},
		"one of several":              {`{"number":9007199254740993}`, "number", `9007199254740993`},
		"a message in it":             {`{"child":{"child":{"int64":1}}}`, "child.child.int64", `1`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got any = s.valueOf(t, test.sent, nil)
			for step := range strings.SplitSeq(test.path, ".") {
				got = got.(fields)[step]
			}
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(text)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.path, diff)
			}
		})
	}
}

func TestWhatIsZeroIsThereAndWhatIsAbsentIsNot(t *testing.T) {
	s := against(t, shop(t))
	got := s.valueOf(t, `{}`, nil).(fields)
	zero := fields{"text": "", "flag": false, "int64": json.Number("0"), "mood": "MOOD_UNSPECIFIED", "texts": []any{}, "counts": fields{}, "data": ""}
	for name, want := range zero {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, name := range []string{"at", "textOrNull", "note", "rank", "name", "number", "inner", "child", "any"} {
		if v, there := got[name]; there {
			t.Errorf("%s was not sent, and is %v", name, v)
		}
	}
	got = s.valueOf(t, `{"note":"","rank":0,"name":""}`, nil).(fields)
	if got["note"] != "" || got["rank"] != json.Number("0") || got["name"] != "" {
		t.Errorf("what was sent as zero: got %v, %v, %v", got["note"], got["rank"], got["name"])
	}
}

func TestFieldsAreNamedAsTheFlowWants(t *testing.T) {
	s := against(t, shop(t))
	if got := s.valueOf(t, `{"text_or_null":"x"}`, nil).(fields)["textOrNull"]; got != "x" {
		t.Errorf("as JSON: got %v", got)
	}
	if got := s.valueOf(t, `{"textOrNull":"x"}`, fields{"field_names": "proto"}).(fields)["text_or_null"]; got != "x" {
		t.Errorf("as the .proto file: got %v", got)
	}
}

func TestAStatusOfTheServerIsAnAnswer(t *testing.T) {
	s := against(t, shop(t))
	for code, name := range codeNames {
		if code == 0 {
			continue
		}
		got := s.do("call", fields{"method": "echo.v1.EchoService/Fail", "request": fields{"code": code, "message": "as wanted"}})
		if got.get("status.name") != name || got.get("status.code") != fmt.Sprint(code) || got.get("status.message") != "as wanted" || got.get("response") != nil {
			t.Errorf("%s: got %v", name, got.fields)
		}
	}
}

func TestDetailsOfAStatusAreRead(t *testing.T) {
	s := against(t, shop(t))
	got := s.do("call", fields{"method": "shop.v1.ShopService/CreateOrder", "request": fields{"lines": []any{fields{"sku": "TEA-001"}, fields{"sku": "NONE"}}}})
	want := []any{fields{
		"@type":           "type.googleapis.com/google.rpc.BadRequest",
		"fieldViolations": []any{fields{"field": "lines[1].sku", "description": `there is no product "NONE"`, "reason": ""}},
	}}
	if diff := cmp.Diff(want, got.fields["status"].(fields)["details"]); diff != "" || got.get("status.name") != "INVALID_ARGUMENT" {
		t.Errorf("%v (-want +got):\n%s", got.get("status.name"), diff)
	}
	unknown := s.do("call", fields{"method": "echo.v1.EchoService/Fail", "request": fields{"code": 14, "details": []any{
		fields{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"},
	}}})
	if unknown.retry != 3*time.Second {
		t.Errorf("got to be tried again after %s, want 3s", unknown.retry)
	}
}

func TestMetadataGoesBothWays(t *testing.T) {
	s := against(t, shop(t))
	got := s.do("call", fields{
		"method":   echo,
		"metadata": fields{"x-Request": "r1", "x-many": []any{"a", 2, true}, "x-data-bin": "AP8="},
		"request":  fields{"headers": fields{"x-head": "h"}, "trailers": fields{"x-trail": "t", "x-trail-bin": "ÿ"}},
	})
	for path, want := range map[string]any{
		"response.metadata.x-request": "r1", "response.metadata.x-many": "a, 2, true",
		"response.metadata.traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"headers.x-head":                "h", "trailers.x-trail": "t", "trailer_values.x-trail.0": "t", "trailers.x-trail-bin": "w78=",
	} {
		if got.get(path) != want {
			t.Errorf("%s: got %v, want %v", path, got.get(path), want)
		}
	}
	if agent, _ := got.fields["response"].(fields)["metadata"].(fields)["user-agent"].(string); !strings.HasPrefix(agent, "TestMesh/") {
		t.Errorf("user-agent: got %q", agent)
	}
	got = s.do("call", fields{"method": echo, "traceparent": false})
	if v := got.get("response.metadata.traceparent"); v != nil {
		t.Errorf("without: got the traceparent %v", v)
	}
}

func TestCredentialsAreMetadata(t *testing.T) {
	address := shop(t)
	s := against(t, address)
	res, err := http.Post("http://"+address+"/login", "application/json", strings.NewReader(`{"user":"ada","password":"correct-horse"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var login struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&login); err != nil {
		t.Fatal(err)
	}
	who := fields{"method": "shop.v1.ShopService/WhoAmI"}
	if got := s.do("call", who); got.get("status.name") != "UNAUTHENTICATED" {
		t.Errorf("without: got %v", got.fields)
	}
	who["auth"] = fields{"token": login.Token}
	if got := s.do("call", who); got.get("response.user") != "ada" {
		t.Errorf("bearer: got %v", got.fields)
	}
	got := s.do("call", fields{"method": echo, "auth": fields{"type": "basic", "username": "ada", "password": "secret"}})
	if got.get("response.metadata.authorization") != "Basic YWRhOnNlY3JldA==" {
		t.Errorf("basic: got %v", got.fields)
	}
}

func TestRequestsAndAnswersArePacked(t *testing.T) {
	var seen sync.Map
	address := echoServer(t, true, grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		seen.Store(grpc.ServerTransportStreamFromContext(ctx).Method(), true)
		if err := grpc.SetSendCompressor(ctx, gzip.Name); err != nil {
			return nil, err
		}
		return next(ctx, req)
	}))
	s := against(t, address)
	long := strings.Repeat("tea ", 1000)
	got := s.do("call", fields{"method": echo, "compression": "gzip", "request": fields{"value": fields{"text": long}}})
	if got.get("response.value.text") != long {
		t.Errorf("got %.200v", got.fields)
	}
	if _, called := seen.Load("/" + echo); !called {
		t.Error("the interceptor was not called")
	}
}

func TestStepsOfARunShareAConnection(t *testing.T) {
	l := &counted{Listener: listening(t)}
	s := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}), grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return nil }))
	run := byFiles(against(t, serveOn(t, l, s)))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { run.do("stream", fields{"method": "echo.v1.EchoService/Chat"}) })
	}
	all.Wait()
	if n := l.n.Load(); n != 1 {
		t.Errorf("20 steps made %d connections, want 1", n)
	}
	run.do("stream", fields{"method": "echo.v1.EchoService/Chat", "authority": "other"})
	if n := l.n.Load(); n != 2 {
		t.Errorf("a step with other settings: %d connections, want 2", n)
	}
}

func TestTheEndOfARunClosesItsConnections(t *testing.T) {
	gone := make(chan struct{})
	address := answering(t, func(c net.Conn) { silent(c); close(gone) })
	s := byFiles(against(t, address))
	if e := s.fault("call", fields{"method": echo, "deadline": "50ms"}); e.Code != plugin.CodeTimeout {
		t.Fatalf("got %s", words(e))
	}
	s.p.EndRun("run")
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the server still has a connection")
	}
}

// TestAServerThatComesBackIsFoundAtOnce is about grpc-go's backoff: it would go on
// saying that nobody is there.
func TestAServerThatComesBackIsFoundAtOnce(t *testing.T) {
	address := nobody(t)
	s := byFiles(against(t, address))
	call := fields{"method": echo}
	for range 3 {
		if e := s.fault("call", call); e.Code != plugin.CodeConn {
			t.Fatalf("nobody there: got %s", words(e))
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		return stream.SendMsg([]byte{})
	}))
	serveOn(t, l, server)
	if got := s.do("call", call); got.get("status.name") != "OK" {
		t.Errorf("got %v", got.fields)
	}
}

func TestAStepMayWaitForItsServer(t *testing.T) {
	address := nobody(t)
	s := byFiles(against(t, address))
	waiting := fields{"method": echo, "wait_for_ready": true}
	e := s.fault("call", fields{"method": echo, "wait_for_ready": true, "deadline": "300ms"})
	if e.Code != plugin.CodeConn || !strings.Contains(e.Message, "no connection within 300ms: connection refused: "+address) {
		t.Errorf("a server that does not come: got %s", words(e))
	}
	var came sync.WaitGroup
	came.Go(func() {
		if got := s.do("call", waiting); got.get("status.name") != "OK" {
			t.Errorf("got %v", got.fields)
		}
	})
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		return stream.SendMsg([]byte{})
	})))
	came.Wait()
}

// heard keeps what a step reports.
type heard struct {
	mu        sync.Mutex
	lines     []string
	exchanges []plugin.Exchange
}

func (h *heard) Log(level, message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, level+": "+message)
}
func (*heard) Artifact(string, string, []byte) {}
func (h *heard) Exchange(x plugin.Exchange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.exchanges = append(h.exchanges, x)
}

func TestAnExchangeIsRecorded(t *testing.T) {
	address := shop(t)
	s := against(t, address)
	out := &heard{}
	s.out = out
	s.do("call", fields{"method": getProduct, "request": fields{"sku": "it's"}, "metadata": fields{"x-a": "b"}, "auth": fields{"token": "s3cr3t-t0ken"}})
	if len(out.exchanges) != 1 {
		t.Fatalf("got %d exchanges, want 1", len(out.exchanges))
	}
	x := out.exchanges[0]
	if want := getProduct + " " + address + " → NOT_FOUND"; x.Summary != want || x.Protocol != "gRPC" {
		t.Errorf("got %s %q, want %q", x.Protocol, x.Summary, want)
	}
	if want := `grpcurl -plaintext -H 'x-a: b' -d '{"sku":"it'\''s"}' ` + address + " " + getProduct; x.Curl != want {
		t.Errorf("got %s\nwant %s", x.Curl, want)
	}
	all := string(x.Request) + string(x.Response) + x.Curl
	if strings.Contains(all, "s3cr3t") || !strings.Contains(all, "‹bearer›") || !strings.Contains(all, `there is no product`) {
		t.Errorf("got %s", all)
	}
	s.do("stream", fields{"method": "echo.v1.EchoService/Count", "request": fields{"to": 100}})
	x = out.exchanges[1]
	var response struct{ Message []any }
	if err := json.Unmarshal(x.Response, &response); err != nil || len(response.Message) != maxShownMessages+1 {
		t.Errorf("of a stream got %d messages, %v, want %d and how many there are", len(response.Message), err, maxShownMessages)
	}
}

func TestALargeMessageIsCutInTheExchangeOnly(t *testing.T) {
	s := against(t, shop(t))
	out := &heard{}
	s.out = out
	got := s.do("call", fields{"method": "echo.v1.EchoService/Bytes", "request": fields{"size": 1 << 20}})
	if text, _ := got.get("response.data").(string); len(text) != (1<<20+2)/3*4 {
		t.Errorf("got %d characters", len(text))
	}
	if n := len(out.exchanges[0].Response); n > 2*maxShown {
		t.Errorf("the exchange has %d bytes", n)
	}
}
