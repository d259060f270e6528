package demo

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	rpcstatus "google.golang.org/grpc/status"
)

// announced is the length of a message that a fault never ends.
const announced = 1 << 30

type connKey struct{}

// withConn lets a fault reset the connection of a call: HTTP/2 gives a handler no
// way to have it.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// runRPC answers a call, through the faults that strike.
func (c *call) runRPC(to http.Handler) {
	if d, ok := c.faults.duration(faultLatency, 200*time.Millisecond); ok && !c.wait(d) {
		panic(http.ErrAbortHandler)
	}
	at := slices.IndexFunc(c.faults, func(f Fault) bool { return f.Kind == faultStatus })
	switch {
	case at >= 0: // as what stands before a service answers in its place
		code, err := strconv.Atoi(c.faults[at].Value)
		if err != nil {
			code = http.StatusInternalServerError
		}
		http.Error(c.w, "this is the fault that was asked for: status "+strconv.Itoa(code), code)
	case c.faults.has(faultReset):
		c.resetConn()
	case c.faults.has(faultDrop):
		panic(http.ErrAbortHandler) // which resets the stream
	case c.faults.has(faultEndless):
		c.endlessMessage()
	case c.faults.has(faultTruncate):
		c.frame([]byte{8, 1}, 2+beyond)
		c.endRPC(rpcstatus.New(codes.OK, ""))
	case c.faults.has(faultMalformed):
		c.frame([]byte{0xff, 0xff, 0xff}, 3)
		c.endRPC(rpcstatus.New(codes.OK, ""))
	case c.faults.has(faultDrip), c.faults.has(faultDuplicate):
		c.refuseRPC(rpcstatus.New(codes.InvalidArgument, "the faults drip and duplicate-keys are not for gRPC"))
	default:
		to.ServeHTTP(c.w, c.r.WithContext(context.WithValue(c.r.Context(), callKey{}, c)))
	}
}

// resetConn resets the connection with all its streams, where it is one of TCP.
func (c *call) resetConn() {
	if tcp, ok := c.r.Context().Value(connKey{}).(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			c.app.config.Logger.Debug("reset connection", "error", err)
		}
		_ = tcp.Close() // closed is what it should be
	}
	panic(http.ErrAbortHandler)
}

// frame writes the head of a message and some bytes of it.
func (c *call) frame(data []byte, length uint32) {
	c.w.Header().Set("Content-Type", "application/grpc")
	head := make([]byte, 5, 5+len(data)) // not packed, length
	binary.BigEndian.PutUint32(head[1:], length)
	if _, err := c.w.Write(append(head, data...)); err != nil {
		c.app.config.Logger.Debug("write answer", "error", err)
	}
}

// endRPC sends the status after messages.
func (c *call) endRPC(st *rpcstatus.Status) {
	c.w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(int(st.Code())))
	c.w.Header().Set(http.TrailerPrefix+"Grpc-Message", st.Message())
}

// refuseRPC answers with a status alone.
func (c *call) refuseRPC(st *rpcstatus.Status) {
	h := c.w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(int(st.Code())))
	h.Set("Grpc-Message", st.Message())
	c.w.WriteHeader(http.StatusOK)
}

// endlessMessage announces a gibibyte and sends it, if nobody hangs up.
func (c *call) endlessMessage() {
	defer c.bounded()()
	chunk := make([]byte, 64<<10)
	c.frame(nil, announced)
	for range announced / len(chunk) {
		if _, err := c.w.Write(chunk); err != nil || c.r.Context().Err() != nil {
			panic(http.ErrAbortHandler)
		}
	}
	c.endRPC(rpcstatus.New(codes.OK, ""))
}
