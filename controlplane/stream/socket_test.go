package stream

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

func listen(t *testing.T, s *Streams) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { s.Socket(w, req, "agent") }))
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

func dial(t *testing.T, address string) *websocket.Conn {
	t.Helper()
	conn, res, err := websocket.DefaultDialer.Dial(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close() // of an upgrade: there is none
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func send(t *testing.T, conn *websocket.Conn, frames ...*apiv1.Frame) error {
	t.Helper()
	data, err := proto.Marshal(&apiv1.AppendRequest{Frames: frames})
	if err != nil {
		t.Fatal(err)
	}
	return conn.WriteMessage(websocket.BinaryMessage, data)
}

func receive(conn *websocket.Conn) (*apiv1.AppendResponse, error) {
	_, data, err := conn.ReadMessage()
	if err != nil {
		return nil, err
	}
	res := &apiv1.AppendResponse{}
	return res, proto.Unmarshal(data, res)
}

func TestASocketAcknowledgesWhatBecomesDurable(t *testing.T) {
	s := node(t, newShelf(), nil)
	conn := dial(t, listen(t, s))
	if err := send(t, conn, frame(0, "one\n"), frame(4, "two\n")); err != nil {
		t.Fatal(err)
	}
	res, err := receive(conn)
	if err != nil || len(res.GetAcks()) != 2 {
		t.Fatalf("got %v, %v", res, err)
	}
	if err := s.drain(t.Context(), s.open[id{"run", 1}]); err != nil {
		t.Fatal(err)
	}
	if res, err = receive(conn); err != nil || res.GetAcks()[0].GetDurable() != 8 {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestASocketIsAStreamsHomeWhileItIsOpen(t *testing.T) {
	s := node(t, newShelf(), nil)
	conn := dial(t, listen(t, s))
	if err := send(t, conn, frame(0, "one\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := receive(conn); err != nil {
		t.Fatal(err)
	}
	st := s.open[id{"run", 1}]
	if err := s.drain(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	if s.here(st.id) == nil {
		t.Error("it is not written here while its socket is open")
	}
	_ = conn.Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for s.here(st.id) != nil {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it is still written here after its socket was closed")
		}
	}
}

func TestWhatIsNoFrameEndsASocket(t *testing.T) {
	s := node(t, newShelf(), nil)
	address := listen(t, s)
	for name, write := range map[string]func(*websocket.Conn) error{
		"text":  func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, []byte("hello")) },
		"other": func(c *websocket.Conn) error { return c.WriteMessage(websocket.BinaryMessage, []byte{0xff}) },
		"oversized": func(c *websocket.Conn) error {
			return c.WriteMessage(websocket.BinaryMessage, make([]byte, maxMessage+1))
		},
		"of a fence": nil,
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, address)
			if write == nil { // which ends the stream, and not the socket
				f := frame(0, "x")
				f.Lease.Fence = 1
				if err := send(t, conn, f); err != nil {
					t.Fatal(err)
				}
				if res, err := receive(conn); err != nil || !res.GetAcks()[0].GetFenced() {
					t.Errorf("got %v, %v", res, err)
				}
				return
			}
			_ = write(conn) // it may be cut while it is written
			if _, err := receive(conn); err == nil {
				t.Error("it was answered")
			}
		})
	}
}

// cutAgent sends a text over sockets that are cut wherever it happens, and resumes
// where the last acknowledgement was.
func cutAgent(t *testing.T, address, text string, random *rand.Rand) (cuts int) {
	t.Helper()
	durable, sent := int64(0), int64(0)
	for durable < int64(len(text)) {
		conn := dial(t, address)
		sent = durable
		for budget := random.IntN(40); budget > 0 && sent < int64(len(text)); budget-- {
			n := min(int64(1+random.IntN(5000)), int64(len(text))-sent)
			if err := send(t, conn, frame(sent, text[sent:sent+n])); err != nil {
				break
			}
			sent += n
			res, err := receive(conn)
			if err != nil {
				break
			}
			for _, a := range res.GetAcks() {
				durable = max(durable, a.GetDurable())
				if a.GetRewind() {
					sent = a.GetNext()
				}
			}
		}
		_ = conn.Close()
		if cuts++; cuts > 2000 {
			t.Fatalf("after %d cuts %d of %d bytes are durable", cuts, durable, len(text))
		}
	}
	return cuts
}

func TestALogThatIsCutIsTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < 4<<20 {
		b.WriteString(strings.Repeat(string(rune('a'+random.IntN(26))), random.IntN(200)))
		b.WriteByte('\n')
	}
	text := b.String()
	s := node(t, newShelf(), nil)
	s.memory.take(maxMemory/2 + 1) // nothing waits for more: acknowledgements come soon
	f := follow(t.Context(), s, 0)
	cuts := cutAgent(t, listen(t, s), text, random)
	if cuts < 20 {
		t.Fatalf("only %d cuts", cuts)
	}
	if err := s.Durable(t.Context(), "run", 1, int64(len(text)), sumOf(text)); err != nil {
		t.Fatal(err)
	}
	if err := <-f.done; err != nil {
		t.Fatal(err)
	}
	if f.got() != text {
		t.Errorf("who watched saw %d other bytes than the %d that were sent", len(f.got()), len(text))
	}
}
