package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// readSize is how much is read at once.
	readSize = 64 << 10
	// maxShown bounds the bytes of an exchange that people see.
	maxShown = 4 << 10
)

// conn is a connection with what has been read and not yet been given.
type conn struct {
	net     net.Conn
	address string
	once    sync.Once
	closing error

	writeLock sync.Mutex

	readLock sync.Mutex
	pending  []byte
	ended    bool // the server has closed its side
}

func dial(ctx context.Context, t target) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.ConnectTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, plugin.NetError(err, t.Address)
	}
	return &conn{net: c, address: t.Address}, nil
}

func (c *conn) Close() error {
	c.once.Do(func() { c.closing = c.net.Close() })
	return c.closing
}

func (c *conn) unread() int {
	c.readLock.Lock()
	defer c.readLock.Unlock()
	return len(c.pending)
}

// send writes all of data. It ends with ctx.
func (c *conn) send(ctx context.Context, data []byte, finish bool) error {
	c.writeLock.Lock()
	defer c.writeLock.Unlock()
	stop := interrupt(ctx, c.net.SetWriteDeadline)
	_, err := c.net.Write(data)
	stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if half, ok := c.net.(interface{ CloseWrite() error }); err == nil && finish && ok {
		err = half.CloseWrite()
	}
	return err
}

// interrupt makes a deadline pass as soon as ctx ends, so that a read or write
// that is under way returns. The caller calls stop when it has.
func interrupt(ctx context.Context, setDeadline func(time.Time) error) (stop func()) {
	passed := make(chan struct{})
	undo := context.AfterFunc(ctx, func() {
		_ = setDeadline(time.Unix(1, 0))
		close(passed)
	})
	return func() {
		if !undo() {
			<-passed
		}
		_ = setDeadline(time.Time{})
	}
}

// chunk is what a read brought.
type chunk struct {
	data []byte
	end  string // until, bytes, close or limit; empty: it has not ended
}

// read reads until the reply ends. Where the time is over first, what came stays
// for the next read.
func (c *conn) read(ctx context.Context, in reading) (chunk, error) {
	c.readLock.Lock()
	defer c.readLock.Unlock()
	limited, cancel := context.WithTimeout(ctx, in.Within)
	defer cancel()
	defer interrupt(limited, c.net.SetReadDeadline)()
	buffer := make([]byte, readSize)
	searched := 0
	for {
		if got, rest, ok := in.cut(c.pending, searched, c.ended); ok {
			c.pending = rest
			return got, nil
		}
		searched = max(0, len(c.pending)-len(in.Until))
		n, err := c.net.Read(buffer)
		c.pending = append(c.pending, buffer[:n]...)
		switch {
		case errors.Is(err, io.EOF):
			c.ended = true
		case limited.Err() != nil:
			return chunk{data: c.pending}, limited.Err()
		case err != nil:
			return chunk{data: c.pending}, err
		}
	}
}

// cut tells whether the reply ends within pending, and where; searched bytes are
// known not to hold the text that ends it.
func (in reading) cut(pending []byte, searched int, ended bool) (got chunk, rest []byte, ok bool) {
	if in.Until != "" {
		if i := bytes.Index(pending[searched:], []byte(in.Until)); i >= 0 && searched+i <= in.MaxBytes {
			return chunk{pending[:searched+i], "until"}, pending[searched+i+len(in.Until):], true
		}
	}
	switch {
	case in.Bytes > 0 && len(pending) >= in.Bytes:
		return chunk{pending[:in.Bytes], "bytes"}, pending[in.Bytes:], true
	case len(pending) > in.MaxBytes:
		return chunk{pending[:in.MaxBytes], "limit"}, pending[in.MaxBytes:], true
	case ended:
		return chunk{pending, "close"}, nil, true
	}
	return chunk{}, nil, false
}

// reply is the result of a read that ended.
func (got chunk) reply(call *plugin.Call, in reading) (Reply, error) {
	if got.end == "limit" {
		call.Limited(fmt.Sprintf("reply over %d bytes", in.MaxBytes))
	}
	out := Reply{Reply: string(got.data), Bytes: len(got.data), End: got.end}
	switch {
	case in.As == "base64":
		out.Reply = base64.StdEncoding.EncodeToString(got.data)
	case got.end == "limit":
		out.Reply = string(bytes.ToValidUTF8(got.data, nil)) // a letter may be cut
	case !utf8.Valid(got.data):
		return Reply{}, plugin.Errorf(plugin.CodeBody, "the reply of %d bytes is not text", len(got.data)).WithHint("as: base64 gives any bytes")
	}
	return out, nil
}

// progress says how far a reply had come.
func (got chunk) progress(in reading) string {
	text := fmt.Sprintf("%d bytes had come", len(got.data))
	switch {
	case in.Until != "":
		text += fmt.Sprintf(", without %q", in.Until)
	case in.Bytes > 0:
		text += fmt.Sprintf(" of %d", in.Bytes)
	}
	return text
}

func isLate(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// shown is data for people, cut.
func shown(data []byte) json.RawMessage {
	fields := map[string]any{"bytes": len(data)}
	data = data[:min(len(data), maxShown)]
	if utf8.Valid(data) {
		fields["text"] = string(data)
	} else {
		fields["base64"] = data
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	return out
}
