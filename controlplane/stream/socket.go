package stream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const (
	// maxMessage bounds one message of an agent.
	maxMessage = 8 << 20
	// writeWithin bounds one answer: an agent that does not read is cut.
	writeWithin = 10 * time.Second
	// pingEvery keeps proxies from closing a quiet socket, and finds a dead one.
	pingEvery = 20 * time.Second
	// ackEvery is how often acknowledgements are looked at.
	ackEvery = 50 * time.Millisecond
	// goneAfter is when a stream that has not ended, of which nothing comes, is not one of
	// its socket's any more.
	goneAfter = time.Hour
)

// Socket serves an agent's stream: AppendRequests come in, AppendResponses go out, at
// once for each and again whenever more is durable.
func (s *Streams) Socket(w http.ResponseWriter, req *http.Request, agent string) {
	// An agent is no page: the signature of its request is what lets it in.
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }, ReadBufferSize: 64 << 10, WriteBufferSize: 4 << 10}
	conn, err := up.Upgrade(w, req, nil)
	if err != nil {
		return // it was answered
	}
	c := &socket{streams: s, conn: conn, agent: agent, open: map[id]int64{}, writes: map[*stream]bool{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(req.Context()))
	var all sync.WaitGroup
	all.Go(func() { c.acknowledge(ctx) })
	c.receive(ctx)
	cancel()
	_ = conn.Close() // the agent opens another
	all.Wait()
	for st := range c.writes {
		st.attach(-1)
	}
}

// attach counts the sockets that a stream comes over.
func (st *stream) attach(by int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.sockets += by
	st.tell() // whoever watches looks where it is written now
}

// socket is one agent's connection.
type socket struct {
	streams *Streams
	conn    *websocket.Conn
	agent   string
	writes  map[*stream]bool // that frames came of; only receive changes it
	write   sync.Mutex

	mu   sync.Mutex
	open map[id]int64 // what the agent was told to be durable
}

func (c *socket) receive(ctx context.Context) {
	c.conn.SetReadLimit(maxMessage)
	alive := func() { _ = c.conn.SetReadDeadline(time.Now().Add(3 * pingEvery)) } // a closed one says so next
	alive()
	c.conn.SetPongHandler(func(string) error { alive(); return nil })
	for {
		kind, data, err := c.conn.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage {
			return
		}
		alive()
		req := &apiv1.AppendRequest{}
		if err := proto.Unmarshal(data, req); err != nil {
			return
		}
		res := &apiv1.AppendResponse{}
		for _, f := range req.GetFrames() {
			st, ack, err := c.streams.append(ctx, c.agent, f)
			if err != nil {
				return // it is sent again, here or elsewhere
			}
			c.attach(st)
			c.note(ack)
			res.Acks = append(res.Acks, ack)
		}
		if c.send(res) != nil {
			return
		}
	}
}

// attach notes that a stream comes over this socket, and lets go of those that do not
// any more.
func (c *socket) attach(st *stream) {
	if st == nil || c.writes[st] {
		return
	}
	for old := range c.writes {
		if old.over() {
			delete(c.writes, old)
			old.attach(-1)
		}
	}
	c.writes[st] = true
	st.attach(1)
}

// over says that nothing has come of a stream for long, or nothing more will.
func (st *stream) over() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.ended || st.waits() == 0 && time.Since(st.used) > goneAfter
}

func (c *socket) note(a *apiv1.Ack) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := id{a.GetRunId(), a.GetAttempt()}
	if a.GetFenced() {
		delete(c.open, i)
		return
	}
	c.open[i] = a.GetDurable()
}

func (c *socket) send(res *apiv1.AppendResponse) error {
	data, err := proto.Marshal(res)
	if err != nil {
		return err
	}
	c.write.Lock()
	defer c.write.Unlock()
	return errors.Join(c.conn.SetWriteDeadline(time.Now().Add(writeWithin)), c.conn.WriteMessage(websocket.BinaryMessage, data))
}

// acknowledge tells what has become durable since it was last told.
func (c *socket) acknowledge(ctx context.Context) {
	tick, ping := time.NewTicker(ackEvery), time.NewTicker(pingEvery)
	defer tick.Stop()
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ping.C:
			if c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWithin)) != nil {
				_ = c.conn.Close() // which ends receive
				return
			}
		case <-tick.C:
			res := &apiv1.AppendResponse{}
			c.mu.Lock()
			for i, told := range c.open {
				ack, _ := c.streams.Ack(i.run, i.attempt)
				switch {
				case ack == nil:
					delete(c.open, i)
				case ack.GetDurable() > told:
					c.open[i] = ack.GetDurable()
					res.Acks = append(res.Acks, ack)
				}
			}
			c.mu.Unlock()
			if len(res.GetAcks()) > 0 && c.send(res) != nil {
				_ = c.conn.Close()
				return
			}
		}
	}
}
