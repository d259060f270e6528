package grpc

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	count = "echo.v1.EchoService/Count"
	chat  = "echo.v1.EchoService/Chat"
	quote = "shop.v1.ShopService/Quote"
	fill  = "shop.v1.ShopService/FillOrder"
)

func say(texts ...string) []any {
	var all []any
	for _, text := range texts {
		all = append(all, fields{"text": text})
	}
	return all
}

func TestStreams(t *testing.T) {
	s := against(t, shop(t))
	tests := map[string]struct {
		config fields
		want   fields // by path
	}{
		"the server streams": {
			fields{"method": count, "request": fields{"to": 3}},
			fields{"status.name": "OK", "end": "server", "count": "3", "sent": "1", "messages.2.number": "3"},
		},
		"its one message among messages": {
			fields{"method": count, "type": "server", "messages": []any{fields{"to": 2}}},
			fields{"count": "2"},
		},
		"no request at all is an empty one": {
			fields{"method": count, "max_receive": 2},
			fields{"status": nil, "end": "max_receive", "count": "2", "messages.1.number": "2"},
		},
		"the client streams": {
			fields{"method": fill, "type": "client", "messages": []any{fields{"sku": "TEA-001", "qty": 2}, fields{"sku": "CUP-001"}}},
			fields{"status.name": "OK", "sent": "2", "count": "1", "messages.0.order.total.cents": "7180", "messages.0.lines": "2"},
		},
		"a client that has nothing to say": {
			fields{"method": fill},
			fields{"status.name": "INVALID_ARGUMENT", "sent": "0", "count": "0"},
		},
		"both stream": {
			fields{"method": quote, "type": "bidi", "messages": []any{fields{"sku": "TEA-001", "qty": 2}, fields{"sku": "CUP-001"}}},
			fields{"status.name": "OK", "count": "2", "messages.0.total.cents": "5980", "messages.1.sku": "CUP-001"},
		},
		"a status after some messages": {
			fields{"method": count, "request": fields{"to": 9, "fail_after": 2}},
			fields{"status.name": "ABORTED", "end": "server", "count": "2"},
		},
		"a status in the middle of what is sent": {
			fields{"method": quote, "messages": []any{fields{"sku": "TEA-001"}, fields{"sku": "NONE"}, fields{"sku": "TEA-002"}}},
			fields{"status.name": "NOT_FOUND", "count": "1", "status.details.0.resourceName": "NONE"},
		},
		"until a message": {
			fields{"method": count, "until": fields{"number": "#(_ >= 4)"}},
			fields{"status": nil, "end": "until", "count": "4"},
		},
		"for some time": {
			fields{"method": count, "request": fields{"to": 2, "every": "0.001s"}, "within": "10s"},
			fields{"status.name": "OK", "end": "server", "count": "2"},
		},
		"some messages only": {
			fields{"method": count, "request": fields{"to": 9}, "where": fields{"number": "#(_ % 4 == 0)"}},
			fields{"count": "2", "seen": "9", "messages.1.number": "8"},
		},
		"so many of some": {
			fields{"method": count, "where": fields{"number": "#(_ % 4 == 0)"}, "max_receive": 3},
			fields{"count": "3", "seen": "12", "end": "max_receive"},
		},
		"a conversation": {
			fields{"method": chat, "script": []any{
				fields{"send": fields{"text": "a"}},
				fields{"expect": fields{"where": fields{"text": "a", "number": 1}}},
				fields{"wait": "1ms"},
				fields{"send": fields{"text": "b"}},
				fields{"send": fields{"text": "c"}},
				fields{"expect": fields{"count": 2}},
				fields{"half_close": true},
			}},
			fields{"status.name": "OK", "sent": "3", "count": "3", "messages.2.text": "c"},
		},
		"an expectation after our end": {
			fields{"method": chat, "script": []any{fields{"send": fields{"text": "a"}}, fields{"half_close": true}, fields{"expect": fields{}}}},
			fields{"status.name": "OK", "count": "1"},
		},
		"a conversation that ends with a message": {
			fields{"method": chat, "script": []any{fields{"send": fields{"text": "a"}}, fields{"expect": fields{}}}, "until": fields{"text": "a"}},
			fields{"status": nil, "end": "until", "count": "1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := s.do("stream", test.config)
			for path, want := range test.want {
				if diff := cmp.Diff(want, got.get(path)); diff != "" {
					t.Errorf("%s (-want +got):\n%s\nof %v", path, diff, got.fields)
				}
			}
		})
	}
}

func TestAStreamThatTheStepEndsIsOverForTheServerToo(t *testing.T) {
	over := make(chan struct{})
	s := raw(t, func(stream grpc.ServerStream) error {
		for stream.SendMsg([]byte{8, 1}) == nil {
		}
		close(over)
		return nil
	})
	for _, ending := range []fields{{"max_receive": 1}, {"within": "1ms"}} {
		ending["method"] = count
		over = make(chan struct{})
		if got := s.do("stream", ending); got.get("status") != nil {
			t.Errorf("got %v", got.fields)
		}
		select {
		case <-over:
		case <-time.After(10 * time.Second):
			t.Errorf("%v: the server still sends", ending)
		}
	}
}

