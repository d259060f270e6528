package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"
)

// beyond is how much more a truncated answer announces.
const beyond = 100

// hangUp ends the connection without a word. Where the connection cannot be had
// (HTTP/2) the stream is reset instead.
func (c *call) hangUp(reset bool) {
	conn, _, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		// Closing with nothing to linger for sends RST.
		if err := tcp.SetLinger(0); err != nil {
			c.app.config.Logger.Debug("reset connection", "error", err)
		}
	}
	if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		c.app.config.Logger.Debug("close connection", "error", err)
	}
}

// bounded ends the request's context after maxStream.
func (c *call) bounded() context.CancelFunc {
	ctx, cancel := context.WithTimeout(c.r.Context(), maxStream)
	c.r = c.r.WithContext(ctx)
	return cancel
}

// endless is the beginning of a JSON list that never ends. The connection is
// closed when the client or the application is done with it.
func (c *call) endless() {
	defer c.bounded()()
	c.w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(c.w)
	chunk := []byte("[")
	for c.wait(time.Millisecond) {
		// A client that stops reading must not hold the handler for ever.
		if err := flush.SetWriteDeadline(time.Now().Add(readTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			break
		}
		if _, err := c.w.Write(chunk); err != nil {
			break
		}
		if err := flush.Flush(); err != nil {
			break
		}
		if len(chunk) == 1 {
			chunk = bytes.Repeat([]byte(`"more",`), 4096)
		}
	}
	panic(http.ErrAbortHandler)
}

// recorder keeps an answer to be garbled.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is the real answer's.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader keeps the first status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write keeps the body.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

// garble answers with a body that is not what the handler wrote, or not in the
// way it should come.
func (c *call) garble(h handler) {
	w := c.w
	rec := &recorder{header: w.Header()}
	c.w = rec
	if err := h(c); err != nil {
		c.answerError(err)
	}
	c.w = w
	body := rec.body.Bytes()
	if c.faults.has(faultDuplicate) {
		body = duplicateKey(body)
	}
	if c.faults.has(faultMalformed) {
		body = append(bytes.Clone(body[:len(body)/2]), ',')
	}
	hasBody := rec.status != http.StatusNoContent && rec.status != http.StatusNotModified
	announced := len(body)
	if c.faults.has(faultTruncate) {
		announced += beyond
	}
	if hasBody {
		w.Header().Set("Content-Length", strconv.Itoa(announced))
	}
	w.WriteHeader(rec.status)
	if !hasBody || c.r.Method == http.MethodHead {
		return
	}
	if apart, ok := c.faults.duration(faultDrip, 20*time.Millisecond); ok {
		c.drip(body, apart)
	} else if _, err := w.Write(body); err != nil {
		c.app.config.Logger.Debug("write answer", "error", err)
	}
	if c.faults.has(faultTruncate) {
		// The server closes the connection; what was written goes out first.
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// drip sends body byte by byte. Once the client hung up or the time is over the
// rest is not sent and the connection is closed.
func (c *call) drip(body []byte, apart time.Duration) {
	defer c.bounded()()
	flush := http.NewResponseController(c.w)
	for i := range body {
		if _, err := c.w.Write(body[i : i+1]); err != nil {
			return
		}
		if err := flush.Flush(); err != nil || !c.wait(apart) {
			panic(http.ErrAbortHandler)
		}
	}
}

// duplicateKey writes the first key of an object twice, the wrong value first;
// what is no object becomes one.
func duplicateKey(body []byte) []byte {
	tokens := json.NewDecoder(bytes.NewReader(body))
	open, err := tokens.Token()
	if err == nil && open == json.Delim('{') {
		if key, err := tokens.Token(); err == nil && key != json.Delim('}') {
			name, err := json.Marshal(key)
			if err == nil {
				return bytes.Join([][]byte{[]byte("{"), name, []byte(`:"duplicate",`), bytes.TrimSpace(body)[1:], []byte("\n")}, nil)
			}
		}
	}
	return []byte(`{"duplicate":1,"duplicate":2}` + "\n")
}
