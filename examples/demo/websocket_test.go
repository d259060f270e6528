package demo

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

// upgraded opens a WebSocket, with headers as name, value.
func (s *server) upgraded(path string, d websocket.Dialer, headers ...string) (*websocket.Conn, *http.Response) {
	s.t.Helper()
	header := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	conn, res, err := d.DialContext(s.t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+path, header)
	if err != nil && res == nil {
		s.t.Fatal(err)
	}
	if conn != nil {
		s.t.Cleanup(func() { _ = conn.Close() })
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			s.t.Fatal(err)
		}
	}
	return conn, res
}

// read gives the next message.
func (s *server) read(conn *websocket.Conn) (kind int, text string) {
	s.t.Helper()
	kind, data, err := conn.ReadMessage()
	if err != nil {
		s.t.Fatal(err)
	}
	return kind, string(data)
}

func (s *server) write(conn *websocket.Conn, kind int, text string) {
	s.t.Helper()
	if err := conn.WriteMessage(kind, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

func TestASocketEchoesMessages(t *testing.T) {
	t.Parallel()
	s := start(t)
	tests := map[string]struct {
		dialer   websocket.Dialer
		protocol string
		kind     int
		send     string
		kindBack int
		want     string
	}{
		"a text":                           {kind: websocket.TextMessage, send: "héllo", kindBack: websocket.TextMessage, want: "héllo"},
		"bytes":                            {kind: websocket.BinaryMessage, send: "\xff\x00", kindBack: websocket.BinaryMessage, want: "\xff\x00"},
		"packed":                           {dialer: websocket.Dialer{EnableCompression: true}, kind: websocket.TextMessage, send: strings.Repeat("tea ", 1000), kindBack: websocket.TextMessage, want: strings.Repeat("tea ", 1000)},
		"by the plain protocol":            {dialer: websocket.Dialer{Subprotocols: []string{"v0", "echo.v1"}}, protocol: "echo.v1", kind: websocket.TextMessage, send: "x", kindBack: websocket.TextMessage, want: "x"},
		"a text as JSON":                   {dialer: websocket.Dialer{Subprotocols: []string{"json.v1"}}, protocol: "json.v1", kind: websocket.TextMessage, send: "x", kindBack: websocket.TextMessage, want: `{"n":1,"size":1,"text":"x","type":"text"}`},
		"JSON as JSON, its numbers intact": {dialer: websocket.Dialer{Subprotocols: []string{"json.v1"}}, protocol: "json.v1", kind: websocket.TextMessage, send: `{"n":9007199254740993}`, kindBack: websocket.TextMessage, want: `{"json":{"n":9007199254740993},"n":1,"size":22,"text":"{\"n\":9007199254740993}","type":"text"}`},
		"bytes as JSON":                    {dialer: websocket.Dialer{Subprotocols: []string{"json.v1"}}, protocol: "json.v1", kind: websocket.BinaryMessage, send: "\xff", kindBack: websocket.TextMessage, want: `{"base64":"/w==","n":1,"size":1,"type":"binary"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			conn, _ := s.upgraded("/ws/echo", test.dialer)
			if got := conn.Subprotocol(); got != test.protocol {
				t.Errorf("got the subprotocol %q, want %q", got, test.protocol)
			}
			s.write(conn, test.kind, test.send)
			if kind, got := s.read(conn); kind != test.kindBack || got != test.want {
				t.Errorf("got %d %q, want %d %q", kind, got, test.kindBack, test.want)
			}
		})
	}
}

func TestASocketThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.want("GET /ws/echo", "", 426, map[string]any{"error.code": "upgrade_required"})
	if a.header.Get("Upgrade") != "websocket" {
		t.Errorf("got Upgrade %q, want websocket", a.header.Get("Upgrade"))
	}
	for name, test := range map[string]struct {
		path, header, value string
		status              int
	}{
		"another page's":                 {"/ws/echo", "Origin", "http://elsewhere.example", 403},
		"what a fault refuses":           {"/ws/echo", "X-Fault", "status=401", 401},
		"a fault that does not exist":    {"/ws/faults?fault=none", "X-One", "1", 400},
		"a number that is out of bounds": {"/ws/faults?fault=close&code=70000", "X-One", "1", 400},
	} {
		if conn, res := s.upgraded(test.path, websocket.Dialer{}, test.header, test.value); conn != nil || res.StatusCode != test.status {
			t.Errorf("%s: got status %d, want %d", name, res.StatusCode, test.status)
		}
	}
}

func TestASocketHearsOfTheOrdersOfItsTenant(t *testing.T) {
	t.Parallel()
	s := start(t)
	all, _ := s.upgraded("/ws/events", websocket.Dialer{Subprotocols: []string{"events.v1"}})
	paid, _ := s.upgraded("/ws/events?type=order.paid", websocket.Dialer{})
	other, _ := s.upgraded("/ws/events", websocket.Dialer{}, "X-Tenant", "other")
	id, _ := s.do("POST /orders?async=true", twoTeas).get(t, "id").(string)
	s.want("POST /orders/"+id+"/pay", "", 200, nil)
	s.want("GET /orders/"+id, "", 200, nil)
	s.want("POST /orders", twoTeas, 201, nil, "X-Tenant", "other")

	var got []string
	for range 3 {
		_, text := s.read(all)
		kind, _, _ := strings.Cut(text[strings.LastIndex(text, `"type":"`)+len(`"type":"`):], `"`)
		got = append(got, kind)
		if !strings.Contains(text, id) || strings.HasSuffix(text, "\n") {
			t.Errorf("got %q, want the order %s on one line", text, id)
		}
	}
	if diff := cmp.Diff([]string{"order.created", "order.paid", "order.shipped"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, text := s.read(paid); !strings.Contains(text, `"type":"order.paid"`) {
		t.Errorf("got %q, want that it was paid", text)
	}
	if _, text := s.read(other); strings.Contains(text, id) {
		t.Errorf("the other tenant heard %q", text)
	}
}

func TestFaultsOfSockets(t *testing.T) {
	t.Parallel()
	s := start(t)
	closed := func(code int, text string) func(error) bool {
		return func(err error) bool {
			var e *websocket.CloseError
			return errors.As(err, &e) && e.Code == code && e.Text == text
		}
	}
	says := func(text string) func(error) bool {
		return func(err error) bool { return strings.Contains(err.Error(), text) }
	}
	late := func(err error) bool {
		var timeout net.Error
		return errors.As(err, &timeout) && timeout.Timeout()
	}
	for query, test := range map[string]struct {
		messages []string // after hello
		ends     func(error) bool
	}{
		"close":                         {nil, closed(1000, "")},
		"close&code=1008&reason=policy": {nil, closed(1008, "policy")},
		"close&code=1005":               {nil, closed(1005, "")},
		"drop":                          {nil, closed(1006, io.ErrUnexpectedEOF.Error())},
		"reset":                         {nil, func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		"drip&ms=1":                     {[]string{"drip by drip"}, closed(1000, "")},
		"stall":                         {nil, late},
		"malformed":                     {nil, says("RSV")},
		"masked":                        {nil, says("MASK")},
		"not-text":                      {[]string{"\xff\xfe"}, late},
		"huge":                          {nil, func(err error) bool { return errors.Is(err, websocket.ErrReadLimit) }},
		"flood&n=3":                     {[]string{"1", "2", "3"}, late},
		"deaf":                          {nil, late},
		"silent":                        {nil, late},
	} {
		t.Run(query, func(t *testing.T) {
			conn, _ := s.upgraded("/ws/faults?fault="+query, websocket.Dialer{})
			conn.SetReadLimit(1 << 20)
			for _, want := range append([]string{"hello"}, test.messages...) {
				if _, got := s.read(conn); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if err := conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := conn.ReadMessage(); err == nil || !test.ends(err) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

func TestFaultsOfTheHandshake(t *testing.T) {
	t.Parallel()
	s := start(t)
	if conn, res := s.upgraded("/ws/faults?fault=wrong-accept", websocket.Dialer{}); conn != nil || res.StatusCode != 101 {
		t.Errorf("got %v, want a key that does not fit", res.Status)
	}
	if conn, _ := s.upgraded("/ws/faults?fault=wrong-subprotocol", websocket.Dialer{Subprotocols: []string{"mine"}}); conn.Subprotocol() != "nobody.asked" {
		t.Errorf("got the subprotocol %q", conn.Subprotocol())
	}
	d := websocket.Dialer{HandshakeTimeout: 100 * time.Millisecond}
	_, _, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/ws/faults?fault=no-answer", nil)
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want no answer", err)
	}
}

func TestEverySocketFaultIsDocumented(t *testing.T) {
	t.Parallel()
	names := socketFaultNames()
	for _, kind := range socketFaultKinds() {
		if kind.summary == "" || !strings.Contains(names, kind.name+" ") || (kind.strike == nil) == (kind.handshake == nil) {
			t.Errorf("%s has no summary, or not one way to strike", kind.name)
		}
	}
}

// Hijacked connections are nothing that an http.Server knows of.
func TestTheApplicationEndsItsSockets(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	app, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, l) }()
	var all []*websocket.Conn
	for _, path := range []string{"/ws/echo", "/ws/events", "/ws/faults?fault=flood&n=0", "/ws/faults?fault=deaf"} {
		conn, _, err := websocket.DefaultDialer.Dial("ws://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		all = append(all, conn)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for i, conn := range all {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		var e *websocket.CloseError
		for err = nil; err == nil; {
			_, _, err = conn.ReadMessage()
		}
		if !errors.As(err, &e) || e.Code != websocket.CloseGoingAway && e.Code != websocket.CloseAbnormalClosure {
			t.Errorf("connection %d: got %v, want it to be closed", i, err)
		}
	}
}