func TestWhatDoesNotComeHasFailed(t *testing.T) {
	s := against(t, shop(t))
	tests := map[string]struct {
		config fields
		parts  []string
	}{
		"what until waits for, before the end": {
			fields{"method": count, "request": fields{"to": 3}, "until": fields{"number": 7}},
			[]string{count + " ended the stream with OK after 3 messages, and none matches until", `nearest miss: message 2, {"number":3}`, "$.number: want 7"},
		},
		"what until waits for, before a failure": {
			fields{"method": count, "request": fields{"to": 3, "fail_after": 1}, "until": fields{"number": 7}},
			[]string{"ended the stream with ABORTED (this is the failure that was asked for, after 1) after 1 message, and none matches until"},
		},
		"what until waits for, in its time": {
			fields{"method": count, "request": fields{"every": "10s"}, "until": fields{"number": 7}, "within": "50ms"},
			[]string{"1 message came from " + count + " within 50ms, and none matches until"},
		},
		"an expectation in its time": {
			fields{"method": chat, "script": []any{fields{"send": fields{"text": "a"}}, fields{"expect": fields{"where": fields{"text": "b"}, "within": "50ms"}}, fields{"send": fields{"text": "b"}}}},
			[]string{"script[1].expect: 0 of the 1 that are wanted came within 50ms, and 1 message that does not fit", `nearest miss: message 0, {"number":1,"text":"a"}`},
		},
		"one more than there are": {
			fields{"method": chat, "script": []any{fields{"send": fields{"text": "a"}}, fields{"expect": fields{"count": 2, "within": "50ms"}}}},
			[]string{"script[1].expect: 1 of the 2 that are wanted came within 50ms"},
		},
		"a message that was found already": {
			fields{"method": chat, "script": []any{fields{"send": fields{"text": "a"}}, fields{"expect": fields{}}, fields{"expect": fields{"within": "50ms"}}}},
			[]string{"script[2].expect: 0 of the 1 that are wanted came within 50ms"},
		},
		"an expectation at the end": {
			fields{"method": quote, "script": []any{fields{"send": fields{"sku": "NONE"}}, fields{"expect": fields{}}}},
			[]string{"script[1].expect: 0 of the 1 that are wanted came before " + quote + ` ended the stream with NOT_FOUND (there is no product "NONE")`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := s.fault("stream", test.config)
			if !e.Failed || e.Code != plugin.CodeWait {
				t.Errorf("got %s, failed %v", words(e), e.Failed)
			}
			for _, part := range test.parts {
				if !strings.Contains(words(e), part) {
					t.Errorf("got %s\nwithout %s", words(e), part)
				}
			}
		})
	}
}

func TestStreamsThatCannotBeJudged(t *testing.T) {
	s := against(t, shop(t))
	s.do("stream", fields{"method": count, "request": fields{"to": 1}}) // the schema is known
	tests := map[string]struct {
		config fields
		code   string
		parts  []string
	}{
		"one that nobody ends":       {fields{"method": count, "request": fields{"every": "0.005s"}, "deadline": "100ms"}, plugin.CodeTimeout, []string{count + " of", "did not end its answer within 100ms, after", "say where the stream ends: max_receive, until or within"}},
		"one that does not begin":    {fields{"method": count, "metadata": fields{"x-fault": "latency=10s"}, "deadline": "100ms"}, plugin.CodeTimeout, []string{"did not answer within 100ms, after 0 messages"}},
		"a reset one":                {fields{"method": count, "metadata": fields{"x-fault": "drop"}}, plugin.CodeConn, []string{"reset the call of " + count, "after 0 messages"}},
		"one of a reset connection":  {fields{"method": count, "metadata": fields{"x-fault": "reset"}}, plugin.CodeConn, []string{"reset the connection during " + count}},
		"a message that is too long": {fields{"method": count, "metadata": fields{"x-fault": "endless"}}, plugin.CodeBody, []string{"over max_message"}},
		"a message that is none":     {fields{"method": count, "metadata": fields{"x-fault": "malformed"}}, plugin.CodeBody, []string{"is no echo.v1.CountResponse"}},
		"a message that is cut":      {fields{"method": count, "metadata": fields{"x-fault": "truncate"}}, plugin.CodeProtocol, []string{"unexpected EOF"}},
		"nobody there":               {fields{"address": "127.0.0.1:1", "method": count}, plugin.CodeConn, []string{"connection refused"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wants(t, s.fault("stream", test.config), test.code, test.parts...)
			if got := s.do("stream", fields{"method": count, "request": fields{"to": 1}}); got.get("status.name") != "OK" {
				t.Errorf("the next step: got %v", got.fields)
			}
		})
	}
}

