package http

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	// maxZstdWindow bounds the memory that a zstd frame may ask for; 8 MiB is
	// what RFC 9659 allows in HTTP.
	maxZstdWindow = 8 << 20
	// maxEncodings bounds how often a body may be packed.
	maxEncodings = 4
	// maxKeptBuffer bounds a buffer that waits for the next body.
	maxKeptBuffer = 1 << 20
)

// answer is a response with its body read.
type answer struct {
	buffer    *bytes.Buffer // where data lies
	limit     io.LimitedReader
	data      []byte
	mediaType string
	charset   string
	packed    string // an encoding that was not taken off
	limited   string
}

// readAnswer reads the body up to its limit, taking off what it was packed in,
// and counts it in x.wire as it comes.
func (x *exchange) readAnswer(res *http.Response) (*answer, error) {
	p, c, a := x.plugin, &x.config, &x.answer
	a.mediaType, a.charset = mediaType(first(res.Header["Content-Type"]))
	if !hasBody(res) {
		return a, nil
	}
	limit := int64(DefaultMaxBody)
	if c.MaxBody != nil {
		limit = *c.MaxBody
	}
	wire := &x.wire
	wire.body = res.Body
	body, done, err := p.decoded(c, res, wire, a)
	defer done()
	if err != nil {
		return a, wire.blame(a.packed, err)
	}
	a.buffer, _ = p.buffers.Get().(*bytes.Buffer)
	if a.buffer == nil {
		a.buffer = new(bytes.Buffer)
	}
	if n := res.ContentLength; n > 0 && n <= limit && n <= maxKeptBuffer {
		a.buffer.Grow(int(n) + bytes.MinRead)
	}
	a.limit = io.LimitedReader{R: body, N: limit + 1}
	_, err = a.buffer.ReadFrom(&a.limit)
	a.data = a.buffer.Bytes()
	if int64(len(a.data)) > limit {
		a.data = a.data[:limit]
		a.limited = fmt.Sprintf("body over %s (config.max_body)", size(limit))
		return a, nil
	}
	if err != nil {
		return a, wire.blame(first(res.Header["Content-Encoding"]), err)
	}
	return a, nil
}

// release gives the buffer back; nothing may read the answer's data afterwards.
func (p *Plugin) release(a *answer) {
	if a.buffer != nil && a.buffer.Cap() <= maxKeptBuffer {
		a.buffer.Reset()
		p.buffers.Put(a.buffer)
	}
	a.buffer, a.data = nil, nil
}

// hasBody is false where the connection carries something else after the head:
// reading there would wait for what never comes.
func hasBody(res *http.Response) bool {
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols:
		return false
	case res.Request == nil:
		return true
	case res.Request.Method == http.MethodConnect:
		return res.StatusCode >= 300
	}
	return res.Request.Method != http.MethodHead
}

// first is the value of a header, whose values are found by its canonical name.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func mediaType(header string) (kind, charset string) {
	switch header {
	case "":
		return "", ""
	case "application/json":
		return header, ""
	case "application/json; charset=utf-8":
		return "application/json", "utf-8"
	}
	kind, params, err := mime.ParseMediaType(header)
	if err != nil {
		kind, _, _ = strings.Cut(header, ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
	}
	return kind, params["charset"]
}

func size(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// wire counts what comes from the network and keeps its error, so that a
// decoder's error can be told from it.
type wire struct {
	body io.Reader
	read int64
	err  error
}

// Read implements io.Reader.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	w.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// blame gives an error to the network or to what the body is packed in.
func (w *wire) blame(encoding string, err error) error {
	if w.err != nil {
		return w.err
	}
	return &encodingError{encoding, err}
}

type encodingError struct {
	encoding string
	cause    error
}

func (e *encodingError) Error() string {
	what := e.cause.Error()
	if errors.Is(e.cause, io.ErrUnexpectedEOF) || errors.Is(e.cause, io.EOF) {
		what = "it ends early"
	}
	return fmt.Sprintf("the body is not the %s that its Content-Encoding says: %s", e.encoding, what)
}

func (e *encodingError) Unwrap() error { return e.cause }

// decoders keeps those that are dear to make.
type decoders struct{ gzip, brotli sync.Pool }

// decoded takes off the encodings that we offer. What the flow asked for with
// compressed: false stays packed. done gives the decoders back.
func (p *Plugin) decoded(c *config, res *http.Response, from io.Reader, a *answer) (r io.Reader, done func(), err error) {
	r, done = from, func() {}
	header := res.Header["Content-Encoding"]
	if len(header) == 0 || res.ContentLength == 0 {
		return r, done, nil
	}
	packings := strings.Split(strings.Join(header, ","), ",")
	if !isTrue(c.Compressed) || len(packings) > maxEncodings {
		a.packed = strings.Join(header, ", ")
		return r, done, nil
	}
	first := bufio.NewReader(r)
	if _, err := first.Peek(1); errors.Is(err, io.EOF) {
		return first, done, nil // an empty body, as of 204 or 304, is packed in nothing
	}
	r = first
	var used []func()
	done = func() {
		for _, f := range used {
			f()
		}
	}
	for i := len(packings) - 1; i >= 0; i-- {
		var giveBack func()
		packing := strings.ToLower(strings.TrimSpace(packings[i]))
		r, giveBack, err = p.decoders.open(packing, r)
		if giveBack != nil {
			used = append(used, giveBack)
		}
		if errors.Is(err, errUnknownEncoding) {
			a.packed = strings.Join(packings[:i+1], ",")
			return r, done, nil
		}
		if err != nil {
			a.packed = packing
			return nil, done, err
		}
	}
	return r, done, nil
}

var errUnknownEncoding = errors.New("unknown encoding")

func (d *decoders) open(packing string, r io.Reader) (io.Reader, func(), error) {
	switch packing {
	case "", "identity":
		return r, nil, nil
	case "gzip", "x-gzip":
		if z, ok := d.gzip.Get().(*gzip.Reader); ok {
			return z, func() { d.gzip.Put(z) }, z.Reset(r)
		}
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { d.gzip.Put(z) }, nil
	case "br":
		z, ok := d.brotli.Get().(*brotli.Reader)
		if !ok {
			z = new(brotli.Reader)
		}
		return z, func() { d.brotli.Put(z) }, z.Reset(r)
	case "zstd":
		return openZstd(r)
	case "deflate":
		z, err := openDeflate(r)
		return z, nil, err
	}
	return r, nil, errUnknownEncoding
}

// openZstd makes a decoder that works in Read, without goroutines, and is closed
// with its body.
func openZstd(r io.Reader) (io.Reader, func(), error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, nil, err
	}
	return z, z.Close, nil
}

// openDeflate reads deflate as RFC 9110 section 8.4.1.2 means it, which is
// zlib's format, and as many servers mean it, which is the bare stream.
func openDeflate(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	head, err := b.Peek(2)
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return zlib.NewReader(b)
	}
	return flate.NewReader(b), nil
}