func TestAServerThatEndsInTheMiddle(t *testing.T) {
	says := raw(t, func(stream grpc.ServerStream) error {
		if err := stream.SendMsg([]byte{8, 1}); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "the server is shutting down")
	})
	if got := says.do("stream", fields{"method": count}); got.get("status.name") != "UNAVAILABLE" || got.get("count") != "1" {
		t.Errorf("a server that says so: got %v", got.fields)
	}
	stop := make(chan struct{})
	server := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		err := stream.SendMsg([]byte{8, 1})
		close(stop)
		<-stream.Context().Done()
		return err
	}))
	s := byFiles(against(t, serveOn(t, listening(t), server)))
	go func() {
		<-stop
		server.Stop()
	}()
	wants(t, s.fault("stream", fields{"method": count}), plugin.CodeConn, "closed the connection during "+count, "look into the service's log")
}

func TestScriptsThatCannotBe(t *testing.T) {
	s := against(t, shop(t))
	tests := map[string]struct {
		config fields
		field  string
		part   string
	}{
		"a unary method":                  {fields{"method": getProduct}, "method", "use grpc.call"},
		"another kind":                    {fields{"method": count, "type": "bidi"}, "type", "is bidi, and " + count + " is of type server"},
		"two ways to say what is sent":    {fields{"method": chat, "messages": say("a"), "script": []any{fields{"send": fields{}}}}, "messages", "keep one of them"},
		"two messages where one is taken": {fields{"method": count, "messages": []any{fields{}, fields{}}}, "messages[1]", "takes one message"},
		"a line of two things":            {fields{"method": chat, "script": []any{fields{"send": fields{}, "half_close": true}}}, "script[0]", "has 2 of send, expect, wait and half_close"},
		"a line of nothing":               {fields{"method": chat, "script": []any{fields{}}}, "script[0]", "has 0 of send"},
		"a message after the end":         {fields{"method": chat, "script": []any{fields{"half_close": true}, fields{"send": fields{}}}}, "script[1].send", "comes after script[0].half_close"},
		"a mistake in a message":          {fields{"method": chat, "messages": []any{fields{"text": "a"}, fields{"txet": "b"}}}, "messages[1].txet", "did you mean text?"},
		"a mistake in a script":           {fields{"method": chat, "script": []any{fields{"send": fields{"txet": "b"}}}}, "script[0].send.txet", "did you mean text?"},
		"a mistake in a request":          {fields{"method": count, "request": fields{"too": 1}}, "request.too", "did you mean to?"},
		"a pattern that is none":          {fields{"method": count, "until": fields{"number": "#nonsense"}}, "until", "#nonsense"},
		"another pattern that is none":    {fields{"method": count, "where": fields{"number": "#nonsense"}}, "where", "#nonsense"},
		"a pattern of a script":           {fields{"method": chat, "script": []any{fields{"expect": fields{"where": fields{"text": "#nonsense"}}}}}, "script[0].expect.where", "#nonsense"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := s.fault("stream", test.config)
			if e.Field != test.field {
				t.Errorf("got the field %s, want %s", e.Field, test.field)
			}
			wants(t, e, plugin.CodeConfig, test.part)
		})
	}
}

// TestAMillionMessages: all are counted, few are kept, and what reads them is
// not judged.
func TestAMillionMessages(t *testing.T) {
	s := raw(t, func(stream grpc.ServerStream) error {
		message := []byte{8, 1}
		for range many {
			if err := stream.SendMsg(message); err != nil {
				return err
			}
		}
		return nil
	})
	got, err := s.try(t.Context(), "stream", fields{"method": count})
	if err != nil {
		t.Fatal(err)
	}
	if got.get("count") != fmt.Sprint(many) || got.get("status.name") != "OK" || len(got.fields["messages"].([]any)) != maxKept || !strings.Contains(got.limited, "messages over 10000") {
		t.Errorf("got %v of %v, %d kept, limited %q", got.get("status"), got.get("count"), len(got.fields["messages"].([]any)), got.limited)
	}
}

func TestLargeMessagesAreKeptUpToABound(t *testing.T) {
	s := raw(t, func(stream grpc.ServerStream) error {
		text := bytes.Repeat([]byte("a"), 8<<20)
		message := append([]byte{0x12, 0x80, 0x80, 0x80, 4}, text...) // field 2, length 8 MiB
		for range 12 {
			if err := stream.SendMsg(message); err != nil {
				return err
			}
		}
		return nil
	})
	got := s.do("stream", fields{"method": chat})
	if n := len(got.fields["messages"].([]any)); got.get("count") != "12" || n == 0 || n >= 12 || got.limited == "" {
		t.Errorf("got %v, %d kept, limited %q", got.get("count"), n, got.limited)
	}
}

// TestNeitherSideWaitsForTheOther: a server that answers before it reads on, and
// more than flow control lets through, must not stop the step.
func TestNeitherSideWaitsForTheOther(t *testing.T) {
	s := against(t, shop(t))
	long := strings.Repeat("x", 64<<10)
	var texts []string
	for range 100 {
		texts = append(texts, long)
	}
	got := s.do("stream", fields{"method": chat, "messages": say(texts...)})
	if got.get("count") != "100" || got.get("sent") != "100" {
		t.Errorf("got %v of %v", got.get("count"), got.get("sent"))
	}
}
